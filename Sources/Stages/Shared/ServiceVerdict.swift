import StageKit

/// What a stage says when a platform service refuses (docs/upstream/stages.md#03-error-mapping).
enum ServiceVerdict {
  /// The sub status of everything that has no code of its own.
  static let systemException = "RPR-SYS-EXCEPTION-001"

  /// Runs the work of a stage and turns a service's refusal into a verdict. What may work later is thrown on: the engine tries again.
  static func judged(_ work: () async throws -> Verdict) async throws -> Verdict {
    do { return try await work() } catch let error as ServiceError { return try verdict(of: error) }
  }

  /// The verdict over a service's error.
  /// - Throws: the error itself when the same call may work later.
  static func verdict(of error: ServiceError) throws -> Verdict {
    switch error.kind {
    case .unavailable, .conflict: throw error
    case .refused, .notFound: break
    }
    switch error.code {
    case "KER-PUT-019":
      return .error("RPR-PKV-FAILED-018", "Packet manager non recoverable exception: \(error.code)", status: .failed)
    case "KER-PUT-027":
      return .error(systemException, error.description)
    case _ where error.code.hasPrefix("KER-PUT-"):
      return .retry("RPR-PKV-FAILED-014", "Exception occured in packet manager: \(error.code)")
    default:
      return .error(systemException, error.description)
    }
  }

  /// A technical end without a code of its own: ERROR, F/T.
  static func system(_ comment: String) -> Verdict { .error(systemException, comment) }
}
