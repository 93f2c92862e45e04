import JSON

/// A JSON schema, read once and checked many times: the keywords of draft 4, which MOSIP's validator knows, and MOSIP's own keyword
/// `validators` (docs/upstream/packet-and-crypto.md#52-what-validation-really-enforces). What it finds is a report; which entries of it
/// count is for the caller to say.
///
/// Later drafts' number form of `exclusiveMinimum` and `exclusiveMaximum` is read too. `format` and every unknown keyword are
/// annotations. References lead within the schema only.
public struct JSONSchema: Sendable {
  /// The schema's parts; the first is the schema itself.
  let nodes: [Node]

  /// Reads a schema.
  /// - Throws: `JSONSchemaError` for a keyword whose value is none of its kind, a pattern that is none, or a reference that leads nowhere,
  ///   outside or in a circle.
  public init(_ json: JSONValue) throws(JSONSchemaError) {
    var compiler = Compiler(root: json)
    try compiler.compileAll()
    nodes = compiler.nodes
  }

  /// A rule that a schema can make.
  public enum Keyword: String, Sendable, Hashable, CaseIterable {
    case type, `enum`, multipleOf, minimum, exclusiveMinimum, maximum, exclusiveMaximum, minLength, maxLength, pattern
    case items, additionalItems, minItems, maxItems, uniqueItems
    case required, properties, patternProperties, additionalProperties, minProperties, maxProperties, dependencies
    case allOf, anyOf, oneOf, not
    /// MOSIP's own: regular expressions that a text must match whole.
    case validators
    /// Not a rule of the schema: the value is nested deeper than is followed.
    case depth
  }

  /// One rule that a value breaks. It names places, never values.
  public struct Finding: Sendable, Hashable {
    /// The rule.
    public let keyword: Keyword
    /// Where in the value, from the outside in.
    public let path: [String]
    /// Where in the schema the rule stands, as a JSON pointer (RFC 6901), e.g. `/definitions/simpleType/items`.
    public let schemaPointer: String
    /// The member that is missing (`required`, `dependencies`) or not allowed (`additionalProperties`).
    public let member: String?
  }

  /// The most findings of one check. A value with more is wrong enough.
  public static let mostFindings = 200
  /// Texts longer than this many bytes match no pattern: an upper bound for the time a pattern can take.
  public static let longestMatched = 4096

  /// Every rule that a value breaks, children of broken parts included; at most `mostFindings`.
  /// - Parameter isCounted: which findings are wanted; others neither appear nor fill the list.
  public func check(_ value: JSONValue, where isCounted: @escaping (Finding) -> Bool = { _ in true }) -> [Finding] {
    var check = Check(nodes: nodes, isCounted: isCounted)
    check.run(value, 0, depth: 0)
    return check.findings
  }
}

/// Why a text is no schema: the place in it, as a JSON pointer, and what is wrong there.
public struct JSONSchemaError: Error, Sendable, CustomStringConvertible {
  /// A JSON pointer (RFC 6901); empty for the schema itself.
  public let pointer: String
  /// What is wrong.
  public let message: String
  public var description: String { "\(pointer.isEmpty ? "the schema" : pointer): \(message)" }
}

/// A part of a schema, its references resolved.
struct Node: Sendable {
  /// What an `items`, `additionalItems` or `additionalProperties` allows.
  enum Allowance: Sendable {
    case anything
    case nothing
    case node(Int)
  }
  enum TypeName: String, Sendable, CaseIterable { case null, boolean, integer, number, string, array, object }

  /// Where it stands in the schema.
  var pointer = ""
  /// The schema `false`: nothing is allowed here.
  var isNever = false

  var types: Set<TypeName>?
  /// Canonical texts of what is allowed.
  var values: Set<String>?
  var multipleOf: Double?
  var minimum: (value: Double, isExclusive: Bool)?
  var maximum: (value: Double, isExclusive: Bool)?

  var minLength: Int?
  var maxLength: Int?
  var pattern: Pattern?
  var validators: [Pattern] = []

  var items: Allowance = .anything
  /// The schemas of the first elements, when each has its own.
  var tuple: [Int]?
  var additionalItems: Allowance = .anything
  var minItems: Int?
  var maxItems: Int?
  var isUnique = false

  var required: [String] = []
  var properties: [String: Int] = [:]
  var patternProperties: [(pattern: Pattern, node: Int)] = []
  var additionalProperties: Allowance = .anything
  var minProperties: Int?
  var maxProperties: Int?
  var dependentMembers: [(member: String, needed: [String])] = []
  var dependentNodes: [(member: String, node: Int)] = []

  var allOf: [Int] = []
  var anyOf: [Int] = []
  var oneOf: [Int] = []
  var not: Int?
}
