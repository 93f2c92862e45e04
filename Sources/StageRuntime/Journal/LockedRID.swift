import Postgres

/// A claim that came to nothing: another transaction holds the lock of a RID of the batch and did not let go in time. The batch is to be given
/// back and read again.
struct LockedRID: Error, Sendable, CustomStringConvertible {
  /// Who holds the lock.
  struct Holder: Sendable, Hashable {
    /// The server's process of the session.
    var process: Int
    /// The name that its program gave.
    var application: String
    /// The address of its host; nil for one on the server's own.
    var address: String?
    /// What the session does, in the server's words: "active", or "idle in transaction" when the server waits for its client.
    var state: String
    /// For how many seconds its transaction has been open.
    var seconds: Int
  }

  /// The RID that is waited for; nil when it was let go before anybody could look.
  var rid: String?
  var holder: Holder?

  var description: String {
    guard let rid, let holder else { return "a registration of the batch was held by another transaction, which has ended by now" }
    return "registration \(rid) is held by \(holder.application) at \(holder.address ?? "the database's own host") "
      + "(server process \(holder.process), \(holder.state), its transaction is open for \(holder.seconds) s)"
  }

  /// Who holds one of these RIDs: of several the one whose transaction is open for the longest. Outside of a transaction.
  static func find(_ rids: [String], _ connection: Connection) throws -> LockedRID {
    // The halves of the lock's number stand in two columns (postgresql.org/docs/15/view-pg-locks.html).
    let rows = try connection.execute(
      """
      SELECT r.rid, a.pid, a.application_name, host(a.client_addr), coalesce(a.state, 'unknown'),
        coalesce(extract(epoch FROM clock_timestamp() - a.xact_start)::bigint, 0)
      FROM unnest($1::text[], $2::bigint[]) AS r(rid, key)
      JOIN pg_locks AS l ON l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
        AND (l.classid::bigint << 32) | l.objid::bigint = r.key
      JOIN pg_stat_activity AS a ON a.pid = l.pid
      WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.pid <> pg_backend_pid()
      ORDER BY a.xact_start, r.rid LIMIT 1
      """, [.textArray(rids), .intArray(rids.map { Int(Journal.lockKey($0)) })])
    guard let row = rows.first else { return LockedRID() }
    return LockedRID(
      rid: try row.text(0),
      holder: Holder(
        process: try row.int(1), application: try row.text(2), address: try row.textOrNull(3), state: try row.text(4),
        seconds: try row.int(5)))
  }
}

/// Which held RIDs were told of lately: a claim is tried again and again, and each holder is worth one line a minute.
struct LockedRIDNotes {
  private var told: [Int: ContinuousClock.Instant] = [:]

  /// Whether to say it now.
  mutating func isDue(_ held: LockedRID, now: ContinuousClock.Instant = .now) -> Bool {
    told = told.filter { now - $0.value < .seconds(60) }
    let holder = held.holder?.process ?? 0
    guard told[holder] == nil else { return false }
    told[holder] = now
    return true
  }
}
