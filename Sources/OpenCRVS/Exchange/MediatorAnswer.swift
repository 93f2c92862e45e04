import HTTP
import JSON
import Registration
import StageKit
import System

/// The answers of both mediators, in the one shape of docs/upstream/opencrvs-and-websub.md#31-endpoints.
package struct MediatorAnswer: Sendable {
  /// `mosip-opencrvs-mediator` or `opencrvs-mediator`.
  let id: String
  let clock: any WallClock
  let log: Log
  let foreignText: ForeignText

  /// Answers of one mediator.
  package init(id: String, clock: any WallClock, log: Log, foreignText: ForeignText) {
    self.id = id
    self.clock = clock
    self.log = log
    self.foreignText = foreignText
  }

  /// A success; with a fault it says what could not be done although the request was taken.
  package func message(_ text: String, _ more: JSONObject = [:], but fault: MediatorError? = nil) -> Response {
    var response: JSONObject = ["message": .string(text)]
    for member in more { response[member.key] = member.value }
    return answer(.object(response), fault.map { .array([Self.error($0)]) } ?? .null, 200)
  }

  /// What is answered to a body that is too large for an endpoint.
  package func tooLarge(_ what: String, above most: Int) -> @Sendable () -> Response {
    { fault(EventLimits.refusal(of: what, above: most)) }
  }

  func fault(_ fault: MediatorError) -> Response { answer(.null, [Self.error(fault)], fault.code.status) }

  private static func error(_ fault: MediatorError) -> JSONValue {
    var error: JSONValue = ["errorCode": .string(fault.code.rawValue), "errorMessage": .string(fault.message)]
    if let other = fault.otherRecord { error["otherRecord"] = .string(other) }
    return error
  }

  private func answer(_ response: JSONValue, _ errors: JSONValue, _ status: Int) -> Response {
    let body: JSONValue = [
      "version": "1.0", "id": .string(id), "responseTime": .string(clock.now.iso), "response": response,
      "errors": errors,
    ]
    return .json(body.encoded(), status: status)
  }

  /// What is answered at paths below `prefix` where there is nothing.
  package func unknownPaths(below prefix: String) -> Endpoint {
    Endpoint(
      anythingBelow: prefix, admission: .everybody(limits: "there is nothing here"),
      handler: handling { _ in throw MediatorError(.noEndpoint, "there is no such endpoint") })
  }

  /// A handler whose errors become answers of this shape. What may work later is 503, so that senders try again. A large body is worked on
  /// by threads of their own: its hash alone would stop every other task for seconds.
  package func handling(_ body: @escaping @Sendable (Request) async throws -> Response)
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
  package func admitting(
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
  package func signers(_ who: String) -> Admission {
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
      let told: KeyValuePairs<String, any LogField> = ["path": request.path, "code": fault.code.rawValue]
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
      log.error("a request failed", ["path": request.path, "error": ErrorText.of(error)])
      return self.fault(MediatorError(.unknown, "the request could not be processed"))
    }
  }
}
