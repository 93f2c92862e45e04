import CRdKafka
import System

/// Owns a librdkafka client. Batches keep it alive, because the records they hold point into it.
final class ClientHandle: @unchecked Sendable {
  // Safe to share: librdkafka's handles are made for calls from several threads.
  let raw: OpaquePointer
  /// The object that callbacks get, kept until no callback can come any more.
  private let callbackState: (any AnyObject & Sendable)?

  init(_ raw: OpaquePointer, keeping callbackState: (any AnyObject & Sendable)? = nil) {
    self.raw = raw
    self.callbackState = callbackState
  }

  deinit {
    let (address, state) = (UInt(bitPattern: raw), callbackState)
    ClientEnds.begin {
      // A consumer has left its group before this, or is meant to vanish without a word.
      rd_kafka_destroy_flags(OpaquePointer(bitPattern: address), RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE)
      withExtendedLifetime(state) {}
    }
  }

  /// Partition counts of topics; a topic that does not exist is left out. Blocks at most so long.
  func partitionCounts(topic: String?, timeoutMilliseconds: Int32) throws(KafkaError) -> [String: Int] {
    try metadata(topic: topic, timeoutMilliseconds: timeoutMilliseconds).partitionCounts
  }

  /// What the cluster says of one topic, or of all; a topic that does not exist is left out. Blocks at most so long.
  func metadata(topic: String?, timeoutMilliseconds: Int32) throws(KafkaError) -> ClusterMetadata {
    var answer: UnsafePointer<rd_kafka_metadata>?
    let handle = topic.flatMap { rd_kafka_topic_new(raw, $0, nil) }
    defer { if let handle { rd_kafka_topic_destroy(handle) } }
    let error = rd_kafka_metadata(raw, handle == nil ? 1 : 0, handle, &answer, timeoutMilliseconds)
    guard error == RD_KAFKA_RESP_ERR_NO_ERROR, let answer else { throw KafkaError(error, "read metadata") }
    defer { rd_kafka_metadata_destroy(answer) }
    return ClusterMetadata(answer.pointee)
  }
}
