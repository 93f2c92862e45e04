import TestEvents
import JSON
import Registration
import StageKit
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("The OpenCRVS-side mediator beside programs of other makes", .timeLimit(.minutes(10)))
struct OpenCRVSMediatorNeighbourTests {
  let world: MediatorWorld
  let stage: OpenCRVSMediator
  let context: StageContext

  init() throws {
    world = try MediatorWorld()
    (stage, context) = try world.crvs()
  }

  func post(_ request: Request) async throws -> Response { try await world.call(stage, context, request) }

  @Test
  func `forwards as many births at once as it is told, by default 32`() throws {
    func atOnce(_ given: [String: SettingValue]) throws -> Int? {
      let setting = OpenCRVSMediator.spec.work.first { $0.name == "forward" }?.concurrencySetting
      return try world.crvs(given).0.settings.integer(#require(setting))
    }
    #expect(try atOnce([:]) == 32)
    #expect(try atOnce(["forwarded-at-once": 1]) == 1)
    #expect { try world.crvs(["forwarded-at-once": 0]) } throws: {
      ($0 as? SettingError)?.setting == "forwarded-at-once"
    }
  }

  @Test
  func `answers a delivery that differs in its application ids alone as the first`() async throws {
    for aid in ["45451454520000120220901080000", "45451454520000220220901080001"] {
      #expect(try await post(Births.webhook(Births.usual(aid: aid))).status == 200)
    }
    #expect(world.allWork("forward") == 1)
    let other = try await post(Births.webhook(Births.usual(given: "Beatrice")))
    #expect(other.code == "OPN-CRVS-015")
  }

  @Test
  func `takes bodies of the sizes that are declared for all, and says what is too large in its own shape`() throws {
    let (stage, context) = try world.crvs()
    let (other, its) = try world.mosip()
    var most = ["/webhooks": EventLimits.event, "/birthReceiveNid": EventLimits.result, "/receiveStatus": EventLimits.result]
    for path in ["registration", "update-biographics"] { most["/events/" + path] = EventLimits.event }
    for kind in EventKind.allCases { most["/opencrvs/v1" + kind.path] = EventLimits.sealed }
    for endpoint in stage.endpoints(context) + other.endpoints(its) where endpoint.method == "POST" {
      guard let wanted = most.removeValue(forKey: endpoint.pathPattern) else { continue }
      #expect(endpoint.maxBody == wanted, "\(endpoint.pathPattern)")
      let answer = try #require(endpoint.tooLarge?(), "\(endpoint.pathPattern)")
      #expect(answer.status == 413 && answer.code == "OPN-CRVS-035", "\(endpoint.pathPattern)")
    }
    #expect(most.isEmpty)
  }

  @Test(arguments: [[UInt8]([0xe9]), [0xff], [0xc3]])
  func `says by name that a sender does not send UTF-8, and counts it`(_ letter: [UInt8]) async throws {
    #expect(stage.counts == ["not_utf8": 0] && OpenCRVSMediator.spec.counts.map(\.name) == ["not_utf8"])
    let parts = String(decoding: Births.usual(given: "Am#na").encoded(), as: UTF8.self).split(separator: "#")
    let body = Array(parts[0].utf8) + letter + Array(parts[1].utf8)
    let answer = try await post(Births.webhook(body))
    #expect(answer.status == 400)
    #expect(answer.code == "OPN-CRVS-033")
    #expect(answer.value["errors"]?[0]?["errorMessage"]?.string?.contains("UTF-8") == true)
    #expect(stage.counts == ["not_utf8": 1])
    #expect(world.state.withLock { $0.records.isEmpty && $0.objects.isEmpty })
  }

  @Test
  func `says at most once a minute in its log that senders do not send UTF-8, and how many times it was`() {
    let (foreign, start) = (ForeignText(), ContinuousClock.now)
    #expect(foreign.add(at: start) == 1)
    for second in 1...59 { #expect(foreign.add(at: start + .seconds(second)) == nil) }
    #expect(foreign.add(at: start + .seconds(60)) == 60)
    #expect(foreign.add(at: start + .seconds(61)) == nil)
    #expect(foreign.count == 62)
  }
}
