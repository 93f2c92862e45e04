import TestEvents
import JSON
import Registration
import StageKit
import System
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("A change that is replayed, on the MOSIP side", .timeLimit(.minutes(10)))
struct ReplayedChangeTests {
  @Test
  func `goes on with what an earlier go had begun, and does not take its own work for another's`() async throws {
    let bench = try ChangeBench()
    bench.world.state.withLock {
      $0.patchRefusals = [ServiceError(.refused, service: "id repository", code: "IDR-IDC-005", "validation")]
    }
    let event = ChangeBench.death()
    try await bench.take(event)
    let failed = try #require(try bench.change(event))
    let aid = try #require(failed["rid"]?.string)
    #expect(failed["status"] == "Failed")
    // The repository had made the change all the same. By his VID the person cannot be found any more.
    bench.world.state.withLock {
      $0.people[ChangeBench.uin]?.status = "DEACTIVATED"
      $0.people[ChangeBench.uin]?.rids.append(aid)
    }
    try await bench.replay(event)
    #expect(bench.person()?.patches.isEmpty == true, "the same RID changes an identity once")
    #expect(try bench.told().map { $0["what"]?.string } == [nil, "deactivated"])
    #expect(try bench.change(event)?["status"] == "Told")
    let persons = bench.world.state.withLock { $0.records.filter { $0.key.contains("|persons|") }.map(\.value.document) }
    #expect(persons.count == 1)
    #expect(persons.first?["deactivatedBy"]?.string == aid, "so that it can be reversed")
    #expect(persons.first?["holder"]?.string == nil)
    #expect(bench.world.state.withLock { $0.audits.map(\.eventId) } == ["OPENCRVS_CHANGE_REPLAYED"])
  }

  @Test
  func `finds out anew when nothing was done`() async throws {
    let bench = try ChangeBench()
    let event = ChangeBench.death(given: "Joseph", family: "Mwale", born: "1950-01-02", gender: "female")
    try await bench.take(event)
    #expect(try bench.told().first?["errors"]?[0]?["errorCode"] == "OPN-CRVS-008")
    bench.world.state.withLock {
      $0.people[ChangeBench.uin]?.fields = ChangeBench.person("Joseph Mwale", "1950/01/02", "Female").fields
    }
    try await bench.replay(event)
    #expect(bench.person()?.status == "DEACTIVATED")
    #expect(try bench.told().map { $0["status"]?.string } == ["error", "success"])
  }

  @Test
  func `tells the result again, and marks what OpenCRVS itself is to hear once more`() async throws {
    let bench = try ChangeBench()
    let event = ChangeBench.death()
    try await bench.take(event)
    try await bench.tellAgain(event, isForced: false)
    try await bench.tellAgain(event, isForced: true)
    let told = try bench.told()
    #expect(told.map { $0["what"]?.string } == ["deactivated", "deactivated", "deactivated"])
    #expect(told.map { $0["again"]?.int } == [nil, nil, 3])
    #expect(bench.person()?.patches.count == 1)
    #expect(try bench.change(event)?["status"] == "Told")
  }

  @Test
  func `whose registration is run again ends when that does, whatever was told of its first run before`() async throws {
    let bench = try ChangeBench()
    _ = try await bench.born()
    let event = CorrectionTests.corrected()
    try await bench.take(event)
    let aid = try #require(try bench.change(event)?["rid"]?.string)
    try await bench.ended(aid, "FAILED")
    #expect(try bench.change(event)?["uploadedAt"]?.string != nil)
    try await bench.followAgain(event)
    bench.world.state.withLock { $0.registrations = [aid: FakeRegister.row(aid, "PROCESSING", at: "UIN_GENERATOR")] }
    try await bench.ended(aid, "FAILED")
    #expect(try bench.change(event)?["status"] == "Uploaded", "the row knows better than an old event")
    bench.world.state.withLock { $0.registrations = [aid: FakeRegister.row(aid, "PROCESSED", at: "UIN_GENERATOR")] }
    try await bench.run()
    #expect(try bench.told().map { $0["what"]?.string } == [nil, "corrected"])
    #expect(bench.world.state.withLock { $0.uploads.count } == 2, "its packet is uploaded once")
    #expect(bench.world.document("mosip-mediator", "records", Births.record)?["eventRid"]?.string == aid)
  }

  @Test
  func `that was told as failed is told as done when its registration ends well without it, once its person is free`() async throws
  {
    let bench = try ChangeBench()
    _ = try await bench.born()
    let event = CorrectionTests.corrected()
    try await bench.take(event)
    let aid = try #require(try bench.change(event)?["rid"]?.string)
    try await bench.ended(aid, "FAILED")
    let person = "mosip-mediator|persons|" + (try bench.change(event)?["person"]?.string ?? "")
    bench.world.state.withLock { $0.records[person]?.document["holder"] = "another" }
    try await bench.ended(aid, "PROCESSED")
    #expect(try bench.change(event)?["status"] == "Failed", "it waits")
    bench.world.state.withLock { $0.records[person]?.document["holder"] = nil }
    try await bench.run()
    try await bench.ended(aid, "PROCESSED")
    #expect(try bench.told().map { $0["status"]?.string } == ["error", "success"])
    #expect(try bench.change(event)?["status"] == "Told")
    #expect(try bench.change(event)?["errorCode"] == nil)
    #expect(bench.world.document("mosip-mediator", "records", Births.record)?["eventRid"]?.string == aid)
  }

