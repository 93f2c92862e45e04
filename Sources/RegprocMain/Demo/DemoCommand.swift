import Postgres
import Routing
import StageKit
import StageRuntime
import StandIn
import System

/// `regproc demo`: the whole way of some events, before the eyes of a person.
enum DemoCommand {
  static let command = Command(
    name: "demo", summary: "sends events through the whole pipeline, shows what became of each, and stops",
    details: """
      Everything runs in this process, with a stand-in for OpenCRVS beside it: webhooks come in signed, over HTTP, and the UIN tokens go
      back the same way. FILEs are webhook bodies as OpenCRVS sends them, each of the kind that its topic says. Without any, events are made
      up: births, then deaths, corrections, a death corrected, one reversed, a birth revoked, and events that must end in a named error.
      What policy holds until a person decides is released, as `regproc release` does it.
      With --opencrvs the stand-in is of that release, and sends what it sends: 1.8 and later ask before they register, wait for the
      answer, and tell of corrections; 2.0 of revocations too. A kind that the release tells nobody of ends with exit code 2.
      With --to nothing is started: the events go to a pipeline that runs elsewhere, whose OpenCRVS this is at --listen.
      Exit code 0 only when every event ended as it should.
      """,
    operands: [Operand(name: "FILE", meaning: "webhook bodies as OpenCRVS sends them", isRequired: false, isRepeatable: true)],
    options: [
      .number("births", "N", 1...100_000, "so many made-up births, and nothing else but FILEs"),
      Option(
        name: "kind", value: "KIND", meaning: "one kind alone, with what must come before it: \(kinds.joined(separator: ", "))",
        check: { kinds.contains($0) ? nil : "one of \(kinds.joined(separator: ", "))" }),
      Option(
        name: "opencrvs", value: "RELEASE",
        meaning: "which OpenCRVS sends: \(releases.joined(separator: ", ")) (default: webhooks of all kinds)",
        check: { releases.contains($0) ? nil : "one of \(releases.joined(separator: ", "))" }),
      .number("seed", "N", 0...1_000_000_000, "the same seed makes the same people (default: 1)"),
      .number("timeout", "SECONDS", 1...86_400, "how long to wait for the answers (default: 120)"),
      .text(
        "to", "URL",
        "the /webhooks of a pipeline that runs elsewhere, whose database and secret the settings name; deploy/compose has one"),
      Option(
        name: "listen", value: "HOST:PORT",
        meaning: "with --to: where that pipeline finds OpenCRVS by its opencrvs-url and locations-url (default: 127.0.0.1:5050)",
        check: { address($0) == nil ? "HOST:PORT" : nil }),
      .text("secret-file", "FILE", "with --to: the secret that OpenCRVS signs with (default: of the data folder)"),
      .flag("json", "one object a line for each event, instead of the table"),
      .flag("reveal", "shows the UIN tokens in full"), .flag("keep", "stays up after the report, until Ctrl-C"),
    ], takesSettings: true, example: "demo --kind birth-correction --opencrvs 2.0", run: run)

  private static let kinds = DemoEvent.Kind.allCases.map(\.rawValue) + ["error"]

  private static let releases = DemoRelease.allCases.map(\.rawValue)

  /// The release that is played; nil for webhooks of all kinds, those of our own topics too.
  private static func release(_ arguments: Arguments) throws -> DemoRelease? {
    guard let release = arguments.text("opencrvs").flatMap({ DemoRelease(rawValue: $0) }) else { return nil }
    let kind = arguments.text("kind").flatMap { DemoEvent.Kind(rawValue: $0) }
    if let why = kind.flatMap({ release.refusal(of: $0) }) { throw WrongUse(why, command) }
    guard release.asks else { return release }
    if !arguments.operands.isEmpty {
      throw WrongUse("FILEs are webhook bodies, and OpenCRVS \(release.rawValue) is played with made-up records alone", command)
    }
    if arguments.has("to") {
      throw WrongUse(
        "--to sends webhooks; OpenCRVS \(release.rawValue) waits for answers at an address of its own, and is played before a pipeline "
          + "in this process alone", command)
    }
    return release
  }

