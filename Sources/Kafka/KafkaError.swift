import CRdKafka

/// What librdkafka or a broker answered when something could not be done.
public struct KafkaError: Error, Sendable, CustomStringConvertible {
  /// What a caller can do about it.
  public enum Code: Sendable, Equatable {
    /// The same call may work later.
    case retriable
    /// The transaction must be aborted; then its work may be done again.
    case abortable
    /// The client is unusable and must be closed.
    case fatal
    /// Another producer with the same transactional id, or another member of the group, took over.
    case fenced
    /// The partitions are not ours any more.
    case lostPartitions
    /// A topic or partition does not exist.
    case unknownTopic
    /// A record above the broker's or the client's limit.
    case messageTooLarge
    /// No answer in time.
    case timedOut
    /// A property that librdkafka does not know or take.
    case configuration
    /// Anything else.
    case other
  }

  /// What a caller can do about it.
  public var code: Code
  /// librdkafka's name of the error, e.g. `_TRANSPORT`.
  public var name: String
  /// The call that failed.
  public var operation: String
  /// librdkafka's words; they never hold record contents or secrets.
  public var reason: String

  public var description: String { "\(operation): \(name): \(reason)" }

  init(_ code: Code, name: String, operation: String, reason: String) {
    self.code = code
    self.name = name
    self.operation = operation
    self.reason = reason
  }

  init(_ error: rd_kafka_resp_err_t, _ operation: String) {
    self.init(
      Self.code(error), name: String(cString: rd_kafka_err2name(error)), operation: operation,
      reason: String(cString: rd_kafka_err2str(error)))
  }

  /// Takes over an error object of librdkafka and frees it.
  init(taking error: OpaquePointer, _ operation: String) {
    let response = rd_kafka_error_code(error)
    var code = Self.code(response)
    if code != .fenced, code != .lostPartitions {
      if rd_kafka_error_is_fatal(error) != 0 {
        code = .fatal
      } else if rd_kafka_error_txn_requires_abort(error) != 0 {
        code = .abortable
      } else if rd_kafka_error_is_retriable(error) != 0 {
        code = .retriable
      }
    }
    self.init(
      code, name: String(cString: rd_kafka_err2name(response)), operation: operation,
      reason: String(cString: rd_kafka_error_string(error)))
    rd_kafka_error_destroy(error)
  }

  private static func code(_ error: rd_kafka_resp_err_t) -> Code {
    switch error {
    case RD_KAFKA_RESP_ERR__FATAL: .fatal
    case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_PRODUCER_FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      .fenced
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
      RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED, RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
      .lostPartitions
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
      RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      .unknownTopic
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: .messageTooLarge
    case RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT: .timedOut
    case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__WAIT_COORD,
      RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR__RETRY,
      RD_KAFKA_RESP_ERR__QUEUE_FULL, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS:
      .retriable
    default: .other
    }
  }
}
