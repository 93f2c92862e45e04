import HTTP
import JSON
import Synchronization
import System

/// What the country's own OpenCRVS, as it is stood in for, knows of a record. It is no part of a deployment.
public struct RecordState: Sendable {
  /// Where the record stands.
  public enum Standing: String, Sendable {
    /// It waits for whoever gives registration numbers.
    case waiting
    case registered
    case rejected
  }
  /// Where it stands.
  public var standing: Standing
  /// Its registration number.
  public var number: String?
  /// The numbers of the child or the deceased, by type, in their order (1.7 and 1.8).
  public var identifiers: [(type: String, value: String)] = []
  /// The values that the record shows: of its form (1.9 and 2.x), or those of `updateField` (1.7 and 1.8).
  public var declaration = JSONObject()
  /// The comment of the confirmation, which a registrar sees (1.7 and 1.8).
  public var comment: String?
  /// Why it was rejected, or why it cannot be read.
  public var error: String?
  /// Whether it can be read and corrected.
  public var isReadable = true
  /// Whether its registration was revoked and not reinstated (2.x).
  public var isRevoked = false
  /// Whether an action of it waits for its decision (1.9 and 2.x).
  public var isAsked = false
  /// Whether the last action that was decided was rejected (1.9 and 2.x).
  public var isRefused = false
  /// What the taker's last answer about it was, of which OpenCRVS keeps nothing.
  public var takerAnswer: [UInt8] = []
  /// The HTTP statuses that the registrar's program got for its actions, in their order (1.9 and 2.x).
  public var registrarSaw: [Int] = []
}

/// Whom a stand-in asks, how often what was called, and what fails on purpose.
final class StandInDoors: Sendable {
  private struct State {
    var taker = ""
    var isDown = false
    var calls: [String: Int] = [:]
    var lost: [String] = []
    var answers: [String: [UInt8]] = [:]
  }
  private let state = Mutex(State())

  var taker: String {
    get { state.withLock { $0.taker } }
    set { state.withLock { $0.taker = newValue } }
  }
  var isDown: Bool {
    get { state.withLock { $0.isDown } }
    set { state.withLock { $0.isDown = newValue } }
  }
  var calls: [String: Int] { state.withLock { $0.calls } }

  /// What was answered last about a record.
  func answer(about record: String) -> [UInt8] { state.withLock { $0.answers[record] ?? [] } }
  func keep(_ answer: [UInt8], about record: String) { state.withLock { $0.answers[record] = answer } }

  func count(_ name: String) { state.withLock { $0.calls[name, default: 0] += 1 } }
  func loseNext(_ name: String) { state.withLock { $0.lost.append(name) } }

  /// An endpoint behind a proxy that says so when nobody is behind it.
  func guarded(_ endpoint: Endpoint) -> Endpoint {
    endpoint.closed { [self] in isDown ? .text("Bad Gateway", status: 502) : nil }
  }

  /// An answer, unless it is to be lost on its way: its work is done then.
  func answered(_ name: String, _ answer: Response) -> Response {
    state.withLock { state in
      guard let place = state.lost.firstIndex(of: name) else { return answer }
      state.lost.remove(at: place)
      return .text("Bad Gateway", status: 502)
    }
  }
}
