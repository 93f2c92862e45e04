import HTTP
import JSON
import Registration
import StageKit
import System

/// Answers the requests of `WorkflowManager`. Every answer has status 200, as MOSIP has it: what was wrong stands in `errors`.
struct WorkflowDesk: Sendable {
  /// The most registrations of one action.
  static let mostIds = 1000
  /// The most rows of a page, and of the pages before it.
  static let mostRows = 1000
  static let furthestRow = 100_000
  /// The newest so many transactions of a registration are told.
  static let mostTransactions = 1000

  let settings: StageSettings
  let context: StageContext
  let endpoint: MosipEndpoint

  // MARK: Transactions

  func transactions(_ request: Request) async throws -> Response {
    try await answering("mosip.registration.transaction", "1.0", isSigned: true) {
      if let language = request.parameters["langCode"], language.utf8.count != 3 {
        throw WorkflowError("RPR-RTS-004", "globalMessages not found for input langCode")
      }
      let rid = request.parameters["rid"] ?? ""
      guard MosipEndpoint.isSafeName(rid) else { throw WorkflowError("RPR-RTS-003", "Invalid request") }
      let rows = try await context.services.registrations.transactions(rid: rid, limit: Self.mostTransactions)
      guard !rows.isEmpty else { throw WorkflowError("RPR-RTS-001", "RID Not Found") }
      return .array(
        rows.map {
          [
            "id": .string($0.id), "registrationId": .string($0.rid), "transactionTypeCode": .string($0.type),
            "parentTransactionId": JSONValue($0.parent), "statusCode": .string($0.statusCode),
            "subStatusCode": JSONValue($0.subStatusCode), "statusComment": JSONValue($0.statusComment),
            "createdDateTimes": .string($0.createdAt.local),
          ]
        })
    }
  }

  // MARK: Search

  func search(_ request: Request) async throws -> Response {
    let kind = WorkflowRequestKind.search
    return try await answering(kind.id, kind.version) {
      let asked = try kind.request(in: request.body)
      var search = WorkflowSearch()
      let isImpossible = try filter(asked["filters"], &search)
      try paginate(asked["pagination"], &search)
      try sort(asked["sort"], &search)
      let found = isImpossible ? ([], 0) : try await context.services.registrations.workflows(search)
      return [
        "fromRecord": JSONValue(search.offset + 1), "toRecord": JSONValue(search.offset + found.0.count),
        "totalRecord": JSONValue(found.1), "data": .array(found.0.map(Self.json)),
      ]
    }
  }

  private static func json(_ row: WorkflowRecord) -> JSONValue {
    [
      "workflowId": .string(row.rid), "statusCode": .string(row.statusCode), "statusComment": JSONValue(row.statusComment),
      "createdBy": .string(row.createdBy), "createDateTime": .string(row.createdAt.local), "updatedBy": JSONValue(row.updatedBy),
      "updateDateTime": JSONValue(row.updatedAt?.local), "workflowType": .string(row.process),
      "currentStageName": JSONValue(row.stage), "resumeTimestamp": JSONValue(row.resumeAt?.local),
      "defaultResumeAction": JSONValue(row.resumeAction), "pauseRuleIds": JSONValue(row.pauseRules),
      "lastSuccessStageName": JSONValue(row.lastSuccessStage),
    ]
  }

  /// - Returns: true when no row can have what is asked for.
  private func filter(_ filters: JSONValue?, _ search: inout WorkflowSearch) throws -> Bool {
    let kind = WorkflowRequestKind.search
    guard let filters = filters?.array else { throw kind.missing("filter") }
    var values: [String: String] = [:]
    for filter in filters {
      guard let column = filter["columnName"]?.string, ["workflowType", "statusCode", "regId"].contains(column) else {
        throw kind.missing("filter")
      }
      guard let value = filter["value"]?.string, value.utf8.count <= 100, !value.utf8.contains(0) else {
        throw kind.invalid("filter")
      }
      if let other = values[column], other != value { return true }
      values[column] = value
    }
    (search.process, search.statusCode, search.rid) = (values["workflowType"], values["statusCode"], values["regId"])
    return false
  }

