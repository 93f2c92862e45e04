import System
import Testing

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

    @Test func `each check has a name of its own`() {
      let names = DoctorCommand.checks.map(\.name)
      #expect(Set(names).count == names.count && DoctorCommand.checks.allSatisfy { !$0.remedy.isEmpty }, "\(names)")
    }
  }
}
