import Glibc
import Postgres
import StageRuntime

/// `regproc replay RID`: runs a registration again.
enum ReplayCommand {
  static let command = Command(
    name: "replay", summary: "runs a registration again, from a stage",
    details: """
      The history stays; the replay is a new run with its author and reason. Without --from it begins at the stage that stopped the
      registration. Nothing happens twice by it: a RID never gets a second UIN. Refused, unless --force is given: a registration
      that is in flight (its run then ends where it stands) and one that is completed.
      """,
    operands: [Operand(name: "RID", meaning: "the registration id, 29 digits")],
    options: [
      .text("from", "STAGE", "the stage to begin at"), .text("reason", "TEXT", "why, for the journal"),
      .text("author", "NAME", "who (default: the login name)"),
      .flag("force", "also a registration that is in flight or completed"),
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
    let (started, isWaiting, folder) = try await JournalAccess.with(settings) { connection, access in
      (
        try replay.start(
          rid: rid, from: from, author: author, reason: reason, isForced: isForced, isDryRun: isDryRun, on: connection),
        access.isForTheMoment, access.folder ?? settings.data
      )
    }
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
    if isDryRun { return 0 }
    if isWaiting {
      around.console.err("Nothing runs now: it begins with the next start on this data: regproc up --data \(folder)\n")
    } else {
      around.console.err("See it with: regproc journey \(rid)\n")
    }
    return 0
  }
}

extension Surroundings {
  /// Who runs the program.
  var loginName: String { environment["USER"] ?? environment["LOGNAME"] ?? "uid \(getuid())" }
}
