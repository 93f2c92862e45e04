import Glibc
import Postgres
import StageRuntime

/// `regproc replay RID`: runs a registration again, or has a change worked on or told again.
enum ReplayCommand {
  static let command = Command(
    name: "replay", summary: "runs a registration again, from a stage; or a change that failed",
    details: """
      The history stays; the replay is a new run with its author and reason. Without --from it begins at the stage that stopped the
      registration. Nothing happens twice by it: a RID never gets a second UIN. Refused, unless --force is given: a registration
      that is in flight (its run then ends where it stands) and one that is completed. Always refused: a registration whose place a
      correction has taken.

      Of a death, a correction or a reversal (its AID): one that failed is worked on again, and where its packet was uploaded, its
      registration is run again; of one that is done the result is told to the OpenCRVS side again, with --force to OpenCRVS itself.
      """,
    operands: [Operand(name: "RID", meaning: "the registration id, 29 digits, or the AID of a change")],
    options: [
      .text("from", "STAGE", "the stage to begin at"), .text("reason", "TEXT", "why, for the journal"),
      .text("author", "NAME", "who (default: REGPROC_AUTHOR, else the login name)"),
      .flag("force", "also a registration that is in flight or completed; of a change that is done: tell OpenCRVS once more"),
      .flag("dry-run", "say what would be done, and do nothing"),
    ], takesSettings: true, example: "replay 45451454520000120261124080000 --from uin-generator --reason 'id repository was down'",
    run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let stages = try StageFolder(settings)
    let (routes, _) = try stages.routes(settings.routesFile)
    let replay = Replay(routes: routes, stages: stages.stages, takesMessages: stages.takesMessages)
    let (rid, from, reason) = (arguments.operands[0], arguments.text("from"), arguments.text("reason"))
    let author = arguments.text("author") ?? around.loginName
    let (isForced, isDryRun) = (arguments.has("force"), arguments.has("dry-run"))
    let (outcome, isWaiting, folder) = try await JournalAccess.with(settings) { connection, access in
      let change = try ChangeReplay(registrations: replay).start(
        rid, from: from, author: author, reason: reason, isForced: isForced, isDryRun: isDryRun, on: connection)
      let outcome: Outcome =
        if let change { .change(change) } else {
          .registration(
            try replay.start(
              rid: rid, from: from, author: author, reason: reason, isForced: isForced, isDryRun: isDryRun, on: connection))
        }
      return (outcome, access.isForTheMoment, access.folder ?? settings.data)
    }
    switch outcome {
    case .change(let change): tell(change, isDryRun: isDryRun, around)
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

  private enum Outcome {
    case change(ChangeReplay.Started)
    case registration(Replay.Started)
  }

  private static func tell(_ change: ChangeReplay.Started, isDryRun: Bool, _ around: Surroundings) {
    let what =
      switch change.way {
      case .goAgain: "worked on again"
      case .registration: "waits for its registration, which is run again"
      case .look(let status): "waits for its registration, which is \(status)"
      case .tell(let isForced): isForced ? "its result is told again, to OpenCRVS too" : "its result is told again"
      }
    around.console.out("\(change.key): \(change.kind), go \(change.take): \(what)\(isDryRun ? " (not started)" : "")\n")
    if case .goAgain(let before) = change.way, before > 0 {
      around.console.err("Before it: \(before) of the same record.\n")
    }
    if case .registration(let started) = change.way { tell(started, isDryRun: isDryRun, around) }
  }

  private static func tell(_ started: Replay.Started, isDryRun: Bool, _ around: Surroundings) {
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
}
