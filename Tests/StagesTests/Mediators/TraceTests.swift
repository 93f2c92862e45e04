import JSON
import OpenCRVS
import Registration
import StageKit
import System
import TestEvents
import Testing

@testable import HTTP
@testable import Stages

@Suite("The trace that a webhook came with", .timeLimit(.minutes(10)))
struct WebhookTraceTests {
  static let given = TraceId("463ac35c9f6413ad48485a3953bb6124")!
  static let second = TraceId("80f198ee56343ba864fe8b2a57d3eff7")!

  private func webhook(_ event: JSONValue = Births.usual(), _ trace: TraceId? = given) -> Request {
    var request = Births.webhook(event)
    if let trace { request.headers.set("b3", trace.text + "-a2fb4a1d1a96d312") }
    return request
  }

  /// The traces of the requests whose path ends so, whatever they ask beside it.
  private func traces(_ world: MediatorWorld, _ path: String) -> [TraceId?] {
    world.state.withLock { $0.requests }.filter { $0.url.prefix { $0 != "?" }.hasSuffix(path) }.map { request in
      request.headers["b3"].flatMap { TraceContext(header: $0) }.flatMap { TraceId($0.traceId) }
    }
  }

  @Test
  func `goes with its birth to the packet receiver, and back to OpenCRVS with its error`() async throws {
    let bench = try AgainBench()
    #expect(try await bench.world.call(bench.crvs.0, bench.crvs.1, webhook()).status == 200)
    try await bench.run()
    #expect(bench.birth?["status"] == "Uploaded" && bench.birth?["trace"]?.string == Self.given.text)
    #expect(traces(bench.world, "/registrationstatus/sync") == [Self.given])
    #expect(traces(bench.world, "/registrationpackets") == [Self.given])
    try await bench.end("FAILED")
    try await bench.run()
    #expect(traces(bench.world, "/receiveStatus") == [Self.given])
    #expect(traces(bench.world, "/hand-over") == [Self.given, Self.given], "the application id and the error")

    // Sent again, it runs on in the trace of that webhook.
    #expect(try await bench.world.call(bench.crvs.0, bench.crvs.1, webhook(Births.usual(), Self.second)).status == 200)
    try await bench.run()
    #expect(bench.world.state.withLock { $0.ranAgainIn } == [Self.second])
    #expect(bench.birth?["trace"]?.string == Self.second.text)
  }

  @Test(arguments: [true, false])
  func `gives way to that of the webhook by which a change is sent again`(_ isSame: Bool) async throws {
    let change = FailingChange.death
    let bench = try await AgainBench.of(change)
    bench.refuseNextPatch()
    for (event, trace) in [(change.event, Self.given), (isSame ? change.event : change.other, Self.second)] {
      #expect(try await bench.world.call(bench.crvs.0, bench.crvs.1, webhook(event, trace)).status == 200)
      for _ in 0..<3 { try await bench.run(after: 60) }
      #expect(try bench.document(change.event)["trace"]?.string == trace.text)
      #expect(traces(bench.world, "/receiveStatus").last == trace)
    }
    #expect(bench.patches(ChangeBench.uin).count == 1)
  }

  @Test
  func `goes with the registration of a change that is run again`() async throws {
    let change = FailingChange.all[1]
    let bench = try await AgainBench.of(change, ["correction-by": "packet"])
    for trace in [Self.given, Self.second] {
      #expect(try await bench.world.call(bench.crvs.0, bench.crvs.1, webhook(change.event, trace)).status == 200)
      for _ in 0..<3 { try await bench.run(after: 60) }
      let rid = try #require(try bench.document(change.event)["rid"]?.string)
      try await bench.end("FAILED", rid: rid)
      try await bench.run(after: 60)
      #expect(traces(bench.world, "/receiveStatus").last == trace)
    }
    #expect(traces(bench.world, "/registrationpackets").last == Self.given)
    #expect(bench.world.state.withLock { $0.ranAgainIn } == [Self.second])
  }

