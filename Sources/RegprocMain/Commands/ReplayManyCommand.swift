import Glibc
import JSON
import Operations
import Postgres
import StageRuntime
import Synchronization
import System

/// `regproc replay` of many, and the jobs that come of it.
enum ReplayManyCommand {
  static let options: [Option] = [
    .text("file", "FILE", "a file with a RID or registration number on each line"),
    .text("status", "STATUS", "those with this status, e.g. FAILED"), .text("stage", "STAGE", "those that stand at this stage"),
    .text("code", "CODE", "those whose last verdict has this code"), .text("kind", "KIND", "e.g. birth, death, birth-correction"),
    .text("process", "PROCESS", "those of this process; of RIDs and files: refuse any other"),
    .text("since", "TIME", "those that moved since then: 2026-11-24T08:00:00Z, or a span such as 2h"),
    Option(name: "rate", value: "N/s", meaning: "at most so many, e.g. 50/s or 30/m") {
      ReplayRequest.rate($0) == nil ? "a number above 0 with /s, /m or /h, e.g. 50/s" : nil
    },
    .number("limit", "N", 1...100_000_000, "at most so many"), .flag("yes", "do not ask"),
    .flag("skip-bad", "send the rest when some names cannot be used"),
  ]
  private static let filters = ["status", "stage", "code", "kind", "since"]

  static let jobs = Command(
    name: "replay jobs", summary: "lists replays of many",
    options: [
      .number("limit", "N", 1...100_000, "at most so many, the newest first (default: 50)"), .flag("json", "one object a line"),
    ],
    takesSettings: true, example: "replay jobs", run: runJobs)

  static let show = Command(
    name: "replay show", summary: "shows a replay of many, and what it refused",
    operands: [Operand(name: "ID", meaning: "its number")],
    options: [
      .number("limit", "N", 1...100_000, "at most so many that were refused (default: 50)"), .flag("json", "all of it, as JSON"),
    ], takesSettings: true, example: "replay show 7", run: runShow)

  static let resume = Command(
    name: "replay resume", summary: "goes on with a replay of many where it was interrupted",
    operands: [Operand(name: "ID", meaning: "its number")], takesSettings: true, example: "replay resume 7", run: runResume)

  static let cancel = Command(
    name: "replay cancel", summary: "ends a replay of many; what was started goes on",
    operands: [Operand(name: "ID", meaning: "its number")],
    options: [
      .text("reason", "TEXT", "why"), .text("author", "NAME", "who (default: REGPROC_AUTHOR, else the login name)"),
    ], takesSettings: true, example: "replay cancel 7", run: runCancel)

  // MARK: making a job

