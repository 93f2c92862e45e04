import Glibc
import Kafka
import System

/// The broker that `REGPROC_TEST_KAFKA=host:port` names: for tests alone, since they remove what a pipeline leaves there.
public enum OutsideBroker {
  /// Where it is; nil when the tests bring brokers of their own.
  public static let address = getenv("REGPROC_TEST_KAFKA").map { String(cString: $0) }

  /// A group whose members neither leave nor are put out.
  public struct StillInUse: Error {
    /// What the broker says.
    public var error: KafkaError
  }

  /// How a client reaches it.
  public static func settings(_ address: String) -> KafkaSettings {
    // noida-db answers a fetch with all there is.
    KafkaSettings(bootstrapServers: address, properties: ["receive.message.max.bytes": "2000000000"], logsWarnings: false)
  }

  /// Removes the topics of every pipeline and these groups, so that a test reads nothing of the one before: topics have fixed names, and a
  /// group's offsets outlive its topics. What else is on the broker is left alone.
  public static func clear(_ address: String, groups: [String]) async throws {
    let pool = BlockingPool(name: "outside-broker", threads: 1)
    defer { pool.close() }
    try await pool.run {
      let admin = try KafkaAdmin(settings: settings(address))
      try remove(groups, by: admin)
      try admin.deleteTopics(try admin.listTopics().keys.filter(isOfPipeline))
    }
  }

  private static func isOfPipeline(_ topic: String) -> Bool {
    topic.hasSuffix("-bus-in") || topic.hasSuffix("-bus-out") || topic.hasPrefix("OPENCRVS_") || topic == "workflow-internal-action"
  }

  /// A process that was killed stays a member until its session is over.
  private static func remove(_ groups: [String], by admin: KafkaAdmin) throws {
    let end = ContinuousClock.now + .seconds(30)
    while true {
      do throws(KafkaError) {
        return try admin.deleteGroups(groups)
      } catch {
        guard error.name == "NON_EMPTY_GROUP" else { throw error }
        guard ContinuousClock.now < end else { throw StillInUse(error: error) }
      }
      usleep(500_000)
    }
  }
}
