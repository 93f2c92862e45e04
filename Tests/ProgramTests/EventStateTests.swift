import JSON
import Postgres
import StageRuntime
import System
import TestSupport
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// How the demo tells from the mediators' records what became of an event.
  @Suite struct EventStateTests {
    private let key = "c0ffee00-0000-4000-8000-0000000000d1:death"

    private func states(_ records: [(stage: String, collection: String, key: String, document: JSONValue)]) async throws
      -> EventState?
    {
      let (database, pool) = (try await TestDatabase.make(EngineSchema.migrations), BlockingPool(name: "states", threads: 1))
      defer { pool.close() }
      return try await pool.run {
        let connection = try Connection(database)
        defer { connection.close() }
        for record in records {
          _ = try connection.execute(
            "INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES ($1, $2, $3, 1, $4::text::jsonb)",
            [
              .text(record.stage), .text(record.collection), .text(record.key),
              .text(String(decoding: record.document.encoded(), as: UTF8.self)),
            ])
        }
        return try EventState.read(keys: [key], on: connection)[key]
      }
    }

    private func change(_ status: String, what: String? = nil, code: String? = nil) -> (String, String, String, JSONValue) {
      (
        "mosip-mediator", "change_transactions", key,
        [
          "kind": "death", "rid": "45451454520734120261129153731", "status": .string(status), "what": JSONValue(what),
          "errorCode": JSONValue(code),
        ]
      )
    }

    private func told(_ status: String, what: String? = nil, code: String? = nil) -> (String, String, String, JSONValue) {
      let errors: JSONValue = code.map { [["errorCode": .string($0), "errorMessage": "so it is"]] } ?? []
      return (
        "opencrvs-mediator", "statuses", "death:\(status):\(key)",
        [
          "type": "death", "status": .string(status), "txnId": .string(key), "what": JSONValue(what), "changed": ["dateOfDeath"],
          "uinToken": "341500000000000000000000000000000039", "errors": errors,
        ]
      )
    }

    @Test func `what was told is its end`() async throws {
      let done = try await states([change("Changed", what: "deactivated"), told("success", what: "deactivated")])
      #expect(done?.end == .done(what: "deactivated", changed: ["dateOfDeath"]))
      #expect(done?.aid == "45451454520734120261129153731" && done?.token?.hasPrefix("3415") == true)
      let failed = try await states([change("Failed", code: "OPN-CRVS-029"), told("error", code: "OPN-CRVS-029")])
      #expect(failed?.end == .error("OPN-CRVS-029"))
      let fields = try await states([change("Failed", what: "corrected", code: "OPN-CRVS-018")])
      #expect(fields?.end == .error("OPN-CRVS-018"), "what was decided was not done")
      let untold = try await states([change("Changed", what: "deactivated")])
      #expect(untold != nil && untold?.end == nil)
      let running = try await states([change("Verified")])
      #expect(running != nil && running?.end == nil && running?.isHeld == false)
    }

    @Test func `what is held or released has not ended by the error that was told`() async throws {
      let held = try await states([change("Held", code: "OPN-CRVS-009"), told("error", code: "OPN-CRVS-009")])
      #expect(held?.isHeld == true && held?.end == nil)
      let released = try await states([change("RID Generated", code: "OPN-CRVS-009"), told("error", code: "OPN-CRVS-009")])
      #expect(released?.isHeld == false && released?.end == nil)
      let done = try await states([
        change("Told", what: "activated", code: "OPN-CRVS-009"), told("error", code: "OPN-CRVS-009"),
        told("success", what: "activated"),
      ])
      #expect(done?.end == .done(what: "activated", changed: ["dateOfDeath"]))
      let failed = try await states([change("Failed", code: "OPN-CRVS-017"), told("error", code: "OPN-CRVS-009")])
      #expect(failed?.end == .error("OPN-CRVS-017"), "what came of the release, not why it was held")
    }

    @Test func `what the MOSIP side refuses is an error too`() async throws {
      let event: JSONValue = ["status": "Failed", "errors": [["errorCode": "OPN-CRVS-031", "errorMessage": "no RID"]]]
      #expect(try await states([("opencrvs-mediator", "events", key, event)])?.end == .error("OPN-CRVS-031"))
      #expect(try await states([("opencrvs-mediator", "events", key, ["status": "Received"])])?.end == nil)
      #expect(try await states([]) == nil)
    }

    @Test func `files of one record are sent one after the other`() throws {
      let folder = try TemporaryFolder()
      func file(_ topic: String, _ record: String, _ modified: String) throws -> DemoEvent {
        let kind = topic.hasPrefix("DEATH") ? "DEATH" : "BIRTH"
        return try DemoEvent(
          file: try folder.write(
            """
            {"event":{"hub":{"topic":"\(topic)"},"context":[{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Task",
            "focus":{"reference":"Composition/\(record)"},"lastModified":"\(modified)"}},{"resource":{"resourceType":"Patient",
            "identifier":[{"type":"\(kind)_REGISTRATION_NUMBER","value":"2025\(record)"}]}}]}]}}
            """, to: "\(topic)-\(modified).json"))
      }
      let events = try [
        file("BIRTH_CORRECTED", "b", "2"), file("BIRTH_CORRECTED", "b", "3"), file("DEATH_REGISTERED", "d", "4"),
        file("BIRTH_REGISTERED", "c", "5"), file("DEATH_REVERSED", "d", "6"),
      ]
      #expect(DemoEvent.inWaves(events).map(\.wave) == [1, 2, 1, 0, 2])
      #expect(events.map(\.kind) == [.birthCorrection, .birthCorrection, .death, .birth, .deathReversal])
      #expect(events.map(\.key) == ["b:birth-correction:2", "b:birth-correction:3", "d:death", "c", "d:death-reversal:6"])
      #expect(events.map(\.registrationNumber) == ["2025b", "2025b", "2025d", "2025c", "2025d"])
      #expect(DemoEvent.Kind.allCases.allSatisfy { DemoEvent.Kind(topic: $0.topic) == $0 && !$0.topic.isEmpty })
    }
  }
}
