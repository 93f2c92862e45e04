import JSON

/// `regproc settings`: what is in force and where it comes from.
enum SettingsCommand {
  static let command = Command(
    name: "settings", summary: "shows the settings in force and where each comes from",
    options: [.flag("json", "one object a line")], takesSettings: true, example: "settings --port 9090"
  ) { arguments, around in
    let settings = try Settings(arguments, around)
    var table = TextTable(head: ["setting", "value", "from", "variable"])
    for entry in SettingEntry.all {
      let given = settings.given[entry.name]
      let shown = given.map { entry.shown($0.text) }
      if arguments.has("json") {
        let value: JSONValue = [
          "setting": .string(entry.name), "value": JSONValue(shown), "from": JSONValue(given?.source),
          "variable": .string(entry.variable),
        ]
        around.console.out(value.encoded() + [10])
      } else {
        table.add([entry.name, shown ?? "-", given?.source ?? "-", entry.variable])
      }
    }
    if !arguments.has("json") { around.console.out(table.rendered(around.console)) }
    return 0
  }
}
