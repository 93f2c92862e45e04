import Operations
import Kafka
import StageKit
import StageRuntime
import Stages

extension StageFolder {
  /// The stages of this framework with what each reads. One whose settings lack something names no further topics: that is told at its start.
  var topicReaders: [TopicPlan.Reader] {
    get throws {
      stages.compactMap { file in
        guard let plugin = Plugins.named(file.plugin) else { return nil }
        let given = try? StageSettings(stage: file.name, declared: plugin.spec.settings, given: file.settings)
        return TopicPlan.Reader(
          file, takesMessages: plugin.spec.takesMessages,
          furtherTopics: given.map { given in plugin.spec.topics.map { given.filled($0) } } ?? [])
      }
    }
  }
}

extension TopicPlan {
  /// What a cluster has otherwise. Settings of topics are asked for only where they matter.
  func differences(from admin: KafkaAdmin) throws -> [Difference] {
    let cluster = try admin.metadata()
    var configuration: [String: [String: String]] = [:]
    for topic in topics {
      guard let partitions = cluster.topics[topic.name],
        retention != nil || partitions.contains(where: { $0.inSync < $0.replicas })
      else { continue }
      do throws(KafkaError) {
        configuration[topic.name] = try admin.configuration(of: topic.name)
      } catch {
        // Who may not look at settings sees everything else.
        guard error.name == "TOPIC_AUTHORIZATION_FAILED" else { throw error }
      }
    }
    return differences(cluster, configuration: configuration)
  }

  /// A difference and what to do about it.
  func words(_ difference: Difference) -> String {
    func list(_ partitions: [Int]) -> String { partitions.map(String.init).joined(separator: ", ") }
    return switch difference {
    case .missing: "missing"
    case .fewerPartitions(_, let now): "has \(now) partitions: --grow makes them \(partitions)"
    case .morePartitions(_, let now): "has \(now) partitions"
    case .replicas(_, let now): "has \(now) replicas: change them with Kafka's own tools"
    case .loneReplica(_, let brokers):
      "has one replica on a cluster of \(brokers) brokers, so it stands still while one of them is away: add replicas with Kafka's own tools"
    case .leaderless(_, let partitions): "no broker leads partition \(list(partitions)): is a broker away?"
    case .belowMinimum(_, let partitions, let minimum):
      "fewer than \(minimum) replicas are in sync (min.insync.replicas), so partition \(list(partitions)) takes no records"
    case .retention(_, let now):
      "keeps records for \(now.map { TimeWords.whole(milliseconds: $0) } ?? "an unknown time"): set retention.ms with Kafka's own tools"
    case .unneeded: "no flow and no stage needs it: --delete removes it"
    }
  }
}

extension TopicPlan.Difference {
  /// More partitions than planned, one replica where the plan leaves that to the cluster, and topics that nobody needs are no faults.
  var isFault: Bool {
    switch self {
    case .missing, .fewerPartitions, .replicas, .leaderless, .belowMinimum, .retention: true
    case .morePartitions, .loneReplica, .unneeded: false
    }
  }
}
