import Cryptography
import HTTP
import JSON
import OpenCRVS
import StageKit

/// What is kept of the questions of an OpenCRVS that waits, and what is said of those that cannot be answered.
extension OpenCRVSMediator {
  /// Where something may still be added, the token stays as long as it counts.
  func isTold(_ awaited: AwaitedAnswer, isWhole: Bool, _ context: StageContext) async throws {
    if isWhole {
      try await change(awaited, context) { $0.ends(as: .told) }
      return
    }
    try await change(awaited, context) { $0.status = .without }
  }

  func seconds(until end: Int64, _ context: StageContext) -> Double {
    Double(max(0, end - context.services.clock.now.milliseconds)) / 1000
  }

  static let over = "its token is over"

  /// Whether its own token is not needed.
  func answersAsClient(_ awaited: AwaitedAnswer) -> Bool {
    policy?.answersAsClient == true && awaited.generation == .actions
  }

  func token(of awaited: AwaitedAnswer, _ context: StageContext) async throws -> String {
    if answersAsClient(awaited) {
      let tokens = auth?.checking(context) ?? context.services.tokens
      return try await tokens.token(client: settings.text("opencrvs-client"), for: .opencrvs)
    }
    guard awaited.until > context.services.clock.now.milliseconds,
      let token = try await awaited.token.opened(context.services.envelopeKeys)
    else { throw try await lost(awaited, Self.over, context) }
    return token
  }

  /// Changes a question that is open still; another process may have answered it meanwhile.
  /// - Parameter more: what is kept in the same commit.
  /// - Returns: how it is now; nil where it is gone.
  @discardableResult
  func change(
    _ awaited: AwaitedAnswer, _ context: StageContext, by body: (inout AwaitedAnswer) -> Void,
    with more: (AwaitedAnswer) async throws -> [StageChange] = { _ in [] }
  ) async throws -> AwaitedAnswer? {
    try await untilCommitted {
      guard var kept = try await context.store.record(AwaitedAnswer.self, awaited.key) else { return nil }
      guard kept.isOpen else { return kept }
      body(&kept)
      try await context.store.commit([kept.writing] + (try await more(kept)))
      kept.wasWritten()
      return kept
    }
  }

  /// Another transaction has our id: the next one, unless another process has taken it already.
  func clashed(_ awaited: AwaitedAnswer, _ context: StageContext) async throws -> AwaitedAnswer {
    try await change(awaited, context) { if $0.clashes == awaited.clashes { $0.clashed() } } ?? awaited
  }

  /// The certificate has the new number, so that later events of the record go under it too; MOSIP's answer to this one comes by the
  /// first.
  func rename(_ awaited: AwaitedAnswer, _ context: StageContext) async throws -> AwaitedAnswer {
    let renamed = try await change(awaited, context) {
      if $0.number == awaited.number { $0.isRenamed() }
    } with: {
      guard let kind = declarationFields.kind(ofType: $0.eventType ?? ""),
        var number = try await context.store.record(NumberRecord.self, NumberRecord.key($0.recordId, kind))
      else { return [] }
      number.isRenamed(to: $0.number)
      return [number.writing]
    }
    context.log.error(
      "OpenCRVS has the registration number at another record: this one is registered under a new one", ["record": awaited.recordId]
    )
    return renamed ?? awaited
  }

  func lost(_ awaited: AwaitedAnswer, _ why: String, _ context: StageContext) async throws -> WorkFailure {
    let failure = undeliverable(why)
    context.log.error(
      "OpenCRVS cannot be answered any more", ["record": awaited.recordId, "action": awaited.actionId ?? "", "error": why])
    try await change(awaited, context) {
      $0.isLost(why)
    } with: {
      [report([ToldError(code: failure.code, message: failure.message)], of: $0)].compactMap { $0 }
    }
    return failure
  }

  func undeliverable(_ why: String) -> WorkFailure {
    MediatorError(.undeliverable, "OpenCRVS cannot be answered: \(why)").workFailure
  }

  // MARK: errors, where the country wants to have them

  /// Of what was answered before MOSIP had, the error is told here alone; what was told by a rejection was told here before.
  func report(_ errors: [ToldError], of asked: [AwaitedAnswer], _ context: StageContext) async throws {
    let reports = asked.filter { $0.status != .told || $0.isAnsweredAtOnce }.compactMap { report(errors, of: $0) }
    if !reports.isEmpty { try await context.store.commit(reports) }
  }

  func report(_ errors: [ToldError], of awaited: AwaitedAnswer) -> StageChange? {
    guard let policy, !policy.errorURL.isEmpty else { return nil }
    let body: JSONValue = [
      "eventId": .string(awaited.recordId), "actionId": JSONValue(awaited.actionId), "trackingId": JSONValue(awaited.trackingId),
      "errors": .array(errors.map(\.document)),
    ]
    let key = Hash.sha256Hex(Array(awaited.key.utf8) + body.encoded())
    return .schedule(WorkItem(kind: Self.report, key: key, payload: body))
  }

  /// `POST <error-url>`.
  func report(_ work: WorkItem, _ policy: ActionPolicy, _ context: StageContext) async throws -> WorkOutcome {
    _ = try await MediatorClient(http: context.services.http).post(
      work.payload.encoded(), to: policy.errorURL, headers: [:], service: "error-url")
    return .done
  }
}
