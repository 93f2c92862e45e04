import TestSupport
import FoundationEssentials
import Glibc
import HTTP
import JSON
import StandIn
import Testing

extension ProgramTests {
  /// What an operator does with a running pipeline: looks at a registration, runs it again, edits the route.
  @Suite struct OperatorTests {
    private func health(_ pipeline: UpPipeline) async throws -> JSONValue? {
      let client = Client()
      defer { client.close() }
      return try JSONValue.parse(try await client.send(ClientRequest(url: pipeline.admin + "/actuator/health")).body)[
        "components"]?["routes"]
    }

    private func send(_ births: [SampleBirths.Birth], to pipeline: UpPipeline) async throws {
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      sender.allow(births.count)
      await sender.run()
      #expect(
        try await eventually { pipeline.side.standIn.ended(among: births.map(\.registrationNumber)) == births.count })
    }

    @Test func `a replayed birth keeps its UIN and one in flight or unknown is not replayed`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let births = OpenCRVSSide.births(2, run: "REPLAY")
      let program = try await pipeline.start()
      try await send(births, to: pipeline)
      let before = try await Outcome.atRest(try pipeline.database())
      let rid = try #require(side.standIn.returned(births[0].registrationNumber).rid)

      let unknown = try await Program.run("replay", String(repeating: "1", count: 29), "--data", pipeline.folder)
      #expect(
        unknown.code == 1 && unknown.output.isEmpty && unknown.errors.contains("is not known"), "\(unknown.errors)")
      #expect(unknown.errors.contains("the journal of the data folder \(pipeline.folder)"), "\(unknown.errors)")
      let noStage = try await Program.run("replay", rid, "--from", "uin-generatr", "--force", "--data", pipeline.folder)
      #expect(noStage.code == 1 && noStage.errors.contains("uin-generator"), "\(noStage.errors)")

      let completed = try await Program.run("replay", rid, "--data", pipeline.folder)
      #expect(
        completed.code == 1 && completed.output.isEmpty && completed.errors.contains("is completed"),
        "\(completed.errors)")
      let tried = try await Program.run("replay", rid, "--force", "--dry-run", "--data", pipeline.folder)
      #expect(tried.code == 0 && tried.output.contains("not started"), "\(tried.errors)")

      // While it runs.
      let replayed = try await Program.run(
        "replay", rid, "--force", "--from", "uin-generator", "--reason", "a drill", "--author", "operator", "--data",
        pipeline.folder)
      #expect(replayed.code == 0, "\(replayed.errors)")
      #expect(replayed.output == "RID \(rid): run 2 from uin-generator\n")
      let after = try await Outcome.atRest(try pipeline.database())
      #expect(after.uins == before.uins)
      #expect(after.credentials == before.credentials)
      #expect(after.verdicts[rid]?["uin-generator"] == ["passed", "passed"])
      #expect(after.verdicts[rid]?["packet-validator"] == ["passed"])
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)

      // While nothing runs: it waits for the next start, and is in flight until then.
      let waiting = try await Program.run("replay", rid, "--force", "--data", pipeline.folder)
      #expect(waiting.code == 0 && waiting.errors.contains("begins with the next start"), "\(waiting.errors)")
      let inFlight = try await Program.run("replay", rid, "--data", pipeline.folder)
      #expect(
        inFlight.code == 1 && inFlight.output.isEmpty && inFlight.errors.contains("is in flight"), "\(inFlight.errors)")
      let list = try await Program.run("registrations", "list", "--json", "--status", "waiting", "--data", pipeline.folder)
      let waits = try JSONValue.parse(list.output)
      #expect(waits["rid"]?.string == rid && waits["state"]?.string == "waiting", "\(list.errors)")
      #expect(waits["kind"]?.string == "birth")
      #expect(waits["registrationNumber"]?.string == births[0].registrationNumber)
      let all = try await Program.run("registrations", "list", "--data", pipeline.folder)
      #expect(all.errors.contains("2 all registrations") && all.output.contains(rid) && all.output.contains("(waiting)"), "\(all)")
      let misspelt = try await Program.run("registrations", "list", "--stage", "uin-generatr", "--data", pipeline.folder)
      #expect(misspelt.code == 1 && misspelt.output.isEmpty && misspelt.errors.contains("did you mean uin-generator?"))
      let next = try await pipeline.start()
      let followed = try await Program.run("journey", rid, "--follow", "--data", pipeline.folder)
      #expect(followed.code == 0 && followed.output.contains("ended: PROCESSED"), "\(followed.output)\(followed.errors)")
      #expect((all.output + followed.output).split(separator: "\n").allSatisfy { $0.count <= 80 }, "\(followed.output)")
      let last = try await Outcome.atRest(try pipeline.database())
      #expect(last.uins == before.uins && last.credentials == before.credentials)
      #expect(last.verdicts[rid]?["uin-generator"] == ["passed", "passed", "passed"])

      let journey = try JSONValue.parse(
        try await Program.run("journey", rid, "--json", "--data", pipeline.folder).output)
      #expect(journey["status"]?.string == "PROCESSED")
      #expect(journey["replays"]?.array?.map { $0["run"]?.int } == [2, 3])
      #expect(
        journey["replays"]?[0]?["author"]?.string == "operator"
          && journey["replays"]?[0]?["reason"]?.string == "a drill")
      let hops = journey["hops"]?.array ?? []
      #expect(hops.map { $0["run"]?.int ?? 0 } == hops.map { $0["run"]?.int ?? 0 }.sorted())
      for hop in hops {
        #expect(hop["verdict"]?.string == "passed" && hop["try"]?.int == 1)
        #expect(
          hop["statusCode"]?.string?.isEmpty == false && hop["doneAt"]?.string != nil && hop["milliseconds"] != .null)
      }

      try await many(births.map(\.registrationNumber), pipeline, folder)
      let end = try await Outcome.atRest(try pipeline.database())
      #expect(end.uins == before.uins && end.credentials == before.credentials)
      next.signal(SIGINT)
      #expect(try await next.ended().code == 0)
      await side.stop()
    }

    /// Both births by their numbers: interrupted and resumed at the command line, then over HTTP.
    private func many(_ numbers: [String], _ pipeline: UpPipeline, _ folder: TemporaryFolder) async throws {
      let file = try folder.write("# numbers\n" + numbers.joined(separator: "\n") + "\nno RID\n", to: "numbers.txt")
      let words = ["replay", "--file", file, "--force", "--rate", "1/m", "--data", pipeline.folder]
      let unasked = try await Program.run(words)
      #expect(unasked.code == 1 && unasked.errors.contains("--yes"), "\(unasked.errors)")
      let junk = try await Program.run(words + ["--yes"])
      #expect(junk.code == 1 && junk.errors.contains("line 4:"), "\(junk.errors)")
      let looked = try await Program.run(words + ["--skip-bad", "--dry-run"])
      #expect(
        looked.code == 0 && looked.errors.contains("2 selected") && looked.errors.contains("Nothing was sent"), "\(looked.errors)")
      let everything = try await Program.run("replay", "--limit", "1", "--data", pipeline.folder)
      #expect(everything.code == 1 && everything.output.isEmpty, "\(everything.errors)")
      #expect(try await pipeline.query("SELECT id::text FROM regproc.replay_job").isEmpty)

      let command = try await Program(words + ["--skip-bad", "--yes"])
      #expect(
        try await eventually {
          try await pipeline.query("SELECT rid FROM regproc.replay_item WHERE state = 'started'").count == 1
        })
      command.signal(SIGINT)
      let interrupted = try await command.ended()
      #expect(interrupted.code == 1 && interrupted.errors.contains("replay resume "), "\(interrupted.errors)")
      let id = try #require(try await pipeline.query("SELECT id::text FROM regproc.replay_job").first)
      let resumed = try await Program.run("replay", "resume", id, "--data", pipeline.folder)
      #expect(resumed.code == 0 && resumed.output.contains("2 run again, 0 refused"), "\(resumed.output) \(resumed.errors)")
      let jobs = try await Program.run("replay", "jobs", "--data", pipeline.folder)
      #expect(jobs.output.contains("done") && jobs.lines.allSatisfy { $0.count <= 80 }, "\(jobs.output)")
      #expect(try await Program.run("replay", "cancel", id, "--data", pipeline.folder).code == 1)
      #expect(try await Program.run("held", "list", "--data", pipeline.folder).errors.contains("Nothing is held"))
      _ = try await Outcome.atRest(try pipeline.database())

      let client = Client()
      defer { client.close() }
      let body: JSONValue = ["author": "operator", "rids": .array(numbers.map { .string($0) }), "force": true]
      var request = ClientRequest(method: "POST", url: pipeline.admin + "/regproc/v1/replays", body: .bytes(body.encoded()))
      request.headers["Content-Type"] = "application/json"
      let made = try JSONValue.parse(try await client.send(request).body)
      let url = pipeline.admin + "/regproc/v1/replays/\(made["id"]?.int ?? 0)"
      #expect(
        try await eventually {
          try JSONValue.parse(try await client.send(ClientRequest(url: url)).body)["counts"]?["started"]?.int == 2
        }, "\(made)")
    }

    @Test func `a changed route is taken while running and a bad one is refused`() async throws {
      let folder = try TemporaryFolder()
      let shipped = String(decoding: TemporaryFolder.read(Program.repository + "/routes.yaml") ?? [], as: UTF8.self)
      let routes = try folder.write(shipped, to: "routes.yaml")
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side, options: ["--routes", routes])
      let births = OpenCRVSSide.births(3, run: "ROUTES")
      func verdicts(_ birth: Int) async throws -> [String: [String]]? {
        let rid = side.standIn.returned(births[birth].registrationNumber).rid ?? ""
        return try await Outcome.atRest(try pipeline.database()).verdicts[rid]
      }
      let program = try await pipeline.start()
      let first = try await health(pipeline)?["digest"]?.string
      try await send([births[0]], to: pipeline)
      #expect(try await verdicts(0)?["introducer-validator"] == nil)

      // One line's edit: every packet goes through the introducer validator.
      let edited = shipped.replacing("- to: uin-generator ", with: "- to: introducer-validator ")
      #expect(edited != shipped)
      _ = try folder.write(edited, to: "routes.yaml")
      #expect(try await eventually { try await health(pipeline)?["digest"]?.string != first })
      let second = try await health(pipeline)?["digest"]?.string
      try await send([births[1]], to: pipeline)
      #expect(try await verdicts(1)?["introducer-validator"] == ["passed"])

      // A bad one changes nothing and shows in health and on standard error.
      _ = try folder.write(edited.replacing("- packet-uploader", with: "- packet-uploadr"), to: "routes.yaml")
      #expect(try await eventually { try await health(pipeline)?["refused"]?.string != nil })
      #expect(try await health(pipeline)?["digest"]?.string == second)
      #expect(program.errors.contains("\(routes):") && program.errors.contains("packet-uploadr"))
      try await send([births[2]], to: pipeline)
      #expect(try await verdicts(2)?["introducer-validator"] == ["passed"])
      // Once it is good again, nothing is refused any more.
      _ = try folder.write(shipped, to: "routes.yaml")
      program.signal(SIGHUP)
      #expect(try await eventually { try await health(pipeline)?["digest"]?.string == first })
      #expect(try await health(pipeline)?["refused"] == .null)
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0)
      await side.stop()
    }
  }
}
