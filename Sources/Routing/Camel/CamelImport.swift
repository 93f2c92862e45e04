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
  public private(set) var problems: [Problem]
  /// The texts of the files, for rendering problems.
  public private(set) var sources: [SourceText]
  /// Files of which nothing was imported, because of an error in them.
  public private(set) var leftOut: [String] = []
  let routes: [CamelRoute]
  /// Places of branches that no message can take.
  let dead: Set<BranchPlace>
  /// What beginnings of topics were said to mean.
  let renamed: [String: String]

  struct BranchPlace: Hashable {
    let file: String
    let position: Position
  }

  /// How many routes and branches were read.
  public var size: (routes: Int, branches: Int) { (routes.count, routes.reduce(0) { $0 + $1.branches.count }) }

  /// How Camel files are imported.
  public struct Options: Sendable {
    /// Beginnings of topics, each with the stage of the directory that it shall mean: `printing` with `print`.
    public var renamed: [String: String] = [:]
    /// Whether a file with an error is left out, so that what is imported is whole.
    public var skipsBad = false
    /// Whether every stage that is not run here is said to run elsewhere.
    public var elsewhere = false

    /// All files or none, with the stages' own names.
    public init() {}
  }

  /// Reads the files and makes one route file of them. `stages` are those that a topic can belong to; `schema` is the JSON Schema
  /// that its first line names for editors, relative to where the file will be.
  public static func read(
    _ sources: [Source], stages: StageDirectory, schema: String = RouteSchema.path, options: Options = Options()
  ) -> CamelImport {
    var found = once(sources, stages, schema, options)
    var skipped: [(source: Source, problems: [Problem])] = []
    // A file that is left out may have been another's only fault, so those go first whose faults are their own.
    while options.skipsBad, skipped.count < sources.count {
      let errors = found.problems.filter { $0.severity == .error }
      guard let worst = errors.map(\.sharing).min() else { break }
      let bad = Set(errors.filter { $0.sharing == worst }.map(\.file))
      skipped += sources.filter { bad.contains($0.name) }.map { source in
        (source, found.problems.filter { $0.file == source.name })
      }
      found = once(sources.filter { source in !skipped.contains { $0.source.name == source.name } }, stages, schema, options)
    }
    found.leftOut = sources.map(\.name).filter { name in skipped.contains { $0.source.name == name } }
    found.sources = sources.map { SourceText(name: $0.name, bytes: $0.bytes) }
    found.problems = sorted(found.problems + skipped.flatMap(\.problems), sources)
    return found
  }

  private static func once(
    _ sources: [Source], _ stages: StageDirectory, _ schema: String, _ options: Options
  ) -> CamelImport {
    let names = CamelStageNames(stages, renamed: options.renamed)
    var routes: [CamelRoute] = []
    var problems: [Problem] = []
    var foreign: Set<String> = []
    for source in sources {
      let found = Problems(file: source.name)
      var reader = CamelFileReader(problems: found, names: names)
      routes += reader.read(source.bytes)
      foreign.formUnion(reader.unknown)
      problems += found.all
    }
    var builder = CamelFlowBuilder(stages: stages, names: names, foreign: foreign, elsewhere: options.elsewhere)
    builder.build(routes)
    problems += builder.problems
    var file: RouteFile?
    var text = ""
    if !sources.isEmpty, !problems.contains(where: \.forbidsImport) {
      let made = builder.file(name: "routes.yaml")
      text = RouteWriter.text(made, notes: builder.notes, schema: schema)
      // The file as a person will read it, with its own lines.
      file = RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages).file ?? made
    }
    return CamelImport(
      file: file, text: text, problems: sorted(problems, sources),
      sources: sources.map { SourceText(name: $0.name, bytes: $0.bytes) }, routes: routes, dead: builder.dead,
      renamed: options.renamed)
  }

  private static func sorted(_ problems: [Problem], _ sources: [Source]) -> [Problem] {
    let order = sources.enumerated().reduce(into: [String: Int]()) { $0[$1.element.name] = $1.offset }
    return problems.sorted { (order[$0.file] ?? 0, $0.position) < (order[$1.file] ?? 0, $1.position) }
  }

  /// What was found, as a person reads it.
  public func report(colours: Bool = false) -> String {
    problems.map { problem in
      sources.first { $0.name == problem.file }.map { problem.render(source: $0, colours: colours) }
        ?? problem.description
    }.joined(separator: "\n")
  }
}

extension Problem {
  /// Whether nothing can be made of what it was found in. What Camel leaves open is an error too, and left open.
  fileprivate var forbidsImport: Bool { severity == .error && code != "hole" && code != "no-route-from" }

  /// How far an error may come of another file than its own: 0 not at all, 1 for a route that may have been in it, 2 for one that is there
  /// too.
  fileprivate var sharing: Int {
    switch code {
    case "no-route-from": 1
    case "duplicate-route": 2
    default: 0
    }
  }
}