  private func paginate(_ pagination: JSONValue?, _ search: inout WorkflowSearch) throws {
    let kind = WorkflowRequestKind.search
    guard let pagination, !pagination.isNull else { throw kind.missing("pagination") }
    func number(_ name: String, _ absent: Int, _ range: ClosedRange<Int>) throws -> Int {
      guard let value = pagination[name], !value.isNull else { return absent }
      guard let number = value.int, range.contains(number) else { throw kind.invalid("pagination") }
      return number
    }
    guard pagination.object != nil else { throw kind.invalid("pagination") }
    search.limit = try number("pageFetch", 10, 1...Self.mostRows)
    search.offset = try number("pageStart", 0, 0...Self.furthestRow) * search.limit
    guard search.offset <= Self.furthestRow else { throw kind.invalid("pagination") }
  }

  private func sort(_ sort: JSONValue?, _ search: inout WorkflowSearch) throws {
    let kind = WorkflowRequestKind.search
    guard let sort, !sort.isNull else { return }
    guard let type = sort["sortType"]?.string, ["asc", "desc"].contains(type) else { throw kind.invalid("sort") }
    search.isAscending = type == "asc"
    switch sort["sortField"]?.string {
    case "createDateTime": search.order = .createdAt
    case "updateDateTime": search.order = .updatedAt
    case "resumeTimestamp": search.order = .resumeAt
    default: throw kind.invalid("sortField")
    }
  }

  // MARK: Actions

  func act(_ request: Request) async throws -> Response {
    let kind = WorkflowRequestKind.action
    let author = MosipEndpoint.author(of: request)
    return try await answering(kind.id, kind.version) {
      let asked = try kind.request(in: request.body)
      guard let ids = asked["workflowIds"], !ids.isNull else { throw kind.missing("workflowIds") }
      let rids = ids.array?.compactMap(\.string) ?? []
      guard !rids.isEmpty, rids.count == ids.array?.count, rids.count <= Self.mostIds, rids.allSatisfy(MosipEndpoint.isSafeName)
      else {
        throw kind.invalid("workflowIds")
      }
      guard let action = asked["workflowAction"]?.string.flatMap(ResumeAction.init(rawValue:)) else {
        throw WorkflowError("RPR-WAS-000", "Workflow Action not supported")
      }
      // Before it is done: nothing is done that is not in the audit trail.
      try await note(rids, "WORKFLOW_ACTION_API", "\(action.rawValue) is asked for by \(author)")
      do {
        try await context.pipeline.act(action, on: rids, by: author)
      } catch let refusal as WorkflowRefused {
        try await note([refusal.rid].compactMap { $0 }, "WORKFLOW_ACTION_API", "\(action.rawValue) is refused", failed: true)
        throw refusal.fault(kind)
      }
      return ["statusMessage": .string("Process the workflowIds '[\(rids.joined(separator: ", "))]' successfully")]
    }
  }

  // MARK: Instances

  func begin(_ request: Request) async throws -> Response {
    let kind = WorkflowRequestKind.instance
    let author = MosipEndpoint.author(of: request)
    return try await answering(kind.id, kind.version) {
      let asked = try kind.request(in: request.body)
      let start = try await start(asked)
      try await note([start.rid], "WORKFLOW_INSTANCE_API", "a workflow instance of \(start.process) is asked for by \(author)")
      var sealed: [UInt8]?
      let contact = Contact(announcement: asked["notificationInfo"] ?? .null, language: "eng")
      if contact.isReachable, let referenceId = start.referenceId {
        sealed = try await context.services.keys.encryptPacket(contact.json.encoded(), referenceId: referenceId)
      }
      do {
        try await context.pipeline.begin(start, additionalInfo: sealed, by: author)
      } catch let refusal as WorkflowRefused {
        try await note([start.rid], "WORKFLOW_INSTANCE_API", "a workflow instance of \(start.process) is refused", failed: true)
        throw refusal.fault(kind)
      }
      return ["workflowInstanceId": .string(start.workflowInstanceId)]
    }
  }

