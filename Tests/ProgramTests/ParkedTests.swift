import ObjectStores
import TestSupport
import Glibc
import JSON
import Postgres
import Registration
import StandIn
import System
import Testing

@testable import EmbeddedPlatform
@testable import RegprocMain

extension ProgramTests {
  /// Events that an earlier version kept because their topic had no way to MOSIP yet.
  @Suite struct ParkedTests {
    @Test func `deaths that an earlier version parked end after a start and are the same when sent again`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let webhooks = pipeline.url + "/webhooks"
      let events = SampleEvents(seed: 7, run: "PARKED", year: 2025, at: .now).only(.topic("DEATH_REGISTERED")).map { DemoEvent($0) }
      let births = events.filter(\.isBirthToToken)
      var deaths = events.filter { $0.kind == .death }
      // One of them is about somebody else than its number says, and has its end too.
      let stranger = SampleEvents(seed: 7, run: "PARKED", year: 2025, at: .now).all().first {
        $0.name == "error-death-of-somebody-else"
      }
      deaths.append(DemoEvent(try #require(stranger)))
      let eighth = SampleEvents(seed: 7, run: "PARKED", year: 2025, at: .now).all().first { $0.name == "sample-8" }
      let all = births + [DemoEvent(try #require(eighth))]

      var program = try await pipeline.start()
      for birth in all { #expect(try await side.standIn.send(birth.body, to: webhooks) == []) }
      let numbers = all.compactMap(\.registrationNumber)
      #expect(try await eventually { side.standIn.ended(among: numbers) == numbers.count })
      for death in deaths { try await park(death, pipeline) }
      #expect(try await count("'Parked'", pipeline) == deaths.count)
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)

      program = try await pipeline.start()
      var outcome = ChangeOutcome()
      let haveEnded = try await eventually {
        outcome = try await ChangeOutcome.read(deaths, pipeline)
        return outcome.haveEnded(deaths)
      }
      #expect(haveEnded, "\(outcome.open(deaths)): \(program.errors.suffix(2000))")
      #expect(try await count("'Parked'", pipeline) == 0)
      #expect(try await Outcome.atRest(try pipeline.database()).isAtRest)
      outcome = try await ChangeOutcome.read(deaths, pipeline)
      outcome.expect(EventLines(all.map { birth in [birth] + deaths.filter { $0.isAbout(birth) } }), at: side.standIn)
      let aids = deaths.map { outcome.states[$0.key ?? ""]?.aid }
      #expect(Set(aids).count == deaths.count && !aids.contains(nil))

      // OpenCRVS sends them again.
      for death in deaths { #expect(try await side.standIn.send(death.body, to: webhooks) == [], "\(death.name)") }
      #expect(try await Outcome.atRest(try pipeline.database()).isAtRest)
      let again = try await ChangeOutcome.read(deaths, pipeline)
      #expect(deaths.map { again.states[$0.key ?? ""]?.aid } == aids)
      #expect(try await count("document->>'status'", pipeline) == all.count + deaths.count)
      again.expect(EventLines(all.map { birth in [birth] + deaths.filter { $0.isAbout(birth) } }), at: side.standIn)
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)
      await side.stop()
    }

    /// Leaves an event as the version before left those that it had no way for: keyed by topic and the moment of its Task.
    private func park(_ event: DemoEvent, _ pipeline: UpPipeline) async throws {
      let value = try JSONValue.parse(event.body)
      let resources = (value["event"]?["context"]?[0]?["entry"]?.array ?? []).compactMap { $0["resource"] }
      let modified = try #require(resources.first { $0["resourceType"]?.string == "Task" }?["lastModified"]?.string)
      let (record, number) = (try #require(event.recordId), try #require(event.registrationNumber))
      // Longer than 64 characters: the key is the SHA-256.
      let key = try await pipeline.query("SELECT encode(sha256('\(record):DEATH_REGISTERED:\(modified)'), 'hex')")[0]
      let object = "\(Encoding.hex(SecureRandom.bytes(32))).json"
      let blocking = BlockingPool(name: "objects", threads: 1)
      defer { blocking.close() }
      try await FileObjectStore(folder: pipeline.folder + "/platform/objects", blocking: blocking).put(
        value.encoded(), account: "opencrvs-events", container: key, key: object)
      let document: JSONValue = [
        "topic": "DEATH_REGISTERED", "recordId": .string(record), "numberKind": "DRN", "registrationNumber": .string(number),
        "digest": .string(String(object.dropLast(5))), "object": .string(object), "status": "Parked",
      ]
      let text = String(decoding: document.encoded(), as: UTF8.self)
      try await pipeline.read { connection in
        _ = try connection.execute(
          """
          INSERT INTO regproc.stage_record (stage, collection, key, version, document)
          VALUES ('opencrvs-mediator', 'events', $1, 1, $2::text::jsonb)
          """, [.text(key), .text(text)])
      }
    }

    /// How many events the OpenCRVS side has of a status.
    private func count(_ status: String, _ pipeline: UpPipeline) async throws -> Int {
      let sql =
        "SELECT count(*)::text FROM regproc.stage_record WHERE stage = 'opencrvs-mediator' AND collection = 'events' "
        + "AND document->>'status' = \(status)"
      return Int(try await pipeline.query(sql)[0]) ?? -1
    }
  }
}

extension DemoEvent {
  /// Whether it names a birth by its number.
  fileprivate func isAbout(_ birth: DemoEvent) -> Bool {
    String(decoding: body, as: UTF8.self).contains("\"\(birth.registrationNumber ?? "-")\"")
  }
}
