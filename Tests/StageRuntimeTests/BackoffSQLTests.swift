import Postgres
import System
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct BackoffSQLTests {
  @Test func `the database counts the pauses as we do`() async throws {
    try await Bench.run { bench in
      for backoff in [Backoff(first: 1, longest: 300), Backoff(first: 0.1, factor: 3, longest: 1e6), Backoff(first: 0, longest: 5)]
      {
        for tries in [-1, 0, 1, 2, 5, 12, 100, Int(Int32.max)] {
          let pause = try await bench.pool.with {
            try $0.execute("SELECT (\(backoff.sql(after: "$1::int")))::float8", [.int(tries)]).only().double(0)
          }
          #expect(abs(pause - backoff.pause(after: tries)) <= 1e-9 * pause, "after \(tries) tries")
        }
      }
    }
  }
}
