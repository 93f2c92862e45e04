import TestEvents
import JSON
import Registration
import StageKit
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("Events of one record", .timeLimit(.minutes(10)))
struct RecordOrderTests {
  static let moments = (1...3).map { "2026-03-0\($0)T10:00:00.000Z" }
  static var corrections: [JSONValue] {
    zip(moments, ["Anna", "Berta", "Clara"]).map { Events.of(.birthCorrection, at: $0, given: $1) }
  }
  static func keys(_ events: [JSONValue]) throws -> [String] {
    try events.map { OpenCRVSRecordKey.of(try OpenCRVSEvent($0.encoded())) }
  }

  func take(_ world: MediatorWorld, _ events: [JSONValue]) async throws {
    for event in events {
      let (stage, context) = try world.crvs()
      var taken = false
      for _ in 0..<4 where !taken { taken = try await world.call(stage, context, Births.webhook(event)).status == 200 }
      #expect(taken)
    }
  }

  /// `start` and work until nothing is left, by processes that a crash may end.
  func run(_ world: MediatorWorld, starting: Int = 0) async throws {
    for _ in 0..<4 {
      do {
        for _ in 0..<starting {
          let (stage, context) = try world.crvs()
          try await stage.start(context)
        }
        let (stage, context) = try world.crvs()
        return try await world.run([(stage, context)])
      } catch is MediatorWorld.Crash {}
    }
    Issue.record("the work does not end")
  }

