import Cryptography
import HTTP
import JSON
import StandIn
import Synchronization
import System

/// Who is asked by a stand-in: answers what the test says, and keeps what came.
final class Taker: Sendable {
  struct Call {
    var path: String
    var headers: Headers
    var body: JSONValue
    var token: String

    /// The claims of its token, whoever signed it.
    var claims: JSONValue { (try? JWS(compact: token)).flatMap { try? JSONValue.parse($0.payload) } ?? .null }
    /// The pending action of an event.
    var action: JSONValue { body["actions"]?.array?.last ?? .null }
    var actionId: String { action["id"]?.string ?? "" }
    /// The resources of a type in a bundle.
    func resources(_ type: String) -> [JSONValue] {
      (body["entry"]?.array ?? []).compactMap { $0["resource"] }.filter { $0["resourceType"]?.string == type }
    }
  }

  private struct State {
    var answer = Response.json("{}", status: 202)
    var answers: [String: Response] = [:]
    var calls: [Call] = []
    var server: Server?
  }
  private let state = Mutex(State())

  func start() throws -> String {
    let take: @Sendable (Request) -> Response = { [self] request in
      let call = Call(
        path: request.path, headers: request.headers, body: (try? JSONValue.parse(request.body)) ?? .null,
        token: request.bearerToken ?? "")
      return state.withLock { state in
        state.calls.append(call)
        return state.answers.first { request.path.hasSuffix($0.key) }?.value ?? state.answer
      }
    }
    let server = try Server(
      ServerSettings(host: "127.0.0.1", port: 0),
      endpoints: [
        Endpoint("POST", "/event-registration", handler: take), Endpoint(anythingBelow: "/events", handler: take),
        Endpoint(anythingBelow: "/trigger", handler: take),
      ])
    state.withLock { $0.server = server }
    return "http://127.0.0.1:\(try server.start())"
  }

  func stop() async { await state.withLock { $0.server }?.stop(graceSeconds: 1) }

  /// Answers this from now on: to paths with an end, or to all that have no answer of their own.
  func answer(_ status: Int, _ body: String = "{}", to end: String? = nil) {
    state.withLock { state in
      if let end { state.answers[end] = .json(body, status: status) } else { state.answer = .json(body, status: status) }
    }
  }

  var calls: [Call] { state.withLock { $0.calls } }
  func last() throws -> Call {
    guard let call = calls.last else { throw Missing() }
    return call
  }
  func last(_ end: String) throws -> Call {
    guard let call = calls.last(where: { $0.path.hasSuffix(end) }) else { throw Missing() }
    return call
  }
}

/// What a test looks for is not there.
struct Missing: Error {}

/// Made-up records.
enum Records {
  static let births = SampleRecord.births(SampleEvents.births, seed: 7, run: "Q7", year: 2026)

  /// A death of somebody with a number.
  static func death(_ identifiers: [(String, String)]) throws -> SampleRecord {
    var samples = SampleBirths(seed: 7, run: "Q7", year: 2026)
    let events = SampleEvents(seed: 7, run: "Q7", year: 2026, at: .now)
    guard let birth = samples.make(1).first,
      let record = SampleRecord(death: events.death("death", birth, 1, isNew: true, identifiers: identifiers))
    else { throw Missing() }
    return record
  }
}
