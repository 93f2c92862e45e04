import JSON
import Postgres
import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import StageRuntime

/// A person has a change worked on or told once more; rows are written as the mediator keeps them.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ChangeReplayTests {
  private let record = "c0ffee00-0000-4000-8000-0000000000d1"
  private var key: String { "\(record):birth-correction:1" }

  private func put(_ collection: String, _ key: String, _ document: JSONValue, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES ('mosip-mediator', $1, $2, 1, $3::text::jsonb)
      ON CONFLICT (stage, collection, key) DO UPDATE SET document = excluded.document
      """,
      [.text(collection), .text(key), .text(String(decoding: document.encoded(), as: UTF8.self))])
  }

  private func document(_ collection: String, _ key: String, _ connection: Connection) throws -> JSONValue? {
    try connection.execute(
      "SELECT document FROM regproc.stage_record WHERE collection = $1 AND key = $2", [.text(collection), .text(key)]
    ).first.map { try JSONValue.parse(Array(try $0.text(0).utf8)) }
  }

  private func change(_ status: String, plan: String? = nil, _ more: JSONObject = [:]) -> JSONValue {
    var document: JSONObject = [
      "kind": "birth-correction", "rid": "1", "status": .string(status), "recordId": .string(record), "take": 1,
      "numberKind": "BRN", "registrationNumber": "2026BTEST01", "lastModified": "2026-03-01T09:00:00.000Z",
      "errorCode": "OPN-CRVS-018", "errorMessage": "refused", "person": "p1", "subjectRid": "s1", "packetHash": "H",
      "secondRid": "2",
      "release": ["author": "registrar", "reason": "a court's order", "at": "then"],
    ]
    if let plan { document["plan"] = .string(plan) }
    for member in more { document[member.key] = member.value }
    return .object(document)
  }

  private func replay(_ bench: Bench) -> ChangeReplay {
    ChangeReplay(
      registrations: Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b", "c"]))
  }

  private func start(
    _ bench: Bench, _ connection: Connection, _ name: String = "1", from stage: String? = nil, force: Bool = false,
    dryRun: Bool = false
  ) throws -> ChangeReplay.Started? {
    try replay(bench).start(
      name, from: stage, author: "registrar", reason: "tried again", isForced: force, isDryRun: dryRun, on: connection)
  }

  private func refusal(
    _ bench: Bench, _ connection: Connection, from stage: String? = nil, force: Bool = false
  ) -> LifecycleError? {
    do {
      _ = try start(bench, connection, from: stage, force: force)
      return nil
    } catch { return error as? LifecycleError }
  }

  private func work(_ connection: Connection) throws -> [String] {
    try connection.execute(
      "SELECT kind || ' ' || key || ' ' || payload::text FROM regproc.work WHERE stage = 'mosip-mediator' ORDER BY key, kind"
    ).map { try $0.text(0) }
  }

  @Test func `a change that failed is worked on again in its records queue`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        #expect(try start(bench, connection) == nil, "no change: perhaps a registration")
        try put("change_transactions", key, change("Failed", plan: "exchange", ["otherPerson": "p2"]), connection)
        let dry = try #require(try start(bench, connection, dryRun: true))
        #expect(dry.take == 2 && dry.key == key && dry.aid == "1")
        #expect(try Change.read(keys: [key], on: connection).first?.hasFailed == true && work(connection).isEmpty)
        #expect(refusal(bench, connection, from: "a")?.code == "no-such-stage")

        guard case .goAgain(before: 0)? = try start(bench, connection)?.way else {
          Issue.record("it goes again")
          return
        }
        let again = try #require(try document("change_transactions", key, connection))
        #expect(again["status"] == "RID Generated" && again["take"] == 2)
        for member in ["errorCode", "errorMessage", "plan", "person", "subjectRid", "otherPerson", "packetHash"] {
          #expect(again[member] == nil, "\(member)")
        }
        #expect(again["secondRid"] == "2" && again["release"]?["author"] == "registrar")
        #expect(again["earlier"] == ["plan": "exchange", "person": "p1", "subjectRid": "s1", "otherPerson": "p2"])
        #expect(again["replays"]?[0]?["author"] == "registrar" && again["replays"]?[0]?["take"] == 2)
        #expect(try Change.read(keys: [key], on: connection).first?.replays.map(\.reason) == ["tried again"])
        #expect(try document("records", record, connection)?["queue"] == [.string(key)])
        #expect(try work(connection) == [#"change \#(key)#2 {"key": "\#(key)"}"#])
        let running = refusal(bench, connection, force: true)
        #expect(running?.code == "in-flight" && running?.message.contains("RID Generated since") == true)

        try put("change_transactions", key, change("Held"), connection)
        #expect(refusal(bench, connection, force: true)?.message.contains("regproc release 1") == true)
        #expect(try work(connection).count == 1)
      }
    }
  }

  @Test func `of an event that was sent again the second try is worked on and the first is history`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        let more: JSONObject = [
          "rid": "9", "take": 2, "sending": 2, "sentAgainTake": 2, "toldTake": 2, "formerRids": ["1"], "release": .null,
        ]
        try put("change_transactions", key, change("Failed", plan: "status", more), connection)
        try put("rids", "1", ["txnId": .string(key), "change": true, "supersededBy": "9"], connection)
        try put("rids", "9", ["txnId": .string(key), "change": true], connection)
        #expect(try start(bench, connection, "1") == nil, "a registration, perhaps")
        let registrations = Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a"])
        let refusal = #expect(throws: LifecycleError.self) {
          try registrations.checkBirth("1", isDryRun: true, connection)
        }
        #expect(refusal?.code == "superseded" && refusal?.message.contains("9") == true)
        guard case .goAgain(before: 0)? = try start(bench, connection, "9")?.way else {
          Issue.record("it goes again")
          return
        }
        let again = try #require(try document("change_transactions", key, connection))
        #expect(again["take"] == 3 && again["sending"] == 2 && again["rid"] == "9")
        #expect(try work(connection) == [#"change \#(key)#3 {"key": "\#(key)"}"#])
      }
    }
  }

  @Test func `of a change that is done the result is told again`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        try put("change_transactions", key, change("Told", plan: "status"), connection)
        #expect(refusal(bench, connection, from: "a")?.code == "no-such-stage")
        _ = try start(bench, connection)
        _ = try start(bench, connection, key, force: true)
        #expect(
          try work(connection) == [
            #"status \#(key)#2 {"change": "\#(key)"}"#, #"status \#(key)#3 {"again": 3, "change": "\#(key)"}"#,
          ])
        let told = try #require(try document("change_transactions", key, connection))
        #expect(told["status"] == "Told" && told["take"] == 3 && told["plan"] == "status")
        #expect(told["replays"]?.array?.count == 2)
        #expect(try document("records", record, connection) == nil)
      }
    }
  }

  @Test func `a packet that was uploaded is not uploaded again but its registration is run`() async throws {
    try await Bench.run { bench async throws in
      try bench.start("a") { _ in .failed("NO", "no") }
      let relay = try bench.relay()
      try await bench.enter("1")
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      relay.stop()
      try await bench.pool.with { connection in
        try put("change_transactions", key, change("Failed", plan: "packet"), connection)
        try put("rids", "1", ["txnId": .string(key), "change": true], connection)
        try put("persons", "p1", ["holder": "another"], connection)
        #expect(refusal(bench, connection, force: true)?.code == "busy")
        try put("persons", "p1", ["rid": "s1"], connection)
        try put("records", record, ["queue": ["next"], "eventRid": "later"], connection)
        try put(
          "change_transactions", "later", change("Told", plan: nil, ["rid": "later", "lastModified": "2026-04-01T09:00:00.000Z"]),
          connection)
        #expect(refusal(bench, connection)?.code == "outdated")
        try put("records", record, ["queue": ["next"]], connection)
        #expect(try work(connection).isEmpty)

        guard case .registration(let run)? = try start(bench, connection, from: "b", dryRun: true)?.way else {
          Issue.record("its registration is run again")
          return
        }
        #expect(run.stage == "b" && run.run == 2)
        guard case .registration(let run)? = try start(bench, connection)?.way else {
          Issue.record("its registration is run again")
          return
        }
        #expect(run.stage == "a" && run.run == 2 && run.rid == "1")
        let waiting = try #require(try document("change_transactions", key, connection))
        #expect(waiting["status"] == "Uploaded" && waiting["plan"] == "packet" && waiting["errorCode"] == nil)
        #expect(try document("persons", "p1", connection) == ["rid": "s1", "holder": .string(key)])
        #expect(try document("records", record, connection)?["queue"] == ["next", .string(key)])
        #expect(try work(connection) == [#"ended \#(key)#2:look {"key": "\#(key)"}"#])

        // Should the change fail while its registration goes on, that one's end is waited for.
        try put("change_transactions", key, change("Failed", plan: "packet", ["take": 2]), connection)
        guard case .look(status: "PROCESSING")? = try start(bench, connection)?.way else {
          Issue.record("it is looked at")
          return
        }
        #expect(try work(connection).count == 2)
      }
    }
  }

  @Test func `a packet whose registration runs elsewhere is not made again`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        try put("change_transactions", key, change("Failed", plan: "packet", ["uploadedAt": "then"]), connection)
        #expect(refusal(bench, connection, force: true)?.code == "elsewhere")
        try put("change_transactions", key, change("Failed", plan: "create"), connection)
        try put("rids", "1", ["txnId": .string(key), "change": true, "birth": .string(record)], connection)
        try put("birth_transactions", record, ["rid": "1", "status": "Uploaded"], connection)
        #expect(refusal(bench, connection)?.code == "elsewhere")
        try put("birth_transactions", record, ["rid": "1", "status": "Failed"], connection)
        try put("rids", "1", ["txnId": .string(record), "supersededBy": "7"], connection)
        #expect(refusal(bench, connection, force: true)?.code == "superseded")
        try put("rids", "1", ["txnId": .string(key), "change": true, "birth": .string(record)], connection)
        #expect(try start(bench, connection)?.take == 2)
      }
    }
  }

  @Test func `a registration whose place a correction took is never run again`() async throws {
    try await Bench.run { bench async throws in
      try bench.start("a") { _ in .failed("NO", "no") }
      let relay = try bench.relay()
      try await bench.enter("1")
      #expect(try await eventually { try await bench.status("1") == "FAILED" })
      relay.stop()
      let replay = Replay(routes: bench.table.routes, stages: Array(bench.files.values), takesMessages: ["a", "b", "c"])
      try await bench.pool.with { connection in
        try put("birth_transactions", record, ["rid": "7", "status": "Uploaded"], connection)
        try put("rids", "1", ["txnId": .string(record), "supersededBy": "7"], connection)
        for isForced in [false, true] {
          do {
            _ = try replay.start(rid: "1", from: nil, author: "a", reason: nil, isForced: isForced, on: connection)
            Issue.record("a second UIN for one child")
          } catch let refusal as LifecycleError {
            #expect(refusal.code == "superseded" && refusal.message.contains("RID 7"))
          }
        }
        // One that is still its birth's own is run, and what waits behind it waits on.
        try put("rids", "1", ["txnId": .string(record)], connection)
        try put("birth_transactions", record, ["rid": "1", "status": "Uploaded", "outcome": "FAILED"], connection)
        _ = try replay.start(rid: "1", from: nil, author: "a", reason: nil, isDryRun: true, on: connection)
        #expect(try document("birth_transactions", record, connection)?["outcome"] == "FAILED")
        _ = try replay.start(rid: "1", from: nil, author: "a", reason: nil, on: connection)
        #expect(try document("birth_transactions", record, connection) == ["rid": "1", "status": "Uploaded"])
      }
    }
  }
}
