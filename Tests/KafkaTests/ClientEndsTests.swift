import System
import TestSupport
import Testing

@testable import Kafka

@Suite(.serialized, .timeLimit(.minutes(5))) struct ClientEndsTests {
  @Test func `a client that does not end keeps nobody waiting and the end of the process for a while`() async throws {
    let (stuck, threads) = (Semaphore(), BlockingPool(name: "ends", threads: 1))
    defer { threads.close() }
    try await threads.run {
      let before = monotonicMilliseconds()
      ClientEnds.begin { stuck.wait() }
      #expect(monotonicMilliseconds() - before < ClientEnds.longest / 2, "a worker waits that could open another client")
      #expect(ClientEnds.underWay >= 1)
      ClientEnds.wait(longest: 0)
      #expect(ClientEnds.underWay >= 1)
      stuck.signal()
      ClientEnds.wait()
    }
    #expect(try await eventually { ClientEnds.underWay == 0 })
  }
}
