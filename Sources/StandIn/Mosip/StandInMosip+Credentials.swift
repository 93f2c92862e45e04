import HTTP
import JSON
import StageKit
import System

/// The endpoints of the credential request generator.
extension StandInMosip {
  var credentialEndpoints: [Endpoint] {
    let (services, state) = (services, self)
    return [
      endpoint("POST", "/v1/credentialrequest/v2/requestgenerator/{id}") { request in
        let id = request.parameters["id"] ?? ""
        let content = try Self.content(request)
        let made = state.issue(id)
        // Each call issues anew, whatever was before.
        _ = try await services.credentials.request(
          CredentialRequest(
            id: try Self.text(content, "id"), credentialType: try Self.text(content, "credentialType"),
            issuer: try Self.text(content, "issuer"), additionalData: content["additionalData"] ?? [:]),
          idempotencyKey: "stand-in:\(id):\(made)")
        return Self.done(["requestId": .string(id), "id": content["id"] ?? .null])
      },
      endpoint("GET", "/v1/credentialrequest/get/{id}") { request in
        guard let status = state.credentialStatus(request.parameters["id"] ?? "") else {
          return Self.failed("IDR-CRG-003", "request id is not present")
        }
        return Self.done([
          "id": .null, "requestId": JSONValue(request.parameters["id"]), "statusCode": .string(status), "url": .null,
        ])
      },
    ]
  }

  private func issue(_ id: String) -> Int {
    state.withLock { state in
      let made = (state.credentials[id]?.made ?? 0) + 1
      state.credentials[id] = ("NEW", made)
      return made
    }
  }

  private func credentialStatus(_ id: String) -> String? { state.withLock { $0.credentials[id]?.status } }

  /// How many credentials a request's id has brought.
  public func credentials(of id: String) -> Int { state.withLock { $0.credentials[id]?.made ?? 0 } }

  /// Sets the state of a credential request, as the credential service or a partner does.
  public func setCredential(_ id: String, status: String) { state.withLock { $0.credentials[id]?.status = status } }
}
