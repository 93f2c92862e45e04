import TestSupport
import Glibc
import JSON
import Testing

extension ProgramTests {
  /// `regproc demo`, as a person or a script runs it.
  @Suite struct DemoTests {
    private static let keys = [
      "file", "kind", "registrationNumber", "rid", "result", "errorCode", "uinToken", "hops", "seconds", "changed",
    ]

    private func lines(_ ended: Program.Ended) throws -> [JSONValue] { try ended.lines.map { try JSONValue.parse($0) } }

    @Test func `the JSON lines have the keys of the design and nothing else is on output`() async throws {
      let folder = try TemporaryFolder()
      let ended = try await Program.run("demo", "--births", "3", "--json", "--data", folder.path + "/data")
      #expect(ended.code == 0, "\(ended.errors)")
      let results = try lines(ended)
      #expect(results.count == 3)
      for result in results {
        #expect(result.object?.map(\.key) == Self.keys)
        #expect(result["kind"]?.string == "birth")
        #expect(result["result"]?.string == "uin-token")
        #expect(result["errorCode"] == .null)
        #expect(result["rid"]?.string?.utf8.count == 29)
        #expect(result["uinToken"]?.string?.isEmpty == false)
        let hops = result["hops"]?.array ?? []
        #expect(hops.count == 9 || hops.count == 10, "with or without the introducer validator")
        for hop in hops {
          #expect(hop.object?.map(\.key) == ["stage", "verdict", "milliseconds"])
          #expect(hop["verdict"]?.string == "passed")
        }
      }
      #expect(ended.errors.contains("3 of 3 events ended as they should"))
      #expect(!ended.errors.contains("\u{1b}") && !ended.errors.contains("\r"), "progress is for a terminal")
      #expect(Processes.of(folder.path) == [])

      // What it left can be looked at.
      let rid = results[0]["rid"]?.string ?? ""
      let journey = try await Program.run("journey", rid, "--data", folder.path + "/data", "--json")
      #expect(journey.code == 0, "\(journey.errors)")
      #expect(try JSONValue.parse(journey.output)["hops"]?.array?.count == results[0]["hops"]?.array?.count)
      // The phone of every third birth is none that the identity schema takes: it is not in the packet, and the journey says so.
      var leftOut: [String] = []
      for result in results {
        let journey = try await Program.run("journey", result["rid"]?.string ?? "", "--data", folder.path + "/data", "--json")
        leftOut += try JSONValue.parse(journey.output)["leftOut"]?.array?.compactMap(\.string) ?? []
      }
      #expect(leftOut.contains("phone: the event's does not fit the identity schema"), "\(leftOut)")
      let unknown = try await Program.run("journey", "1", "--data", folder.path + "/data")
      #expect(unknown.code == 1 && unknown.output.isEmpty)
    }

    @Test func `events go to a pipeline of elsewhere`() async throws {
      let folder = try TemporaryFolder()
      let (data, port, openCRVS) = (folder.path + "/data", freePort(), freePort())
      let own = "http://127.0.0.1:\(openCRVS)"
      let up = try await Program(
        ["up", "--data", data, "--port", "\(port)", "--log-level", "warning"],
        environment: [
          "REGPROC_STAGE_OPENCRVS_MEDIATOR_OPENCRVS_URL": own + "/mosip-openhim-mediator",
          "REGPROC_STAGE_MOSIP_MEDIATOR_LOCATIONS_URL": own + "/location",
        ])
      #expect(try await eventually { up.errors.contains("takes events") || !up.isRunning })
      #expect(up.isRunning, "\(up.errors)")
      let ended = try await Program.run(
        "demo", "--births", "3", "--json", "--data", data, "--to", "http://127.0.0.1:\(port)/webhooks", "--listen",
        "127.0.0.1:\(openCRVS)")
      #expect(ended.code == 0, "\(ended.errors) \(up.errors.suffix(1000))")
      let results = try lines(ended)
      #expect(
        results.count == 3 && results.allSatisfy { $0["result"]?.string == "uin-token" && ($0["hops"]?.array?.count ?? 0) >= 9 })
      up.signal(SIGTERM)
      #expect(try await up.ended().code == 0)
      let nowhere = try await Program.run(
        "demo", "--births", "1", "--data", folder.path + "/none", "--to", "http://127.0.0.1:1/webhooks")
      #expect(nowhere.code == 1 && nowhere.errors.contains("--to needs the database"), "\(nowhere.errors)")
    }

