import Postgres
import System

/// A topic that messages wait for, because the broker does not take them.
public struct WaitingTopic: Sendable, Hashable {
  /// The topic's name.
  public let topic: String
  /// The stage that the messages go to; empty for a further topic, which a plugin reads.
  public let stage: String
  /// How many wait.
  public let count: Int
  /// What the broker said of the latest.
  public let reason: String
  /// Since when the first one waits.
  public let since: Instant

  /// All of them, as the journal has them.
  /// - Throws: `PostgresError`.
  public static func all(on connection: Connection) throws -> [WaitingTopic] { try Journal.refusals(connection) }
}
