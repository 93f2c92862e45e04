import Kafka

/// A record as it goes on the bus outside of a worker: a hop, or what the outbox holds.
enum OutgoingRecord: Sendable {
  /// A message on its way to a stage.
  case hop(OutgoingHop)
  /// A record of a further topic, or one that is sent again; the id is that of its row in the outbox.
  case outbox(id: String, topic: String, key: [UInt8], value: [UInt8])

  /// The name of the header by which a further topic's record is known to the outbox.
  static let outboxHeader: StaticString = "regproc-outbox"
}

extension OutgoingRecord {
  var topic: String {
    switch self {
    case .hop(let hop): hop.topic
    case .outbox(_, let topic, _, _): topic
    }
  }

  /// The bytes of its value.
  var size: Int {
    switch self {
    case .hop(let hop): hop.message.count
    case .outbox(_, _, _, let value): value.count
    }
  }
}

extension KafkaProducer {
  /// Produces a message on its way: `b3` and `RID` as upstream's bridge demands them (docs/upstream/bus-and-routes.md#4-keys-and-headers),
  /// and our hop id. All hops of a RID are one trace.
  func produce(_ hop: OutgoingHop, _ headers: inout HeaderBuffer, tag: Int = 0) throws(KafkaError) {
    headers.removeAll()
    headers.append("b3", capacity: 33) { out in
      writeHex(traceId(hop.key), into: out)
      out[16] = UInt8(ascii: "-")
      hop.id.writeSpan(into: out + 17)
      return 33
    }
    headers.append("RID", hop.key)
    headers.append(HopHeader.name, capacity: HopHeader.maximumCount) {
      HopHeader(id: hop.id, run: hop.run, attempt: hop.attempt).write(into: $0)
    }
    try produce(topic: hop.topic, key: hop.key, value: hop.message, headers: headers, tag: tag)
  }

  /// Produces a record of either kind.
  func produce(_ record: OutgoingRecord, _ headers: inout HeaderBuffer, tag: Int) throws(KafkaError) {
    switch record {
    case .hop(let hop): try produce(hop, &headers, tag: tag)
    case .outbox(let id, let topic, let key, let value):
      headers.removeAll()
      headers.append(OutgoingRecord.outboxHeader, id)
      // Camel's bridge reads an output, and loses a record without these two.
      if topic.hasSuffix("-bus-out") {
        let key = String(decoding: key, as: UTF8.self)
        headers.append("b3", capacity: 33) { out in
          writeHex(traceId(key), into: out)
          out[16] = UInt8(ascii: "-")
          writeHex(traceId(id), into: out + 17)
          return 33
        }
        headers.append("RID", key)
      }
      try produce(topic: topic, key: key, value: value, headers: headers, tag: tag)
    }
  }

  private func produce(topic: String, key: [UInt8], value: [UInt8], headers: HeaderBuffer, tag: Int) throws(KafkaError) {
    let result = key.withUnsafeBytes { key in
      value.withUnsafeBytes { value in
        Result { () throws(KafkaError) in try produce(topic: topic, key: key, value: value, headers: headers, tag: tag) }
      }
    }
    try result.get()
  }

  private func produce(topic: String, key: String, value: [UInt8], headers: HeaderBuffer, tag: Int) throws(KafkaError) {
    var key = key
    let result = key.withUTF8 { key in
      value.withUnsafeBytes { value in
        Result { () throws(KafkaError) in
          try produce(topic: topic, key: UnsafeRawBufferPointer(key), value: value, headers: headers, tag: tag)
        }
      }
    }
    try result.get()
  }
}

/// The trace of a record key: the RID is its first part. FNV-1a, 64 bits.
func traceId(_ key: String) -> UInt64 {
  var key = key
  return key.withUTF8 { key in
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in key {
      if byte == UInt8(ascii: "_") { break }
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
    }
    return hash
  }
}
