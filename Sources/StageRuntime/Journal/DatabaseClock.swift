import Postgres
import StageKit
import Synchronization
import System

/// The database's clock, by which all that is stored is dated and due: what one process stores is judged by others and by the database, and the
/// clocks of machines differ. It is asked every few seconds, and what passes in between is measured by a clock that nobody sets.
final class DatabaseClock: WallClock {
  /// Seconds between the two clocks from which on it is said: due times of neither show it, but moments in logs and in tokens do.
  static let tolerance = 1.0

  private struct Reading {
    /// The database's moment, and when it was so by the monotonic clock.
    var moment: Instant
    var at: Int
    /// Seconds by which this machine's clock is ahead.
    var skew: Double
  }

  private let pool: Pool?
  private let machine: any WallClock
  private let reading = Mutex<Reading?>(nil)
  private let lookout = Lookout("clock", every: 2000)
  private let log = Log("clock")

  /// - Parameters:
  ///   - pool: nil for who has no database.
  ///   - machine: this machine's clock, which counts until the database has been asked.
  init(_ pool: Pool?, machine: any WallClock) { (self.pool, self.machine) = (pool, machine) }

  /// The database's present moment.
  var now: Instant {
    guard let reading = reading.withLock({ $0 }) else { return machine.now }
    return reading.moment.advanced(bySeconds: Double(monotonicMilliseconds() - reading.at) / 1000)
  }

  /// Seconds by which this machine's clock is ahead of the database's, below zero when it is behind; nil while that is not known.
  var skew: Double? { reading.withLock { $0?.skew } }

  /// Asks the database now.
  func look() async throws {
    guard let pool else { return }
    let machine = machine
    let reading = try await pool.with { connection in
      let before = monotonicMilliseconds()
      let moment = try connection.now()
      let after = monotonicMilliseconds()
      // It was so between question and answer; which of the two was slow is not known.
      let at = before + (after - before) / 2
      let here = machine.now.advanced(bySeconds: -Double(after - at) / 1000)
      return Reading(moment: moment, at: at, skew: here.seconds(since: moment))
    }
    let before = self.reading.withLock { known in
      defer { known = reading }
      return known
    }
    tell(from: before?.skew ?? 0, to: reading.skew)
  }

  func start() { lookout.start(isSeen: true) { try blockingAwait { try await self.look() } } }

  func stop() { lookout.stop() }

  /// Waits for the thread to end. Never call it from a task.
  func join() { lookout.join() }

  private func tell(from old: Double, to new: Double) {
    let (differed, differs) = (abs(old) > Self.tolerance, abs(new) > Self.tolerance)
    if differs, !differed {
      log.warning("this machine's clock and the database's differ", ["seconds ahead": Self.text(new)])
    } else if differed, !differs {
      log.info("this machine's clock and the database's agree again")
    }
  }

  /// With one digit behind the point.
  static func text(_ seconds: Double) -> String { "\((seconds * 10).rounded() / 10)" }
}

/// How this machine's clock stands to the database's, for whoever looks from outside a process.
public enum ClockSkew {
  /// Seconds by which this machine's clock is ahead; nil while they agree within a second.
  /// - Throws: `PostgresError`.
  public static func notable(on connection: Connection) throws -> Double? {
    _ = try connection.now()
    let before = Instant.now
    let theirs = try connection.now()
    let after = Instant.now
    let skew = before.advanced(bySeconds: after.seconds(since: before) / 2).seconds(since: theirs)
    return abs(skew) > DatabaseClock.tolerance ? skew : nil
  }

  /// It in words.
  public static func words(_ seconds: Double) -> String {
    "this machine's clock is \(DatabaseClock.text(abs(seconds))) seconds \(seconds > 0 ? "ahead of" : "behind") the database's: set it by NTP"
  }
}
