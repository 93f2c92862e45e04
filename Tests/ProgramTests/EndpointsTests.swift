import JSON
import Testing

extension ProgramTests {
  /// What the program says of its own endpoints.
  @Suite struct EndpointsTests {
    @Test func `every endpoint says who may call it`() async throws {
      let told = try await Program.run("endpoints")
      #expect(told.code == 0 && told.errors.isEmpty, "\(told.errors)")
      let folder = try TemporaryFolder()
      let lines = try await Program.run("endpoints", "--json", environment: ["TMPDIR": folder.path]).lines.map {
        try JSONValue.parse($0)
      }
      #expect(lines.count == told.lines.count - 1 && lines.count > 25)
      #expect(lines.allSatisfy { $0["who"]?.string?.isEmpty == false }, "an endpoint that says nobody who may call it")
      #expect(TemporaryFolder.names(in: folder.path).isEmpty)

      // By the settings in force: the admin listener beyond loopback asks for a role.
      let wide = try await Program.run("endpoints", environment: ["REGPROC_ADMIN_HOST": "0.0.0.0"])
      #expect(wide.output.contains("REGPROC_READ") && !told.output.contains("REGPROC_READ"), "\(wide.output) \(wide.errors)")
    }
  }
}
