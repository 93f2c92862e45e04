import Kafka

/// The producer as a bus uses it. `KafkaProducer` is the real one; a test brings one whose calls do not come back.
protocol BusProducer: AnyObject, Sendable {
  func initTransactions(timeoutMilliseconds: Int) throws(KafkaError)
  func begin() throws(KafkaError)
  func produce(_ hop: OutgoingHop, _ headers: inout HeaderBuffer, tag: Int) throws(KafkaError)
  func sendOffsets(_ offsets: [PartitionOffset], group: GroupMetadata, timeoutMilliseconds: Int) throws(KafkaError)
  func commitTransaction(timeoutMilliseconds: Int) throws(KafkaError)
  func abortTransaction(timeoutMilliseconds: Int) throws(KafkaError)
  func flush(timeoutMilliseconds: Int) -> [FailedDelivery]
  func takeFailures() -> [FailedDelivery]
  func topicExists(_ topic: String, timeoutMilliseconds: Int) throws(KafkaError) -> Bool
}

extension KafkaProducer: BusProducer {}

/// Produces the records of one batch. A topic that the client believes missing is looked up once: what it believes may be half a minute old.
struct Insistence {
  private var looked: Set<String> = []

  /// Produces a record, and once more when its topic is there after all.
  /// - Returns: why the broker refuses it for a reason of its own; nil when it is on its way.
  mutating func refusal(
    of topic: String, exists: (String) throws(KafkaError) -> Bool, _ produce: () throws(KafkaError) -> Void
  ) throws(KafkaError) -> KafkaError? {
    do throws(KafkaError) {
      try produce()
      return nil
    } catch {
      guard error.isAboutRecord else { throw error }
      let isThere = error.code == .unknownTopic && looked.insert(topic).inserted && (try? exists(topic)) == true
      guard isThere else { return error }
    }
    do throws(KafkaError) {
      try produce()
      return nil
    } catch {
      guard error.isAboutRecord else { throw error }
      return error
    }
  }
}

/// A record that the broker (or the client, from what the broker told it) refuses for a reason of its own, while others are taken: its topic is
/// not there, it may not be written, the record is too large.
struct UndeliverableHop: Sendable, Equatable {
  var hop: HopId
  /// In words, with the topic; nothing of the record.
  var reason: String

  init(hop: HopId, _ error: KafkaError) { self.init(hop: hop, reason: error.description) }

  init(hop: HopId, reason: String) {
    self.hop = hop
    self.reason = reason
  }
}
