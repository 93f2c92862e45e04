import StageRuntime
import System

/// `regproc journey NAME`: the history of a registration, or of a record with all that came of it.
enum JourneyCommand {
  static let command = Command(
    name: "journey", summary: "shows every hop of a registration, and the changes of its record",
    details: """
      NAME is a RID, the AID of a death, correction or reversal, or a registration number of OpenCRVS; a number shows the birth with every
      change of its record, in the order in which they were taken.
      """,
    operands: [Operand(name: "NAME", meaning: "a RID or AID of 29 digits, or a registration number")],
    options: [.flag("json", "everything, as JSON")],
    takesSettings: true, example: "journey 45451454520000120261124080000", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let name = arguments.operands[0]
    let found = try await JournalAccess.with(settings) { connection, _ in try RecordJourney.read(name, on: connection) }
    guard let record = found else {
      throw Failure("\(name) is not known: no stage and no mediator has ever seen it (journal: data folder \(settings.data))")
    }
    if arguments.has("json") {
      around.console.out(record.json.encoded(pretty: true) + [10])
      return 0
    }
    if let journey = record.journey {
      show(journey, around.console)
    } else if let rid = record.rid {
      around.console.out("RID \(rid)  no packet: no stage has seen it\n")
    }
    if !record.changes.isEmpty { around.console.out("\n" + ChangeOutput.text(record.changes, around.console)) }
    return 0
  }

  private static func show(_ journey: Journey, _ console: Console) {
    console.out("RID \(journey.rid)  \(journey.process)  \(journey.status ?? "no status yet")\n\n")
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
    console.out(table.rendered(console))
    for note in journey.leftOut { console.out("\nleft out of the packet: \(note)\n") }
    for transaction in journey.transactionsOfOthers {
      let status = [transaction.statusCode, transaction.subStatusCode].compactMap { $0 }.joined(separator: " ")
      console.out("\nwritten by \(transaction.author) at \(transaction.createdAt.iso): \(transaction.type) \(status)\n")
    }
    for run in journey.runs {
      console.out(
        "\nrun \(run.number): replayed from \(run.fromStage) by \(run.author) at \(run.startedAt.iso)"
          + (run.reason.map { ": \($0)" } ?? "") + "\n")
    }
  }
}

/// How the changes of a record are shown.
enum ChangeOutput {
  static func text(_ changes: [Change], _ console: Console) -> String {
    var table = TextTable(
      head: ["change", "number", "AID", "RID of the person", "status", "take", "taken at", "status since", "result"])
    for change in changes {
      table.rows.append(
        [
          change.kind, change.registrationNumber ?? "-", change.aid ?? "-", change.subjectRid ?? "-",
        ].map { TextTable.Cell($0) }
          + [TextTable.Cell(change.status, colour(change))]
          + [String(change.take), change.takenAt ?? "", change.changedAt.iso, result(change)].map { TextTable.Cell($0) })
    }
    var out = table.rendered(console)
    for change in changes {
      if let release = change.release {
        out += "\n\(change.key): released by \(release.author) at \(release.at): \(release.reason)\n"
      }
      for replay in change.replays {
        out += "\n\(change.key): replayed by \(replay.author) at \(replay.at)\(replay.reason.map { ": \($0)" } ?? "")\n"
      }
      if change.isHeld {
        out += "\n\(change.key): held until a person decides: regproc release \(change.aid ?? change.key) --reason TEXT\n"
      }
    }
    return out
  }

  /// What was done, or why not.
  private static func result(_ change: Change) -> String {
    if let what = change.what { return ([what] + change.changed).joined(separator: " ") }
    return [change.errorCode, change.errorMessage].compactMap { $0 }.joined(separator: " ")
  }

  private static func colour(_ change: Change) -> String? {
    change.isDone ? "32" : change.hasFailed ? "31" : "33"
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