  private func start(_ asked: JSONValue) async throws -> WorkflowStart {
    let kind = WorkflowRequestKind.instance
    func text(_ name: String) throws -> String? {
      guard let value = asked[name], !value.isNull else { return nil }
      guard let text = value.string, text.isEmpty || MosipEndpoint.isSafeName(text) else { throw kind.invalid(name) }
      return text.isEmpty ? nil : text
    }
    guard let rid = try text("registrationId") else { throw kind.missing("registrationId") }
    guard rid.utf8.count <= 39 else { throw kind.invalid("registrationId") }
    guard let process = try text("process") else { throw kind.missing("process") }
    guard process.utf8.count <= 36 else { throw kind.invalid("process") }
    let request = try text("additionalInfoReqId")
    var iteration = 1
    if let request {
      guard let made = try await context.services.registrations.additionalInfoRequest(id: request), made.rid == rid,
        made.process == process
      else { throw kind.invalid("additionalInfoReqId") }
      iteration = made.iteration
    }
    let place = (try? RID(rid)).map { "\($0.center)_\($0.machine)" }
    return WorkflowStart(
      workflowInstanceId: SecureRandom.uuid(), rid: rid, process: process, source: try text("source"), iteration: iteration,
      additionalInfoRequestId: request, referenceId: place, stageClass: settings.text("beginning-stage"))
  }

  // MARK: Answers

  private func answering(
    _ id: String, _ version: String, isSigned: Bool = false, _ work: () async throws -> JSONValue
  ) async throws -> Response {
    do {
      return await endpoint.answer(id, version: version, isSigned: isSigned, response: try await work(), errors: .null)
    } catch let fault as WorkflowError {
      return await endpoint.answer(
        id, version: version, isSigned: isSigned, response: .null,
        errors: [["errorCode": .string(fault.code), "message": .string(fault.message)]])
    } catch let error as ServiceError {
      context.log.warning("a request could not be answered", ["id": id, "error": error.description])
      throw endpoint.refusal(503)
    }
  }

  private func note(_ rids: [String], _ module: String, _ description: String, failed: Bool = false) async throws {
    guard !rids.isEmpty else { return }
    try await context.services.audit.record(
      rids.map {
        AuditEntry(
          eventId: failed ? "RPR_405" : "RPR_402", eventName: failed ? "EXCEPTION" : "UPDATE",
          eventType: failed ? "SYSTEM" : "BUSINESS", module: module, id: $0, description: description)
      })
  }
}

extension WorkflowRefused {
  /// The RID that is the matter.
  fileprivate var rid: String? {
    switch self {
    case .unknown(let rid), .notPaused(let rid), .pausedElsewhere(let rid): rid
    case .present, .noFlow, .noStage: nil
    }
  }

  fileprivate func fault(_ kind: WorkflowRequestKind) -> WorkflowError {
    switch self {
    case .unknown(let rid): WorkflowError("RPR-WAA-003", "Workflow id  \(rid)  not found in registration table")
    case .notPaused(let rid): WorkflowError("RPR-WAA-004", "Workflow id  \(rid) is not PAUSED")
    case .pausedElsewhere(let rid):
      WorkflowError("RPR-WAS-003", "Workflow id \(rid) was paused by another program: ask the workflow manager beside it")
    case .present: WorkflowError("RPR-WIS-001", "WorkflowInstance already present")
    case .noFlow: kind.invalid("process")
    case .noStage: WorkflowError("RPR-WIS-000", "the flow of the process has no stage of the class at which instances begin")
    }
  }
}
