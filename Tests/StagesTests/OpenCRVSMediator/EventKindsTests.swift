import TestEvents
import Cryptography
import JSON
import Registration
import StageKit
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("The OpenCRVS-side mediator, for every kind of event", .timeLimit(.minutes(10)))
struct EventKindsTests {
  let world: MediatorWorld
  let stage: OpenCRVSMediator
  let context: StageContext

  init() throws {
    world = try MediatorWorld()
    (stage, context) = try world.crvs()
    world.takeAllAtMosip()
  }

  func post(_ request: Request) async throws -> Response { try await world.call(stage, context, request) }
  func run(after seconds: Double = 0) async throws { try await world.run([(stage, context)], after: seconds) }

  @Test(arguments: EventKind.allCases)
  func `sends it to its own endpoint under its work key, with an application id of its own`(_ kind: EventKind) async throws {
    let event = try OpenCRVSEvent(Events.of(kind).encoded())
    let key = OpenCRVSRecordKey.of(event)
    let answer = try await post(Births.webhook(Events.of(kind)))
    #expect(answer.value["response"]?["message"] == "Received.")
    #expect(answer.code == nil)
    try await run()
    #expect(world.forwarded.map(\.path) == [kind.path])
    #expect(world.forwarded.map(\.id) == [key])
    #expect(world.event(key)?["status"] == "Forwarded")
    #expect(world.event(key)?["kind"]?.string == kind.rawValue)
    #expect(world.event(key)?["aid"]?.string == Births.rid(1))
    #expect(world.queue(OpenCRVSRecordKey.of(event.bundle.compositionId)) == [])
    let aid = world.state.withLock { $0.atOpenCRVS }
    let number = kind.subject == .birth ? "2022BTEST01" : "2026DTEST01"
    let isTold = kind == .birth || kind == .death
    #expect(aid == (isTold ? [.object([kind.numberKind.rawValue: .string(number), "MOSIP_AID": .string(Births.rid(1))])] : []))
  }

  @Test
  func `never uses the birth's application id for a change of it`() async throws {
    let carried = Births.rid(77)
    let task = Births.task(lastModified: "2026-03-02T09:00:00.000Z")
    let event = Births.event([task, Births.child(aid: carried), Births.mother()], topic: "BIRTH_CORRECTED")
    #expect(try await post(Births.webhook(event)).status == 200)
    try await run()
    #expect(world.event(OpenCRVSRecordKey.of(try OpenCRVSEvent(event.encoded())))?["aid"]?.string == Births.rid(1))
  }

