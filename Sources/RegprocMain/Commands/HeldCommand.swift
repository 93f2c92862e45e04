import JSON
import Operations
import StageRuntime
import System

/// `regproc held ...`: what waits until a person decides.
enum HeldCommand {
  static let list = Command(
    name: "held list", summary: "lists what goes on only when a person says so",
    details: """
      RIDs whose replays ended at the same stage with the same code again and again (setting replay.hold-after), and changes that policy
      holds.
      """,
    options: [
      .number("limit", "N", 1...100_000, "at most so many, the longest held first (default: 50)"),
      .flag("json", "one object a line"),
    ], takesSettings: true, example: "held list", run: runList)

  static let release = Command(
    name: "held release", summary: "releases a held RID or change: the RID may be replayed again, the change goes on",
    details: """
      A RID may be replayed again, and counting starts anew; this command does not replay it. A change gets its next go, as by
      regproc release.
      """,
    operands: [Operand(name: "NAME", meaning: "the RID; or the work key, AID or registration number of a change")],
    options: [
      .neededReason,
      .text("author", "NAME", "who (default: REGPROC_AUTHOR, else the login name)"),
    ], takesSettings: true, example: "held release 45451454520000120261124080000 --reason 'the schema was corrected'",
    run: runRelease)

  private static func runList(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let limit = arguments.integer("limit") ?? 50
    let rows = try await JournalAccess.with(settings) { connection, _ in try Held.list(limit: limit, on: connection) }
    if arguments.has("json") {
      for row in rows { around.console.out(row.encoded() + [10]) }
    } else if rows.isEmpty {
      around.console.err("Nothing is held.\n")
    } else {
      var table = TextTable(head: ["held", "since", "why"])
      for row in rows {
        let why =
          if let kind = row["kind"]?.string { "policy: \(kind)" } else {
            "\(row["times"]?.int ?? 0)x \(row["stage"]?.string ?? "") \(row["code"]?.string ?? "")"
          }
        table.add([row["name"]?.string ?? "", String((row["since"]?.string ?? "").prefix(16)), why])
      }
      around.console.out(table.rendered(around.console))
    }
    return 0
  }

  private static func runRelease(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    guard let reason = arguments.text("reason") else {
      throw WrongUse("--reason is missing: why is it let go on?", release)
    }
    let settings = try Settings(arguments, around)
    let name = arguments.operands[0]
    let who = Operator(arguments.text("author") ?? around.loginName, reason: reason)
    let released = try await JournalAccess.with(settings) { connection, _ in try Held.release(name, by: who, on: connection) }
    switch released {
    case .registration(let held):
      around.console.out("RID \(held.rid): released\n")
      around.console.err("Run it again with: regproc replay \(held.rid)\n")
    case .change(let change):
      around.console.out("\(change.key): \(change.kind), go \(change.take)\n")
      around.console.err("See it with: regproc journey \(change.aid ?? change.key)\n")
    }
    return 0
  }
}
