import Routing
import StageKit
import YAML

/// `regproc routes import-camel`: from MOSIP's Camel files to a route file.
enum RoutesImportCommand {
  static let command = Command(
    name: "routes import-camel", summary: "makes a route file of MOSIP's Camel route files",
    details: """
      The route file goes to standard output, what was found to standard error: dead branches, verdicts that no branch tests,
      names that do not match. What cannot be imported is named with its line, and then nothing is written. With --verify
      messages that reach every branch of the Camel files are put to both, which must decide alike.
      """,
    operands: [Operand(name: "FILE", meaning: "a Camel route file (XML)", isRepeatable: true)],
    options: [
      .flag("verify", "proves that both decide alike; exit code 1 if not"),
      .text("against", "ROUTES", "verifies this route file instead of the imported one, and prints none"),
      .text("output", "FILE", "writes the route file there instead"),
      .flag("quiet", "does not list what was found, only what is wrong"),
    ], takesSettings: true, example: "routes import-camel registration-processor-camel-routes-*.xml --verify", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let stages = try StageFolder(settings).directory
    let console = around.console
    let sources = try arguments.operands.map { path in
      CamelImport.Source(name: path, bytes: try Files.read(path))
    }
    let found = CamelImport.read(
      sources, stages: stages, schema: arguments.text("output").map(schema) ?? RouteSchema.path)
    let errors = found.problems.count { $0.severity == .error }
    if !found.problems.isEmpty, errors > 0 || !arguments.has("quiet") {
      console.err(found.report(colours: console.errorsAreColoured) + "\n")
    }
    guard var file = found.file else {
      console.err("regproc: nothing is imported: \(errors == 1 ? "1 error" : "\(errors) errors")\n")
      return 1
    }
    if let path = arguments.text("against") {
      file = try StageFolder(settings).routes(path).routes
    } else if let path = arguments.text("output") {
      try Files.write(Array(found.text.utf8), to: path, mode: 0o644)
    } else {
      console.out(found.text)
    }
    let warnings = found.problems.count - errors
    console.err(
      "\(sources.count) files: \(found.size.routes) routes with \(found.size.branches) branches became "
        + "\(found.file?.flows.count ?? 0) flows; \(warnings) things to look at, \(errors) errors\n")
    guard arguments.has("verify") || arguments.has("against") else { return errors == 0 ? 0 : 1 }
    let result = found.verify(file, stages: stages)
    for difference in result.differences { console.err("differs: \(difference.words)\n") }
    for place in result.unreached {
      console.err("\(place): no message reaches this branch, and it is not known to be dead\n")
    }
    for place in result.unfinished { console.err("\(place): too many conditions to try every message\n") }
    console.err(
      "\(result.isProven ? "verified" : "not verified"): \(result.messages) messages reach \(result.reached) of "
        + "\(found.size.branches) branches, \(result.dead.count) are dead; \(result.differences.count) differences\n")
    return result.isProven && errors == 0 ? 0 : 1
  }

  /// The schema as a route file at `path` names it: relative to its folder when that or one above it has the schema, whole when
  /// only the working folder has it.
  private static func schema(for path: String) -> String {
    let parts = Files.absolute(Files.parent(of: path)).split(separator: "/")
    let wanted = RouteSchema.path.split(separator: "/")
    for count in stride(from: parts.count, through: 0, by: -1) {
      let root = parts[..<count].map { "/" + $0 }.joined()
      guard Files.exists(root + "/" + RouteSchema.path) else { continue }
      let below = parts[count...]
      let shared = zip(below, wanted).prefix { $0.0 == $0.1 }.count
      return String(repeating: "../", count: below.count - shared) + wanted[shared...].joined(separator: "/")
    }
    return Files.exists(RouteSchema.path) ? Files.absolute(RouteSchema.path) : RouteSchema.path
  }
}