  @Test(arguments: ["BIRTH_CERTIFIED", "DEATH_CERTIFIED"])
  func `keeps a printed certificate and says that it has no way`(_ topic: String) async throws {
    var event = Events.of(topic.hasPrefix("BIRTH") ? .birth : .death)
    event["event"] = ["hub": ["topic": .string(topic)], "context": event["event"]?["context"] ?? .null]
    for _ in 0..<2 { #expect(try await post(Births.webhook(event)).code == "OPN-CRVS-016") }
    #expect(world.count("opencrvs-mediator", "events") == 1)
    #expect(world.state.withLock { $0.work.isEmpty })
  }

  @Test(arguments: [EventKind.birth, .death])
  func `takes a record that was merely touched for the event that it knows`(_ kind: EventKind) async throws {
    let first = Events.of(kind)
    var again = Events.of(kind, at: "2026-03-02T09:30:00.000Z")
    again["timestamp"] = "2026-03-02T09:30:01.000Z"
    var entries = again["event"]?["context"]?[0]?["entry"]?.array ?? []
    for place in entries.indices where entries[place]["resource"]?["resourceType"]?.string == "Task" {
      var task = entries[place]["resource"]
      task?["status"] = "ready"
      task?["businessStatus"] = ["coding": [["code": "CERTIFIED"]]]
      task?["meta"] = ["versionId": "2"]
      let extensions = task?["extension"]?.array ?? []
      task?["extension"] = .array(
        extensions + [["url": "http://opencrvs.org/specs/extension/timeLoggedMS", "valueInteger": 5]])
      entries[place]["resource"] = task
    }
    let touched = Births.event(entries.compactMap { $0["resource"] }, topic: kind.topic)
    let answer = try await post(Births.webhook(first))
    #expect(try await post(Births.webhook(touched)).value["response"] == answer.value["response"])
    #expect(world.count("opencrvs-mediator", "events") == 1)
    #expect(world.allWork("forward") == 1)
    let other = Births.event(
      entries.compactMap { $0["resource"] }.map { resource in
        guard resource["resourceType"]?.string == "Patient" else { return resource }
        var resource = resource
        resource["gender"] = "unknown"
        return resource
      }, topic: kind.topic)
    #expect(try await post(Births.webhook(other)).code == "OPN-CRVS-015")
  }

  @Test
  func `takes an event for the one that an earlier version kept with another digest`() async throws {
    #expect(try await post(Births.webhook(Events.of(.death))).status == 200)
    let place = "opencrvs-mediator|events|\(Events.death):death"
    world.state.withLock { $0.records[place]?.document["digest"] = "of an earlier version" }
    #expect(try await post(Births.webhook(Events.of(.death, at: "2026-04-02T09:00:00.000Z"))).status == 200)
    #expect(world.allWork("forward") == 1)
  }

  @Test
  func `subscribes to the other topics though OpenCRVS refuses one, and says that it was refused`() async throws {
    let (stage, context) = try world.crvs(["webhooks-url": "http://webhooks/", "webhook-url": "https://us/webhooks"])
    world.state.withLock {
      $0.answers["/webhooks"] = [ClientResponse(status: 200), ClientResponse(status: 202), ClientResponse(status: 400)]
    }
    let asked = Request(method: "POST", path: "/subscribe", headers: ["Authorization": "Bearer good"])
    #expect(try await world.call(stage, context, asked).code == "OPN-SUB-001")
    let topics = world.state.withLock { $0.subscriptionsAtOpenCRVS.compactMap { $0["topic"]?.string } }
    #expect(topics == ["BIRTH_CORRECTED", "DEATH_CORRECTED"])
  }

  // MARK: what comes back

  func status(_ kind: String, _ status: String, _ more: JSONObject) -> JSONValue {
    var body: JSONObject = [
      "type": .string(kind), "status": .string(status), "txnId": "r1:\(kind)", "aid": .string(Births.rid(9)),
      (kind.hasPrefix("death") ? "opencrvsDRN" : "opencrvsBRN"): "N1",
    ]
    for member in more { body[member.key] = member.value }
    return .object(body)
  }

  @Test
  func `keeps what became of it, and tells OpenCRVS a token where it has a place for one`() async throws {
    let cases: [(kind: String, what: String, told: Bool)] = [
      ("birth", "created", true), ("death", "deactivated", true), ("birth-correction", "corrected", false),
      ("birth-correction", "unchanged", false), ("death-correction", "flagged", false), ("death-reversal", "activated", false),
      ("birth-revocation", "deactivated", false), ("birth-reinstatement", "activated", false), ("data-update", "corrected", false),
    ]
    for (kind, what, told) in cases {
      let world = try MediatorWorld()
      let (stage, context) = try world.crvs()
      let message = status(kind, "success", ["uinToken": "t1", "what": .string(what), "changed": ["fullName", "a b", 5]])
      for _ in 0..<2 { #expect(try await world.call(stage, context, world.back("/receiveStatus", message)).status == 200) }
      try await world.run([(stage, context)])
      let kept = world.document("opencrvs-mediator", "statuses", OpenCRVSRecordKey.of("\(kind):success:r1:\(kind)"))
      #expect(kept?["what"]?.string == what)
      #expect(kept?["changed"] == ["fullName"])
      let number = kind.hasPrefix("death") ? "DRN" : "BRN"
      #expect(
        world.state.withLock { $0.atOpenCRVS } == (told ? [.object([number: "N1", "MOSIP_PSUT_TOKEN_ID": "t1"])] : []), "\(kind)")
    }
  }

  @Test
  func `tells the token of a birth that a correction brought to MOSIP once, although it comes by the credential too`() async throws
  {
    let message = status("birth-correction", "success", ["uinToken": "t1", "what": "created"])
    #expect(try await post(world.back("/receiveStatus", message)).status == 200)
    #expect(try await post(world.back("/birthReceiveNid", ["uinToken": "t1", "opencrvsBRN": "N1"])).status == 200)
    try await run()
    #expect(world.state.withLock { $0.atOpenCRVS } == [["BRN": "N1", "MOSIP_PSUT_TOKEN_ID": "t1"]])
  }

  @Test
  func `tells an error of every kind once, by number and application id, and a success after it all the same`() async throws {
    for kind in EventKind.allCases.map(\.rawValue) + ["data-update"] {
      let error = status(kind, "error", ["errors": [["errorCode": "OPN-CRVS-008", "errorMessage": "no match"]]])
      for _ in 0..<2 { #expect(try await post(world.back("/receiveStatus", error)).status == 200) }
      try await run()
      let number = kind.hasPrefix("death") ? "DRN" : "BRN"
      let told = world.state.withLock { state in
        defer { state.atOpenCRVS = [] }
        return state.atOpenCRVS
      }
      #expect(
        told == [
          .object([
            number: "N1", "MOSIP_AID": .string(Births.rid(9)), "MOSIP_ERROR": "OPN-CRVS-008: no match",
          ])
        ], "\(kind)")
      let success = status(kind, "success", ["uinToken": "t1", "what": "unchanged"])
      #expect(try await post(world.back("/receiveStatus", success)).status == 200)
      #expect(world.document("opencrvs-mediator", "statuses", OpenCRVSRecordKey.of("\(kind):success:r1:\(kind)")) != nil)
      try await run()
      world.state.withLock { $0.atOpenCRVS = [] }
    }
  }

  @Test
  func `tells a known result once more when a person wants it so, once for each time`() async throws {
    let result: JSONObject = ["uinToken": "t1", "what": "deactivated"]
    for again in [nil, nil, 3, 3, 4] {
      var more = result
      if let again { more["again"] = JSONValue(again) }
      #expect(try await post(world.back("/receiveStatus", status("death", "success", more))).status == 200)
      try await run()
    }
    #expect(world.state.withLock { $0.atOpenCRVS.count } == 3)
    #expect(world.document("opencrvs-mediator", "statuses", OpenCRVSRecordKey.of("death:success:r1:death:3")) != nil)
  }

  @Test
  func `refuses another token for the same death`() async throws {
    #expect(try await post(world.back("/receiveStatus", status("death", "success", ["uinToken": "t1"]))).status == 200)
    let other = try await post(world.back("/receiveStatus", status("death", "success", ["uinToken": "t2"])))
    #expect(other.status == 409)
    #expect(other.code == "OPN-CRVS-015")
  }

  // MARK: answer-within

  static let late = 24 * 3600.0 + 60

  @Test
  func `tells OpenCRVS once that no result came in time, and the result all the same when it comes`() async throws {
    #expect(try await post(Births.webhook(Events.of(.birth))).status == 200)
    try await run(after: 23 * 3600)
    #expect(world.state.withLock { $0.atOpenCRVS.count } == 1)
    try await run(after: Self.late)
    try await run(after: 2 * Self.late)
    let told = world.state.withLock { $0.atOpenCRVS }
    #expect(told.count == 2)
    #expect(told.last?["BRN"] == "2022BTEST01")
    #expect(told.last?["MOSIP_ERROR"]?.string?.hasPrefix("OPN-CRVS-019: ") == true)
    // Asked once more, as after a crash.
    guard case .done(let changes) = try await stage.perform(WorkItem(kind: "answer", key: Births.record), context) else {
      throw MediatorWorld.Crash()
    }
    #expect(changes.isEmpty)
    let token: JSONValue = ["uinToken": "t1", "opencrvsBRN": "2022BTEST01"]
    #expect(try await post(world.back("/birthReceiveNid", token)).status == 200)
    try await run(after: Self.late)
    #expect(world.state.withLock { $0.atOpenCRVS.last } == ["BRN": "2022BTEST01", "MOSIP_PSUT_TOKEN_ID": "t1"])
  }

  @Test
  func `says nothing of a missing result when a token, a result or an error came, or nothing was promised`() async throws {
    func told(_ kind: EventKind, _ given: [String: SettingValue] = [:], _ back: (String) -> (String, JSONValue)?) async throws
      -> Bool
    {
      let world = try MediatorWorld()
      let (stage, context) = try world.crvs(given)
      world.takeAllAtMosip()
      #expect(try await world.call(stage, context, Births.webhook(Events.of(kind))).status == 200)
      try await world.run([(stage, context)])
      let key = OpenCRVSRecordKey.of(try OpenCRVSEvent(Events.of(kind).encoded()))
      if let (path, message) = back(key) {
        let isOf = path == "/receiveStatus" ? message["txnId"]?.string == key : kind == .birth
        #expect(try await world.call(stage, context, world.back(path, message)).status == 200)
        #expect(
          world.openWork("answer") == (isOf && given["answer-within"] != 0 ? 0 : 1), "\(kind): nothing is waited for any more")
      }
      try await world.run([(stage, context)], after: Self.late)
      return world.state.withLock { $0.atOpenCRVS.contains { $0["MOSIP_ERROR"]?.string?.hasPrefix("OPN-CRVS-019") == true } }
    }
    func status(_ kind: EventKind, _ status: String, _ key: String) -> (String, JSONValue) {
      let errors: JSONValue = [["errorCode": "OPN-CRVS-008", "errorMessage": "x"]]
      return (
        "/receiveStatus", ["type": .string(kind.rawValue), "status": .string(status), "txnId": .string(key), "errors": errors]
      )
    }
    for kind in EventKind.allCases {
      #expect(try await told(kind) { _ in nil })
      #expect(try await !told(kind) { status(kind, "success", $0) })
      #expect(try await !told(kind) { status(kind, "error", $0) })
      #expect(try await !told(kind, ["answer-within": 0]) { _ in nil })
      #expect(try await told(kind, ["answer-within": 24]) { status(kind, "success", $0 + "x") })
      // The token of a birth says nothing of a later correction.
      let token = ("/birthReceiveNid", ["uinToken": "t1", "opencrvsBRN": "2022BTEST01"] as JSONValue)
      #expect(try await told(kind) { _ in token } == (kind != .birth))
    }
    #expect { try world.crvs(["answer-within": -1]) } throws: { ($0 as? SettingError)?.setting == "answer-within" }
  }

