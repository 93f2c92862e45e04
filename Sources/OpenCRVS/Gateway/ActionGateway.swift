import HTTP
import JSON
import Registration
import StageKit

/// OpenCRVS 1.9 and 2.x as they are told what became of an action: tRPC over HTTP (docs/upstream/scenarios.md#33-g3-19-and-2x).
package struct ActionGateway: Sendable {
  /// What kind of action is decided.
  package enum Kind: Sendable, Equatable {
    /// REGISTER.
    case register
    /// APPROVE_CORRECTION.
    case correction
    /// CUSTOM, by the country's name of it.
    case custom(String)
  }

  /// An action that waits for our answer.
  package struct Pending: Sendable, Equatable {
    /// What kind it is.
    package let kind: Kind
    /// The event's id.
    package let eventId: String
    /// The action's id.
    package let actionId: String
    /// The accepted request, of a correction.
    package let requestId: String?
    /// How many transaction ids of ours were in use already.
    package let clashes: Int

    /// An action that waits.
    package init(kind: Kind, eventId: String, actionId: String, requestId: String? = nil, clashes: Int = 0) {
      self.kind = kind
      self.eventId = eventId
      self.actionId = actionId
      self.requestId = requestId
      self.clashes = clashes
    }

    /// Ours alone, and the same at each repeat.
    package var transactionId: String { "regproc-\(actionId)" + (clashes == 0 ? "" : "-\(clashes)") }
  }

  let connection: GatewayConnection

  /// - Parameter url: the gateway's base URL.
  package init(url: String, http: any HTTPExchange, trace: TraceId? = nil) {
    connection = GatewayConnection(url: url, http: http, trace: trace)
  }

  /// Accepts an action.
  /// - Parameters:
  ///   - registrationNumber: of a registration, which is never accepted without.
  ///   - declaration: values for the record. Each field must be one of `fieldIds`: an unknown one destroys the record.
  package func accept(
    _ action: Pending, registrationNumber: String? = nil, declaration: JSONObject = [:], token: String
  ) async -> TellingOutcome {
    var input = action.input
    switch action.kind {
    case .register:
      guard let registrationNumber, !registrationNumber.isEmpty else {
        return .undeliverable("a registration is not accepted without a number")
      }
      input["registrationNumber"] = .string(registrationNumber)
    case .correction:
      guard let request = action.requestId else { return .undeliverable("a correction is not accepted without its request") }
      input["requestId"] = .string(request)
    case .custom(let name): input["customActionType"] = .string(name)
    }
    input["declaration"] = .object(declaration)
    return await decide(action, "accept", input, token)
  }

  /// Rejects an action. That of a correction OpenCRVS can never store (docs/upstream/scenarios.md#35-what-destroys-or-blocks-a-record): it is
  /// not tried.
  package func reject(_ action: Pending, token: String) async -> TellingOutcome {
    if action.kind == .correction { return .undeliverable("a correction that waits can only be accepted") }
    return await decide(action, "reject", action.input, token)
  }

  private func decide(_ action: Pending, _ verb: String, _ input: JSONObject, _ token: String) async -> TellingOutcome {
    do throws(ServiceError) {
      let path = "/events/event.actions.\(action.kind.procedure).\(verb)?batch=1"
      let answer = try await connection.post(["0": ["json": .object(input)]], path, token: token)
      return Self.outcome(answer, of: action.actionId, isAccepted: verb == "accept")
    } catch {
      return .again(error)
    }
  }

  /// 200 is no proof: the event of the answer must have the decision.
  private static func outcome(_ answer: GatewayConnection.Answer, of id: String, isAccepted: Bool) -> TellingOutcome {
    if let fault = ProcedureFault(answer) { return fault.outcome }
    guard answer.isSuccess, let actions = result(answer)?["actions"]?.array else { return refusal(answer) }
    let decisions = actions.filter { $0["originalActionId"]?.string == id }.compactMap { $0["status"]?.string }
    if decisions.contains("Accepted") { return isAccepted ? .done : .alreadyAccepted }
    if decisions.contains("Rejected") { return isAccepted ? .alreadyRejected : .done }
    guard actions.contains(where: { $0["id"]?.string == id }) else { return .later("answers with another event") }
    return .clash
  }

  /// An answer of none of tRPC's shapes: the gateway's own, or a proxy's.
  private static func refusal(_ answer: GatewayConnection.Answer) -> TellingOutcome {
    if answer.status == 401, answer.body != nil { return .undeliverable("401: the token is over, or its user is gone") }
    return .again(answer.unexpected)
  }

  static func result(_ answer: GatewayConnection.Answer) -> JSONValue? {
    (answer.body?[0] ?? answer.body)?["result"]?["data"]?["json"]
  }
}

extension ActionGateway.Kind {
  var procedure: String {
    switch self {
    case .register: "register"
    case .correction: "correction.approve"
    case .custom: "custom"
    }
  }
}

extension ActionGateway.Pending {
  var input: JSONObject {
    ["transactionId": .string(transactionId), "eventId": .string(eventId), "actionId": .string(actionId)]
  }
}
