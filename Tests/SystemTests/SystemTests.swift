import Testing

@testable import System

@Suite(.timeLimit(.minutes(10))) struct VisibleTextTests {
  @Test func `what a terminal obeys is spelled out and the rest is as it was`() throws {
    #expect(VisibleText.of("a\u{1b}[2Jb\u{7f}\u{9b}31mc\r\n\t") == #"a\u{1b}[2Jb\u{7f}\u{9b}31mc\u{d}\u{a}\u{9}"#)
    #expect(VisibleText.of("a\n\tb\r", keepingLines: true) == "a\n\tb\\u{d}")
    #expect(VisibleText.of("abc\u{202e}dcb\u{2066}\u{2069}\u{2028}") == #"abc\u{202e}dcb\u{2066}\u{2069}\u{2028}"#)
    let plain = "Łukasz 李 محمد é \u{e9}\u{301} 👩‍👩‍👧"
    #expect(VisibleText.of(plain) == plain)
    let json = VisibleText.json(Array(#"{"a":"\#u{9b}x\#u{202e}\#u{7f}é"}"#.utf8))
    #expect(String(decoding: json, as: UTF8.self) == #"{"a":"\u009bx\u202e\u007fé"}"#)
  }
}

@Suite(.timeLimit(.minutes(10))) struct HugeNumberTests {
  @Test func `no number from outside traps on its way through time`() {
    let moments = [Instant(milliseconds: .min), Instant(milliseconds: .max), Instant(milliseconds: 0), .now]
    let seconds = [0, 1, -1, 1e308, -1e308, .infinity, -.infinity, .nan, Double(Int.max), Double(Int.min), 9.3e15, -9.3e15]
    for moment in moments {
      for second in seconds {
        let moved = moment.advanced(bySeconds: second)
        #expect(second.isNaN || (second < 0 ? moved <= moment : moved >= moment))
        #expect(moved.iso.utf8.count == 24 && moved.compact.utf8.count == 14)
        #expect(Instant(iso: moved.iso) != nil, "\(moved.iso)")
      }
      for other in moments { #expect(moment.seconds(since: other).isFinite) }
    }
    #expect(Int(saturating: 1e308) == .max && Int(saturating: -1e308) == .min && Int(saturating: .nan) == 0)
    #expect(Int32(saturating: 2_147_483_648) == .max && Int(saturating: -1.9) == -1 && Int(saturating: Double(Int.max)) == .max)
  }
}

@Suite(.timeLimit(.minutes(10))) struct InstantTests {
  @Test(arguments: [
    ("1970-01-01T00:00:00.000Z", Int64(0)), ("2024-02-29T23:59:59.123Z", 1_709_251_199_123),
    ("1869-03-01T00:00:00.000Z", -3182112000000), ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
  ]) func `a moment is read and written alike`(text: String, milliseconds: Int64) {
    #expect(Instant(iso: text)?.milliseconds == milliseconds)
    #expect(Instant(milliseconds: milliseconds).iso == text)
  }

  @Test func `offsets and short forms are read`() {
    #expect(Instant(iso: "2024-02-29T10:15Z")?.iso == "2024-02-29T10:15:00.000Z")
    #expect(Instant(iso: "2024-02-29T10:15:00.123456+05:30")?.iso == "2024-02-29T04:45:00.123Z")
    #expect(Instant(iso: "2024-02-29 10:15:07.5-0130")?.iso == "2024-02-29T11:45:07.500Z")
  }

  @Test func `a moment whose seconds Java left out has second zero`() {
    #expect(Instant(iso: "2026-11-29T21:30.000Z")?.iso == "2026-11-29T21:30:00.000Z")
    #expect(Instant(iso: "2026-11-29T21:30.5Z") == nil)
    #expect(Instant(iso: "2026-11-29T21:30.Z") == nil)
  }

  @Test(arguments: [
    "", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00",
    "2024-01-01T00:00:00.Z", "x",
  ])
  func `what is no moment is refused`(text: String) { #expect(Instant(iso: text) == nil) }

  @Test func `the compact form is the time of ARID`() {
    #expect(Instant(iso: "2024-02-29T23:59:59Z")?.compact == "20240229235959")
  }
}

@Suite(.timeLimit(.minutes(10))) struct EncodingTests {
  @Test func `both alphabets are read with and without padding`() {
    for size in 0..<70 {
      let bytes = SecureRandom.bytes(size)
      #expect(Encoding.bytes(base64: Encoding.base64(bytes)) == bytes)
      #expect(Encoding.bytes(base64: Encoding.base64URL(bytes)) == bytes)
      #expect(Encoding.bytes(hex: Encoding.hex(bytes)) == bytes)
      #expect(Encoding.bytes(hex: Encoding.upperHex(bytes)) == bytes)
    }
    #expect(Encoding.base64([0xfb, 0xff]) == "+/8=")
    #expect(Encoding.base64URL([0xfb, 0xff]) == "-_8")
  }

  @Test(arguments: ["A", "AA=A", "AA===", "A*==", "AAA A", "AB", "AAB=", "+_AA"]) func `what is no base 64 is refused`(
    text: String
  ) {
    #expect(Encoding.bytes(base64: text) == nil)
  }
}

@Suite(.timeLimit(.minutes(10))) struct BlockingPoolTests {
  @Test func `more work than threads is done in full`() async throws {
    let pool = BlockingPool(name: "test", threads: 2)
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for i in 1...100 { group.addTask { try await pool.run { i } } }
      return try await group.reduce(0, +)
    }
    #expect(sum == 5050)
    pool.close()
  }
  @Test func `a thread that waits for work gets what it returns, and what it throws`() async throws {
    struct Fault: Error {}
    let pool = BlockingPool(name: "test", threads: 1)
    defer { pool.close() }
    #expect(try await pool.run { blockingAwait { 7 } } == 7)
    await #expect(throws: Fault.self) { try await pool.run { try blockingAwait { throw Fault() } } }
  }
}

@Suite(.timeLimit(.minutes(1))) struct DigitsTests {
  @Test func `a number has zeros in front up to its width, and never loses a digit`() {
    #expect([7.digits(3), 0.digits(2), 1234.digits(2), 7.digits(0)] == ["007", "00", "1234", "7"])
    #expect(UInt64(0xbeef).digits(16, radix: 16) == "000000000000beef")
    #expect(UInt128.max.digits(32, radix: 16) == String(repeating: "f", count: 32))
  }
}
