import StageRuntime
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
    let settings = try Settings(arguments, around)
    let stages = try StageFolder(settings)
    let stage = try stages.named(arguments.operands)[0]
    guard let spec = Plugins.named(stage.plugin)?.spec else { throw Failure("there is no plugin \(stage.plugin)") }
    var out = "\(stage.name): \(stage.summary)\n\n"
    var table = TextTable(head: ["what", "value"])
    for fact in facts(stage, spec) { table.add(fact) }
    out += table.rendered(around.console)
    if !spec.settings.isEmpty {
      out += "\n"
      var table = TextTable(head: ["setting", "kind", "value", "from", "meaning"])
      for line in try StageInForce(stage, spec, of: stages, settings, around.environment).lines {
        let meaning = line.field.meaning + (line.field.unit.map { " [\($0)]" } ?? "")
        table.add([line.field.name, line.field.kind.words, line.value ?? "-", line.source, meaning])
      }
      out += table.rendered(around.console)
      out += "\nIn the environment: REGPROC_STAGE_\(stage.name.uppercased().replacing("-", with: "_"))_<SETTING>\n"
    }
    around.console.out(out)
    return 0
  }

  /// What is so of a stage, whatever its settings.
  static func facts(_ stage: StageDefinition, _ spec: PluginSpec) -> [[String]] {
    var facts: [[String]] = []
    facts.append(["plugin", "\(stage.plugin): \(spec.summary)"])
    facts.append(["reads", spec.takesMessages ? stage.busIn : "no messages of the bus"])
    if !spec.topics.isEmpty { facts.append(["further topics", spec.topics.joined(separator: ", ")]) }
    facts.append(["consumer group", stage.group])
    facts.append(["MOSIP class", stage.className])
    facts.append(["transaction type", stage.transactionType])
    facts.append(["tries", "\(stage.tries), the first pause \(stage.backoff.first) s, the longest \(stage.backoff.longest) s"])
    facts.append(["parallelism", "\(stage.parallelism) RIDs at a time, batches of up to \(stage.batch)"])
    facts.append(["side", stage.side.rawValue])
    let resources = stage.resources
    facts.append([
      "resources",
      "\(resources.cpu) of a processor and \(resources.memory) requested; at most "
        + "\(resources.cpuLimit.map { "\($0) and " } ?? "")\(resources.memoryLimit)",
    ])
    return facts
  }
}
