import Cryptography
import Postgres
import StageKit

/// Runs database work and says what went wrong in the words that stages know.
func database<T: Sendable>(_ body: () async throws -> T) async throws -> T {
  do {
    return try await body()
  } catch let error as PostgresError {
    throw ServiceError(
      error.isRetriable ? .unavailable : .refused, service: "platform database", code: "RPR-SYS-012", error.description)
  }
}

/// A hash over several byte strings.
struct HashStreamOf: ~Copyable {
  private var stream = HashStream(.sha256)
  mutating func add(_ bytes: [UInt8]) { stream.update(bytes) }
  mutating func add(_ bytes: UnsafeRawBufferPointer) { stream.update(bytes) }
  consuming func finish() -> [UInt8] { stream.finish() }
}
