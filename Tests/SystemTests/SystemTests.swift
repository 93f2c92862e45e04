import Testing

@testable import System

@Suite struct InstantTests {
  @Test(arguments: [
    ("1970-01-01T00:00:00.000Z", Int64(0)), ("2024-02-29T23:59:59.123Z", 1_709_251_199_123),
    ("1869-03-01T00:00:00.000Z", -3182112000000), ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
  ]) func aMomentIsReadAndWrittenAlike(text: String, milliseconds: Int64) {
    #expect(Instant(iso: text)?.milliseconds == milliseconds)
    #expect(Instant(milliseconds: milliseconds).iso == text)
  }

  @Test func offsetsAndShortFormsAreRead() {
    #expect(Instant(iso: "2024-02-29T10:15Z")?.iso == "2024-02-29T10:15:00.000Z")
    #expect(Instant(iso: "2024-02-29T10:15:00.123456+05:30")?.iso == "2024-02-29T04:45:00.123Z")
    #expect(Instant(iso: "2024-02-29 10:15:07.5-0130")?.iso == "2024-02-29T11:45:07.500Z")
  }

  @Test func aMomentWhoseSecondsJavaLeftOutHasSecondZero() {
    #expect(Instant(iso: "2026-11-29T21:30.000Z")?.iso == "2026-11-29T21:30:00.000Z")
    #expect(Instant(iso: "2026-11-29T21:30.5Z") == nil)
    #expect(Instant(iso: "2026-11-29T21:30.Z") == nil)
  }

  @Test(arguments: [
    "", "2023-02-29T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01T00:00:00",
    "2024-01-01T00:00:00.Z", "x",
  ])
  func whatIsNoMomentIsRefused(text: String) { #expect(Instant(iso: text) == nil) }

  @Test func theCompactFormIsTheTimeOfARID() {
    #expect(Instant(iso: "2024-02-29T23:59:59Z")?.compact == "20240229235959")
  }
}

@Suite struct EncodingTests {
  @Test func bothAlphabetsAreReadWithAndWithoutPadding() {
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

  @Test(arguments: ["A", "AA=A", "AA===", "A*==", "AAA A", "AB", "AAB=", "+_AA"]) func whatIsNoBase64IsRefused(
    text: String
  ) {
    #expect(Encoding.bytes(base64: text) == nil)
  }
}

@Suite struct BlockingPoolTests {
  @Test func moreWorkThanThreadsIsDoneInFull() async throws {
    let pool = BlockingPool(name: "test", threads: 2)
    let sum = try await withThrowingTaskGroup(of: Int.self) { group in
      for i in 1...100 { group.addTask { try await pool.run { i } } }
      return try await group.reduce(0, +)
    }
    #expect(sum == 5050)
    pool.close()
  }
}
