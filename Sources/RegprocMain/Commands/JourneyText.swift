import Operations
import StageRuntime
import System

/// How a registration is shown to a person, in 80 columns.
enum JourneyText {
  /// What it is.
  static func head(_ view: RegistrationView) -> String {
    guard let journey = view.record.journey else {
      return view.record.rid.map { "RID \(Console.visible($0))  no packet: no stage has seen it\n" } ?? ""
    }
    let number = view.registrationNumber.map { "number \($0)" }
    return Lines.joined(
      ["RID \(journey.rid)", journey.process, journey.status ?? "no status yet", number].compactMap { $0 }.map(Console.visible),
      indent: "    ")
  }

  /// What happened, in order; a block of lines for each thing, which stays the same once it is there.
  static func blocks(_ view: RegistrationView, _ console: Console) -> [String] {
    var out: [String] = []
    if let journey = view.record.journey { out += hops(journey, console) }
    let work = view.work.sorted { ($0.doneAt ?? $0.createdAt) < ($1.doneAt ?? $1.createdAt) }
    out += work.map { Self.work($0, console) }
    for change in view.record.changes { out.append(ChangeOutput.text(change, console)) }
    out += notes(view)
    return out
  }

  /// What happens next, and when.
  static func ahead(_ view: RegistrationView) -> String {
    if view.next.isEmpty {
      guard let status = view.record.journey?.status else { return "" }
      return view.hasEnded ? "ended: \(Console.visible(status))\n" : "next: unknown; nothing of it is under way here\n"
    }
    let end = view.hasEnded ? view.record.journey?.status.map { "ended: \(Console.visible($0))\n" } ?? "" : ""
    return end
      + view.next.map { next in
        let attempt = next.attempt.map { $0 > 1 ? " (try \($0))" : "" } ?? ""
        return Lines.wrapped(
          "next: \(Console.visible(next.words))\(next.at.map { " at \(moment($0))" } ?? "")\(attempt)", indent: "")
      }.joined()
  }

  /// As `12:03:04`, with the day where it is not today's.
  private static func moment(_ moment: Instant) -> String {
    let (day, time) = (moment.iso.prefix(10), moment.iso.dropFirst(11).prefix(8))
    return day == Instant.now.iso.prefix(10) ? String(time) : "\(day) \(time)"
  }

  private static func hops(_ journey: Journey, _ console: Console) -> [String] {
    var (out, day, run): ([String], Substring, Int) = ([], "", 1)
    for hop in journey.hops {
      var block = ""
      if hop.run != run { block += runLines(journey.runs.first { $0.number == hop.run }, hop.run) }
      run = hop.run
      let moment = hop.doneAt ?? hop.notBefore ?? hop.decidedAt
      if moment.iso.prefix(10) != day { block += "\(moment.iso.prefix(10))\n" }
      day = moment.iso.prefix(10)
      out.append(block + line(hop, console))
    }
    return out
  }

  /// e.g. `12:03:04.123  packet-validator  passed  24 ms, waited 1 s, try 2`, and below it what the stage said.
  private static func line(_ hop: Journey.Hop, _ console: Console) -> String {
    let moment = hop.doneAt ?? hop.notBefore ?? hop.decidedAt
    let verdict = hop.verdict ?? hop.state
    var facts: [String] = []
    if let milliseconds = hop.milliseconds { facts.append("\(Int(saturating: milliseconds.rounded())) ms") }
    if let taken = hop.takenAt, taken > hop.decidedAt { facts.append("waited \(span(taken.seconds(since: hop.decidedAt)))") }
    if hop.attempt > 1 { facts.append("try \(hop.attempt)") }
    let colour = VerdictMark.colour(verdict)
    // Padding counts characters that are seen.
    let shown = (colour.map { console.painted(verdict, $0) } ?? verdict) + String(repeating: " ", count: max(0, 10 - verdict.count))
    let stage = Console.visible(hop.stage)
    var out = "\(moment.iso.dropFirst(11).prefix(12))  \(stage.padded(to: 23))  \(shown)\(facts.joined(separator: ", "))"
    while out.last == " " { out.removeLast() }
    out += "\n"
    let said = [hop.statusCode, hop.subStatusCode].compactMap { $0 }.joined(separator: " ")
    let comment = hop.comment.map { said.isEmpty ? $0 : ": \($0)" } ?? ""
    if !(said + comment).isEmpty { out += Lines.wrapped(Console.visible(said + comment), indent: "    ") }
    if let to = hop.destinations, !to.isEmpty { out += Lines.wrapped("went to " + Console.visible(to), indent: "    ") }
    return out
  }

  /// A wait as a person reads it.
  private static func span(_ seconds: Double) -> String {
    seconds < 1 ? "\(Int(saturating: seconds * 1000)) ms" : TimeWords.words(seconds: Int(saturating: seconds))
  }

  private static func runLines(_ run: Journey.Run?, _ number: Int) -> String {
    guard let run else { return "run \(number)\n" }
    let text = "run \(number): replayed from \(run.fromStage) by \(run.author) at \(run.startedAt.iso)"
    return Lines.wrapped(Console.visible(text + (run.reason.map { ": \($0)" } ?? "")), indent: "")
  }

