import JSON
import Postgres
import Testing

@testable import RegprocMain

extension ProgramTests {
  @Suite struct CommandLineTests {
    @Test func `nothing from outside reaches the terminal as a command to it`() async throws {
      let folder = try TemporaryFolder()
      let evil = "1\u{1b}[2J\u{9b}31m\u{202e}9\u{7f}\n5075291708  valid"
      let route = try folder.write("flows:\n  \"\(evil.replacing("\n", with: ""))\": x\n", to: "routes.yaml")
      let settings = try folder.write("http:\n  port: \"\\e[2J\\u202e\"\ninstance: \"\\e[2J\\u009b\"\n", to: "settings.yaml")
      for words in [
        ["id", "check", "uin", evil], ["id", "check", "--json", "uin", evil], [evil], ["id", evil], ["--" + evil],
        ["up", "--port", evil],
        ["routes", "check", evil], ["routes", "check", route], ["settings", "--instance", evil],
        ["settings", "--json", "--instance", evil],
        ["settings", "--settings", settings], ["stages", "describe", evil], ["doctor", "--data", folder.path + "/\(evil)"],
      ] {
        let ended = try await Program.run(words)
        let told = (ended.output + ended.errors).unicodeScalars
        #expect(!told.isEmpty, "\(words)")
        #expect(
          !told.contains { $0.value < 32 && $0 != "\n" || (0x7f..<0xa0).contains($0.value) || $0.value == 0x202e }, "\(words)")
        if words[0] == "id", words.count > 3 {
          #expect(!ended.output.split(separator: "\n").contains { $0.hasPrefix("5075291708") }, "a value begins no line of its own")
        }
      }
    }

    @Test func `every command shows its help with an example`() async throws {
      let overview = try await Program.run("--help")
      #expect(overview.code == 0)
      #expect(overview.errors.isEmpty)
      let lines = overview.output.split(separator: "\n").drop { $0 != "Commands:" }.dropFirst().prefix {
        $0.hasPrefix("  ")
      }
      #expect(lines.count >= 15)
      for line in lines {
        // The name: words in small letters before operands and summary; two of them when the first alone is no command.
        let words = line.split(separator: " ").prefix { $0.allSatisfy { $0.isLowercase || $0 == "-" } }.prefix(2).map(
          String.init)
        var help = try await Program.run(words + ["--help"])
        if help.code != 0 { help = try await Program.run(words[0], "--help") }
        #expect(help.code == 0, "\(line)")
        #expect(help.errors.isEmpty, "\(line)")
        #expect(help.output.contains("Example:  regproc \(words[0])"), "\(line)")
      }
    }

    @Test(arguments: ["send", "routes", "packet"]) func `a word with several commands lists them`(_ word: String) async throws {
      let ended = try await Program.run(word, "--help")
      #expect(ended.code == 0 && ended.errors.isEmpty)
      let overview = try await Program.run("--help").output.split(separator: "\n")
      let names = overview.filter { $0.hasPrefix("  \(word) ") }.map { $0.split(separator: " ")[1] }
      #expect(!names.isEmpty && names.allSatisfy { ended.output.contains("  \(word) \($0)") }, "\(ended.output)")
      #expect(ended.output.contains("Example:  regproc \(word)"))
    }

    @Test(arguments: [
      (["flie"], "there is no command flie"), (["demo", "--brith", "3"], "unknown option --brith"),
      (["demo", "--births"], "--births needs a value"),
      (["demo", "--births", "0"], "--births must be a whole number from 1"),
      (["demo", "--json=yes"], "--json takes no value"), (["journey"], "NAME is missing"),
      (["journey", "1", "2"], "one word too many"),
      (["demo", "--births", "1", "--births", "2"], "given twice"), (["routes"], "routes has the commands check"),
      (["up", "-p"], "options begin with two hyphens"),
    ]) func `a wrong use is named and ends with two`(_ words: [String], _ message: String) async throws {
      let ended = try await Program.run(words)
      #expect(ended.code == 2)
      #expect(ended.errors.contains(message), "\(ended.errors)")
      #expect(ended.output.isEmpty)
    }

    @Test func `a nearly right option is suggested`() async throws {
      let ended = try await Program.run("demo", "--brths", "3")
      #expect(ended.errors.contains("did you mean --births?"))
    }

