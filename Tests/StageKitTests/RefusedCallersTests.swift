import StageKit
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct RefusedCallersTests {
  @Test
  func `the tenth refusal of one subscription's deliveries within a minute is told, and is over when they stop`() {
    let refusals = RefusedCallers()
    let log = Log("test")
    for second in 0..<9 { refusals.refusedDelivery(of: "T", log, now: second * 1000) }
    for second in 0..<9 { refusals.refusedDelivery(of: "U", log, now: second * 1000) }
    #expect(refusals.troubled(now: 9000).isEmpty)
    refusals.refusedDelivery(of: "T", log, now: 60_000)
    #expect(refusals.troubled(now: 60_000) == ["T"])
    #expect(refusals.troubled(now: 121_000).isEmpty)
    // Nine of the last ten are of long ago.
    refusals.refusedDelivery(of: "U", log, now: 70_000)
    #expect(refusals.troubled(now: 70_000).isEmpty)
    #expect(refusals.count("signature", reason: "wrong") == 20)
  }
}
