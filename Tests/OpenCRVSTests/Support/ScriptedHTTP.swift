import Foundation
import HTTP
import JSON
import OpenCRVS
import StageKit
import StageTesting
import Synchronization

/// Answers requests one after the other, as a test says, and keeps them.
final class ScriptedHTTP: HTTPExchange {
  enum Step: Sendable {
    case answer(Int, [UInt8])
    case fails(any Error)
  }

  private let state: Mutex<(steps: [Step], requests: [ClientRequest])>

  init(_ steps: Step...) { state = Mutex((steps, [])) }

  func send(_ request: ClientRequest) async throws -> ClientResponse {
    let step = state.withLock { state in
      state.requests.append(request)
      return state.steps.isEmpty ? .fails(NotInThisTest("one more answer")) : state.steps.removeFirst()
    }
    switch step {
    case .answer(let status, let body): return ClientResponse(status: status, body: body)
    case .fails(let error): throw error
    }
  }

  /// What is answered from now on.
  func then(_ steps: Step...) { state.withLock { $0.steps = steps } }

  var requests: [ClientRequest] { state.withLock { $0.requests } }

  /// The body of the only request, or of the last.
  var sent: [UInt8] {
    guard case .bytes(let bytes)? = requests.last?.body else { return [] }
    return bytes
  }
}

extension ScriptedHTTP.Step {
  static func json(_ value: JSONValue, status: Int = 200) -> Self { .answer(status, value.encoded()) }
  static func page(_ status: Int) -> Self { .answer(status, Array("<html><body>Welcome</body></html>".utf8)) }
}

extension TellingOutcome {
  /// The case and, where it has one, its text.
  var told: String {
    switch self {
    case .done: "done"
    case .numberUsed: "number used"
    case .clash: "clash"
    case .alreadyRejected: "already rejected"
    case .alreadyAccepted: "already accepted"
    case .unknownField(let field): "unknown field \(field)"
    case .undeliverable(let why): "undeliverable: \(why)"
    case .again(let error): "again: \(error)"
    }
  }
}

/// The made-up bodies of the scenarios.
enum ScenarioSample {
  static func bytes(_ name: String) throws -> [UInt8] {
    let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return Array(try Data(contentsOf: tests.appending(path: "Samples/scenarios/\(name).json")))
  }

  static func json(_ name: String) throws -> JSONValue { try JSONValue.parse(bytes(name)) }
}
