import Kafka
import StageRuntime
import System

/// What `regproc doctor` says of Kafka: the client library, the cluster, and the topics of the whole plan.
enum DoctorKafka {
  static func check(
    _ kafka: KafkaSettings, _ plan: TopicPlan?, _ pool: BlockingPool, _ say: (String, Bool, String) -> Void,
    _ warn: (String, String) -> Void
  ) async {
    for problem in kafka.libraryProblems {
      if problem.isFault { say("librdkafka", false, problem.words) } else { warn("librdkafka", problem.words) }
    }
    do {
      let (cluster, found) = try await pool.run {
        let admin = try KafkaAdmin(settings: kafka)
        return (try admin.metadata(), try plan?.differences(from: admin) ?? [])
      }
      say(
        "kafka", true,
        "\(Showing.withoutSecretParts(kafka.bootstrapServers)), \(cluster.brokers == 1 ? "1 broker" : "\(cluster.brokers) brokers"), "
          + "\(cluster.topics.count) topics, librdkafka \(LibraryVersion.loaded)")
      guard let plan else { return }
      tell(plan, found, say, warn)
    } catch {
      say(
        "kafka", false,
        "\(Showing.withoutSecretParts(kafka.bootstrapServers)): \(error); is the broker up, and are address and security right?")
    }
  }

  private static func tell(
    _ plan: TopicPlan, _ found: [TopicPlan.Difference], _ say: (String, Bool, String) -> Void, _ warn: (String, String) -> Void
  ) {
    var (isPlanned, lone, brokers) = (true, [String](), 0)
    for difference in found {
      switch difference {
      case .missing(let name):
        let reasons = plan.topics.first { $0.name == name }?.reasons.joined(separator: "; ") ?? ""
        say("topics", false, "\(name) is missing (\(reasons)): `regproc topics create` makes it")
      case .loneReplica(let name, let count):
        lone.append(name)
        brokers = count
        continue
      // Fewer partitions work; they only bound how many work at once.
      case .fewerPartitions(let name, let now):
        warn("topics", "\(name) has \(now) of \(plan.partitions) partitions: `regproc topics create --grow` makes the others")
      case .replicas(let name, _): warn("topics", "\(name) \(plan.words(difference))")
      case .leaderless(let name, _), .belowMinimum(let name, _, _), .retention(let name, _):
        say("topics", false, "\(name): \(plan.words(difference))")
      case .morePartitions, .unneeded: continue
      }
      isPlanned = false
    }
    if !lone.isEmpty {
      warn(
        "topics",
        "one replica on a cluster of \(brokers) brokers, so they stand still while one is away: \(lone.joined(separator: ", "))")
    } else if isPlanned {
      say("topics", true, "the \(plan.topics.count) that are needed are there")
    }
  }
}
