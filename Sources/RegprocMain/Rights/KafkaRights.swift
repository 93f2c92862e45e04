import Routing
import StageKit
import StageRuntime
import Stages

/// Who may do what on Kafka, as its access control lists say it: a principal for each stage, and one that makes the topics.
struct KafkaRights: Sendable {
  /// A rule: one principal may do some operations on some resources of a type.
  struct Rule: Sendable, Equatable {
    enum Resource: String, Sendable {
      case topic, group
      case transactionalId = "transactional-id"
      case cluster
    }
    var principal: String
    var resource: Resource
    /// The names of resources; empty for the cluster.
    var names: [String]
    /// Whether the names are beginnings.
    var isPrefix = false
    /// Kafka's words, e.g. `Read`.
    var operations: [String]
  }

  /// What each stage does.
  let stages: [TopicRights]
  let rules: [Rule]

  /// - Parameters:
  ///   - prefix: what principals begin with, e.g. `User:regproc-`; the stage's name follows, or `topics`.
  ///   - isIdempotentGuarded: brokers before 2.8 ask for a right of its own to write idempotently.
  init(_ folder: StageFolder, _ chosen: [StageDefinition], _ routes: RouteFile, prefix: String, isIdempotentGuarded: Bool = false)
    throws
  {
    let names = Set(chosen.map(\.name))
    stages = try folder.topicReaders.filter { names.contains($0.name) }.map {
      TopicRights(
        $0, routes, bridge: try folder.bridgeCommands(of: $0.name), isReprocessor: folder.isReprocessor($0.name))
    }
    .filter { !$0.topics.isEmpty }
    var rules: [Rule] = []
    func allow(_ who: String, _ resource: Rule.Resource, _ names: Set<String>, isPrefix: Bool = false, _ operations: String...) {
      guard !names.isEmpty || resource == .cluster else { return }
      rules.append(
        Rule(
          principal: prefix + who, resource: resource, names: names.sorted(), isPrefix: isPrefix, operations: operations))
    }
    for stage in stages {
      allow(stage.stage, .topic, stage.reads, "Read", "Describe")
      // Of a record that is too large it tells the topic's limit.
      allow(stage.stage, .topic, stage.writes, "Write", "Describe", "DescribeConfigs")
      if let group = stage.group { allow(stage.stage, .group, [group], "Read", "Describe") }
      if let prefix = stage.transactionalIDPrefix {
        allow(stage.stage, .transactionalId, [prefix], isPrefix: true, "Write", "Describe")
      }
      if isIdempotentGuarded { allow(stage.stage, .cluster, [], "IdempotentWrite") }
    }
    let topics = stages.reduce(into: Set<String>()) { $0.formUnion($1.topics) }
    allow("topics", .topic, topics, "Create", "Describe", "DescribeConfigs", "Alter")
    self.rules = rules
  }
}

extension KafkaRights.Rule {
  /// The arguments of Kafka's own tool that add the rule.
  var arguments: [String] {
    let flag = "--\(resource.rawValue)"
    return ["--add", "--allow-principal", principal]
      + operations.flatMap { ["--operation", $0] }
      + (isPrefix ? ["--resource-pattern-type", "prefixed"] : [])
      + (resource == .cluster ? [flag] : names.flatMap { [flag, $0] })
  }

  /// For a shell.
  var line: String {
    let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/=,@")
    let words = arguments.map { $0.allSatisfy(plain.contains) ? $0 : "'\($0.replacing("'", with: "'\\''"))'" }
    return "kafka-acls.sh \"$@\" " + words.joined(separator: " ")
  }
}

extension StageFolder {
  /// Whether a stage tries again what stands at stages that run elsewhere.
  func isReprocessor(_ name: String) -> Bool {
    stage(name).flatMap { Plugins.named($0.plugin)?.spec.isReprocessor } == true
  }

  /// Who carries out workflow commands when a stage is the bridge; nil for every other.
  func bridgeCommands(of name: String) throws -> Bridge.Commands? {
    guard let file = stage(name), let spec = Plugins.named(file.plugin)?.spec, spec.isBridge else { return nil }
    let settings = try StageSettings(stage: name, declared: spec.settings, given: file.settings)
    return Bridge.Commands(rawValue: settings.text("workflow-commands")) ?? .publish
  }
}
