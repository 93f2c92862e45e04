import JSON
import OpenCRVS
import Registration
import StageKit
import System

/// The transaction of one change: a death, a correction, a reversal. Its document is also read as the table `opencrvs.change_transactions`
/// and by whoever asks for the journey of its RID; nothing in it names a person.
struct ChangeRecord: KeptRecord {
  static let collection = "change_transactions"

  /// How far a change is. Names as upstream has them for births, where there are such.
  enum Status: String, Sendable, CaseIterable {
    /// Taken and kept; waits for its turn, for the birth before it, or for its person.
    case taken = "RID Generated"
    case found = "Person Found"
    case verified = "Verified"
    /// What is to be done is decided and will be done, also after a crash.
    case decided = "Decided"
    case packetCreated = "Packet Created"
    case synced = "Packet Synced"
    /// A registration of its own is on its way; its end is this change's end.
    case uploaded = "Uploaded"
    case changed = "Changed"
    case held = "Held"
    case told = "Told"
    case failed = "Failed"

    var isEnd: Bool { [.changed, .held, .told, .failed].contains(self) }
  }

  /// How it is done.
  enum Plan: String, Sendable, CaseIterable {
    /// The identity gets a status, or says of the person's death.
    case status
    /// Data of the death are written anew.
    case deathData = "death-data"
    /// Fields of the identity are changed.
    case fields
    /// Fields are changed by a packet.
    case packet
    /// Another person is treated as deceased.
    case exchange
    /// An identity is made by a packet.
    case create
  }

  /// What a person decided about it.
  struct Decision: Sendable {
    let author: String?
    let reason: String?
    /// The go that it began; nil for a release.
    let take: Int?

    fileprivate init(_ document: JSONObject) {
      author = document["author"]?.string
      reason = document["reason"]?.string
      take = document["take"]?.int
    }
  }

  /// The work key of the event.
  let key: String
  var version: Int?
  /// What the event is, as the OpenCRVS side knows it.
  let eventKind: EventKind
  /// The application id of this change.
  let rid: String
  var status: Status { didSet { document["status"] = .string(status.rawValue) } }
  /// Which go this is: 1 for the first, one more after each release and replay, and each time that OpenCRVS sent it again after its error.
  var take: Int { didSet { document["take"] = JSONValue(take) } }
  /// Which sending of it by OpenCRVS this is: 1 for the first, one more each time that it came again after its error.
  var sending: Int { didSet { document["sending"] = JSONValue(sending) } }
  /// The last go whose error the OpenCRVS side was told.
  var toldTake: Int? { didSet { document["toldTake"] = toldTake.map { JSONValue($0) } } }
  /// The go that was begun because OpenCRVS had sent it again; nil where none was.
  let sentAgainTake: Int?
  /// The RID of an earlier try that ended in an error although it had changed the identity.
  let formerRid: String?
  let recordId: String
  /// Of the event.
  let digest: String
  /// The event's name in the object store, in the container of the application id.
  let object: String
  let registrationNumber: String?
  /// When OpenCRVS changed the record.
  let lastModified: String?
  let takenAt: Instant?
  /// The trace that it came with.
  var trace: TraceId? { didSet { document["trace"] = trace.map { .string($0.text) } } }
  /// What is done for it, where that is another thing than what the event is.
  var treatedAs: EventKind? { didSet { document["as"] = treatedAs.map { .string($0.rawValue) } } }

  /// A RID of the identity that it is about, and the key of its person.
  var subjectRid: String? { didSet { document["subjectRid"] = JSONValue(subjectRid) } }
  var person: String? { didSet { document["person"] = JSONValue(person) } }
  /// The same of the person whom a correction of a death names instead.
  var otherRid: String? { didSet { document["otherRid"] = JSONValue(otherRid) } }
  var otherPerson: String? { didSet { document["otherPerson"] = JSONValue(otherPerson) } }
  /// The application id under which the one of before is brought back.
  var secondRid: String? { didSet { document["secondRid"] = JSONValue(secondRid) } }

  var plan: Plan? { didSet { document["plan"] = JSONValue(plan?.rawValue) } }
  /// The status that the identity gets.
  var to: IdentityStatus? { didSet { document["to"] = JSONValue(to?.rawValue) } }
  /// What the identity says of the person's death from then on.
  var deceased: Deceased? { didSet { document["deceased"] = JSONValue(deceased?.rawValue) } }
  var what: ChangeResult? { didSet { document["what"] = JSONValue(what?.rawValue) } }
  /// The names of the fields that it changes.
  var changed: [String] { didSet { document["changed"] = .array(changed.map(JSONValue.string)) } }
  private(set) var packetHash: String?

  var errorCode: String? { didSet { document["errorCode"] = errorCode.map(JSONValue.string) } }
  var errorMessage: String? { didSet { document["errorMessage"] = errorMessage.map(JSONValue.string) } }

  /// By whom and why it was let go on, after policy had held it.
  let release: Decision?
  /// By whom and why it was begun anew.
  let replays: [Decision]
  private let earlier: JSONObject?
  private(set) var document: JSONValue

