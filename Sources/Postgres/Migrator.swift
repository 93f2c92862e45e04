import System

/// One step of the schema's history. Once released it is never changed: the next change is the next migration.
public struct Migration: Sendable, Hashable {
  /// Its place in the order; unique.
  public var version: Int
  /// What it does, in a few words.
  public var name: String
  /// One or more statements, without begin and commit.
  public var sql: String
  /// The oldest program that works on a database which has it. Every program does when tables, columns with a default, indexes or views are
  /// added. One that takes something away, or changes what it means, names the version that does without (docs/rights.md).
  public var oldestProgram: ProgramVersion

  /// A migration.
  public init(version: Int, name: String, sql: String, oldestProgram: ProgramVersion = .first) {
    self.version = version
    self.name = name
    self.sql = sql
    self.oldestProgram = oldestProgram
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
  /// Those of the unknown beside which this program may not run.
  public var tooNew: [NewerMigration] = []
}

/// A migration that only a newer program has, as the database tells of it.
public struct NewerMigration: Sendable, Hashable {
  /// Its version.
  public var version: Int
  /// What it does.
  public var name: String
  /// The oldest program that may run beside it, as the database has it.
  public var oldestProgram: String
}

/// Brings a database's schema up to date. The table `regproc.migration` records what was applied.
public enum Migrator {
  /// The advisory lock all processes agree on: the bytes of "regproc".
  private static let lock = 0x72_6567_7072_6f63

  /// Applies what is not applied yet, in order of version, each in a transaction of its own. Several processes may start at
  /// once: one works, the others wait for it and find nothing to do. Returns what this call applied.
  ///
  /// A database that a newer program has migrated is accepted as long as each of its migrations lets this program run beside it.
  /// - Parameter program: the version of this program.
  /// - Throws: `.databaseTooNew` with the version that is needed, or `.migrationChanged` when an applied migration's text differs from the
  ///   program's; nothing is applied then. The server's error with the migration's name, after which the earlier ones stay applied.
  @discardableResult public static func apply(
    _ migrations: [Migration], by program: ProgramVersion = .first, on connection: Connection
  ) throws -> [Migration] {
    try check(migrations)
    // Another process may be at a long migration.
    return try connection.unhurried { try applyAlone(migrations, program, connection) }
  }

  private static func applyAlone(
    _ migrations: [Migration], _ program: ProgramVersion, _ connection: Connection
  ) throws -> [Migration] {
    _ = try connection.execute("select pg_advisory_lock($1)", [.int(lock)])
    defer { _ = try? connection.execute("select pg_advisory_unlock($1)", [.int(lock)]) }
    // Only where it is missing: without the right to make schemas, making an existing one is refused too.
    if try !isThere(connection) {
      try connection.script(
        """
        create schema if not exists regproc;
        create table if not exists regproc.migration (
          version bigint primary key, name text not null, checksum text not null,
          applied_at timestamptz not null default now(), oldest_program text)
        """)
    }
    let status = try compare(migrations, by: program, on: connection)
    try refuse(status, by: program)
    if !status.pending.isEmpty { try noteOldestPrograms(connection) }
    for migration in status.pending { try apply(migration, connection) }
    return status.pending
  }

  /// Compares without changing anything; for checks before a start. A database without the table has everything pending.
  public static func pending(
    _ migrations: [Migration], by program: ProgramVersion = .first, on connection: Connection
  ) throws -> MigrationStatus {
    try check(migrations)
    guard try isThere(connection) else { return MigrationStatus(pending: migrations.sorted { $0.version < $1.version }) }
    return try compare(migrations, by: program, on: connection)
  }

  /// Sees to it that all migrations are applied, and applies none itself. Those of a newer program are accepted as by `apply`.
  /// - Throws: `.migrationsMissing` with their names, `.databaseTooNew` and `.migrationChanged` as `apply`.
  public static func require(
    _ migrations: [Migration], by program: ProgramVersion = .first, on connection: Connection
  ) throws {
    let status = try pending(migrations, by: program, on: connection)
    try refuse(status, by: program)
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

  /// Databases of earlier programs have no column for it. What stands in them already was noted by none: every program may run beside that.
  private static func noteOldestPrograms(_ connection: Connection) throws {
    let isThere = try connection.execute(
      """
      select exists (select from pg_catalog.pg_attribute
        where attrelid = 'regproc.migration'::regclass and attname = 'oldest_program' and not attisdropped)
      """
    ).only().bool(0)
    if !isThere { try connection.script("alter table regproc.migration add column oldest_program text") }
  }

  private static func refuse(_ status: MigrationStatus, by program: ProgramVersion) throws {
    if let migration = status.tooNew.max(by: { isOlder($0.oldestProgram, $1.oldestProgram) }) {
      throw PostgresError(
        .databaseTooNew,
        "the database has migration \(migration.version) (\(migration.name)), beside which regproc \(migration.oldestProgram) or newer may run; "
          + "this is regproc \(program.text): start \(migration.oldestProgram)")
    }
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
          insert into regproc.migration (version, name, checksum, oldest_program)
          values ($1, $2, encode(sha256(convert_to($3, 'UTF8')), 'hex'), $4)
          """, [.int(migration.version), .text(migration.name), .text(migration.sql), .text(migration.oldestProgram.text)])
      }
    } catch var error as PostgresError {
      error.message = "migration \(migration.version) (\(migration.name)): \(error.message)"
      throw error
    }
  }

  /// A text that is no version comes from a program of which this one knows nothing: it is the newest.
  private static func isOlder(_ one: String, _ other: String) -> Bool {
    guard let one = ProgramVersion(one) else { return false }
    return ProgramVersion(other).map { one < $0 } ?? true
  }

  private static func compare(
    _ migrations: [Migration], by program: ProgramVersion, on connection: Connection
  ) throws -> MigrationStatus {
    let ordered = migrations.sorted { $0.version < $1.version }
    // The server makes the checksums, so that no digest is needed here.
    let rows = try connection.execute(
      """
      select m.version, p.version is not null as known,
        m.checksum is not distinct from encode(sha256(convert_to(p.sql, 'UTF8')), 'hex') as same,
        m.name, to_jsonb(m)->>'oldest_program' as oldest
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
        guard let oldest = try row.textOrNull("oldest"), isOlder(program.text, oldest) else { continue }
        let name = VisibleText.of(try row.text("name"))
        status.tooNew.append(NewerMigration(version: version, name: name, oldestProgram: VisibleText.of(oldest)))
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