  /// What is sent: files, and what is made up.
  private static func events(_ arguments: Arguments, _ release: DemoRelease?) throws -> [DemoEvent] {
    let files = DemoEvent.inWaves(try arguments.operands.map { try DemoEvent(file: $0) })
    let (kind, count) = (arguments.text("kind"), arguments.integer("births"))
    if kind != nil, count != nil { throw WrongUse("--births makes births alone; --kind brings the births that it needs", command) }
    let seed = UInt64(arguments.integer("seed") ?? 1)
    if let count {
      var samples = SampleBirths(seed: seed, run: try SampleCommand.runName(nil), year: SampleCommand.birthYear)
      return files + (release ?? .v1_6).events(samples.make(count))
    }
    if !files.isEmpty { return try files.map { try checked($0, kind) } }
    let samples = SampleEvents(seed: seed, run: try SampleCommand.runName(nil), year: SampleCommand.birthYear, at: .now)
    let topic = kind.flatMap { DemoEvent.Kind(rawValue: $0)?.topic }
    let made = kind == nil ? samples.all() : samples.only(topic.map { .topic($0) } ?? .errors)
    return release?.events(made, hasAll: kind == nil) ?? made.map { DemoEvent($0) }
  }

  /// A file that is of the kind that was asked for.
  private static func checked(_ event: DemoEvent, _ kind: String?) throws -> DemoEvent {
    var event = event
    if kind == "error" {
      event.goal = .error([])
    } else if let kind, event.kind.rawValue != kind || event.topic != event.kind.topic {
      throw Failure("\(event.name) is no \(kind): its topic is \(event.topic ?? "not said")")
    }
    return event
  }

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let console = around.console
    // A demo is alone: on a port of its own, in a folder of its own.
    var settings = try Settings(arguments, around)
    if arguments.text("data") == nil, !arguments.has("to") { settings.set("data", settings.data + "/demo", source: "demo") }
    if settings.adminMayMove { settings.set("admin.port", "0", source: "demo") }
    settings.setLogLevel(default: "error")
    let release = try release(arguments)
    let events = try events(arguments, release)

    if let webhooks = arguments.text("to") { return try await runElsewhere(webhooks, events, settings, arguments, around) }

