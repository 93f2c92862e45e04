import Operations
import StageRuntime
import System

/// `regproc registrations list`: which registrations are where, since when and why.
enum RegistrationsCommand {
  static let list = Command(
    name: "registrations list", summary: "counts and lists registrations by where they stand",
    details: """
      Counts come first, on standard error: how many stand at which stage with which status and code; then the rows, newest first, or the
      longest waiting first with --waiting-longer-than or --status waiting. All filters that are given must hold. A registration
      stands at the stage that has it or that stopped it; one that went through stands nowhere.

      --status takes MOSIP's registration status (PROCESSING, PROCESSED, FAILED, REJECTED, REPROCESS, PAUSED ...) and: waiting (for its
      moment), sent (on the bus), held (a change of the record waits for a person).
      """,
    options: SelectionOptions.all + [
      .number("limit", "N", 1...RegistrationList.largestPage, "so many rows (default 50)"),
      .text("after", "PLACE", "goes on after a place that the page before named"),
      .flag("wide", "one line a row, as wide as it is"), .flag("json", "one object a line"),
    ], takesSettings: true, example: "registrations list --status FAILED --since 1d", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let selection = try SelectionOptions.read(arguments, settings)
    let (limit, after) = (arguments.integer("limit") ?? 50, arguments.text("after"))
    let list = try await JournalAccess.with(settings) { connection, _ in
      try RegistrationList.read(selection, limit: limit, after: after, on: connection)
    }
    let console = around.console
    if let counts = list.counts { console.err(text(counts, selection)) }
    if arguments.has("json") {
      for row in list.rows { console.out(row.json(at: list.at).encoded() + [10]) }
    } else if arguments.has("wide") {
      if !list.rows.isEmpty { console.out(table(list).rendered(console)) }
    } else {
      for row in list.rows { console.out(text(row, at: list.at, console)) }
    }
    if let next = list.next { console.err("More: --after \(next)\n") }
    return 0
  }

  private static func text(_ counts: RegistrationList.Counts, _ selection: Selection) -> String {
    guard counts.total > 0 else { return "No registrations\(selection.isEverything ? "" : ": \(selection.words)").\n" }
    var out = "\(counts.words) \(selection.words)"
    if counts.isBounded { out += "; + is where counting stopped" }
    out = Lines.wrapped(out, indent: "") + "\n"
    let width = counts.places.map(\.words.count).max() ?? 0
    for place in counts.places {
      let number = place.words
      let words = [place.stage ?? "went through", place.status, place.code ?? (place.stage == nil ? nil : "no code")]
        .compactMap { $0 }.map(Console.visible).joined(separator: "  ")
      out += "  " + String(repeating: " ", count: max(0, width - number.count)) + "\(number)  \(words)\n"
    }
    return out + "\n"
  }

  private static func text(_ row: RegistrationList.Row, at now: Instant, _ console: Console) -> String {
    let place = [row.stage, row.state.map { "(\($0))" }].compactMap { $0 }.joined(separator: " ")
    let first = [row.rid, place.isEmpty ? "went through" : place, row.status].map(Console.visible)
    let second = [
      "  " + (row.code ?? "no code"), "since \(row.since.iso)", row.waits(at: now).map { "waits \(TimeWords.words(seconds: $0))" },
      row.dueAt.map { "due at \($0.iso)" }, row.attempt.map { $0 > 1 ? "try \($0)" : nil } ?? nil, row.kind,
      row.registrationNumber, row.process,
    ].compactMap { $0 }.map(Console.visible)
    return Lines.joined(first, indent: "  ") + Lines.joined(second, indent: "  ")
  }

  private static func table(_ list: RegistrationList) -> TextTable {
    var table = TextTable(head: [
      "RID", "number", "process", "kind", "stage", "state", "status", "code", "since", "waits", "due at",
    ])
    for row in list.rows {
      table.add([
        row.rid, row.registrationNumber ?? "-", row.process, row.kind ?? "-", row.stage ?? "-", row.state ?? "-", row.status,
        row.code ?? "-", row.since.iso, row.waits(at: list.at).map { TimeWords.words(seconds: $0) } ?? "-", row.dueAt?.iso ?? "-",
      ])
    }
    return table
  }
}

/// The filters that commands for many registrations have.
enum SelectionOptions {
  static let all: [Option] = [
    .text("status", "STATUS", "MOSIP's status, or waiting, sent, held"), .text("stage", "STAGE", "only what stands there"),
    .text("code", "CODE", "the sub-status or error code of the last verdict"),
    .text("kind", "KIND", Selection.kinds.joined(separator: ", ")), .text("process", "PROCESS", "e.g. OPENCRVS_NEW"),
    .text("since", "TIME", "moved since then: an ISO moment, a day, or a span such as 2h"),
    .text("waiting-longer-than", "SPAN", "not ended, and without a verdict for so long, e.g. 10m"),
  ]

  /// The selection, checked against the stages and flows of the settings.
  static func read(_ arguments: Arguments, _ settings: Settings) throws -> Selection {
    let (routes, _) = try StageFolder(settings).routes(settings.routesFile)
    return try Selection(stages: Selection.stages(of: routes), processes: routes.flows.map(\.process.value)) { arguments.text($0) }
  }
}

/// Text that fits the 80 columns of a terminal.
enum Lines {
  static let width = 80

  /// Parts with two blanks between them, on as many lines as they need.
  static func joined(_ parts: [String], indent: String) -> String {
    var (out, line) = ("", "")
    for part in parts {
      if line.isEmpty {
        line = part
      } else if line.count + 2 + part.count <= width {
        line += "  " + part
      } else {
        out += cut(line, indent)
        line = indent + part
      }
    }
    return out + cut(line, indent)
  }

  /// Words on as many lines as they need.
  static func wrapped(_ text: String, indent: String) -> String {
    var (out, line) = ("", indent)
    for word in text.split(separator: " ") {
      if line.count > indent.count, line.count + 1 + word.count > width {
        out += cut(line, indent)
        line = indent + word
      } else {
        line += (line.count > indent.count ? " " : "") + word
      }
    }
    return out + cut(line, indent)
  }

  /// A line of one long word goes on in the next one.
  private static func cut(_ line: String, _ indent: String) -> String {
    guard line.count > width else { return line + "\n" }
    return String(line.prefix(width)) + "\n" + cut(indent + line.dropFirst(width), indent)
  }
}
