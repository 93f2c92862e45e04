import Glibc
import JSON
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// What a stage is told, by whom, and what is wrong with it.
  @Suite struct StageSettingsTests {
    /// A home whose stage `print` has these settings.
    private func home(_ folder: TemporaryFolder, print settings: String) throws -> String {
      for name in ["routes.yaml", "stages/print/stage.yaml"] {
        let bytes = try #require(TemporaryFolder.read(Program.repository + "/" + name))
        _ = try folder.write(bytes, to: name)
      }
      _ = try folder.write("plugin: credential-requestor\nsettings:\n" + settings, to: "stages/print/stage.yaml")
      return folder.path
    }

    private func from(_ setting: String, _ stage: String, _ words: [String] = [], _ environment: [String: String] = [:])
      async throws
      -> (value: String?, source: String?)
    {
      let ended = try await Program.run(["settings", "--stage", stage, "--json"] + words, environment: environment)
      let lines = try ended.lines.map { try JSONValue.parse($0) }
      let line = try #require(lines.first { $0["setting"]?.string == setting }, "\(ended.errors)")
      return (line["value"]?.string, line["from"]?.string)
    }

    @Test func `each setting of a stage is told with where it comes from`() async throws {
      let folder = try TemporaryFolder()
      let file = Program.repository + "/stages/opencrvs-mediator/stage.yaml"
      let secret = try folder.write("hunter2\n", to: "secret")
      let mediator = "opencrvs-mediator"
      let url = try await from("mosip-url", mediator)
      #expect(url.value == "http://127.0.0.1:4545" && url.source?.hasPrefix("\(file):") == true, "\(url)")
      #expect(url.source?.hasSuffix("; `up`: its own URL") == true, "\(url)")
      #expect(try await from("webhook-patience", mediator).source == "default")
      let variables = [
        "REGPROC_STAGE_OPENCRVS_MEDIATOR_MOSIP_URL": "http://user:hunter2@mosip",
        "REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRET_FILE": secret,
      ]
      let given = try await from("mosip-url", mediator, [], variables)
      #expect(given.value == "http://(not shown)@mosip" && given.source == "REGPROC_STAGE_OPENCRVS_MEDIATOR_MOSIP_URL", "\(given)")
      let sealed = try await from("sha-secret", mediator, [], variables)
      #expect(sealed.value == "(not shown)" && sealed.source == "REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRET_FILE", "\(sealed)")
      let own = try await from("sha-secret", mediator, ["--data", folder.path + "/data"])
      #expect(own.source == "\(folder.path)/data/secrets/opencrvs-sha-secret, made at the first start", "\(own)")
      let described = try await Program.run(["stages", "describe", mediator], environment: variables)
      #expect(described.output.contains("http://(not shown)@mosip") && !described.output.contains("hunter2"))
      #expect(described.output.contains("REGPROC_STAGE_OPENCRVS_MEDIATOR_MOSIP_URL"))
    }

    @Test func `a setting that the plugin does not have is told with its place by every command that reads it`() async throws {
      let folder = try TemporaryFolder()
      let home = try home(folder, print: "  credential-typ: PDFCard\n  issuers: mpartner\n")
      for words in [["routes", "check"], ["stages", "describe", "print"], ["doctor", "--data", folder.path + "/data"]] {
        let ended = try await Program.run(words + ["--home", home])
        let file = "\(home)/stages/print/stage.yaml"
        #expect(ended.code == 1)
        #expect(
          ended.errors.contains("\(file):3:3: error: the plugin credential-requestor has no setting 'credential-typ'"),
          "\(words): \(ended.errors)")
        #expect(ended.errors.contains("did you mean 'credential-type'?"), "\(ended.errors)")
        #expect(ended.errors.contains("\(file):4:12: error: issuers must be a list of texts"), "\(ended.errors)")
      }
    }

    @Test func `doctor reads what the start of a stage reads`() async throws {
      let folder = try TemporaryFolder()
      let data = ["--data", folder.path + "/data"]
      let good = try await Program.run(["doctor"] + data)
      #expect(good.code == 0 && good.output.contains("good  start"), "\(good.output) \(good.errors)")
      for variables in [
        ["REGPROC_STAGE_PRINT_FOO": "1"], ["REGPROC_STAGE_PRINT_SUBJECT": "somebody"],
        ["REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRET_FILE": folder.path + "/missing"],
      ] {
        let bad = try await Program.run(["doctor"] + data, environment: variables)
        #expect(bad.code == 1 && bad.output.contains("bad   start"), "\(variables): \(bad.output)")
      }
      let print = "plugin: credential-requestor\nsettings:\n  credential-type: PDFCard\n"
      let file = try folder.write(print, to: "stages/print/stage.yaml")
      for name in Files.names(in: Program.repository + "/stages") ?? [] where name != "print" {
        symlink("\(Program.repository)/stages/\(name)", "\(folder.path)/stages/\(name)")
      }
      let named = try await Program.run(["doctor", "print", "--stages", folder.path + "/stages"] + data)
      #expect(named.code == 1)
      #expect(
        named.output.contains("issuers must be given: REGPROC_STAGE_PRINT_ISSUERS, or in \(file)"),
        "\(named.output) \(named.errors)")
      #expect(named.output.contains("bad   kafka      `run` needs a Kafka"), "\(named.output)")
    }

    @Test func `the variables of a Kubernetes service are passed over with a note`() async throws {
      let variables = [
        "REGPROC_HTTP_PORT": "tcp://10.0.0.1:8080", "REGPROC_HTTP_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "REGPROC_HTTP_PORT_8080_TCP_ADDR": "10.0.0.1", "REGPROC_HTTP_PORT_8080_TCP_PORT": "8080",
        "REGPROC_HTTP_PORT_8080_TCP_PROTO": "tcp", "REGPROC_HTTP_SERVICE_HOST": "10.0.0.1",
        "REGPROC_HTTP_SERVICE_PORT": "8080", "REGPROC_STAGE_PRINT_PORT": "tcp://10.0.0.2:1",
        "REGPROC_STAGE_PRINT_SERVICE_HOST": "10.0.0.2", "REGPROC_INSTANCE": "a",
      ]
      let ended = try await Program.run(["settings", "--json"], environment: variables)
      #expect(ended.code == 0, "\(ended.errors)")
      let lines = try ended.lines.map { try JSONValue.parse($0) }
      #expect(lines.first { $0["setting"]?.string == "http.port" }?["value"]?.string == "8080", "the default")
      #expect(lines.first { $0["setting"]?.string == "instance" }?["value"]?.string == "a")
      #expect(ended.errors.split(separator: "\n").count == 1 && ended.errors.contains("passed over"), "\(ended.errors)")
      for name in variables.keys where name != "REGPROC_INSTANCE" { #expect(ended.errors.contains(name)) }
      let stage = try await Program.run(["stages", "describe", "print"], environment: variables)
      #expect(stage.code == 0, "\(stage.errors)")
    }

    @Test func `what is not known is told with the journal that was looked in`() async throws {
      func place(_ words: String...) throws -> String? {
        let around = Surroundings(console: Console(environment: [:]), environment: [:], program: Program.regproc)
        return try JournalAccess.running(try Settings(Arguments(words + ["1"], for: JourneyCommand.command), around))?.place
      }
      let database = try place("--database", "host=db.example dbname=births password=hunter2", "--data", "/nowhere")
      #expect(database?.contains("db.example") == true && database?.contains("/nowhere") == false, "\(database ?? "")")
      #expect(database?.contains("hunter2") == false)
      #expect(try place("--data", "/nowhere") == nil, "there is none")
    }
  }
}
