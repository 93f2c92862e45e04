import Testing

@testable import Routing

@Suite(.timeLimit(.minutes(10))) struct CamelTestTests {
  func test(_ text: String) throws -> CamelTest { try CamelTestReader.jsonPath("$.[?(\(text))]") }

  static let messages: [(tags: [String: String], fields: [String: FieldValue])] = [
    ([:], ["isValid": .bool(true), "internalError": .bool(false)]),
    (["A": "x"], ["isValid": .bool(false), "internalError": .bool(true)]),
    (["A": "y", "B": "true"], ["isValid": .bool(true), "internalError": .null]),
    (["A": "", "B": "x"], ["isValid": .null, "internalError": .null, "messageBusAddress.address": .text("x-bus-in")]),
    (["A": "z"], ["iteration": .int(1), "source": .null]),
  ]

  @Test(arguments: [
    ("@['tags']['A'] == 'x'", "01000"), ("@['tags']['A'] != 'x'", "10111"), ("@.tags.A=='x'", "01000"),
    ("@['tags']['A'] in ['x','y']", "01100"), ("@['tags']['A'] nin ['x', 'y']", "10011"),
    ("@['isValid'] == true && @['internalError'] == false", "10000"), ("@['internalError'] == null", "00110"),
    ("@['internalError'] != true", "10111"), ("@['tags']['A'] == 'x' || @['tags']['B'] == 'x'", "01010"),
    ("@['tags']['A'] == 'x' || @['tags']['A'] == 'y' && @['tags']['B'] == 'true'", "01100"),
    ("(@['tags']['A'] == 'x' || @['tags']['A'] == 'y') && @['tags']['B'] == 'true'", "00100"),
    ("@['tags']['A'] != '' && @['tags']['A'] != 'x'", "10101"), ("!(@['tags']['A'] == 'x')", "10111"),
    ("@['tags']['B']", "00110"), ("!@['tags']['B']", "11001"), ("@['iteration'] == 1", "00001"),
    ("@['messageBusAddress']['address'] == 'x-bus-in'", "00010"), ("@['source'] != 'REGISTRATION_CLIENT'", "11111"),
  ])
  func `a filter holds as jayway has it`(_ text: String, _ expected: String) throws {
    let test = try test(text)
    let messages = Self.messages.map { TestMessage(tags: $0.tags, fields: $0.fields) }
    #expect(messages.map { test.holds($0) ? "1" : "0" }.joined() == expected)
    #expect(messages.map { test.condition.matches($0) ? "1" : "0" }.joined() == expected, "the condition made of it")
  }

  @Test func `simple tests of older files are read`() throws {
    let test = try CamelTestReader.simple(
      #"${bodyAs(String)} contains '"isValid":true' && ${bodyAs(String)} not contains '"internalError":true'"#)
    let messages = Self.messages.map { TestMessage(tags: $0.tags, fields: $0.fields) }
    #expect(messages.map { test.holds($0) ? "1" : "0" }.joined() == "10100")
  }

  @Test func `simple tests find a field, the address and a tag by its name`() throws {
    for (text, expected) in [
      (#"'"address":"x-bus-in"'"#, "00010"), (#"'"A":"x"'"#, "01000"), (#"'"internalError":null'"#, "00110"),
      (#"'"isValid":false' and ${body} contains '"A":"x"'"#, "01000"),
    ] {
      let test = try CamelTestReader.simple("${bodyAs(String)} contains " + text)
      let messages = Self.messages.map { TestMessage(tags: $0.tags, fields: $0.fields) }
      #expect(messages.map { test.holds($0) ? "1" : "0" }.joined() == expected, "\(text)")
      #expect(messages.map { test.condition.matches($0) ? "1" : "0" }.joined() == expected, "\(text)")
    }
  }

  @Test(arguments: [
    "'INFANT'", #"'"isValid"'"#, #"'"A":true'"#, #"'"iteration":1'"#, #"'"A":"x","B":"y"'"#, #"'"A":"x'"#, #"'"":"x"'"#,
  ])
  func `what a text in the body would not say of one member is refused`(_ text: String) {
    #expect(throws: CamelTestReader.Fault.self) { try CamelTestReader.simple("${bodyAs(String)} contains " + text) }
  }

  @Test func `tests of one tag become one list`() throws {
    #expect(
      try test("@['tags']['A'] == 'x' || @['tags']['A'] in ['y','x']").condition.description
        == #"tags.A in ["x", "y"]"#)
    #expect(
      try test("@['tags']['A'] != '' && @['tags']['A'] != 'x'").condition.description == #"tags.A not in ["", "x"]"#)
  }

  @Test(arguments: [
    "", "@['a']", "@['tags']['A'] == ", "@['tags']['A'] = 'x'", "@['tags']['A'] == 'x' &&", "(@['tags']['A'] == 'x'",
    "@['tags']['A'] == x", "@['tags']['A'] == 'x", "@['tags']['A'] =~ /x/", "@['tags']['A'] > 'x'",
    "@['registrationType'] == 'x'", "@['isValid'] == 'true'", "@['tags']['A'] == true", "@['tags'] == 'x'",
    "@['tags']['A']['B'] == 'x'", "@['tags']['A'] in []", "@['tags']['A'] in 'x'",
    String(repeating: "(", count: 60) + "@['tags']['A'] == 'x'" + String(repeating: ")", count: 60),
  ])
  func whatIsNotKnownIsRefused(_ text: String) {
    #expect(throws: CamelTestReader.Fault.self) { try test(text) }
  }

  @Test func `other paths than the message itself are refused`() {
    for text in ["$.tags[?(@['A'] == 'x')]", "$..[?(@.a)]", "$.isValid", "$.[?(@['isValid'] == true)].rid", "x"] {
      #expect(throws: CamelTestReader.Fault.self) { try CamelTestReader.jsonPath(text) }
    }
  }
}