  @Test
  func `leaves what a later correction has done`() async throws {
    let bench = try ChangeBench()
    _ = try await bench.born()
    let (first, second) = (CorrectionTests.corrected(), CorrectionTests.corrected("Later", "2022-11-01T08:00:00.000Z"))
    var aids: [String] = []
    for (event, end) in [(first, "FAILED"), (second, "PROCESSED")] {
      try await bench.take(event)
      aids.append(try #require(try bench.change(event)?["rid"]?.string))
      try await bench.ended(aids.last ?? "", end)
    }
    try await bench.ended(aids[0], "PROCESSED")
    #expect(try bench.told().map { $0["status"]?.string } == ["error", "success", "success"])
    #expect(bench.world.document("mosip-mediator", "records", Births.record)?["eventRid"]?.string == aids[1])
  }

  @Test
  func `makes the UIN of a birth once its packet can be made`() async throws {
    let bench = try ChangeBench()
    let event = CorrectionTests.corrected()
    _ = try await bench.send(event)
    let refusal = Array(#"{"response":null,"errors":[{"errorCode":"RPR-RGS-009","message":"no"}]}"#.utf8)
    bench.world.state.withLock { $0.answers["/registrationstatus/sync"] = [ClientResponse(status: 200, body: refusal)] }
    try await bench.run()
    try await bench.run()
    guard try bench.change(event)?["status"] == "Failed" else {
      Issue.record("the packet's refusal is the change's end: \(String(describing: try bench.change(event)))")
      return
    }
    try await bench.replay(event)
    #expect(try bench.change(event)?["status"] == "Uploaded")
    #expect(bench.world.state.withLock { $0.uploads.count } == 1)
    let aid = try #require(try bench.change(event)?["rid"]?.string)
    #expect(bench.world.document("mosip-mediator", "rids", aid)?["supersededBy"] == nil)
  }

  @Test
  func `of a birth: one that failed and is run again has its outcome no more; one that a correction replaced ends unheard`()
    async throws
  {
    let bench = try ChangeBench()
    let rid = try #require(try await bench.send(ChangeBench.birth()).value["response"]?["aid"]?.string)
    try await bench.run()
    func outcome() -> String? { bench.world.document("mosip-mediator", "birth_transactions", Births.record)?["outcome"]?.string }
    try await bench.ended(rid, "FAILED")
    #expect(outcome() == "FAILED")
    try await bench.ended(rid, "PROCESSED")
    #expect(outcome() == nil)
    try await bench.ended(rid, "FAILED")
    try await bench.take(CorrectionTests.corrected())
    let aid = try #require(try bench.change(CorrectionTests.corrected())?["rid"]?.string)
    try await bench.ended(rid, "REJECTED")
    #expect(try bench.told().count == 2, "each end, and of the registration that was replaced nothing more")
    #expect(bench.world.document("mosip-mediator", "birth_transactions", Births.record)?["rid"]?.string == aid)
    #expect(outcome() == nil)
  }
}

extension ChangeBench {
  /// What `regproc replay` does of a change that failed before anything of it was uploaded.
  func replay(_ event: JSONValue) async throws {
    try rewrite(event) { document, take in
      let decisions = ["plan", "to", "deceased", "what", "changed", "subjectRid", "person", "otherRid", "otherPerson"]
      if document["plan"]?.string != nil {
        var earlier: JSONObject = [:]
        for name in decisions { if let value = document[name] { earlier[name] = value } }
        document["earlier"] = .object(earlier)
      }
      for name in decisions + ["errorCode", "errorMessage", "packetHash", "leftOut", "stale"] { document[name] = nil }
      document["status"] = "RID Generated"
      return { WorkItem(kind: "change", key: "\($0)#\(take)", payload: ["key": .string($0)]) }
    }
    try await run()
  }

  /// What it does of one whose registration it runs again.
  func followAgain(_ event: JSONValue) async throws {
    try rewrite(event) { document, take in
      document["errorCode"] = nil
      document["errorMessage"] = nil
      document["status"] = "Uploaded"
      return { WorkItem(kind: "ended", key: "\($0)#\(take):look", payload: ["key": .string($0)]) }
    }
  }

  /// What it does of one that is done.
  func tellAgain(_ event: JSONValue, isForced: Bool) async throws {
    try rewrite(event, isQueued: false) { _, take in
      {
        WorkItem(
          kind: "status", key: "\($0)#\(take)", payload: ["change": .string($0), "again": isForced ? JSONValue(take) : .null])
      }
    }
    try await run()
  }

  private func rewrite(
    _ event: JSONValue, isQueued: Bool = true, _ body: (inout JSONValue, Int) -> (String) -> WorkItem
  ) throws {
    let key = OpenCRVSRecordKey.of(try OpenCRVSEvent(event.encoded()))
    world.state.withLock { state in
      guard var record = state.records["mosip-mediator|change_transactions|\(key)"],
        var line = state.records["mosip-mediator|records|\(record.document["recordId"]?.string ?? "")"]
      else { return }
      let take = (record.document["take"]?.int ?? 1) + 1
      let work = body(&record.document, take)(key)
      record.document["take"] = JSONValue(take)
      record.document["replays"] = [["author": "somebody", "reason": "tried again", "at": "now", "take": JSONValue(take)]]
      record.version += 1
      state.records["mosip-mediator|change_transactions|\(key)"] = record
      if isQueued {
        line.document["queue"] = .array((line.document["queue"]?.array ?? []) + [.string(key)])
        line.version += 1
        state.records["mosip-mediator|records|\(line.key)"] = line
      }
      state.work.append(("mosip-mediator", work, 0))
    }
  }
}
