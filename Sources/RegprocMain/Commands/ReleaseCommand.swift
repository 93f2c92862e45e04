import Operations
import System

/// `regproc release KEY`: lets a change go on that policy holds.
enum ReleaseCommand {
  static let command = Command(
    name: "release", summary: "lets a reversal or revocation that policy holds go on",
    details: """
      By default no death is reversed and no birth revoked before a person has looked into it: such events end as Held. This gives one of
      them its next go, with your name and reason, after whatever else waits for the same record.
      """,
    operands: [Operand(name: "KEY", meaning: "the work key, the AID, or a registration number of which one change is held")],
    options: [
      .neededReason,
      .text("author", "NAME", "who (default: REGPROC_AUTHOR, else the login name)"),
      .flag("dry-run", "say what would be done, and do nothing"),
    ], takesSettings: true, example: "release 2026D0000123 --reason 'court order 12/2026'", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    guard let reason = arguments.text("reason") else {
      throw WrongUse("--reason is missing: why is it let go on?", command)
    }
    let settings = try Settings(arguments, around)
    let (name, isDryRun) = (arguments.operands[0], arguments.has("dry-run"))
    let author = arguments.text("author") ?? around.loginName
    let (released, isWaiting, folder) = try await JournalAccess.with(settings) { connection, access in
      (
        try Held.releaseChange(name, by: Operator(author, reason: reason), isDryRun: isDryRun, on: connection),
        access.isForTheMoment,
        access.folder ?? settings.data
      )
    }
    around.console.out("\(released.key): \(released.kind), go \(released.take)\(isDryRun ? " (not released)" : "")\n")
    if released.before > 0 {
      around.console.err("Before it: \(released.before) of the same record.\n")
    }
    if isDryRun { return 0 }
    if isWaiting {
      around.console.err("Nothing runs now: it begins with the next start on this data: regproc up --data \(folder)\n")
    } else {
      around.console.err("See it with: regproc journey \(released.aid ?? released.key)\n")
    }
    return 0
  }
}
