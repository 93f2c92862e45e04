import StageKit
import StageRuntime
import System

/// Stage settings in the environment.
enum StageEnvironment {
  static func variable(_ stage: String, _ setting: String) -> String { StageSettings.variable(setting, of: stage) }

  /// The settings of a stage's file, with those of its variables over them.
  static func given(_ file: StageDefinition, _ spec: PluginSpec, _ variables: [String: String]) throws(SettingError) -> [String:
    SettingValue]
  {
    var given = file.settings
    for field in spec.settings {
      let name = variable(file.name, field.name)
      guard let text = variables[name] else { continue }
      guard let value = SettingValue(text, as: field.kind) else {
        throw SettingError(stage: file.name, setting: field.name, "must be \(field.kind.words); the environment's \(name) is not")
      }
      given[field.name] = value
    }
    return given
  }

  /// The variables of all stages; a secret's `..._FILE` is read.
  /// - Throws: `Failure` for one that names no setting: a mistyped secret must not pass in silence.
  static func read(_ environment: [String: String], stages: [StageDefinition]) throws -> [String: String] {
    var known: [String: Bool] = [:]
    for file in stages {
      for field in Plugins.named(file.plugin)?.spec.settings ?? [] {
        known[variable(file.name, field.name)] = field.kind == .secret
      }
    }
    var out: [String: String] = [:]
    // What Kubernetes sets was told of with the program's settings.
    for (name, value) in ServiceVariables.sorted(out: environment).others where name.hasPrefix("REGPROC_STAGE_") {
      if known[name] != nil {
        out[name] = value
      } else if name.hasSuffix("_FILE"), known[String(name.dropLast(5))] == true {
        out[String(name.dropLast(5))] =
          String(decoding: try Files.read(value), as: UTF8.self).split(whereSeparator: \.isNewline)
          .first.map(String.init) ?? ""
      } else {
        let hint = known.keys.sorted().nearest(to: name).map { "; did you mean \($0)?" } ?? ""
        throw Failure("the environment's \(name) is no setting of a stage\(hint)")
      }
    }
    return out
  }
}

/// The settings of one stage as a process of these settings has them, each with where it comes from.
struct StageInForce {
  /// A setting.
  struct Line {
    var field: SettingField
    /// As people may see it; nil where nobody gives it and it must be given.
    var value: String?
    var source: String
    var variable: String
  }

  /// In the plugin's order.
  let lines: [Line]

  /// - Throws: `Failure` for a variable that names no setting or a file that cannot be read, `SettingError` for a variable of another kind.
  init(_ stage: StageDefinition, _ spec: PluginSpec, of folder: StageFolder, _ settings: Settings, _ environment: [String: String])
    throws
  {
    let variables = try StageEnvironment.read(environment, stages: folder.stages)
    let given = try StageEnvironment.given(stage, spec, variables)
    lines = spec.settings.map { field in
      let variable = StageEnvironment.variable(stage.name, field.name)
      let wire = PipelinePlan.Wire.of(stage.name, field.name)
      if variables[variable] != nil {
        let source = environment[variable] != nil ? variable : "\(variable)_FILE"
        return Line(field: field, value: given[field.name].map(field.shown), source: source, variable: variable)
      }
      if let wire, case .secret(let name) = wire.from {
        let file = "\(settings.data)/secrets/\(name)"
        let source = Files.exists(file) ? file : "\(file), made at the first start"
        return Line(field: field, value: field.shown(.text("x")), source: source, variable: variable)
      }
      var source = folder.place(of: field.name, stage.name) ?? (field.defaultValue == nil ? "must be given" : "default")
      if wire != nil { source += "; `up`: its own URL" }
      let value = stage.settings[field.name] ?? field.defaultValue
      return Line(field: field, value: value.map(field.shown), source: source, variable: variable)
    }
  }
}
