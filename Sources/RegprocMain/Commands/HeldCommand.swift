import JSON
import Operations
import StageRuntime
import System

/// `regproc held ...`: what waits until a person decides.
enum HeldCommand {
  static let list = Command(
    name: "held list", summary: "lists what goes on only when a person says so",
    details: """
      RIDs whose replays ended at the same stage with the same code again and again (setting replay.hold-after), changes that policy
      holds, and what the embedded platform suspended: subscriptions of the hub whose subscribers give no answer (setting
      hub.suspend-hours) or whose secrets do not open, and what follows changes of identities that do not open.
      """,
    options: [
      .number("limit", "N", 1...100_000, "at most so many, the longest held first (default: 50)"),
      .flag("json", "one object a line"),
    ], takesSettings: true, example: "held list", run: runList)

  static let release = Command(
    name: "held release", summary: "releases what is held: a RID may be replayed again, a change or what was suspended goes on",
    details: """
      A RID may be replayed again, and counting starts anew; this command does not replay it. A change gets its next go, as by
      regproc release. To a subscription what it is owed is delivered, in order.
      """,
    operands: [
      Operand(name: "NAME", meaning: "the RID; the work key, AID or registration number of a change; or its name in held list")
    ],
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
        table.add([row.cell("name"), row.minute("since"), why(row)])
      }
      around.console.out(table.rendered(around.console))
    }
    return 0
  }

  private static func why(_ row: JSONValue) -> String {
    switch row.cell("what") {
    case "change": "policy: \(row.cell("kind"))"
    case "subscription": Console.visible("\(row.cell("code")), \(row.cell("owed")) owed of \(row.cell("topic"))")
    case "follow-up": "\(row.cell("code")) \(row.cell("kind"))"
    default: "\(row.cell("times"))x \(row.cell("stage")) \(row.cell("code"))"
    }
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
    case .suspended(_, let name):
      around.console.out("\(name): goes on\n")
    }
    return 0
  }
}
