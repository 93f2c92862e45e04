import JSON
import Testing

@testable import JSONSchema

@Suite(.timeLimit(.minutes(10))) struct JSONSchemaTests {
  private func json(_ text: String) throws -> JSONValue { try JSONValue.parse(Array(text.utf8)) }

  /// What a schema finds in a value, as `keyword path member`.
  private func check(_ schema: String, _ value: String) throws -> [String] {
    try JSONSchema(json(schema)).check(json(value)).map { finding in
      ([finding.keyword.rawValue] + [finding.path.joined(separator: "/"), finding.member].compactMap { $0 })
        .filter { !$0.isEmpty }.joined(separator: " ")
    }
  }

  /// A row: a keyword with a schema, a value that obeys it and one that does not.
  struct Row: Sendable, CustomStringConvertible {
    let keyword: JSONSchema.Keyword
    let schema: String
    let good: [String]
    let bad: [String]
    var description: String { "\(keyword.rawValue): \(schema)" }

    init(_ keyword: JSONSchema.Keyword, _ schema: String, good: [String], bad: [String]) {
      self.keyword = keyword
      self.schema = schema
      self.good = good
      self.bad = bad
    }
  }

  static let rows = [
    Row(.type, #"{"type":"null"}"#, good: ["null"], bad: ["0", "\"\"", "false"]),
    Row(.type, #"{"type":"boolean"}"#, good: ["true", "false"], bad: ["null", "1", "\"true\""]),
    Row(.type, #"{"type":"integer"}"#, good: ["1", "-7", "1.0", "1e3"], bad: ["1.5", "\"1\"", "null"]),
    Row(.type, #"{"type":"number"}"#, good: ["1", "1.5", "-0.1e-7"], bad: ["\"1\"", "[1]", "{}"]),
    Row(.type, #"{"type":"string"}"#, good: ["\"\"", "\"x\""], bad: ["1", "null", "[]"]),
    Row(.type, #"{"type":"array"}"#, good: ["[]", "[1]"], bad: ["{}", "\"[]\""]),
    Row(.type, #"{"type":"object"}"#, good: ["{}", #"{"a":1}"#], bad: ["[]", "null"]),
    Row(.type, #"{"type":["string","null"]}"#, good: ["\"x\"", "null"], bad: ["1", "[]"]),
    Row(.enum, #"{"enum":["a",1,{"b":[1,2]}]}"#, good: ["\"a\"", "1.0", #"{"b":[1,2.0]}"#], bad: ["\"b\"", "2", #"{"b":[2,1]}"#]),
    Row(.multipleOf, #"{"multipleOf":0.1}"#, good: ["0.3", "7", "\"x\""], bad: ["0.35"]),
    Row(.minimum, #"{"minimum":0}"#, good: ["0", "0.1", "\"-1\""], bad: ["-1", "-0.1"]),
    Row(.exclusiveMinimum, #"{"minimum":0,"exclusiveMinimum":true}"#, good: ["0.1"], bad: ["0", "-1"]),
    Row(.exclusiveMinimum, #"{"exclusiveMinimum":0}"#, good: ["0.1"], bad: ["0"]),
    Row(.minimum, #"{"minimum":0,"exclusiveMinimum":false}"#, good: ["0"], bad: ["-1"]),
    Row(.maximum, #"{"maximum":9}"#, good: ["9", "-9"], bad: ["9.5", "10"]),
    Row(.exclusiveMaximum, #"{"maximum":9,"exclusiveMaximum":true}"#, good: ["8.9"], bad: ["9"]),
    Row(.exclusiveMaximum, #"{"maximum":9,"exclusiveMaximum":7}"#, good: ["6"], bad: ["7", "8"]),
    Row(.minLength, #"{"minLength":2}"#, good: ["\"ab\"", "\"\u{0939}\u{093F}\"", "1"], bad: ["\"a\"", "\"\""]),
    Row(.maxLength, #"{"maxLength":1}"#, good: ["\"a\"", "\"\"", "\"😀\""], bad: ["\"ab\""]),
    Row(.pattern, #"{"pattern":"b+"}"#, good: ["\"abc\"", "1"], bad: ["\"ac\"", "\"\""]),
    Row(.items, #"{"items":{"enum":[1]}}"#, good: ["[]", "[1,1]"], bad: []),
    Row(.items, #"{"items":false}"#, good: ["[]", "{}"], bad: ["[1]"]),
    Row(.additionalItems, #"{"items":[{"type":"string"}],"additionalItems":false}"#, good: ["[]", "[\"a\"]"], bad: ["[\"a\",1]"]),
    Row(.minItems, #"{"minItems":1}"#, good: ["[1]", "{}"], bad: ["[]"]),
    Row(.maxItems, #"{"maxItems":1}"#, good: ["[]", "[1]"], bad: ["[1,2]"]),
    Row(
      .uniqueItems, #"{"uniqueItems":true}"#, good: ["[]", "[1,\"1\"]", #"[{"a":1},{"a":2}]"#],
      bad: ["[1,1.0]", #"[{"a":1,"b":2},{"b":2,"a":1}]"#]),
    Row(.required, #"{"required":["a"]}"#, good: [#"{"a":null}"#, "[]"], bad: ["{}", #"{"b":1}"#]),
    Row(
      .additionalProperties, #"{"properties":{"a":{}},"patternProperties":{"^x-":{}},"additionalProperties":false}"#,
      good: ["{}", #"{"a":1,"x-b":2}"#], bad: [#"{"b":1}"#, #"{"a":1,"ax-":2}"#]),
    Row(.minProperties, #"{"minProperties":1}"#, good: [#"{"a":1}"#], bad: ["{}"]),
    Row(.maxProperties, #"{"maxProperties":1}"#, good: ["{}", #"{"a":1}"#], bad: [#"{"a":1,"b":2}"#]),
    Row(.dependencies, #"{"dependencies":{"a":["b"]}}"#, good: ["{}", #"{"b":1}"#, #"{"a":1,"b":1}"#], bad: [#"{"a":1}"#]),
    Row(.allOf, #"{"allOf":[{"type":"string"},{"minLength":2}]}"#, good: ["\"ab\""], bad: ["\"a\"", "1"]),
    Row(.anyOf, #"{"anyOf":[{"type":"string"},{"minimum":2}]}"#, good: ["\"a\"", "2"], bad: ["1"]),
    Row(.oneOf, #"{"oneOf":[{"type":"number"},{"minimum":2}]}"#, good: ["1"], bad: ["2"]),
    Row(.not, #"{"not":{"type":"string"}}"#, good: ["1"], bad: ["\"a\""]),
    Row(
      .validators, #"{"validators":[{"type":"regex","validator":"[0-9]{2}"},{"validator":".*1.*"}]}"#,
      good: ["\"12\"", "12", "\"10\""], bad: ["\"112\"", "\"12\\n\""]),
    Row(.validators, #"{"validators":[{"type":"mvel","validator":"("}]}"#, good: ["\"x\""], bad: []),
  ]

  @Test(arguments: rows) func `every keyword finds what it is for`(_ row: Row) throws {
    for value in row.good { #expect(try check(row.schema, value) == [], "\(value)") }
    for value in row.bad {
      let found = try check(row.schema, value)
      #expect(found.first.map { $0.hasPrefix(row.keyword.rawValue) } == true, "\(value): \(found)")
    }
  }

  @Test func `every keyword has a row`() {
    // What only leads to other rules, and what no schema asks for.
    let others: Set<JSONSchema.Keyword> = [.properties, .patternProperties, .depth]
    #expect(Set(Self.rows.map(\.keyword)).union(others) == Set(JSONSchema.Keyword.allCases))
  }

  @Test func `every fault is reported with its place`() throws {
    let schema = #"""
      {"type":"object","required":["a","z"],"additionalProperties":false,"properties":{
        "a":{"$ref":"#/definitions/list"},"b":{"type":"object","properties":{"c/~":{"type":"string"}}}},
       "definitions":{"list":{"type":"array","items":{"type":"object","required":["language"]}}}}
      """#
    let value = #"{"a":[{"language":1},{}],"b":{"c/~":1},"odd":true}"#
    #expect(
      try check(schema, value) == [
        "required z", "required a/1 language", "type b/c/~", "additionalProperties odd",
      ])
    let pointers = try JSONSchema(json(schema)).check(json(value)).map(\.schemaPointer)
    #expect(pointers == ["", "/definitions/list/items", "/properties/b/properties/c~1~0", ""])
  }

  @Test func `a schema with a reference is its target alone`() throws {
    let schema =
      ##"{"properties":{"a":{"$ref":"#/definitions/b","type":"number","pattern":"x"}},"definitions":{"b":{"type":"string"}}}"##
    #expect(try check(schema, #"{"a":"y"}"#) == [])
    #expect(try check(schema, #"{"a":1}"#) == ["type a"])
  }

  @Test func `a schema may contain itself`() throws {
    let schema = ##"{"properties":{"child":{"$ref":"#"}},"additionalProperties":false}"##
    #expect(try check(schema, #"{"child":{"child":{}}}"#) == [])
    #expect(try check(schema, #"{"child":{"child":{"x":1}}}"#) == ["additionalProperties child/child x"])
    let deep = String(repeating: #"{"child":"#, count: 100) + "{}" + String(repeating: "}", count: 100)
    let value = try JSONValue.parse(
      Array(deep.utf8), limits: JSONLimits(maximumBytes: 1 << 20, maximumDepth: 200, maximumValues: 1000))
    #expect(try JSONSchema(json(schema)).check(value).map(\.keyword) == [.depth])
  }

  @Test func `dependencies may be schemas`() throws {
    let schema = #"{"dependencies":{"a":{"required":["b"]}}}"#
    #expect(try check(schema, #"{"a":1}"#) == ["required b"])
    #expect(try check(schema, #"{"b":1}"#) == [])
  }

  @Test(arguments: [
    ("[]", "the schema"), ("1", "the schema"), (#"{"type":"text"}"#, "/type"), (#"{"type":["string",1]}"#, "/type"),
    (#"{"required":true}"#, "/required"), (#"{"required":[1]}"#, "/required"), (#"{"properties":[]}"#, "/properties"),
    (#"{"properties":{"a":1}}"#, "/properties/a"), (#"{"items":1}"#, "/items"), (#"{"pattern":"("}"#, "/pattern"),
    (#"{"pattern":1}"#, "/pattern"), (#"{"validators":{}}"#, "/validators"),
    (#"{"validators":[{"validator":"["}]}"#, "/validators"), (#"{"minLength":-1}"#, "/minLength"),
    (#"{"minLength":1.5}"#, "/minLength"), (#"{"minimum":"0"}"#, "/minimum"), (#"{"multipleOf":0}"#, "/multipleOf"),
    (#"{"uniqueItems":"yes"}"#, "/uniqueItems"), (#"{"enum":[]}"#, "/enum"), (#"{"allOf":[]}"#, "/allOf"),
    (#"{"allOf":[1]}"#, "/allOf/0"), (#"{"patternProperties":{"(":{}}}"#, "/patternProperties"),
    (#"{"definitions":[]}"#, "/definitions"), (#"{"definitions":{"unused":{"type":"x"}}}"#, "/definitions/unused/type"),
    (##"{"properties":{"a":{"$ref":"#/nowhere"}}}"##, "/properties/a"),
    (#"{"properties":{"a":{"$ref":"http://example.org/x"}}}"#, "/properties/a"),
    (#"{"properties":{"a":{"$ref":1}}}"#, "/properties/a"),
    (##"{"definitions":{"a":{"$ref":"#/definitions/b"},"b":{"$ref":"#/definitions/a"}}}"##, "circle"),
    (##"{"$ref":"#"}"##, "circle"), (##"{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}"##, "asks itself"),
    (##"{"properties":{"a":{"not":{"allOf":[{"$ref":"#/properties/a"}]}}}}"##, "asks itself"),
  ])
  func aTextThatIsNoSchemaIsRefusedWithItsPlace(_ schema: String, _ place: String) throws {
    let value = try json(schema)
    let error = #expect(throws: JSONSchemaError.self) { try JSONSchema(value) }
    #expect(error?.description.contains(place) == true, "\(error?.description ?? "")")
  }

  @Test func `booleans and annotations are schemas too`() throws {
    #expect(try check("true", "1") == [])
    #expect(try check("false", "1") == ["not"])
    #expect(try check(#"{"format":"none","fieldCategory":"pvt","title":1,"$schema":"x","if":{"type":"null"}}"#, "1") == [])
  }

  @Test func `a hostile value has an end to its findings`() throws {
    var object = JSONObject()
    for number in 0..<5000 { object["member\(number)"] = 1 }
    let found = try JSONSchema(json(#"{"additionalProperties":false}"#)).check(.object(object))
    #expect(found.count == JSONSchema.mostFindings)
    let list = JSONValue.array((0..<50_000).map { .number(JSONNumber($0)) })
    #expect(try JSONSchema(json(#"{"uniqueItems":true}"#)).check(list).isEmpty)
    let long = JSONValue.string(String(repeating: "a", count: 5000))
    #expect(try JSONSchema(json(#"{"pattern":"a"}"#)).check(long).map(\.keyword) == [.pattern])
  }

  @Test func `a schema serves many at once`() async throws {
    let schema = try JSONSchema(json(#"{"items":{"validators":[{"validator":"[a-z]+[0-9]"}]}}"#))
    let counts = await withTaskGroup(of: Int.self) { group in
      for number in 0..<16 {
        group.addTask { schema.check(.array([.string("abc1"), .string("abc\(number)"), .string("ABC1")])).count }
      }
      return await group.reduce(into: []) { $0.append($1) }.sorted()
    }
    #expect(counts == Array(repeating: 1, count: 10) + Array(repeating: 2, count: 6))
  }
}
