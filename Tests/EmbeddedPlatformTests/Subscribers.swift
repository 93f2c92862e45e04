import StageKit
import Synchronization

@testable import HTTP

/// Subscribers as the hub sees them: what they answer is up to the test.
final class Subscribers: HTTPExchange {
  struct Delivery: Sendable {
    var url: String
    var body: [UInt8]
    var signature: String?
    var link: String?
    var type: String?
  }
  private struct State {
    var deliveries: [Delivery] = []
    var intents: [String] = []
    var answers: [String: [Int]] = [:]
    var confirms = true
    var isReachable = true
    var dead: Set<String> = []
    var pause: Duration = .zero
    var inHand: [String: Int] = [:]
    var mostAtOnce = 0
    var knocks = 0
  }
  private let state = Mutex(State())

  var deliveries: [Delivery] { state.withLock { $0.deliveries } }
  var intents: [String] { state.withLock { $0.intents } }
  var bodies: [String] { deliveries.map { String(decoding: $0.body, as: UTF8.self) } }
  /// The statuses of the next deliveries to a callback; 200 afterwards. 0 stands for a callback that cannot be reached.
  func answer(_ callback: String, _ statuses: Int...) { state.withLock { $0.answers[callback] = statuses } }
  func confirm(_ confirms: Bool) { state.withLock { $0.confirms = confirms } }
  func reachable(_ isReachable: Bool) { state.withLock { $0.isReachable = isReachable } }
  /// Nobody listens at a callback any more, or again.
  func dead(_ callback: String, _ isDead: Bool = true) {
    state.withLock { state in
      if isDead { state.dead.insert(callback) } else { state.dead.remove(callback) }
    }
  }
  /// What came to a callback, in its order.
  func bodies(at callback: String) -> [String] {
    deliveries.filter { $0.url == callback }.map { String(decoding: $0.body, as: UTF8.self) }
  }
  /// Every subscriber thinks for so long before it answers.
  func think(_ pause: Duration) { state.withLock { $0.pause = pause } }
  /// How often somebody knocked in vain.
  var knocks: Int { state.withLock { $0.knocks } }
  /// The most deliveries that one callback ever had at once.
  var mostAtOnce: Int { state.withLock { $0.mostAtOnce } }

  func send(_ request: ClientRequest) async throws -> ClientResponse {
    guard request.method == "POST" else { return try answer(request) }
    let pause = state.withLock { state in
      let now = state.inHand[request.url, default: 0] + 1
      state.inHand[request.url] = now
      state.mostAtOnce = max(state.mostAtOnce, now)
      return state.pause
    }
    defer { state.withLock { $0.inHand[request.url, default: 1] -= 1 } }
    if pause > .zero { try await Task.sleep(for: pause) }
    return try answer(request)
  }

  private func answer(_ request: ClientRequest) throws -> ClientResponse {
    try state.withLock { state in
      guard state.isReachable, !state.dead.contains(where: { request.url.hasPrefix($0) }) else {
        if request.method == "POST" { state.knocks += 1 }
        throw Unreachable()
      }
      if request.method == "GET" {
        state.intents.append(request.url)
        let challenge = request.url.split(separator: "&").first { $0.hasPrefix("hub.challenge=") }?.dropFirst(14) ?? ""
        return ClientResponse(status: 200, body: state.confirms ? Array(challenge.utf8) : Array("no".utf8))
      }
      var body: [UInt8] = []
      if case .bytes(let bytes) = request.body { body = bytes }
      state.deliveries.append(
        Delivery(
          url: request.url, body: body, signature: request.headers["X-Hub-Signature"], link: request.headers["Link"],
          type: request.headers["Content-Type"]))
      var answers = state.answers[request.url] ?? []
      let status = answers.isEmpty ? 200 : answers.removeFirst()
      state.answers[request.url] = answers
      if status == 0 { throw Unreachable() }
      return ClientResponse(status: status)
    }
  }

  struct Unreachable: Error {}
}
