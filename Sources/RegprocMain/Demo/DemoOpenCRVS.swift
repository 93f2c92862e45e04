import StandIn

/// The OpenCRVS that a demo sends from.
protocol DemoOpenCRVS: Sendable {
  /// Sends an event, or does what it comes of.
  /// - Returns: the error codes of the answer; none when it was taken.
  func send(_ event: DemoEvent, to url: String) async throws -> [String]
  /// What OpenCRVS has been told of an event so far.
  func answer(to event: DemoEvent) -> DemoAnswer
}

/// What OpenCRVS has been told of an event.
struct DemoAnswer: Sendable {
  /// The number by which OpenCRVS knows the record.
  var number: String?
  var rid: String?
  var token: String?
  /// The code of an error.
  var error: String?
  /// Whether there is still something to tell it.
  var isAwaited = false
  /// Whether it was told that the action is not to be done.
  var isRefused = false
  /// When it was told how a birth ended.
  var endedAt: ContinuousClock.Instant?
}

/// It sends webhooks, and is told of births alone whatever became of them.
extension StandInOpenCRVS: DemoOpenCRVS {
  func send(_ event: DemoEvent, to url: String) async throws -> [String] { try await send(event.body, to: url) }

  func answer(to event: DemoEvent) -> DemoAnswer {
    guard let number = event.registrationNumber else { return DemoAnswer() }
    let known = returned(number)
    return DemoAnswer(
      number: number, rid: known.rids.first, token: known.token,
      error: known.error?.split(separator: ":").first.map(String.init),
      isAwaited: event.kind == .birth && !known.hasEnded, endedAt: known.endedAt)
  }
}
