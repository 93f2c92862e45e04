import Cryptography
import OpenCRVS
import JSON
import Registration
import StageKit
import System

/// The transaction of one change: a death, a correction, a reversal. Its document is also read as the table `opencrvs.change_transactions`
/// and by whoever asks for the journey of its RID; nothing in it names a person.
struct ChangeRecord: Sendable {
  /// How far a change is. Names as upstream has them for births, where there are such.
  enum Status {
    /// Taken and kept; waits for its turn, for the birth before it, or for its person.
    static let taken = "RID Generated"
    static let found = "Person Found"
    static let verified = "Verified"
    /// What is to be done is decided and will be done, also after a crash.
    static let decided = "Decided"
    static let packetCreated = "Packet Created"
    static let synced = "Packet Synced"
    /// A registration of its own is on its way; its end is this change's end.
    static let uploaded = "Uploaded"
    static let changed = "Changed"
    static let held = "Held"
    static let told = "Told"
    static let failed = "Failed"

    static let ends: Set<String> = [changed, held, told, failed]
  }

  /// The work key of the event.
  let key: String
  var version: Int
  var document: JSONValue

  init(_ record: StageRecord) {
    key = record.key
    version = record.version
    document = record.document
  }

  func text(_ member: String) -> String? { document[member]?.string }

  /// What the event is, as the OpenCRVS side knows it.
  var eventKind: EventKind { text("kind").flatMap { EventKind(rawValue: $0) } ?? .birthCorrection }
  /// What is done for it: the correction of a death that never took effect is a death itself.
  var kind: EventKind { text("as").flatMap { EventKind(rawValue: $0) } ?? eventKind }
  /// The application id of this change.
  var rid: String { text("rid") ?? "" }
  var recordId: String { text("recordId") ?? "" }
  var status: String { text("status") ?? Status.taken }
  /// Which go this is: 1 for the first, one more after each release.
  var take: Int { min(max(document["take"]?.int ?? 1, 0), 1_000_000_000) }
  /// Whether a person has released what policy held.
  var isReleased: Bool { document["release"]?.object != nil }
  var registrationNumber: String? { text("registrationNumber") }
  var lastModified: String? { text("lastModified") }
  var takenAt: Instant? { text("takenAt").flatMap { Instant(iso: $0) } }
  var hasEnded: Bool { Status.ends.contains(status) }
  /// Whether it failed because its registration did, which may be run again.
  var hasFailedInItsRegistration: Bool { status == Status.failed && ["packet", "create"].contains(text("plan")) }
  /// The names of the fields that it changes.
  var changed: [String] { document["changed"]?.array?.compactMap(\.string) ?? [] }
}

/// The line of one record: its changes, which are worked on one after another in the order in which they were taken, and what is known of
/// the record from those that are done.
struct RecordLine: Sendable {
  let key: String
  /// Nil for one that is not stored yet.
  let version: Int?
  var document: JSONValue

  init(_ key: String, _ record: StageRecord?) {
    self.key = key
    version = record?.version
    document = record?.document ?? ["queue": []]
  }

  /// Work keys; the first one is worked on.
  var queue: [String] {
    get { document["queue"]?.array?.compactMap(\.string) ?? [] }
    set { document["queue"] = .array(newValue.map { .string($0) }) }
  }

  func text(_ member: String) -> String? { document[member]?.string }

  /// The change that writes it, if nobody else has changed it meanwhile.
  var change: StageChange {
    .keep(collection: MosipMediator.Records.lines, key: key, document: document, over: version)
  }
}

/// What is kept of a person whose identity was changed or made, under the SHA-256 of the UIN token: neither leads back to the person.
struct PersonRecord: Sendable {
  let key: String
  /// Nil for one that is not stored yet.
  let version: Int?
  var document: JSONValue

  init(_ key: String, _ record: StageRecord?) {
    self.key = key
    version = record?.version
    document = record?.document ?? [:]
  }

  /// The key of a UIN token.
  static func key(_ token: String) -> String { Hash.sha256Hex(Array(token.utf8)) }

  /// The change that works on this person now; others wait.
  var holder: String? {
    get { document["holder"]?.string }
    set { document["holder"] = JSONValue(newValue) }
  }
  /// How many deaths of this person were reversed.
  var reversals: Int {
    get { min(max(document["reversals"]?.int ?? 0, 0), 1_000_000_000) }
    set { document["reversals"] = JSONValue(newValue) }
  }
  /// A RID that leads to the identity.
  var rid: String? {
    get { document["rid"]?.string }
    set { document["rid"] = JSONValue(newValue) }
  }

  /// What holds the identity inactive, or says that the person is deceased.
  var reasons: [Reason] {
    get { document["reasons"]?.array?.compactMap { $0.string.flatMap(Reason.init) } ?? [] }
    set { document["reasons"] = .array(newValue.map { .string($0.text) }) }
  }
  /// The RID by which a change of ours made the identity inactive.
  var deactivatedBy: String? {
    get { document["deactivatedBy"]?.string }
    set { document["deactivatedBy"] = JSONValue(newValue) }
  }

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

  var change: StageChange {
    .keep(collection: MosipMediator.Records.persons, key: key, document: document, over: version)
  }
}
