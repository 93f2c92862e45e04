import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import System

/// How a birth that ends in no token is reported to the OpenCRVS side (docs/upstream/opencrvs-and-websub.md#44-completed-registrations),
/// and what goes there at all.
extension MosipMediator {
  /// `POST /internal/receiveWorkflowCompleted`: how registrations ended. Each end of one of ours that is
  /// REJECTED or FAILED is reported.
  func takeWorkflowCompleted(_ request: Request, _ context: StageContext) async throws -> Response {
    let completed = try Completed(try delivered(request, of: workflowTopic, context))
    let spooled = SpooledRequest(Self.ended, group: OpenCRVSRecordKey.of(completed.rid), body: request.body)
    let received = answer(context).message("Received")
    return try await context.take(orSpool: spooled, isRefusal: { $0 is MediatorError }, answer: received) {
      try await take(completed, context)
      return received
    }
  }

  func takeSpooledWorkflowCompleted(_ body: [UInt8], _ context: StageContext) async throws {
    try await take(try Completed(try MediatorBodies.json(body, "the delivery")), context)
  }

  /// What a delivery says of the end of a registration.
  private struct Completed {
    let rid: String
    let result: String
    let errorCode: String?

    init(_ body: JSONValue) throws(MediatorError) {
      // The plain form of docs/upstream/opencrvs-and-websub.md#44-completed-registrations; a hub that wraps events carries it in
      // `event.data`.
      let event = body["instanceId"] != nil ? body : body["event"]?["data"] ?? body["event"] ?? .null
      guard let rid = event["instanceId"]?.string, let result = event["resultCode"]?.string else {
        throw MediatorError(.unreadable, "the event names no registration or no result")
      }
      (self.rid, self.result) = (rid, result)
      errorCode = event["errorCode"]?.string.flatMap { $0.utf8.count <= 64 && FHIR.isIdentifier($0) ? $0 : nil }
    }
  }

  private func take(_ completed: Completed, _ context: StageContext) async throws {
    let (rid, result, given) = (completed.rid, completed.result, completed.errorCode)
    if OpenCRVSRecordKey.isRID(rid), let owner = try await context.store.record(RIDOwner.self, rid) {
      if let successor = owner.supersededBy {
        // Its birth is another registration's by now, which says how that ends.
        context.log.warning(
          "a registration whose place another one took has ended", ["rid": rid, "result": result, "supersededBy": successor])
      } else if owner.isChange {
        // Each go may end as the one before it did.
        let take = try await change(owner.transaction, context)?.take ?? 1
        try await context.store.commit([
          .schedule(
            WorkItem(
              kind: Self.ended, key: "\(owner.transaction)\(take > 1 ? "#\(take)" : ""):\(result)",
              payload: ["key": .string(owner.transaction), "result": .string(result), "errorCode": JSONValue(given)]))
        ])
      } else if let end = RegistrationEnd(rawValue: result) {
        if end.isFailure {
          try await birthFailed(owner.transaction, rid, end, given, context)
        } else {
          try await birthSucceeded(owner.transaction, rid, context)
        }
      } else {
        context.log.error(
          "an event tells a result that is no end; the birth waits on", ["rid": rid, "result": VisibleText.of(result)])
      }
    }
  }

  /// A birth that ended without a UIN: what comes after it in its record must not wait for one, and the OpenCRVS side is told.
  private func birthFailed(
    _ transaction: String, _ rid: String, _ end: RegistrationEnd, _ code: String?, _ context: StageContext
  ) async throws {
    try await untilCommitted {
      guard var birth = try await context.store.record(BirthRecord.self, transaction), birth.rid == rid else { return }
      birth.outcome = end
      let work = statusWork(of: &birth, .registration, code: code ?? Self.packetCode + end.rawValue, message: "")
      try await context.store.commit([birth.writing, .schedule(work)])
    }
  }

  /// A birth that had failed was run again and has a UIN now, which its credential brings to the OpenCRVS side: what comes after it in its
  /// record finds that UIN.
  private func birthSucceeded(_ transaction: String, _ rid: String, _ context: StageContext) async throws {
    guard var birth = try await context.store.record(BirthRecord.self, transaction), birth.rid == rid, birth.outcome != nil
    else { return }
    birth.outcome = nil
    try await context.store.commit([birth.writing])
  }

  /// What the code of a registration that failed without one of its own begins with; how it ended follows.
  static let packetCode = "PACKET_"

  /// What came to an end without a UIN token.
  enum Ended: Sendable {
    /// No packet came of the birth.
    case packet
    /// Its registration failed.
    case registration
    /// Its credential, by its key, came to nothing.
    case credential(String)

    var members: JSONObject {
      switch self {
      case .packet: ["ended": "packet"]
      case .registration: ["ended": "registration"]
      case .credential(let key): ["ended": "credential", "credential": .string(key)]
      }
    }
  }

  /// The work of reporting an error: one piece for each end. What it says is looked up when it is done.
  func statusWork(of birth: inout BirthRecord, _ ended: Ended, code: String, message: String) -> WorkItem {
    let end = birth.isEnded()
    var payload: JSONObject = [
      "birth": .string(birth.key), "rid": .string(birth.rid), "end": JSONValue(end), "errorCode": .string(code),
      "errorMessage": .string(message),
    ]
    for member in ended.members { payload[member.key] = member.value }
    return WorkItem(kind: Self.status, key: end == 1 ? birth.key : "\(birth.key)#\(end)", payload: .object(payload))
  }

