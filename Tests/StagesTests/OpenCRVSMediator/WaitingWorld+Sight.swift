import JSON
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// What there is to see of a mediator before an OpenCRVS that waits, and what can go wrong around it.
extension WaitingWorld {
  var states: [String?] { awaited.map { $0["status"]?.string } }
  var hasTokens: Bool { awaited.contains { $0["sealedToken"] != nil } }
  /// What came to error-url.
  var reported: [JSONValue] { world.state.withLock { $0.atOpenCRVS } }
  var reportedCodes: [String?] { reported.map { $0["errors"]?[0]?["errorCode"]?.string } }
  var log: String { world.state.withLock { $0.log } }
  var failures: [String] { world.state.withLock { $0.failures.map(\.failure.code) } }
  var number: String { get throws { try #require(awaited.first?["number"]?.string) } }

  /// OpenCRVS' keys are known: they are asked for again only after a pause.
  func knowsKeys() async throws {
    _ = try await stage.tokens().verify(FakeGateway.token(world, ["recordId": "r"]), context)
  }

  /// Triggers an action that is decided later.
  func takes(_ document: JSONValue) async throws {
    let response = try await trigger(document)
    #expect(response.status == 202)
  }

  /// The tokens of all questions are over.
  func tokensEnd() {
    world.state.withLock { state in
      for place in state.records.keys where place.contains("|awaited|") { state.records[place]?.document["until"] = 0 }
    }
  }

  /// A sample with another text in the place of one.
  static func sample(_ name: String, _ text: String, with other: String) throws -> JSONValue {
    try JSONValue.parse(Array(ScenarioSample.read(name).description.replacing(text, with: other).utf8))
  }

  func answers(_ path: String, _ answers: [ClientResponse]) { world.state.withLock { $0.answers[path] = answers } }

  /// Has something happen before the commit that is so many commits away.
  func before(_ commit: Int, _ body: @escaping @Sendable () async throws -> Void) {
    world.state.withLock {
      $0.beforeCommit = (
        "opencrvs-mediator",
        { if commit == 1 { try await body() } else { before(commit - 1, body) } }
      )
    }
  }

  /// The same, while something is done; at the end of it, when it has fewer commits.
  func with(_ body: @escaping @Sendable () async throws -> Void, before commit: Int, _ work: () async throws -> Void) async throws {
    before(commit, body)
    try await work()
    let isLeft = world.state.withLock { state in
      defer { state.beforeCommit = nil }
      return state.beforeCommit != nil
    }
    if isLeft { try await body() }
  }

  /// Everything that the mediator keeps or sends but to the gateway, as text.
  var traces: String {
    world.state.withLock { state in
      let records = state.records.values.map { "\($0.key) \($0.document)" }
      let work = state.work.map { "\($0.item.key) \($0.item.payload)" }
      let others = state.atOpenCRVS.map { "\($0)" } + state.failures.map { $0.failure.message }
      let objects = state.objects.values.map { String(decoding: $0, as: UTF8.self) }
      return (records + work + others + objects + [state.log]).joined(separator: "\n")
    }
  }
}
