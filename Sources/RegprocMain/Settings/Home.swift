import System
import StageRuntime
import Routing
import StageKit
import Stages
import YAML

/// Where `routes.yaml`, `stages/` and `deploy/` are: the current folder or one above it, else the repository the program was built in, else
/// where a package or an image of it keeps them: `share/regproc` beside the program's `bin`.
struct Home: Sendable {
  let folder: String?

  /// - Parameter current: the folder to start from.
  /// - Throws: `Failure` when a person named a folder that is none.
  init(_ named: String?, program: String, from current: String = ".") throws {
    if let named {
      guard Self.isHome(named) else {
        throw Failure("\(named) is not a home of regproc: it has no routes.yaml with stages/ beside it")
      }
      folder = named
      return
    }
    let here = Files.absolute(current)
    let bin = Files.parent(of: program)
    let share = Files.parent(of: bin) + "/share/regproc"
    folder = Self.above(here) ?? Self.above(bin) ?? (Self.isHome(share) ? share : nil)
  }

  private static func isHome(_ folder: String) -> Bool {
    Files.exists(folder + "/routes.yaml") && Files.exists(folder + "/stages")
  }

  private static func above(_ folder: String) -> String? {
    var folder = folder
    while true {
      if isHome(folder) { return folder }
      if folder == "/" || folder == "." { return nil }
      folder = Files.parent(of: folder)
    }
  }

  func path(_ name: String) -> String? { folder.map { $0 + "/" + name } }
}

/// All stages there are, read and checked.
struct StageFolder: Sendable {
  /// The stages by name.
  let stages: [StageDefinition]
  let folder: String
  /// On which lines of their files settings stand.
  private let lines: [String: [String: Int]]

  /// - Throws: `FileProblems` with the faults of every stage file, `Failure` when the folder cannot be read.
  init(_ settings: Settings) throws {
    folder = settings.stagesFolder
    guard let names = Files.names(in: folder) else {
      throw Failure(
        "the folder of stages \(folder) cannot be read; start regproc where routes.yaml and stages/ are, or say --home FOLDER")
    }
    var stages: [StageDefinition] = []
    var lines: [String: [String: Int]] = [:]
    var faults: [(problems: [Problem], source: SourceText)] = []
    for name in names {
      let path = "\(folder)/\(name)/stage.yaml"
      guard Files.exists(path) else { continue }
      let bytes = try Files.read(path)
      let reading = StageDefinition.read(bytes, name: name, file: path, plugins: Plugins.all.map { $0.spec })
      lines[name] = reading.lines
      if !reading.problems.isEmpty { faults.append((reading.problems, reading.source)) }
      guard var stage = reading.stage, let plugin = Plugins.named(stage.plugin) else { continue }
      stage.resolveFiles(plugin.spec.settings, in: "\(folder)/\(name)")
      stages.append(stage)
      faults += try Self.faults(of: stage, plugin)
    }
    if faults.contains(where: { $0.problems.contains { $0.severity == .error } }) { throw FileProblems(faults) }
    (self.stages, self.lines) = (stages, lines)
  }

  /// The file of a stage.
  func file(of stage: String) -> String { "\(folder)/\(stage)/stage.yaml" }

  /// Where a stage's file says a setting, as `file:line`; nil when it does not.
  func place(of setting: String, _ stage: String) -> String? {
    lines[stage]?[setting].map { "\(file(of: stage)):\($0)" }
  }

  /// What is wrong with the files that a stage's settings name.
  private static func faults(of stage: StageDefinition, _ plugin: any StagePlugin.Type) throws
    -> [(problems: [Problem], source: SourceText)]
  {
    try plugin.spec.settings.compactMap { field in
      guard field.kind == .file, case .text(let path) = stage.settings[field.name], !path.isEmpty,
        let check = plugin.check(try Files.read(path), of: field.name, file: path), !check.problems.isEmpty
      else { return nil }
      return (check.problems, check.source)
    }
  }

  func stage(_ name: String) -> StageDefinition? { stages.first { $0.name == name } }

  /// The names that judge messages of the bus.
  var takesMessages: Set<String> {
    Set(stages.filter { Plugins.named($0.plugin)?.spec.takesMessages == true }.map(\.name))
  }

  var directory: StageDirectory { StageDirectory(stages) }

  /// The stages a person names; `all` for every one, the bridge and the reprocessor only where a flow leaves stages to others.
  /// - Parameter side: the side that this installation is; nil for both.
  /// - Throws: `Failure` for a stage of the other side.
  func chosen(_ names: [String], routes: RouteFile, side: Side? = nil) throws -> [StageDefinition] {
    guard names.contains("all") else {
      let stages = try named(names)
      if let side, let other = stages.first(where: { $0.side != side }) {
        throw Failure("\(other.name) is a stage of the side \(other.side.rawValue), and `side` is \(side.rawValue)")
      }
      return stages
    }
    let isMixed = !routes.elsewhereStages.isEmpty
    return stages.filter { stage in
      (side == nil || stage.side == side) && (isMixed || Plugins.named(stage.plugin)?.spec.servesElsewhere != true)
    }
  }

  /// The stages of these names.
  func named(_ names: [String]) throws -> [StageDefinition] {
    return try names.map { name in
      guard let stage = stage(name) else {
        let hint = stages.map(\.name).nearest(to: name).map { "; did you mean \($0)?" } ?? ""
        throw Failure("there is no stage \(name) in \(folder)\(hint) (regproc stages list)")
      }
      return stage
    }
  }

  /// Reads and checks a route file.
  /// - Throws: `FileProblems` with all errors and warnings, `Failure` when it cannot be read.
  func routes(_ path: String) throws -> (routes: RouteFile, warnings: FileProblems) {
    let bytes = try Files.read(path)
    let reading = RouteFile.read(bytes, name: path, stages: directory)
    let found = FileProblems(reading.problems, source: reading.source)
    guard let routes = reading.file else { throw found }
    return (routes, found)
  }
}
