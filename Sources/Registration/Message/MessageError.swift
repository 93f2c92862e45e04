import JSON
import System

/// Why bytes are not a message. It names the rule, the field and the place, never the content.
public struct MessageError: PlainError, Sendable, Hashable {
  /// The rule that was broken.
  public enum Code: String, Sendable, CaseIterable {
    /// More bytes than a record on the bus may have.
    case tooLarge = "too large"
    /// The bytes are not JSON; `json` says why.
    case notJSON = "not JSON"
    /// The JSON is something else than an object.
    case notAnObject = "not a JSON object"
    /// `reg_type` or `rid` is absent, null or empty.
    case missing
    /// A field's value has another JSON type than docs/upstream/bus-and-routes.md#1-the-message gives it.
    case wrongType = "of the wrong type"
    /// `reg_type` or `rid` has more characters than its limit.
    case tooLong = "too long"
    /// `reg_type` or `rid` has a character that topics and keys cannot bear.
    case invalidCharacter = "a character that may not be there"
    /// A whole number beyond 32 bits.
    case outOfRange = "out of range"
    /// A field stands twice.
    case duplicateField = "a field that is there twice"
  }

  /// The rule that was broken.
  public let code: Code
  /// The field's name on the wire, where one field is to blame.
  public let field: String?
  /// Why the bytes are not JSON, for the code `notJSON`.
  public let json: JSONError?

  init(_ code: Code, _ field: String? = nil) {
    self.code = code
    self.field = field
    json = nil
  }

  init(_ json: JSONError) {
    code = .notJSON
    field = nil
    self.json = json
  }

  /// Always false: the same bytes will not be a message the next time.
  public var isRetriable: Bool { false }

  /// The rule, and the field or the place, in one line.
  public var description: String {
    "message: \(code.rawValue)" + (field.map { " (\($0))" } ?? "") + (json.map { ", \($0)" } ?? "")
  }
}
