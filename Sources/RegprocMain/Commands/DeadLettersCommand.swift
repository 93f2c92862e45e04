import JSON
import Operations
import StageRuntime
import System

/// `regproc dead-letters ...`: records that no stage can read or that used up their tries, and what the embedded hub gave up because its
/// subscriber refused it.
enum DeadLettersCommand {
  static let all = [list, show, replay, drop]

  static let list = Command(
    name: "dead-letters list", summary: "lists records that no stage could take, and events that a subscriber refused",
    options: [
      .text("stage", "STAGE", "of this stage only; hub for events"), .flag("all", "those that were replayed or dropped as well"),
      .flag("json", "one object a line"),
      .number("limit", "N", 1...100_000, "at most so many, the newest first (default: 50)"),
    ], takesSettings: true, example: "dead-letters list --stage packet-validator", run: runList)

  static let show = Command(
    name: "dead-letters show", summary: "shows one of them, with its record; personal data is masked",
    operands: [Operand(name: "ID", meaning: "its number in the list")],
    options: [
      .flag("reveal", "show the record as it is; that is noted, with your name"), .flag("json", "as one object"), .reason, .author,
    ], takesSettings: true, example: "dead-letters show 1", run: runShow)

  static let replay = Command(
    name: "dead-letters replay", summary: "has dead letters taken again, each once",
    details: """
      If the journal knows the registration of a letter, it is run again from the stage at which the letter died, as by regproc
      replay. Any other letter is sent to the topic that it came from, with its own bytes and key, or with the bytes of --edit. What the hub
      gave up is delivered again. A dropped letter can be replayed. A replayed one cannot: if it dies again, it is a new letter.
      """,
    operands: [Operand(name: "ID", meaning: "its number in the list", isRepeatable: true)],
    options: [
      .text("edit", "FILE", "send the bytes of this file in the place of the record's (one ID only); they are kept"),
      .flag("dry-run", "say what would be done, and do nothing"), .flag("json", "one object a line"), .reason, .author,
    ], takesSettings: true, example: "dead-letters replay 1 2 --reason 'the route file has its flow now'", run: runReplay)

  static let drop = Command(
    name: "dead-letters drop", summary: "takes dead letters off the list; their rows stay",
    operands: [Operand(name: "ID", meaning: "its number in the list", isRepeatable: true)],
    options: [.reason, .author], takesSettings: true, example: "dead-letters drop 1 --reason 'a test of the neighbour'",
    run: runDrop)

  private static func runList(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (stage, limit, isAll) = (arguments.text("stage"), arguments.integer("limit") ?? 50, arguments.has("all"))
    let (counts, rows) = try await JournalAccess.with(settings) { connection, _ in
      (
        try DeadLetters.counts(stage: stage, on: connection),
        try DeadLetters.list(stage: stage, all: isAll, limit: limit, on: connection)
      )
    }
    if arguments.has("json") {
      around.console.lines(rows)
      return 0
    }
    if rows.isEmpty {
      around.console.err("There is no dead letter.\n")
      return 0
    }
    var out = ""
    if !counts.isEmpty {
      var table = TextTable(head: ["count", "code", "stage"])
      for row in counts { table.add([row.shown("count"), row.shown("code"), row.shown("stage")]) }
      out += table.rendered(around.console) + "\n"
    }
    for row in rows {
      let state = row.shown("state") == "open" ? "" : "  \(row.shown("state"))"
      let head = "\(row.shown("id"))  \(row.minute("at"))  \(row.shown("stage"))  \(row.shown("code"))\(state)"
      out += around.console.painted(Console.visible(head), "1") + "\n"
      for line in [row.shown("rid").isEmpty ? "" : "RID \(row.shown("rid"))", row.shown("record"), row.shown("reason")]
      where !line.isEmpty {
        out += "    " + Console.visible(line).cut(to: 76) + "\n"
      }
    }
    around.console.out(out)
    return 0
  }

  private static func runShow(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (id, reveal) = (arguments.operands[0], arguments.has("reveal"))
    let who = arguments.whoActs(around, mayReveal: true)
    let letter = try await JournalAccess.with(settings) { connection, _ in
      try refused { try DeadLetters.show(id, reveal: reveal, by: who, on: connection) }
    }
    if arguments.has("json") {
      around.console.lines([letter])
      return 0
    }
    var out = ""
    for name in ["at", "stage", "code", "reason", "rid", "hop", "topic", "partition", "offset", "published", "key", "state"] {
      guard let value = letter[name], !value.isNull else { continue }
      out += "\(name.padded(to: 10))\(Console.visible(letter.shown(name)))\n"
    }
    if let ended = letter["ended"], !ended.isNull {
      let reason = ended["reason"]?.string.map { ": \($0)" } ?? ""
      out += "\("ended".padded(to: 10))\(Console.visible("\(ended.minute("at")) by \(ended.shown("author"))\(reason)"))\n"
    }
    for header in letter["headers"]?.object ?? JSONObject() {
      out += "\("header".padded(to: 10))\(Console.visible("\(header.key): \(header.value.string ?? "")"))\n"
    }
    out += "\("bytes".padded(to: 10))\(letter.shown("bytes"))\n\n"
    around.console.out(out)
    if let value = letter["value"] { around.console.out(shown(value)) }
    if let edited = letter["edited"] {
      around.console.out("\nedited:\n")
      around.console.out(shown(edited))
    }
    if !reveal { around.console.err("Personal data is masked; --reveal shows the record as it is, and is noted.\n") }
    return 0
  }

