import JSON
import Registration
import Routing
import System
import YAML

/// `regproc routes ...`: the route file, checked and explained.
enum RoutesCommand {
  static let check = Command(
    name: "routes check", summary: "finds faults in a route file, with line and column",
    operands: [Operand(name: "FILE", meaning: "the route file (default: the one of the settings)", isRequired: false)],
    options: [
      .flag("json", "one object for each problem, with --table for each row"),
      .flag("sarif", "a SARIF log, for code review tools"),
      .flag("table", "where every message goes: each stage, verdict and combination of values that the route tells apart"),
    ], takesSettings: true, example: "routes check routes.yaml --table", run: runCheck)

  static let explain = Command(
    name: "routes explain", summary: "says where a message goes after a stage, and why",
    options: [
      .text("flow", "FLOW", "the process, e.g. OPENCRVS_NEW"),
      .text("after", "STAGE", "the stage it has left, by its name or its topic prefix"),
      Option(name: "verdict", value: "VERDICT", meaning: "passed (default), failed, retry or error") {
        VerdictKind(rawValue: $0) == nil ? "passed, failed, retry or error" : nil
      },
      Option(name: "tag", value: "NAME=VALUE", meaning: "a tag of the message", isRepeatable: true) {
        $0.contains("=") ? nil : "of the form NAME=VALUE"
      },
      .text("address", "TOPIC", "the address that the stage wants it to go to, e.g. verification-bus-in"),
      .text("message", "JSON", "a whole message instead; its flags are the verdict"),
    ], takesSettings: true,
    example: "routes explain --flow OPENCRVS_NEW --after packet-classifier --tag AGE_GROUP=INFANT", run: runExplain)

  private static func runCheck(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let stages = try StageFolder(settings)
    let path = arguments.operand(0) ?? settings.routesFile
    let bytes = try Files.read(path)
    let reading = RouteFile.read(bytes, name: path, stages: stages.directory)
    let problems = reading.problems
    let console = around.console
    if arguments.has("table") {
      // What is wrong keeps its place beside it.
      console.err(FileProblems(problems, source: reading.source).rendered(colour: console.errorsAreColoured))
      if let routes = reading.file { table(routes, asJSON: arguments.has("json"), around) }
    } else if arguments.has("json") {
      console.out(ProblemOutput.lines(problems))
    } else if arguments.has("sarif") {
      console.out(ProblemOutput.sarif(problems))
    } else {
      console.out(FileProblems(problems, source: reading.source).rendered(colour: console.outputIsColoured))
    }
    guard let routes = reading.file else {
      let errors = problems.filter { $0.severity == .error }.count
      around.console.err("regproc: \(path) cannot be used: \(errors == 1 ? "1 error" : "\(errors) errors")\n")
      return 1
    }
    let warnings = problems.isEmpty ? "" : ", \(problems.count) warnings"
    let flows = routes.flows.map { "\($0.process.value) with \($0.stages.count) stages" }.joined(separator: ", ")
    console.err("\(path): good\(warnings); \(flows); version \(routes.digest.prefix(8))\n")
    return 0
  }

  private static func table(_ routes: RouteFile, asJSON: Bool, _ around: Surroundings) {
    let table = RouteTotality(routes)
    if asJSON {
      around.console.out(table.rows.flatMap { RouteTotalityOutput.json($0, routes.name).encoded() + [10] })
    } else {
      around.console.out(RouteTotalityOutput.text(table))
    }
    for name in table.unfinished { around.console.err("\(name): more combinations than can be listed\n") }
    let holes = table.rows.count { $0.destinations == nil }
    around.console.err(
      "\(table.rows.count) combinations, \(holes) without a destination\(table.unfinished.isEmpty ? "" : ", not all")\n")
  }

  private static func runExplain(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    guard let after = arguments.text("after") else { throw WrongUse("--after is needed", explain) }
    let settings = try Settings(arguments, around)
    let folder = try StageFolder(settings)
    let (routes, _) = try folder.routes(settings.routesFile)
    var message: Message?
    if let text = arguments.text("message") {
      do { message = try Message(decoding: Array(text.utf8)) } catch { throw Failure("--message is not a message: \(error)") }
    }
    guard let flow = arguments.text("flow") ?? message?.process else {
      throw WrongUse("--flow or --message is needed", explain)
    }
    guard let known = routes.flow(flow) else {
      let hint = routes.flows.map(\.process.value).nearest(to: flow).map { "; did you mean \($0)?" } ?? ""
      throw Failure("\(settings.routesFile) has no flow \(flow)\(hint)")
    }
    let stage = stage(after, folder.directory.adding(routes.foreign))
    guard known.stages.contains(where: { $0.name.value == stage }) else {
      let hint = known.stages.map(\.name.value).nearest(to: stage).map { "; did you mean \($0)?" } ?? ""
      throw Failure("flow \(flow) has no stage \(stage)\(hint)")
    }
    let asked = try message ?? made(arguments, flow, known.source)
    let verdict = VerdictKind(isValid: asked.isValid, internalError: asked.internalError)
    let explanation = try routes.explain(process: flow, after: stage, verdict: verdict, message: asked)
    around.console.out(explanation.text + "\n")
    return explanation.decision == nil ? 1 : 0
  }

  /// A stage by its name or by what its topics begin with.
  private static func stage(_ name: String, _ stages: StageDirectory) -> String {
    if stages[name] != nil { return name }
    return stages.names.first { stages[$0]?.topicPrefix == name } ?? name
  }

  /// A message of what the options say.
  private static func made(_ arguments: Arguments, _ flow: String, _ source: String?) throws -> Message {
    let verdict = VerdictKind(rawValue: arguments.text("verdict") ?? "passed") ?? .passed
    var tags: [String: String] = [:]
    for tag in arguments.texts("tag") {
      let parts = tag.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      tags[String(parts[0])] = String(parts[1])
    }
    // The RID is of no matter to a route.
    return try Message(
      process: flow, rid: String(repeating: "1", count: 29), isValid: verdict.isValid,
      internalError: verdict.internalError, messageBusAddress: arguments.text("address"), tags: tags,
      lastHopTimestamp: Instant.now, source: source)
  }
}
