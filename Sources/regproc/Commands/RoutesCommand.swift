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
    options: [.flag("json", "one object for each problem")], takesSettings: true, example: "routes check routes.yaml",
    run: runCheck)

  static let explain = Command(
    name: "routes explain", summary: "says where a message goes after a stage, and why",
    options: [
      .text("flow", "FLOW", "the process, e.g. OPENCRVS_NEW"), .text("after", "STAGE", "the stage it has left"),
      Option(name: "verdict", value: "VERDICT", meaning: "passed (default), failed, retry or error") {
        VerdictKind(rawValue: $0) == nil ? "passed, failed, retry or error" : nil
      },
      Option(name: "tag", value: "NAME=VALUE", meaning: "a tag of the message", isRepeatable: true) {
        $0.contains("=") ? nil : "of the form NAME=VALUE"
      },
    ], takesSettings: true,
    example: "routes explain --flow OPENCRVS_NEW --after packet-classifier --tag AGE_GROUP=INFANT", run: runExplain)

  private static func runCheck(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let stages = try StageFolder(settings)
    let path = arguments.operand(0) ?? settings.routesFile
    let bytes = try Files.read(path)
    let reading = RouteFile.read(bytes, name: path, stages: stages.directory)
    let problems = reading.problems
    if arguments.has("json") {
      for problem in problems {
        let value: JSONValue = [
          "severity": .string(problem.severity.rawValue), "code": .string(problem.code), "message": .string(problem.message),
          "file": .string(problem.file), "line": JSONValue(problem.position.line), "column": JSONValue(problem.position.column),
          "suggestion": JSONValue(problem.suggestion),
        ]
        around.console.out(value.encoded() + [10])
      }
    } else {
      around.console.out(FileProblems(problems, source: reading.source).rendered(colour: around.console.outputIsColoured))
    }
    guard let routes = reading.file else {
      let errors = problems.filter { $0.severity == .error }.count
      around.console.err("regproc: \(path) cannot be used: \(errors == 1 ? "1 error" : "\(errors) errors")\n")
      return 1
    }
    around.console.err(
      "\(path): good; \(routes.flows.map { "\($0.process.value) with \($0.stages.count) stages" }.joined(separator: ", ")); "
        + "version \(routes.digest.prefix(8))\n")
    return 0
  }

  private static func runExplain(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    guard let flow = arguments.text("flow"), let stage = arguments.text("after") else {
      throw WrongUse("--flow and --after are needed", explain)
    }
    let settings = try Settings(arguments, around)
    let (routes, _) = try StageFolder(settings).routes(settings.routesFile)
    guard let known = routes.flow(flow) else {
      let hint = routes.flows.map(\.process.value).nearest(to: flow).map { "; did you mean \($0)?" } ?? ""
      throw Failure("\(settings.routesFile) has no flow \(flow)\(hint)")
    }
    guard known.stages.first(where: { $0.name.value == stage }) != nil else {
      let hint = known.stages.map(\.name.value).nearest(to: stage).map { "; did you mean \($0)?" } ?? ""
      throw Failure("flow \(flow) has no stage \(stage)\(hint)")
    }
    let verdict = VerdictKind(rawValue: arguments.text("verdict") ?? "passed") ?? .passed
    var tags: [String: String] = [:]
    for tag in arguments.texts("tag") {
      let parts = tag.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      tags[String(parts[0])] = String(parts[1])
    }
    // The RID is of no matter to a route.
    let message = try Message(
      process: flow, rid: String(repeating: "1", count: 29), isValid: verdict.isValid, internalError: verdict.internalError,
      tags: tags, lastHopTimestamp: Instant.now, source: known.source)
    around.console.out(try routes.explain(process: flow, after: stage, verdict: verdict, message: message).text + "\n")
    return 0
  }
}
