import Glibc
import Synchronization
import System

/// Ends clients, each on a thread of its own.
///
/// Nobody waits for that, since a worker with a lost broker opens another client at once and the end of the old one takes milliseconds,
/// or for ever: librdkafka 2.0.2 now and then waits for one of its own broker threads that waits for nothing (seen after topics vanished
/// under a consumer). Only the end of the process waits, for a moment: a library that is at work must not be taken down.
enum ClientEnds {
  private struct State {
    var latest = 0
    /// When those under way began.
    var begun: [Int: Int] = [:]
    var told: Set<Int> = []
  }

  private static let state = Mutex(State())
  /// How long an end may take, in milliseconds.
  static let longest = 10_000
  /// After librdkafka and OpenSSL are there, and so before what they do at the end of the process.
  private static let waitsAtExit: Bool = atexit { ClientEnds.wait() } == 0

  /// Ends a client.
  static func begin(_ end: @escaping @Sendable () -> Void) {
    precondition(waitsAtExit, "no room for what is done at the end of the process")
    let now = monotonicMilliseconds()
    let number = state.withLock { state in
      state.latest += 1
      state.begun[state.latest] = now
      return state.latest
    }
    OwnedThread.start("kafka-end") {
      end()
      state.withLock { state in
        state.begun[number] = nil
        state.told.remove(number)
      }
    }
    tell(now)
  }

  /// Ends that take too long, told once each.
  private static func tell(_ now: Int) {
    let late = state.withLock { state in
      let late = state.begun.filter { now - $0.value >= longest && !state.told.contains($0.key) }.keys
      state.told.formUnion(late)
      return late.count
    }
    if late > 0 { Log("kafka").warning("clients do not end; they are left behind", ["count": late, "seconds": longest / 1000]) }
  }

  /// How many are under way.
  static var underWay: Int { state.withLock { $0.begun.count } }

  /// Waits until none is under way but those that take too long.
  static func wait(longest: Int = ClientEnds.longest) {
    func isWaitedFor() -> Bool {
      let now = monotonicMilliseconds()
      return state.withLock { $0.begun.values.contains { now - $0 < longest } }
    }
    while isWaitedFor() { usleep(2000) }
  }
}
