import Registration
import Testing

@Suite(.timeLimit(.minutes(5))) struct TraceIdTests {
  private func read(_ header: String) -> TraceId? { Array(header.utf8).withUnsafeBytes { TraceId(header: $0) } }

  @Test(arguments: ["463ac35c9f6413ad48485a3953bb6124", "80f198ee56343ba8", "00000000000000010000000000000000"])
  func `an id is read and written as it was`(text: String) throws {
    let id = try #require(TraceId(text))
    #expect(id.text == text && "\(id)" == text)
    #expect(id.uuid.utf8.count == 32 && TraceId(uuid: id.uuid) == id)
    #expect(read(text + "-a2fb4a1d1a96d312") == id && read(text + "-a2fb4a1d1a96d312-1") == id)
    #expect(read(text + "-a2fb4a1d1a96d312-1-05e3ac9a4f6e3b90") == id)
    #expect(TraceContext.header(continuing: id).flatMap { TraceContext(header: $0) }?.traceId == text)
    #expect(TraceContext.header(continuing: id) != TraceContext.header(continuing: id), "another span")
  }

  @Test func `an id is read from a uuid with its hyphens`() {
    #expect(TraceId(uuid: "463ac35c-9f64-13ad-4848-5a3953bb6124") == TraceId("463ac35c9f6413ad48485a3953bb6124"))
  }

  @Test(arguments: [
    "", "1", "463AC35C9F6413AD48485A3953BB6124", "0000000000000000", "00000000000000000000000000000000", "80f198ee56343ba8x",
    "80f198ee56343bag", "80f198ee-6343ba8",
  ])
  func `what is no id is none`(text: String) { #expect(TraceId(text) == nil && read(text + "-a2fb4a1d1a96d312") == nil) }

  @Test(arguments: [
    "", "80f198ee56343ba8", "80f198ee56343ba8-", "80f198ee56343ba8-a2fb4a1d1a96d31", "80f198ee56343ba8-0000000000000000",
    "80f198ee56343ba8-a2fb4a1d1a96d312x", "80f198ee56343ba8_a2fb4a1d1a96d312",
  ])
  func `a header that names no trace has none`(header: String) {
    #expect(read(header) == nil && TraceContext(header: header) == nil)
  }

  @Test func `no two new ones are alike`() {
    var random = SystemRandomNumberGenerator()
    let ids = Set((0..<100).map { _ in TraceId.random(using: &random) })
    #expect(ids.count == 100 && ids.allSatisfy { $0.text.utf8.count == 32 })
    #expect(TraceContext.header(continuing: nil) == nil)
  }
}
