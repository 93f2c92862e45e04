import HTTP
import JSON
import System

/// The gateway: procedures of tRPC over HTTP, and REST.
extension StandInActions {
  var gatewayEndpoints: [Endpoint] {
    var all = [
      Endpoint("POST", "/events/{procedure}", maxBody: 4 << 20) { [self] in procedure($0) },
      Endpoint("GET", "/events/{procedure}") { [self] in query($0) },
      Endpoint("GET", "/events/config") { [self] request in
        guard case .claims = tokens.shown(request) else { return Self.rest(Refusal(status: 401, message: "UNAUTHORIZED")) }
        return .json(configuration.encoded())
      },
    ]
    if release.isSecond {
      all.append(Endpoint("GET", "/events/events/{id}") { [self] in read($0) })
      all.append(Endpoint("POST", "/events/events/{id}/correction/request") { [self] in await requested($0) })
    } else {
      all.append(Endpoint("POST", "/events/events/correction/request") { [self] in await requested($0) })
    }
    return all
  }

  // MARK: tRPC

  /// A call of a procedure, by whichever of its two forms.
  private func procedure(_ request: Request) -> Response {
    let name = request.parameters["procedure"] ?? ""
    let isBatch = request.query("batch") == "1"
    doors.count(name)
    let body = try? JSONValue.parse(request.body)
    let answer: Result<JSONValue, Refusal>
    do throws(Refusal) {
      answer = .success(try decide(name, isBatch ? body?["0"]?["json"] : body?["json"], tokens.shown(request)))
    } catch {
      answer = .failure(error)
    }
    return doors.answered(name, Self.trpc(answer, name, isBatch: isBatch))
  }

  /// A call that reads: its input is in the query.
  private func query(_ request: Request) -> Response {
    let name = request.parameters["procedure"] ?? ""
    let isBatch = request.query("batch") == "1"
    doors.count(name)
    let input = request.query("input").flatMap { try? JSONValue.parse($0) }
    let json = isBatch ? input?["0"]?["json"] : input?["json"]
    let answer: Result<JSONValue, Refusal>
    do throws(Refusal) {
      guard name == "event.get" else { throw Refusal(status: 404, message: "No procedure found on path \"\(name)\"") }
      answer = .success(try document(json?.string ?? json?["eventId"]?.string, tokens.shown(request)))
    } catch {
      answer = .failure(error)
    }
    return doors.answered(name, Self.trpc(answer, name, isBatch: isBatch))
  }

  private static func trpc(_ answer: Result<JSONValue, Refusal>, _ name: String, isBatch: Bool) -> Response {
    let (status, one): (Int, JSONValue) =
      switch answer {
      case .success(let event): (200, ["result": ["data": ["json": event]]])
      case .failure(let failure): (failure.status, ["error": ["json": problem(failure, name)]])
      }
    return .json((isBatch ? [one] : one).encoded(), status: status)
  }

  private static func problem(_ failure: Refusal, _ path: String) -> JSONValue {
    [
      "message": .string(failure.message), "code": JSONValue(failure.number),
      "data": ["code": .string(failure.word), "httpStatus": JSONValue(failure.status), "path": .string(path)],
    ]
  }

  /// What a call of accept or reject is about.
  private struct Decision {
    var name: String
    var input: JSONValue
    var eventId: String
    var action: ActionRecord.Action
    var transactionId: String
    func text(_ member: String) -> String? { input[member]?.string }
  }

