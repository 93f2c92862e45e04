import HTTP
import StandIn
import Synchronization

/// OpenCRVS as a pipeline in another process sees it: a stand-in with its doors open, and how the pipeline finds it.
final class OpenCRVSSide: Sendable {
  static let secret = "made-up-sha-secret"
  let standIn = StandInOpenCRVS(secret: OpenCRVSSide.secret)
  let url: String

  init() throws { url = try standIn.start() }

  /// Settings of the mediators' stages.
  var environment: [String: String] {
    [
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRET": Self.secret,
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_OPENCRVS_URL": url + "/mosip-openhim-mediator",
      "REGPROC_STAGE_MOSIP_MEDIATOR_LOCATIONS_URL": url + "/location",
      "REGPROC_STAGE_MOSIP_MEDIATOR_LANG_CODE_MAPPING":
        "eng:eng|english|en,fra:french|fr|fra|fre,ara:ara|arabic|ar,amh:am|amh,ben:bn|ben,khm:km|khm,kan:kn|kan,spa:es|spa",
    ]
  }

  func stop() async { await standIn.stop() }

  /// Made-up births of a run of their own.
  static func births(_ count: Int, run: String) -> [SampleBirths.Birth] {
    var samples = SampleBirths(seed: 7, run: run, year: 2025)
    return samples.make(count)
  }
}

/// Sends births to a mediator that may be gone at any moment, as a sender that never gives up: whatever was not answered 2xx is sent again.
/// How far it may go is told from outside, so that a test can stop a process in the middle of them.
final class BirthSender: Sendable {
  private struct State {
    var limit = 0
    var next = 0
    var accepted = 0
    var repeated = 0
    var refusals: [String] = []
    var isStopped = false
  }
  private let state = Mutex(State())
  private let births: [SampleBirths.Birth]
  private let url: String
  private let client = Client(ClientSettings(connectTimeoutSeconds: 5, timeoutSeconds: 60))
  private let standIn: StandInOpenCRVS

  init(_ births: [SampleBirths.Birth], to url: String, from side: OpenCRVSSide) {
    self.births = births
    self.url = url
    standIn = side.standIn
  }

  /// How many were answered 2xx.
  var accepted: Int { state.withLock { $0.accepted } }
  /// How often one had to be sent again.
  var repeated: Int { state.withLock { $0.repeated } }
  /// What was refused for good: must stay empty.
  var refusals: [String] { state.withLock { $0.refusals } }

  /// Lets births below a number go.
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
      let (index, isOver) = state.withLock { state -> (Int?, Bool) in
        if state.isStopped || state.next >= births.count { return (nil, true) }
        guard state.next < state.limit else { return (nil, false) }
        defer { state.next += 1 }
        return (state.next, false)
      }
      if isOver { return }
      if let index { await deliver(births[index]) } else { try? await Task.sleep(for: .milliseconds(20)) }
    }
  }

  private func deliver(_ birth: SampleBirths.Birth) async {
    while !state.withLock({ $0.isStopped }) {
      do {
        _ = try await Webhook.post(birth.body, to: url, secret: Array(OpenCRVSSide.secret.utf8), client)
        return state.withLock { $0.accepted += 1 }
      } catch let refusal as WebhookRefused where refusal.status < 500 {
        return state.withLock { $0.refusals.append("\(birth.registrationNumber): \(refusal)") }
      } catch {
        state.withLock { $0.repeated += 1 }
        try? await Task.sleep(for: .milliseconds(200))
      }
    }
  }
}
