import Operations
import JSON
import Kafka
import StageKit
import StageRuntime
import Stages
import System

/// `regproc topics ...`: the topics that the route file and its stages need, and those the cluster has.
enum TopicsCommand {
  private static let common: [Option] = [
    .flag("bridge", "a bridge routes: every stage has an output topic for each process"),
    Option(
      name: "retention", value: "TIME",
      meaning: "how long records are kept, e.g. 7d; cluster leaves it to Kafka (default: 7d)"
    ) {
      milliseconds($0) == nil && $0 != "cluster" ? "a time such as 12h or 7d, or cluster" : nil
    },
    .flag("json", "one object a line"),
  ]

  static let plan = Command(
    name: "topics plan", summary: "lists the topics that are needed, and where the cluster differs",
    details: "Without a configured Kafka only what is needed is listed. Exit code 1: the cluster differs.",
    options: common, takesSettings: true, example: "topics plan --kafka broker:9092", run: runPlan)

  static let create = Command(
    name: "topics create", summary: "makes the topics that are missing",
    details: """
      A topic that exists is left as it is. Only --grow adds partitions: messages of one RID may be on two partitions then.
      Only --delete removes topics of stages that nobody needs any more, with all their records.
      """,
    options: common + [
      .flag("grow", "also raises the number of partitions"),
      .flag("delete", "also removes topics of stages that nobody needs"),
      .flag("dry-run", "only says what would be done"),
    ], takesSettings: true, example: "topics create --kafka broker:9092", run: runCreate)

  private static func milliseconds(_ text: String) -> Int? {
    guard let seconds = TimeWords.seconds(text), case let (time, overflow) = seconds.multipliedReportingOverflow(by: 1000),
      !overflow
    else { return nil }
    return time
  }

  private static func make(_ arguments: Arguments, _ settings: Settings) throws -> TopicPlan {
    let folder = try StageFolder(settings)
    let (routes, _) = try folder.routes(settings.routesFile)
    let retention = arguments.text("retention") ?? "7d"
    return TopicPlan(
      routes, readers: try folder.topicReaders, partitions: settings.partitions,
      replication: settings.replication, retention: milliseconds(retention), bridged: arguments.has("bridge"))
  }

  private static func runPlan(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let plan = try make(arguments, settings)
    let console = around.console
    var found: [TopicPlan.Difference] = []
    let kafka = try settings.kafka()
    if let kafka {
      let pool = BlockingPool(name: "topics", threads: 1)
      defer { pool.close() }
      found = try await pool.run { try plan.differences(from: KafkaAdmin(settings: kafka)) }
    }
    if arguments.has("json") {
      for topic in plan.topics { console.out(json(topic, plan, found).encoded() + [10]) }
      for case .unneeded(let name) in found {
        let line: JSONValue = ["topic": .string(name), "needed": false]
        console.out(line.encoded() + [10])
      }
    } else {
      var table = TextTable(head: [
        "topic", "partitions", "replicas", "retention", kafka == nil ? "needed for" : "cluster",
      ])
      for topic in plan.topics {
        let states = found.filter { $0.topic == topic.name }.map { plan.words($0) }
        let state =
          kafka == nil
          ? topic.reasons.joined(separator: "; ") : states.isEmpty ? "as planned" : states.joined(separator: "; ")
        table.add([
          topic.name, String(plan.partitions), plan.replication < 0 ? "cluster's" : String(plan.replication),
          plan.retention.map { TimeWords.whole(milliseconds: $0) } ?? "cluster's", state,
        ])
      }
      console.out(table.rendered(console))
      for case .unneeded(let name) in found { console.out("\(name): \(plan.words(.unneeded(name)))\n") }
    }
    return found.contains(where: \.isFault) ? 1 : 0
  }

  private static func runCreate(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let plan = try make(arguments, settings)
    guard let kafka = try settings.kafka() else {
      throw Failure("no Kafka is configured: --kafka HOST:PORT, or kafka.bootstrap-servers in a settings file")
    }
    let (grows, deletes, isDry) = (arguments.has("grow"), arguments.has("delete"), arguments.has("dry-run"))
    let pool = BlockingPool(name: "topics", threads: 1)
    defer { pool.close() }
    let done = try await pool.run { () throws -> [(action: String, topic: String, words: String)] in
      let admin = try KafkaAdmin(settings: kafka)
      let found = try plan.differences(from: admin)
      if !isDry { try admin.createTopics(plan.newTopics(found)) }
      var done: [(action: String, topic: String, words: String)] = []
      for difference in found {
        switch difference {
        case .missing(let name): done.append(("made", name, "\(plan.partitions) partitions"))
        case .fewerPartitions(let name, let now) where grows:
          if !isDry { try admin.increasePartitions(of: name, to: plan.partitions) }
          done.append(("grown", name, "from \(now) to \(plan.partitions) partitions"))
        case .unneeded(let name) where deletes:
          if !isDry { try admin.deleteTopics([name]) }
          done.append(("removed", name, "nobody needs it"))
        default: done.append(("left", difference.topic, plan.words(difference)))
        }
      }
      return done
    }
    let console = around.console
    for (action, topic, words) in done {
      if arguments.has("json") {
        let line: JSONValue = [
          "action": .string(action), "topic": .string(topic), "words": .string(words),
          "done": .bool(!isDry && action != "left"),
        ]
        console.out(line.encoded() + [10])
      } else {
        console.out("\(isDry && action != "left" ? "would be " : "")\(action): \(topic) (\(words))\n")
      }
    }
    let made = done.count { $0.action == "made" }
    console.err("\(plan.topics.count) topics are needed; \(made) \(isDry ? "would be" : "were") made\n")
    return 0
  }

  private static func json(_ topic: TopicPlan.Topic, _ plan: TopicPlan, _ found: [TopicPlan.Difference]) -> JSONValue {
    [
      "topic": .string(topic.name), "needed": true, "partitions": JSONValue(plan.partitions),
      "replication": JSONValue(plan.replication), "retention.ms": plan.retention.map { JSONValue($0) } ?? .null,
      "reasons": .array(topic.reasons.map { .string($0) }),
      "differences": .array(found.filter { $0.topic == topic.name }.map { .string(plan.words($0)) }),
    ]
  }
}
