import Cryptography
import JSON
import OpenCRVS
import StageKit

/// What is kept of a person whose identity was changed or made, under the SHA-256 of the UIN token: neither leads back to the person.
struct PersonRecord: KeptRecord {
  static let collection = "persons"

  let key: String
  var version: Int?
  /// The change that works on this person now; others wait.
  var holder: String? { didSet { document["holder"] = JSONValue(holder) } }
  /// How many deaths of this person were reversed.
  var reversals: Int { didSet { document["reversals"] = JSONValue(reversals) } }
  /// A RID that leads to the identity.
  var rid: String? { didSet { document["rid"] = JSONValue(rid) } }
  /// What holds the identity inactive, or says that the person is deceased.
  var reasons: [Reason] { didSet { document["reasons"] = .array(reasons.map { .string($0.text) }) } }
  /// The RID by which a change of ours made the identity inactive.
  var deactivatedBy: String? { didSet { document["deactivatedBy"] = JSONValue(deactivatedBy) } }
  private(set) var document: JSONValue

  /// A person of whom nothing is known.
  init(_ key: String) {
    self.key = key
    version = nil
    reversals = 0
    reasons = []
    document = [:]
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    holder = try read.optionalText("holder")
    reversals = min(max(try read.optionalNumber("reversals") ?? 0, 0), 1_000_000_000)
    rid = try read.optionalText("rid")
    let texts = try read.optionalTexts("reasons") ?? []
    reasons = texts.compactMap(Reason.init)
    // One that was overlooked would bring back an identity that is to stay inactive.
    guard reasons.count == texts.count else { throw read.fault("reasons are not all of a kind that this version knows") }
    deactivatedBy = try read.optionalText("deactivatedBy")
    document = record.document
  }

  /// The key of a UIN token.
  static func key(_ token: String) -> String { Hash.sha256Hex(Array(token.utf8)) }

  /// A death or a revocation that stands, of one record.
  struct Reason: Sendable, Equatable {
    enum Hold: String, Sendable {
      /// A death that deactivated the identity.
      case death
      /// A death that the identity only tells.
      case flag
      /// A birth that was revoked.
      case revocation
    }
    var holds: Hold
    /// The key of the record's line.
    var line: String

    init(_ holds: Hold, _ line: String) {
      self.holds = holds
      self.line = line
    }

    init?(_ text: String) {
      let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
      guard parts.count == 2, let holds = Hold(rawValue: parts[0]) else { return nil }
      self.init(holds, parts[1])
    }

    var text: String { "\(holds.rawValue):\(line)" }

    /// Whether it is what a change of this kind of this record makes or takes back.
    func isOf(_ kind: EventKind, _ line: String) -> Bool {
      self.line == line && (holds == .revocation) == (kind.subject == .birth)
    }
  }
}
