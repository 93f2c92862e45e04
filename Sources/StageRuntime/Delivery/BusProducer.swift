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

/// A record that the broker (or the client, from what the broker told it) refuses for a reason of its own, while others are taken: its topic is
/// not there, it may not be written, the record is too large.
struct Refusal: Sendable, Equatable {
  var hop: HopId
  /// In words, with the topic; nothing of the record.
  var reason: String

  init(hop: HopId, _ error: KafkaError) { self.init(hop: hop, reason: error.description) }

  init(hop: HopId, reason: String) {
    self.hop = hop
    self.reason = reason
  }
}
