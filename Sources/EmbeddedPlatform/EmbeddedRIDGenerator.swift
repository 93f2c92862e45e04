import Postgres
import Registration
import StageKit
import System

/// New RIDs from one counter for each center and machine (docs/upstream/packet-and-crypto.md#42-rid).
public struct EmbeddedRIDGenerator: RIDGenerator {
  private let pool: Pool
  private let clock: any WallClock
  private let rules: RIDRules

  /// A generator over a database.
  public init(pool: Pool, clock: any WallClock, rules: RIDRules = RIDRules()) {
    self.pool = pool
    self.clock = clock
    self.rules = rules
  }

  /// Unlike upstream, sequence and time are one atomic step: the time never goes back for a center and machine, and moves on by a second when
  /// the sequence begins again, so that no RID is given twice.
  public func next(centerId: String, machineId: String) async throws -> RID {
    for part in [centerId, machineId] where part.utf8.count != 5 || !part.utf8.allSatisfy({ (48...57).contains($0) }) {
      throw ServiceError(
        .refused, service: "RID generator", code: part.isEmpty ? "KER-RIG-002" : "KER-RIG-003",
        "center and machine are 5 digits each")
    }
    let (now, start) = (clock.now, rules.sequenceStart)
    let (sequence, moment) = try await database {
      try await pool.with { connection in
        let row = try connection.execute(
          """
          INSERT INTO platform.rid_sequence AS s (center_id, machine_id, sequence, moment)
          VALUES ($1, $2, $4, date_trunc('second', $3::timestamptz))
          ON CONFLICT (center_id, machine_id) DO UPDATE SET
            sequence = CASE WHEN s.sequence >= 99999 OR s.sequence < $4 THEN $4 ELSE s.sequence + 1 END,
            moment = greatest(excluded.moment, CASE WHEN s.sequence >= 99999 THEN s.moment + interval '1 second' ELSE s.moment END)
          RETURNING sequence, moment
          """, [.text(centerId), .text(machineId), .text(now.iso), .int(start)]
        ).only()
        return (try row.int(0), try row.instant(1))
      }
    }
    do {
      return try RID(center: centerId, machine: machineId, sequence: sequence, at: moment)
    } catch {
      throw ServiceError(.refused, service: "RID generator", code: error.code, "no RID can be made of the counter")
    }
  }
}