    var plan = try PipelinePlan(settings, run: ["all"], around)
    let folder = try DataFolder(settings.data)
    let port = try arguments.integer("port").flatMap { $0 == 0 ? nil : $0 } ?? FreePort.forEndpoints()
    let secret = try DataFolder.secret("opencrvs-sha-secret", in: folder.path).text
    let openCRVS = try PlayedOpenCRVS(release, sending: events, secret: secret, calling: try settings.client())
    do {
      try openCRVS.start(&plan)
      plan.give("mosip-mediator", "lang-code-mapping", languages)
      _ = try plan.connectMediators(url: settings.url(port: port), folder: folder.path)
      try plan.checkSettings()
      let signals = Signals(console)
      console.err("regproc: starting everything in \(folder.path)\n")
      let pipeline = try await Pipeline.start(plan, folder: folder.path, port: port, signals)
      do {
        let code = try await show(
          Demo(
            events: events, target: pipeline.demoTarget(openCRVS), openCRVS: openCRVS.sender, signals: signals, console: console,
            timeout: Double(arguments.integer("timeout") ?? 120)),
          pipeline, arguments, plan, folder, console)
        await end(pipeline, openCRVS, folder)
        if let cause = signals.cause { throw cause }
        return code
      } catch {
        await end(pipeline, openCRVS, folder)
        throw error
      }
    } catch {
      await openCRVS.stop()
      throw error
    }
  }

  /// Languages beside upstream's three, so that no name of a sample is filed under English.
  private static let languages =
    "eng:eng|english|en,fra:french|fr|fra|fre,ara:ara|arabic|ar,amh:am|amh,ben:bn|ben,khm:km|khm,kan:kn|kan,spa:es|spa"

  private static func end(_ pipeline: Pipeline, _ openCRVS: PlayedOpenCRVS, _ folder: DataFolder) async {
    await pipeline.stop()
    await openCRVS.stop()
    RunNote.remove(in: folder.path)
  }

  private static func show(
    _ demo: Demo, _ pipeline: Pipeline, _ arguments: Arguments, _ plan: PipelinePlan, _ folder: DataFolder, _ console: Console
  ) async throws -> Int32 {
    try pipeline.note().write(in: folder.path)
    let watch = RouteWatch(path: plan.settings.routesFile, stages: plan.stages, engine: pipeline.engine, console: console)
    demo.signals.onHangUp { watch.readAgain() }
    defer { watch.stop() }
    let results = try await report(demo, arguments, plan.routes, console)
    // The bad one is what a person wants to look at.
    if let rid = results.first(where: { !$0.isGood && $0.rid != nil })?.rid ?? results.first(where: { $0.rid != nil })?.rid {
      let isDefault = arguments.text("data") == nil
      console.err(
        "The data is in \(folder.path). Look at one: regproc journey \(rid)"
          + (isDefault ? "" : " --data \(arguments.text("data") ?? "")") + "\n")
    }
    if arguments.has("keep"), !demo.signals.isStopping {
      console.err("regproc: stays up at \(pipeline.url), for operators at \(pipeline.adminURL); Ctrl-C stops\n")
      await demo.signals.waitForStop()
    }
    return results.allSatisfy(\.isGood) ? 0 : 1
  }

  /// Does a demo, and shows what became of each event.
  private static func report(_ demo: Demo, _ arguments: Arguments, _ routes: RouteFile, _ console: Console) async throws
    -> [DemoResult]
  {
    let (results, seconds) = try await demo.run()
    if arguments.has("json") {
      for result in results { console.out(result.json.encoded() + [10]) }
    }
    let processes = Set(demo.processes)
    let flow = routes.flows.first { processes.contains($0.process.value) } ?? routes.flows.first
    let report = DemoReport(
      results: results, stages: flow?.stages.map(\.name.value) ?? [], seconds: seconds, revealsTokens: arguments.has("reveal"))
    if !arguments.has("json") { console.out(report.table(console) + "\n") }
    console.err(report.summary)
    return results
  }

  // MARK: a pipeline of elsewhere

  private static func runElsewhere(
    _ webhooks: String, _ events: [DemoEvent], _ settings: Settings, _ arguments: Arguments, _ around: Surroundings
  ) async throws -> Int32 {
    guard let database = try settings.database() ?? PrivateCluster.running(in: settings.data + "/postgres") else {
      throw Failure("--to needs the database of the pipeline that is sent to: --database 'host=... dbname=...' or REGPROC_DATABASE")
    }
    let (routes, _) = try StageFolder(settings).routes(settings.routesFile)
    let secretFile = arguments.text("secret-file") ?? settings.data + "/secrets/opencrvs-sha-secret"
    let secret = String(decoding: try Files.read(secretFile), as: UTF8.self).split(whereSeparator: \.isNewline).first
    guard let secret else { throw Failure("\(secretFile) holds no secret") }
    let standIn = StandInOpenCRVS(secret: String(secret), calling: try settings.client())
    let listen = arguments.text("listen").flatMap { address($0) } ?? ("127.0.0.1", 5050)
    let url = try standIn.start(host: listen.0, port: listen.1)
    let signals = Signals(around.console)
    around.console.err("regproc: OpenCRVS is at \(url); events go to \(Showing.withoutSecretParts(webhooks))\n")
    let pool = Pool(database, size: 4)
    do {
      let demo = Demo(
        events: events, target: DemoTarget(pool: pool, envelopeKeys: nil, webhooks: { webhooks }), openCRVS: standIn,
        signals: signals,
        console: around.console, timeout: Double(arguments.integer("timeout") ?? 120))
      let results = try await report(demo, arguments, routes, around.console)
      pool.close()
      await standIn.stop()
      return results.allSatisfy(\.isGood) ? 0 : 1
    } catch {
      pool.close()
      await standIn.stop()
      throw error
    }
  }

  /// `HOST:PORT`; nil for what is none.
  private static func address(_ text: String) -> (String, Int)? {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65_535).contains(port) else {
      return nil
    }
    let host = text[..<colon].filter { $0 != "[" && $0 != "]" }
    return host.isEmpty ? nil : (String(host), port)
  }
}

extension Pipeline {
  /// This pipeline as a demo sees it: it takes webhooks once the mediator has subscribed and every stage takes messages.
  func demoTarget(_ openCRVS: PlayedOpenCRVS) -> DemoTarget {
    DemoTarget(pool: pool, envelopeKeys: envelopeKeys) { [engine, url] in
      guard engine.isReady else { return nil }
      return openCRVS.isAsking ? url : openCRVS.webhooks.callback(of: "BIRTH_REGISTERED")
    }
  }
}
