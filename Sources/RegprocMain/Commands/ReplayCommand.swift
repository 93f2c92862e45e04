import Glibc
import Operations
import Postgres
import StageRuntime
import System

/// `regproc replay RID`: runs a registration again, or has a change worked on or told again. Several of them, and those that a condition
/// selects, are a job (`ReplayManyCommand`).
enum ReplayCommand {
  static let command = Command(
    name: "replay", summary: "runs registrations again, from a stage; or changes that failed",
    details: """
      The history stays; the replay is a new run with its author and reason. Without --from it begins at the stage that stopped the
      registration. Nothing happens twice: a RID never gets a second UIN. Refused, unless --force is given: a registration that is in
      flight (--force ends its run there), and one that is completed. Always refused: a registration whose place a correction
      has taken, and one that is held (regproc held list).

      For the AID of a death, a correction or a reversal: if it failed, it is worked on again; if its packet was uploaded, its registration
      is run again. If it is done, its result is told to the OpenCRVS side again; with --force, to OpenCRVS itself.

      Give several RIDs, a file of them, or filters, and you see what is selected, by stage and code. Then you are asked; without a
      terminal --yes is needed. This is a job: Ctrl-C interrupts it, and regproc replay resume continues it.

      --from-log is for a RID that the journal has lost. It looks for the RID's newest record since --since (default 7d) on the topics of
      Kafka, and the registration goes on from there. See also regproc journal rebuild.
      """,
    operands: [
      Operand(
        name: "RID", meaning: "the registration id, 29 digits, the AID of a change, or a registration number", isRequired: false,
        isRepeatable: true)
    ],
    options: [
      .text("from", "STAGE", "the stage to begin at"), .text("reason", "TEXT", "why, for the journal"),
      .text("author", "NAME", "who (default: REGPROC_AUTHOR, else the login name)"),
      .flag("force", "also a registration that is in flight or completed; of a change that is done: tell OpenCRVS once more"),
      .flag("dry-run", "say what would be done, and do nothing"),
      .flag("from-log", "from the newest record on the topics, for a RID that the journal has lost"),
    ] + ReplayManyCommand.options, takesSettings: true,
    example: "replay 45451454520000120261124080000 --from uin-generator --reason 'id repository was down'",
    run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    if arguments.has("from-log") { return try await JournalCommand.replay(arguments, around) }
    let manyOptions = ReplayManyCommand.options.filter { arguments.has($0.name) }
    if arguments.operands.count == 1, manyOptions.allSatisfy({ $0.name == "yes" }) { return try await runOne(arguments, around) }
    if arguments.operands.isEmpty, manyOptions.isEmpty {
      throw WrongUse("RID is missing: name one, a --file of them, or a filter such as --status FAILED", command)
    }
    return try await ReplayManyCommand.run(arguments, around)
  }

  private static func runOne(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let replays = try replays(settings)
    let (rid, from) = (arguments.operands[0], arguments.text("from"))
    let who = Operator(arguments.text("author") ?? around.loginName, reason: arguments.text("reason"))
    let (isForced, isDryRun) = (arguments.has("force"), arguments.has("dry-run"))
    let (started, isWaiting, folder) = try await JournalAccess.with(settings) { connection, access in
      (
        try replays.start(rid, from: from, by: who, isForced: isForced, isDryRun: isDryRun, on: connection), access.isForTheMoment,
        access.folder ?? settings.data
      )
    }
    switch started {
    case .change(let change): tell(change, started.words, isDryRun: isDryRun, around)
    case .registration(let started): tell(started, isDryRun: isDryRun, around)
    }
    if isDryRun { return 0 }
    if isWaiting {
      around.console.err("Nothing runs now: it begins with the next start on this data: regproc up --data \(folder)\n")
    } else {
      around.console.err("See it with: regproc journey \(rid)\n")
    }
    return 0
  }

  /// Replays by the route file and the bounds of the settings, or another bound for what waits.
  static func replays(_ settings: Settings, backlog: Int? = nil) throws -> Replays {
    let stages = try StageFolder(settings)
    let (routes, _) = try stages.routes(settings.routesFile)
    var limits = settings.replays
    if let backlog { limits.backlog = backlog }
    return Replays(Replay(routes: routes, stages: stages.stages, takesMessages: stages.takesMessages), limits: limits)
  }

  private static func tell(_ change: ChangeReplay.Started, _ what: String, isDryRun: Bool, _ around: Surroundings) {
    around.console.out("\(change.key): \(change.kind), go \(change.take): \(what)\(isDryRun ? " (not started)" : "")\n")
    if case .goAgain(let before) = change.way, before > 0 {
      around.console.err("Before it: \(before) of the same record.\n")
    }
    if case .registration(let started) = change.way { tell(started, isDryRun: isDryRun, around) }
  }

  static func tell(_ started: Replay.Started, isDryRun: Bool, _ around: Surroundings) {
    around.console.out("RID \(started.rid): run \(started.run) from \(started.stage)\(isDryRun ? " (not started)" : "")\n")
    if !started.superseded.isEmpty {
      let places = started.superseded.joined(separator: ", ")
      around.console.err("The run under way \(isDryRun ? "would end" : "ended") before \(places).\n")
    }
    if let key = started.keyElsewhere {
      around.console.err(
        "\(started.stage) runs elsewhere: the message \(isDryRun ? "would get" : "gets") the key \(key), "
          + "new to that stage, which may drop a second record of a key for 15 minutes.\n")
    }
  }
}

extension Surroundings {
  /// Who runs the program: `REGPROC_AUTHOR`, else the login name.
  var loginName: String {
    environment["REGPROC_AUTHOR"].flatMap { $0.isEmpty ? nil : $0 } ?? environment["USER"] ?? environment["LOGNAME"]
      ?? "uid \(getuid())"
  }

  /// Whether a person is there who can be asked.
  var canAsk: Bool { isatty(0) == 1 && console.errorsAreTerminal }

  /// Asks a person; true for yes.
  func agrees(to question: String) -> Bool {
    console.err(question)
    let answer = (readLine() ?? "").trimmed.lowercased()
    return answer == "y" || answer == "yes"
  }
}
