import Kafka
import Synchronization
import System

/// Sees to it that an engine's topics are there: before it starts, before a changed route file takes effect, and every 30 seconds.
///
/// The cluster's metadata is asked first, and only what is missing is asked for: Kafka refuses to "make" an existing topic to a user
/// without the right to make topics, and the controller may be away when no other broker is.
public final class TopicCare: Sendable {
  /// Opens an admin client whose calls end after so many milliseconds.
  typealias Opening = @Sendable (_ totalMilliseconds: Int) throws -> any TopicAdmin

  /// Topics without which the engine's stages cannot work.
  public struct Missing: Error, CustomStringConvertible {
    /// What is missing, for whom, and what helps.
    public let words: [String]
    /// All of it.
    public var description: String { words.joined(separator: "\n") }
  }

  private struct Findings: Equatable {
    var problems: [String] = []
    var warnings: [String] = []
  }

  private let partitions: Int
  private let replication: Int
  private let interval: Duration
  private let needs: @Sendable () -> TopicNeeds
  private let open: Opening
  private let found = Mutex(Findings())
  private let stopping = Atomic<Bool>(false)
  private let bell = Semaphore()
  private let ended = Semaphore()
  private let log = Log("topics")

  /// - Parameters:
  ///   - partitions: of topics that are made.
  ///   - replication: copies of topics that are made; -1 is the cluster's own number.
  ///   - needs: by the route file in force.
  init(
    partitions: Int, replication: Int, interval: Duration = .seconds(30), needs: @escaping @Sendable () -> TopicNeeds,
    open: @escaping Opening
  ) {
    self.partitions = partitions
    self.replication = replication
    self.interval = interval
    self.needs = needs
    self.open = open
  }

  /// What keeps messages from being taken or sent: topics that are missing and cannot be made, partitions without a leader.
  public var problems: [String] { found.withLock { $0.problems } }

  /// What works but is not as it is meant to be: too few partitions, one replica on a cluster of several brokers.
  public var warnings: [String] { found.withLock { $0.warnings } }

  /// Makes what is missing. Blocks, at most so long and as long as the cluster takes to show what it made.
  /// - Throws: `Missing` when a topic that this engine's own stages need is not there and cannot be made, else `KafkaError`.
  func ensure(_ needs: TopicNeeds, totalMilliseconds: Int) throws {
    let lost = try see(to: needs, by: try open(totalMilliseconds))
    if !lost.isEmpty { throw Missing(words: lost) }
  }

  /// Looks every so often, on a thread of its own.
  func start() {
    OwnedThread.start("topic-care") {
      var admin: (any TopicAdmin)?
      while self.rest() { self.look(&admin) }
      self.ended.signal()
    }
  }

  func stop() {
    stopping.store(true, ordering: .releasing)
    bell.signal()
  }

  /// Waits for the thread to end; a broker that does not answer is not waited for.
  func join() {
    if ended.wait(milliseconds: 2000) { ended.signal() }
  }

  /// False when it is time to end.
  private func rest() -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + interval
    while !stopping.load(ordering: .acquiring), clock.now < end { _ = bell.wait(milliseconds: 1000) }
    return !stopping.load(ordering: .acquiring)
  }

  /// One round. What it finds is told in the log once, until it changes.
  func look(_ admin: inout (any TopicAdmin)?) {
    do {
      let opened = try admin ?? open(8000)
      admin = opened
      _ = try see(to: needs(), by: opened)
    } catch {
      var findings = found.withLock { $0 }
      findings.warnings.removeAll { $0.hasPrefix(Self.blind) }
      findings.warnings.append("\(Self.blind): \(error)")
      note(findings)
    }
  }

  private static let blind = "the cluster's topics cannot be looked at"

  /// Makes what is missing and notes what is wrong.
  /// - Returns: what is wrong with required topics that are missing.
  private func see(to needs: TopicNeeds, by admin: any TopicAdmin) throws -> [String] {
    var cluster = try admin.metadata()
    let missing = needs.topics.filter { cluster.topics[$0] == nil }
    var findings = Findings()
    var lost: [String] = []
    if !missing.isEmpty {
      let outcome = try make(missing, needs, by: admin)
      for name in missing {
        guard case .refused(let error)? = outcome[name] else { continue }
        let words = Self.refusal(of: name, needs.reasons(name), error)
        findings.problems.append(words)
        if needs.required[name] != nil { lost.append(words) }
      }
      let made = missing.filter { outcome[$0] == .created }
      if !made.isEmpty { log.info("topics were missing and are made", ["topics": made.joined(separator: " ")]) }
      cluster = try admin.metadata()
    }
    judge(cluster, needs, &findings)
    note(findings)
    return lost
  }

  /// What nobody here waits for may fail as a whole.
  private func make(_ missing: [String], _ needs: TopicNeeds, by admin: any TopicAdmin) throws(KafkaError) -> [String:
    TopicCreation]
  {
    let topics = missing.map { NewTopic($0, partitions: partitions, replication: replication) }
    do throws(KafkaError) {
      return try admin.makeTopics(topics)
    } catch {
      if missing.contains(where: { needs.required[$0] != nil }) { throw error }
      return missing.reduce(into: [:]) { $0[$1] = .refused(error) }
    }
  }

  private func judge(_ cluster: ClusterMetadata, _ needs: TopicNeeds, _ findings: inout Findings) {
    var lone: [String] = []
    for name in needs.topics {
      guard let there = cluster.topics[name] else { continue }
      let leaderless = there.filter { !$0.hasLeader }.map { String($0.number) }
      if !leaderless.isEmpty {
        findings.problems.append("topic \(name): no broker leads partition \(leaderless.joined(separator: ", "))")
      }
      if there.count < partitions {
        findings.warnings.append(
          "topic \(name) has \(there.count) of \(partitions) partitions: `regproc topics create --grow` makes the others")
      }
      if cluster.brokers > 1, there.contains(where: { $0.replicas == 1 }) { lone.append(name) }
    }
    if !lone.isEmpty {
      findings.warnings.append(
        "one replica on a cluster of \(cluster.brokers) brokers, so one broker that is away stops them: \(lone.joined(separator: ", "))"
      )
    }
  }

  private func note(_ findings: Findings) {
    let before = found.withLock { old in
      defer { old = findings }
      return old
    }
    for words in findings.problems where !before.problems.contains(words) { log.error(words) }
    for words in findings.warnings where !before.warnings.contains(words) { log.warning(words) }
    let gone = (before.problems + before.warnings).filter { !findings.problems.contains($0) && !findings.warnings.contains($0) }
    for words in gone { log.info("over", ["problem": words]) }
  }

  private static func refusal(of topic: String, _ reasons: String, _ error: KafkaError) -> String {
    ["TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"].contains(error.name)
      ? "topic \(topic) (\(reasons)) is missing, or hidden from this user, who may not make it: run `regproc topics create` as one who may"
      : "topic \(topic) (\(reasons)) is missing and could not be made: \(error)"
  }
}
