import System
import YAML

/// What came of importing Camel route files.
public struct CamelImport: Sendable {
  /// A file that was given.
  public struct Source: Sendable {
    /// Its name, for messages.
    public let name: String
    /// Its bytes.
    public let bytes: [UInt8]

    /// A file.
    public init(name: String, bytes: [UInt8]) {
      self.name = name
      self.bytes = bytes
    }
  }

  /// The flows; nil when something could not be imported: then there is an error among `problems`. What Camel itself leaves
  /// open (a message that goes nowhere, a stage without a route) is an error too, and left open in the flows.
  public let file: RouteFile?
  /// The route file in its canonical form; empty without `file`.
  public let text: String
  /// What was found, each with its place in its Camel file: errors (what cannot be imported) and warnings (dead branches,
  /// missing tests, names that do not match).
  public let problems: [Problem]
  /// The texts of the files, for rendering problems.
  public let sources: [SourceText]
  let routes: [CamelRoute]
  /// Places of branches that no message can take.
  let dead: Set<BranchPlace>

  struct BranchPlace: Hashable {
    let file: String
    let position: Position
  }

  /// How many routes and branches were read.
  public var size: (routes: Int, branches: Int) { (routes.count, routes.reduce(0) { $0 + $1.branches.count }) }

  /// Reads the files and makes one route file of them. `stages` are those that a topic can belong to; `schema` is the JSON Schema
  /// that its first line names for editors, relative to where the file will be.
  public static func read(
    _ sources: [Source], stages: StageDirectory, schema: String = RouteSchema.path
  ) -> CamelImport {
    var routes: [CamelRoute] = []
    var problems: [Problem] = []
    var foreign: [String] = []
    for source in sources {
      let found = Problems(file: source.name)
      var reader = CamelFileReader(problems: found, stages: stages)
      routes += reader.read(source.bytes)
      foreign += reader.unknown.keys.sorted()
      problems += found.all
    }
    var builder = CamelFlowBuilder(stages: stages, foreign: foreign)
    builder.build(routes)
    problems += builder.problems
    let order = sources.enumerated().reduce(into: [String: Int]()) { $0[$1.element.name] = $1.offset }
    problems.sort { (order[$0.file] ?? 0, $0.position) < (order[$1.file] ?? 0, $1.position) }
    var file: RouteFile?
    var text = ""
    let open: Set<String> = ["hole", "no-route-from"]
    if !problems.contains(where: { $0.severity == .error && !open.contains($0.code) }) {
      let made = builder.file(name: "routes.yaml")
      text = RouteWriter.text(made, notes: builder.notes, schema: schema)
      // The file as a person will read it, with its own lines.
      file = RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages).file ?? made
    }
    return CamelImport(
      file: file, text: text, problems: problems, sources: sources.map { SourceText(name: $0.name, bytes: $0.bytes) },
      routes: routes, dead: builder.dead)
  }

  /// What was found, as a person reads it.
  public func report(colours: Bool = false) -> String {
    problems.map { problem in
      sources.first { $0.name == problem.file }.map { problem.render(source: $0, colours: colours) }
        ?? problem.description
    }.joined(separator: "\n")
  }
}
