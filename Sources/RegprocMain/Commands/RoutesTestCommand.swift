import System
import JSON
import Routing
import StageKit
import YAML

/// `regproc routes test`: the cases of a route file.
enum RoutesTestCommand {
  static let command = Command(
    name: "routes test", summary: "runs the cases of a route file, and says which branches none of them takes",
    details: """
      Cases stand in FILE.cases.yaml beside the route file FILE.yaml, and in stages/<name>/routes.cases.yaml; the syntax is
      in docs/route-file.md. Other files can be named.
      """,
    operands: [Operand(name: "CASES", meaning: "files of cases", isRequired: false, isRepeatable: true)],
    options: [
      .flag("json", "one object for each case, and one for the coverage"),
      .flag("full", "exit code 1 also when a branch is taken by no case"),
      .flag("missing", "prints cases for the branches that none takes, to be looked at and adopted"),
    ], takesSettings: true, example: "routes test --routes routes.yaml", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let folder = try StageFolder(settings)
    let path = settings.routesFile
    let (routes, _) = try folder.routes(path)
    let files = arguments.operands.isEmpty ? standing(beside: path, folder) : arguments.operands
    guard !files.isEmpty else { throw Failure("there are no cases: \(beside(path)) is the place for them") }
    var cases: [RouteCase] = []
    var faults: [(problems: [Problem], source: SourceText)] = []
    for file in files {
      let (read, problems, source) = RouteCases.read(try Files.read(file), name: file)
      cases += read
      if !problems.isEmpty { faults.append((problems, source)) }
    }
    guard faults.isEmpty else { throw FileProblems(faults) }
    let result = RouteCaseRun(cases, routes)
    let console = around.console
    if arguments.has("missing") {
      console.out(result.missing(in: routes))
      return 0
    }
    let covered = result.branches.count - result.untaken.count
    if arguments.has("json") {
      for outcome in result.outcomes {
        let line: JSONValue = [
          "file": .string(outcome.test.file), "line": JSONValue(outcome.test.position.line),
          "name": .string(outcome.test.name), "passed": .bool(outcome.fault == nil), "fault": JSONValue(outcome.fault),
        ]
        console.out(line.encoded() + [10])
      }
      let coverage: JSONValue = [
        "branches": JSONValue(result.branches.count), "covered": JSONValue(covered),
        "untaken": .array(result.untaken.map { .string(words($0, path)) }),
      ]
      console.out(coverage.encoded() + [10])
    } else {
      for outcome in result.outcomes {
        guard let fault = outcome.fault else { continue }
        console.out("\(outcome.test.file):\(outcome.test.position): \(outcome.test.name)\n  \(fault)\n")
      }
      for branch in result.untaken { console.out("no case takes \(words(branch, path))\n") }
      let failed = result.failures == 0 ? "all as expected" : "\(result.failures) not as expected"
      console.err("\(cases.count) cases, \(failed); they take \(covered) of \(result.branches.count) branches\n")
    }
    return result.failures == 0 && (result.untaken.isEmpty || !arguments.has("full")) ? 0 : 1
  }

  private static func words(_ branch: RouteCaseRun.BranchInFile, _ path: String) -> String {
    let verdict = branch.verdict.map { ", \($0.rawValue)" } ?? ""
    return "\(path):\(branch.position.line): \(branch.flow), after \(branch.stage)\(verdict): \(branch.condition)"
  }

  private static func beside(_ path: String) -> String {
    (path.hasSuffix(".yaml") ? String(path.dropLast(5)) : path) + ".cases.yaml"
  }

  /// The files of cases that belong to a route file; those of the stages belong to the home's own.
  private static func standing(beside path: String, _ folder: StageFolder) -> [String] {
    var files = [beside(path)]
    if Files.exists(Files.parent(of: path) + "/stages") {
      files += folder.stages.map { "\(folder.folder)/\($0.name)/routes.cases.yaml" }
    }
    return files.filter(Files.exists)
  }
}
