import HTTP
import StandIn

/// Everything of OpenCRVS that a demo plays beside its pipeline.
struct PlayedOpenCRVS: Sendable {
  /// It sends webhooks, names places, and takes what comes back of webhooks.
  let webhooks: StandInOpenCRVS
  private let asking: AskingOpenCRVS?

  /// - Parameter release: nil for webhooks of all kinds.
  init(_ release: DemoRelease?, sending events: [DemoEvent], secret: String, calling: ClientSettings) throws {
    webhooks = StandInOpenCRVS(secret: secret, calling: calling)
    asking = try release.flatMap { try $0.asks ? AskingOpenCRVS($0, sending: events, calling: calling) : nil }
  }

  /// Whether it asks before it registers.
  var isAsking: Bool { asking != nil }

  /// The part that sends the events.
  var sender: any DemoOpenCRVS { asking ?? webhooks }

  /// Opens its endpoints, and tells the mediators where they are.
  func start(_ plan: inout PipelinePlan) throws {
    let url = try webhooks.start()
    plan.give("opencrvs-mediator", "opencrvs-url", url + "/mosip-openhim-mediator")
    plan.give("mosip-mediator", "locations-url", url + "/location")
    guard let asking else {
      plan.give("opencrvs-mediator", "webhooks-url", url)
      plan.give("opencrvs-mediator", "subscribe-at-start", "true")
      return
    }
    let gateway = try asking.start()
    plan.give("opencrvs-mediator", "gateway-url", gateway)
    plan.give("opencrvs-mediator", "record-token-keys-url", gateway + "/.well-known")
    // So that OpenCRVS sees what MOSIP answers, whatever it is about.
    for setting in ["death-waits-for-mosip", "correction-waits-for-mosip", "reversal-waits-for-mosip"] {
      plan.give("opencrvs-mediator", setting, "true")
    }
  }

  func stop() async {
    await asking?.stop()
    await webhooks.stop()
  }
}
