import Testing

@testable import JSON

@Suite(.timeLimit(.minutes(10))) struct ValueTests {
  @Test func `a number keeps its text`() throws {
    for text in ["1.10", "1e5", "-0", "123456789012345678901234567890", "0.1e999"] {
      #expect(String(decoding: try JSONValue.parse(text).encoded(), as: UTF8.self) == text)
    }
    #expect(try JSONValue.parse("9223372036854775807").int == .max)
    #expect(try JSONValue.parse("-9223372036854775808").int == .min)
    #expect(try JSONValue.parse("9223372036854775808").int == nil)
    #expect(try JSONValue.parse("1.0").int == nil)
    #expect(try JSONValue.parse("1.5").double == 1.5)
    #expect(try JSONValue.parse("1e999").double == nil)
    #expect(JSONNumber(.infinity) == nil)
    #expect(JSONNumber(3.0)?.text == "3")
    #expect(JSONNumber(0.1)?.text == "0.1")
  }

  @Test func `literals and subscripts say what the text says`() throws {
    var value: JSONValue = ["a": 1, "b": [true, nil, "x", 2.5], "c": ["d": "e"]]
    #expect(try JSONValue.parse("{\"a\":1,\"b\":[true,null,\"x\",2.5],\"c\":{\"d\":\"e\"}}") == value)
    #expect(value["b"]?[2]?.string == "x")
    #expect(value["b"]?[0]?.bool == true)
    #expect(value["b"]?[1]?.isNull == true)
    #expect(value["b"]?[4] == nil)
    #expect(value["b"]?[-1] == nil)
    #expect(value["a"]?.int == 1)
    #expect(value["c"]?["d"]?.string == "e")
    #expect(value["x"] == nil)
    value["c"]?["f"] = "g"
    value["a"] = nil
    #expect(value.description == "{\"b\":[true,null,\"x\",2.5],\"c\":{\"d\":\"e\",\"f\":\"g\"}}")
  }

  @Test func `an object keeps its order, its members and its speed when it grows`() throws {
    var object = JSONObject()
    for i in 0..<5_000 { object["k\(i)"] = JSONValue(i) }
    #expect(object.count == 5_000)
    #expect(object["k4999"]?.int == 4_999)
    #expect(object.keys.prefix(3) == ["k0", "k1", "k2"])
    object["k1"] = nil
    #expect(object["k1"] == nil)
    #expect(object["k4999"]?.int == 4_999)
    let value = JSONValue.object(object)
    #expect(try JSONValue.parse(value.encoded()) == value)
    let doubled = "{" + (0..<5_000).map { "\"k\($0 % 4_999)\":1" }.joined(separator: ",") + "}"
    #expect(#expect(throws: JSONError.self) { try JSONValue.parse(doubled) }?.code == .duplicateKey)
  }

  @Test func `objects are equal in any order, arrays are not`() {
    #expect(["a": 1, "b": 2] as JSONValue == ["b": 2, "a": 1])
    #expect([1, 2] as JSONValue != [2, 1])
  }

  @Test func `sorted and pretty texts are fixed`() {
    let value: JSONValue = ["b": [1, [:]], "a": [], "c": "/"]
    #expect(String(decoding: value.encoded(sortedKeys: true), as: UTF8.self) == "{\"a\":[],\"b\":[1,{}],\"c\":\"/\"}")
    #expect(
      String(decoding: value.encoded(pretty: true, sortedKeys: true), as: UTF8.self)
        == "{\n  \"a\": [],\n  \"b\": [\n    1,\n    {}\n  ],\n  \"c\": \"/\"\n}")
  }

  @Test func `the writer places commas and escapes`() throws {
    var writer = JSONWriter(appendingTo: Array("x".utf8), capacity: 100)
    writer.object { w in
      w.key("a")
      w.int(-12)
      w.key("b\n")
      w.array { w in
        w.string("q\"")
        w.string(nil)
        w.bool(true)
        w.bool(nil)
        w.int(nil)
        w.null()
        w.object { _ in }
        w.array { _ in }
        w.int(7)
      }
      w.key("c")
      w.value(["d": 1.5])
      w.key("e")
      w.raw("[1]".utf8)
    }
    #expect(
      String(decoding: writer.bytes, as: UTF8.self)
        == "x{\"a\":-12,\"b\\n\":[\"q\\\"\",null,true,null,null,null,{},[],7],\"c\":{\"d\":1.5},\"e\":[1]}")
    _ = try JSONValue.parse(Array(writer.bytes.dropFirst()))
  }
}
