import Postgres
import Registration
import StageKit
import Synchronization
import System

/// New RIDs from one counter for each center and machine (facts/packet-and-crypto 4.2).
public struct EmbeddedRIDGenerator: RIDGenerator {
  private let pool: Pool
  private let clock: any WallClock

  /// A generator over a database.
  public init(pool: Pool, clock: any WallClock) {
    self.pool = pool
    self.clock = clock
  }

  /// Unlike upstream, sequence and time are one atomic step: the time never goes back for a center and machine, and moves on by a second when
  /// the sequence begins again, so that no RID is given twice.
  public func next(centerId: String, machineId: String) async throws -> RID {
    for part in [centerId, machineId] where part.utf8.count != 5 || !part.utf8.allSatisfy({ (48...57).contains($0) }) {
      throw ServiceError(
        .refused, service: "RID generator", code: part.isEmpty ? "KER-RIG-002" : "KER-RIG-003",
        "center and machine are 5 digits each")
    }
    let now = clock.now
    let (sequence, moment) = try await database {
      try await pool.with { connection in
        let row = try connection.execute(
          """
          INSERT INTO platform.rid_sequence AS s (center_id, machine_id, sequence, moment)
          VALUES ($1, $2, 1, date_trunc('second', $3::timestamptz))
          ON CONFLICT (center_id, machine_id) DO UPDATE SET
            sequence = CASE WHEN s.sequence >= 99999 THEN 1 ELSE s.sequence + 1 END,
            moment = greatest(excluded.moment, CASE WHEN s.sequence >= 99999 THEN s.moment + interval '1 second' ELSE s.moment END)
          RETURNING sequence, moment
          """, [.text(centerId), .text(machineId), .text(now.iso)]
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

/// UINs and VIDs made ahead: one statement takes one, and what was made once is never made again, whoever asks and whatever is killed.
struct IdentifierPools: Sendable {
  private let sealer: Sealer
  private let uinRules = UINRules()
  private let vidRules = VIDRules()
  /// How many are made at a time; more are made ahead when only a quarter of it is left.
  let fill: Int

  init(sealer: Sealer, fill: Int = 2000) {
    self.sealer = sealer
    self.fill = fill
  }

  /// Takes a UIN in the caller's transaction. Rolled back, it is free again and nobody has seen it.
  func takeUIN(_ connection: Connection) throws -> (hash: [UInt8], sealed: [UInt8]) {
    for _ in 0..<3 {
      let rows = try connection.execute(
        """
        UPDATE platform.uin SET is_free = false
        WHERE uin_hash = (SELECT uin_hash FROM platform.uin WHERE is_free ORDER BY made_at LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING uin_hash, sealed
        """)
      if let row = rows.first { return (try row.bytes(0), try row.bytes(1)) }
      try fillUINs(connection)
    }
    throw ServiceError(.unavailable, service: "UIN generator", code: "KER-UIG-001", "no UIN could be made")
  }

  func takeVID(_ connection: Connection, owner: [UInt8], type: String) throws -> String {
    for _ in 0..<3 {
      let rows = try connection.execute(
        """
        UPDATE platform.vid SET is_free = false, uin_hash = $1, type = $2, status = 'ACTIVE', given_at = now()
        WHERE vid = (SELECT vid FROM platform.vid WHERE is_free ORDER BY made_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING vid
        """, [.bytes(owner), .text(type)])
      if let row = rows.first { return try row.text(0) }
      let fresh = try vidRules.generate(count: fill)
      _ = try connection.execute(
        "INSERT INTO platform.vid (vid) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", [.textArray(fresh)])
    }
    throw ServiceError(.unavailable, service: "VID generator", code: "KER-VID-001", "no VID could be made")
  }

  /// Makes free ones when few are left. Called ahead of need, outside of any taker's transaction.
  func fillAhead(_ connection: Connection) throws {
    let few = fill / 4
    let uins = try connection.execute(
      "SELECT count(*) FROM (SELECT 1 FROM platform.uin WHERE is_free LIMIT $1) AS s", [.int(few)])
    if try uins.only().int(0) < few { try fillUINs(connection) }
    let vids = try connection.execute(
      "SELECT count(*) FROM (SELECT 1 FROM platform.vid WHERE is_free LIMIT $1) AS s", [.int(few)])
    if try vids.only().int(0) < few {
      _ = try connection.execute(
        "INSERT INTO platform.vid (vid) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
        [.textArray(try vidRules.generate(count: fill))])
    }
  }

  private func fillUINs(_ connection: Connection) throws {
    let fresh = try uinRules.generate(count: fill)
    _ = try connection.execute(
      "INSERT INTO platform.uin (uin_hash, sealed) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING",
      [.bytesArray(fresh.map { sealer.hash($0) }), .bytesArray(try fresh.map { try sealer.seal(Array($0.utf8)) })])
  }
}
