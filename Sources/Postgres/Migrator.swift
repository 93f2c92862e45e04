import System

/// One step of the schema's history. Once released it is never changed: the next change is the next migration.
public struct Migration: Sendable, Hashable {
  /// Its place in the order; unique.
  public var version: Int
  /// What it does, in a few words.
  public var name: String
  /// One or more statements, without begin and commit.
  public var sql: String

  /// A migration.
  public init(version: Int, name: String, sql: String) {
    self.version = version
    self.name = name
    self.sql = sql
  }
}

/// How the migrations of the program and those of a database compare.
public struct MigrationStatus: Sendable, Hashable {
  /// Applied as the program has them.
  public var applied: [Int] = []
  /// Not applied yet, in order.
  public var pending: [Migration] = []
  /// Applied with another text than the program has.
  public var changed: [Int] = []
  /// Applied, but unknown to the program: the database was used by a newer one.
  public var unknown: [Int] = []
}

/// Brings a database's schema up to date. The table `regproc.migration` records what was applied.
public enum Migrator {
  /// The advisory lock all processes agree on: the bytes of "regproc".
  private static let lock = 0x72_6567_7072_6f63

  /// Applies what is not applied yet, in order of version, each in a transaction of its own. Several processes may start at
  /// once: one works, the others wait for it and find nothing to do. Returns what this call applied.
  ///
  /// Throws `.migrationChanged` when an applied migration's text differs from the program's (nothing is applied then), or the
  /// server's error with the migration's name, after which the earlier ones stay applied. A database that a newer program has
  /// migrated is accepted.
  @discardableResult public static func apply(_ migrations: [Migration], on connection: Connection) throws
    -> [Migration]
  {
    try check(migrations)
    // Another process may be at a long migration.
    return try connection.unhurried { try applyAlone(migrations, connection) }
  }

  private static func applyAlone(_ migrations: [Migration], _ connection: Connection) throws -> [Migration] {
    _ = try connection.execute("select pg_advisory_lock($1)", [.int(lock)])
    defer { _ = try? connection.execute("select pg_advisory_unlock($1)", [.int(lock)]) }
    // Only where it is missing: without the right to make schemas, making an existing one is refused too.
    if try !isThere(connection) {
      try connection.script(
        """
        create schema if not exists regproc;
        create table if not exists regproc.migration (
          version bigint primary key, name text not null, checksum text not null,
          applied_at timestamptz not null default now())
        """)
    }
    let status = try compare(migrations, on: connection)
    try refuse(changed: status)
    for migration in status.pending { try apply(migration, connection) }
    return status.pending
  }

  /// Compares without changing anything; for checks before a start. A database without the table has everything pending.
  public static func pending(_ migrations: [Migration], on connection: Connection) throws -> MigrationStatus {
    try check(migrations)
    guard try isThere(connection) else { return MigrationStatus(pending: migrations.sorted { $0.version < $1.version }) }
    return try compare(migrations, on: connection)
  }

  /// Sees to it that all migrations are applied, and applies none itself. Those of a newer program are accepted: each leaves the program
  /// before it able to work (docs/rights.md).
  /// - Throws: `.migrationsMissing` with their names, `.migrationChanged` as `apply`.
  public static func require(_ migrations: [Migration], on connection: Connection) throws {
    let status = try pending(migrations, on: connection)
    try refuse(changed: status)
    guard !status.pending.isEmpty else { return }
    let names = status.pending.prefix(3).map { "\($0.version) (\($0.name))" }.joined(separator: ", ")
    let more = status.pending.count > 3 ? " and \(status.pending.count - 3) more" : ""
    throw PostgresError(
      .migrationsMissing,
      "the database lacks the migrations \(names)\(more), and database.migrate is `check`: `regproc database migrate` applies them")
  }

  private static func isThere(_ connection: Connection) throws -> Bool {
    // By the catalogue: a user without rights on the schema is told what is missing and not that it may not look.
    try connection.execute(
      """
      select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'regproc' and c.relname = 'migration')
      """
    ).only().bool(0)
  }

  private static func refuse(changed status: MigrationStatus) throws {
    guard let version = status.changed.first else { return }
    throw PostgresError(
      .migrationChanged,
      "migration \(version) was applied with another text than this program has; "
        + "restore its text and put the change into a new migration")
  }

  private static func check(_ migrations: [Migration]) throws {
    guard Set(migrations.map(\.version)).count == migrations.count else {
      throw PostgresError(.misuse, "two migrations have the same version")
    }
  }

  private static func apply(_ migration: Migration, _ connection: Connection) throws {
    do {
      try connection.transaction {
        try connection.script(migration.sql)
        guard connection.isInTransaction else {
          throw PostgresError(.misuse, "it ends the transaction it runs in")
        }
        _ = try connection.execute(
          """
          insert into regproc.migration (version, name, checksum)
          values ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'))
          """, [.int(migration.version), .text(migration.name), .text(migration.sql)])
      }
    } catch var error as PostgresError {
      error.message = "migration \(migration.version) (\(migration.name)): \(error.message)"
      throw error
    }
  }

  private static func compare(_ migrations: [Migration], on connection: Connection) throws -> MigrationStatus {
    let ordered = migrations.sorted { $0.version < $1.version }
    // The server makes the checksums, so that no digest is needed here.
    let rows = try connection.execute(
      """
      select m.version, p.version is not null as known,
        m.checksum is not distinct from encode(sha256(convert_to(p.sql, 'UTF8')), 'hex') as same
      from regproc.migration m
      left join unnest($1::bigint[], $2::text[]) as p(version, sql) using (version)
      order by m.version
      """, [.intArray(ordered.map(\.version)), .textArray(ordered.map(\.sql))])
    var status = MigrationStatus()
    var seen: Set<Int> = []
    for row in rows {
      let version = try row.int("version")
      seen.insert(version)
      if try !row.bool("known") {
        status.unknown.append(version)
      } else if try row.bool("same") {
        status.applied.append(version)
      } else {
        status.changed.append(version)
      }
    }
    status.pending = ordered.filter { !seen.contains($0.version) }
    return status
  }
}
