import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import System

/// How a birth that ends in no token is reported to the OpenCRVS side (docs/upstream/opencrvs-and-websub.md#44-completed-registrations),
/// and what goes there at all.
extension MosipMediator {
  /// `POST /internal/receiveWorkflowCompleted`: how registrations ended. REJECTED and FAILED ones of ours are reported,
  /// once.
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
    var changes: [StageChange] = [
      .schedule(
        statusWork(
          of: transaction, code: code ?? Self.packetCode + end.rawValue, message: "the registration ended as \(end.rawValue)"))
    ]
    if var birth = try await context.store.record(BirthRecord.self, transaction), birth.rid == rid {
      birth.outcome = end
      changes.append(birth.writing)
    }
    try await context.store.commit(changes)
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

  /// The work of reporting an error: one piece for each birth, so the first error is the one that is told.
  func statusWork(of transaction: String, code: String, message: String) -> WorkItem {
    WorkItem(
      kind: Self.status, key: transaction, payload: ["errorCode": .string(code), "errorMessage": .string(message)])
  }

  func returnStatus(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    if let change = work.payload["change"]?.string { return try await returnChange(change, work, context) }
    guard let birth = try await context.store.record(BirthRecord.self, work.key) else {
      throw MediatorError(.unknown, "there is no birth of this key").workFailure
    }
    let code = work.payload["errorCode"]?.string ?? MediatorError.Code.unknown.rawValue
    var message = work.payload["errorMessage"]?.string ?? ""
    if code.hasPrefix(Self.packetCode), let last = try? await context.services.registrations.registrations(rid: birth.rid).last,
      let step = last.latestTransactionType
    {
      message += " at \(step) (\(last.latestTransactionStatus ?? "no status"))"
    }
    var report: JSONObject = [
      "type": .string(EventKind.birth.rawValue), "status": .string(ResultStatus.error.rawValue), "txnId": .string(work.key),
      "aid": .string(birth.rid),
      "errors": [["errorCode": .string(code), "errorMessage": .string(message)]],
    ]
    if let number = birth.registrationNumber { report["opencrvsBRN"] = .string(number) }
    do {
      try await sendBack(.object(report), id: work.key, to: "/receiveStatus", context)
    } catch let refusal as MediatorClient.RefusedError {
      throw refusal.ending("the error cannot be reported")
    }
    return .done
  }

  /// Seals a message for the OpenCRVS side, signs its plaintext and posts it with the OpenCRVS token
  /// (docs/upstream/opencrvs-and-websub.md#23-envelope and #36-credential-back).
  /// - Throws: `MediatorClient.RefusedError` when the OpenCRVS side will never take it, `ServiceError` when it may later.
  func sendBack(_ message: JSONValue, id: String, to path: String, _ context: StageContext) async throws {
    let keys = context.services.envelopeKeys
    let plaintext = message.encoded()
    let sealed = SealedMessage(
      id: id, envelope: try await keys.seal(plaintext, for: MediatorOwner.opencrvs),
      signature: try await keys.sign(plaintext, as: MediatorOwner.mosip))
    let tokens = auth?.checking(context) ?? context.services.tokens
    let token = try await tokens.token(client: settings.text("opencrvs-client"), for: .opencrvsMediator)
    _ = try await MediatorClient(http: context.services.http).post(
      sealed.encoded(.urlSafe, at: context.services.clock.now),
      to: settings.text("opencrvs-mediator-url").appending(path: path), headers: ["Authorization": "Bearer \(token)"],
      service: "OpenCRVS-side mediator")
  }
}
