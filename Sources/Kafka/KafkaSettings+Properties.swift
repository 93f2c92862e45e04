import CRdKafka

extension KafkaSettings {
  /// What a consumer of a group is configured with: each property whose value is not librdkafka's own default, ours and the
  /// caller's, secrets included. For the benchmark, whose C program must run under the same properties.
  package func properties(ofConsumer group: String) throws(KafkaError) -> [(name: String, value: String)] {
    try changed(.consumer(group: group, instance: nil))
  }

  /// The same for a transactional producer.
  package func properties(ofProducer transactionalId: String) throws(KafkaError) -> [(name: String, value: String)] {
    try changed(.producer(transactionalId: transactionalId))
  }

  private func changed(_ role: Configuration.Role) throws(KafkaError) -> [(name: String, value: String)] {
    let configuration = try Configuration(self, role)
    let plain = rd_kafka_conf_new()!
    defer { rd_kafka_conf_destroy(plain) }
    var count = 0
    var all = changed(
      from: take(rd_kafka_conf_dump(plain, &count), count), to: take(rd_kafka_conf_dump(configuration.raw, &count), count))
    // What belongs to topics is kept apart, and shows above as an address only.
    if let topic = rd_kafka_conf_get_default_topic_conf(configuration.raw) {
      let plain = rd_kafka_topic_conf_new()!
      defer { rd_kafka_topic_conf_destroy(plain) }
      all += changed(
        from: take(rd_kafka_topic_conf_dump(plain, &count), count), to: take(rd_kafka_topic_conf_dump(topic, &count), count))
    }
    return all
  }

  /// What differs and is no address of a callback or an object.
  private func changed(from old: [(String, String)], to new: [(String, String)]) -> [(name: String, value: String)] {
    let old = Dictionary(old, uniquingKeysWith: { first, _ in first })
    return new.filter { old[$0.0] != $0.1 && !$0.1.hasPrefix("0x") && $0.0 != "enabled_events" }
      .map { (name: $0.0, value: $0.1) }
  }

  private func take(_ texts: UnsafeMutablePointer<UnsafePointer<CChar>?>?, _ count: Int) -> [(String, String)] {
    guard let texts else { return [] }
    defer { rd_kafka_conf_dump_free(texts, count) }
    return stride(from: 0, to: count - 1, by: 2).compactMap { i in
      guard let name = texts[i], let value = texts[i + 1] else { return nil }
      return (String(cString: name), String(cString: value))
    }
  }
}
