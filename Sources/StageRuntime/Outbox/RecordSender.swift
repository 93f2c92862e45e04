import Kafka
import System

/// Puts records on the bus, outside of any worker's transaction.
protocol RecordSender: AnyObject {
  /// Sends all records and returns when the broker has answered for each: the ones that it did not take.
  func send(_ records: [OutgoingRecord]) throws(BusFailure) -> [SendFailure]

  /// The bytes that a record of a topic may have; nil when nobody says.
  func limit(of topic: String) -> Int?

  func close()
}

/// A record that the broker did not take.
struct SendFailure: Sendable, Equatable {
  enum Kind: Sendable, Equatable {
    /// Its topic is not there, or may not be written to.
    case noTopic
    /// It, or the batch that it was sent in, is above the limit.
    case tooLarge
    /// There was no answer for it.
    case unanswered
  }

  /// Its place among the records.
  var index: Int
  var kind: Kind
  /// In words, with the topic; nothing of the record.
  var reason: String
}

/// On Kafka, each record acknowledged.
final class KafkaSender: RecordSender {
  private let producer: KafkaProducer
  private let watch: BusWatch

  init(_ settings: KafkaSettings, watch: BusWatch) throws {
    producer = try KafkaProducer(settings: settings)
    self.watch = watch
  }

  func send(_ records: [OutgoingRecord]) throws(BusFailure) -> [SendFailure] {
    do throws(KafkaError) {
      try producer.checkUsable()
      var headers = HeaderBuffer()
      var failures: [SendFailure] = []
      var insistence = Insistence()
      let limit = watch.limit(2000)
      for (index, record) in records.enumerated() {
        let refusal = try insistence.refusal(
          of: record.topic, exists: { (topic) throws(KafkaError) in try producer.topicExists(topic, timeoutMilliseconds: limit) },
          { () throws(KafkaError) in try producer.produce(record, &headers, tag: index + 1) })
        if let refusal { failures.append(SendFailure(index, refusal)) }
      }
      for failed in producer.flush(timeoutMilliseconds: watch.limit(20_000)) {
        failures.append(SendFailure(failed.tag - 1, failed.error))
      }
      try producer.checkUsable()
      return failures
    } catch {
      throw BusFailure(error)
    }
  }

  func limit(of topic: String) -> Int? { producer.recordLimit(of: topic, timeoutMilliseconds: watch.limit(5000)) }

  func close() {}
}

extension SendFailure {
  fileprivate init(_ index: Int, _ error: KafkaError) {
    let kind: Kind =
      switch error.code {
      case .unknownTopic, .notAllowed: .noTopic
      case .messageTooLarge: .tooLarge
      default: .unanswered
      }
    self.init(index: index, kind: kind, reason: error.description)
  }
}
