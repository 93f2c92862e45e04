import System
import Testing

@testable import Operations
@testable import RegprocMain

extension ProgramTests {
  /// What `regproc doctor` makes of its checks.
  @Suite struct DoctorTests {
    private func run(_ checks: [DoctorCheck], data: String) async throws -> (lines: [String], isGood: Bool) {
      var lines: [String] = []
      let around = Surroundings(console: Console(environment: [:]), environment: [:], program: Program.regproc)
      let settings = try Settings(
        Arguments(["--home", Program.repository, "--data", data], for: DoctorCommand.command), around)
      let doctor = Doctor(settings, around, tell: { lines.append("\($0.kind) \($0.name): \($0.text)") })
      defer { doctor.blocking.close() }
      for check in checks { try await check.look(doctor, DoctorReport(doctor, check)) }
      return (lines, doctor.isGood)
    }

    @Test func `what fails is told with its remedy and the rest is looked at too`() async throws {
      let folder = try TemporaryFolder()
      let file = try folder.write("no folder", to: "file")
      let checks = DoctorFiles.checks + [DoctorFiles.data, DoctorPlatform.scanner]
      let good = try await run(checks, data: folder.path + "/data")
      #expect(good.isGood && good.lines.allSatisfy { $0.hasPrefix("good ") }, "\(good.lines)")
      #expect(good.lines.count == checks.count)
      let bad = try await run(checks, data: file + "/data")
      #expect(!bad.isGood && bad.lines.count == checks.count, "\(bad.lines)")
      let failed = bad.lines.filter { $0.hasPrefix("bad ") }
      #expect(
        failed.count == 1 && failed[0].hasPrefix("bad data: ") && failed[0].hasSuffix("; \(DoctorFiles.data.remedy)"), "\(failed)")
    }

    @Test func `says what OpenCRVS can be told no more, and what soon cannot be, and nothing where there is nothing`() async throws
    {
      func lines(_ lost: Awaited.Count, _ ending: Awaited.Count) async throws -> [String] {
        let check = DoctorCheck("awaited", remedy: "the remedy") { _, report in DoctorOpenCRVS.tell(lost, ending, report) }
        return try await run([check], data: "/nowhere").lines
      }
      let (none, some) = (Awaited.Count(count: 0, since: nil), Awaited.Count(count: 3, since: Instant(milliseconds: 0)))
      #expect(try await lines(none, none) == [])
      let bad = try await lines(some, none)
      #expect(bad.count == 1 && bad[0].hasPrefix("bad awaited: OpenCRVS can be told no more of 3, the oldest since 1970-01-01"))
      #expect(bad[0].hasSuffix("; the remedy"))
      let warn = try await lines(none, some)
      #expect(warn.count == 1 && warn[0].hasPrefix("warn awaited: ") && warn[0].contains(" for 3, the oldest since 1970-01-01"))
    }

    @Test func `the table of what OpenCRVS waits for has the record, the times and the last error`() {
      let row = Awaited(
        record: "e1", key: "a1", question: "register", generation: "actions", status: "Waiting",
        since: Instant(milliseconds: 0), until: Instant(milliseconds: 604_800_000), code: "OPN-CRVS-004", error: "answers 500")
      let text = AwaitedCommand.table([row.json]).rendered(Console(environment: [:]))
      let lines = text.split(separator: "\n").map { $0.split(separator: "  ").map { String($0).trimmed } }
      #expect(lines.last == ["e1", "register", "Waiting", "1970-01-01 00:00", "1970-01-08 00:00", "OPN-CRVS-004"])
    }

    @Test func `each check has a name of its own`() {
      let names = DoctorCommand.checks.map(\.name)
      #expect(Set(names).count == names.count && DoctorCommand.checks.allSatisfy { !$0.remedy.isEmpty }, "\(names)")
    }
  }
}
