import JSON

/// `regproc settings`: what is in force and where it comes from.
enum SettingsCommand {
  static let command = Command(
    name: "settings", summary: "shows the settings in force and where each comes from",
    options: [
      .text("stage", "NAME", "the settings of this stage instead of the program's"), .flag("json", "one object a line"),
    ], takesSettings: true, example: "settings --port 9090", run: run)

  /// A setting as it is told.
  private struct Line {
    var name: String
    var value: String?
    var source: String?
    var variable: String

    var json: JSONValue {
      [
        "setting": .string(name), "value": JSONValue(value), "from": JSONValue(source), "variable": .string(variable),
      ]
    }
  }

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let lines = try arguments.text("stage").map { try ofStage($0, settings, around) } ?? ofProgram(settings)
    if arguments.has("json") {
      for line in lines { around.console.out(line.json.encoded() + [10]) }
      return 0
    }
    var table = TextTable(head: ["setting", "value", "from", "variable"])
    for line in lines { table.add([line.name, line.value ?? "-", line.source ?? "-", line.variable]) }
    around.console.out(table.rendered(around.console))
    return 0
  }

  private static func ofProgram(_ settings: Settings) -> [Line] {
    SettingEntry.all.map { entry in
      let given = settings.given[entry.name]
      return Line(name: entry.name, value: given.map { entry.shown($0.text) }, source: given?.source, variable: entry.variable)
    }
  }

  private static func ofStage(_ name: String, _ settings: Settings, _ around: Surroundings) throws -> [Line] {
    let folder = try StageFolder(settings)
    let stage = try folder.named([name])[0]
    guard let spec = Plugins.named(stage.plugin)?.spec else { throw Failure("there is no plugin \(stage.plugin)") }
    return try StageInForce(stage, spec, of: folder, settings, around.environment).lines.map {
      Line(name: $0.field.name, value: $0.value, source: $0.source, variable: $0.variable)
    }
  }
}
