import Glibc
import Routing

/// `regproc routes graph`: the picture of the flows.
enum RoutesGraphCommand {
  static let command = Command(
    name: "routes graph", summary: "draws the flows of a route file: Mermaid, DOT or SVG",
    details: "SVG is drawn by Graphviz's dot, which must be installed; Mermaid and DOT need nothing.",
    operands: [Operand(name: "FILE", meaning: "the route file (default: the one of the settings)", isRequired: false)],
    options: [
      Option(name: "format", value: "FORMAT", meaning: "mermaid (default), dot or svg") {
        ["mermaid", "dot", "svg"].contains($0) ? nil : "mermaid, dot or svg"
      },
      .text("flow", "FLOW", "only that process"), .flag("passed", "only the ways of passed messages"),
    ], takesSettings: true, example: "routes graph routes.yaml --flow OPENCRVS_NEW --format svg > flow.svg", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let path = arguments.operand(0) ?? settings.routesFile
    let (routes, _) = try StageFolder(settings).routes(path)
    if let flow = arguments.text("flow"), routes.flow(flow) == nil {
      let hint = routes.flows.map(\.process.value).nearest(to: flow).map { "; did you mean \($0)?" } ?? ""
      throw Failure("\(path) has no flow \(flow)\(hint)")
    }
    let drawing = RouteDrawing(routes, process: arguments.text("flow"), failures: !arguments.has("passed"))
    switch arguments.text("format") ?? "mermaid" {
    case "dot": around.console.out(drawing.dot)
    case "svg": around.console.out(try Graphviz.svg(drawing.dot, environment: around.environment))
    default: around.console.out(drawing.mermaid)
    }
    return 0
  }
}

/// Graphviz's `dot`, if the machine has it.
enum Graphviz {
  /// A graph as SVG.
  /// - Throws: `Failure` when there is no `dot`, or when it does not like the graph.
  static func svg(_ graph: String, environment: [String: String]) throws(Failure) -> [UInt8] {
    let folders = environment["PATH", default: "/usr/local/bin:/usr/bin:/bin"].split(separator: ":")
    guard let program = folders.map({ String($0) + "/dot" }).first(where: { (path: String) in access(path, X_OK) == 0 })
    else {
      throw Failure("Graphviz is not installed: apt-get install graphviz, or use --format mermaid or dot")
    }
    let name = strdup("/tmp/regproc-graph-XXXXXX")
    defer { free(name) }
    guard let name, mkdtemp(name) != nil else { throw Failure("no temporary folder can be made: \(Files.reason())") }
    let folder = String(cString: name)
    let (source, target) = (folder + "/routes.dot", folder + "/routes.svg")
    defer {
      unlink(source)
      unlink(target)
      rmdir(folder)
    }
    try Files.write(Array(graph.utf8), to: source)

    let words: [String] = [program, "-Tsvg", "-o", target, source]
    var arguments = words.map { (word: String) -> UnsafeMutablePointer<CChar>? in strdup(word) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let failure = posix_spawn(&process, program, nil, nil, &arguments, environ)
    guard failure == 0 else { throw Failure("\(program) does not start: \(String(cString: strerror(failure)))") }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    guard status == 0 else { throw Failure("\(program) could not draw the graph") }
    return try Files.read(target)
  }
}