  static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let request = try request(arguments, settings)
    let who = Operator(arguments.text("author") ?? around.loginName, reason: arguments.text("reason"))
    let replays = try ReplayCommand.replays(settings)
    let (isSure, isDryRun) = (arguments.has("yes"), arguments.has("dry-run"))
    guard isSure || isDryRun || around.canAsk else {
      throw Failure(
        "there is no terminal to ask you at, so nothing was sent: confirm with --yes, or look with --dry-run")
    }
    return try await JournalAccess.with(settings) { connection, access in
      let preview = try replays.make(request, by: who, isDryRun: true, on: connection)
      show(preview, request, around.console)
      if isDryRun {
        around.console.err("Nothing was sent.\n")
        return 0
      }
      if !isSure, !around.agrees(to: "Run \(preview.count == 1 ? "it" : "them") again? [y/N] ") {
        around.console.err("Nothing was sent.\n")
        return 1
      }
      // Up to here Ctrl-C just ends the command: nothing was made.
      let signals = Signals(around.console)
      // Not more than were asked about.
      var request = request
      request.limit = preview.count
      let worker = name()
      guard let id = try replays.make(request, by: who, for: worker, on: connection).id else { return 1 }
      return try work(id, replays, worker: worker, signals, connection, access, around)
    }
  }

  private static func request(_ arguments: Arguments, _ settings: Settings) throws -> ReplayRequest {
    let given = filters.filter { arguments.has($0) }
    let hasNames = !arguments.operands.isEmpty || arguments.has("file")
    if hasNames, let filter = given.first {
      throw WrongUse("--\(filter) is a filter: give it without RIDs and file, or leave it out", ReplayCommand.command)
    }
    if !arguments.operands.isEmpty, arguments.has("file") {
      throw WrongUse("RIDs stand on the command line or in the file, not in both", ReplayCommand.command)
    }
    let what: ReplayRequest.What
    if let file = arguments.text("file") {
      what = .names(ReplayRequest.names(file: try Files.read(file)))
    } else if hasNames {
      what = .names(arguments.operands.enumerated().map { ReplayRequest.Name(line: $0.offset + 1, text: $0.element) })
    } else {
      what = .selection(try SelectionOptions.read(arguments, settings))
    }
    return ReplayRequest(
      what, process: hasNames ? arguments.text("process") : nil, from: arguments.text("from"), isForced: arguments.has("force"),
      rate: arguments.text("rate").flatMap(ReplayRequest.rate), limit: arguments.integer("limit"),
      skipsBad: arguments.has("skip-bad"), meansEverything: arguments.has("yes"))
  }

  private static func show(_ made: Replays.Made, _ request: ReplayRequest, _ console: Console) {
    var table = TextTable(head: ["count", "stage", "code"])
    for standing in made.standing { table.add([String(standing.count), standing.stage, standing.code]) }
    console.out(table.rendered(console))
    let from = request.from.map { " from \($0)" } ?? ""
    let leftOut = made.leftOut > 0 ? "; \(made.leftOut) that cannot be used left out" : ""
    console.err("\(made.count) selected\(from)\(request.isForced ? ", by force" : "")\(leftOut).\n")
  }

  private static func name() -> String { "command-\(getpid())-\(SecureRandom.uuid())" }

  // MARK: working on it

  private static func work(
    _ id: Int, _ replays: Replays, worker: String, _ signals: Signals, _ connection: Connection, _ access: JournalAccess,
    _ around: Surroundings
  ) throws -> Int32 {
    let console = around.console
    let before = try ReplayJob.read(id, on: connection)
    let done = (before.counts?.total ?? 0) - (before.counts?.open ?? 0)
    // Where nothing runs, nothing is starved, and nothing would ever make room.
    var replays = replays
    if access.isForTheMoment { replays.limits.backlog = .max }
    let runner = ReplayRunner(
      replays, worker: worker, isStopping: { signals.isStopping },
      tell: { progress in
        console.progress(bar(done + progress.started + progress.refused, of: before.total, progress))
      })
    let end = try runner.work(id, on: connection)
    console.progress("")
    let job = try ReplayJob.read(id, on: connection)
    switch end {
    case .stopped:
      try ReplayJob.interrupt(id, on: connection)
      console.err(
        "Interrupted: \(job.counts?.open ?? 0) of \(job.total) are not done. Go on: regproc replay resume \(id); "
          + "end it: regproc replay cancel \(id)\n")
      return 1
    case .lost: console.err("Somebody else works on it now: regproc replay show \(id)\n")
    case .cancelled: console.err("Somebody cancelled it.\n")
    case .done, .failed: break
    }
    try summary(job, connection, console)
    if access.isForTheMoment {
      console.err("Nothing runs now: they begin with the next start on this data: regproc up --data \(access.folder ?? "FOLDER")\n")
    }
    return end == .done && (job.counts?.refused ?? 0) == 0 ? 0 : 1
  }

  private static func bar(_ done: Int, of total: Int, _ progress: ReplayRunner.Progress) -> String {
    let width = 30
    let filled = total == 0 ? width : min(width, width * done / total)
    let words =
      progress.waitsForBacklog ? "  waits: enough is under way" : progress.refused > 0 ? "  \(progress.refused) refused" : ""
    return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: width - filled) + "] \(done)/\(total)"
      + words
  }

  private static func summary(_ job: ReplayJob, _ connection: Connection, _ console: Console, limit: Int = 50) throws {
    let counts = job.counts ?? ReplayJob.Counts()
    var parts = ["\(counts.started) run again", "\(counts.refused) refused"]
    if counts.open > 0 { parts.append("\(counts.open) to be done") }
    if counts.cancelled > 0 { parts.append("\(counts.cancelled) cancelled") }
    console.out(
      "Replay job \(job.id), \(job.state)\(job.isPaused && job.state == "open" ? " (interrupted)" : ""): "
        + parts.joined(separator: ", ") + "\n")
    let refused = try ReplayJob.refused(job.id, limit: limit, on: connection)
    for refusal in refused { console.out("\(Console.visible(refusal.rid))  \(refusal.code)\n") }
    for code in Set(refused.map(\.code)).sorted() {
      if let first = refused.first(where: { $0.code == code }) { console.err("\(code), e.g.: \(Console.visible(first.message))\n") }
    }
    if counts.refused > refused.count {
      console.err("\(counts.refused - refused.count) more were refused: regproc replay show \(job.id) --limit \(counts.refused)\n")
    }
  }

  // MARK: jobs

  private static func runJobs(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let limit = arguments.integer("limit") ?? 50
    let jobs = try await JournalAccess.with(settings) { connection, _ in try ReplayJob.list(limit: limit, on: connection) }
    if arguments.has("json") {
      for job in jobs { around.console.out(job.json.encoded() + [10]) }
    } else if jobs.isEmpty {
      around.console.err("There is no replay job.\n")
    } else {
      var table = TextTable(head: ["id", "state", "RIDs", "made at", "author", "selection"])
      for job in jobs {
        let state = job.state == "open" ? job.worker != nil ? "runs" : job.isPaused ? "interrupted" : "waits" : job.state
        table.add(
          [
            String(job.id), state, String(job.total), String(job.createdAt.iso.prefix(16)), String(job.author.prefix(12)),
            String(job.selection.prefix(26)),
          ])
      }
      around.console.out(table.rendered(around.console))
    }
    return 0
  }

  private static func runShow(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (id, limit, wantsJSON) = (try id(arguments, show), arguments.integer("limit") ?? 50, arguments.has("json"))
    try await JournalAccess.with(settings) { connection, _ in
      let job = try ReplayJob.read(id, on: connection)
      if wantsJSON {
        var json = job.json
        json["refused"] = .array(try ReplayJob.refused(id, limit: limit, on: connection).map(\.json))
        around.console.out(json.encoded(pretty: true) + [10])
        return
      }
      around.console.out(
        "\(Console.visible(job.selection))\nmade by \(Console.visible(job.author)) at \(job.createdAt.iso)"
          + (job.reason.map { ": \(Console.visible($0))" } ?? "") + "\n")
      if let worker = job.worker { around.console.out("worked on by \(Console.visible(worker))\n") }
      try summary(job, connection, around.console, limit: limit)
    }
    return 0
  }

  private static func runResume(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let id = try id(arguments, resume)
    let replays = try ReplayCommand.replays(settings)
    let signals = Signals(around.console)
    return try await JournalAccess.with(settings) { connection, access in
      try work(id, replays, worker: name(), signals, connection, access, around)
    }
  }

  private static func runCancel(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let id = try id(arguments, cancel)
    let who = Operator(arguments.text("author") ?? around.loginName, reason: arguments.text("reason"))
    let left = try await JournalAccess.with(settings) { connection, _ in try ReplayJob.cancel(id, by: who, on: connection) }
    around.console.out("Replay job \(id): cancelled, \(left) not done\n")
    return 0
  }

  private static func id(_ arguments: Arguments, _ command: Command) throws -> Int {
    guard let id = Int(arguments.operands[0]) else { throw WrongUse("the number of a replay job is a whole number", command) }
    return id
  }
}
