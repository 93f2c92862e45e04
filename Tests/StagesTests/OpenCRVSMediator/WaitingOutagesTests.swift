import JSON
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("The OpenCRVS-side mediator, where something is away or too late while OpenCRVS waits", .timeLimit(.minutes(5)))
struct WaitingOutagesTests {
  static let week = 7 * 86_400.0 + 100

  func sample(_ name: String) throws -> JSONValue { try ScenarioSample.read(name) }

  /// A birth that MOSIP has.
  func asked(_ settings: [String: SettingValue] = [:]) async throws -> WaitingWorld {
    let world = try WaitingWorld(settings)
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    try await world.run()
    return world
  }

  // MARK: OpenCRVS

  @Test(arguments: ["register.accept", "/graphql"])
  func `waits while OpenCRVS is away, and answers when it is back`(_ path: String) async throws {
    let world = try WaitingWorld()
    let isOld = path == "/graphql"
    if isOld {
      #expect(try await world.register(try sample("g2-event-registration-birth"), WaitingCourse.birth).status == 202)
    } else {
      #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    }
    world.answers(path, Array(repeating: ClientResponse(status: 503), count: 1000))
    try await world.run()
    try await world.token(world.number, "t-36")
    for _ in 0..<5 { try await world.run(after: 86_400 - 3600) }
    #expect(world.states == ["Waiting"] && world.hasTokens && world.names == [] && world.failures == [])
    #expect(world.world.openWork("tell") > 0)
    world.answers(path, [])
    for _ in 0..<3 { try await world.run() }
    #expect(world.names.last == (isOld ? "confirmRegistration" : "register.accept"))
    #expect(world.states == ["Told"] && !world.hasTokens && world.world.openWork("tell") == 0)
  }

  @Test
  func `waits while the fields of OpenCRVS' forms cannot be read, and sends none that it does not know`() async throws {
    let world = try await asked()
    world.answers("/events/config", Array(repeating: ClientResponse(status: 503), count: 4))
    try await world.token(world.number, "t-36")
    #expect(world.names == [] && world.states == ["Waiting"])
    try await world.run()
    #expect(world.told.map { $0.body["declaration"] } == [["child.nid": "t-36"]])
  }

  @Test
  func `closes the connection to who cannot be verified, and says neither yes nor no`() async throws {
    let world = try WaitingWorld()
    world.answers("/.well-known", [ClientResponse(status: 503)])
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == MediatorWorld.hungUp)
    #expect(try await world.register(try sample("g2-event-registration-birth"), WaitingCourse.birth).status == MediatorWorld.hungUp)
    #expect(world.world.state.withLock { $0.records.isEmpty })
    let started = try world.process()
    #expect(try await started.trigger(try sample("g3-2x-birth-register")).status == 202)
    // What was known stays known.
    world.answers("/.well-known", Array(repeating: ClientResponse(status: 503), count: 9))
    #expect(try await started.register(try sample("g2-event-registration-birth"), WaitingCourse.birth).status == 202)
  }

  // MARK: the database

