import Postgres

/// The lock of a RID, which a worker holds while it has the RID in hand: whoever changes something of a RID takes it first.
public enum RIDLock {
  /// Waits for it; it is held until the end of the transaction.
  /// - Throws: `PostgresError`.
  public static func take(_ rid: String, on connection: Connection) throws {
    _ = try connection.execute("SELECT pg_advisory_xact_lock($1)", [.int(Int(Journal.lockKey(rid)))])
  }
}

/// The durable work that lets a registration go on when its time is over. Its key is the hop that the registration waits at.
public enum ResumeWork {
  /// Whose work it is.
  public static let stage = WorkflowEvents.stage
  /// Its kind.
  public static let kind = Resume.work.name
}
