import Routing
import StageKit
import YAML

/// `regproc routes import-camel`: from MOSIP's Camel files to a route file.
enum RoutesImportCommand {
  static let command = Command(
    name: "routes import-camel", summary: "makes a route file of MOSIP's Camel route files",
    details: """
      The route file goes to standard output, what was found to standard error: dead branches, verdicts that no branch tests,
      names that do not match. What cannot be imported is named with its line, and then nothing is written. What Camel leaves open
      (a stage whose messages no route takes) is an error too, and left open for a person to mend. --skip-bad leaves out the files
      with errors and imports the rest. With --verify messages that reach every branch of the Camel files are put to both, which
      must decide alike. A stage that nobody here knows is declared under foreign-stages and runs elsewhere; so does `printing` of
      older releases, whose topics are not those of print. The last line says what came of it, as the exit code does.
      """,
    operands: [Operand(name: "FILE", meaning: "a Camel route file (XML)", isRepeatable: true)],
    options: [
      .flag("verify", "proves that both decide alike; exit code 1 if not"),
      .text("against", "ROUTES", "verifies this route file instead of the imported one, and prints none"),
      .text("output", "FILE", "writes the route file there instead"),
      .flag("skip-bad", "leaves out files with errors, and imports the rest"),
      .text(
        "rename", "PREFIX=STAGE", "topics that begin with PREFIX are those of our stage STAGE, e.g. printing=print",
        isRepeatable: true),
      .flag("elsewhere", "writes runs: elsewhere for every stage that this installation does not run"),
      .flag("quiet", "does not list what was found, only what is wrong"),
    ], takesSettings: true, example: "routes import-camel registration-processor-camel-routes-*.xml --verify", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let stages = try StageFolder(settings).directory
    let console = around.console
    let sources = try arguments.operands.map { path in
      CamelImport.Source(name: path, bytes: try Files.read(path))
    }
    var options = CamelImport.Options()
    options.renamed = try renamed(arguments, stages)
    options.skipsBad = arguments.has("skip-bad")
    options.elsewhere = arguments.has("elsewhere")
    let found = CamelImport.read(
      sources, stages: stages, schema: arguments.text("output").map(schema) ?? RouteSchema.path, options: options)
    let end = End(found, files: sources.count)
    if !found.problems.isEmpty, end.errors > 0 || !arguments.has("quiet") {
      console.err(found.report(colours: console.errorsAreColoured) + "\n")
    }
    guard var file = found.file, !file.flows.isEmpty else {
      let why = end.errors > 0 ? End.count(end.errors, "error") : "there is no route in what was given"
      console.err("regproc: nothing is imported: \(why)\n")
      return 1
    }
    if let path = arguments.text("against") {
      file = try StageFolder(settings).routes(path).routes
    } else if let path = arguments.text("output") {
      try Files.write(Array(found.text.utf8), to: path, mode: 0o644)
    } else {
      console.out(found.text)
    }
    console.err(end.size + "\n")
    var isProven = true
    if arguments.has("verify") || arguments.has("against") {
      isProven = verify(found, file, stages, console)
    }
    console.err("regproc: " + end.words(isProven: isProven) + "\n")
    return end.isGood(isProven: isProven) ? 0 : 1
  }

  /// Puts messages to both and says what came of it.
  private static func verify(_ found: CamelImport, _ file: RouteFile, _ stages: StageDirectory, _ console: Console) -> Bool {
    let result = found.verify(file, stages: stages)
    for difference in result.differences { console.err("differs: \(difference.words)\n") }
    for place in result.unreached {
      console.err("\(place): no message reaches this branch, and it is not known to be dead\n")
    }
    for place in result.unfinished { console.err("\(place): too many conditions to try every message\n") }
    console.err(
      "\(result.isProven ? "verified" : "not verified"): \(result.messages) messages reach \(result.reached) of "
        + "\(found.size.branches) branches, \(result.dead.count) are dead; \(End.count(result.differences.count, "difference"))\n")
    return result.isProven
  }

  /// What `--rename` says.
  private static func renamed(_ arguments: Arguments, _ stages: StageDirectory) throws -> [String: String] {
    var renamed: [String: String] = [:]
    for text in arguments.texts("rename") {
      let parts = text.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw WrongUse("--rename takes PREFIX=STAGE, e.g. printing=print", command)
      }
      guard stages[parts[1]] != nil else {
        let near = NearestName.suggestion(for: parts[1], among: stages.names).map { "; \($0)" } ?? ""
        throw WrongUse("--rename: there is no stage \(parts[1])\(near)", command)
      }
      renamed[parts[0]] = parts[1]
    }
    return renamed
  }

  /// How an import ended.
  private struct End {
    let found: CamelImport
    let files: Int
    let errors: Int

    init(_ found: CamelImport, files: Int) {
      self.found = found
      self.files = files
      errors = found.problems.count { $0.severity == .error }
    }

    /// Errors of the files that were imported: what Camel leaves open, and so does the route file.
    private var open: Int { found.problems.count { $0.severity == .error && !found.leftOut.contains($0.file) } }

    var size: String {
      "\(found.size.routes) routes with \(found.size.branches) branches became \(Self.count(found.file?.flows.count ?? 0, "flow")); "
        + "\(Self.count(found.problems.count - errors, "thing")) to look at"
    }

    func isGood(isProven: Bool) -> Bool { isProven && open == 0 }

    func words(isProven: Bool) -> String {
      var parts = ["\(files - found.leftOut.count) of \(Self.count(files, "file")) imported"]
      if !found.leftOut.isEmpty { parts.append("left out: \(found.leftOut.joined(separator: ", "))") }
      if open > 0 { parts.append("\(Self.count(open, "error")) above to mend in the route file before it can be used") }
      if !isProven { parts.append("the two do not decide alike, or it could not be proven") }
      return parts.joined(separator: "; ")
    }

    static func count(_ number: Int, _ name: String) -> String { "\(number) \(name)\(number == 1 ? "" : "s")" }
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
