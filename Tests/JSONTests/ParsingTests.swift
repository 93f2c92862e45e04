import Testing

@testable import JSON

@Suite(.timeLimit(.minutes(10))) struct ParsingTests {
  /// Time in proportion to the input, whether a name stands twice included.
  @Test(.timeLimit(.minutes(1))) func `a hundred thousand members are read in no time, and one too many is found`() throws {
    let members = (0..<100_000).map { "\"m\($0)\":\($0)" }.joined(separator: ",")
    let value = try JSONValue.parse("{\(members)}")
    #expect(value.object?.count == 100_000 && value["m99999"]?.int == 99_999)
    #expect(throws: JSONError.self) { try JSONValue.parse("{\(members),\"m5\":1}") }
    let last = try JSONValue.parse(Array("{\(members),\"m5\":1}".utf8), limits: JSONLimits(duplicateKeys: .keepLast))
    #expect(last["m5"]?.int == 1 && last.object?.count == 100_000)
    #expect(try JSONValue.parse(value.encoded()) == value)
  }

  @Test(arguments: [
    "null", "true", "false", "0", "-0", "1", "-1", "12.5", "1e3", "1E+3", "1.5e-7", "\"\"", "\"a\"", "[]", "{}", "[[]]",
    " [ 1 , 2 ] ", "\t{\r\n\"a\" : 1}\n", "[null,true,false]", "{\"\":0}", "\"\u{7f}\"", "\"\\u0000\"",
    "\"\\uD834\\udd1e\"", "\"\u{10FFFF}\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\u{2028}\"", "{\"a\":{\"b\":[1,{}]}}",
    "123456789012345678901234567890", "0.1e999", "\"asd \"",
  ])
  func `every text that RFC 8259 allows is read`(text: String) throws {
    let value = try JSONValue.parse(text)
    #expect(try JSONValue.parse(value.encoded()) == value)
    #expect(try JSONValue.parse(value.encoded(pretty: true)) == value)
  }

  @Test(
    arguments: [
      ("", .unexpectedEnd, 0), ("  ", .unexpectedEnd, 2), ("nul", .unexpectedEnd, 3), ("nulL", .unexpectedByte, 3),
      ("True", .unexpectedByte, 0), ("NaN", .unexpectedByte, 0), ("Infinity", .unexpectedByte, 0),
      ("01", .invalidNumber, 1), ("-01", .invalidNumber, 2), ("-", .unexpectedEnd, 1), ("+1", .unexpectedByte, 0),
      (".5", .unexpectedByte, 0), ("1.", .unexpectedEnd, 2), ("1.e1", .invalidNumber, 2), ("1e", .unexpectedEnd, 2),
      ("1e+", .unexpectedEnd, 3), ("-a", .invalidNumber, 1), ("1 2", .trailingContent, 2), ("0x1", .trailingContent, 1),
      ("[1,]", .unexpectedByte, 3), ("[,1]", .unexpectedByte, 1), ("[1 2]", .unexpectedByte, 3),
      ("[", .unexpectedEnd, 1),
      ("[1", .unexpectedEnd, 2), ("[1,", .unexpectedEnd, 3), ("]", .unexpectedByte, 0), ("[1}", .unexpectedByte, 2),
      ("{", .unexpectedEnd, 1), ("{\"a\"", .unexpectedEnd, 4), ("{\"a\":", .unexpectedEnd, 5),
      ("{\"a\":1,}", .unexpectedByte, 7), ("{a:1}", .unexpectedByte, 1), ("{'a':1}", .unexpectedByte, 1),
      ("{\"a\" 1}", .unexpectedByte, 5), ("{1:1}", .unexpectedByte, 1), ("{\"a\":1]", .unexpectedByte, 6),
      ("{,}", .unexpectedByte, 1), ("\"", .unexpectedEnd, 1), ("\"abc", .unexpectedEnd, 4), ("\"\\", .unexpectedEnd, 2),
      ("\"\\a\"", .invalidEscape, 1), ("\"\\U0041\"", .invalidEscape, 1), ("\"\\u12\"", .unexpectedEnd, 6),
      ("\"\\u12G4\"", .invalidEscape, 1), ("\"\\ud800\"", .loneSurrogate, 1), ("\"\\ud800\\n\"", .loneSurrogate, 1),
      ("\"\\ud800\\u0041\"", .loneSurrogate, 1), ("\"\\udc00\"", .loneSurrogate, 1),
      ("\"\\ud800x\"", .loneSurrogate, 1),
      ("\"a\nb\"", .controlCharacter, 2), ("\"0123456789\u{0}\"", .controlCharacter, 11),
      ("\"\t\"", .controlCharacter, 1),
      ("/* */1", .unexpectedByte, 0), ("1//", .trailingContent, 1), ("\u{feff}1", .unexpectedByte, 0),
      ("\u{a0}1", .unexpectedByte, 0), ("{\"a\":1,\"a\":2}", .duplicateKey, 7),
      ("{\"a\":1,\"\\u0061\":2}", .duplicateKey, 7), ("\"\\u00e9\\ude00\"", .loneSurrogate, 7),
    ] as [(String, JSONError.Code, Int)])
  func `a text that RFC 8259 does not allow is refused by name and place`(
    text: String, code: JSONError.Code, offset: Int
  ) {
    let error = #expect(throws: JSONError.self) { try JSONValue.parse(text) }
    #expect(error?.code == code)
    #expect(error?.offset == offset)
  }

  @Test(
    arguments: [
      [0x80], [0xFF], [0xC0, 0xAF], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80],
      [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF4, 0x90, 0x80, 0x80],
      [0xF5, 0x80, 0x80, 0x80], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98], [0xC3, 0x28], [0xE2, 0x28, 0xA1],
      [0xF0, 0x9F, 0x28, 0x80],
    ] as [[UInt8]])
  func `bytes that are not UTF-8 are refused`(bytes: [UInt8]) {
    for lead in 0..<10 {
      let text = [UInt8(ascii: "\"")] + [UInt8](repeating: 97, count: lead) + bytes + [UInt8(ascii: "\"")]
      let error = #expect(throws: JSONError.self) { try JSONValue.parse(text) }
      #expect(error?.code == .invalidUTF8)
      #expect(error?.offset == lead + 1)
    }
  }

  @Test func `every character of every length survives the way in and out`() throws {
    for text in ["e", "é", "€", "😀", "\u{0}", "\u{1f}", "\"", "\\", "/", "한국어", "عربى", "e\u{301}"] {
      for lead in 0..<10 {
        let whole = String(repeating: "x", count: lead) + text + String(repeating: "y", count: 9 - lead)
        #expect(try JSONValue.parse(JSONValue.string(whole).encoded()).string?.utf8.elementsEqual(whole.utf8) == true)
      }
    }
    #expect(try JSONValue.parse("\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"").string == "Aé€😀")
    #expect(String(decoding: JSONValue.string("a/b\u{1}\n\"").encoded(), as: UTF8.self) == "\"a/b\\u0001\\n\\\"\"")
  }

  @Test func `nesting stops at the limit and not one level before`() throws {
    func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
    _ = try JSONValue.parse(nested(64))
    #expect(throws: JSONError.self) { try JSONValue.parse(nested(65)) }
    let mixed = String(repeating: "{\"a\":[", count: 100_000)
    #expect(#expect(throws: JSONError.self) { try JSONValue.parse(mixed) }?.code == .tooDeep)
    _ = try JSONValue.parse(nested(512), limits: JSONLimits(maximumDepth: 1_000_000))
    #expect(throws: JSONError.self) {
      try JSONValue.parse(nested(513), limits: JSONLimits(maximumDepth: 1_000_000))
    }
  }

  @Test func `size and numbers are bounded`() throws {
    let long = [UInt8(ascii: "\"")] + [UInt8](repeating: 97, count: 5_000_000) + [UInt8(ascii: "\"")]
    #expect(try JSONValue.parse(long).string?.utf8.count == 5_000_000)
    let error = #expect(throws: JSONError.self) {
      try JSONValue.parse(long, limits: JSONLimits(maximumBytes: 5_000_001))
    }
    #expect(error?.code == .tooLarge)
    _ = try JSONValue.parse(String(repeating: "9", count: 128))
    let number = #expect(throws: JSONError.self) { try JSONValue.parse("[" + String(repeating: "9", count: 129) + "]") }
    #expect(number?.code == .numberTooLong)
  }

  @Test func `values are counted, names are not`() {
    func code(_ text: String) -> JSONError.Code? {
      do throws(JSONError) {
        _ = try JSONValue.parse(text, limits: JSONLimits(maximumValues: 4))
        return nil
      } catch {
        return error.code
      }
    }
    #expect(code("[1,2,3]") == nil)
    #expect(code("[1,2,3,4]") == .tooManyValues)
    #expect(code(#"{"a":1,"b":{"c":[]}}"#) == nil)
    #expect(code(#"{"a":1,"b":{"c":[{}]}}"#) == .tooManyValues)
  }

  @Test func `an error tells line and column and nothing of the text`() {
    let error = #expect(throws: JSONError.self) {
      try JSONValue.parse("{\n  \"näme\": \"José\",\n  \"pin\": 12x\n}")
    }
    #expect(error?.line == 3)
    #expect(error?.column == 12)
    #expect(error.map { "\($0)" } == "JSON: a character that cannot stand here at line 3, column 12")
  }

  @Test func `the last of two names counts where that is asked for`() throws {
    let value = try JSONValue.parse("{\"a\":1,\"b\":2,\"a\":3}", limits: JSONLimits(duplicateKeys: .keepLast))
    #expect(value == ["b": 2, "a": 3])
    #expect(value.object?.keys == ["a", "b"])
  }

  @Test func `names that only look alike are two names`() throws {
    let value = try JSONValue.parse("{\"\u{e9}\":1,\"e\u{301}\":2}")
    #expect(value["\u{e9}"] == 1)
    #expect(value["e\u{301}"] == 2)
  }

  @Test func `any truncation of a good text is refused and never crashes`() throws {
    let text = Array("{\"a\":[1,-2.5e3,true,null,\"\\ud83d\\ude00é\"],\"b\":{\"c\":{}}}".utf8)
    _ = try JSONValue.parse(text)
    for count in 0..<text.count {
      #expect(throws: JSONError.self) { try JSONValue.parse(Array(text.prefix(count))) }
    }
  }

  @Test func `random damage never crashes, and what is read is written and read again alike`() {
    let text = Array("{\"a\":[1,-2.5e3,true,null,\"\\ud83d\\ude00é\"],\"b\":{\"c\":{}},\"d\":\"012345678901234\"}".utf8)
    var random = SystemRandomNumberGenerator()
    var read = 0
    for _ in 0..<20_000 {
      var damaged = text
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        damaged[Int.random(in: 0..<damaged.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      if let value = try? JSONValue.parse(damaged) {
        read += 1
        #expect((try? JSONValue.parse(value.encoded())) == value)
      }
    }
    #expect((1..<20_000).contains(read), "some damage is harmless, and some is not")
  }
}
