import Testing

@testable import Kafka

@Suite(.timeLimit(.minutes(30))) struct LineThinningTests {
  @Test
  func `of a kind of line one for each broker and partition is let through in ten seconds, and the rest is counted`() {
    var thinning = LineThinning()
    func line(_ text: String, _ now: Int) -> Int? { thinning.admit(kind: "FAIL", text: text, at: now) }
    #expect(line("[thrd:b:1/1]: b:1/1: Connect to ipv4#127.0.0.1:1 failed (after 0ms)", 0) == 0)
    #expect(line("[thrd:b:2/2]: b:2/2: Connect to ipv4#127.0.0.1:2 failed (after 0ms)", 1) == 0)
    #expect(line("[thrd:b:1/1]: b:1/1: Connect to ipv4#127.0.0.1:1 failed (after 9ms)", 2) == nil)
    #expect(line("[thrd:b:1/1]: b:1/1: Disconnected", 9999) == nil)
    #expect(thinning.leftOut == 2)
    #expect(line("[thrd:b:1/1]: b:1/1: Disconnected", 10_000) == 2)
    #expect(line("[thrd:main]: t [0]: offset reset", 10_001) == 0)
    #expect(line("[thrd:main]: t [1]: offset reset", 10_001) == 0)
    #expect(line("[thrd:main]: t [1]: offset reset", 10_002) == nil)
    #expect(thinning.admit(kind: "OFFSET", text: "[thrd:main]: t [1]: offset reset", at: 10_003) == 0)
  }

  @Test
  func `sentences that differ each time are one subject, and nothing grows without end`() {
    var thinning = LineThinning()
    #expect(thinning.admit(kind: "X", text: "took 1 ms: odd", at: 0) == 0)
    #expect(thinning.admit(kind: "X", text: "took 2 ms: odd", at: 1) == nil)
    for number in 0..<5000 { _ = thinning.admit(kind: "X", text: "b:\(number)/1: gone", at: 2) }
    let sizes = Mirror(reflecting: thinning).children.compactMap { ($0.value as? any Collection)?.count }
    #expect(sizes.count == 1 && sizes.allSatisfy { (1...1000).contains($0) }, "\(sizes)")
  }
}
