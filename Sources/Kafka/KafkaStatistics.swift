/// A consumer's figures at one moment, from librdkafka's statistics (its STATISTICS.md names the fields).
public struct KafkaStatistics: Sendable, Hashable {
  /// One assigned partition.
  public struct Partition: Sendable, Hashable {
    /// Records between the committed (or read) offset and the end; nil when not known yet.
    public var lag: Int64?
    /// Records fetched ahead and not yet polled.
    public var fetched: Int64
    /// What the library does for it: `active` when it is read, anything else while its offset is asked for or when it is another member's.
    public var fetchState = ""
    /// The number of the broker that it is read from; -1 when none leads it.
    public var broker: Int64 = -1
  }

  /// A broker, as this client is connected to it.
  public struct Broker: Sendable, Hashable {
    /// `host:port/number`.
    public var name: String
    /// `UP`, `DOWN`, or how far a connection is.
    public var state: String
    /// Microseconds since anything came from it; -1 when nothing has.
    public var silentMicroseconds: Int64 = -1
  }

  /// Bytes sent to brokers since the start.
  public var bytesSent: Int64 = 0
  /// Bytes received from brokers since the start.
  public var bytesReceived: Int64 = 0
  /// Records received since the start.
  public var recordsReceived: Int64 = 0
  /// The mean round trip to each broker that answered in the interval, in microseconds, by `host:port/id`.
  public var roundTripMicroseconds: [String: Int64] = [:]
  /// The partitions that are known.
  public var partitions: [TopicPartition: Partition] = [:]
  /// The brokers by their numbers.
  public var brokers: [Int64: Broker] = [:]
  /// Whether the group's coordinator answers: `up` when it does; empty without a group.
  public var groupState = ""

  /// What keeps a consumer from reading, and for how long at the least, in milliseconds.
  public struct Fault: Sendable, Hashable {
    /// In words, with partition and broker.
    public var reason: String
    /// So long it lasts already.
    public var lasting = 0
  }

  private static let longestSilence: Int64 = 3_000_000

  /// What keeps a consumer from reading the partitions that it was given, with the partition and the broker; nil when nothing does.
  public func fault(of assigned: [TopicPartition]) -> Fault? {
    if !groupState.isEmpty, groupState != "up" { return Fault(reason: "the group's coordinator does not answer (\(groupState))") }
    for place in assigned {
      // Until its offset is known a partition is not looked at by anybody.
      guard let partition = partitions[place], partition.fetchState == "active" else {
        return Fault(reason: "the broker does not say where \(place) is to be read from")
      }
      guard let broker = brokers[partition.broker] else { return Fault(reason: "no broker leads \(place)") }
      if broker.state != "UP" { return Fault(reason: "\(broker.name), which leads \(place), is \(broker.state)") }
      // A fetch is answered within `fetch.wait.max.ms`, half a second; the library itself gives up on a frozen broker after a minute. While
      // records wait to be polled it may fetch nothing.
      if broker.silentMicroseconds > Self.longestSilence, partition.fetched == 0 {
        return Fault(
          reason: "\(broker.name), which leads \(place), does not answer", lasting: Int(broker.silentMicroseconds / 1000))
      }
    }
    return nil
  }

  /// Reads librdkafka's JSON. Unknown members are passed over; text that is not JSON gives what was read before it went wrong.
  init(json: UnsafeRawBufferPointer) {
    var scanner = StatisticsScanner(json)
    var path: [String] = []
    var read = self
    scanner.object { scanner, name in
      switch name {
      case "tx_bytes": read.bytesSent = scanner.integer()
      case "rx_bytes": read.bytesReceived = scanner.integer()
      case "rxmsgs": read.recordsReceived = scanner.integer()
      case "brokers":
        scanner.object { scanner, broker in
          var (number, found) = (Int64(-1), Broker(name: broker, state: ""))
          scanner.object { scanner, name in
            switch name {
            case "nodeid": number = scanner.integer()
            case "state": found.state = scanner.string()
            case "rxidle": found.silentMicroseconds = scanner.integer()
            case "rtt":
              scanner.object { scanner, name in
                guard name == "avg" else { return scanner.skip() }
                let average = scanner.integer()
                if average > 0 { read.roundTripMicroseconds[broker] = average }
              }
            default: scanner.skip()
            }
          }
          if number >= 0 { read.brokers[number] = found }
        }
      case "cgrp":
        scanner.object { scanner, name in
          if name == "state" { read.groupState = scanner.string() } else { scanner.skip() }
        }
      case "topics":
        scanner.object { scanner, topic in
          path = [topic]
          scanner.object { scanner, name in
            guard name == "partitions" else { return scanner.skip() }
            scanner.object { scanner, number in
              var partition = Partition(lag: nil, fetched: 0)
              scanner.object { scanner, name in
                switch name {
                case "consumer_lag":
                  let lag = scanner.integer()
                  partition.lag = lag >= 0 ? lag : nil
                case "fetchq_cnt": partition.fetched = scanner.integer()
                case "fetch_state": partition.fetchState = scanner.string()
                case "broker": partition.broker = scanner.integer()
                default: scanner.skip()
                }
              }
              if let number = Int32(number), number >= 0 {
                read.partitions[TopicPartition(path[0], number)] = partition
              }
            }
          }
        }
      default: scanner.skip()
      }
    }
    self = read
  }
}

/// Walks over JSON without making a tree of it; only what librdkafka writes, so names need no unescaping.
struct StatisticsScanner {
  private let bytes: UnsafeRawBufferPointer
  private var at = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// Calls the closure at each member's value; the closure must read or skip the value.
  mutating func object(_ member: (inout StatisticsScanner, String) -> Void) {
    guard take(UInt8(ascii: "{")) else { return skip() }
    while !take(UInt8(ascii: "}")) {
      guard let name = text(), take(UInt8(ascii: ":")) else {
        at = bytes.count
        return
      }
      member(&self, name)
      if !take(UInt8(ascii: ",")), peek() != UInt8(ascii: "}") {
        at = bytes.count
        return
      }
    }
  }

  /// An integer; 0 for any other value, which is skipped.
  mutating func integer() -> Int64 {
    guard let first = peek(), first == UInt8(ascii: "-") || (48...57).contains(first) else {
      skip()
      return 0
    }
    let negative = take(UInt8(ascii: "-"))
    var value: Int64 = 0
    while at < bytes.count, (48...57).contains(bytes[at]) {
      value = value &* 10 &+ Int64(bytes[at] - 48)
      at += 1
    }
    skip()  // a fraction, if there is one
    return negative ? -value : value
  }

  /// A text; empty for any other value, which is skipped.
  mutating func string() -> String {
    guard peek() == UInt8(ascii: "\"") else {
      skip()
      return ""
    }
    return text() ?? ""
  }

  /// Passes over one value.
  mutating func skip() {
    var depth = 0
    while let byte = peek() {
      switch byte {
      case UInt8(ascii: "\""): _ = text()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        at += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { return }
        depth -= 1
        at += 1
      case UInt8(ascii: ",") where depth == 0: return
      default: at += 1
      }
    }
  }

  private mutating func text() -> String? {
    guard take(UInt8(ascii: "\"")) else { return nil }
    let start = at
    while at < bytes.count, bytes[at] != UInt8(ascii: "\"") { at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1 }
    guard at < bytes.count else { return nil }
    defer { at += 1 }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  private mutating func peek() -> UInt8? {
    while at < bytes.count, bytes[at] <= 32 { at += 1 }
    return at < bytes.count ? bytes[at] : nil
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek() == byte else { return false }
    at += 1
    return true
  }
}