  @Test
  func `keeps registration, notice and actions in the spool while the database is away, and answers them once it is back`()
    async throws
  {
    let world = try WaitingWorld()
    try await world.knowsKeys()
    world.world.spool.state.withLock { $0.hasRoom = true }
    world.world.state.withLock { $0.isAway = true }
    let old = try WaitingWorld.sample("g2-event-registration-birth", "BTEST01", with: "BTEST09")
    #expect(try await world.register(old, WaitingCourse.birth).status == 202)
    let notice = try sample("g2-notice-make-correction-death")
    #expect(try await world.notice(notice, WaitingCourse.death, "DEATH", "make-correction").status == 200)
    #expect(try await world.trigger(try sample("g3-2x-birth-register")).status == 202)
    // What else would be answered at once has to wait as well: its number is not kept.
    let death = try WaitingWorld.sample("g3-death-register", "a0000000-", with: "a1000000-")
    #expect(try await world.trigger(death).status == 202)
    world.world.state.withLock { $0.isAway = false }
    let all = world.world.spool.state.withLock { $0.waiting }
    #expect(all.count == 4)
    for _ in 0..<2 {
      // Killed before they were removed, they are taken again.
      world.world.spool.state.withLock { $0.waiting = all }
      try await world.world.takeSpooled(world.stage, world.context)
    }
    try await world.run(after: 100)
    #expect(world.world.forwardedOnce.count == 4 && world.world.forwarded.count == 4)
    #expect(world.world.spool.state.withLock { $0.setAside } == [])
    // The death that was to be accepted at once was, by its token; the births wait for theirs.
    #expect(world.names.filter { $0 != "upsertRegistrationIdentifier" } == ["register.accept"])
    for number in Set(world.awaited.compactMap { $0["number"]?.string }) { try await world.token(number, "t-\(number)") }
    let names = world.names.filter { $0 != "upsertRegistrationIdentifier" }
    #expect(names.sorted() == ["confirmRegistration", "register.accept", "register.accept"])
    #expect(world.states == ["Told", "Told", "Told"] && !world.hasTokens)
  }

  // MARK: too late

  @Test
  func `tells by error-url what comes after the end of the token, and deletes the token`() async throws {
    let world = try await asked()
    world.tokensEnd()
    try await world.result("birth", "error", "e0000000-0000-4000-8000-0000000000b1", WaitingWorld.error)
    #expect(world.states == ["Undeliverable"] && !world.hasTokens && world.names == [])
    #expect(world.failures == ["OPN-CRVS-036"] && Set(world.reportedCodes) == ["PACKET_FAILED", "OPN-CRVS-036"])
    // And a success after it is kept, and listed as what cannot be told.
    try await world.token(world.number, "t-36")
    #expect(world.world.count("opencrvs-mediator", "tokens") == 1 && world.names == [])
    #expect(world.failures == ["OPN-CRVS-036", "OPN-CRVS-036"] && world.reportedCodes.count == 2)
  }

  @Test
  func `says so when the token ends before there is anything to tell`() async throws {
    let world = try await asked(["on-error": "wait"])
    try await world.run(after: 25 * 3600)
    #expect(world.reportedCodes == ["OPN-CRVS-019"] && world.states == ["Waiting"])
    try await world.run(after: Self.week)
    #expect(world.states == ["Waiting"], "it is not over yet")
    world.tokensEnd()
    try await world.run(after: Self.week)
    #expect(world.states == ["Undeliverable"] && !world.hasTokens)
    #expect(world.failures == ["OPN-CRVS-036"] && world.reportedCodes == ["OPN-CRVS-019", "OPN-CRVS-036"])
  }

  @Test
  func `answers before the token ends: answer-within is told once, and a success after it is kept and not told`() async throws {
    let world = try await asked()
    try await world.run(after: 25 * 3600)
    try await world.run(after: Self.week)
    #expect(world.names == ["register.reject"] && world.reportedCodes == ["OPN-CRVS-019"])
    #expect(world.states == ["Told"] && !world.hasTokens)
    try await world.token(world.number, "t-36")
    #expect(world.names == ["register.reject"] && world.world.count("opencrvs-mediator", "tokens") == 1)
    #expect(world.failures == [])
  }

  @Test
  func `adds the token of a birth of 1.8 after its error while its record's token lasts, and nothing later`() async throws {
    for isLate in [false, true] {
      let world = try WaitingWorld()
      #expect(try await world.register(try sample("g2-event-registration-birth"), WaitingCourse.birth).status == 202)
      try await world.run()
      try await world.result("birth", "error", WaitingCourse.birth, WaitingWorld.error)
      #expect(world.states == ["Without"] && world.hasTokens)
      if isLate {
        world.tokensEnd()
        try await world.run(after: Self.week)
        #expect(world.states == ["Told"] && !world.hasTokens)
      }
      try await world.token(world.number, "t-36")
      #expect(world.told.last?.name == (isLate ? "confirmRegistration" : "upsertRegistrationIdentifier"))
      #expect(world.states == ["Told"] && !world.hasTokens && world.failures == [])
    }
  }