    @Test func `the shipped route file is good`() async throws {
      let ended = try await Program.run("routes", "check")
      #expect(ended.code == 0, "\(ended.errors)")
      #expect(ended.output.isEmpty)
      #expect(ended.errors.contains(/good; OPENCRVS_NEW with [0-9]+ stages/))
    }

    @Test func `a bad route file is reported with its place and ends with one`() async throws {
      let folder = try TemporaryFolder()
      let file = try folder.write(
        "version: 1\nflows:\n  OPENCRVS_NEW:\n    route:\n      - packet-receiver\n      - packet-validatr\n",
        to: "routes.yaml")
      let ended = try await Program.run("routes", "check", file)
      #expect(ended.code == 1)
      #expect(ended.output.contains("\(file):6:9: error:"), "\(ended.output)")
      #expect(ended.output.contains("^~"))
      #expect(!ended.output.contains("\u{1b}"), "no colours but on a terminal")

      let json = try await Program.run("routes", "check", file, "--json")
      #expect(json.code == 1)
      let problems = try json.output.split(separator: "\n").map { try JSONValue.parse(String($0)) }
      #expect(
        problems.contains { $0["code"]?.string == "unknown-stage" && $0["line"]?.int == 6 && $0["column"]?.int == 9 })
    }

    @Test func `the table of a route file names a destination for every message`() async throws {
      let ended = try await Program.run("routes", "check", "--table")
      #expect(ended.code == 0, "\(ended.errors)")
      #expect(ended.output.contains("OPENCRVS_NEW, after packet-classifier\n"))
      #expect(ended.errors.contains(" combinations, 0 without a destination"))
      let json = try await Program.run("routes", "check", "--table", "--json")
      let rows = try json.lines.map { try JSONValue.parse($0) }
      #expect(rows.count == ended.output.split(separator: "\n").count { $0.contains(" -> ") })
      for row in rows {
        let example = try #require(row["example"]?.string)
        #expect(row["to"]?.array?.isEmpty == false)
        #expect(try JSONValue.parse(example)["after"] == row["after"])
      }
    }

    /// What every SARIF reader relies on (docs.oasis-open.org/sarif/sarif/v2.1.0: 3.13, 3.14, 3.19, 3.27 to 3.30).
    @Test(arguments: [true, false]) func `a SARIF log has the structure of the standard`(_ isFaulty: Bool) async throws {
      let folder = try TemporaryFolder()
      let file = try folder.write(
        "version: 1\nflows:\n  OPENCRVS_NEW:\n    route:\n      - packet-receiver\n      - packet-validatr\n",
        to: "my routes.yaml")
      let ended = try await Program.run(["routes", "check", "--sarif"] + (isFaulty ? [file] : []))
      #expect(ended.code == (isFaulty ? 1 : 0))
      let log = try JSONValue.parse(ended.output)
      #expect(log["version"]?.string == "2.1.0")
      let runs = try #require(log["runs"]?.array)
      #expect(runs.count == 1)
      let driver = try #require(runs[0]["tool"]?["driver"])
      #expect(driver["name"]?.string?.isEmpty == false)
      let rules = try #require(driver["rules"]?.array).map { $0["id"]?.string ?? "" }
      #expect(!rules.contains("") && Set(rules).count == rules.count)
      #expect(runs[0]["columnKind"]?.string == "unicodeCodePoints")
      let results = try #require(runs[0]["results"]?.array)
      #expect(results.isEmpty == !isFaulty)
      for result in results {
        let index = try #require(result["ruleIndex"]?.int)
        #expect(rules.indices.contains(index) && rules[index] == result["ruleId"]?.string)
        #expect(["none", "note", "warning", "error"].contains(result["level"]?.string))
        #expect(result["message"]?["text"]?.string?.isEmpty == false)
        let place = try #require(result["locations"]?.array?.first?["physicalLocation"])
        #expect(place["artifactLocation"]?["uri"]?.string == "file://\(folder.path)/my%20routes.yaml")
        let region = try #require(place["region"])
        let start = try #require(region["startColumn"]?.int)
        #expect((region["startLine"]?.int ?? 0) >= 1 && start >= 1)
        #expect((region["endColumn"]?.int ?? 0) > start)
      }
    }

    @Test func `an imported file names the schema from where it is written`() async throws {
      let folder = try TemporaryFolder()
      let camel = try folder.write(
        """
        <routes xmlns="http://camel.apache.org/schema/spring">
          <route id="a">
            <from uri="eventbus://packet-validator-new-bus-out" />
            <to uri="eventbus://packet-classifier-new-bus-in" />
          </route>
        </routes>
        """, to: "a.xml")
      func firstLine(_ path: String, in place: String) async throws -> String? {
        let ended = try await Program.run(
          ["routes", "import-camel", camel, "--output", path, "--home", Program.repository], folder: place)
        #expect(ended.output.isEmpty)
        let text = try #require(TemporaryFolder.read(path).map { String(decoding: $0, as: UTF8.self) }, "\(ended.errors)")
        return text.split(separator: "\n").first.map(String.init)
      }
      // A project with the schema, and folders in it.
      _ = try folder.write("{}", to: "project/deploy/schema/routes.schema.json")
      _ = try folder.write("", to: "project/deploy/routes/keep")
      _ = try folder.write("", to: "project/mine/keep")
      let start = "# yaml-language-server: $schema="
      let project = folder.path + "/project"
      #expect(try await firstLine("\(project)/x.yaml", in: folder.path) == start + "deploy/schema/routes.schema.json")
      #expect(
        try await firstLine("\(project)/deploy/routes/x.yaml", in: folder.path) == start + "../schema/routes.schema.json")
      #expect(
        try await firstLine("\(project)/mine/x.yaml", in: folder.path) == start + "../deploy/schema/routes.schema.json")
      #expect(
        try await firstLine("\(folder.path)/x.yaml", in: project) == start + project + "/deploy/schema/routes.schema.json")
    }

    @Test func `the last line of an import says what its exit code says`() async throws {
      let folder = try TemporaryFolder()
      func route(_ from: String, _ steps: String) -> String {
        "<routes><route><from uri='eventbus://\(from)-bus-out'/>\(steps)</route></routes>"
      }
      let ends = "<to uri='workflow-cmd://complete-as-processed'/>"
      let good = try folder.write(route("finalization-new", ends), to: "good.xml")
      let older = try folder.write(
        route("printing-update", ends), to: "older.xml")
      let bad = try folder.write(route("finalization-lost", "<loop/>"), to: "bad.xml")
      let open = try folder.write(
        route("finalization-lost", "<to uri='eventbus://print-bus-in'/>").replacing("print-bus", with: "credential-requestor-bus"),
        to: "open.xml")
      func end(_ words: String...) async throws -> (code: Int32, last: String, ended: Program.Ended) {
        let ended = try await Program.run(["routes", "import-camel"] + words + ["--home", Program.repository])
        return (ended.code, ended.errors.split(separator: "\n").last.map(String.init) ?? "", ended)
      }
      let whole = try await end(good, older, "--verify")
      #expect(whole.code == 0 && whole.last == "regproc: 2 of 2 files imported", "\(whole.ended.errors)")
      #expect(whole.ended.output.contains("printing: { runs: elsewhere"))
      let none = try await end(good, bad, "--verify")
      #expect(none.code == 1 && none.last.hasPrefix("regproc: nothing is imported: "), "\(none.ended.errors)")
      #expect(none.ended.output.isEmpty)
      let rest = try await end(good, bad, "--skip-bad", "--verify")
      #expect(rest.code == 0 && rest.last == "regproc: 1 of 2 files imported; left out: \(bad)", "\(rest.ended.errors)")
      let left = try await end(good, open, "--verify")
      #expect(left.code == 1, "\(left.ended.errors)")
      #expect(left.ended.errors.contains("; 0 differences"))
      #expect(left.last.hasPrefix("regproc: 2 of 2 files imported; 1 error above to mend"), "\(left.last)")
      let renamed = try await end(older, "--rename", "printing=print", "--elsewhere")
      #expect(renamed.code == 0 && renamed.ended.output.contains("- print: "), "\(renamed.ended.errors)")
      #expect(!renamed.ended.output.contains("foreign-stages"))
      for wrong in ["printing", "=print", "printing=prnt"] {
        #expect(try await end(older, "--rename", wrong).code == 2)
      }
    }

    @Test func `what is larger than a mediator takes is refused by commands with its code`() async throws {
      let folder = try TemporaryFolder()
      let large = try folder.write([UInt8](repeating: 32, count: 52_428_801), to: "large.json")
      let sent = try await Program.run("send", "birth", large, "--to", "http://127.0.0.1:1/webhooks", "--data", folder.path)
      #expect(
        sent.code == 1 && sent.errors.contains("large.json: OPN-CRVS-035: the event has more than 52428800 bytes"), "\(sent.errors)"
      )
    }

    /// Files, further words, the exit code, and the last line.
    private static let imports: [(files: [String], more: [String], code: Int32, last: String)] = [
      (["good", "older"], ["--verify"], 0, "regproc: 2 of 2 files imported"),
      (["good"], ["--against", "same.yaml"], 0, "regproc: 1 of 1 file imported"),
      (
        ["good"], ["--against", "other.yaml"], 1,
        "regproc: 1 of 1 file imported; the two do not decide alike, or it could not be proven"
      ),
      (["good", "bad"], ["--skip-bad", "--verify"], 0, "regproc: 1 of 2 files imported; left out: bad.xml"),
      (
        ["good", "bad"], ["--skip-bad", "--against", "other.yaml"], 1,
        "regproc: 1 of 2 files imported; left out: bad.xml; the two do not decide alike, or it could not be proven"
      ),
      (["good", "text"], ["--skip-bad"], 0, "regproc: 1 of 2 files imported; left out: text.xml"),
      (["good", "bad"], [], 1, "regproc: nothing is imported: 3 errors"),
      (["bad"], ["--skip-bad"], 1, "regproc: nothing is imported: 3 errors"),
      (["text"], [], 1, "regproc: nothing is imported: 1 error"),
      (["empty"], [], 1, "regproc: nothing is imported: there is no route in what was given"),
      (["empty", "good"], [], 0, "regproc: 2 of 2 files imported"),
      (
        ["good", "open"], [], 1,
        "regproc: 2 of 2 files imported; 1 error above to mend in the route file before it can be used"
      ),
      (["missing", "good"], ["--skip-bad"], 1, "regproc: missing.xml cannot be read: No such file or directory"),
      (["good"], ["--against", "none.yaml"], 1, "regproc: none.yaml cannot be read: No such file or directory"),
      (["good"], ["--output", "none/x.yaml"], 1, "regproc: none/x.yaml cannot be written: No such file or directory"),
      (["good"], ["--verfy"], 2, "  regproc routes import-camel --help shows what there is"),
      ([], [], 2, "  regproc routes import-camel --help shows what there is"),
    ]

    @Test func `however an import ends its last line says so and its exit code too`() async throws {
      let folder = try TemporaryFolder()
      func write(_ name: String, _ from: String, _ steps: String) throws {
        _ = try folder.write(
          "<routes><route><from uri='eventbus://\(from)-bus-out'/>\(steps)</route></routes>", to: name + ".xml")
      }
      let ends = "<to uri='workflow-cmd://complete-as-processed'/>"
      try write("good", "finalization-new", ends)
      try write("older", "printing-update", ends)
      try write("bad", "finalization-lost", "<loop/>")
      try write("open", "finalization-lost", "<to uri='eventbus://credential-requestor-bus-in'/>")
      _ = try folder.write("<routes/>", to: "empty.xml")
      _ = try folder.write("no XML", to: "text.xml")
      func end(_ words: [String]) async throws -> Program.Ended {
        try await Program.run(["routes", "import-camel"] + words + ["--home", Program.repository], folder: folder.path)
      }
      let same = try await end(["good.xml"]).output
      _ = try folder.write(same, to: "same.yaml")
      _ = try folder.write(same.replacing("complete-as-processed", with: "complete-as-failed"), to: "other.yaml")
      for (files, more, code, last) in Self.imports {
        let ended = try await end(files.map { $0 + ".xml" } + more)
        #expect(ended.code == code, "\(files) \(more): \(ended.errors)")
        #expect(ended.errors.split(separator: "\n").last.map(String.init) == last, "\(files) \(more)")
      }
    }

    @Test(arguments: [
      ["up"], ["demo"],
      ["run", "packet-validator", "--kafka", "127.0.0.1:1", "--database", "host=/nowhere user=x dbname=x"],
    ]) func `nothing is started with a bad route file`(_ command: [String]) async throws {
      let folder = try TemporaryFolder()
      let file = try folder.write(
        "version: 1\nflows:\n  OPENCRVS_NEW:\n    route:\n      - packet-receiver\n      - packet-validatr\n",
        to: "routes.yaml")
      let ended = try await Program.run(command + ["--routes", file, "--data", folder.path + "/data"])
      #expect(ended.code == 1)
      #expect(ended.output.isEmpty)
      #expect(ended.errors.contains("\(file):6:9: error:"), "\(ended.errors)")
      #expect(ended.errors.contains("packet-validator"), "the nearest name is suggested")
      // Not even the data folder is made.
      #expect(TemporaryFolder.names(in: folder.path) == ["routes.yaml"])
    }

    @Test func `what is data goes to output and words to errors`() async throws {
      let version = try await Program.run("version")
      #expect(version.code == 0 && version.errors.isEmpty && version.lines.first == "regproc \(Commands.versionNumber)")
      let nothing = try await Program.run([])
      #expect(nothing.code == 2 && nothing.output.isEmpty && nothing.errors.contains("Commands:"))
      let births = try await Program.run("sample", "births", "--births", "2")
      #expect(births.code == 0 && births.lines.count == 2 && births.errors.isEmpty)
      for line in births.lines { #expect(throws: Never.self) { try JSONValue.parse(line) } }
    }

    @Test func `no migration of this program refuses this program`() throws {
      #expect(ProgramVersion(Commands.versionNumber) == ProgramSchema.program)
      #expect(ProgramSchema.migrations.filter { $0.oldestProgram > ProgramSchema.program }.map(\.version) == [])
    }

    @Test func `version tells the libraries that were loaded`() async throws {
      let ended = try await Program.run("version", "--json")
      let version = try JSONValue.parse(ended.output)
      #expect(version["regproc"]?.string == Commands.versionNumber)
      for name in [
        "librdkafka", "libmicrohttpd", "GnuTLS", "libcurl", "libcurl's TLS", "libpq", "OpenSSL", "libyaml", "zlib", "utf8proc",
        "glibc",
      ] {
        let told = version["libraries"]?[name]?.string ?? ""
        #expect(told.contains { $0.isNumber } && told.contains("."), "\(name): \(told)")
        #expect(try await Program.run("version").lines.contains { $0.hasPrefix(name) && $0.hasSuffix(told) })
      }
      #expect(LibraryVersions.postgres(170_012) == "17.12" && LibraryVersions.postgres(90_624) == "9.6.24")
    }

    /// As a package or an image has it: bin/ and share/regproc below one folder.
    @Test func `what the program came with is found beside it`() async throws {
      let folder = try TemporaryFolder()
      _ = try folder.write("flows: {}\n", to: "share/regproc/routes.yaml")
      _ = try folder.write("", to: "share/regproc/stages/README")
      #expect(try Home(nil, program: folder.path + "/bin/regproc", from: folder.path).folder == folder.path + "/share/regproc")
      #expect(try Home(nil, program: folder.path + "/lib/x/regproc", from: folder.path).folder == nil)
    }

    @Test func `a route is explained`() async throws {
      let minor = try await Program.run(
        "routes", "explain", "--flow", "OPENCRVS_NEW", "--after", "packet-classifier", "--tag", "AGE_GROUP=INFANT",
        "--tag",
        "INTRODUCER_AVAILABILITY=true")
      #expect(minor.output.contains("goes to introducer-validator"), "\(minor.output)\(minor.errors)")
      let other = try await Program.run("routes", "explain", "--flow", "OPENCRVS_NEW", "--after", "packet-classifier")
      #expect(other.output.contains("goes to uin-generator"), "\(other.output)\(other.errors)")
      let none = try await Program.run("routes", "explain", "--flow", "OPENCRVS_NEW", "--after", "packet-clasifier")
      #expect(none.code == 1)
      #expect(none.errors.contains("did you mean packet-classifier?"))
    }

    @Test func `run needs a Kafka and a database and says how to give them`() async throws {
      let kafka = try await Program.run("run", "packet-validator")
      #expect(kafka.code == 1)
      #expect(kafka.errors.contains("--kafka HOST:PORT"))
      let database = try await Program.run("run", "packet-validator", "--kafka", "127.0.0.1:1")
      #expect(database.code == 1)
      #expect(database.errors.contains("REGPROC_DATABASE"))
      let stage = try await Program.run(
        "run", "packet-validatr", "--kafka", "127.0.0.1:1", "--database", "host=/nowhere")
      #expect(stage.code == 1)
      #expect(stage.errors.contains("did you mean packet-validator?"))
    }

    @Test func `every stage is listed and described`() async throws {
      let list = try await Program.run("stages", "list")
      #expect(list.code == 0)
      for line in list.output.split(separator: "\n").dropFirst() {
        let name = String(line.split(separator: " ")[0])
        let description = try await Program.run("stages", "describe", name)
        #expect(description.code == 0)
        #expect(description.output.contains("consumer group"))
      }
    }
  }
}
