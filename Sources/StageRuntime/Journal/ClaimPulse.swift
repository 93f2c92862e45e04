import Postgres
import System

/// Tells a slow worker from a frozen one. The claim's transaction stands idle while the stage judges its batch, and the server ends a
/// transaction that is idle for too long, since nobody else knows whether its owner will ever go on. A worker that lives asks something
/// now and then; its batch may take as long as it needs.
final class ClaimPulse {
  private let period: Int
  /// Why the connection was lost; what is judged meanwhile cannot be recorded.
  private(set) var failure: (any Error)?

  /// The longest pause between two questions, in milliseconds.
  private static let longest = 10_000

  /// The pulse for a connection: often enough for the limit that is in force on it, whoever set it.
  init(for connection: Connection) throws {
    let limit = try connection.execute(
      "SELECT setting::bigint FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
    ).only().int(0)
    period = limit > 0 ? max(min(limit / 3, Self.longest), 10) : Self.longest
  }

  /// What the worker's thread does while it waits for the batch; the connection is its own all the time.
  func whileJudging(_ connection: Connection) -> Meanwhile {
    failure = nil
    return Meanwhile(every: period) { [self] in
      guard failure == nil else { return }
      do { _ = try connection.execute("SELECT 1") } catch { failure = error }
    }
  }
}