  func returnStatus(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    if let change = work.payload["change"]?.string { return try await returnChange(change, work, context) }
    guard let birth = try await context.store.record(BirthRecord.self, work.payload["birth"]?.string ?? work.key) else {
      throw MediatorError(.unknown, "there is no birth of this key").workFailure
    }
    guard let error = try await standingError(of: birth, work, context) else { return .done }
    var report: JSONObject = [
      "type": .string(EventKind.birth.rawValue), "status": .string(ResultStatus.error.rawValue), "txnId": .string(birth.key),
      "aid": .string(birth.rid), "errors": [error],
    ]
    if let number = birth.registrationNumber { report["opencrvsBRN"] = .string(number) }
    let end = work.payload["end"]?.int ?? 1
    if end > 1 { report["run"] = JSONValue(end) }
    do {
      try await sendBack(.object(report), id: birth.key, to: "/receiveStatus", birth.trace, context)
    } catch let refusal as MediatorClient.RefusedError {
      throw refusal.ending("the error cannot be reported")
    }
    try await wasTold(birth.key, end, context)
    return .done
  }

  /// What is wrong with a birth at this moment; nil where that is over: it is run again, has succeeded, or another go took its place.
  private func standingError(of birth: BirthRecord, _ work: WorkItem, _ context: StageContext) async throws -> JSONValue? {
    if let rid = work.payload["rid"]?.string, rid != birth.rid { return nil }
    let code = work.payload["errorCode"]?.string ?? MediatorError.Code.unknown.rawValue
    let known = error(code, work.payload["errorMessage"]?.string ?? "")
    switch work.payload["ended"]?.string ?? (code.hasPrefix(Self.packetCode) ? "registration" : "") {
    case "packet": return birth.status == .failed ? known : nil
    case "registration": return try await failedRegistration(birth, code, context)
    case "credential":
      let credential = try await context.store.record(CredentialRecord.self, work.payload["credential"]?.string ?? "")
      return credential?.status == .failed ? known : nil
    case "": return known
    case let kind: throw MediatorError(.unknown, "an end of an unknown kind, \(kind)").workFailure
    }
  }

  /// How the registration of a birth failed, as its row says it now; nil while it runs, and after it has succeeded. A replay takes the
  /// outcome away; of one that runs elsewhere the row tells.
  private func failedRegistration(
    _ birth: BirthRecord, _ code: String, _ context: StageContext
  ) async throws -> JSONValue? {
    guard let outcome = birth.outcome else { return nil }
    guard let row = try await context.services.registrations.registrations(rid: birth.rid).last else {
      return error(code, "the registration ended as \(outcome.rawValue)")
    }
    guard let end = RegistrationEnd(row.statusCode), end.isFailure else { return nil }
    let place = row.latestTransactionType.map { " at \($0) (\(row.latestTransactionStatus ?? "no status"))" } ?? ""
    return error(
      code.hasPrefix(Self.packetCode) ? Self.packetCode + end.rawValue : code, "the registration ended as \(end.rawValue)\(place)")
  }

  private func error(_ code: String, _ message: String) -> JSONValue {
    ["errorCode": .string(code), "errorMessage": .string(message)]
  }

  /// OpenCRVS has heard of this end: who sends the birth again means another go.
  private func wasTold(_ key: String, _ end: Int, _ context: StageContext) async throws {
    try await untilCommitted {
      guard var birth = try await context.store.record(BirthRecord.self, key), birth.toldEnd ?? 0 < end else { return }
      birth.toldEnd = end
      try await context.store.commit([birth.writing])
    }
  }

  /// Seals a message for the OpenCRVS side, signs its plaintext and posts it with the OpenCRVS token
  /// (docs/upstream/opencrvs-and-websub.md#23-envelope and #36-credential-back).
  /// - Throws: `MediatorClient.RefusedError` when the OpenCRVS side will never take it, `ServiceError` when it may later.
  func sendBack(
    _ message: JSONValue, id: String, to path: String, _ trace: TraceId?, _ context: StageContext
  ) async throws {
    let keys = context.services.envelopeKeys
    let plaintext = message.encoded()
    let sealed = SealedMessage(
      id: id, envelope: try await keys.seal(plaintext, for: MediatorOwner.opencrvs),
      signature: try await keys.sign(plaintext, as: MediatorOwner.mosip))
    let tokens = auth?.checking(context) ?? context.services.tokens
    let token = try await tokens.token(client: settings.text("opencrvs-client"), for: .opencrvsMediator)
    var headers: Headers = ["Authorization": "Bearer \(token)"]
    headers["b3"] = TraceContext.header(continuing: trace)
    _ = try await MediatorClient(http: context.services.http).post(
      sealed.encoded(.urlSafe, at: context.services.clock.now),
      to: settings.text("opencrvs-mediator-url").appending(path: path), headers: headers,
      service: "OpenCRVS-side mediator")
  }
}
