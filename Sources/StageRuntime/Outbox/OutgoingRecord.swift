import Kafka
import Registration

/// A record as it goes on the bus outside of a worker: a hop, or what the outbox holds.
enum OutgoingRecord: Sendable {
  /// A message on its way to a stage.
  case hop(OutgoingHop)
  /// A record of a further topic, or one that is sent again; the id is that of its row in the outbox, the trace nil for that of its key.
  case outbox(id: String, topic: String, key: [UInt8], value: [UInt8], trace: TraceId?)

  /// The name of the header by which a further topic's record is known to the outbox.
  static let outboxHeader: StaticString = "regproc-outbox"
}

extension OutgoingRecord {
  var topic: String {
    switch self {
    case .hop(let hop): hop.topic
    case .outbox(_, let topic, _, _, _): topic
    }
  }

  /// The bytes of its value.
  var size: Int {
    switch self {
    case .hop(let hop): hop.message.count
    case .outbox(_, _, _, let value, _): value.count
    }
  }
}

extension KafkaProducer {
  /// Produces a message on its way: `b3` and `RID` as upstream's bridge demands them (docs/upstream/bus-and-routes.md#4-keys-and-headers),
  /// and our hop id. All hops of a RID are one trace: the one that it came with, else one that its RID makes.
  func produce(_ hop: OutgoingHop, _ headers: inout HeaderBuffer, tag: Int = 0) throws(KafkaError) {
    headers.removeAll()
    headers.appendTrace(hop.trace ?? TraceId(of: hop.key)) { hop.id.writeSpan(into: $0) }
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
    case .outbox(let id, let topic, let key, let value, let trace):
      headers.removeAll()
      headers.append(OutgoingRecord.outboxHeader, id)
      // Camel's bridge reads an output, and loses a record without these two; a stage reads an input, and begins a trace without the first.
      if topic.hasSuffix("-bus-out") || trace != nil && topic.hasSuffix("-bus-in") {
        let key = String(decoding: key, as: UTF8.self)
        headers.appendTrace(trace ?? TraceId(of: key)) { writeHex(TraceId(of: id).low, into: $0) }
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

extension HeaderBuffer {
  /// Adds `b3` with a span of 16 digits that the closure writes.
  fileprivate mutating func appendTrace(_ trace: TraceId, span: (UnsafeMutablePointer<UInt8>) -> Void) {
    append("b3", capacity: TraceId.longestHeader) { trace.writeHeader(into: $0, span: span) }
  }
}

extension TraceId {
  /// The trace of a RID that came with none; of a record's key the RID is the first part. FNV-1a, 64 bits.
  init(of key: String) {
    var key = key
    let hash = key.withUTF8 { key in
      var hash: UInt64 = 0xcbf2_9ce4_8422_2325
      for byte in key {
        if byte == UInt8(ascii: "_") { break }
        hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
      }
      return hash
    }
    self.init(hash)
  }

  /// Nil for the trace that a RID makes: nobody has to remember that one.
  func unlessOf(_ rid: String) -> TraceId? { self == TraceId(of: rid) ? nil : self }

  /// The most bytes of a header `b3` without a sampling flag.
  static let longestHeader = 49

  /// Writes the header `b3` with a span of 16 digits that the closure writes; the number of bytes.
  func writeHeader(into out: UnsafeMutablePointer<UInt8>, span: (UnsafeMutablePointer<UInt8>) -> Void) -> Int {
    var end = 16
    if high == 0 {
      writeHex(low, into: out)
    } else {
      writeHex(high, into: out)
      writeHex(low, into: out + 16)
      end = 32
    }
    out[end] = UInt8(ascii: "-")
    span(out + end + 1)
    return end + 17
  }
}