  @Test
  func `says nothing of a missing result of what MOSIP refused, since that was told`() async throws {
    let body = Array(#"{"errors":[{"errorCode":"OPN-CRVS-006","errorMessage":"x"}]}"#.utf8)
    world.state.withLock { $0.answers["/opencrvs/v1/birth"] = [ClientResponse(status: 400, body: body)] }
    #expect(try await post(Births.webhook(Events.of(.birth))).status == 200)
    try await run()
    #expect(world.openWork("answer") == 0 && world.allWork("answer") == 1, "the look has ended with the refusal")
    try await run(after: Self.late)
    #expect(world.state.withLock { $0.atOpenCRVS.filter { $0["MOSIP_ERROR"] != nil }.count } == 1)
  }

  @Test
  func `waits for the result of the next go of a birth that was refused`() async throws {
    let body = Array(#"{"errors":[{"errorCode":"OPN-CRVS-006","errorMessage":"x"}]}"#.utf8)
    world.state.withLock { $0.answers["/opencrvs/v1/birth"] = [ClientResponse(status: 400, body: body)] }
    #expect(try await post(Births.webhook(Events.of(.birth))).status == 200)
    try await run()
    #expect(try await post(Births.webhook(Events.of(.birth))).status == 200)
    #expect(world.openWork("answer") == 1)
    world.takeAllAtMosip()
    try await run()
    try await run(after: Self.late)
    let told = world.state.withLock { $0.atOpenCRVS.compactMap { $0["MOSIP_ERROR"]?.string?.prefix(12) } }
    #expect(told == ["OPN-CRVS-006", "OPN-CRVS-019"])
  }
}

@Suite("The made-up events of the scenarios", .enabled(if: Samples.areThere, "\(Samples.hint)"), .timeLimit(.minutes(10)))
struct ScenarioSamplesTests {
  @Test
  func `are read for whom they are about, and go their way`() async throws {
    let cases: [(name: String, kind: EventKind, given: String)] = [
      ("g1-old-birth-registered", .birth, "Amina"), ("g1-new-birth-registered", .birth, "Amina"),
      ("g1-16-birth-registered-filtered", .birth, "Amina"), ("g1-old-death-registered", .death, "Peter"),
      ("g1-new-death-registered", .death, "Peter"), ("g1-new-death-registered-again", .death, "Peter"),
      ("g1-new-death-no-identifier", .death, "Peter"), ("g1-new-death-by-brn", .death, ""),
      ("g1-new-death-other-person", .death, ""), ("g1-birth-corrected", .birthCorrection, ""),
      ("g1-birth-corrected-nothing-for-mosip", .birthCorrection, ""), ("g1-birth-corrected-late", .birthCorrection, ""),
      ("g1-death-corrected-date", .deathCorrection, ""), ("g1-death-corrected-other-person", .deathCorrection, ""),
      ("g1-death-reversed", .deathReversal, ""),
    ]
    for (name, kind, given) in cases {
      let bytes = try Samples.bytes("scenarios/" + name)
      let event = try OpenCRVSEvent(bytes)
      #expect(EventKind(topic: event.topic) == kind, "\(name)")
      if !given.isEmpty { #expect(event.bundle.subject.names.first?.given.first == given, "\(name)") }
      if kind.subject == .death { #expect(event.bundle.subject.isDeceased, "\(name)") }
      let world = try MediatorWorld()
      world.takeAllAtMosip()
      let (stage, context) = try world.crvs()
      #expect(try await world.call(stage, context, Births.webhook(bytes)).status == 200, "\(name)")
      try await world.run([(stage, context)])
      #expect(world.forwarded.map(\.path) == [kind.path], "\(name)")
    }
  }

  @Test
  func `say what deaths and guardians need`() throws {
    let death = try OpenCRVSEvent(Samples.bytes("scenarios/g1-new-death-registered")).bundle
    #expect(death.nationalId == "7280514271570896")
    #expect(death.dateOfDeath == "2026-02-27")
    #expect(death.mannerOfDeath == "NATURAL_CAUSES")
    #expect(try OpenCRVSEvent(Samples.bytes("scenarios/g1-new-death-no-identifier")).bundle.nationalId == nil)
    #expect(try OpenCRVSEvent(Samples.bytes("scenarios/g1-new-death-by-brn")).bundle.birthNumber != nil)
    #expect(try OpenCRVSEvent(Samples.bytes("scenarios/g1-old-death-registered")).bundle.nationalId == "8215013740")
    for name in ["g1-new-birth-registered", "g1-16-birth-registered-filtered"] {
      let birth = try OpenCRVSEvent(Samples.bytes("scenarios/" + name)).bundle
      #expect(birth.guardianToken == "341500000000000000000000000000000039", "\(name)")
      #expect((birth.father == nil) == name.hasSuffix("filtered"), "\(name)")
    }
  }

  @Test
  func `that were merely sent again are one death`() async throws {
    let world = try MediatorWorld()
    world.takeAllAtMosip()
    let (stage, context) = try world.crvs()
    for name in ["g1-new-death-registered", "g1-new-death-registered-again"] {
      let answer = try await world.call(stage, context, Births.webhook(Samples.bytes("scenarios/" + name)))
      #expect(answer.value["response"]?["message"] == "Received.")
      try await world.run([(stage, context)])
    }
    #expect(world.forwarded.count == 1)
    #expect(world.state.withLock { $0.nextRID } == 1)
  }
}
