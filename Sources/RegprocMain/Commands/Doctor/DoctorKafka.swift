import Kafka
import StageRuntime
import System

/// What `regproc doctor` says of Kafka: the client library, the cluster, and the topics of the whole plan.
enum DoctorKafka {
  static let check = DoctorCheck("kafka", remedy: "is the broker up, and are address and security right?") { doctor, report in
    guard let kafka = try doctor.settings.kafka() else {
      guard doctor.run.isEmpty else { return report.bad(RunCommand.needsKafka) }
      return report.good("none configured: `up` brings a broker of its own, for trying things out only")
    }
    for problem in kafka.libraryProblems {
      if problem.isFault { report.bad(problem.words, as: "librdkafka") } else { report.warn(problem.words, as: "librdkafka") }
    }
    let (plan, address) = (doctor.topics, Showing.withoutSecretParts(kafka.bootstrapServers))
    do {
      let (cluster, found) = try await doctor.blocking.run {
        let admin = try KafkaAdmin(settings: kafka)
        return (try admin.metadata(), try plan?.differences(from: admin) ?? [])
      }
      report.good(
        "\(address), \(cluster.brokers == 1 ? "1 broker" : "\(cluster.brokers) brokers"), \(cluster.topics.count) topics, "
          + "librdkafka \(LibraryVersion.loaded)")
      if let plan { tell(plan, found, report) }
    } catch {
      report.failed("\(address): \(error)")
    }
  }

  private static func tell(
    _ plan: TopicPlan, _ found: [TopicPlan.Difference], _ report: DoctorReport
  ) {
    var (isPlanned, lone, brokers) = (true, [String](), 0)
    for difference in found {
      switch difference {
      case .missing(let name):
        let reasons = plan.topics.first { $0.name == name }?.reasons.joined(separator: "; ") ?? ""
        report.bad("\(name) is missing (\(reasons)): `regproc topics create` makes it", as: "topics")
      case .loneReplica(let name, let count):
        lone.append(name)
        brokers = count
        continue
      // Fewer partitions work; they only bound how many work at once.
      case .fewerPartitions(let name, let now):
        report.warn(
          "\(name) has \(now) of \(plan.partitions) partitions: `regproc topics create --grow` makes the others", as: "topics")
      case .replicas(let name, _): report.warn("\(name) \(plan.words(difference))", as: "topics")
      case .leaderless(let name, _), .belowMinimum(let name, _, _), .retention(let name, _):
        report.bad("\(name): \(plan.words(difference))", as: "topics")
      case .morePartitions, .unneeded: continue
      }
      isPlanned = false
    }
    if !lone.isEmpty {
      report.warn(
        "one replica on a cluster of \(brokers) brokers, so they stand still while one is away: \(lone.joined(separator: ", "))",
        as: "topics")
    } else if isPlanned {
      report.good("the \(plan.topics.count) that are needed are there", as: "topics")
    }
  }
}
