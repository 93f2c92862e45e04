import JSON
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// One way through the mediator, from OpenCRVS' question to the answer.
struct WaitingCourse: Sendable, CustomTestStringConvertible {
  var name: String
  var settings: [String: SettingValue] = [:]
  var ask: @Sendable (WaitingWorld) async throws -> Int
  /// What the MOSIP side says in the end: its path and message, given the key of the event.
  var result: @Sendable (_ key: String, _ number: String) -> (String, JSONValue)
  /// The call that answers OpenCRVS; nil where it asks nothing.
  var told: String?

  var testDescription: String { name }

  static func status(_ kind: EventKind, _ more: JSONObject) -> @Sendable (String, String) -> (String, JSONValue) {
    { key, _ in
      var body: JSONObject = [
        "type": .string(kind.rawValue), "status": "success", "txnId": .string(key), "aid": .string(Births.rid(1)),
      ]
      for member in more { body[member.key] = member.value }
      return ("/receiveStatus", .object(body))
    }
  }

  static func trigger(_ sample: String) -> @Sendable (WaitingWorld) async throws -> Int {
    { try await $0.trigger(ScenarioSample.read(sample)).status }
  }

  static func register(_ sample: String, _ id: String) -> @Sendable (WaitingWorld) async throws -> Int {
    { try await $0.register(ScenarioSample.read(sample), id).status }
  }

  static let birth = "c0ffee00-0000-4000-8000-0000000000b1"
  static let death = "c0ffee00-0000-4000-8000-0000000000d1"

  static let all = [
    WaitingCourse(
      name: "G2 birth", ask: register("g2-event-registration-birth", birth),
      result: { ("/birthReceiveNid", ["uinToken": "t-36", "opencrvsBRN": .string($1), "aid": .string(Births.rid(1))]) },
      told: "confirmRegistration"),
    WaitingCourse(
      name: "G2 death", ask: register("g2-event-registration-death", death),
      result: status(.death, ["uinToken": "t-36", "what": "deactivated"]), told: "confirmRegistration"),
    WaitingCourse(
      name: "G2 notice",
      ask: {
        try await $0.notice(ScenarioSample.read("g2-notice-approve-correction-birth"), birth, "BIRTH", "approve-correction").status
      }, result: status(.birthCorrection, ["what": "corrected"])),
    WaitingCourse(
      name: "G3 death at once", ask: trigger("g3-death-register"),
      result: status(.death, ["uinToken": "t-36", "what": "deactivated"]), told: "register.accept"),
    WaitingCourse(
      name: "G3 correction that waits", settings: ["correction-waits-for-mosip": true],
      ask: trigger("g3-birth-approve-correction"), result: status(.birthCorrection, ["what": "corrected"]),
      told: "correction.approve.accept"),
    WaitingCourse(
      name: "custom action", settings: ["reversal-waits-for-mosip": true], ask: trigger("g3-2x-death-revoke"),
      result: status(.deathReversal, ["what": "activated"]), told: "custom.accept"),
  ]
}

@Suite("The OpenCRVS-side mediator, killed while OpenCRVS waits", .timeLimit(.minutes(10)))
struct WaitingKillsTests {
  @Test(arguments: WaitingCourse.all)
  func `answers each question once, whichever step was its last`(_ course: WaitingCourse) async throws {
    let steps = try await Self.go(course, crash: nil)
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] { _ = try await Self.go(course, crash: (step, moment)) }
    }
  }

  /// - Returns: how many steps it took.
  static func go(_ course: WaitingCourse, crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> Int {
    let world = try WaitingWorld(course.settings)
    try await world.knowsKeys()
    world.world.state.withLock { ($0.crash, $0.steps) = (crash, 0) }
    let comment: Comment = "\(course.name), \(String(describing: crash))"
    var isAsked = false
    for _ in 0..<3 where !isAsked { isAsked = try await course.ask(world) < 300 }
    for _ in 0..<3 { try await world.run(after: 100) }
    let key = try #require(world.world.forwarded.first?.id, comment)
    let (path, message) = course.result(key, world.awaited.first?["number"]?.string ?? "")
    var isTaken = false
    for _ in 0..<3 where !isTaken {
      isTaken = try await world.world.call(world.stage, world.context, world.world.back(path, message)).status == 200
    }
    for _ in 0..<3 { try await world.run(after: 100) }
    let told = world.told.filter { $0.name != "upsertRegistrationIdentifier" }
    #expect(Set(told.map(\.name)) == Set([course.told].compactMap { $0 }), comment)
    #expect(Set(told.map { $0.body["transactionId"]?.string ?? "" }).count == (course.told == nil ? 0 : 1), comment)
    #expect(world.names.filter { $0 == "confirmRegistration" }.count <= 1, comment)
    #expect(world.states == (course.told == nil ? [] : ["Told"]) && !world.hasTokens, comment)
    #expect(Set(world.world.forwarded.map(\.id)).count == 1, comment)
    #expect(world.failures == [], comment)
    return world.world.state.withLock { $0.steps }
  }

  @Test
  func `lists and reports that a token is over, whichever step was its last`() async throws {
    let steps = try await goOver(crash: nil)
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] { _ = try await goOver(crash: (step, moment)) }
    }
  }

  private func goOver(crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> Int {
    let world = try WaitingWorld()
    #expect(try await world.trigger(ScenarioSample.read("g3-2x-birth-register")).status == 202)
    try await world.run()
    let number = try world.number
    let message: JSONValue = ["uinToken": "t-36", "opencrvsBRN": .string(number), "aid": .string(Births.rid(1))]
    #expect(try await world.world.call(world.stage, world.context, world.world.back("/birthReceiveNid", message)).status == 200)
    world.tokensEnd()
    world.world.state.withLock { ($0.crash, $0.steps) = (crash, 0) }
    for _ in 0..<3 { try await world.run() }
    let comment: Comment = "\(String(describing: crash))"
    #expect(world.states == ["Undeliverable"] && !world.hasTokens && world.names == [], comment)
    #expect(world.world.state.withLock { $0.work.filter { $0.item.kind == "tell" && $0.state == 2 }.count } == 1, comment)
    #expect(Set(world.reportedCodes) == ["OPN-CRVS-036"], comment)
    return world.world.state.withLock { $0.steps }
  }
}