  func expectDone(_ world: MediatorWorld, _ keys: [String], _ record: String, _ name: String = "") {
    #expect(world.forwardedOnce == keys, "\(name)")
    for key in keys { #expect(world.event(key)?["status"] == "Forwarded", "\(name)") }
    #expect(world.queue(record) == [], "\(name)")
    let open = world.state.withLock { $0.work.filter { $0.state == 0 && $0.item.kind != "answer" }.count }
    #expect(open == 0, "\(name)")
    #expect(world.count("opencrvs-mediator", "events") == keys.count, "\(name)")
    #expect(world.allWork("answer") == keys.count, "\(name)")
  }

  @Test
  func `go one after another, in the order taken, whatever dies at whatever step`() async throws {
    let events = [Events.of(.birth)] + Self.corrections
    let keys = try Self.keys(events)
    func whole(_ crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> MediatorWorld {
      let world = try MediatorWorld()
      world.takeAllAtMosip()
      world.state.withLock { $0.crash = crash }
      try await take(world, events)
      #expect(world.allWork("forward") == 1)
      try await run(world)
      return world
    }
    let undisturbed = try await whole(nil)
    expectDone(undisturbed, keys, Births.record)
    let steps = undisturbed.state.withLock { $0.steps }
    #expect(steps > 40)
    for step in 1...steps {
      for moment in [MediatorWorld.Moment.before, .after] {
        let world = try await whole((step, moment))
        #expect(world.state.withLock { $0.crashed } == 1)
        expectDone(world, keys, Births.record, "step \(step) \(moment)")
      }
    }
  }

  @Test
  func `wait for one that MOSIP does not take yet, while those of other records go`() async throws {
    let world = try MediatorWorld()
    world.takeAllAtMosip()
    world.state.withLock { $0.answers["/opencrvs/v1/birth"] = Array(repeating: ClientResponse(status: 503), count: 4) }
    try await take(world, [Events.of(.birth), Self.corrections[0], Events.of(.death)])
    try await run(world)
    #expect(try world.forwardedOnce == [Births.record] + Self.keys([Events.of(.death)]))
    #expect(try world.queue(Births.record) == [Births.record] + Self.keys([Self.corrections[0]]))
    world.takeAllAtMosip()
    try await run(world)
    #expect(world.forwardedOnce.count == 3)
    #expect(world.queue(Births.record) == [])
  }

  @Test
  func `go on when one before them is refused for good`() async throws {
    let world = try MediatorWorld()
    world.takeAllAtMosip()
    let body = Array(#"{"errors":[{"errorCode":"OPN-CRVS-006","errorMessage":"x"}]}"#.utf8)
    world.state.withLock { $0.answers["/opencrvs/v1/birth"] = [ClientResponse(status: 400, body: body)] }
    let events = [Events.of(.birth), Self.corrections[0]]
    let keys = try Self.keys(events)
    try await take(world, events)
    try await run(world)
    #expect(world.event(keys[0])?["status"] == "Failed")
    #expect(world.event(keys[1])?["status"] == "Forwarded")
  }

  @Test
  func `that come at once are all kept, one behind another`() async throws {
    for _ in 0..<20 {
      let world = try MediatorWorld()
      world.takeAllAtMosip()
      let events = (0..<12).map { Events.of(.birthCorrection, at: "2026-03-01T10:00:0\($0 % 6).000Z") }
      try await withThrowingTaskGroup(of: Int.self) { group in
        for event in events {
          group.addTask {
            let (stage, context) = try world.crvs(["webhook-patience": 60])
            return try await world.call(stage, context, Births.webhook(event)).status
          }
        }
        for try await status in group { #expect(status == 200) }
      }
      let queue = try #require(world.queue(Births.record))
      #expect(queue.count == 6)
      #expect(world.allWork("forward") == 1)
      try await run(world)
      #expect(world.forwardedOnce == queue)
      #expect(world.queue(Births.record) == [])
    }
  }

  @Test(arguments: [true, false])
  func `wait behind a birth that an earlier version took and did not forward yet`(_ isOpen: Bool) async throws {
    let world = try MediatorWorld()
    world.takeAllAtMosip()
    try await take(world, [Events.of(.birth)])
    if !isOpen { try await run(world) }
    world.state.withLock { $0.records["opencrvs-mediator|records|\(Births.record)"] = nil }
    try await take(world, [Self.corrections[0]])
    #expect(world.openWork("forward") == 1)
    try await run(world)
    expectDone(world, try Self.keys([Events.of(.birth), Self.corrections[0]]), Births.record)
  }

  @Test
  func `do not wait for one that a process of an earlier version ended, which knows no order`() async throws {
    let world = try MediatorWorld()
    world.takeAllAtMosip()
    try await take(world, [Events.of(.birth), Self.corrections[0]])
    world.state.withLock { state in
      state.records["opencrvs-mediator|events|\(Births.record)"]?.document["status"] = "Forwarded"
    }
    try await run(world)
    try await take(world, [Self.corrections[1]])
    try await run(world)
    #expect(try world.forwardedOnce == Self.keys(Array(Self.corrections.prefix(2))))
    #expect(world.queue(Births.record) == [])
  }

  // MARK: parked by an earlier version

  static var parked: [JSONValue] {
    [
      Events.of(.deathCorrection, at: moments[2]), Events.of(.deathCorrection, at: moments[1]),
      // Registered, and registered again after a mere touch.
      Events.of(.death, at: moments[2]), Events.of(.death, at: moments[0]),
    ]
  }
  static let order = [
    "\(Events.death):death", "\(Events.death):death-correction:\(moments[1])", "\(Events.death):death-correction:\(moments[2])",
  ].map { OpenCRVSRecordKey.of($0) }

  /// As an earlier version left them.
  func park(_ world: MediatorWorld, _ events: [JSONValue]) throws {
    for value in events {
      let event = try OpenCRVSEvent(value.encoded())
      let key = OpenCRVSRecordKey.of("\(event.bundle.compositionId):\(event.topic):\(event.bundle.task.lastModified ?? "")")
      let document: JSONValue = [
        "topic": .string(event.topic), "recordId": .string(event.bundle.compositionId), "numberKind": "DRN",
        "registrationNumber": "2026DTEST01", "digest": "old", "object": "old.json", "status": "Parked",
      ]
      world.state.withLock { state in
        state.records["opencrvs-mediator|events|\(key)"] = StageRecord(
          collection: "events", key: key, version: 1, document: document)
        state.objects["opencrvs-events|\(OpenCRVSRecordKey.container(key))|old.json"] = value.encoded()
      }
    }
  }

  @Test
  func `that an earlier version parked are taken up in their order, by processes that start at once and die at any step`()
    async throws
  {
    func whole(_ crash: (step: Int, moment: MediatorWorld.Moment)?) async throws -> MediatorWorld {
      let world = try MediatorWorld()
      world.takeAllAtMosip()
      try park(world, Self.parked)
      world.state.withLock { $0.crash = crash }
      try await run(world, starting: 2)
      return world
    }
    let undisturbed = try await whole(nil)
    expectDone(undisturbed, Self.order, Events.death)
    for step in 1...undisturbed.state.withLock({ $0.steps }) {
      for moment in [MediatorWorld.Moment.before, .after] {
        expectDone(try await whole((step, moment)), Self.order, Events.death, "step \(step) \(moment)")
      }
    }
  }

  @Test
  func `that are parked are taken up by two processes at the same time, once`() async throws {
    for _ in 0..<20 {
      let world = try MediatorWorld()
      world.takeAllAtMosip()
      try park(world, Self.parked)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<4 {
          group.addTask {
            let (stage, context) = try world.crvs()
            try await stage.takeUpParked(context)
          }
        }
        try await group.waitForAll()
      }
      try await run(world)
      expectDone(world, Self.order, Events.death)
    }
  }

  @Test
  func `that are parked go before one that comes before they are taken up, and are the same when sent again`() async throws {
    let world = try MediatorWorld()
    world.takeAllAtMosip()
    try park(world, [Self.parked[3]])
    try await take(world, [Self.parked[1], Self.parked[2]])
    try await run(world, starting: 1)
    expectDone(world, Array(Self.order.prefix(2)), Events.death)
  }

  @Test
  func `whose topic still has no way stay parked, and so does what cannot be read`() async throws {
    let world = try MediatorWorld()
    let certified = try JSONValue.parse(
      Array(
        String(decoding: Events.of(.death).encoded(), as: UTF8.self).replacing("DEATH_REGISTERED", with: "DEATH_CERTIFIED").utf8))
    try park(world, [certified, Self.parked[3]])
    world.state.withLock { state in
      for place in state.objects.keys where state.objects[place] == Self.parked[3].encoded() { state.objects[place] = nil }
    }
    try await run(world, starting: 2)
    #expect(world.count("opencrvs-mediator", "events") == 2)
    #expect(world.allWork("forward") == 0)
    #expect(world.openWork("take-up") == 0)
  }

  @Test
  func `that were parked in great number are taken up page by page`() async throws {
    let world = try MediatorWorld()
    try park(world, (0..<250).map { Events.of(.deathCorrection, at: Self.moments[$0 % 3], record: "r\($0 / 3)") })
    let (stage, context) = try world.crvs()
    try await stage.takeUpParked(context)
    #expect(world.state.withLock { $0.records.values.filter { $0.document["status"] == "Parked" }.count } == 0)
    #expect(world.count("opencrvs-mediator", "events") == 250)
    #expect(world.count("opencrvs-mediator", "records") == 84)
  }
}
