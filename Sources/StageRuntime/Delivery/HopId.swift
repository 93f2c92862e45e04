import Cryptography
import System

/// The id of one hop: 128 bits that both sides of a redelivery derive alike, so that what was judged once is never judged again.
///
/// The id of a hop that follows another is made from that one and the stage it goes to; the first of a run from the RID, the process, the
/// iteration, the run and the stage; that of a record which a foreign (Java) stage sent from the record itself.
public struct HopId: Hashable, Sendable, CustomStringConvertible {
  private let high: UInt64
  private let low: UInt64

  private init(hashing parts: [[UInt8]]) {
    var bytes: [UInt8] = []
    for part in parts {
      bytes.append(contentsOf: part)
      bytes.append(0)
    }
    let hash = Hash.sha256(bytes)
    high = hash[0..<8].reduce(0) { $0 << 8 | UInt64($1) }
    low = hash[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// An id that was read as a UUID in lower case; nil when the text is none.
  public init?(text: String) { self.init(utf8: text.utf8) }

  init?(utf8 bytes: some Collection<UInt8>) {
    guard bytes.count == 36 else { return nil }
    var high: UInt64 = 0
    var low: UInt64 = 0
    var digits = 0
    for (i, byte) in bytes.enumerated() {
      if i == 8 || i == 13 || i == 18 || i == 23 {
        guard byte == 45 else { return nil }
        continue
      }
      let value: UInt8
      switch byte {
      case 48...57: value = byte - 48
      case 97...102: value = byte - 87
      default: return nil
      }
      if digits < 16 { high = high << 4 | UInt64(value) } else { low = low << 4 | UInt64(value) }
      digits += 1
    }
    self.high = high
    self.low = low
  }

  /// The first hop of a run.
  public static func first(rid: String, process: String, iteration: Int, run: Int, stage: String) -> HopId {
    HopId(hashing: ["first", rid, process, String(iteration), String(run), stage].map { Array($0.utf8) })
  }

  /// The hop that this one sends to a stage.
  public func next(_ stage: String) -> HopId { HopId(hashing: [Array("next".utf8), bytes, Array(stage.utf8)]) }

  /// The next try of this hop at the same stage.
  public var nextTry: HopId { HopId(hashing: [Array("try".utf8), bytes]) }

  /// The hop of a record that a foreign stage sent: such a record carries no id, but its time of sending makes it unique.
  public static func foreign(stage: String, value: [UInt8]) -> HopId {
    HopId(hashing: [Array("foreign".utf8), Array(stage.utf8), value])
  }

  /// The id as a UUID in lower case, as Postgres prints it.
  public var text: String { SecureRandom.uuidText(bytes) }

  /// The low half in 16 hex digits: the span id of the trace header.
  var spanId: String { Encoding.hex(bytes.suffix(8)) }

  private var bytes: [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * UInt64($0))) }
      + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * UInt64($0))) }
  }

  public var description: String { text }
}

/// What the header `regproc-hop` carries beside a message: `<hop id>.<run>.<try>`. Foreign stages ignore it.
struct HopHeader: Sendable, Equatable {
  static let name = "regproc-hop"
  var id: HopId
  var run: Int
  var attempt: Int

  init(id: HopId, run: Int, attempt: Int) {
    self.id = id
    self.run = run
    self.attempt = attempt
  }

  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 38, bytes[36] == UInt8(ascii: "."), let id = HopId(utf8: bytes.prefix(36)) else { return nil }
    let parts = bytes.dropFirst(37).split(separator: UInt8(ascii: "."))
    guard parts.count == 2, let run = Int(String(decoding: parts[0], as: UTF8.self)),
      let attempt = Int(String(decoding: parts[1], as: UTF8.self)), run > 0, attempt > 0
    else { return nil }
    self.init(id: id, run: run, attempt: attempt)
  }

  var text: String { "\(id.text).\(run).\(attempt)" }
}