  /// A change that is taken.
  /// - Parameters:
  ///   - trace: the trace that it came with.
  ///   - sending: which sending of it by OpenCRVS it is.
  ///   - former: the try that failed, or was held, and whose place it takes.
  ///   - formerRid: the RID of an earlier try that changed the identity all the same.
  init(
    _ key: String, _ kind: EventKind, _ event: OpenCRVSEvent, rid: String, object: String, trace: TraceId? = nil, at now: Instant,
    sending: Int = 1, over former: ChangeRecord? = nil, formerRid: String? = nil
  ) {
    self.key = key
    version = former?.version
    eventKind = kind
    self.rid = rid
    status = .taken
    take = former.map { $0.take + 1 } ?? 1
    self.sending = sending
    sentAgainTake = former == nil ? nil : take
    self.formerRid = formerRid
    recordId = event.bundle.compositionId
    digest = event.digest
    self.object = object
    registrationNumber = event.bundle.registrationNumber
    lastModified = event.bundle.task.lastModified
    takenAt = now
    self.trace = trace
    changed = []
    release = nil
    replays = []
    earlier = nil
    document = [
      "kind": .string(kind.rawValue), "rid": .string(rid), "status": .string(status.rawValue), "take": JSONValue(take),
      "recordId": .string(recordId), "digest": .string(digest), "object": .string(object),
      "numberKind": .string(kind.numberKind.rawValue), "registrationNumber": JSONValue(registrationNumber),
      "lastModified": JSONValue(lastModified), "takenAt": .string(now.iso),
    ]
    if let trace { document["trace"] = .string(trace.text) }
    if sending > 1 { document["sending"] = JSONValue(sending) }
    guard let former else { return }
    document["sentAgainTake"] = JSONValue(take)
    document["formerRids"] = .array((former.document["formerRids"]?.array ?? []) + [.string(former.rid)])
    document["formerRid"] = JSONValue(formerRid)
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    eventKind = try read.choice("kind")
    rid = try read.text("rid")
    status = try read.choice("status")
    take = try Self.take(read)
    sending = try read.optionalNumber("sending") ?? 1
    toldTake = try read.optionalNumber("toldTake")
    sentAgainTake = try read.optionalNumber("sentAgainTake")
    formerRid = try read.optionalText("formerRid")
    recordId = try read.text("recordId")
    digest = try read.text("digest")
    object = try read.text("object")
    registrationNumber = try read.optionalText("registrationNumber")
    lastModified = try read.optionalText("lastModified")
    takenAt = try read.optionalText("takenAt").flatMap { Instant(iso: $0) }
    trace = try read.optionalText("trace").flatMap { TraceId($0) }
    treatedAs = try read.optionalChoice("as")
    subjectRid = try read.optionalText("subjectRid")
    person = try read.optionalText("person")
    otherRid = try read.optionalText("otherRid")
    otherPerson = try read.optionalText("otherPerson")
    secondRid = try read.optionalText("secondRid")
    plan = try read.optionalChoice("plan")
    to = try read.optionalChoice("to")
    deceased = try read.optionalChoice("deceased")
    what = try read.optionalChoice("what")
    changed = try read.optionalTexts("changed") ?? []
    packetHash = try read.optionalText("packetHash")
    errorCode = try read.optionalText("errorCode")
    errorMessage = try read.optionalText("errorMessage")
    release = try read.optionalObject("release").map(Decision.init)
    replays = (try read.optionalObjects("replays") ?? []).map(Decision.init)
    earlier = try read.optionalObject("earlier")
    document = record.document
  }

  /// The go of a stored change, be the rest of it readable or not: whoever ends before it must be able to let it go.
  static func take(of record: StageRecord) -> Int { (try? take(RecordReader(record))) ?? 1 }

  private static func take(_ read: RecordReader) throws(ServiceError) -> Int {
    min(max(try read.optionalNumber("take") ?? 1, 0), 1_000_000_000)
  }

  /// What is done for it: the correction of a death that never took effect is a death itself.
  var kind: EventKind { treatedAs ?? eventKind }
  var hasEnded: Bool { status.isEnd }
  /// Whether a person has released what policy held.
  var isReleased: Bool { release != nil }
  /// Whether it failed because its registration did, which may be run again.
  var hasFailedInItsRegistration: Bool { status == .failed && (plan == .packet || plan == .create) }
  /// The keys of the people whom it is about.
  var people: [String] { [person, otherPerson].compactMap { $0 } }

  /// The same change with what an earlier go had found and decided; nil where none had decided anything.
  func withEarlierDecisions() throws(ServiceError) -> ChangeRecord? {
    guard let earlier else { return nil }
    var document = document
    document["earlier"] = nil
    for member in earlier { document[member.key] = member.value }
    return try ChangeRecord(
      StageRecord(collection: Self.collection, key: key, version: version ?? 0, document: document))
  }

  /// Says which packet is its own, and what of the event is not in it.
  mutating func has(packet hash: String, leftOut: [String]) {
    packetHash = hash
    document["packetHash"] = .string(hash)
    document["leftOut"] = .array(leftOut.map(JSONValue.string))
  }

  /// Whether its packet was taken.
  var wasUploaded: Bool { document["uploadedAt"]?.string != nil }

  /// Its packet was taken. Whoever replays it looks at this.
  mutating func isUploaded(at now: Instant) { document["uploadedAt"] = .string(now.iso) }

  /// There was nothing to do.
  /// - Parameter isStale: because a later event of the record was done before.
  mutating func isUnchanged(isStale: Bool) {
    what = .unchanged
    changed = []
    if isStale { document["stale"] = true }
  }
}
