import Foundation
import JSON
import TestSupport
import Testing

extension ProgramTests {
  /// The program of examples/swift-stage: ours with one stage more.
  @Suite struct ExampleTests {
    private static let program = String(Program.regproc.dropLast("regproc".count)) + "example-regproc"

    /// A home as docs/writing-a-stage.md has it made: a copy of ours, the example's stage, and a line in the route file.
    private func makeHome(_ folder: String) throws -> String {
      let (home, ours, files) = (folder + "/home", Program.repository, FileManager.default)
      try files.createDirectory(atPath: home, withIntermediateDirectories: true)
      try files.copyItem(atPath: ours + "/stages", toPath: home + "/stages")
      try files.copyItem(
        atPath: ours + "/examples/swift-stage/stages/late-registration", toPath: home + "/stages/late-registration")
      let routes = try String(contentsOfFile: ours + "/routes.yaml", encoding: .utf8)
      let line = "      - packet-validator\n"
      let place = try #require(routes.firstRange(of: line)).upperBound
      let withStage = routes[..<place] + "      - late-registration\n" + routes[place...]
      try String(withStage).write(toFile: home + "/routes.yaml", atomically: true, encoding: .utf8)
      return home
    }

    @Test func `births go through a stage of one's own`() async throws {
      let folder = try TemporaryFolder()
      let home = try makeHome(folder.path)
      let check = try await Program.run(["routes", "check", "--home", home], program: Self.program)
      #expect(check.code == 0, "\(check.output) \(check.errors)")
      let ours = try await Program.run("routes", "check", "--home", home)
      #expect(ours.code != 0 && (ours.output + ours.errors).contains("there is no plugin 'late-registration'"))

      let ended = try await Program.run(
        ["demo", "--births", "3", "--json", "--home", home, "--data", folder.path + "/data"], program: Self.program)
      #expect(ended.code == 0, "\(ended.errors)")
      let hops = try ended.lines.flatMap { try JSONValue.parse($0)["hops"]?.array ?? [] }
      #expect(hops.contains { $0["stage"]?.string == "late-registration" && $0["verdict"]?.string == "passed" })
    }
  }
}
