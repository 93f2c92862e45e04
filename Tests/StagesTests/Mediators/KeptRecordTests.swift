import JSON
import StageKit
import TestEvents
import Testing

@testable import OpenCRVS
@testable import Stages

/// What the versions before wrote, read by this one.
@Suite("A record of a mediator", .timeLimit(.minutes(10)))
struct KeptRecordTests {
  private static func stored<Record: KeptRecord>(_ kind: Record.Type, _ document: JSONValue) -> StageRecord {
    StageRecord(collection: Record.collection, key: "k", version: 7, document: document)
  }

  /// Holds a kind of record to what all have in common.
  /// - Parameters:
  ///   - text: a document as it stands in a database.
  ///   - needed: members without which it cannot be read.
  ///   - choices: members of which only some texts are known.
  ///   - change: a change of it that leaves `later` alone.
  private func check<Record: KeptRecord>(
    _ kind: Record.Type, _ text: String, needed: [String], choices: [String] = [], change: (inout Record) -> Void = { _ in }
  ) throws {
    let document = try JSONValue.parse(Array(text.utf8))
    let members = try #require(document.object)
    let record = try Record(Self.stored(kind, document))
    #expect(record.key == "k" && record.version == 7)
    #expect(record.document.encoded() == document.encoded(), "the same bytes")
    #expect(record.writing == .put(collection: Record.collection, key: "k", document: document, ifVersion: 7))

    var newer = document
    newer["later"] = ["by": "a newer version"]
    var changed = try Record(Self.stored(kind, newer))
    change(&changed)
    #expect(changed.document["later"] == ["by": "a newer version"])
    var again = try Record(Self.stored(kind, changed.document))
    #expect(again.document.encoded() == changed.document.encoded())
    again.wasWritten()
    #expect(again.version == 8)

    func fault(_ member: String, _ value: JSONValue?) throws -> String {
      var wrong = document
      wrong[member] = value
      let fault = try #require(throws: ServiceError.self) { try Record(Self.stored(kind, wrong)) }
      #expect(fault.isRetriable, "a newer version may have written it")
      let said = fault.description
      #expect(said.contains(Record.collection) && said.contains(member))
      #expect(members.allSatisfy { $0.value.string.map { !said.contains($0) } ?? true }, "no values: \(said)")
      return said
    }
    for member in needed {
      #expect(try fault(member, nil).hasSuffix("has no \(member)"))
      #expect(try fault(member, .null).hasSuffix("has no \(member)"))
      #expect(try fault(member, [["1"]]).contains("is not"))
    }
    for member in choices { #expect(try !fault(member, "of a newer version").contains("newer")) }
    #expect(throws: ServiceError.self) { try Record(Self.stored(kind, "text")) }
  }

  @Test
  func `of a birth`() throws {
    try check(
      BirthRecord.self,
      """
      {"rid":"10001","status":"Failed","digest":"d1","object":"event-d1.json","registrationNumber":"2022B","by":"c1","packetHash":"AB",
      "packetSize":12,"leftOut":["x: y"],"outcome":"REJECTED","errorCode":"OPN-CRVS-006","take":2,"ends":3,"toldEnd":2}
      """, needed: ["rid", "status", "digest", "object"], choices: ["status", "outcome"]
    ) {
      #expect($0.take == 2 && $0.ends == 3 && $0.toldEnd == 2)
      #expect($0.status == .failed && $0.outcome == .rejected && $0.by == "c1" && $0.packetHash == "AB")
      $0.outcome = nil
      $0.status = .created
      $0.has(packet: "CD", size: 3, leftOut: nil)
      #expect($0.document["outcome"] == nil && $0.document["status"] == "Packet Created")
      #expect($0.document["packetHash"] == "CD" && $0.document["packetSize"] == 3 && $0.document["leftOut"] == ["x: y"])
    }
    try check(
      BirthRecord.self, #"{"rid":"10001","status":"RID Generated","digest":"d1","object":"o-1","registrationNumber":null}"#,
      needed: ["rid"])
  }

  @Test
  func `of whom a RID, a number or a key of a caller belongs to`() throws {
    try check(RIDOwner.self, #"{"txnId":"t1","change":true,"birth":"b1","supersededBy":"10002"}"#, needed: ["txnId"]) {
      #expect($0.transaction == "t1" && $0.isChange && $0.birth == "b1" && $0.supersededBy == "10002")
    }
    try check(RIDOwner.self, #"{"txnId":"t1"}"#, needed: ["txnId"]) { #expect(!$0.isChange && $0.birth == nil) }
    try check(NumberOwner.self, #"{"txnId":"t1"}"#, needed: ["txnId"]) { #expect($0.transaction == "t1") }
    try check(DeathNumber.self, #"{"record":"r1"}"#, needed: ["record"]) { #expect($0.recordId == "r1") }
    try check(ApplicationId.self, #"{"rid":"10001"}"#, needed: ["rid"]) { #expect($0.rid == "10001") }
    try check(NoticeRecord.self, #"{"change":"c1"}"#, needed: ["change"]) { #expect($0.changeKey == "c1") }
  }

  @Test
  func `of a credential`() throws {
    try check(
      CredentialRecord.self, #"{"status":"Refused","requestId":null,"reason":"signature","errorCode":"OPN-CRVS-022"}"#,
      needed: ["status"], choices: ["status", "reason"]
    ) {
      #expect($0.status == .refused && $0.reason == .wrongProof && $0.requestId == nil)
      $0.status = .served
      #expect($0.document["status"] == "Served" && $0.document["requestId"] == .null)
    }
  }

  @Test
  func `of a change`() throws {
    try check(
      ChangeRecord.self,
      """
      {"kind":"death-correction","rid":"10001","status":"Decided","take":2,"recordId":"r1","digest":"d1","object":"event-d1.json",
      "numberKind":"DRN","registrationNumber":"2022D","lastModified":"2022-09-01T08:00:00.000Z","takenAt":"2022-09-01T09:00:00.000Z",
      "as":"death","subjectRid":"10002","person":"p1","otherRid":"10003","otherPerson":"p2","secondRid":"10004","plan":"exchange",
      "to":"DEACTIVATED","deceased":"Y","what":"corrected","changed":["UIN"],"packetHash":"AB","leftOut":[],"uploadedAt":"u1",
      "errorCode":"OPN-CRVS-017","errorMessage":"e1","stale":true,"release":{"author":"a1","reason":"why","at":"m1"},
      "replays":[{"author":"a2","reason":null,"at":"m2","take":2}],"earlier":{"plan":"status","to":null,"person":"p3","new":"n1"}}
      """,
      needed: ["kind", "rid", "status", "recordId", "digest", "object"],
      choices: ["kind", "status", "as", "plan", "to", "deceased", "what"]
    ) {
      #expect($0.eventKind == .deathCorrection && $0.kind == .death && $0.take == 2 && $0.people == ["p1", "p2"])
      #expect($0.plan == .exchange && $0.to == .deactivated && $0.deceased == .yes && $0.what == .corrected)
      #expect($0.isReleased && $0.release?.author == "a1" && $0.replays.last?.take == 2 && $0.replays.last?.reason == nil)
      let earlier = try? $0.withEarlierDecisions()
      #expect(earlier?.plan == .status && earlier?.to == nil && earlier?.people == ["p3", "p2"])
      #expect(earlier?.document["earlier"] == nil && earlier?.document["to"] == .null && earlier?.document["new"] == "n1")
      $0.status = .changed
      ($0.errorCode, $0.errorMessage, $0.to) = (nil, nil, nil)
      $0.treatedAs = nil
      #expect($0.document["errorCode"] == nil && $0.document["to"] == .null && $0.document["as"] == nil && $0.hasEnded)
    }
    // Of the first version, which knew no goes.
    try check(
      ChangeRecord.self,
      #"{"kind":"death","rid":"10001","status":"Told","recordId":"r1","digest":"d1","object":"o-1","what":"deactivated","changed":[]}"#,
      needed: ["status"]
    ) { #expect($0.take == 1 && $0.hasEnded && $0.kind == .death) }
    let unreadable = Self.stored(ChangeRecord.self, ["status": "of a newer version", "take": 3])
    #expect(ChangeRecord.take(of: unreadable) == 3)
    #expect(ChangeRecord.take(of: Self.stored(ChangeRecord.self, "text")) == 1)
  }

  @Test
  func `of a record's line`() throws {
    try check(
      RecordLine.self,
      """
      {"queue":["a","b"],"standing":true,"reversed":true,"revoked":false,"rid":"10001","eventRid":"10002","eventObject":"o-1",
      "deathRid":"10003","deathKey":"d1"}
      """, needed: ["queue"]
    ) {
      #expect($0.queue == ["a", "b"] && $0.isStanding == true && $0.isReversed == true && $0.isRevoked == false)
      $0.queue.removeFirst()
      $0.isReversed = nil
      $0.rid = nil
      #expect($0.document["queue"] == ["b"] && $0.document["reversed"] == nil && $0.document["rid"] == .null)
    }
  }

  @Test
  func `of a person`() throws {
    try check(
      PersonRecord.self,
      #"{"holder":null,"reversals":1,"rid":"10001","reasons":["death:r1","flag:r2","revocation:r:3"],"deactivatedBy":"10002"}"#,
      needed: []
    ) {
      #expect($0.reasons == [.init(.death, "r1"), .init(.flag, "r2"), .init(.revocation, "r:3")] && $0.reversals == 1)
      $0.holder = "c1"
      $0.deactivatedBy = nil
      $0.reasons.removeLast()
      #expect($0.document["holder"] == "c1" && $0.document["deactivatedBy"] == .null)
      #expect($0.document["reasons"] == ["death:r1", "flag:r2"])
    }
    try check(PersonRecord.self, "{}", needed: []) { #expect($0.reasons.isEmpty && $0.reversals == 0 && $0.holder == nil) }
    for reasons: JSONValue in [["death:r1", "of a newer version:r2"], ["death:r1", 2]] {
      let fault = try #require(throws: ServiceError.self) {
        try PersonRecord(Self.stored(PersonRecord.self, ["reasons": reasons]))
      }
      #expect(fault.description.contains("reasons") && !fault.description.contains("newer"))
    }
  }

  @Test
  func `of an event of OpenCRVS`() throws {
    try check(
      EventRecord.self,
      """
      {"topic":"BIRTH_CORRECTED","kind":"birth-correction","recordId":"r1","numberKind":"BRN","registrationNumber":"2022B","digest":"d1",
      "object":"d1.json","status":"Failed","lastModified":null,"container":"c1","aid":"10001",
      "errors":[{"errorCode":"OPN-CRVS-006","errorMessage":"e1"}]}
      """, needed: ["topic", "recordId", "digest", "object", "status"], choices: ["numberKind", "status"]
    ) {
      #expect($0.kind == .birthCorrection && $0.hasEnded && $0.container == "c1" && $0.errors.map(\.code) == ["OPN-CRVS-006"])
      $0.status = .numbered
      $0.aid = "10002"
      #expect($0.document["status"] == "AID Assigned" && $0.document["aid"] == "10002" && !$0.hasEnded)
    }
    // Of the first version: parked, since its topic had no way.
    try check(
      EventRecord.self,
      """
      {"topic":"DEATH_CERTIFIED","recordId":"r1","numberKind":"DRN","registrationNumber":"2022D","digest":"d1","object":"d1.json",
      "status":"Parked"}
      """, needed: ["status"]
    ) { #expect($0.kind == nil && $0.status == .parked && $0.container == OpenCRVSRecordKey.container("k")) }
  }

  @Test
  func `of the order of a record's events`() throws {
    try check(RecordQueue.self, #"{"queue":["a","b"]}"#, needed: ["queue"]) {
      $0.remove("a")
      $0.append("c")
      #expect($0.document["queue"] == ["b", "c"])
      #expect($0.document["later"] == ["by": "a newer version"] && $0.changes.count == 2)
      #expect($0.changes.first == .put(collection: "records", key: "k", document: $0.document, ifVersion: 7))
    }
  }

  @Test
  func `of a token, sealed, in the clear as an earlier version had it, and erased`() async throws {
    try check(
      TokenRecord.self,
      #"{"numberKind":"BRN","registrationNumber":"2022B","aid":null,"sealedToken":"s1","tokenDigest":"x1"}"#,
      needed: ["registrationNumber"], choices: ["numberKind"])
    let keys = try MediatorWorld().context("opencrvs-mediator").services.envelopeKeys
    let old = try TokenRecord(
      Self.stored(TokenRecord.self, ["numberKind": "BRN", "registrationNumber": "2022B", "uinToken": "t1"]))
    #expect(!old.token.isOther(than: "t1") && old.token.isOther(than: "t2"))
    #expect(try await old.token.opened(keys) == "t1")
    let kept = try await KeptToken("t1", keys)
    let new = TokenRecord(kept, ofBirth: "2022B", aid: "10001")
    let read = try TokenRecord(Self.stored(TokenRecord.self, new.document))
    #expect(!read.token.isOther(than: "t1") && read.token.isOther(than: "t2"))
    #expect(try await read.token.opened(keys) == "t1")
    var erased = new.document
    erased["sealedToken"] = nil
    let rest = try TokenRecord(Self.stored(TokenRecord.self, erased))
    #expect(rest.token.isOther(than: "t2"))
    #expect(try await rest.token.opened(keys) == nil)
  }

  @Test
  func `of a result`() throws {
    try check(
      ResultRecord.self,
      """
      {"type":"death","status":"error","txnId":"t1","aid":"10001","numberKind":"DRN","registrationNumber":"2022D","what":"",
      "changed":[],"errors":[{"errorCode":"OPN-CRVS-017","errorMessage":"e1"}],"sealedToken":"s1","tokenDigest":"x1"}
      """, needed: ["type", "status"], choices: ["status", "numberKind"]
    ) {
      #expect($0.status == .error && $0.numberKind == .death && $0.errors.map(\.message) == ["e1"])
      $0.became(.activated, fields: ["a"])
      #expect($0.document["what"] == "activated" && $0.document["changed"] == ["a"])
    }
    // The sentences of an erased person are gone.
    let erased = try ResultRecord(
      Self.stored(ResultRecord.self, ["type": "birth", "status": "error", "errors": [["errorCode": "OPN-CRVS-017"]]]))
    #expect(erased.errors.map(\.code) == ["OPN-CRVS-017"] && erased.errors.map(\.message) == [""])
  }

  // MARK: one that nobody can read

  @Test
  func `of a birth that a newer version wrote stops its own work alone, which goes on when it can be read`() async throws {
    let bench = try ChangeBench()
    let other = "c0ffee00-0000-4000-8000-00000000b002"
    for event in [ChangeBench.birth(), ChangeBench.birth(record: other, number: "2022BTEST02")] {
      #expect(try await bench.send(event).status == 200)
    }
    let place = "mosip-mediator|birth_transactions|\(Births.record)"
    bench.world.state.withLock { $0.records[place]?.document["status"] = "Of A Newer Version" }
    try await bench.run()
    #expect(bench.world.document("mosip-mediator", "birth_transactions", other)?["status"] == "Uploaded")
    #expect(bench.world.document("mosip-mediator", "birth_transactions", Births.record)?["status"] == "Of A Newer Version")
    #expect(bench.world.openWork("packet") == 1)
    let fault = await #expect(throws: ServiceError.self) {
      try await bench.stage.perform(WorkItem(kind: "packet", key: Births.record), bench.context)
    }
    #expect(fault?.code == "OPN-CRVS-010" && fault?.message.contains("status") == true)
    #expect(try await bench.send(ChangeBench.birth()).status == 503, "sent again later")
    // An operator may give the work up: the record stays as it is.
    try await bench.stage.gaveUp(
      WorkItem(kind: "packet", key: Births.record), WorkFailure(code: "RPR-OPS-001", "given up"), bench.context)
    #expect(bench.world.document("mosip-mediator", "birth_transactions", Births.record)?["status"] == "Of A Newer Version")
    bench.world.state.withLock { $0.records[place]?.document["status"] = "RID Generated" }
    try await bench.run()
    #expect(bench.world.document("mosip-mediator", "birth_transactions", Births.record)?["status"] == "Uploaded")
    #expect(bench.world.state.withLock { $0.uploads.count } == 2)
  }

  @Test
  func `of a change keeps the change before it in its line from nothing`() async throws {
    let bench = try ChangeBench()
    _ = try await bench.born()
    let events = ["Anna", "Berta"].enumerated().map { place, name in
      ChangeBench.birth(.birthCorrection, given: name, lastModified: "2022-10-0\(place + 1)T08:00:00.000Z")
    }
    for event in events { #expect(try await bench.send(event).status == 200) }
    let key = OpenCRVSRecordKey.of(try OpenCRVSEvent(events[1].encoded()))
    bench.world.state.withLock { $0.records["mosip-mediator|change_transactions|\(key)"]?.document["plan"] = "of a newer version" }
    try await bench.run()
    try await bench.ended(try #require(try bench.change(events[0])?["rid"]?.string), "PROCESSED")
    #expect(try bench.change(events[0])?["status"] == "Told")
    #expect(try bench.change(events[1])?["status"] == "RID Generated")
    #expect(bench.world.openWork("change") == 1)
    bench.world.state.withLock { $0.records["mosip-mediator|change_transactions|\(key)"]?.document["plan"] = nil }
    try await bench.run()
    #expect(try bench.change(events[1])?["status"] == "Uploaded")
  }

  @Test
  func `of an event holds up its own record alone, which takes further events, until it is given up`() async throws {
    let world = try MediatorWorld()
    world.takeAllAtMosip()
    let (stage, context) = try world.crvs()
    func take(_ event: JSONValue) async throws -> Int { try await world.call(stage, context, Births.webhook(event)).status }
    #expect(try await take(Events.of(.birth)) == 200)
    let place = "opencrvs-mediator|events|\(Births.record)"
    world.state.withLock { $0.records[place]?.document["object"] = nil }
    let correction = Events.of(.birthCorrection, at: "2026-03-01T10:00:00.000Z")
    for event in [correction, Events.of(.death)] { #expect(try await take(event) == 200) }
    // Not an answer, which OpenCRVS would take for a delivery.
    #expect(try await take(Events.of(.birth)) == MediatorWorld.hungUp)
    try await world.run([(stage, context)])
    let keys = try [correction, Events.of(.death)].map { OpenCRVSRecordKey.of(try OpenCRVSEvent($0.encoded())) }
    #expect(world.forwardedOnce == [keys[1]])
    #expect(world.openWork("forward") == 1)

    let work = WorkItem(kind: "forward", key: Births.record)
    let fault = await #expect(throws: ServiceError.self) { try await stage.perform(work, context) }
    #expect(fault?.message == "has no object")
    try await stage.gaveUp(work, WorkFailure(code: "RPR-OPS-001", "given up"), context)
    world.state.withLock { $0.work.removeAll { $0.item.kind == work.kind && $0.item.key == work.key } }
    try await world.run([(stage, context)])
    #expect(world.forwardedOnce == [keys[1], keys[0]])
    #expect(world.event(Births.record)?["status"] == "Received")
  }
}
