import JSON
import Postgres
import StageKit
import Testing

@testable import StageRuntime

/// A person lets a change go on that policy holds; rows are written as the mediator keeps them.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ReleaseTests {
  private let record = "c0ffee00-0000-4000-8000-0000000000d1"
  private let number = "2026DTEST01"
  private let aid = "45451454520734120261129153731"
  private var key: String { "\(record):death-reversal:1" }

  private func put(_ collection: String, _ key: String, _ document: JSONValue, _ connection: Connection) throws {
    _ = try connection.execute(
      "INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES ('mosip-mediator', $1, $2, 1, $3::text::jsonb)",
      [.text(collection), .text(key), .text(String(decoding: document.encoded(), as: UTF8.self))])
  }

  private func change(_ status: String, aid: String? = nil) -> JSONValue {
    [
      "kind": "death-reversal", "rid": .string(aid ?? self.aid), "status": .string(status), "recordId": .string(record),
      "numberKind": "DRN", "registrationNumber": .string(number), "take": 1, "errorCode": "OPN-CRVS-009",
      "errorMessage": "a person must decide",
    ]
  }

  private func release(_ name: String, reason: String = "a court's order", isDryRun: Bool = false, _ connection: Connection) throws
    -> Release.Released
  {
    try Release.start(name, author: "registrar", reason: reason, isDryRun: isDryRun, on: connection)
  }

  private func refusal(_ name: String, reason: String = "a court's order", _ connection: Connection) -> LifecycleError? {
    do {
      _ = try release(name, reason: reason, connection)
      return nil
    } catch { return error as? LifecycleError }
  }

  private func queue(_ connection: Connection) throws -> String? {
    try connection.execute(
      "SELECT document->>'queue' FROM regproc.stage_record WHERE collection = 'records' AND key = $1", [.text(record)]
    ).first?.text(0)
  }

  private func work(_ connection: Connection) throws -> [String] {
    try connection.execute("SELECT stage || ' ' || kind || ' ' || key || ' ' || payload::text FROM regproc.work ORDER BY key").map {
      try $0.text(0)
    }
  }

  @Test(arguments: ["key", "aid", "number"]) func `a held change gets its next go under any of its names`(_ by: String) async throws
  {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        try put("change_transactions", key, change("Held"), connection)
        let name = by == "key" ? key : by == "aid" ? aid : number
        let dry = try release(name, isDryRun: true, connection)
        #expect(dry.take == 2 && dry.key == key)
        #expect(try work(connection).isEmpty && queue(connection) == nil)
        #expect(try Change.read(keys: [key], on: connection).first?.isHeld == true)

        let released = try release(name, connection)
        #expect(released.key == key && released.take == 2 && released.aid == aid && released.before == 0)
        let change = try #require(try Change.read(keys: [key], on: connection).first)
        #expect(change.status == "RID Generated" && change.take == 2 && change.registrationNumber == number)
        #expect(change.release?.author == "registrar" && change.release?.reason == "a court's order")
        #expect(try queue(connection) == #"["\#(key)"]"#)
        #expect(try work(connection) == [#"mosip-mediator change \#(key)#2 {"key": "\#(key)"}"#])
        // The mediator, which had read the record before, sees that it was written.
        let version = try connection.execute(
          "SELECT version FROM regproc.stage_record WHERE collection = 'change_transactions'"
        ).only().int(0)
        #expect(version == 2)
        #expect(refusal(name, connection)?.code == "not-held", "nothing is released twice")
        #expect(try work(connection).count == 1)
      }
    }
  }

  @Test func `it waits behind what is worked of the same record`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        try put("change_transactions", key, change("Held"), connection)
        try put("records", record, ["queue": ["earlier"], "last": "kept"], connection)
        #expect(try release(key, connection).before == 1)
        #expect(try queue(connection) == #"["earlier", "\#(key)"]"#)
        #expect(try work(connection).isEmpty, "the one before it begins it")
        let last = try connection.execute("SELECT document->>'last' FROM regproc.stage_record WHERE collection = 'records'").only()
        #expect(try last.text(0) == "kept")
      }
    }
  }

  @Test func `the queue of a record with a long id is found as the mediator keeps it`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        let long = String(repeating: "a", count: 65)
        var document = change("Held")
        document["recordId"] = .string(long)
        try put("change_transactions", key, document, connection)
        _ = try release(key, connection)
        let kept = try connection.execute("SELECT key FROM regproc.stage_record WHERE collection = 'records'").only().text(0)
        #expect(kept.count == 64 && kept.allSatisfy(\.isHexDigit) && Set(kept).count > 1, "its SHA-256")
      }
    }
  }

  @Test func `what was decided but not done is not shown as done`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        var document = change("Failed")
        document["what"] = "corrected"
        document["changed"] = ["fullName"]
        try put("change_transactions", key, document, connection)
        let failed = try #require(try Change.read(keys: [key], on: connection).first)
        #expect(failed.what == nil && failed.changed.isEmpty && failed.errorCode == "OPN-CRVS-009" && failed.hasFailed)
        try put("change_transactions", "released", change("Verified"), connection)
        #expect(try Change.read(keys: ["released"], on: connection).first?.errorCode == nil)
      }
    }
  }

  @Test func `what cannot be released is refused by name`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        #expect(refusal(key, connection)?.code == "unknown")
        try put("change_transactions", key, change("Told"), connection)
        let told = try #require(refusal(number, connection))
        #expect(told.code == "not-held" && told.message.contains("Told"))
        try put("change_transactions", "a", change("Held", aid: "a1"), connection)
        #expect(refusal("a", reason: " \n", connection)?.code == "no-reason")
        try put("change_transactions", "b", change("Held", aid: "b1"), connection)
        let several = try #require(refusal(number, connection))
        #expect(several.code == "several" && several.message.contains("a1") && several.message.contains("b1"))
        #expect(try work(connection).isEmpty)
        #expect(try release("b1", connection).key == "b")
        #expect(try release(number, connection).key == "a", "only one is held now")
      }
    }
  }

  @Test func `a number leads to its birth and to every change in order`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        let rid = "45451454520000120261125005407"
        try put("registration_numbers", "2025BTEST01", ["txnId": "birth"], connection)
        try put(
          "birth_transactions", "birth", ["rid": .string(rid), "status": "Uploaded", "registrationNumber": "2025BTEST01"],
          connection)
        for (place, kind) in ["birth-correction", "death", "birth-correction"].enumerated() {
          let number = kind == "death" ? number : "2025BTEST01"
          try put(
            "change_transactions", "change-\(place)",
            [
              "kind": .string(kind), "rid": .string("aid-\(place)"), "subjectRid": .string(rid), "status": "Told",
              "registrationNumber": .string(number), "what": "corrected", "changed": ["fullName", "dateOfBirth"],
            ], connection)
        }
        let found = try #require(try RecordJourney.read("2025BTEST01", on: connection))
        #expect(found.rid == rid && found.journey == nil)
        #expect(found.changes.map(\.key) == ["change-0", "change-1", "change-2"], "also what became of the child")
        #expect(found.json["changes"]?[0]?["changed"] == ["fullName", "dateOfBirth"])
        #expect(found.json["hops"] == [])
        #expect(try RecordJourney.read("aid-1", on: connection)?.changes.map(\.kind) == ["death"])
        #expect(try RecordJourney.read(number, on: connection)?.changes.map(\.kind) == ["death"])
        #expect(try RecordJourney.read("nobody", on: connection) == nil)
      }
    }
  }

  @Test func `an event that is still on the OpenCRVS side is shown as well`() async throws {
    try await Bench.run { bench async throws in
      try await bench.pool.with { connection in
        let event: JSONValue = [
          "topic": "DEATH_REGISTERED", "kind": "death", "registrationNumber": .string(number), "numberKind": "DRN",
          "status": "Failed",
          "errors": [["errorCode": "OPN-CRVS-006", "errorMessage": "no day"]],
        ]
        _ = try connection.execute(
          """
          INSERT INTO regproc.stage_record (stage, collection, key, version, document)
          VALUES ('opencrvs-mediator', 'events', $1, 1, $2::text::jsonb)
          """, [.text("\(record):death"), .text(String(decoding: event.encoded(), as: UTF8.self))])
        let found = try #require(try RecordJourney.read(number, on: connection)?.changes.first)
        #expect(found.kind == "death" && found.status == "Failed" && found.errorCode == "OPN-CRVS-006")
        // Once the MOSIP side has it, it is shown once.
        try put("change_transactions", "\(record):death", change("Told"), connection)
        #expect(try RecordJourney.read(number, on: connection)?.changes.map(\.status) == ["Told"])
      }
    }
  }
}
