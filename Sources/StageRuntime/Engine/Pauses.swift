import HTTP
import JSON
import Postgres
import StageKit
import Synchronization
import System

/// A stage, or the intake, that an operator holds.
public struct Pause: Sendable, Hashable {
  /// The word for what takes in what is new.
  public static let intake = "intake"

  /// The stage's name, or `intake`.
  public var what: String
  /// Who holds it.
  public var author: String
  /// Why.
  public var reason: String
  /// Since when, by the database's clock.
  public var since: Instant

  /// A pause.
  public init(what: String, author: String, reason: String, since: Instant) {
    self.what = what
    self.author = author
    self.reason = reason
    self.since = since
  }

  /// The pause as JSON.
  public var json: JSONValue {
    ["what": .string(what), "author": .string(author), "reason": .string(reason), "since": .string(since.iso)]
  }

  /// All of them.
  /// - Throws: `PostgresError`.
  public static func all(on connection: Connection) throws -> [Pause] {
    try connection.execute("SELECT what, author, reason, since FROM regproc.pause ORDER BY what LIMIT 1000").map {
      Pause(what: try $0.text(0), author: try $0.text(1), reason: try $0.text(2), since: try $0.instant(3))
    }
  }

  static let table = """
    CREATE TABLE regproc.pause (
      what text PRIMARY KEY,
      author text NOT NULL,
      reason text NOT NULL,
      since timestamptz NOT NULL DEFAULT now()
    );
    """
}

/// What is paused, as a process knows it: it asks the database twice a second. While that is out of reach, what was known last holds.
final class Pauses: Sendable {
  private let pool: Pool?
  private let state = Mutex<[String: Pause]>([:])
  private let changed: Mutex<@Sendable () -> Void> = Mutex({})
  private let lookout = Lookout("pauses", every: 500)
  private let log = Log("pauses")
  private let isRefused = Atomic(false)

  /// - Parameter pool: where the pauses stand; nil for a process that nobody pauses.
  init(_ pool: Pool?) { self.pool = pool }

  /// What holds a stage, or the intake; nil when nothing does.
  subscript(_ what: String) -> Pause? { state.withLock { $0[what] } }

  /// Everything that is held.
  var all: [Pause] { state.withLock { $0.values.sorted { $0.what < $1.what } } }

  /// Called after each change, so that nobody who waits for something else notices it late.
  func whenChanged(_ act: @escaping @Sendable () -> Void) { changed.withLock { $0 = act } }

  /// Asks the database now.
  func look() async throws {
    guard let pool else { return }
    let found: [Pause]
    do {
      found = try await pool.with { try Pause.all(on: $0) }
    } catch let error as PostgresError where error.sqlState == "42501" {
      // A role of an earlier version, whose rights were not renewed: it works on, and nobody can hold it.
      if !isRefused.exchange(true, ordering: .relaxed) {
        log.warning("this role may not see what is paused: renew its rights (docs/rights.md)")
      }
      return
    }
    let now = Dictionary(found.map { ($0.what, $0) }) { first, _ in first }
    let before = state.withLock { state in
      defer { state = now }
      return state
    }
    guard before != now else { return }
    for pause in now.values where before[pause.what] == nil {
      log.warning("paused", ["what": pause.what, "author": pause.author, "reason": pause.reason])
    }
    for pause in before.values where now[pause.what] == nil { log.warning("resumed", ["what": pause.what]) }
    changed.withLock { $0 }()
  }

  func start() {
    let log = log
    lookout.start(
      isSeen: true,
      whenFailing: { log.warning("the database does not say what is paused; trying again", ["error": "\($0)"]) },
      { try blockingAwait { try await self.look() } })
  }

  func stop() { lookout.stop() }

  /// Waits for the thread to end. Never call it from a task.
  func join() { lookout.join() }
}

extension Pauses {
  /// What whoever brings something new is answered while the intake is held, in MOSIP's form; nil while it is open.
  var closedIntake: Response? {
    guard self[Pause.intake] != nil else { return nil }
    let error: JSONValue = [
      "errorCode": "RPR-OPS-002", "message": "nothing new is taken at the moment: an operator holds the intake; try again later",
    ]
    let body: JSONValue = [
      "id": "regproc", "version": "1.0", "responsetime": .string(Instant.now.iso), "response": .null, "errors": [error],
    ]
    var response = Response.json(body.encoded(), status: 503)
    response.headers.set("Retry-After", "30")
    return response
  }
}
