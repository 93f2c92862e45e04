import JSON
import Postgres
import System

/// `regproc database ...`: the migrations of the database, and who may do what in it.
enum DatabaseCommand {
  static let status = Command(
    name: "database status", summary: "lists the migrations: which are applied, and which the database lacks",
    details: """
      Exit code 1: migrations are missing, were applied with a text that differs from this program's, or are those of a newer program beside
      which this one may not run.
      """,
    options: [.flag("json", "one object a line")], takesSettings: true, example: "database status", run: runStatus)

  static let migrate = Command(
    name: "database migrate", summary: "applies the migrations that the database lacks",
    details: """
      For deployments whose processes have `database.migrate: check`. Run it as a user who may change tables. If several run at once, one
      works, and the others wait for it and find nothing to do. Each migration is a transaction of its own.
      """,
    options: [
      .flag("dry-run", "only says what would be done"),
      .flag("grants", "then gives the roles of `database roles` their rights on the tables"), prefix, side,
    ], takesSettings: true,
    example: "database migrate --database 'host=postgres dbname=regproc user=regproc_owner'", run: runMigrate)

  static let roles = Command(
    name: "database roles", summary: "prints SQL that makes a Postgres role for each stage, with just the rights that it needs",
    details: """
      Run the SQL with psql, as a user who may make roles, as often as you like, before or after the first migration. The roles are an owner
      for migrations, one for each stage, and a reader and an operator for commands. They get no password here (docs/rights.md).
      """
    ,
    options: [
      prefix, side, .flag("grants-only", "only the rights on tables, which the owner may give after a migration"),
      .flag("json", "the roles and their rights, one object a line"),
    ], takesSettings: true, example: "database roles | psql 'host=postgres dbname=regproc user=postgres'", run: runRoles)

  private static let prefix = Option(
    name: "prefix", value: "TEXT", meaning: "what the names of roles begin with (default: regproc_)"
  ) {
    $0.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 95 } && $0.utf8.count < 30
      ? nil : "fewer than 30 of a-z, 0-9 and _"
  }
  private static let side = SideOption.option

  private static func rights(_ arguments: Arguments, _ settings: Settings) throws -> DatabaseRights {
    DatabaseRights(
      SideOption.chosen(try StageFolder(settings).stages, arguments, settings), prefix: arguments.text("prefix") ?? "regproc_",
      isEmbedded: !settings.usesMosip)
  }

  private static func runRoles(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let rights = try rights(arguments, try Settings(arguments, around))
    guard arguments.has("json") else {
      around.console.out((arguments.has("grants-only") ? "" : rights.rolesSQL + "\n") + rights.grantsSQL)
      return 0
    }
    for role in rights.roles {
      let tables = role.tables.reduce(into: JSONObject()) { $0[$1.table] = .string($1.grant) }
      let value: JSONValue = ["role": .string(role.name), "tables": .object(tables)]
      around.console.out(value.encoded() + [10])
    }
    return 0
  }

  private static func runStatus(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let status = try await JournalAccess.with(settings) { connection, _ in
      try ProgramSchema.status(on: connection)
    }
    let lines = lines(status)
    if arguments.has("json") {
      for line in lines {
        let value: JSONValue = [
          "version": JSONValue(line.version), "name": line.name.map { .string($0) } ?? .null, "state": .string(line.state),
        ]
        around.console.out(value.encoded() + [10])
      }
    } else {
      var table = TextTable(head: ["migration", "state", "what it does"])
      for line in lines { table.add([String(line.version), line.state, line.name ?? "of a newer program"]) }
      around.console.out(table.rendered(around.console))
    }
    if !status.pending.isEmpty {
      around.console.err("\(status.pending.count) are missing: `regproc database migrate` applies them\n")
    }
    if let newer = status.tooNew.first {
      around.console.err(
        "this is regproc \(Commands.versionNumber), and migration \(newer.version) needs \(newer.oldestProgram) or newer\n")
    }
    return status.pending.isEmpty && status.changed.isEmpty && status.tooNew.isEmpty ? 0 : 1
  }

  /// In order of version; what the program does not know has no name.
  private static func lines(_ status: MigrationStatus) -> [(version: Int, name: String?, state: String)] {
    let names = ProgramSchema.migrations.reduce(into: [:]) { $0[$1.version] = $1.name }
    let needs = status.tooNew.reduce(into: [:]) { $0[$1.version] = $1.oldestProgram }
    let states =
      status.applied.map { ($0, "applied") } + status.pending.map { ($0.version, "missing") }
      + status.changed.map { ($0, "applied with another text") }
      + status.unknown.map { version in
        (version, needs[version].map { "applied, needs regproc \($0)" } ?? "applied, newer")
      }
    return states.sorted { $0.0 < $1.0 }.map { ($0.0, names[$0.0], $0.1) }
  }

  private static func runMigrate(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let isDry = arguments.has("dry-run")
    let done = try await JournalAccess.with(settings) { connection, _ in
      isDry
        ? try ProgramSchema.status(on: connection).pending : try ProgramSchema.apply(on: connection)
    }
    for migration in done {
      around.console.out("\(isDry ? "would be applied" : "applied"): \(migration.version) (\(migration.name))\n")
    }
    if arguments.has("grants"), !isDry {
      let rights = try rights(arguments, settings)
      try await JournalAccess.with(settings) { connection, _ in try connection.script(rights.grantsSQL) }
      let names = rights.roles.dropFirst().map(\.name).joined(separator: ", ")
      around.console.err("these roles, where they exist, have their rights now: \(names)\n")
    }
    if done.isEmpty { around.console.err("the database has all migrations\n") }
    return 0
  }
}