  private func decide(_ name: String, _ input: JSONValue?, _ shown: StandInTokens.Shown) throws(Refusal) -> JSONValue {
    let types = ["register": "REGISTER", "correction.approve": "APPROVE_CORRECTION", "custom": release.isSecond ? "CUSTOM" : nil]
    let isAccept = name.hasSuffix(".accept")
    guard name.hasPrefix("event.actions."), isAccept || name.hasSuffix(".reject"),
      let type = types[String(name.dropFirst(14).dropLast(7))] ?? nil
    else { throw Refusal(status: 404, message: "No procedure found on path \"\(name)\"") }
    guard case .claims(let claims) = shown else { throw Refusal(status: 401, message: "Authentication failed") }
    guard let own = claims["eventId"]?.string, let ownAction = claims["actionId"]?.string else {
      throw Refusal(status: 403, message: "Missing required scopes for action confirmation")
    }
    guard let input, let transactionId = input["transactionId"]?.string, let eventId = input["eventId"]?.string,
      let actionId = input["actionId"]?.string
    else { throw Refusal(status: 400, message: Self.issue("transactionId")) }
    guard own == eventId, ownAction == actionId else { throw Refusal(status: 403, message: "FORBIDDEN") }
    guard let action = state.withLock({ $0.records[eventId]?.action(actionId) }), action.type == type else {
      throw Refusal(status: 404, message: "NOT_FOUND")
    }
    let decision = Decision(name: name, input: input, eventId: eventId, action: action, transactionId: transactionId)
    return isAccept ? try accept(decision) : try reject(decision)
  }

  /// What the schema of a procedure says is missing.
  private static func issue(_ member: String) -> String {
    #"[{"code":"invalid_type","expected":"string","received":"undefined","path":["\#(member)"],"message":"Required"}]"#
  }

  private func accept(_ decision: Decision) throws(Refusal) -> JSONValue {
    let wanted = ["REGISTER": "registrationNumber", "APPROVE_CORRECTION": "requestId", "CUSTOM": "customActionType"]
    if let member = wanted[decision.action.type], decision.text(member) == nil {
      throw Refusal(status: 400, message: Self.issue(member))
    }
    let outcome = state.withLock { [release] state -> Result<JSONValue, Refusal> in
      if let made = state.records[decision.eventId]?.decision(on: decision.action.id) {
        guard made.isAccepted else { return .failure(Refusal(status: 400, message: "Action has already been rejected.")) }
      } else if case .failed(let failure) = state.accept(
        decision.action, of: decision.eventId, transactionId: decision.transactionId,
        declaration: decision.input["declaration"]?.object ?? [:], annotation: decision.input["annotation"]?.object,
        number: decision.action.type == "REGISTER" ? decision.text("registrationNumber") : nil,
        requestId: decision.text("requestId"))
      {
        return .failure(failure)
      }
      return .success(state.records[decision.eventId]?.document(release) ?? .null)
    }
    return try outcome.get()
  }

  private func reject(_ decision: Decision) throws(Refusal) -> JSONValue {
    let outcome = state.withLock { [release] state -> Result<JSONValue, Refusal> in
      if let made = state.records[decision.eventId]?.decision(on: decision.action.id) {
        if made.isAccepted { return .failure(Refusal(status: 500, message: "Action has already been accepted.")) }
      } else if decision.action.type == "APPROVE_CORRECTION" {
        // The table wants the id of the request with it, and the program does not store it.
        let text = "new row for relation \"event_actions\" violates check constraint \"event_actions_check\""
        return .failure(Refusal(status: 500, message: text))
      } else {
        _ = state.reject(decision.action, of: decision.eventId, release, transactionId: decision.transactionId)
      }
      return .success(state.records[decision.eventId]?.document(release) ?? .null)
    }
    return try outcome.get()
  }
}

extension StandInActions.Refusal {
  /// The word of the status.
  var word: String {
    switch status {
    case 400: "BAD_REQUEST"
    case 401: "UNAUTHORIZED"
    case 403: "FORBIDDEN"
    case 404: "NOT_FOUND"
    case 409: "CONFLICT"
    default: "INTERNAL_SERVER_ERROR"
    }
  }

  /// The number of JSON-RPC for it.
  fileprivate var number: Int {
    switch status {
    case 400: -32600
    case 401: -32001
    case 403: -32003
    case 404: -32004
    case 409: -32009
    default: -32603
    }
  }
}
