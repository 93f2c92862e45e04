import HTTP
import JSON
import StageKit

extension ActionGateway {
  /// The event's document as OpenCRVS has it now.
  /// - Throws: `ServiceError`: `notFound` when there is none, `refused` when the token may not read it, else what may work later.
  package func event(_ id: String, token: String) async throws(ServiceError) -> JSONValue {
    // The releases differ in what the procedure takes: the id alone, or an object with it.
    var answer = try await read(.string(id), token)
    if answer.status == 400 { answer = try await read(["eventId": .string(id)], token) }
    guard let event = Self.result(answer), event["id"]?.string == id else { throw Self.fault(answer) }
    return event
  }

  /// A correction with the request that it approves, for whoever was not told it; nil when it is decided already.
  /// - Throws: `ServiceError` as `event`.
  package func completed(_ correction: Pending, token: String) async throws(ServiceError) -> Pending? {
    let actions = try await event(correction.eventId, token: token)["actions"]?.array ?? []
    if actions.contains(where: { $0["originalActionId"]?.string == correction.actionId }) { return nil }
    let asked = actions.first { $0["id"]?.string == correction.actionId }
    return Pending(
      kind: correction.kind, eventId: correction.eventId, actionId: correction.actionId, requestId: asked?["requestId"]?.string,
      clashes: correction.clashes)
  }

  private func read(_ input: JSONValue, _ token: String) async throws(ServiceError) -> GatewayConnection.Answer {
    let input: JSONValue = ["0": ["json": input]]
    let query = URLText.query([("batch", "1"), ("input", input.description)])
    return try await connection.get("/events/event.get?" + query, token: token)
  }

  /// The ids of the fields that a declaration may have, by the event's type. What lacks here must never be sent. A type of which nothing can be
  /// read lacks: it is not to keep the others up.
  /// - Throws: `ServiceError` as `event`.
  package func fieldIds(token: String) async throws(ServiceError) -> [String: Set<String>] {
    let answer = try await connection.get("/events/config", token: token)
    guard answer.isSuccess, let types = answer.body?.array, !types.isEmpty else { throw Self.fault(answer) }
    var found: [String: Set<String>] = [:]
    for type in types {
      guard let id = type["id"]?.string, let pages = type["declaration"]?["pages"]?.array else { continue }
      found[id] = Set(pages.flatMap { $0["fields"]?.array ?? [] }.compactMap { $0["id"]?.string })
    }
    if found.isEmpty { throw answer.unexpected }
    return found
  }

  private static func fault(_ answer: GatewayConnection.Answer) -> ServiceError {
    let kind: ServiceError.Kind
    switch answer.body == nil ? 0 : answer.status {
    case 401, 403: kind = .refused
    case 404: kind = .notFound
    default: return answer.unexpected
    }
    return ServiceError(
      kind, service: GatewayConnection.service, code: MediatorError.Code.serviceUnreachable.rawValue, "answers \(answer.status)")
  }
}
