import HTTP
import System

/// A request that was proved and read, and that a stage keeps for later.
public struct SpooledRequest: Sendable, Equatable {
  /// By which of the plugin's ways it came in, e.g. `webhook`.
  public var kind: String
  /// What it is about: requests of one group are taken in the order in which they came.
  public var group: String
  /// The body, as it came.
  public var body: [UInt8]
  /// The trace by which it is known, as the id in the header `b3`; nil for none.
  public var trace: String?

  /// A request of one kind.
  public init(_ kind: String, group: String, body: [UInt8], trace: String? = nil) {
    self.kind = kind
    self.group = group
    self.body = body
    self.trace = trace
  }
}

/// Where a stage keeps requests whose sender does not come again, while it cannot take them into the database: sealed files of the data
/// folder. The engine gives them to `StagePlugin.take` once that works, in the order in which they came.
public protocol RequestSpool: Sendable {
  /// Whether what comes now must be kept too, because others wait before it.
  func isWaiting() async -> Bool

  /// Keeps a request. When this returns it is on disk, and neither a crash nor a loss of power takes it away.
  /// - Throws: `ServiceError` RPR-SPL-001 when it cannot be kept: the disk or the spool is full, or the folder cannot be written.
  func keep(_ request: SpooledRequest) async throws
}

/// No spool: for stages that need none, and for tests.
public struct NoRequestSpool: RequestSpool {
  /// The spool that keeps nothing.
  public init() {}
  public func isWaiting() async -> Bool { false }
  public func keep(_ request: SpooledRequest) async throws {
    throw ServiceError(.unavailable, service: "spool", code: "RPR-SPL-001", "this process keeps nothing in a spool")
  }
}

extension StageContext {
  /// Takes a request now; keeps it for later when that cannot be done now, or when others wait before it. Either way it is safe when this
  /// returns.
  /// - Parameters:
  ///   - isRefusal: whether an error is the stage's judgement of the request itself, which is thrown on.
  ///   - answer: what the sender is told of a request that is kept.
  ///   - take: takes it into the database.
  /// - Throws: a refusal; the error that kept it from being taken, when the spool cannot have it either.
  public func take(
    orSpool request: SpooledRequest, isRefusal: (any Error) -> Bool, answer: @autoclosure () -> Response,
    _ take: () async throws -> Response
  ) async throws -> Response {
    var reason: (any Error)?
    if await !spool.isWaiting() {
      do { return try await take() } catch {
        if isRefusal(error) { throw error }
        reason = error
      }
    }
    do { try await spool.keep(request) } catch {
      log.error("a request cannot be kept in the spool", ["kind": request.kind, "error": ErrorText.of(error)])
      throw reason ?? error
    }
    log.warning("a request waits in the spool", ["kind": request.kind, "error": reason.map(Self.words) ?? "others wait before it"])
    return answer()
  }

  private static func words(_ error: any Error) -> String { (error as? ServiceError)?.code ?? ErrorText.of(error) }
}