  private static func shown(_ value: JSONValue) -> [UInt8] {
    (value.string.map { Array(Console.visible($0).utf8) } ?? value.encoded()) + [10]
  }

  private static func runReplay(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (ids, isDryRun) = (arguments.operands, arguments.has("dry-run"))
    var edited: [UInt8]?
    if let file = arguments.text("edit") {
      guard ids.count == 1 else { throw WrongUse("--edit is for one dead letter, and \(ids.count) are named", replay) }
      edited = try Files.read(file)
    }
    let stages = try StageFolder(settings)
    let (routes, _) = try stages.routes(settings.routesFile)
    let again = Replay(routes: routes, stages: stages.stages, takesMessages: stages.takesMessages)
    let (who, bytes) = (arguments.whoActs(around), edited)
    let (outcomes, isWaiting) = try await JournalAccess.with(settings) { connection, access in
      let outcomes = try ids.map { id in
        do {
          return Outcome(
            id: id, done: try DeadLetters.replay(id, edited: bytes, isDryRun: isDryRun, by: who, with: again, on: connection))
        } catch let refusal as OperationError {
          return Outcome(id: id, refusal: refusal.message)
        } catch let refusal as LifecycleError {
          return Outcome(id: id, refusal: refusal.message)
        }
      }
      return (outcomes, access.isForTheMoment)
    }
    for outcome in outcomes {
      if let refusal = outcome.refusal {
        around.console.err("regproc: \(Console.visible(outcome.id)): \(Console.visible(refusal))\n")
      }
      guard let done = outcome.done else { continue }
      if arguments.has("json") {
        around.console.lines([done.json])
      } else {
        around.console.out("\(done.id): \(words(done.way))\(isDryRun ? " (not done)" : "")\n")
      }
    }
    if isWaiting, !isDryRun, outcomes.contains(where: { $0.done != nil }) {
      around.console.err("Nothing runs now: it begins with the next start on this data.\n")
    }
    return outcomes.contains { $0.refusal != nil } ? 1 : 0
  }

  private struct Outcome: Sendable {
    var id: String
    var done: DeadLetters.Replayed?
    var refusal: String?
  }

  private static func words(_ way: DeadLetters.Replayed.Way) -> String {
    switch way {
    case .run(let rid, let run?, let stage): "RID \(Console.visible(rid)) is run again, run \(run) from \(stage)"
    case .run(let rid, nil, _): "the change \(Console.visible(rid)) is worked on again"
    case .sent(let topic): "sent to \(Console.visible(topic))"
    case .delivered(let topic): "delivered again, of \(Console.visible(topic))"
    }
  }

  private static func runDrop(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (ids, who) = (arguments.operands, try arguments.whoActsForAReason(around, drop))
    try await JournalAccess.with(settings) { connection, _ in try refused { try DeadLetters.drop(ids, by: who, on: connection) } }
    around.console.out("\(ids.count) dropped\n")
    return 0
  }
}

/// A refusal of operations as the command's failure.
func refused<T>(_ body: () throws -> T) throws -> T {
  do {
    return try body()
  } catch let refusal as OperationError {
    throw Failure(refusal.message)
  }
}

extension Option {
  static var reason: Option { .text("reason", "TEXT", "why, for whoever reads of it later") }
  static var neededReason: Option { .text("reason", "TEXT", "why, for whoever reads of it later; must be given") }
  static var author: Option { .text("author", "NAME", "who (default: REGPROC_AUTHOR, else the login name)") }
}

extension Arguments {
  /// Who does it, and why.
  func whoActs(_ around: Surroundings, mayReveal: Bool = false) -> Operator {
    Operator(text("author") ?? around.loginName, reason: text("reason"), mayReveal: mayReveal)
  }

  /// The same, where a reason must be given.
  func whoActsForAReason(_ around: Surroundings, _ command: Command) throws -> Operator {
    do { _ = try LifecycleError.given(text("reason")) } catch { throw WrongUse("--reason is missing: why?", command) }
    return whoActs(around)
  }
}

extension Console {
  /// One object a line.
  func lines(_ rows: [JSONValue]) { for row in rows { out(row.encoded() + [10]) } }
}

extension JSONValue {
  /// A member in a person's eyes; empty when it is not there.
  fileprivate func shown(_ name: String) -> String { cell(name) }

  /// A member as a cell of a table; empty when it is not there.
  func cell(_ name: String) -> String {
    switch self[name] {
    case .string(let text)?: text
    case .number(let number)?: number.int.map(String.init) ?? ""
    case .bool(let value)?: value ? "yes" : "no"
    default: ""
    }
  }

  /// A moment to the minute, `2026-11-30 21:05`.
  func minute(_ name: String) -> String { String(cell(name).prefix(16).map { $0 == "T" ? " " : $0 }) }
}

extension String {
  /// At most so many characters, the last one a mark where something is left out.
  func cut(to width: Int) -> String { count <= width ? self : prefix(width - 1) + "…" }
}