  private static func work(_ work: RegistrationView.Work, _ console: Console) -> String {
    let colour = work.state == "done" ? "32" : work.state == "open" ? "33" : "31"
    let moment = work.doneAt ?? work.createdAt
    let attempt = work.attempt > 1 ? ", try \(work.attempt)" : ""
    var out = "\(moment.iso.dropFirst(11).prefix(12))  \(Console.visible(work.stage).padded(to: 23))  "
    out += console.painted(work.state, colour) + String(repeating: " ", count: max(0, 10 - work.state.count))
    out += "\(Console.visible(work.kind))\(attempt)\n"
    let failure = [work.failureCode, work.failure].compactMap { $0 }.joined(separator: " ")
    if !failure.isEmpty { out += Lines.wrapped(Console.visible(failure), indent: "    ") }
    return out
  }

  private static func notes(_ view: RegistrationView) -> [String] {
    var out: [String] = []
    func note(_ text: String) { out.append(Lines.wrapped(Console.visible(text), indent: "")) }
    for text in view.record.journey?.leftOut ?? [] { note("left out of the packet: \(text)") }
    for transaction in view.record.journey?.transactionsOfOthers ?? [] {
      let status = [transaction.statusCode, transaction.subStatusCode].compactMap { $0 }.joined(separator: " ")
      note("written by \(transaction.author) at \(transaction.createdAt.iso):")
      out[out.count - 1] += Lines.wrapped(Console.visible("\(transaction.type) \(status)"), indent: "    ")
    }
    for letter in view.deadLetters {
      note("dead letter \(letter.id) of \(letter.stage) at \(letter.createdAt.iso): \(letter.code) \(letter.reason)")
    }
    for record in view.unsent {
      note("waits for \(record.topic) since \(record.createdAt.iso)\(record.refusal.map { ": refused, \($0)" } ?? "")")
    }
    if let erased = view.erased {
      note("erased on \(erased.at.iso) by \(erased.author)\(view.erasedReason.map { " because: \($0)" } ?? "")")
    }
    for entry in view.operations ?? [] {
      note("\(entry.operation) by \(entry.author) at \(entry.at.iso)\(entry.reason.map { ": \($0)" } ?? "")")
    }
    return out
  }

  /// One line a hop, as wide as it is.
  static func wide(_ view: RegistrationView, _ console: Console) -> String {
    var out = head(view)
    if let journey = view.record.journey {
      var table = TextTable(head: ["run", "try", "stage", "verdict", "status", "ms", "done at", "went to", "comment"])
      for hop in journey.hops {
        let verdict = hop.verdict ?? hop.state
        let moment = hop.doneAt ?? hop.notBefore ?? hop.decidedAt
        table.rows.append(
          [String(hop.run), String(hop.attempt), hop.stage].map { TextTable.Cell($0) }
            + [TextTable.Cell(verdict, VerdictMark.colour(verdict))]
            + [
              [hop.statusCode, hop.subStatusCode].compactMap { $0 }.joined(separator: " "),
              hop.milliseconds.map { String(Int(saturating: $0.rounded())) } ?? "", moment.iso, hop.destinations ?? "",
              hop.comment ?? "",
            ].map { TextTable.Cell($0) })
      }
      out += "\n" + table.rendered(console)
      for run in journey.runs { out += runLines(run, run.number) }
    }
    out += view.work.map { work($0, console) }.joined()
    for change in view.record.changes { out += ChangeOutput.text(change, console) }
    return out + notes(view).joined()
  }
}

/// How a change of a record is shown.
enum ChangeOutput {
  static func text(_ change: Change, _ console: Console) -> String {
    let status = change.status
    let colour = change.isDone ? "32" : change.hasFailed ? "31" : "33"
    var out = "\(change.changedAt.iso.prefix(19))Z  \(Console.visible(change.kind).padded(to: 20))  "
    out += console.painted(Console.visible(status), colour) + (change.take > 1 ? "  go \(change.take)\n" : "\n")
    let about = [
      change.registrationNumber.map { "number \($0)" }, change.aid.map { "AID \($0)" },
      change.subjectRid.map { "RID of the person \($0)" }, change.takenAt.map { "taken at \($0)" },
    ].compactMap { $0 }.map(Console.visible)
    if let first = about.first { out += Lines.joined(["    " + first] + about.dropFirst(), indent: "    ") }
    let result = result(change)
    if !result.isEmpty { out += Lines.wrapped(Console.visible(result), indent: "    ") }
    func note(_ text: String) { out += Lines.wrapped(Console.visible(text), indent: "    ") }
    if let release = change.release { note("released by \(release.author) at \(release.at): \(release.reason)") }
    for replay in change.replays { note("replayed by \(replay.author) at \(replay.at)\(replay.reason.map { ": \($0)" } ?? "")") }
    if change.isHeld {
      note("held until a person decides:")
      out += "    regproc release \(Console.visible(change.aid ?? change.key)) --reason TEXT\n"
    }
    return out
  }

  /// What was done, or why not.
  private static func result(_ change: Change) -> String {
    if let what = change.what { return ([what] + change.changed).joined(separator: " ") }
    return [change.errorCode, change.errorMessage].compactMap { $0 }.joined(separator: " ")
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
