import CRdKafka
import System

/// What went wrong at the broker or in the client library.
///
/// The description names the operation, librdkafka's own error name and its text. It never holds a record's key or value, nor a
/// setting's value.
public struct KafkaError: PlainError, Sendable, Hashable {
  /// What the caller can do about it.
  public enum Code: String, Sendable, Hashable {
    /// The same call may be made again.
    case retriable
    /// The transaction must be aborted, then its work may be done again.
    case abortable
    /// The handle is of no more use; make a new one.
    case fatal
    /// Another producer with the same transactional id, or another member with the same instance id, took over.
    case fenced
    /// The consumer is no longer (or not yet) a member with this assignment: give up the batch and poll on.
    case rebalanced
    /// A topic or partition does not exist.
    case unknownTopic
    /// The record is above the limit of the client or of the broker.
    case messageTooLarge
    /// This user may not do that: a right is missing at the broker, or it does not let the user in.
    case notAllowed
    /// No answer within the time given; whether it was done is not known.
    case timedOut
    /// A setting is unknown or not accepted.
    case configuration
    /// Anything else: see the name.
    case other
  }

  /// What the caller can do about it.
  public let code: Code
  /// librdkafka's name of the error, e.g. `UNKNOWN_TOPIC_OR_PART` or `_TIMED_OUT` (with `_`: of the client, not of the broker).
  public let name: String
  /// What was being done, e.g. `commit transaction`.
  public let operation: String
  /// librdkafka's or our own text.
  public let detail: String

  /// True when the broker refuses a record for a reason of that record: of its topic or of its size. Others may well be taken.
  public var isAboutRecord: Bool { code == .unknownTopic || code == .notAllowed || code == .messageTooLarge }

  /// True when the same call may simply be made again.
  public var isRetriable: Bool { code == .retriable || code == .timedOut }

  /// The operation, the error's name and its text.
  public var description: String { "Kafka: \(operation): \(detail) (\(name))" }

  package init(code: Code, name: String, operation: String, detail: String) {
    self.code = code
    self.name = name
    self.operation = operation
    // The library's own text may name a broker as it was written.
    self.detail = Showing.withoutSecretParts(detail)
  }

  init(_ error: rd_kafka_resp_err_t, _ operation: String, detail: String? = nil) {
    self.init(
      code: Self.code(of: error), name: String(cString: rd_kafka_err2name(error)), operation: operation,
      detail: detail ?? String(cString: rd_kafka_err2str(error)))
  }

  /// Takes over (and frees) an error object, whose flags decide before its number does.
  init(consuming error: OpaquePointer, _ operation: String) {
    let number = rd_kafka_error_code(error)
    var code = Self.code(of: number)
    if code != .fenced, code != .configuration {
      if rd_kafka_error_is_fatal(error) != 0 {
        code = .fatal
      } else if rd_kafka_error_txn_requires_abort(error) != 0 {
        code = .abortable
      } else if rd_kafka_error_is_retriable(error) != 0, code != .timedOut {
        code = .retriable
      }
    }
    self.init(
      code: code, name: String(cString: rd_kafka_error_name(error)), operation: operation,
      detail: String(cString: rd_kafka_error_string(error)))
    rd_kafka_error_destroy(error)
  }

  static func configuration(_ detail: String, name: String = "_INVALID_ARG") -> KafkaError {
    KafkaError(code: .configuration, name: name, operation: "read settings", detail: detail)
  }

  private static func code(of error: rd_kafka_resp_err_t) -> Code {
    switch error {
    case RD_KAFKA_RESP_ERR__FENCED, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
      RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
      .fenced
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
      RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
      .unknownTopic
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: .messageTooLarge
    case RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT,
      RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
      .timedOut
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
      RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      .notAllowed
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
      RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST, RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
      .rebalanced
    case RD_KAFKA_RESP_ERR__INVALID_ARG, RD_KAFKA_RESP_ERR_INVALID_CONFIG: .configuration
    case RD_KAFKA_RESP_ERR__FATAL: .fatal
    case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__QUEUE_FULL,
      RD_KAFKA_RESP_ERR__WAIT_COORD, RD_KAFKA_RESP_ERR__RETRY, RD_KAFKA_RESP_ERR__IN_PROGRESS,
      RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
      RD_KAFKA_RESP_ERR_NOT_COORDINATOR, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION,
      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
      RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
      .retriable
    default: .other
    }
  }
}

extension KafkaError {
  /// The error that made a handle unusable, if there is one.
  static func fatal(of client: OpaquePointer, _ operation: String) -> KafkaError? {
    var text = [CChar](repeating: 0, count: 512)
    let error = rd_kafka_fatal_error(client, &text, text.count)
    guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return nil }
    let code: Code = Self.code(of: error) == .fenced ? .fenced : .fatal
    return KafkaError(
      code: code, name: String(cString: rd_kafka_err2name(error)), operation: operation, detail: string(text))
  }
}

/// The text of a zero-terminated buffer.
func string(_ buffer: [CChar]) -> String {
  String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
