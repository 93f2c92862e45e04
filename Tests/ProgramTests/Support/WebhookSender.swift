import HTTP
import StandIn
import Synchronization

/// Sends webhooks to a mediator that may be gone at any moment, as a sender that never gives up: whatever was not answered 2xx is sent again.
/// What stands in one line goes in its order, lines go beside each other. How far it may go is told from outside, so that a test can stop a
/// process in the middle of them.
final class WebhookSender: Sendable {
  struct Delivery: Sendable {
    var name: String
    var body: [UInt8]
    /// Whether it may be sent yet.
    var isDue: @Sendable () -> Bool = { true }
  }

  private struct State {
    var limit = 0
    var begun = 0
    var next = 0
    var accepted = 0
    var repeated = 0
    var refusals: [String] = []
    var isStopped = false
  }
  private let state = Mutex(State())
  private let lines: [[Delivery]]
  private let url: String
  private let client = Client(ClientSettings(connectTimeoutSeconds: 5, timeoutSeconds: 60))

  init(_ lines: [[Delivery]], to url: String) {
    self.lines = lines
    self.url = url
  }

  /// Births, none of which waits for another.
  convenience init(_ births: [SampleBirths.Birth], to url: String) {
    self.init(births.map { [Delivery(name: $0.registrationNumber, body: $0.body)] }, to: url)
  }

  /// How many were answered 2xx.
  var accepted: Int { state.withLock { $0.accepted } }
  /// How often one had to be sent again.
  var repeated: Int { state.withLock { $0.repeated } }
  /// What was refused for good: must stay empty.
  var refusals: [String] { state.withLock { $0.refusals } }
  /// How many there are.
  var count: Int { lines.reduce(0) { $0 + $1.count } }

  /// Lets so many go in all.
  func allow(_ limit: Int) { state.withLock { $0.limit = max($0.limit, limit) } }

  /// Sends until all are taken; ends early when `stop` is called.
  func run(lanes: Int = 4) async {
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<lanes { group.addTask { await self.lane() } }
    }
    client.close()
  }

  func stop() { state.withLock { $0.isStopped = true } }

  private func lane() async {
    while true {
      let line = state.withLock { state -> Int? in
        guard !state.isStopped, state.next < lines.count else { return nil }
        defer { state.next += 1 }
        return state.next
      }
      guard let line else { return }
      for delivery in lines[line] { await deliver(delivery) }
    }
  }

  private func deliver(_ delivery: Delivery) async {
    while !state.withLock({ $0.isStopped }), !Task.isCancelled {
      let mayGo =
        delivery.isDue()
        && state.withLock { state in
          guard state.begun < state.limit else { return false }
          state.begun += 1
          return true
        }
      if mayGo { break }
      try? await Task.sleep(for: .milliseconds(20))
    }
    while !state.withLock({ $0.isStopped }), !Task.isCancelled {
      do {
        _ = try await Webhook.post(delivery.body, to: url, secret: Array(OpenCRVSSide.secret.utf8), client)
        return state.withLock { $0.accepted += 1 }
      } catch let refusal as WebhookError where refusal.status < 500 {
        return state.withLock { $0.refusals.append("\(delivery.name): \(refusal)") }
      } catch {
        state.withLock { $0.repeated += 1 }
        try? await Task.sleep(for: .milliseconds(200))
      }
    }
  }
}
