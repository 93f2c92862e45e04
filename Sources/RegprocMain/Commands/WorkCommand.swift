import JSON
import Operations
import System

/// `regproc work ...`: the durable work of stages.
enum WorkCommand {
  static let all = [list, show, retry, giveUp]

  static let list = Command(
    name: "work list", summary: "lists the durable work of stages: what is to be done, and what was given up",
    options: [
      .text("stage", "STAGE", "of this stage only"), .text("kind", "KIND", "of this kind only, e.g. forward"),
      Option(name: "state", value: "STATE", meaning: "open (default), given-up or done") {
        Work.State(rawValue: $0) == nil ? "open, given-up or done" : nil
      },
      Option(name: "older-than", value: "TIME", meaning: "made so long ago at least, e.g. 2h") {
        TimeWords.seconds($0) == nil ? "a time such as 90s, 30m, 12h or 7d" : nil
      },
      .flag("json", "one object a line"), .number("limit", "N", 1...100_000, "at most so many (default: 50)"),
    ], takesSettings: true, example: "work list --state given-up --older-than 1h", run: runList)

  static let show = Command(
    name: "work show", summary: "shows the work of a key, its payload masked",
    operands: [key], options: [.flag("json", "one object a line")], takesSettings: true,
    example: "work show opencrvs-mediator/forward/3b2c9c54-8d7e-4f05-9f58-ff59dd3d29e1", run: runShow)

  static let retry = Command(
    name: "work retry", summary: "has work done again, now and from its first try; also what was given up",
    details: """
      Refused while a process has it in hand. An event that was not sent to MOSIP, a birth whose packet was not taken and a credential that
      came to nothing go on where they were given up, though others were told of the error. A change that ended in an error is run again
      with regproc replay.
      """,
    operands: [keys], options: [.reason, .author], takesSettings: true, example: "work retry standing --reason 'the hub is back'",
    run: runRetry)

  static let giveUp = Command(
    name: "work give-up", summary: "gives open work up; its stage ends it and tells whom that concerns",
    details: """
      The process that runs its stage ends it as it ends work whose tries are used up, with the code RPR-OPS-001: within seconds if such a
      process runs, else when one runs next. A piece that a process has in hand may still be done.
      """,
    operands: [keys], options: [.reason, .author], takesSettings: true,
    example: "work give-up opencrvs-mediator/tell/aid:42 --reason 'the country asked for it'", run: runGiveUp)

  private static let key = Operand(name: "KEY", meaning: "its key, or STAGE/KIND/KEY where several have it")
  private static let keys = Operand(name: "KEY", meaning: "its key, or STAGE/KIND/KEY where several have it", isRepeatable: true)

  private static func runList(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let filter = Work.Filter(
      stage: arguments.text("stage"), kind: arguments.text("kind"),
      state: arguments.text("state").flatMap(Work.State.init(rawValue:)) ?? .open,
      olderThan: arguments.text("older-than").flatMap(TimeWords.seconds))
    let limit = arguments.integer("limit") ?? 50
    let (counts, rows) = try await JournalAccess.with(settings) { connection, _ in
      (try Work.counts(filter, on: connection), try Work.list(filter, limit: limit, on: connection))
    }
    if arguments.has("json") {
      around.console.lines(rows)
      return 0
    }
    if counts.isEmpty, rows.isEmpty {
      around.console.err("There is no such work.\n")
      return 0
    }
    var table = TextTable(head: ["stage", "kind", "open", "given up", "next due"])
    for row in counts {
      table.add([row.cell("stage"), row.cell("kind"), row.cell("open"), row.cell("givenUp"), row.minute("nextDue")])
    }
    around.console.out(table.rendered(around.console) + (rows.isEmpty ? "" : "\n") + rows.map { lines($0, around) }.joined())
    return 0
  }

  private static func lines(_ row: JSONValue, _ around: Surroundings) -> String {
    var out = around.console.painted(Console.visible("\(row.cell("stage"))/\(row.cell("kind"))/\(row.cell("key"))"), "1") + "\n"
    var facts = ["\(row.cell("state")), try \(row.cell("attempt"))"]
    if row.cell("state") == "open" {
      facts.append("due \(row.minute("dueAt"))")
    } else {
      facts.append("ended \(row.minute("endedAt"))")
    }
    if !row.cell("inHandOf").isEmpty { facts.append("in hand") }
    out += "    " + Console.visible(facts.joined(separator: ", ")).cut(to: 76) + "\n"
    let failure = [row.cell("code"), row.cell("failure")].filter { !$0.isEmpty }.joined(separator: " ")
    return failure.isEmpty ? out : out + "    " + Console.visible(failure).cut(to: 76) + "\n"
  }

  private static func runShow(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let name = arguments.operands[0]
    let rows = try await JournalAccess.with(settings) { connection, _ in try refused { try Work.show(name, on: connection) } }
    if arguments.has("json") {
      around.console.lines(rows)
      return 0
    }
    for row in rows {
      around.console.out(lines(row, around))
      if let payload = row["payload"] { around.console.out(Array("    ".utf8) + payload.encoded() + [10]) }
    }
    return 0
  }

  private static func runRetry(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (names, who) = (arguments.operands, arguments.whoActs(around))
    let rows = try await JournalAccess.with(settings) { connection, _ in
      try refused { try Work.retry(names, by: who, on: connection) }
    }
    around.console.out(rows.map { lines($0, around) }.joined())
    return 0
  }

  private static func runGiveUp(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (names, who) = (arguments.operands, try arguments.whoActsForAReason(around, giveUp))
    let rows = try await JournalAccess.with(settings) { connection, _ in
      try refused { try Work.giveUp(names, by: who, on: connection) }
    }
    around.console.out(rows.map { lines($0, around) }.joined())
    return 0
  }
}
