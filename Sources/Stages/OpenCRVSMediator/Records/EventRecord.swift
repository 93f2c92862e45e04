import JSON
import OpenCRVS
import Registration
import StageKit

/// What OpenCRVS has sent, by `OpenCRVSRecordKey`; nothing in it names a person.
struct EventRecord: KeptRecord, Tellable {
  static let collection = "events"

  enum Status: String, Sendable, CaseIterable {
    case received = "Received"
    /// Kept until a version has a way for its topic.
    case parked = "Parked"
    case numbered = "AID Assigned"
    /// The MOSIP side has it.
    case forwarded = "Forwarded"
    /// It never will.
    case failed = "Failed"
  }

  let key: String
  var version: Int?
  let topic: String
  /// OpenCRVS' id of the record that it is of.
  let recordId: String
  let numberKind: NumberKind?
  let registrationNumber: String?
  /// Of the event.
  let digest: String
  /// Where the event lies in the object store.
  let container: String
  let object: String
  var status: Status { didSet { document["status"] = .string(status.rawValue) } }
  /// The application id under which the MOSIP side gets it.
  var aid: String? { didSet { document["aid"] = aid.map(JSONValue.string) } }
  var errors: [ToldError] { didSet { document["errors"] = .array(errors.map(\.document)) } }
  var token: KeptToken { .none }
  /// Which go this is: 1 for the first, one more each time that OpenCRVS sent it again after its error.
  private(set) var take: Int
  /// The application id under which the MOSIP side took it last.
  private(set) var takenAid: String?
  /// What there is to tell of it: the key of the work that tells it. What other work would tell is out of date.
  private(set) var latest: String?
  /// How often there was something to tell of it.
  private(set) var tellings: Int
  /// What OpenCRVS was told of it last, as a hash; nothing of what an application id says.
  var told: String? { didSet { document["told"] = JSONValue(told) } }
  private(set) var document: JSONValue

  /// An event that has come; one of a topic without a way is parked.
  /// - Parameter trace: the trace that it came with, or that was made for it.
  init(
    _ key: String, _ event: OpenCRVSEvent, number: String, object: String, trace: TraceId? = nil, _ generation: Generation? = nil
  ) {
    self.key = key
    version = nil
    topic = event.topic
    recordId = event.bundle.compositionId
    numberKind = event.bundle.kind == .birth ? .birth : .death
    registrationNumber = number
    digest = event.digest
    container = OpenCRVSRecordKey.container(key)
    self.object = object
    let kind = EventKind(topic: topic)
    status = kind == nil ? .parked : .received
    errors = []
    take = 1
    tellings = 0
    document = [
      "topic": .string(topic), "kind": JSONValue(kind?.rawValue), "recordId": .string(recordId),
      "numberKind": JSONValue(numberKind?.rawValue), "registrationNumber": .string(number), "digest": .string(digest),
      "object": .string(object), "status": .string(status.rawValue), "lastModified": JSONValue(event.bundle.task.lastModified),
    ]
    if let trace { document["trace"] = .string(trace.text) }
    if let generation { document["generation"] = .string(generation.rawValue) }
  }

