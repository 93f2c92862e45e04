import StageRuntime
import System

/// `regproc journey RID`: the history of a registration.
enum JourneyCommand {
  static let command = Command(
    name: "journey", summary: "shows every hop of a registration",
    operands: [Operand(name: "RID", meaning: "the registration id, 29 digits")], options: [.flag("json", "everything, as JSON")],
    takesSettings: true, example: "journey 45451454520000120261124080000", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let rid = arguments.operands[0]
    let found = try await JournalAccess.with(settings) { connection, _ in try Journey.read(rid: rid, on: connection) }
    guard let journey = found else {
      throw Failure("RID \(rid) is not known: no stage has ever seen it (journal: data folder \(settings.data))")
    }
    if arguments.has("json") {
      around.console.out(journey.json.encoded(pretty: true) + [10])
      return 0
    }
    around.console.out("RID \(rid)  \(journey.process)  \(journey.status ?? "no status yet")\n\n")
    var table = TextTable(head: ["run", "try", "stage", "verdict", "status", "ms", "done at", "went to", "comment"])
    for hop in journey.hops {
      let verdict = hop.verdict ?? hop.state
      let moment = hop.doneAt ?? hop.notBefore ?? hop.decidedAt
      table.rows.append(
        [String(hop.run), String(hop.attempt), hop.stage].map { TextTable.Cell($0) }
          + [TextTable.Cell(verdict, VerdictMark.colour(verdict))]
          + [
            [hop.statusCode, hop.subStatusCode].compactMap { $0 }.joined(separator: " "),
            hop.milliseconds.map { String(Int($0.rounded())) } ?? "", moment.iso, hop.destinations ?? "", hop.comment ?? "",
          ].map { TextTable.Cell($0) })
    }
    around.console.out(table.rendered(around.console))
    for note in journey.leftOut { around.console.out("\nleft out of the packet: \(note)\n") }
    for transaction in journey.transactionsOfOthers {
      let status = [transaction.statusCode, transaction.subStatusCode].compactMap { $0 }.joined(separator: " ")
      around.console.out("\nwritten by \(transaction.author) at \(transaction.createdAt.iso): \(transaction.type) \(status)\n")
    }
    for run in journey.runs {
      around.console.out(
        "\nrun \(run.number): replayed from \(run.fromStage) by \(run.author) at \(run.startedAt.iso)"
          + (run.reason.map { ": \($0)" } ?? "") + "\n")
    }
    return 0
  }
}

/// How a verdict is shown.
enum VerdictMark {
  static func colour(_ verdict: String) -> String? {
    switch verdict {
    case "passed": "32"
    case "failed", "error": "31"
    case "retry", "waiting", "sent": "33"
    default: nil
    }
  }

  /// A sign of one character for a verdict.
  static func sign(_ verdict: String) -> String {
    switch verdict {
    case "passed": "✓"
    case "failed", "error": "✗"
    case "": "–"
    default: "…"
    }
  }
}
