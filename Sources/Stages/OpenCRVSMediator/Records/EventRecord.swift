import JSON
import OpenCRVS
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
  private(set) var document: JSONValue

  /// An event that has come; one of a topic without a way is parked.
  init(_ key: String, _ event: OpenCRVSEvent, number: String, object: String) {
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
    document = [
      "topic": .string(topic), "kind": JSONValue(kind?.rawValue), "recordId": .string(recordId),
      "numberKind": JSONValue(numberKind?.rawValue), "registrationNumber": .string(number), "digest": .string(digest),
      "object": .string(object), "status": .string(status.rawValue), "lastModified": JSONValue(event.bundle.task.lastModified),
    ]
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
    document = record.document
  }

  /// The kind of the event; nil for a topic without a way to MOSIP.
  var kind: EventKind? { EventKind(topic: topic) }

  /// Whether it has been forwarded, or never will be.
  var hasEnded: Bool { status == .forwarded || status == .failed }
}
