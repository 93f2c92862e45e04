import System

extension Connection {
  /// The present moment of the database's clock, by which everything is dated that others read.
  /// - Throws: `PostgresError`.
  public func now() throws -> Instant { try execute("SELECT clock_timestamp()").only().instant(0) }
}
