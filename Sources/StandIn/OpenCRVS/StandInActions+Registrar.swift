import HTTP
import JSON
import System

/// What a registrar does, and what becomes of the answer to the trigger.
extension StandInActions {
  /// Creates, declares and registers a record. What the registrar's program got stands in `state(of:)`.
  /// - Returns: its id.
  @discardableResult public func register(_ sample: SampleRecord) async throws -> String {
    state.withLock { $0.records[sample.id] = ActionRecord(sample) }
    do {
      try await ask(sample.id, Action(transactionId: SecureRandom.uuid(), type: "REGISTER", status: "Requested"))
    } catch is Refusal {}
    return sample.id
  }

  /// Registers a record again: triggered after a rejection alone, as another action of the same event.
  /// - Parameter isRepeat: whether the registrar's program sends its request once more, with the same transaction: not triggered.
  /// - Throws: `Refusal` when that cannot be.
  public func registerAgain(_ id: String, isRepeat: Bool = false) async throws {
    let record = try readable(id)
    if record.pending?.type == "REGISTER", isRepeat { return saw(200, id) }
    guard record.pending == nil, record.isRejected else { throw refused(id, 409, "Available actions: READ") }
    try await ask(id, Action(transactionId: SecureRandom.uuid(), type: "REGISTER", status: "Requested", annotation: [:]))
  }

  /// Asks for a correction and approves it in a row.
  /// - Throws: `Refusal` when either cannot be done, also when the request is not accepted at once.
  public func correct(_ id: String, _ changes: SampleRecord.Changes) async throws {
    let asked = try await requestCorrection(id, changes)
    try await approveCorrection(id, isImmediate: true, request: asked)
  }

  /// Asks for a correction.
  /// - Returns: the id of the accepted request, which an approval names.
  @discardableResult public func requestCorrection(_ id: String, _ changes: SampleRecord.Changes) async throws -> String {
    let now = try current(id)
    return try await requestCorrection(id, now.difference(now.changed(changes)))
  }

  /// Asks for a correction of values of the form; null takes one away.
  /// - Returns: as above.
  @discardableResult public func requestCorrection(
    _ id: String, _ values: JSONObject, transactionId: String = SecureRandom.uuid(),
    annotation: JSONObject? = ["reason.option": "CLERICAL_ERROR", "requester.type": "INFORMANT"]
  ) async throws -> String {
    let record = try readable(id)
    guard record.registration != nil, record.pending == nil else { throw refused(id, 409, "Available actions: READ") }
    if release == .v1_9_15, values["child.nid"] == nil, record.values(approvalsHaveValues: false)["child.nid"] != nil {
      throw refused(id, 400, "Hidden or disabled field should not receive a value")
    }
    let action = Action(
      transactionId: transactionId, type: "REQUEST_CORRECTION", status: "Requested", declaration: values, annotation: annotation)
    try await ask(id, action)
    guard let accepted = try readable(id).decision(on: action.id), accepted.isAccepted else {
      throw Refusal(status: 500, message: "no accepted request for correction")
    }
    return accepted.id
  }

  /// Approves the correction that was asked for.
  /// - Parameter request: the id that the approval names; the accepted request's when nil.
  /// - Throws: `Refusal` when there is none, and when the trigger fails.
  public func approveCorrection(_ id: String, isImmediate: Bool = false, request: String? = nil) async throws {
    let record = try readable(id)
    let asked = record.actions.last { $0.type == "REQUEST_CORRECTION" && $0.isAccepted }
    guard record.pending == nil, record.isCorrectionRequested, let named = request ?? asked?.id else {
      throw refused(id, 409, "Available actions: READ")
    }
    try await ask(
      id,
      Action(
        transactionId: SecureRandom.uuid(), type: "APPROVE_CORRECTION", status: "Requested", annotation: [:], requestId: named,
        isImmediate: isImmediate))
  }

  /// Revokes a registration (2.x).
  public func revoke(_ id: String, reason: String) async throws { try await custom(id, "REVOKE_REGISTRATION", reason) }

  /// Reinstates a revoked registration (2.x).
  public func reinstate(_ id: String, reason: String) async throws { try await custom(id, "REINSTATE_REVOKE_REGISTRATION", reason) }

  private func custom(_ id: String, _ type: String, _ reason: String) async throws {
    guard release.isSecond else { throw refused(id, 404, "No procedure found on path \"event.actions.custom.request\"") }
    let record = try readable(id)
    let isFitting = record.isRevoked == (type != "REVOKE_REGISTRATION")
    guard record.registration != nil, record.pending == nil, isFitting else { throw refused(id, 409, "Available actions: READ") }
    let action = Action(
      transactionId: SecureRandom.uuid(), type: "CUSTOM", status: "Requested", annotation: ["reason": .string(reason)],
      customActionType: type)
    try await ask(id, action)
  }

  // MARK: the answer to a trigger

  typealias Action = ActionRecord.Action

  /// Keeps an action, triggers it, and acts on the answer.
  /// - Throws: `Refusal` when the registrar's program gets an error; the action stays Requested then, or is rejected.
  func ask(_ id: String, _ action: Action) async throws {
    let record = state.withLock { state in
      state.records[id]?.actions.append(action)
      return state.records[id]
    }
    guard let record else { throw Refusal(status: 404, message: "NOT_FOUND") }
    let answer = try await trigger(action, of: record)
    // It may have been decided while the taker thought of its answer.
    let isDecided = state.withLock { $0.records[id]?.decision(on: action.id) != nil }
    switch answer.status {
    case 202: saw(200, id)
    case 200 where !isDecided: try acceptAtOnce(id, action, answer.body)
    case 400 where !isDecided:
      state.withLock { state in _ = state.reject(action, of: id, release, transactionId: action.transactionId) }
      saw(200, id)
    case 200, 400: saw(200, id)
    default: throw refused(id, 500, "Unexpected failure from notification API")
    }
  }

  /// A body that does not fit leaves the action Requested.
  private func acceptAtOnce(_ id: String, _ action: Action, _ bytes: [UInt8]) throws {
    guard let body = try? JSONValue.parse(bytes), body.object != nil else { throw refused(id, 500, "Unexpected token") }
    let number = body["registrationNumber"]?.string
    guard action.type != "REGISTER" || number != nil else { throw refused(id, 500, "registrationNumber: Required") }
    let outcome = state.withLock { state in
      state.accept(
        action, of: id, transactionId: action.transactionId, declaration: body["declaration"]?.object ?? [:],
        annotation: body["annotation"]?.object, number: action.type == "REGISTER" ? number : nil, requestId: action.requestId)
    }
    switch outcome {
    case .stored, .dropped: saw(200, id)
    case .failed(let failure): throw refused(id, failure.status, failure.message)
    }
  }

  // MARK: records

  func saw(_ status: Int, _ id: String) { state.withLock { $0.records[id]?.registrarSaw.append(status) } }

  func refused(_ id: String, _ status: Int, _ message: String) -> Refusal {
    saw(status, id)
    return Refusal(status: status, message: message)
  }

  /// A record that can be read.
  func readable(_ id: String) throws -> ActionRecord {
    let (record, known) = state.withLock { ($0.records[id], $0.known) }
    guard let record else { throw Refusal(status: 404, message: "NOT_FOUND") }
    if let field = record.unknownField(known) { throw refused(id, 500, Self.notFound(field)) }
    return record
  }

  /// The sample with every correction in it that was approved.
  private func current(_ id: String) throws -> SampleRecord {
    let record = try readable(id)
    return record.sample.with(record.values(approvalsHaveValues: release.isSecond))
  }
}
