import HTTP
import JSON
import Registration
import StageKit
import System

/// The answers of both mediators, in the one shape of docs/upstream/opencrvs-and-websub.md#31-endpoints.
struct MediatorAnswer: Sendable {
  /// `mosip-opencrvs-mediator` or `opencrvs-mediator`.
  let id: String
  let clock: any WallClock
  let log: Log
  let foreignText: ForeignText

  /// A success; with a fault it says what could not be done although the request was taken.
  func message(_ text: String, _ more: JSONObject = [:], but fault: MediatorError? = nil) -> Response {
    var response: JSONObject = ["message": .string(text)]
    for member in more { response[member.key] = member.value }
    return answer(.object(response), fault.map { .array([Self.error($0)]) } ?? .null, 200)
  }

  func fault(_ fault: MediatorError) -> Response { answer(.null, [Self.error(fault)], fault.code.status) }

  private static func error(_ fault: MediatorError) -> JSONValue {
    ["errorCode": .string(fault.code.rawValue), "errorMessage": .string(fault.message)]
  }

  private func answer(_ response: JSONValue, _ errors: JSONValue, _ status: Int) -> Response {
    let body: JSONValue = [
      "version": "1.0", "id": .string(id), "responseTime": .string(clock.now.iso), "response": response,
      "errors": errors,
    ]
    return .json(body.encoded(), status: status)
  }

  /// What is answered at paths below `prefix` where there is nothing.
  func unknownPaths(below prefix: String) -> Endpoint {
    Endpoint(
      anythingBelow: prefix, admission: .everybody(limits: "there is nothing here"),
      handler: handling { _ in throw MediatorError(.noEndpoint, "there is no such endpoint") })
  }

  /// A handler whose errors become answers of this shape. What may work later is 503, so that senders try again. A large body is worked on
  /// by threads of their own: its hash alone would stop every other task for seconds.
  func handling(_ body: @escaping @Sendable (Request) async throws -> Response)
    -> @Sendable (Request) async throws -> Response
  {
    { request in
      do {
        return try await LargeWork.with(request.body.count) { try await body(request) }
      } catch let hangUp as HangUp {
        throw hangUp
      } catch {
        return refusal(error, request)
      }
    }
  }

  /// Who may call an endpoint, with answers of this shape.
  /// - Parameter judge: throws what a handler would throw.
  func admitting(
    _ who: String, limits: String = "", by schemes: [Admission.Scheme], _ judge: @escaping @Sendable (Request) async throws -> Void
  ) -> Admission {
    Admission(who, limits: limits, by: schemes) { request in
      do {
        try await judge(request)
        return nil
      } catch { return refusal(error, request) }
    }
  }

  /// Whoever signs what he sends with a secret that both know. Without a signature of the right form nothing of the body is read.
  func signers(_ who: String) -> Admission {
    admitting(who, limits: "`X-Hub-Signature` over the body", by: [.signature]) { request in
      guard let signature = request.headers["X-Hub-Signature"] else {
        RefusedCallers.shared.add("signature", reason: "missing")
        throw MediatorError(.tokenMissing, "X-Hub-Signature is missing")
      }
      guard HubSignature.isWellFormed(signature) else {
        RefusedCallers.shared.add("signature", reason: "form")
        throw MediatorError(.tokenInvalid, "X-Hub-Signature is not of this body")
      }
    }
  }

  private func refusal(_ error: any Error, _ request: Request) -> Response {
    switch error {
    case let fault as MediatorError:
      let told: KeyValuePairs = ["path": request.path, "code": fault.code.rawValue]
      if fault.code == .roleMissing { log.warning("a caller is refused", told) } else { log.info("a request is refused", told) }
      if fault.code == .notUTF8 { foreignText.add(path: request.path, log) }
      return self.fault(fault)
    case let error as ServiceError where error.isRetriable:
      log.warning("a request cannot be served now", ["path": request.path, "error": "\(error.service): \(error.code)"])
      return self.fault(
        MediatorError(.serviceUnreachable, "a service that is needed cannot be reached; try again later"))
    case is HTTPError:
      log.warning("a request cannot be served now", ["path": request.path])
      return self.fault(
        MediatorError(.serviceUnreachable, "a service that is needed cannot be reached; try again later"))
    case let failure as HTTPFailure: return failure.response
    default:
      log.error("a request failed", ["path": request.path, "error": (error as? ServiceError)?.code ?? "\(type(of: error))"])
      return self.fault(MediatorError(.unknown, "the request could not be processed"))
    }
  }
}

/// Who may come in: tokens of callers, checked at the token service.
struct MediatorDoor: Sendable {
  let tokens: any AccessTokens
  /// Which side it is on: tokens for the other one are not taken.
  let audience: TokenAudience
  /// The role that a caller needs; empty for none.
  let role: String
  /// The clients that may call when no role is asked for; empty for those that are configured.
  let callers: [String]

  /// Who may come in by a stage's settings.
  init(_ settings: StageSettings, tokens: any AccessTokens, audience: TokenAudience) {
    self.tokens = tokens
    self.audience = audience
    role = settings.text("required-role")
    callers = settings.texts("callers")
  }

  static let callersField = SettingField(
    "callers", .texts, default: [],
    "the ids of the clients that may call, when required-role is empty; none: those that are configured (mosip.clients-file)")

  /// - Throws: OPN-AUT-003 without a token, OPN-AUT-002 with one that is not valid here, OPN-AUT-004 without the role, or when neither
  ///   role nor client lets it in.
  func admit(_ token: String?) async throws {
    guard let token, !token.isEmpty else {
      RefusedCallers.shared.add("token", reason: "missing")
      throw MediatorError(.tokenMissing, "the access token is missing")
    }
    guard let caller = try await tokens.caller(of: token, for: audience) else {
      RefusedCallers.shared.add("token", reason: "invalid")
      throw MediatorError(.tokenInvalid, "the access token is not valid")
    }
    guard lets(caller) else {
      RefusedCallers.shared.add("token", reason: role.isEmpty ? "client" : "role")
      throw MediatorError(.roleMissing, "the caller lacks the role that is needed here, or its client is not known")
    }
  }

  /// Who may come in, for the table of endpoints, and the judgement itself.
  /// - Parameter token: where the token stands in a request.
  func admission(
    _ answer: MediatorAnswer, by scheme: Admission.Scheme, _ token: @escaping @Sendable (Request) -> String?
  ) -> Admission {
    let whom =
      if !role.isEmpty { "tokens with the role \(role)" } else if !callers.isEmpty { "the clients of `callers`" } else {
        "configured clients"
      }
    return answer.admitting(whom, limits: "audience `\(audience.rawValue)`", by: [scheme]) { try await admit(token($0)) }
  }

  private func lets(_ caller: Caller) -> Bool {
    if !role.isEmpty { return caller.roles.contains(role) }
    return callers.isEmpty ? caller.isConfigured : callers.contains(caller.client)
  }
}
