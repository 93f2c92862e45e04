import HTTP
import JSON
import StageKit

/// Reads what one of MOSIP's services answers: bytes in, a value or a `ServiceError` out. It calls nobody, so that a fuzzer can feed it.
/// What a service answers beside the envelope is read in an extension that stands with the service's client.
package struct AnswerReader: Sendable {
  let service: MosipService
  private let kinds: ErrorKinds
  private let limit: Int

  /// - Parameter limit: most bytes of an answer.
  package init(_ service: MosipService, limit: Int) { self.init(service, limit: limit, kinds: service.errorKinds) }

  /// - Parameter kinds: what codes mean, for calls to which they mean something else than to the service's others.
  init(_ service: MosipService, limit: Int, kinds: ErrorKinds) {
    self.service = service
    self.kinds = kinds
    self.limit = limit
  }

  /// The envelope of an answer without errors.
  /// - Throws: `ServiceError`: of the service's own code when the answer has errors.
  package func envelope(_ response: ClientResponse, _ operation: String) throws(ServiceError) -> Answer {
    guard let answer = Answer(response.body, limit: limit) else {
      if response.status >= 500 {
        throw ServiceError(
          .unavailable, service: service.name, code: CallError.trouble, "\(operation): status \(response.status)")
      }
      if response.status >= 400 {
        throw ServiceError(
          Self.passing.contains(response.status) ? .unavailable : .refused, service: service.name,
          code: [404, 405].contains(response.status) ? CallError.noEndpoint : CallError.status,
          "\(operation): status \(response.status)")
      }
      throw CallError.unreadable(service.name, operation, "is not MOSIP's envelope (status \(response.status))")
    }
    if var error = answer.error(service.name, operation, kinds) {
      // A service in trouble may name a code of its own for it.
      if response.status >= 500 { error.kind = .unavailable }
      throw error
    }
    if response.status >= 400 {
      throw ServiceError(
        response.status >= 500 ? .unavailable : .refused, service: service.name,
        code: response.status >= 500 ? CallError.trouble : CallError.status, "\(operation): status \(response.status)")
    }
    return answer
  }

  /// Statuses that, without MOSIP's envelope, say nothing of the request: a gateway has no way to the service, or wants other credentials, a
  /// wrong URL is set, or something took too long. The others (400, 409, 413, 422 ...) are about the request itself, which stays as it is.
  private static let passing: Set<Int> = [404, 405, 407, 408, 421, 425, 426, 429]

  /// Whether the service says that it does not take our token: by the status, or within an envelope, which is then short.
  package func isTokenRefused(_ response: ClientResponse) -> Bool {
    response.status == 401 || (response.body.count < 8192 && Answer(response.body, limit: 8192)?.isUnauthorised == true)
  }

  /// An answer that lacks what it must have.
  func unreadable(_ operation: String) -> ServiceError { CallError.unreadable(service.name, operation, "lacks what was asked for") }
}

extension MosipService {
  /// What the service's own codes mean.
  fileprivate var errorKinds: ErrorKinds {
    switch self {
    case .packetManager: MosipPacketManager.kinds
    case .identityRepository, .vids: MosipIdentityRepository.kinds
    case .keyManager: MosipKeyManager.kinds
    case .syncData: ErrorKinds(notFound: ["KER-SYN-006"])
    case .credentials: MosipCredentialService.kinds
    case .rids: MosipRIDGenerator.kinds
    case .masterData: MosipIdSchemas.kinds
    case .identityAuthentication: MosipIdentityAuthentication.kinds
    case .notifier: MosipNotifier.kinds
    case .iam, .hub, .audit: ErrorKinds()
    }
  }
}
