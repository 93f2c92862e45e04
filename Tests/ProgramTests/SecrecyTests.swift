import TestSupport
import Glibc
import HTTP
import JSON
import Kafka
import Postgres
import Registration
import StandIn
import System
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// Who a person is, and the numbers by which one is found, stand in sealed packets and events alone.
  @Suite struct SecrecyTests {
    private let client = Client(ClientSettings(timeoutSeconds: 120))

    @Test func `no name number or token of a person stands where it could be read`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(
        folder.path + "/data", side: side, logLevel: "debug",
        environment: ["REGPROC_STAGE_MOSIP_MEDIATOR_REVERSAL_ALLOW": "true"])
      let program = try await pipeline.start()
      var samples = SampleBirths(seed: 7, run: "SECRET", year: 2025)
      let births = samples.make(SampleEvents.births)
      let events = SampleEvents(seed: 7, run: "SECRET", year: 2025, at: .now)

      // Births and errors, what comes of them, and what comes of that.
      var (sent, places): ([DemoEvent], [(name: String, text: String)]) = ([], [])
      for wave in 0...2 {
        var some = events.all().filter { $0.wave == wave }
        if wave == 1 {
          // Two deaths name a VID and a UIN.
          let known = try await Secrets.read(pipeline, side.standIn, of: [])
          let numbers = [births[4], births[5]].map { side.standIn.returned($0.registrationNumber).rid ?? "-" }
          let people = [(births[4], known.vidsByRID[numbers[0]]), (births[5], known.uins[numbers[1]])]
          for (index, (birth, number)) in people.enumerated() {
            let identifiers = [("NATIONAL_ID", try #require(number))]
            some.append(events.death("death-by-number", birth, 10 + index, isNew: index == 0, identifiers: identifiers))
          }
        }
        for event in some.map({ DemoEvent(Secrets.marked($0)) }) {
          places.append(("the answer to \(event.name)", try await answer("/webhooks", event.body, pipeline)))
          sent.append(event)
        }
        let haveEnded = try await allHaveEnded(sent, pipeline)
        #expect(haveEnded, "\(program.errors.suffix(2000))")
      }
      for event in sent where event.kind == .birth {
        #expect(side.standIn.returned(event.registrationNumber ?? "").token != nil || !event.isBirthToToken, "\(event.name)")
      }
      let outcome = try await Outcome.atRest(try pipeline.database())
      #expect(outcome.isAtRest, "\(outcome.openWork)")

      let numbers = sent.compactMap(\.registrationNumber)
      var secrets = try await Secrets.read(pipeline, side.standIn, of: numbers)
      secrets.add(sent.flatMap { Self.nationalIds($0.body) })
      // Nothing would be found of what is not known, nor by a search that finds nothing.
      #expect(secrets.counts.uins == births.count && secrets.counts.tokens == births.count && secrets.counts.vids >= births.count)
      #expect(sent.allSatisfy { !secrets.found(in: String(decoding: $0.body, as: UTF8.self)).isEmpty })

      places.append(("/webhooks", try await answer("/webhooks?mode=none", nil, pipeline)))
      for path in ["/actuator/prometheus", "/actuator/health", "/regproc/v1/journey/\(outcome.rids[0])"] {
        places.append((path, try await answer(path, nil, pipeline, at: pipeline.admin)))
      }
      for name in Set(numbers).sorted() + outcome.rids.prefix(4) {
        let journey = try await Program.run("journey", name, "--json", "--data", pipeline.folder)
        places.append(("journey \(name)", journey.output + journey.errors))
      }
      places += try await Self.rows(pipeline)
      places += try Self.records(pipeline)
      program.signal(SIGINT)
      let end = try await program.ended()
      #expect(end.code == 0, "\(end.errors.suffix(2000))")
      places += [("standard output", end.output), ("standard error", end.errors)]

      for place in places {
        let found = secrets.found(in: place.text)
        #expect(found.isEmpty, "\(place.name): \(found)")
      }
      await side.stop()
    }

    /// Status, headers and body of an answer, as one text; a body is sent as OpenCRVS sends it.
    private func answer(_ path: String, _ body: [UInt8]?, _ pipeline: UpPipeline, at base: String? = nil) async throws -> String {
      var request = ClientRequest(url: (base ?? pipeline.url) + path)
      if let body {
        request = ClientRequest(method: "POST", url: pipeline.url + path, body: .bytes(body))
        request.headers.set("Content-Type", "application/json")
        request.headers.set("X-Hub-Signature", HubSignature.openCRVS(body: body, secret: Array(OpenCRVSSide.secret.utf8)))
      }
      let answer = try await client.send(request)
      return "\(answer.status) \(answer.headers) \(String(decoding: answer.body, as: UTF8.self))"
    }

    /// Waits for the end of each; releases what policy holds, as a person does.
    private func allHaveEnded(_ events: [DemoEvent], _ pipeline: UpPipeline) async throws -> Bool {
      let changes = events.filter { !$0.isBirthToToken }
      let births = events.filter(\.isBirthToToken).compactMap(\.registrationNumber)
      var released: Set<String> = []
      return try await eventually {
        let outcome = try await ChangeOutcome.read(changes, pipeline)
        for (key, state) in outcome.states where state.isHeld && released.insert(key).inserted {
          let release = try await Program.run("release", key, "--reason", "looked into", "--data", pipeline.folder)
          #expect(release.code == 0, "\(release.errors)")
        }
        return outcome.haveEnded(changes) && pipeline.side.standIn.ended(among: births) == births.count
      }
    }

    /// The numbers of people that an event names.
    private static func nationalIds(_ body: [UInt8]) -> [String] {
      let entries = (try? JSONValue.parse(body))?["event"]?["context"]?[0]?["entry"]?.array ?? []
      return entries.flatMap { $0["resource"]?["identifier"]?.array ?? [] }.filter {
        ($0["type"]?.string ?? $0["type"]?["coding"]?[0]?["code"]?.string) == "NATIONAL_ID"
      }.compactMap { $0["value"]?.string }
    }

    /// Every row of the tables that people and reports read.
    private static func rows(_ pipeline: UpPipeline) async throws -> [(name: String, text: String)] {
      try await pipeline.read { connection in
        let tables = try connection.execute(
          """
          SELECT table_schema || '.' || table_name FROM information_schema.tables
          WHERE table_schema IN ('regproc', 'regprc', 'audit') ORDER BY 1
          """
        ).map { try $0.text(0) }
        return try tables.map { table in
          let rows = try connection.execute("SELECT to_jsonb(t)::text FROM \(table) AS t").map { try $0.text(0) }
          return (table, rows.joined(separator: "\n"))
        }
      }
    }

    /// Keys, headers and values of everything on the broker.
    private static func records(_ pipeline: UpPipeline) throws -> [(name: String, text: String)] {
      let address = try #require(RunNote.read(in: pipeline.folder)?.kafka)
      let kafka = KafkaSettings(bootstrapServers: address, logsWarnings: false)
      var places: [(name: String, text: String)] = []
      for topic in try KafkaAdmin(settings: kafka).listTopics().keys.sorted() where !topic.hasPrefix("__") {
        let records = try JavaRecord.all(topic, kafka)
        let texts = records.map { "\($0.key) \($0.headers) \(String(decoding: $0.value, as: UTF8.self))" }
        places.append(("topic \(topic)", texts.joined(separator: "\n")))
      }
      #expect(places.contains { !$0.text.isEmpty })
      return places
    }
  }
}
