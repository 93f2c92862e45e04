import CRdKafka

/// Where the records of a span of time stand.
extension KafkaAdmin {
  /// By partition, the offset of the first record at or after a moment, in milliseconds since 1970; without those that have none.
  public func offsets(at moment: Int64, of partitions: [TopicPartition]) throws(KafkaError) -> [TopicPartition: Int64] {
    guard !partitions.isEmpty else { return [:] }
    return try persistently { client throws(KafkaError) in
      let list = makeList(partitions.map { PartitionOffset($0, moment) })
      defer { rd_kafka_topic_partition_list_destroy(list) }
      try check(rd_kafka_offsets_for_times(client.raw, list, Int32(clamping: requestLimit)), "find offsets by time")
      if let error = list.firstError { throw KafkaError(error, "find offsets by time") }
      return Dictionary(list.offsets.map { ($0.partition, $0.offset) }) { first, _ in first }
    }
  }

  /// The first and the next offset of each partition. Asks once a partition.
  public func bounds(of partitions: [TopicPartition]) throws(KafkaError) -> [TopicPartition: (first: Int64, end: Int64)] {
    try persistently { client throws(KafkaError) in
      var bounds: [TopicPartition: (first: Int64, end: Int64)] = [:]
      for partition in partitions {
        var (low, high): (Int64, Int64) = (0, 0)
        try check(
          rd_kafka_query_watermark_offsets(
            client.raw, partition.topic, partition.partition, &low, &high, Int32(clamping: requestLimit)),
          "read the bounds of \(partition)")
        bounds[partition] = (low, high)
      }
      return bounds
    }
  }
}
