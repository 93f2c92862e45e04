import HTTP
import JSON
import StageKit
import System

/// Lets callers of the admin listener in.
struct AdminAdmission: Sendable {
  let isLoopback: Bool
  let services: Services

  /// For the probes of whoever starts and stops processes, which have no token. They learn no more than whether it lives and works.
  var probes: Admission { .everybody(limits: "the listener's own names") }

  /// For whoever has one of the roles, the first of which is told; without a token when the listener is reached from this machine alone.
  func holders(of roles: String...) -> Admission {
    let limits = "the listener's own names"
    if isLoopback { return .everybody("everybody on this machine", limits: limits) }
    return Admission("a token for mosip with \(roles[0])", limits: limits) { request in
      switch await services.tokens.judge(request, roles: Set(roles)) {
      case .admitted(let caller):
        request.caller = caller
        return nil
      case .noToken: return answer(refused(401, "missing"))
      case .invalid: return answer(refused(401, "invalid"))
      case .lacksRole: return answer(refused(403, "role"))
      case .unknown: return answer(503)
      }
    }
  }

  private func refused(_ status: Int, _ reason: String) -> Int {
    RefusedCallers.shared.add("admin", reason: reason)
    return status
  }

  private func answer(_ status: Int) -> Response {
    let (code, message) =
      switch status {
      case 401: ("KER-ATH-401", "Authentication Failed")
      case 403: ("KER-ATH-403", "Forbidden")
      default: ("KER-ATH-003", "tokens cannot be checked now; try again")
      }
    let body: JSONValue = [
      "id": "regproc.admin", "version": "1.0", "responsetime": .string(services.clock.now.iso), "response": .null,
      "errors": [["errorCode": .string(code), "message": .string(message)]],
    ]
    var response = Response.json(body.encoded(), status: status)
    if status == 401 { response.headers["WWW-Authenticate"] = "Bearer" }
    return response
  }
}
