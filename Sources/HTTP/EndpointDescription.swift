import JSON

/// What an endpoint is for and what goes in and out, as its OpenAPI description tells it.
public struct EndpointDescription: Sendable {
  /// A body, one way or the other.
  public struct Content: Sendable {
    /// E.g. `application/json`.
    public var mediaType: String
    /// A JSON Schema (2020-12) of it.
    public var schema: JSONValue
    /// The schema's name, where several endpoints have the same one.
    public var name: String?

    /// A body of JSON.
    public static func json(_ schema: JSONValue, named name: String? = nil) -> Content {
      Content(mediaType: "application/json", schema: schema, named: name)
    }

    /// A body of text.
    public static let text = Content(mediaType: "text/plain", schema: ["type": "string"])

    /// A body.
    public init(mediaType: String, schema: JSONValue, named name: String? = nil) {
      self.mediaType = mediaType
      self.schema = schema
      self.name = name
    }
  }

  /// Something in the query or a header.
  public struct Parameter: Sendable {
    /// Where it stands.
    public enum Place: String, Sendable { case query, header }
    /// Its name.
    public var name: String
    /// Where it stands.
    public var place: Place
    /// What it means.
    public var meaning: String
    /// A JSON Schema of its value.
    public var schema: JSONValue
    /// Whether it must be there.
    public var isRequired: Bool

    /// A parameter; a text unless the schema says otherwise.
    public init(
      _ name: String, in place: Place = .query, _ meaning: String, schema: JSONValue = ["type": "string"], isRequired: Bool = false
    ) {
      self.name = name
      self.place = place
      self.meaning = meaning
      self.schema = schema
      self.isRequired = isRequired
    }
  }

  /// An answer.
  public struct Answer: Sendable {
    /// Its status.
    public var status: Int
    /// When it is given.
    public var meaning: String
    /// What is in it; nil for nothing, or nothing that a program reads.
    public var content: Content?

    /// An answer.
    public init(_ status: Int, _ meaning: String, _ content: Content? = nil) {
      self.status = status
      self.meaning = meaning
      self.content = content
    }
  }

  /// One line.
  public var summary: String
  /// What a caller should know beside that; Markdown.
  public var details: String
  /// The group it is shown in.
  public var tag: String
  /// What the `{name}` segments of the path mean, by name.
  public var segments: [String: String]
  /// What is taken from query and headers.
  public var parameters: [Parameter]
  /// The body; nil where none is looked at.
  public var body: Content?
  /// Whether there must be a body.
  public var needsBody: Bool
  /// The answers of the endpoint itself. What every server says (400, 401, 405, 413 and so on) is added.
  public var answers: [Answer]

  /// A description.
  public init(
    _ summary: String, details: String = "", tag: String, segments: [String: String] = [:], parameters: [Parameter] = [],
    body: Content? = nil, needsBody: Bool = true, answers: [Answer]
  ) {
    self.summary = summary
    self.details = details
    self.tag = tag
    self.segments = segments
    self.parameters = parameters
    self.body = body
    self.needsBody = needsBody
    self.answers = answers
  }
}

/// Short words for JSON Schemas.
public enum JSONShape {
  /// A text.
  public static func text(_ meaning: String = "", pattern: String? = nil) -> JSONValue {
    with(meaning, ["type": "string"], pattern.map { ["pattern": .string($0)] } ?? [:])
  }
  /// A whole number.
  public static func integer(_ meaning: String = "", from least: Int? = nil) -> JSONValue {
    with(meaning, ["type": "integer"], least.map { ["minimum": JSONValue($0)] } ?? [:])
  }
  /// True or false.
  public static func flag(_ meaning: String = "") -> JSONValue { with(meaning, ["type": "boolean"], [:]) }
  /// A moment in ISO 8601, UTC.
  public static func moment(_ meaning: String = "") -> JSONValue { with(meaning, ["type": "string", "format": "date-time"], [:]) }
  /// One of some words.
  public static func oneOf(_ words: [String], _ meaning: String = "") -> JSONValue {
    with(meaning, ["type": "string", "enum": .array(words.map { .string($0) })], [:])
  }
  /// A list.
  public static func list(_ item: JSONValue, _ meaning: String = "") -> JSONValue {
    with(meaning, ["type": "array", "items": item], [:])
  }
  /// An object: its members, and which of them must be there. Others may be there too.
  public static func object(_ members: KeyValuePairs<String, JSONValue>, required: [String] = [], _ meaning: String = "")
    -> JSONValue
  {
    var properties = JSONObject()
    for (name, shape) in members { properties[name] = shape }
    var more: JSONObject = ["properties": .object(properties)]
    if !required.isEmpty { more["required"] = .array(required.map { .string($0) }) }
    return with(meaning, ["type": "object"], more)
  }
  /// The same, or null.
  public static func orNull(_ shape: JSONValue) -> JSONValue { ["anyOf": [shape, ["type": "null"]]] }
  /// Anything.
  public static let anything: JSONValue = .object([:])

  private static func with(_ meaning: String, _ base: JSONObject, _ more: JSONObject) -> JSONValue {
    var out = base
    for member in more { out[member.key] = member.value }
    if !meaning.isEmpty { out["description"] = .string(meaning) }
    return .object(out)
  }
}
