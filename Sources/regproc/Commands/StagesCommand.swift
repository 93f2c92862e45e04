import StageKit
import Stages

/// `regproc stages ...`: what stages there are and what can be set on them.
enum StagesCommand {
  static let list = Command(
    name: "stages list", summary: "lists all stages", takesSettings: true, example: "stages list", run: runList)

  static let describe = Command(
    name: "stages describe", summary: "says what a stage does, reads and can be told",
    operands: [Operand(name: "STAGE", meaning: "the name of a stage")], takesSettings: true,
    example: "stages describe packet-validator", run: runDescribe)

  private static func runList(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let stages = try StageFolder(try Settings(arguments, around))
    var table = TextTable(head: ["stage", "reads", "plugin", "what it does"])
    for stage in stages.stages {
      table.add([stage.name, stages.takesMessages.contains(stage.name) ? stage.busIn : "-", stage.plugin, stage.summary])
    }
    around.console.out(table.rendered(around.console))
    return 0
  }

  private static func runDescribe(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let stages = try StageFolder(try Settings(arguments, around))
    let stage = try stages.named(arguments.operands)[0]
    guard let spec = Catalogue.plugin(named: stage.plugin)?.spec else { throw Failure("there is no plugin \(stage.plugin)") }
    var out = "\(stage.name): \(stage.summary)\n\n"
    var facts = TextTable(head: ["what", "value"])
    facts.add(["plugin", "\(stage.plugin): \(spec.summary)"])
    facts.add(["reads", spec.takesMessages ? stage.busIn : "no messages of the bus"])
    if !spec.topics.isEmpty { facts.add(["further topics", spec.topics.joined(separator: ", ")]) }
    facts.add(["consumer group", stage.group])
    facts.add(["MOSIP class", stage.className])
    facts.add(["transaction type", stage.transactionType])
    facts.add(["tries", "\(stage.tries), the first pause \(stage.backoff.first) s, the longest \(stage.backoff.longest) s"])
    facts.add(["parallelism", "\(stage.parallelism) RIDs at a time, batches of up to \(stage.batch)"])
    facts.add(["side", stage.side.rawValue])
    let resources = stage.resources
    facts.add([
      "resources",
      "\(resources.cpu) of a processor and \(resources.memory) requested; at most "
        + "\(resources.cpuLimit.map { "\($0) and " } ?? "")\(resources.memoryLimit)",
    ])
    out += facts.rendered(around.console)
    if !spec.settings.isEmpty {
      out += "\n"
      var table = TextTable(head: ["setting", "kind", "value", "meaning"])
      for field in spec.settings {
        let value = stage.settings[field.name] ?? field.defaultValue
        table.add([
          field.name, field.kind.words, value.map(field.shown) ?? "(must be given)",
          field.meaning + (field.unit.map { " [\($0)]" } ?? ""),
        ])
      }
      out += table.rendered(around.console)
      out += "\nIn the environment: REGPROC_STAGE_\(stage.name.uppercased().replacing("-", with: "_"))_<SETTING>\n"
    }
    around.console.out(out)
    return 0
  }
}
