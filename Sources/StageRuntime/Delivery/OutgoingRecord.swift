import System

/// A record as it goes on the bus, headers included.
struct OutgoingRecord: Sendable {
  var topic: String
  var key: String
  var value: [UInt8]
  var headers: [(name: String, value: String)]
}

extension OutgoingRecord {
  /// The record of a message on its way: `b3` and `RID` as upstream's bridge demands them (facts/bus-and-routes 4), and our hop id.
  /// All hops of a RID are one trace.
  init(_ hop: OutgoingHop) {
    self.init(
      topic: hop.topic, key: hop.key, value: hop.message,
      headers: [
        ("b3", "\(Self.traceId(hop.key))-\(hop.id.spanId)"), ("RID", hop.key),
        (HopHeader.name, HopHeader(id: hop.id, run: hop.run, attempt: hop.attempt).text),
      ])
  }

  /// The name of the header by which a further topic's record is known to the outbox.
  static let outboxHeader = "regproc-outbox"

  /// The trace of a record key: the RID is its first part.
  private static func traceId(_ key: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in key.utf8 {
      if byte == UInt8(ascii: "_") { break }
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
    }
    return Encoding.hex((0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - 8 * UInt64($0))) })
  }
}

/// Puts records on the bus and returns when the broker has all of them.
protocol RecordSender: AnyObject {
  func send(_ records: [OutgoingRecord]) throws(BusFailure)
  func close()
}
