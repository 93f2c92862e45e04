import JSON
import System

/// A record of 1.9 and 2.x: what was done to it, in its order. Nothing is ever taken away or changed.
struct ActionRecord {
  /// Something that was asked for, or the answer to it.
  struct Action {
    var id = SecureRandom.uuid()
    var transactionId: String
    var type: String
    var status: String
    var at = Instant.now
    var declaration = JSONObject()
    var annotation: JSONObject?
    var originalActionId: String?
    var requestId: String?
    var registrationNumber: String?
    var customActionType: String?
    var isImmediate = false

    var isAccepted: Bool { status == "Accepted" }
    var isPending: Bool { status == "Requested" }
  }

  let sample: SampleRecord
  var actions: [Action] = []
  var registrarSaw: [Int] = []
  /// The user who has the record in hand.
  var isAssigned = false
  /// Whether a correction was asked for that nobody decided on.
  var isCorrectionRequested = false
  private let createdAt = Instant.now

  init(_ sample: SampleRecord) {
    self.sample = sample
    let declared = sample.declaration()
    add("CREATE", [:])
    add("DECLARE", declared)
  }

  /// Something that nobody was asked about.
  private mutating func add(_ type: String, _ declaration: JSONObject) {
    let asked = Action(transactionId: SecureRandom.uuid(), type: type, status: "Requested", declaration: declaration)
    if type == "DECLARE" { actions.append(asked) }
    actions.append(
      Action(
        transactionId: asked.transactionId, type: type, status: "Accepted", originalActionId: type == "DECLARE" ? asked.id : nil))
  }

  // MARK: reading

  func action(_ id: String?) -> Action? { actions.first { $0.id == id } }

  /// What became of an action; nil while it is pending.
  func decision(on id: String) -> Action? { actions.first { $0.originalActionId == id && !$0.isPending } }

  /// The last action that waits for its decision.
  var pending: Action? { actions.last { $0.isPending && decision(on: $0.id) == nil } }

  var registration: Action? { actions.last { $0.type == "REGISTER" && $0.isAccepted } }

  var isRejected: Bool { registration == nil && actions.last { $0.type == "REGISTER" }?.status == "Rejected" }

  /// Whether the last decision was a reject.
  var isRefused: Bool { actions.last { !$0.isPending && $0.originalActionId != nil }?.status == "Rejected" }

  var isRevoked: Bool {
    let last = actions.last { $0.isAccepted && $0.customActionType?.hasSuffix("REVOKE_REGISTRATION") == true }
    return last?.customActionType == "REVOKE_REGISTRATION"
  }

  /// The first field id of an accepted action that the form does not know: the record cannot be read again.
  func unknownField(_ known: Set<String>) -> String? {
    actions.filter { $0.isAccepted }.flatMap(\.declaration.keys).first { !known.contains($0) }
  }

  /// The values of the record: those of accepted actions. A correction counts once its approval is accepted, by the request that the approval
  /// names, which must be an accepted one; the approval's own values count when `approvalsHaveValues`.
  func values(approvalsHaveValues: Bool) -> JSONObject {
    var out = JSONObject()
    for action in actions where action.isAccepted && action.type != "REQUEST_CORRECTION" {
      if action.type == "APPROVE_CORRECTION" {
        Self.apply(corrected(action), to: &out)
        if !approvalsHaveValues { continue }
      }
      Self.apply(self.action(action.originalActionId)?.declaration ?? [:], to: &out)
      Self.apply(action.declaration, to: &out)
    }
    return out
  }

  private func corrected(_ approval: Action) -> JSONObject {
    guard let request = action(approval.requestId), request.isAccepted, request.type == "REQUEST_CORRECTION" else { return [:] }
    return action(request.originalActionId)?.declaration ?? [:]
  }

  private static func apply(_ values: JSONObject, to out: inout JSONObject) {
    for member in values {
      let value: JSONValue? = member.value.isNull ? .none : member.value
      out[member.key] = value
    }
  }

  // MARK: as a document

  /// The document of the event: what triggers bring and calls answer.
  func document(_ release: StandInActions.Release) -> JSONValue {
    [
      "id": .string(sample.id), "type": .string(sample.kind.rawValue), "trackingId": .string(sample.trackingId),
      "createdAt": .string(createdAt.iso), "updatedAt": .string((actions.last?.at ?? createdAt).iso),
      "actions": .array(actions.map { $0.json(release) }),
    ]
  }
}

extension ActionRecord.Action {
  /// Ids of users are 24 hex digits in 1.9 and UUIDs in 2.x.
  func json(_ release: StandInActions.Release) -> JSONValue {
    var out: JSONObject = [
      "id": .string(id), "transactionId": .string(transactionId), "type": .string(type), "status": .string(status),
      "createdAt": .string(at.iso), "createdBy": .string(StandInActions.registrar(release)), "createdByUserType": "user",
      "createdByRole": "LOCAL_REGISTRAR", "createdBySignature": .null,
      "createdAtLocation": "0ff1ce00-0000-4000-8000-000000000001", "declaration": .object(declaration),
    ]
    out["annotation"] = annotation.map { .object($0) }
    out["originalActionId"] = originalActionId.map { .string($0) }
    out["requestId"] = requestId.map { .string($0) }
    out["registrationNumber"] = registrationNumber.map { .string($0) }
    out["customActionType"] = customActionType.map { .string($0) }
    if isImmediate { out["content"] = ["immediateCorrection": true] }
    return .object(out)
  }
}
