import Cryptography
import System

/// The id of one hop: 16 bytes that both sides of a redelivery derive alike, so that what was judged once is never judged again.
///
/// The id of a hop that follows another is made from that one and the stage it goes to; the first of a run from the RID, the process, the
/// iteration, the run and the stage; that of a record which a foreign (Java) stage sent from the record itself.
public struct HopId: Hashable, Sendable, CustomStringConvertible {
  /// The id as a UUID in lower case, as Postgres prints it.
  public let text: String

  private init(hashing parts: [[UInt8]]) {
    var bytes: [UInt8] = []
    for part in parts {
      bytes.append(contentsOf: part)
      bytes.append(0)
    }
    text = SecureRandom.uuidText(Array(SHA256.hash(bytes).prefix(16)))
  }

  /// An id that was read; nil when the text is none.
  public init?(text: some StringProtocol) {
    guard text.utf8.count == 36 else { return nil }
    for (i, byte) in text.utf8.enumerated() {
      let isHyphen = i == 8 || i == 13 || i == 18 || i == 23
      guard isHyphen ? byte == 45 : (48...57).contains(byte) || (97...102).contains(byte) else { return nil }
    }
    self.text = String(text)
  }

  /// The first hop of a run.
  public static func first(rid: String, process: String, iteration: Int, run: Int, stage: String) -> HopId {
    HopId(hashing: ["first", rid, process, String(iteration), String(run), stage].map { Array($0.utf8) })
  }

  /// The hop that this one sends to a stage.
  public func next(_ stage: String) -> HopId { HopId(hashing: ["next", text, stage].map { Array($0.utf8) }) }

  /// The next try of this hop at the same stage.
  public var nextTry: HopId { HopId(hashing: ["try", text].map { Array($0.utf8) }) }

  /// The hop of a record that a foreign stage sent: such a record carries no id, but its time of sending makes it unique.
  public static func foreign(stage: String, value: [UInt8]) -> HopId {
    HopId(hashing: [Array("foreign".utf8), Array(stage.utf8), value])
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
    let parts = String(decoding: bytes, as: UTF8.self).split(separator: ".")
    guard parts.count == 3, let id = HopId(text: parts[0]), let run = Int(parts[1]), let attempt = Int(parts[2]), run > 0,
      attempt > 0
    else { return nil }
    self.init(id: id, run: run, attempt: attempt)
  }

  var text: String { "\(id.text).\(run).\(attempt)" }
}
