import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct BackoffTests {
  @Test func `pauses double up to the longest`() {
    let backoff = Backoff(first: 0.5, longest: 3)
    #expect((1...5).map { backoff.pause(after: $0) } == [0.5, 1, 2, 3, 3])
    #expect((1...4).map { backoff.milliseconds(after: $0) } == [500, 1000, 2000, 3000])
    #expect(Backoff(first: 0.1, factor: 3, longest: 100).milliseconds(after: 4) == 2700)
    #expect(Backoff(first: 7, factor: 1, longest: 100).pause(after: 90) == 7)
  }

  @Test func `no number of tries is too small or too large`() {
    let backoff = Backoff(first: 0.2, longest: 900)
    for tries in [Int.min, -1, 0, 1] { #expect(backoff.pause(after: tries) == 0.2) }
    #expect(backoff.pause(after: .max) == 900)
    #expect(Backoff(first: 0, longest: 900).pause(after: .max) == 0)
    #expect(Backoff(first: 5, longest: 2).pause(after: 1) == 2, "the longest bounds the first one too")
    #expect(Backoff(first: 1e300, longest: .infinity).milliseconds(after: .max) == .max)
  }

  @Test func `chance takes away the given part at the most`() {
    let backoff = Backoff(first: 1, longest: 5, jitter: 0.5)
    #expect(backoff.pause(after: 2, chance: 0) == 1)
    #expect(backoff.pause(after: 2, chance: 0.5) == 1.5)
    #expect(backoff.pause(after: 9, chance: 1) == 5)
    #expect(Backoff(first: 1, longest: 5).pause(after: 2, chance: 0) == 2)
  }
}
