import Testing

@testable import RegprocMain

extension ProgramTests {
  /// The pages that are written by `make generate` are what the program says now, and say all of it.
  @Suite struct ReferenceTests {
    @Test(arguments: ReferenceCommand.Page.allCases.map(\.rawValue))
    func `the page is what the program says`(_ name: String) async throws {
      let told = try await Program.run("reference", name)
      #expect(told.code == 0 && told.errors.isEmpty, "\(told.errors)")
      #expect(told.lines.count > 10)
      let long = told.lines.filter { $0.count > Markdown.width && !$0.hasPrefix("|") && !$0.hasPrefix("regproc ") }
      #expect(long.isEmpty, "\(long)")
      #expect(!told.output.contains(Program.repository), "a page names this machine's folders")
      if name == ReferenceCommand.Page.routeFile.rawValue {
        let page = try Self.text("docs/route-file.md")
        #expect(
          page.contains("<!-- keys: written by `make generate` -->\n\(told.output)<!-- keys: end -->"), "stale: make generate")
      } else {
        #expect(try Self.text("docs/reference/\(name).md") == told.output, "stale: make generate")
      }
    }

    @Test func `a page that is not there is named`() async throws {
      let ended = try await Program.run("reference", "metric")
      #expect(ended.code == 2 && ended.errors.contains("did you mean regproc reference metrics?"), "\(ended.errors)")
    }

    /// Codes of all families, wherever they stand in text of the program.
    @Test func `every code in the sources has a meaning and every meaning a code`() throws {
      var named: Set<String> = []
      var sources = ""
      for file in Self.swiftFiles(Program.repository + "/Sources") {
        // What plays OpenCRVS and MOSIP gives their codes, and the list itself proves nothing.
        if ["/StandIn", "/Fuzzing/", "/regproc-bench/", "/regproc/Reference/"].contains(where: file.contains) { continue }
        let lines = String(decoding: TemporaryFolder.read(file) ?? [], as: UTF8.self).split(separator: "\n").filter {
          !$0.drop { $0 == " " }.hasPrefix("//")
        }
        let text = lines.joined(separator: "\n")
        named.formUnion(
          text.matches(of: /\b(?:RPR|OPN|KER|IDR|IDA)-[A-Z0-9]{2,10}(?:-[A-Z]+)?-[0-9]{3}\b|\bRPR_[0-9]{3}\b/).map {
            String($0.output)
          })
        sources += text
      }
      #expect(named.count > 250, "it does not look at the sources")
      let listed = CodeFamily.all.flatMap(\.codes)
      let names = listed.map(\.code)
      #expect(Set(names).count == names.count)
      #expect(named.subtracting(names).sorted() == [], "codes without a meaning: Sources/RegprocMain/Reference/Codes.swift")
      #expect(names.filter { !sources.contains($0) } == [], "meanings of codes that nobody gives")
      #expect(listed.allSatisfy { !$0.meaning.isEmpty && !$0.remedy.isEmpty })
    }

    @Test func `every command that a remedy names is there`() {
      let commands = Commands.all.map(\.name)
      for entry in CodeFamily.all.flatMap(\.codes) {
        for match in entry.remedy.matches(of: /`regproc ([a-z-]+)(?: ([a-z-]+))?/) {
          let words = [String(match.output.1)] + (match.output.2.map { [String($0)] } ?? [])
          #expect(commands.contains(words.joined(separator: " ")) || commands.contains(words[0]), "\(entry.code): \(entry.remedy)")
        }
      }
    }

    private static func text(_ name: String) throws -> String {
      String(decoding: try #require(TemporaryFolder.read(Program.repository + "/" + name)), as: UTF8.self)
    }

    private static func swiftFiles(_ folder: String) -> [String] {
      TemporaryFolder.names(in: folder).flatMap { name in
        let path = folder + "/" + name
        return name.hasSuffix(".swift") ? [path] : swiftFiles(path)
      }
    }
  }
}
