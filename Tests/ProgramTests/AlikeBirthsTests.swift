import TestSupport
import Glibc
import JSON
import StandIn
import System
import Testing

extension ProgramTests {
  /// One child that the civil registry registered twice.
  @Suite struct AlikeBirthsTests {
    @Test func `one child under two numbers gets two UINs and stands in the report`() async throws {
      let (folder, side) = (try TemporaryFolder(), try OpenCRVSSide())
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let program = try await pipeline.start()
      var births = OpenCRVSSide.births(3, run: "ALIKE")
      births[1].body = Array(
        String(decoding: births[0].body, as: UTF8.self)
          .replacing(births[0].registrationNumber, with: births[1].registrationNumber)
          .replacing(births[0].recordId, with: births[1].recordId).utf8)
      let first = Instant.now
      // The same event twice is one birth.
      let sender = WebhookSender(births + [births[0]], to: pipeline.url + "/webhooks")
      sender.allow(births.count + 1)
      await sender.run()
      let numbers = births.map(\.registrationNumber)
      #expect(try await eventually { side.standIn.ended(among: numbers) == 3 }, "\(program.errors.suffix(2000))")
      let outcome = try await Outcome.atRest(try pipeline.database())
      #expect(Set(outcome.uins.values).count == 3, "each number keeps its UIN")

      // Midnight may have passed meanwhile: both days together.
      var groups: [[JSONValue]] = []
      for day in Set([first, Instant.now].map { String($0.iso.prefix(10)) }) {
        let report = try await Program.run("report", "--day", day, "--json", "--data", pipeline.folder)
        #expect(report.code == 0, "\(report.errors)")
        groups = (try JSONValue.parse(report.output)["alike"]?.array ?? []).compactMap(\.array)
        if !groups.isEmpty { try await listed(day, births, pipeline) }
      }
      #expect(
        groups.count == 1 && Set(groups.flatMap { $0 }.compactMap { $0["registrationNumber"]?.string }) == Set(numbers.prefix(2)))
      let rids = Set(groups.flatMap { $0 }.compactMap { $0["rid"]?.string })
      #expect(rids.isSubset(of: outcome.rids), "\(groups)")
      #expect(groups.flatMap { $0 }.allSatisfy { $0["outcome"] == "done" && $0["kind"] == "birth" }, "\(groups)")
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0)
      #expect(!program.errors.contains("ikeness"))
      await side.stop()
    }

    /// For a person and for a spreadsheet; neither has a name or what it is compared by.
    private func listed(_ day: String, _ births: [SampleBirths.Birth], _ pipeline: UpPipeline) async throws {
      let words = ["report", "--day", day, "--data", pipeline.folder]
      let text = try await Program.run(words)
      #expect(text.output.contains("Births that look like one child under two numbers") && text.output.contains("count"), "\(text)")
      let table = try await Program.run(words + ["--alike", "--csv"])
      #expect(table.lines.count == 3 && table.lines.first == "group,number,rid,arrived,outcome,result", "\(table)")
      #expect(table.lines.dropFirst().allSatisfy { $0.hasPrefix("1,") })
      let counts = try await Program.run(words + ["--csv"])
      #expect(counts.lines.first == "kind,outcome,result,count" && counts.lines.allSatisfy { $0.split(separator: ",").count >= 3 })
      let kept = try await pipeline.query(
        "SELECT DISTINCT document->>'likeness' FROM regproc.stage_record WHERE collection = 'birth_likenesses'")
      #expect(kept.count == 2)
      for output in [text.output, table.output, counts.output] {
        #expect(!kept.contains { output.contains($0) } && !output.contains(births[0].givenName))
      }
      for output in [text.output, table.output] {
        #expect(births[..<2].allSatisfy { output.contains($0.registrationNumber) })
      }
    }
  }
}
