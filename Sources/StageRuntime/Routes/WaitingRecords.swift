import Kafka
import Registration
import System

/// Messages that stand on a topic and that a group has not taken yet: those of others, which the journal does not know.
public enum WaitingRecords {
  /// A topic did not come to its end in time.
  public struct Unfinished: Error, CustomStringConvertible {
    /// The topic.
    public let topic: String
    public var description: String { "the records of \(topic) could not be counted: the broker does not answer" }
  }

  /// Counts the messages behind a group's offsets by process, without joining the group or moving anything. Those that carry a hop id of
  /// ours are left out: the journal has them. Records that are no messages are counted under an empty process.
  /// - Throws: `KafkaError`, `Unfinished`. A topic that does not exist has none.
  public static func foreign(topic: String, group: String, kafka: KafkaSettings, timeoutMilliseconds: Int = 30_000) throws
    -> [String: Int]
  {
    guard try KafkaAdmin(settings: kafka).listTopics()[topic] != nil else { return [:] }
    var settings = kafka
    settings.consumerProperties["enable.partition.eof"] = "true"
    let consumer = try KafkaConsumer(settings: settings, group: group, topics: [topic], assignment: .all)
    defer { try? consumer.close() }
    var left = Set(consumer.assignedPartitions)
    var counts: [String: Int] = [:]
    let clock = ContinuousClock()
    var deadline = clock.now + .milliseconds(timeoutMilliseconds)
    while !left.isEmpty {
      guard clock.now < deadline else { throw Unfinished(topic: topic) }
      let result = try consumer.poll(max: 1000, timeoutMilliseconds: 200)
      for record in result.records where record.header(HopHeader.name).flatMap({ HopHeader($0) }) == nil {
        let message = record.valueBytes.flatMap { try? Message(decoding: $0) }
        counts[message?.process ?? "", default: 0] += 1
      }
      if !result.records.isEmpty { deadline = clock.now + .milliseconds(timeoutMilliseconds) }
      for case .reachedEnd(let place) in result.events { left.remove(place.partition) }
    }
    return counts
  }
}
