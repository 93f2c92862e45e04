import YAML

/// What routing needs to see of a message. The message type of another module conforms.
public protocol Routable {
  /// The value of a packet tag, or nil when the message has no such tag (or no tags).
  func tag(_ name: String) -> String?
  /// The value of a message field, by a name of `MessageField`.
  func field(_ name: String) -> FieldValue
}

/// The value of a message field.
public enum FieldValue: Sendable, Hashable {
  /// A string.
  case text(String)
  /// A truth value.
  case bool(Bool)
  /// A whole number.
  case int(Int)
  /// The field is there and null.
  case null
  /// There is no such field.
  case absent
}

/// The fields of a message that a condition may name, as they are on the wire (docs/upstream/bus-and-routes.md#1-the-message).
public enum MessageField: String, Sendable, CaseIterable {
  /// The registration id.
  case rid
  /// The process.
  case process = "reg_type"
  /// The business flag of the verdict.
  case isValid
  /// The technical flag of the verdict.
  case internalError
  /// The next hop that a dedupe or ABIS stage asks for.
  case address = "messageBusAddress.address"
  /// Null in practice.
  case retryCount
  /// When the last stage sent the message.
  case lastHopTimestamp
  /// The packet's source.
  case source
  /// 1 for main processes, n for the n-th packet of additional information.
  case iteration
  /// The primary key of the registration.
  case workflowInstanceId

  /// What it is, in a few words.
  public var meaning: String {
    switch self {
    case .rid: "The registration id."
    case .process: "The process."
    case .isValid: "The business flag of the verdict."
    case .internalError: "The technical flag of the verdict."
    case .address: "The next hop that a dedupe or ABIS stage asks for."
    case .retryCount: "Null in practice."
    case .lastHopTimestamp: "When the last stage sent the message."
    case .source: "The packet's source."
    case .iteration: "1 for main processes, n for the n-th packet of additional information."
    case .workflowInstanceId: "The primary key of the registration."
    }
  }

  /// What values it may have, in words.
  public var values: String {
    let words =
      switch kind {
      case .text: String.expected
      case .bool: Bool.expected
      case .int: Int.expected
      }
    return words + (isNullable ? ", or null" : "")
  }

  /// What values a field can have.
  enum Kind { case text, bool, int }

  var kind: Kind {
    switch self {
    case .isValid, .internalError: .bool
    case .retryCount, .iteration: .int
    default: .text
    }
  }

  /// Whether the wire may say null; upstream always sends the other fields.
  var isNullable: Bool {
    switch self {
    case .rid, .process, .iteration, .lastHopTimestamp: false
    default: true
    }
  }
}
