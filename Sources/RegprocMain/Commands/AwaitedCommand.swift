import JSON
import Operations
import System

/// `regproc awaited list`: what an OpenCRVS that asks waits for.
enum AwaitedCommand {
  static let list = Command(
    name: "awaited list", summary: "lists what OpenCRVS 1.7 and later waits for, and what it cannot be told any more",
    details: """
      An OpenCRVS of 1.7 or later asks before a record is registered or changed, and waits. Each question comes with a token that counts
      for seven days; after that nobody can answer it (Undeliverable): a registrar must send the record again. Without means registered
      without what MOSIP gives, because MOSIP's answer was an error; what comes later can still be added.
      """,
    options: [
      .flag("undeliverable", "only what can be answered no more"),
      .number("limit", "N", 1...100_000, "at most so many, whose time is over first (default: 50)"),
      .flag("json", "one object a line"),
    ], takesSettings: true, example: "awaited list --undeliverable", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (undeliverable, limit) = (arguments.has("undeliverable"), arguments.integer("limit") ?? 50)
    let rows = try await JournalAccess.with(settings) { connection, _ in
      try Awaited.list(undeliverable: undeliverable, limit: limit, on: connection)
    }.map(\.json)
    if arguments.has("json") {
      around.console.lines(rows)
    } else if rows.isEmpty {
      around.console.err(undeliverable ? "Everything can be answered.\n" : "OpenCRVS waits for nothing.\n")
    } else {
      around.console.out(table(rows).rendered(around.console))
    }
    return 0
  }

  static func table(_ rows: [JSONValue]) -> TextTable {
    var table = TextTable(head: ["record", "question", "status", "since", "until", "last error"])
    for row in rows {
      table.add([
        row.cell("record"), row.cell("question"), row.cell("status"), row.minute("since"), row.minute("until"),
        row.cell("code"),
      ])
    }
    return table
  }
}
