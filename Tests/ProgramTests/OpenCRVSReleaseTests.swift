import JSON
import TestSupport
import Testing

extension ProgramTests {
  /// `regproc demo --opencrvs`: each release of OpenCRVS before a whole pipeline.
  @Suite struct OpenCRVSReleaseTests {
    /// A cell of the table in docs/connecting.md.
    struct Pair {
      var kind: String
      var release: String
      var isSent: Bool
    }

    /// The table: a head `kind | 1.6 | ...`, and a row for each kind.
    private func table() throws -> [Pair] {
      let text = String(decoding: try #require(TemporaryFolder.read(Program.repository + "/docs/connecting.md")), as: UTF8.self)
      let rows = text.split(separator: "\n").filter { $0.hasPrefix("|") }.map { row in
        row.split(separator: "|").map { $0.filter { $0 != " " && $0 != "`" } }
      }
      let head = try #require(rows.first { $0.first == "--kind" })
      let kinds = rows.drop { $0 != head }.dropFirst(2).prefix { $0.count == head.count }
      return kinds.flatMap { row in
        zip(head, row).dropFirst().map { Pair(kind: row[0], release: $0, isSent: $1 == "yes") }
      }
    }

    @Test func `what a release tells nobody of ends with 2, and starts nothing`() async throws {
      let folder = try TemporaryFolder()
      let missing = try table().filter { !$0.isSent }
      #expect(missing.count == 11)
      for pair in missing {
        let ended = try await Program.run(
          "demo", "--kind", pair.kind, "--opencrvs", pair.release, "--data", folder.path + "/data")
        #expect(ended.code == 2 && ended.output.isEmpty, "\(pair): \(ended.errors)")
        #expect(ended.errors.contains("OpenCRVS \(pair.release) tells nobody of a \(pair.kind)"), "\(ended.errors)")
      }
      let elsewhere = try await Program.run("demo", "--opencrvs", "1.9", "--to", "http://127.0.0.1:1/webhooks")
      #expect(elsewhere.code == 2 && elsewhere.errors.contains("--to sends webhooks"), "\(elsewhere.errors)")
      let file = try await Program.run("demo", "--opencrvs", "2.0", folder.path + "/none.json")
      #expect(file.code == 2 && file.errors.contains("FILEs are webhook bodies"), "\(file.errors)")
      let unknown = try await Program.run("demo", "--opencrvs", "1.3")
      #expect(unknown.code == 2 && unknown.errors.contains("one of 1.6, 1.8, 1.9, 2.0"), "\(unknown.errors)")
      #expect(TemporaryFolder.names(in: folder.path).isEmpty)
    }

    @Test func `every release sends all that it tells, and is told how it ended`() async throws {
      let folder = try TemporaryFolder()
      let pairs = try table()
      for release in ["1.6", "1.8", "1.9", "2.0"] {
        let ended = try await Program.run("demo", "--opencrvs", release, "--json", "--data", folder.path + "/data")
        #expect(ended.code == 0, "\(release): \(ended.errors)")
        let results = try ended.lines.map { try JSONValue.parse($0) }
        let good = results.filter { $0["result"] != "error" }
        let sent = Set(good.compactMap { $0["kind"]?.string })
        #expect(sent == Set(pairs.filter { $0.release == release && $0.isSent && $0.kind != "error" }.map(\.kind)), "\(release)")
        #expect(good.filter { $0["kind"] == "birth" }.allSatisfy { $0["uinToken"]?.string?.isEmpty == false }, "\(release)")
        #expect(good.allSatisfy { $0["registrationNumber"]?.string?.isEmpty == false }, "\(release)")
        #expect(results.filter { $0["result"] == "error" }.count == 6, "\(release)")
        let ids = good.compactMap { $0["rid"]?.string }
        #expect(Set(ids).count == ids.count, "\(release): no two events share an application id")
      }
    }
  }
}