  @Test
  func `tells by error-url what became of a death that was registered at once`() async throws {
    let world = try WaitingWorld()
    #expect(try await world.trigger(try sample("g3-death-register")).status == 200)
    try await world.run(after: 100)
    #expect(world.states == ["Told"])
    for _ in 0..<2 {
      try await world.result("death", "error", "e0000000-0000-4000-8000-0000000000d1:death", WaitingWorld.error)
    }
    #expect(world.reportedCodes == ["PACKET_FAILED"] && world.names == ["register.accept"])
    #expect(world.reported.first?["actionId"]?.string == "a0000000-0000-4000-8000-000000000005")
  }

  // MARK: numbers

  @Test
  func `keeps a new number, raises an alarm, and finds the birth by the first one, which MOSIP knows`() async throws {
    let world = try await asked()
    let number = try world.number
    world.answers("register.accept", [try FakeGateway.answer("g3-answer-accept-number-used", status: 500)])
    try await world.token(number, "t-36")
    #expect(world.told.map { $0.body["registrationNumber"]?.string } == [number + "-2"])
    #expect(world.log.contains("OpenCRVS has the registration number at another record"))
    // The certificate has the new one, and so have later events of the record.
    let kept = world.world.state.withLock { $0.records.first { $0.key.contains("|numbers|") }?.value.document["number"]?.string }
    #expect(kept == number + "-2")
    #expect(world.states == ["Told"] && !world.hasTokens)
  }

  // MARK: whose token

  @Test
  func `answers as a client where OpenCRVS wants that, also when the registrar's token is over`() async throws {
    let world = try await asked(["answer-as": "client", "answer-within": 0])
    world.tokensEnd()
    try await world.run(after: Self.week)
    #expect(world.states == ["Waiting"])
    try await world.token(world.number, "t-36")
    #expect(world.told.map(\.token) == ["good"] && world.states == ["Told"] && !world.hasTokens)
  }

  @Test
  func `leaves nothing of a token in what it keeps, logs, says or sends elsewhere`() async throws {
    for isFine in [true, false] {
      let world = try WaitingWorld()
      let (event, action) = ("e0000000-0000-4000-8000-0000000000b1", "a0000000-0000-4000-8000-000000000005")
      let action0 = try FakeGateway.token(world.world, ["eventId": .string(event), "actionId": .string(action)])
      let record = try FakeGateway.token(world.world, ["recordId": .string(WaitingCourse.birth)])
      let foreign = try FakeGateway.token(world.world, ["recordId": "another"])
      #expect(try await world.trigger(try sample("g3-2x-birth-register"), token: action0).status == 202)
      let bundle = try sample("g2-event-registration-birth")
      #expect(try await world.register(bundle, WaitingCourse.birth, token: record).status == 202)
      #expect(try await world.register(bundle, WaitingCourse.birth, token: foreign).status == 401)
      if !isFine {
        world.answers("register.accept", [try FakeGateway.answer("g3-answer-accept-forbidden", status: 403)])
        world.answers("/graphql", [ClientResponse(status: 401, body: Array("{}".utf8)), ClientResponse(status: 503)])
      }
      try await world.run()
      for number in Set(world.awaited.compactMap { $0["number"]?.string }) { try await world.token(number, "t-36") }
      try await world.run(after: Self.week)
      #expect(world.log.contains("an event is taken"))
      for token in [action0, record, foreign] {
        for part in token.split(separator: ".") { #expect(!world.traces.contains(part), "\(isFine)") }
      }
    }
  }
}
