import System

/// One parameter of a statement (`$1`, `$2`, ...). The server derives the type from the statement, so write casts such as
/// `$1::text[]` where the place alone does not say it.
public enum Value: Sendable, Hashable {
  /// SQL null.
  case null
  /// A text, and anything Postgres reads from one (uuid, numeric, enum ...). It must not contain U+0000.
  case text(String)
  /// An integer of any SQL width it fits.
  case int(Int)
  /// A floating-point number.
  case double(Double)
  /// A truth value.
  case bool(Bool)
  /// A `bytea`.
  case bytes([UInt8])
  /// A moment, for `timestamp` (then it is UTC's) and `timestamptz`; years 1 to 9999.
  case timestamp(Instant)
  /// A JSON document as text, for `json` and `jsonb`.
  case json(String)
  /// `text[]`, or an array of anything Postgres reads from a text.
  case textArray([String?])
  /// `bigint[]` or a narrower one.
  case intArray([Int?])
  /// `double precision[]`.
  case doubleArray([Double?])
  /// `boolean[]`.
  case boolArray([Bool?])
  /// `timestamp[]` or `timestamptz[]`.
  case timestampArray([Instant?])
  /// `bytea[]`.
  case bytesArray([[UInt8]?])

  /// A text or null.
  public init(_ text: String?) { self = text.map { .text($0) } ?? .null }
  /// An integer or null.
  public init(_ int: Int?) { self = int.map { .int($0) } ?? .null }
  /// A number or null.
  public init(_ double: Double?) { self = double.map { .double($0) } ?? .null }
  /// A truth value or null.
  public init(_ bool: Bool?) { self = bool.map { .bool($0) } ?? .null }
  /// Bytes or null.
  public init(_ bytes: [UInt8]?) { self = bytes.map { .bytes($0) } ?? .null }
  /// A moment or null.
  public init(_ instant: Instant?) { self = instant.map { .timestamp($0) } ?? .null }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByNilLiteral, ExpressibleByFloatLiteral
{
  /// `.text`.
  public init(stringLiteral value: String) { self = .text(value) }
  /// `.int`.
  public init(integerLiteral value: Int) { self = .int(value) }
  /// `.bool`.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// `.null`.
  public init(nilLiteral: ()) { self = .null }
  /// `.double`.
  public init(floatLiteral value: Double) { self = .double(value) }
}

/// A statement with its parameters, for a pipeline.
public struct Statement: Sendable, Hashable {
  /// SQL with `$1`, `$2`, ... for the parameters; never built from values.
  public var sql: String
  /// The parameters in order.
  public var parameters: [Value]

  /// A statement with its parameters.
  public init(_ sql: String, _ parameters: [Value] = []) {
    self.sql = sql
    self.parameters = parameters
  }
}
