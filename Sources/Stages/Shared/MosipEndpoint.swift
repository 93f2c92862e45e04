import HTTP
import JSON
import StageKit
import System

/// What MOSIP's own endpoints have in common: who may call, and how an answer looks (docs/upstream/packet-and-crypto.md#6-sync-and-upload).
struct MosipEndpoint: Sendable {
  let settings: StageSettings
  let services: Services
  let log: Log

  /// Who may call, for the table of endpoints, and the judgement itself. It leaves the caller in the request.
  var admission: Admission { admission(by: "roles") }

  /// The same with the roles of another setting.
  func admission(by setting: String) -> Admission {
    let roles = settings.texts(setting)
    return Admission("tokens with one of the roles \(roles.joined(separator: ", "))", limits: "audience `mosip`") { request in
      switch await services.tokens.judge(request, roles: Set(roles)) {
      case .admitted(let caller):
        request.caller = caller
        return nil
      case .noToken, .invalid: return refusal(401).response
      case .lacksRole: return refusal(403).response
      case .unknown: return refusal(503).response
      }
    }
  }

  /// Who a request is of, as it may stand in comments and in the audit trail.
  static func author(of request: Request) -> String {
    let name = (request.caller as? Caller)?.name ?? ""
    return String(String.UnicodeScalarView(name.unicodeScalars.filter { $0.properties.generalCategory != .control }).prefix(64))
  }

  /// An answer without success whose status says what is wrong.
  func refusal(_ status: Int) -> HTTPFailure {
    if status == 401 || status == 403 { RefusedCallers.shared.add("token", reason: status == 401 ? "invalid" : "role") }
    let (code, message) =
      switch status {
      case 401: ("KER-ATH-401", "Authentication Failed")
      case 403: ("KER-ATH-403", "Forbidden")
      default: ("KER-ATH-003", "a service that this endpoint needs is out of reach; try again")
      }
    let errors: JSONValue = [["errorCode": .string(code), "message": .string(message)]]
    var failure = HTTPFailure(
      status: status, body: envelope("mosip.registration", response: .null, errors: errors).encoded())
    if status == 401 { failure.response.headers["WWW-Authenticate"] = "Bearer" }
    return failure
  }

  /// MOSIP's envelope: 200 for success and for named errors, signed when the setting says so.
  func answer(
    _ id: String, version: String = "1.0", isSigned: Bool = true, response: JSONValue, errors: JSONValue
  ) async -> Response {
    let body = envelope(id, version: version, response: response, errors: errors).encoded()
    var answer = Response.json(body)
    if isSigned, settings.boolean("sign-answers") {
      do {
        answer.headers["Response-Signature"] = try await services.keys.signJWS(
          body, application: "KERNEL", detached: true)
      } catch {
        // What was done is done: the client learns it, unsigned, rather than not at all.
        log.warning("an answer goes out unsigned: the key manager did not sign it")
      }
    }
    return answer
  }

  private func envelope(_ id: String, version: String = "1.0", response: JSONValue, errors: JSONValue) -> JSONValue {
    [
      "id": .string(id), "version": .string(version), "responsetime": .string(services.clock.now.iso), "response": response,
      "errors": errors,
    ]
  }

  /// Whether a text may be part of an object's key and of a file's name.
  static func isSafeName(_ text: String) -> Bool {
    (1...100).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }
}
