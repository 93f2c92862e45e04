import Testing

@testable import JSON

@Suite(.timeLimit(.minutes(10))) struct ScannerTests {
  @Test func `members are found in place, values of any size are stepped over`() throws {
    let text = Array(#" {"a" : 12, "b":{"x":[1,{"y":"}"}]},"\u0063": "t\nu", "d":-7 , "e":1.5} "#.utf8)
    try text.withUnsafeBytes { bytes in
      var scanner = try JSONScanner(bytes)
      var found: [(String, String, JSONToken)] = []
      try scanner.enterObject()
      while let key = try scanner.nextKey() {
        let value = try scanner.value()
        found.append((key.string(in: bytes), String(decoding: value.raw(in: bytes), as: UTF8.self), value))
        #expect(key.equals("c", in: bytes) == (found.count == 3))
      }
      try scanner.finish()
      #expect(found.map(\.0) == ["a", "b", "c", "d", "e"])
      #expect(found.map(\.1) == ["12", "{\"x\":[1,{\"y\":\"}\"}]}", "\"t\\nu\"", "-7", "1.5"])
      #expect(found.map(\.2.kind) == [.integer, .object, .string, .integer, .decimal])
      #expect(found[0].2.int(in: bytes) == 12)
      #expect(found[3].2.int(in: bytes) == -7)
      #expect(found[4].2.int(in: bytes) == nil)
      #expect(found[2].2.string(in: bytes) == "t\nu")
      #expect(found[2].2.equals("t\nu", in: bytes))
      #expect(!found[2].2.equals("t", in: bytes))
    }
  }

  @Test(
    arguments: [
      ("9223372036854775807", Int.max), ("-9223372036854775808", .min), ("9223372036854775808", nil),
      ("-9223372036854775809", nil), ("0", 0), ("-0", 0), ("99999999999999999999999", nil),
    ] as [(String, Int?)])
  func `whole numbers are exact or nil`(text: String, expected: Int?) throws {
    try Array(text.utf8).withUnsafeBytes { bytes in
      var scanner = try JSONScanner(bytes)
      #expect(try scanner.value().int(in: bytes) == expected)
    }
  }
}