  /// A parked event whose topic has a way by now, under the key of its work. Its content stays where it is.
  init(_ key: String, takingUp parked: EventRecord, _ event: OpenCRVSEvent) {
    self.key = key
    version = nil
    topic = parked.topic
    recordId = parked.recordId
    numberKind = parked.numberKind
    registrationNumber = parked.registrationNumber
    digest = parked.digest
    container = parked.container
    object = parked.object
    status = .received
    aid = parked.aid
    errors = parked.errors
    take = parked.take
    takenAid = parked.takenAid
    latest = parked.latest
    tellings = parked.tellings
    told = parked.told
    document = parked.document
    document["kind"] = JSONValue(EventKind(topic: event.topic)?.rawValue)
    document["lastModified"] = JSONValue(event.bundle.task.lastModified)
    document["status"] = .string(status.rawValue)
    document["container"] = .string(container)
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    topic = try read.text("topic")
    recordId = try read.text("recordId")
    numberKind = try read.optionalChoice("numberKind")
    registrationNumber = try read.optionalText("registrationNumber")
    digest = try read.text("digest")
    container = try read.optionalText("container") ?? OpenCRVSRecordKey.container(record.key)
    object = try read.text("object")
    status = try read.choice("status")
    aid = try read.optionalText("aid")
    errors = try ToldError.list(read)
    take = try read.optionalNumber("take") ?? 1
    // What was forwarded before this was written down was taken under its own.
    takenAid = try read.optionalText("takenAid") ?? (status == .forwarded ? aid : nil)
    latest = try read.optionalText("latest")
    tellings = try read.optionalNumber("tellings") ?? 0
    told = try read.optionalText("told")
    _ = try read.optionalChoice("generation") as Generation?
    document = record.document
  }

  /// The same record, sent again after its error.
  /// - Parameter isSame: whether its content is that of before: then MOSIP goes on under the same application id.
  init(
    _ former: EventRecord, sentAgain event: OpenCRVSEvent, number: String, object: String, trace: TraceId, isSame: Bool
  ) throws(ServiceError) {
    var document = former.document
    document["digest"] = .string(event.digest)
    document["object"] = .string(object)
    document["container"] = .string(OpenCRVSRecordKey.container(former.key))
    if !isSame, let aid = former.takenAid { document["formerAids"] = Self.list(document["formerAids"], with: aid) }
    document["registrationNumber"] = .string(number)
    document["lastModified"] = JSONValue(event.bundle.task.lastModified)
    document["status"] = .string(Status.received.rawValue)
    document["trace"] = .string(trace.text)
    document["take"] = JSONValue(former.take + 1)
    document["errors"] = []
    document["latest"] = nil
    if !isSame { document["aid"] = nil }
    try self.init(
      StageRecord(collection: Self.collection, key: former.key, version: former.version ?? 0, document: document))
  }

  /// A list of texts, each once.
  private static func list(_ known: JSONValue?, with text: String, without other: String? = nil) -> JSONValue {
    let texts = (known?.array ?? []).compactMap(\.string).filter { $0 != text && $0 != other }
    return .array((texts + [text]).map(JSONValue.string))
  }

  /// Whether an application id is that of a try whose place another one has taken.
  func isBeyond(_ aid: String?) -> Bool {
    guard let aid, status == .forwarded, aid != takenAid else { return false }
    return document["formerAids"]?.array?.contains(.string(aid)) == true
  }

  /// The trace that it came with, by which it is known before it has a RID.
  var trace: TraceId? { document["trace"]?.string.flatMap { TraceId($0) } }

  /// How it came from an OpenCRVS that asks and waits; nil for a webhook.
  var generation: Generation? { document["generation"]?.string.flatMap(Generation.init) }

  /// The same, come by this way.
  func came(by generation: Generation?) -> EventRecord {
    var out = self
    out.document["generation"] = JSONValue(generation?.rawValue)
    return out
  }

  /// The kind of the event; nil for a topic without a way to MOSIP.
  var kind: EventKind? { EventKind(topic: topic) }

  /// Whether it has been forwarded, or never will be.
  var hasEnded: Bool { status == .forwarded || status == .failed }

  /// Whether the last that there was to tell of it is an error.
  var hasError: Bool { status == .failed || latest?.hasPrefix(Telling.error.rawValue + ":") == true }

  /// The MOSIP side has taken it.
  mutating func isForwarded(under aid: String) {
    status = .forwarded
    self.aid = aid
    takenAid = aid
    document["takenAid"] = .string(aid)
  }

  /// From now on this is what there is to tell of it.
  mutating func isTold(by key: String) {
    latest = key
    tellings += 1
    document["latest"] = .string(key)
    document["tellings"] = JSONValue(tellings)
  }
}
