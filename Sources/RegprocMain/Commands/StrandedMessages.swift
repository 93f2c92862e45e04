import Kafka
import Registration
import Routing
import StageKit
import StageRuntime
import Stages
import System

/// Messages that a new route file would leave behind: under way to, or answered by, a stage that their flow has no more.
struct StrandedMessages: Sendable {
  /// Where they stand.
  enum Place: String, Sendable {
    /// On their way to the stage.
    case stranded
    /// Answers of a stage that runs elsewhere, which no bridge would read any more.
    case strandedAnswers = "stranded-answers"
  }

  let place: Place
  let process: String
  let stage: String
  var messages: Int

  /// For a person.
  var words: String {
    let count = messages == 1 ? "1 message" : "\(messages) messages"
    return switch place {
    case .stranded: "\(count) of \(process) \(messages == 1 ? "waits" : "wait") for \(stage), which the new file does not have"
    case .strandedAnswers:
      "\(count) of \(process), answered by \(stage), \(messages == 1 ? "waits" : "wait") for the bridge; "
        + "the new file does not have the stage"
    }
  }

  /// Finds them: in the journal, and on the topics themselves those that others sent, when a Kafka is configured.
  static func find(_ old: RouteFile, _ new: RouteFile, _ folder: StageFolder, _ settings: Settings) async throws
    -> [StrandedMessages]
  {
    func isGone(_ process: String, _ stage: String) -> Bool {
      new.flow(process)?.stages.contains { $0.name.value == stage } != true
    }
    var found = try await JournalAccess.with(settings) { connection, _ in
      try JournalHops(connection).open().map {
        StrandedMessages(place: .stranded, process: $0.process, stage: $0.stage, messages: $0.messages)
      }
    }.filter { isGone($0.process, $0.stage) }
    guard let kafka = try settings.kafka() else { return found }
    let removed = old.flows.flatMap { flow in flow.stages.map { (flow.process.value, $0.name.value) } }.filter {
      isGone($0.0, $0.1)
    }
    let bridge = folder.stages.first { Plugins.named($0.plugin)?.spec.isBridge == true }
    let pool = BlockingPool(name: "topics", threads: 1)
    defer { pool.close() }
    let more = try await pool.run { () throws -> [StrandedMessages] in
      var counts: [String: [String: Int]] = [:]
      func count(_ topic: String, _ group: String, _ process: String) throws -> Int {
        let known = try counts[topic] ?? WaitingRecords.foreign(topic: topic, group: group, kafka: kafka)
        counts[topic] = known
        return known[process] ?? 0
      }
      var more: [StrandedMessages] = []
      for (process, stage) in removed {
        let group = folder.stage(stage)?.group ?? StageDefinition(name: stage).group
        let waiting = try count(old.busIn(of: stage), group, process)
        more.append(StrandedMessages(place: .stranded, process: process, stage: stage, messages: waiting))
        guard let bridge else { continue }
        let topic = Topic.busOut(old.stages.topicPrefix(of: stage), process: process)
        let answers = try count(topic, bridge.group, process)
        more.append(StrandedMessages(place: .strandedAnswers, process: process, stage: stage, messages: answers))
      }
      return more
    }
    for other in more where other.messages > 0 {
      if let index = found.firstIndex(where: { ($0.place, $0.process, $0.stage) == (other.place, other.process, other.stage) }) {
        found[index].messages += other.messages
      } else {
        found.append(other)
      }
    }
    return found
  }
}