  @Test
  func `goes with what is answered to an OpenCRVS that waits`() async throws {
    var actions = try WaitingWorld()
    actions.trace = Self.given
    #expect(try await actions.trigger(ScenarioSample.read("g3-2x-birth-register")).status == 202)
    try await actions.run()
    try await actions.token(try #require(actions.awaited.first?["number"]?.string), "t-36")
    #expect(traces(actions.world, "/birth") == [Self.given])
    #expect(traces(actions.world, "/events/event.actions.register.accept") == [Self.given])

    var records = try WaitingWorld()
    records.trace = Self.given
    let death = "c0ffee00-0000-4000-8000-0000000000d1"
    #expect(try await records.register(ScenarioSample.read("g2-event-registration-death"), death).status == 202)
    let confirm = try #require(records.world.state.withLock { $0.work.first { $0.item.kind == "confirm" }?.item })
    #expect(await records.stage.subject(of: confirm, records.context) == WorkSubject(rid: nil, trace: Self.given))
    try await records.run()
    #expect(Set(traces(records.world, "/graphql")) == [Self.given])
  }

  @Test
  func `goes with the token of its birth`() async throws {
    let bench = try MosipMediatorReturnTests()
    #expect(try await bench.world.call(bench.crvs, bench.crvsContext, webhook()).status == 200)
    try await bench.run()
    bench.world.state.withLock {
      $0.people[MosipMediatorReturnTests.uin] = FakeIdentities.Person(fields: [:], rids: [Births.rid(1)])
    }
    let event = try bench.credentialEvent(credential: bench.sealedCredential(), rid: Births.rid(1))
    #expect(try await bench.call(bench.delivery(event)).status == 200)
    let subject = WorkSubject(rid: Births.rid(1), trace: Self.given)
    #expect(await bench.stage.subject(of: WorkItem(kind: "credential", key: "e1"), bench.context) == subject)
    #expect(await bench.stage.subject(of: WorkItem(kind: "credential-status", key: "e1:SERVED"), bench.context) == subject)
    try await bench.run()
    #expect(traces(bench.world, "/birthReceiveNid") == [Self.given])
  }

  @Test
  func `stands with the RID in the lines of all work on a birth, on either side`() async throws {
    let bench = try AgainBench()
    let refusal = ClientResponse(status: 200, body: Array(#"{"errors":[{"errorCode":"RPR-PKR-010"}]}"#.utf8))
    bench.world.state.withLock { $0.answers["/registrationpackets"] = [refusal] }
    #expect(try await bench.world.call(bench.crvs.0, bench.crvs.1, webhook()).status == 200)
    let forward = try #require(bench.world.state.withLock { $0.work.first { $0.item.kind == "forward" }?.item })
    let early = await bench.crvs.0.subject(of: forward, bench.crvs.1)
    #expect(early == WorkSubject(rid: nil, trace: Self.given), "before it has a RID")
    try await bench.run()
    let work = bench.world.state.withLock { $0.work }
    #expect(Set(work.map(\.item.kind)).isSuperset(of: ["forward", "packet", "status", "tell"]))
    for (stage, item, _) in work where item.kind != "answer" {
      let subject =
        stage == "mosip-mediator"
        ? await bench.mosip.0.subject(of: item, bench.mosip.1) : await bench.crvs.0.subject(of: item, bench.crvs.1)
      #expect(subject == WorkSubject(rid: AgainBench.first, trace: Self.given), "\(item.kind) \(item.key)")
    }
  }

  @Test
  func `stands in the lines of all work on a change`() async throws {
    let bench = try ChangeBench()
    let event = ChangeBench.death()
    let read = try OpenCRVSEvent(event.encoded())
    let envelope = try Envelope.seal(read.encoded, for: bench.world.keys.owners["mosip-mediator"]!.certificate)
    let message = SealedMessage(
      id: OpenCRVSRecordKey.of(read), envelope: envelope,
      signature: try bench.world.keys.owners["opencrvs-mediator"]!.key.sign(envelope, .sha512))
    let request = Request(
      method: "POST", path: "/opencrvs/v1/death",
      headers: ["Cookie": "Authorization=good", "b3": Self.given.text + "-a2fb4a1d1a96d312"],
      body: message.encoded(.standard, at: .now))
    #expect(try await bench.world.call(bench.stage, bench.context, request).status == 200)
    try await bench.run()
    let aid = try #require(try bench.change(event)?["rid"]?.string)
    let work = bench.world.state.withLock { $0.work.filter { $0.stage == "mosip-mediator" }.map(\.item) }
    #expect(Set(work.map(\.kind)).isSuperset(of: ["change", "status"]))
    for item in work {
      #expect(await bench.stage.subject(of: item, bench.context) == WorkSubject(rid: aid, trace: Self.given), "\(item.kind)")
    }
    #expect(traces(bench.world, "/receiveStatus") == [Self.given])
  }
}