    @Test func `files of all forms get their tokens and bad ones their code`() async throws {
      let folder = try TemporaryFolder()
      let made = try await Program.run("sample", "births", folder.path, "--births", "3", "--run", "FILES")
      #expect(made.code == 0 && made.output.isEmpty)
      let births = TemporaryFolder.names(in: folder.path).map { folder.path + "/" + $0 }
      #expect(births.count == 3)
      // Of the three made-up forms the newest one alone has a Composition.
      let texts = births.map { String(decoding: TemporaryFolder.read($0) ?? [], as: UTF8.self) }
      #expect(texts.filter { $0.contains("\"Composition\"") }.count == 1)
      let noJSON = try folder.write("a letter, not an event", to: "letter.txt")
      let childless = try folder.write(
        """
        {"timestamp":"2025-09-01T08:00:00.000Z","id":"1","event":{"hub":{"topic":"BIRTH_REGISTERED"},"context":[{"resourceType":"Bundle",
        "entry":[{"resource":{"resourceType":"Task","focus":{"reference":"Composition/c-1"},"identifier":[
        {"system":"http://opencrvs.org/specs/id/birth-registration-number","value":"2025BNOCHILD"}]}}]}]}}
        """, to: "childless.json")
      let ended = try await Program.run(
        ["demo"] + births + [noJSON, childless, "--json", "--data", folder.path + "/data"])
      #expect(ended.code == 1, "not every event ended as its kind should")
      let results = try lines(ended)
      #expect(results.map { $0["result"]?.string } == ["uin-token", "uin-token", "uin-token", "error", "error"], "\(ended.errors)")
      #expect(results.map { $0["errorCode"]?.string } == [nil, nil, nil, "OPN-CRVS-001", "OPN-CRVS-001"])
      #expect(results.map { $0["file"]?.string }.suffix(2) == ["letter.txt", "childless.json"])
      #expect(results.allSatisfy { $0.object?.map(\.key) == Self.keys })
      #expect(results[3]["rid"] == .null && results[4]["rid"] == .null)

      // Sent once more to the same folder: the same RIDs and tokens, none of them new.
      let again = try await Program.run(["demo"] + births + ["--json", "--data", folder.path + "/data"])
      #expect(again.code == 0, "\(again.errors)")
      let repeated = try lines(again)
      #expect(repeated.map { $0["rid"]?.string } == results.prefix(3).map { $0["rid"]?.string })
      #expect(repeated.map { $0["uinToken"]?.string } == results.prefix(3).map { $0["uinToken"]?.string })
    }

    @Test func `a file that is not there starts nothing`() async throws {
      let folder = try TemporaryFolder()
      let ended = try await Program.run("demo", folder.path + "/none.json", "--data", folder.path + "/data")
      #expect(ended.code == 1 && ended.output.isEmpty)
      #expect(ended.errors.contains("none.json cannot be read"))
      #expect(TemporaryFolder.names(in: folder.path).isEmpty)
    }

    @Test func `the table holds one line for each birth and shortens tokens`() async throws {
      let folder = try TemporaryFolder()
      let ended = try await Program.run("demo", "--births", "2", "--data", folder.path + "/data")
      #expect(ended.code == 0, "\(ended.errors)")
      #expect(ended.lines.count == 3)
      #expect(ended.lines[0].hasPrefix("registration "))
      #expect(ended.lines.dropFirst().allSatisfy { $0.contains("...") && $0.contains("passed") })
    }

    @Test func `what must fail is good when it fails by its code`() async throws {
      let folder = try TemporaryFolder()
      let made = try await Program.run("sample", "events", folder.path + "/events", "--run", "FAILS")
      #expect(made.code == 0, "\(made.errors)")
      let names = TemporaryFolder.names(in: folder.path + "/events").filter { $0.contains("-birth-error-") }
      #expect(names.count == 2)
      let files = names.map { "\(folder.path)/events/\($0)" }
      let ended = try await Program.run(["demo", "--kind", "error"] + files + ["--json", "--data", folder.path + "/data"])
      #expect(ended.code == 0, "\(ended.errors)")
      let results = try lines(ended)
      #expect(results.map { $0["errorCode"]?.string } == ["OPN-CRVS-006", "OPN-CRVS-006"])
      #expect(results.allSatisfy { $0["rid"]?.string?.utf8.count == 29 && $0["seconds"] != .null })
      // The same files as births, which they should have been.
      let births = try await Program.run(["demo", "--kind", "birth"] + files + ["--data", folder.path + "/data"])
      #expect(births.code == 1 && births.lines.count == 3 && births.output.contains("OPN-CRVS-006"), "\(births.errors)")
      #expect(births.errors.contains("0 of 2 events ended as they should"))
    }
  }
}
