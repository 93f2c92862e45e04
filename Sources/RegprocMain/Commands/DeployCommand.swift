import StageRuntime
import Cryptography
import Deployment
import Routing
import StageKit
import Stages
import System

/// `regproc deploy render TARGET`: what runs a container for each stage, from the same route file, stages and settings as `regproc run`.
enum DeployCommand {
  static let render = Command(
    name: "deploy render", summary: "writes what runs one container for each stage: \(words)",
    details: """
      It writes a service for each stage, Kafka and Postgres where the target includes them, and jobs that apply migrations and make
      topics. It reads routes.yaml, stages/ and, with --settings, a site's settings file; the same input gives the same files. No secret
      is written: secrets are files that the services find. What it wrote into the folder before is replaced. Files that it did not
      write, or that were changed since, are replaced only with --force. deploy/README.md says how to use each tree.
      """,
    operands: [Operand(name: "TARGET", meaning: words)],
    options: [
      SideOption.option,
      .text("output", "FOLDER", "where it is written (default: deploy/TARGET)"),
      Option(name: "kafka-nodes", value: "N", meaning: "nodes of the included Kafka: 1 or 3 (default: 1)") {
        $0 == "1" || $0 == "3" ? nil : "1 or 3"
      },
      .flag("bridge", "with the bridge, also where no flow leaves stages to others"),
      .flag("one-user", "one user of the database, in place of a role for each stage"),
      .flag("force", "overwrites files that this command did not write, or that were changed"),
    ], takesSettings: true, example: "deploy render kubernetes --side mosip --output site/mosip", run: run)

  private static let words = Target.allCases.map(\.rawValue).joined(separator: ", ")
  /// What was rendered, with the SHA-256 of each file.
  private static let list = ".rendered"

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    guard let target = Target(rawValue: arguments.operand(0) ?? "") else {
      let hint = Target.allCases.map(\.rawValue).nearest(to: arguments.operand(0) ?? "").map { "; did you mean \($0)?" } ?? ""
      throw Failure("a target is one of \(words), not `\(arguments.operand(0) ?? "")`\(hint)")
    }
    let settings = try Settings(arguments, around)
    let folder = arguments.text("output") ?? "deploy/\(target.rawValue)"
    let plan = try plan(arguments, settings, around)
    let files = target.render(plan)
    let changed = try write(files, to: folder, force: arguments.has("force"))
    around.console.err(
      "\(folder): \(plan.services.count) services and \(plan.jobs.count) jobs in \(files.count) files, \(changed) of them changed\n"
    )
    return 0
  }

  private static func plan(_ arguments: Arguments, _ settings: Settings, _ around: Surroundings) throws -> DeploymentPlan {
    let folder = try StageFolder(settings)
    let (routes, warnings) = try folder.routes(settings.routesFile)
    around.console.err(warnings.rendered(colour: around.console.errorsAreColoured))
    var own = "# The site's settings, over the defaults that `regproc settings` shows. Secrets never stand here.\n"
    if let file = arguments.text("settings") ?? around.environment["REGPROC_SETTINGS"] {
      for entry in SettingEntry.all {
        guard let given = settings.given[entry.name], given.source.hasPrefix(file), entry.shown(given.text) != given.text else {
          continue
        }
        throw Failure("\(given.source): \(entry.name) holds a secret, which is not rendered: put it into a file of its own")
      }
      own = String(decoding: try Files.read(file), as: UTF8.self)
    }
    let side = arguments.text("side").map { StageKit.Side(rawValue: $0) } ?? settings.side
    let hasBridge = arguments.has("bridge") || !routes.elsewhereStages.isEmpty
    let here = folder.stages.filter { stage in
      (side == nil || stage.side == side) && (hasBridge || Plugins.named(stage.plugin)?.spec.servesElsewhere != true)
    }
    let rights = try DeploymentRights(
      rolesSQL: DatabaseRights(here, prefix: "regproc_", isEmbedded: !settings.usesMosip).rolesSQL,
      kafkaLines: KafkaRights(folder, here, routes, prefix: "User:regproc-").rules.map { $0.line + "\n" }.joined())
    return DeploymentPlan(
      stages: folder.stages.map(deployed), side: side.flatMap { Deployment.Side(rawValue: $0.rawValue) },
      hasBridge: hasBridge, kafkaNodes: arguments.integer("kafka-nodes") ?? 1, rights: arguments.has("one-user") ? nil : rights,
      routes: String(decoding: try Files.read(settings.routesFile), as: UTF8.self), settings: own)
  }

  /// What a deployment must know of a stage.
  static func deployed(_ file: StageDefinition) -> DeployedStage {
    let spec = Plugins.named(file.plugin)?.spec
    let fields = spec?.settings ?? []
    return DeployedStage(
      name: file.name, plugin: file.plugin, side: file.side == .opencrvs ? .opencrvs : .mosip,
      isBridge: spec?.servesElsewhere == true,
      secrets: fields.filter { $0.kind == .secret }.map(\.name), texts: fields.filter { $0.kind == .text }.map(\.name),
      resources: resources(of: file))
  }

  private static func resources(of file: StageDefinition) -> Resources {
    let wanted = file.resources
    return Resources(
      requestedCPU: wanted.cpu.description, requestedMemory: wanted.memory.description, mostCPU: wanted.cpuLimit?.description,
      mostMemory: wanted.memoryLimit.description)
  }

  /// Writes a tree and removes what an earlier one had more. Returns how many files changed.
  private static func write(_ files: [RenderedFile], to folder: String, force: Bool) throws -> Int {
    let earlier = earlierFiles(in: folder)
    if !force {
      let foreign = files.filter { file in
        guard let there = try? Files.read("\(folder)/\(file.path)"), there != Array(file.text.utf8) else { return false }
        return earlier[file.path] != digest(there)
      }
      if let first = foreign.first {
        let more = foreign.count > 1 ? " and \(foreign.count - 1) more" : ""
        throw Failure(
          "\(folder)/\(first.path)\(more) is not of this command, or was changed since; nothing was written (--force overwrites)")
      }
    }
    var changed = 0
    for file in files {
      let (path, bytes) = ("\(folder)/\(file.path)", Array(file.text.utf8))
      if let there = try? Files.read(path), there == bytes { continue }
      try Files.makeFolder(Files.parent(of: path), mode: 0o755)
      try Files.write(bytes, to: path, mode: file.isProgram ? 0o755 : 0o644)
      changed += 1
    }
    for (path, known) in earlier where !files.contains(where: { $0.path == path }) {
      guard let there = try? Files.read("\(folder)/\(path)"), digest(there) == known else { continue }
      Files.remove("\(folder)/\(path)")
      changed += 1
    }
    let lines = files.map { "\(digest(Array($0.text.utf8)))  \($0.path)\n" }.joined()
    try Files.write(Array(lines.utf8), to: "\(folder)/\(list)", mode: 0o644)
    return changed
  }

  private static func earlierFiles(in folder: String) -> [String: String] {
    guard let bytes = try? Files.read("\(folder)/\(list)") else { return [:] }
    var files: [String: String] = [:]
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      // A list that somebody wrote must not lead out of the folder.
      let path = String(line.dropFirst(66))
      guard line.count > 66, !path.hasPrefix("/"), !path.split(separator: "/").contains("..") else { continue }
      files[path] = String(line.prefix(64))
    }
    return files
  }

  private static func digest(_ bytes: [UInt8]) -> String { Encoding.hex(Hash.sha256(bytes)) }
}
