import JSON
import OpenCRVS
import Registration
import StageKit

/// The transaction of one birth, by its id. It is also read as the table `opencrvs.birth_transactions` and by whoever asks for the journey of
/// its RID; nothing in it names a person.
struct BirthRecord: KeptRecord {
  static let collection = "birth_transactions"

  /// Upstream's statuses (docs/upstream/opencrvs-and-websub.md#34-from-the-birth-to-the-packet), and `Failed`, which upstream lacks.
  enum Status: String, Sendable, CaseIterable {
    case ridGenerated = "RID Generated"
    case creating = "Creating Packet"
    case created = "Packet Created"
    case synced = "Packet Synced"
    case uploaded = "Uploaded"
    case failed = "Failed"
  }

  let key: String
  var version: Int?
  let rid: String
  var status: Status { didSet { document["status"] = .string(status.rawValue) } }
  /// Of the event.
  let digest: String
  /// The event's name in the object store, in the container of the RID.
  let object: String
  let registrationNumber: String?
  /// The correction that makes the UIN instead of the birth.
  let by: String?
  private(set) var packetHash: String?
  /// How its registration failed; nil again while it is run once more, and after it has succeeded.
  var outcome: RegistrationEnd? { didSet { document["outcome"] = outcome.map { .string($0.rawValue) } } }
  var errorCode: String? { didSet { document["errorCode"] = errorCode.map(JSONValue.string) } }
  /// Which go this is: 1 for the first, one more each time that OpenCRVS sent it again after its error.
  var take: Int { didSet { document["take"] = JSONValue(take) } }
  /// The trace that it came with.
  var trace: TraceId? { didSet { document["trace"] = trace.map { .string($0.text) } } }
  /// How often it came to an end without a UIN token, in any of its goes.
  private(set) var ends: Int
  /// The last of these ends that the OpenCRVS side was told.
  var toldEnd: Int? { didSet { document["toldEnd"] = toldEnd.map { JSONValue($0) } } }
  private(set) var document: JSONValue

  /// A birth whose work begins.
  /// - Parameters:
  ///   - by: the correction that makes the UIN instead of it.
  ///   - former: the birth which it takes the place of.
  init(_ key: String, rid: String, _ event: OpenCRVSEvent, object: String, by: String? = nil, over former: BirthRecord? = nil) {
    self.key = key
    version = former?.version
    take = former?.take ?? 1
    ends = former?.ends ?? 0
    toldEnd = former?.toldEnd
    self.rid = rid
    status = .ridGenerated
    digest = event.digest
    self.object = object
    registrationNumber = event.bundle.registrationNumber
    self.by = by
    document = [
      "rid": .string(rid), "status": .string(status.rawValue), "digest": .string(digest), "object": .string(object),
      "registrationNumber": JSONValue(registrationNumber),
    ]
    if let by { document["by"] = .string(by) }
    guard let former else { return }
    let earlier = former.document["formerRids"]?.array ?? []
    document["formerRids"] = former.rid == rid ? former.document["formerRids"] : .array(earlier + [.string(former.rid)])
    document["take"] = JSONValue(take)
    document["ends"] = JSONValue(ends)
    document["toldEnd"] = toldEnd.map { JSONValue($0) }
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    rid = try read.text("rid")
    status = try read.choice("status")
    digest = try read.text("digest")
    object = try read.text("object")
    registrationNumber = try read.optionalText("registrationNumber")
    by = try read.optionalText("by")
    packetHash = try read.optionalText("packetHash")
    outcome = try read.optionalChoice("outcome")
    errorCode = try read.optionalText("errorCode")
    take = try read.optionalNumber("take") ?? 1
    ends = try read.optionalNumber("ends") ?? 0
    toldEnd = try read.optionalNumber("toldEnd")
    trace = try read.optionalText("trace").flatMap { TraceId($0) }
    document = record.document
  }

  /// Whether its present go came to an end without a UIN, and nobody runs it again.
  var hasFailed: Bool { status == .failed || outcome != nil }

  /// Whether OpenCRVS has sent it again after its error, and means another go.
  /// - Parameter go: which one the sender says that it is; nil for a sender that does not count: then it is meant once the error was told.
  func isSentAgain(_ go: Int?) -> Bool { hasFailed && (go.map { $0 > take } ?? (toldEnd == ends)) }

  /// It came to an end without a UIN token.
  /// - Returns: the number of this end.
  mutating func isEnded() -> Int {
    ends += 1
    document["ends"] = JSONValue(ends)
    return ends
  }

  /// It goes on where its work was given up: with its packet where that was made.
  mutating func goesOn() {
    status = packetHash == nil ? .ridGenerated : .created
    errorCode = nil
  }

  /// Says which packet is its own.
  /// - Parameter leftOut: what of the event is not in it; nil for a packet that was made before. The journey of the RID shows it.
  mutating func has(packet hash: String, size: Int, leftOut: [String]?) {
    packetHash = hash
    document["packetHash"] = .string(hash)
    document["packetSize"] = JSONValue(size)
    if let leftOut { document["leftOut"] = .array(leftOut.map(JSONValue.string)) }
  }
}
