import JSON
import Operations
import System

/// `regproc reconcile` and `regproc report`: what came of events.
enum OutcomeCommand {
  static let reconcile = Command(
    name: "reconcile", summary: "tells which registered events never arrived, which are on their way, and how the others ended",
    details: """
      FILE has one registration number a line, as the civil registry lists what it registered; lines that begin with # are skipped. Counts
      come first, on standard error. Then come the numbers that did not end as they should: those that never arrived, and those that ended
      in an error or wait for a person. If there are any, the exit code is 1. --all shows every number; so does --json, one object a line.
      """,
    options: [
      .text("file", "NUMBERS", "the file; - for standard input"),
      .text("kind", "KIND", "only events of this kind, e.g. birth or death; a number without one counts as never arrived"),
      .flag("all", "also those that are done or on their way"), .flag("json", "one object a line, for every number"),
    ], takesSettings: true, example: "reconcile --file registered.txt --kind birth", run: runReconcile)

  static let report = Command(
    name: "report", summary: "tells what came of the events that arrived on a day, by kind and outcome",
    details: """
      It shows how things stand now: what was on its way may have ended since. Days are in UTC. Below the counts are births that look like
      one child under two registration numbers: same names, day of birth and gender, and no two mothers whose names differ. At least one
      of them arrived on the day. They are never merged. --csv prints one table: the counts, or with --alike these births.
      """,
    options: [
      .text("day", "DAY", "e.g. 2026-11-24 (default: today)"), .flag("csv", "as comma separated values, with a head"),
      .flag("alike", "only the births that look like one child under two numbers"),
      .flag("json", "as one object"),
    ], takesSettings: true, example: "report --day 2026-11-24 --csv", run: runReport)

  private static func runReconcile(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    guard let file = arguments.text("file") else { throw WrongUse("--file NUMBERS says which", reconcile) }
    let kind = arguments.text("kind")
    if let kind, !Selection.kinds.contains(kind) {
      throw WrongUse(
        "there is no kind \(kind); there are \(Selection.kinds.joined(separator: ", "))", reconcile,
        suggestion: Selection.kinds.nearest(to: kind).map { "--kind \($0)" })
    }
    let numbers = try Reconciliation.numbers(file: file == "-" ? StandardInput.read(limit: 64 << 20) : Files.read(file))
    let (all, isJSON, console) = (arguments.has("all"), arguments.has("json"), around.console)
    let counts = try await JournalAccess.with(settings) { connection, _ in
      var counts: [String: Int] = [:]
      for start in stride(from: 0, to: numbers.count, by: Reconciliation.batch) {
        let part = Array(numbers[start..<min(start + Reconciliation.batch, numbers.count)])
        for outcome in try Reconciliation.outcomes(of: part, kind: kind, on: connection) {
          counts[outcome.word.rawValue, default: 0] += 1
          if isJSON {
            console.out(outcome.json.encoded() + [10])
          } else if all || outcome.isTrouble {
            console.out(line(outcome))
          }
        }
        console.progress("\(min(start + part.count, numbers.count)) of \(numbers.count) numbers")
      }
      console.progress("")
      return counts
    }
    console.err("\(numbers.count) registration numbers\n")
    for word in Outcome.Word.allCases {
      if let count = counts[word.rawValue] { console.err("  \(String(count).padded(to: 8))\(word.rawValue)\n") }
    }
    return Outcome.Word.allCases.contains { $0.isTrouble && counts[$0.rawValue] != nil } ? 1 : 0
  }

  private static func line(_ outcome: Outcome) -> String {
    [outcome.number, outcome.kind, outcome.word.rawValue, outcome.result, outcome.rid].compactMap { $0 }.map(Console.visible)
      .joined(separator: "  ") + "\n"
  }

  private static func runReport(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let day = try DayReport.day(arguments.text("day") ?? String(Instant.now.iso.prefix(10)))
    let report = try await JournalAccess.with(settings) { connection, _ in
      try DayReport.read(from: day, to: day.advanced(bySeconds: 86_400), on: connection)
    }
    let (console, onlyAlike) = (around.console, arguments.has("alike"))
    if arguments.has("json") {
      var json = report.json
      if onlyAlike { json["lines"] = nil }
      console.out(json.encoded(pretty: true) + [10])
    } else if arguments.has("csv") {
      for row in onlyAlike ? alike(report.alike) : counts(report) { console.out(row.map(cell).joined(separator: ",") + "\n") }
    } else {
      if !onlyAlike { show(counts(report), ifNone: "No event arrived on \(day.iso.prefix(10)).", console) }
      show(
        alike(report.alike), under: "Births that look like one child under two numbers, by group:",
        ifNone: onlyAlike ? "No births of \(day.iso.prefix(10)) look like one child under two numbers." : nil, console)
    }
    if report.alike.isCut {
      console.err("There are more births that look like one child: only \(AlikeBirths.most) were looked at.\n")
    }
    return 0
  }

  /// The counts, under their head.
  private static func counts(_ report: DayReport) -> [[String]] {
    [["kind", "outcome", "result", "count"]] + report.lines.map { [$0.kind, $0.word.rawValue, $0.result ?? "", String($0.count)] }
  }

  /// Births that look like one child, a group's one after another, under their head.
  private static func alike(_ births: AlikeBirths) -> [[String]] {
    [["group", "number", "rid", "arrived", "outcome", "result"]]
      + births.groups.enumerated().flatMap { place, group in
        group.map {
          [String(place + 1), $0.number ?? "", $0.rid ?? "", $0.at?.iso ?? "", $0.word.rawValue, $0.result ?? ""]
        }
      }
  }

  /// A table whose first row is its head.
  /// - Parameter none: what is said when there is nothing under the head.
  private static func show(_ rows: [[String]], under title: String? = nil, ifNone none: String?, _ console: Console) {
    guard rows.count > 1 else {
      if let none { console.err(none + "\n") }
      return
    }
    if let title { console.out("\n\(title)\n") }
    var table = TextTable(head: rows[0])
    for row in rows.dropFirst() { table.add(row) }
    console.out(table.rendered(console))
  }

  /// A cell of RFC 4180. What a spreadsheet would take for a formula is quoted with an apostrophe.
  private static func cell(_ text: String) -> String {
    let text = text.first.map("=+-@".contains) == true ? "'" + text : text
    return text.contains { $0 == "," || $0 == "\"" || $0.isNewline } ? "\"\(text.replacing("\"", with: "\"\""))\"" : text
  }
}

extension Outcome {
  var isTrouble: Bool { word.isTrouble }
}

extension Outcome.Word {
  /// Whether somebody must look at it.
  var isTrouble: Bool { [.neverArrived, .held, .parked, .error].contains(self) }
}
