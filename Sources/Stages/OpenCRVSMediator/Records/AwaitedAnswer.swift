import JSON
import OpenCRVS
import Registration
import StageKit

/// Which way a record comes from an OpenCRVS that asks before it registers.
enum Generation: String, Sendable, CaseIterable {
  /// 1.7 and 1.8: a FHIR record to `/event-registration`, answered over GraphQL.
  case records
  /// 1.9 and later: an action of an event, accepted or rejected.
  case actions
}

/// What OpenCRVS has asked and waits for: a registration to confirm, or an action to accept. Its token lets whoever has it answer in the
/// registrar's name, so it is sealed, and goes when there is nothing left to answer.
struct AwaitedAnswer: KeptRecord {
  static let collection = "awaited"

  /// How far it is.
  enum Status: String, Sendable, CaseIterable {
    case waiting = "Waiting"
    /// Answered.
    case told = "Told"
    /// Registered without what MOSIP gives, since MOSIP's answer was an error: what comes later can still be added.
    case without = "Without"
    /// No answer can reach OpenCRVS any more.
    case undeliverable = "Undeliverable"
  }

  /// What is asked.
  enum Question: String, Sendable, CaseIterable {
    case register
    case correction
    case custom
  }

  let key: String
  var version: Int?
  /// The key of the event that it is about.
  let event: String
  let generation: Generation
  let question: Question
  /// OpenCRVS' id of the record.
  let recordId: String
  /// The id of the action; nil before 1.9.
  var actionId: String? { document["actionId"]?.string }
  /// What OpenCRVS calls events of this sort, e.g. `birth`.
  var eventType: String? { document["eventType"]?.string }
  var requestId: String? { document["requestId"]?.string }
  var customAction: String? { document["customAction"]?.string }
  var trackingId: String? { document["trackingId"]?.string }
  /// The number under which it is registered.
  private(set) var number: String
  let token: KeptToken
  /// When the token ends, milliseconds since 1970.
  let until: Int64
  var status: Status { didSet { document["status"] = .string(status.rawValue) } }
  /// How often another transaction had the id of ours, or another record our number.
  private(set) var clashes: Int
  private(set) var renamed: Int
  /// Whether OpenCRVS was told the application id.
  var hasAid: Bool { didSet { document["hasAid"] = .bool(hasAid) } }
  /// The trace that it came with.
  var trace: TraceId? { didSet { document["trace"] = JSONValue(trace?.text) } }
  private(set) var document: JSONValue

  /// A question that has come.
  init(
    _ question: Question, _ generation: Generation, key: String, event: String, recordId: String, number: String, token: KeptToken,
    until: Int64
  ) {
    self.key = key
    version = nil
    self.event = event
    self.generation = generation
    self.question = question
    self.recordId = recordId
    self.number = number
    self.token = token
    self.until = until
    (status, clashes, renamed, hasAid) = (.waiting, 0, 0, false)
    var document: JSONObject = [
      "event": .string(event), "generation": .string(generation.rawValue), "question": .string(question.rawValue),
      "recordId": .string(recordId), "number": .string(number), "until": JSONValue(Int(until)),
      "status": .string(Status.waiting.rawValue),
    ]
    for member in token.members { document[member.key] = member.value }
    self.document = .object(document)
  }

  init(_ record: StageRecord) throws(ServiceError) {
    let read = try RecordReader(record)
    key = record.key
    version = record.version
    event = try read.text("event")
    generation = try read.choice("generation")
    question = try read.choice("question")
    recordId = try read.text("recordId")
    number = try read.text("number")
    token = try KeptToken(read)
    until = Int64(try read.optionalNumber("until") ?? 0)
    status = try read.choice("status")
    clashes = try read.optionalNumber("clashes") ?? 0
    renamed = try read.optionalNumber("renamed") ?? 0
    hasAid = record.document["hasAid"]?.bool ?? false
    trace = try read.optionalText("trace").flatMap { TraceId($0) }
    document = record.document
  }

  /// Whether OpenCRVS does not wait for MOSIP, so that its answer says nothing of what becomes of it.
  var isAnsweredAtOnce: Bool {
    get { document["atOnce"]?.bool ?? false }
    set { document["atOnce"] = .bool(newValue) }
  }

  /// Why no answer can reach OpenCRVS any more; nil where one may.
  var why: String? { document["why"]?.string }

  /// The same question asked once more, in the place of the one before.
  func following(_ former: AwaitedAnswer) -> AwaitedAnswer {
    var out = self
    out.version = former.version
    out.hasAid = former.hasAid
    return out
  }

  /// Names the action that is asked about.
  mutating func isOf(_ type: String, action: String, request: String?, custom: String?) {
    document["eventType"] = .string(type)
    document["actionId"] = .string(action)
    document["requestId"] = JSONValue(request)
    document["customAction"] = JSONValue(custom)
  }

  /// The number by which the registrar knows a record before it has a registration number.
  mutating func isTracked(by id: String?) { document["trackingId"] = JSONValue(id) }

  /// Whether something can still be said.
  var isOpen: Bool { status == .waiting || status == .without }

  /// Another transaction had our id.
  mutating func clashed() {
    clashes += 1
    document["clashes"] = JSONValue(clashes)
  }

  /// Another record has our number: this one is registered under the next that the rule gives.
  mutating func isRenamed() {
    let base = renamed == 0 ? number : String(number.dropLast("-\(renamed + 1)".utf8.count))
    renamed += 1
    number = "\(base)-\(renamed + 1)"
    document["renamed"] = JSONValue(renamed)
    document["number"] = .string(number)
  }

  /// There is nothing left to say, or nobody who would hear it: the token goes.
  mutating func ends(as status: Status) {
    self.status = status
    for member in KeptToken.memberNames { document[member] = nil }
  }

  /// No answer can reach OpenCRVS any more.
  mutating func isLost(_ why: String) {
    document["why"] = .string(why)
    ends(as: .undeliverable)
  }
}
