import JSON
import Operations
import StageRuntime
import System

/// `regproc waiting ...`: registrations that wait for a moment, a broker or a person.
enum WaitingCommand {
  static let all = [list, resume]

  static let list = Command(
    name: "waiting list", summary: "lists registrations that wait: for what, and when they are due",
    details: """
      They wait for their moment (a try that is not due), for the answer of a stage that runs elsewhere, for a broker that refuses their
      message, because of a rule, or for a packet with additional information. What waits on a topic because its stage is paused or slow
      is not among them.
      """,
    options: [
      .text("stage", "STAGE", "at this stage only"), .flag("json", "one object a line"),
      .number("limit", "N", 1...100_000, "at most so many, the first that are due (default: 50)"),
    ], takesSettings: true, example: "waiting list --stage uin-generator", run: runList)

  static let resume = Command(
    name: "waiting resume", summary: "lets a registration that waits go on now",
    operands: [Operand(name: "RID", meaning: "the registration id")], options: [.reason, .author], takesSettings: true,
    example: "waiting resume 45451454520000120261124080000 --reason 'the id repository is back'", run: runResume)

  private static func runList(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (stage, limit) = (arguments.text("stage"), arguments.integer("limit") ?? 50)
    let (pauses, counts, rows) = try await JournalAccess.with(settings) { connection, _ in
      (
        try Pausing.list(on: connection), try Waiting.counts(stage: stage, on: connection),
        try Waiting.list(stage: stage, limit: limit, on: connection)
      )
    }
    for pause in pauses { around.console.err(PauseCommand.line(pause)) }
    if arguments.has("json") {
      around.console.lines(rows)
      return 0
    }
    if rows.isEmpty {
      around.console.err("No registration waits.\n")
      return 0
    }
    var table = TextTable(head: ["count", "waits for", "stage", "next due"])
    for row in counts { table.add([row.cell("count"), row.cell("why"), row.cell("stage"), row.minute("nextDue")]) }
    var out = table.rendered(around.console) + "\n"
    for row in rows {
      out += around.console.painted(Console.visible(row.cell("rid")), "1") + "  "
      out += Console.visible("\(row.minute("dueAt"))  \(row.cell("stage"))").cut(to: 48) + "\n"
      out += "    " + Console.visible("\(row.cell("why")): \(row.cell("reason"))").cut(to: 76) + "\n"
    }
    around.console.out(out)
    return 0
  }

  private static func runResume(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (rid, who) = (arguments.operands[0], arguments.whoActs(around))
    let found = try await JournalAccess.with(settings) { connection, _ in
      try refused { try Waiting.resume(rid, by: who, on: connection) }
    }
    let stages = (found["stages"]?.array ?? []).compactMap(\.string).joined(separator: ", ")
    around.console.out("RID \(Console.visible(rid)) goes on at \(Console.visible(stages))\n")
    return 0
  }
}

/// `regproc pause`, `regproc resume`: holding a stage or the intake.
enum PauseCommand {
  static let all = [pause, resume]

  static let pause = Command(
    name: "pause", summary: "holds a stage, or the intake, in every process; without a name it says what is held",
    details: """
      A stage that is held takes no message and begins no work; what it has in hand it finishes. Its messages wait on their topic, nothing
      is lost, and it stays so over restarts until regproc resume. With the intake held, announcements, uploads and the events of OpenCRVS'
      mediator are answered 503 with Retry-After; webhooks of OpenCRVS are taken and kept, and forwarded later.
      """,
    operands: [Operand(name: "STAGE", meaning: "the name of a stage, or intake", isRequired: false)],
    options: [.reason, .author, .flag("json", "one object a line")], takesSettings: true,
    example: "pause uin-generator --reason 'the id repository is moved'", run: runPause)

  static let resume = Command(
    name: "resume", summary: "lets a held stage, or the held intake, go on",
    operands: [Operand(name: "STAGE", meaning: "the name of a stage, or intake")], options: [.reason, .author], takesSettings: true,
    example: "resume uin-generator", run: runResume)

  static func line(_ pause: JSONValue) -> String {
    let text = "\(pause.cell("what")) is paused since \(pause.minute("since")) by \(pause.cell("author")): \(pause.cell("reason"))"
    return Console.visible(text) + "\n"
  }

  private static func runPause(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    guard let what = arguments.operand(0) else {
      let rows = try await JournalAccess.with(settings) { connection, _ in try Pausing.list(on: connection) }
      if arguments.has("json") {
        around.console.lines(rows)
      } else if rows.isEmpty {
        around.console.err("Nothing is paused.\n")
      } else {
        around.console.out(rows.map(line).joined())
      }
      return 0
    }
    let who = try arguments.whoActsForAReason(around, pause)
    let stages = try StageFolder(settings)
    let (routes, _) = try stages.routes(settings.routesFile)
    let names = Set(stages.stages.map(\.name) + routes.flows.flatMap { $0.stages.map(\.name.value) })
    let done = try await JournalAccess.with(settings) { connection, _ in
      try refused { try Pausing.pause(what, stages: names, by: who, on: connection) }
    }
    if arguments.has("json") { around.console.lines([done.json]) } else { around.console.out(line(done.json)) }
    return 0
  }

  private static func runResume(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (what, who) = (arguments.operands[0], arguments.whoActs(around))
    let done = try await JournalAccess.with(settings) { connection, _ in
      try refused { try Pausing.resume(what, by: who, on: connection) }
    }
    around.console.out("\(done.what) goes on\n")
    return 0
  }
}
