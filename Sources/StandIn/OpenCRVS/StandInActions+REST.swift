import HTTP
import JSON
import System

/// Reading, and the doors of REST.
extension StandInActions {
  /// The document of an event for a token that may read it.
  func document(_ id: String?, _ shown: StandInTokens.Shown) throws(Refusal) -> JSONValue {
    guard case .claims(let claims) = shown else { throw Refusal(status: 401, message: "Authentication failed") }
    guard let id, claims["eventId"]?.string.map({ $0 == id }) ?? true else { throw Refusal(status: 403, message: "FORBIDDEN") }
    let (record, known) = state.withLock { ($0.records[id], $0.known) }
    guard let record else { throw Refusal(status: 404, message: "NOT_FOUND") }
    if let field = record.unknownField(known) { throw Refusal(status: 500, message: Self.notFound(field)) }
    return record.document(release)
  }

  // MARK: REST

  static func rest(_ failure: Refusal) -> Response {
    let body: JSONValue = ["message": .string(failure.message), "code": .string(failure.word)]
    return .json(body.encoded(), status: failure.status)
  }

  /// Reading is an action itself.
  func read(_ request: Request) -> Response {
    let id = request.parameters["id"] ?? ""
    do throws(Refusal) {
      let event = try document(id, tokens.shown(request))
      state.withLock {
        $0.records[id]?.actions.append(Action(transactionId: SecureRandom.uuid(), type: "READ", status: "Accepted"))
      }
      return .json(event.encoded())
    } catch {
      return Self.rest(error)
    }
  }

  /// What a system client asks to have corrected; a registrar approves it.
  func requested(_ request: Request) async -> Response {
    do {
      guard case .claims(let claims) = tokens.shown(request), claims["userType"]?.string == "system" else {
        throw Refusal(status: 403, message: "FORBIDDEN")
      }
      let body = try? JSONValue.parse(request.body)
      guard let id = request.parameters["id"] ?? body?["eventId"]?.string, let values = body?["declaration"]?.object,
        let transactionId = body?["transactionId"]?.string, !release.isSecond || body?["createdAtLocation"]?.string != nil
      else { throw Refusal(status: 400, message: "BAD_REQUEST") }
      if state.withLock({ $0.isUsed(transactionId, "REQUEST_CORRECTION", "Requested") }) {
        throw Refusal(status: 500, message: "Expected exactly one pending action")
      }
      if state.withLock({ $0.records[id]?.isAssigned ?? false }) { throw Refusal(status: 409, message: "CONFLICT") }
      try await requestCorrection(id, values, transactionId: transactionId, annotation: body?["annotation"]?.object)
      return .json((document(of: id) ?? .null).encoded())
    } catch let failure as Refusal {
      return Self.rest(failure)
    } catch {
      return Self.rest(Refusal(status: 500, message: "INTERNAL_SERVER_ERROR"))
    }
  }

  /// What forms there are, and their fields.
  var configuration: JSONValue {
    let fields = state.withLock { $0.fields }
    return .array(
      [SampleRecord.Kind.birth, .death].map { kind in
        let all = (fields[kind] ?? []).map { id -> JSONValue in ["id": .string(id), "type": "TEXT"] }
        return [
          "id": .string(kind.rawValue), "declaration": ["pages": [["id": "all", "type": "FORM", "fields": .array(all)]]],
        ]
      })
  }
}
