import Kafka
import Operations
import Routing
import StageKit
import StageRuntime
import System

/// What is done from Kafka's topics when the journal is lost: `regproc journal rebuild`, and `replay RID --from-log`.
enum JournalCommand {
  static let rebuild = Command(
    name: "journal rebuild", summary: "fills a lost journal with what Kafka's topics tell",
    details: """
      For every RID on the topics of the route file's stages it writes the hops, the row in regprc.registration, and what is open, which
      then goes on. It sends nothing. A second run adds nothing, and stages may run meanwhile. While it works, the database needs room for
      a copy of the records of that time. What topics cannot tell is counted.
      """,
    options: [
      .text("since", "TIME", "records since then: 2026-11-24T08:00:00Z, or a span such as 2h (default: 7d)"),
      .flag("dry-run", "say what would be written, and write nothing"), .flag("json", "the summary as JSON"), .reason, .author,
    ], takesSettings: true, example: "journal rebuild --since 7d --reason 'the journal was on the lost disk'", run: runRebuild)

  private static func runRebuild(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let log = try Log(arguments, settings)
    let who = Operator(arguments.text("author") ?? around.loginName, reason: arguments.text("reason"))
    let (isDryRun, wantsJSON) = (arguments.has("dry-run"), arguments.has("json"))
    let signals = Signals(around.console)
    let summary = try await JournalAccess.with(settings) { connection, _ in
      let rebuild = JournalRebuild(
        routes: log.routes, stages: log.stages, isStopping: { signals.isStopping },
        tell: { if case .writing(let count) = $0 { around.console.progress("\(count) registrations rebuilt") } })
      return try JournalRebuilding.run(
        rebuild, log.scan(signals, around.console), by: who, isDryRun: isDryRun, on: connection)
    }
    around.console.progress("")
    if wantsJSON {
      around.console.out(summary.json.encoded() + [10])
    } else {
      tell(summary, isDryRun: isDryRun, around.console)
    }
    return 0
  }

  private static func tell(_ summary: JournalRebuild.Summary, isDryRun: Bool, _ console: Console) {
    var table = TextTable(head: ["topic", "records", "no messages"])
    for topic in summary.topics where topic.records > 0 {
      table.add([topic.name, String(topic.records), String(topic.unreadable)])
    }
    console.out(table.rendered(console))
    console.out(
      "\(summary.registrations) registrations: \(summary.done) hops done, \(summary.open) go on, \(summary.superseded) superseded\(isDryRun ? " (not written)" : "")\n"
    )
    for (what, count) in summary.untold.sorted(by: { $0.key < $1.key }) { console.err("Not told: \(count) \(what)\n") }
  }

  /// `replay RID --from-log`.
  static func replay(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let others = ReplayManyCommand.options.map(\.name).filter { $0 != "since" && $0 != "yes" && arguments.has($0) }
    guard arguments.operands.count == 1, others.isEmpty, !arguments.has("from") else {
      throw WrongUse("--from-log takes one RID, with --since, --dry-run, --force, --reason and --author", ReplayCommand.command)
    }
    let rid = arguments.operands[0]
    guard Replays.isRID(rid) else { throw WrongUse("--from-log: \(Replays.noRID)", ReplayCommand.command) }
    let settings = try Settings(arguments, around)
    let log = try Log(arguments, settings)
    let replays = try ReplayCommand.replays(settings)
    let who = Operator(arguments.text("author") ?? around.loginName, reason: arguments.text("reason"))
    let (isForced, isDryRun) = (arguments.has("force"), arguments.has("dry-run"))
    let signals = Signals(around.console)
    let found = try await JournalAccess.with(settings) { connection, _ in
      try replays.startFromLog(
        rid, scan: log.scan(signals, around.console), by: who, isForced: isForced, isDryRun: isDryRun, on: connection)
    }
    around.console.progress("")
    around.console.err(
      "Found on \(found.record.topic), partition \(found.record.partition), offset \(found.record.offset), of \(found.record.at.iso).\n"
    )
    for started in found.started { ReplayCommand.tell(started, isDryRun: isDryRun, around) }
    if !isDryRun { around.console.err("See it with: regproc journey \(rid)\n") }
    return 0
  }

  /// The topics that are read, and by which route file.
  private struct Log: Sendable {
    var routes: RouteFile
    var stages: [StageDefinition]
    var kafka: KafkaSettings
    var since: Instant

    init(_ arguments: Arguments, _ settings: Settings) throws {
      guard let kafka = try settings.kafka() else { throw LogTopics.missing }
      let folder = try StageFolder(settings)
      (routes, stages, self.kafka) = (try folder.routes(settings.routesFile).0, folder.stages, kafka)
      since = try TimeWords.moment(arguments.text("since") ?? LogTopics.defaultSpan, named: "since")
    }

    func scan(_ signals: Signals, _ console: Console) -> LogScan {
      LogScan(
        routes, kafka: kafka, since: since, isStopping: { signals.isStopping },
        tell: { progress in
          console.progress("\(progress.percent) %  \(progress.records) records read, \(progress.rate)/s")
        })
    }
  }
}
