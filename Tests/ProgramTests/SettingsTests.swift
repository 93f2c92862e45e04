import Glibc
import JSON
import Kafka
import Registration
import Testing

@testable import RegprocMain

extension ProgramTests {
  @Suite struct SettingsTests {
    private func value(_ name: String, _ ended: Program.Ended) throws -> (value: String?, source: String?) {
      for line in ended.output.split(separator: "\n") {
        let object = try JSONValue.parse(String(line))
        if object["setting"]?.string == name { return (object["value"]?.string, object["from"]?.string) }
      }
      Issue.record("no setting \(name): \(ended.errors)")
      return (nil, nil)
    }

    @Test func `a file is over the defaults the environment over it and a flag over all`() async throws {
      let folder = try TemporaryFolder()
      let file = try folder.write(
        "http:\n  port: 9001\n  host: 127.0.0.2\nreconcile-seconds: 60\ninstance: a\n", to: "mine.yaml")
      let ended = try await Program.run(
        "settings", "--json", "--settings", file, "--port", "9003", "--instance", "c",
        environment: ["REGPROC_HTTP_PORT": "9002", "REGPROC_INSTANCE": "b", "REGPROC_RECONCILE_SECONDS": "61"])
      #expect(ended.code == 0, "\(ended.errors)")
      #expect(try value("http.host", ended).value == "127.0.0.2")
      #expect(try value("http.host", ended).source == "\(file):3")
      #expect(try value("http.port", ended).value == "9003")
      #expect(try value("http.port", ended).source == "--port")
      #expect(try value("reconcile-seconds", ended).value == "61")
      #expect(try value("reconcile-seconds", ended).source == "REGPROC_RECONCILE_SECONDS")
      #expect(try value("instance", ended).value == "c")
      #expect(try value("kafka.partitions", ended).value == "4")
    }

    /// A process that may not be dumped finds its files of /proc belonging to root: seen in a container.
    @Test(.enabled(if: geteuid() == 0, "only root can start it as somebody else"))
    func `the environment is read by a user who is not root too`() async throws {
      let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"]
      let reach = try await Program(nobody + ["/usr/bin/test", "-x", Program.regproc], program: "/usr/bin/setpriv").ended()
      guard reach.code == 0 else { return print("NOT TESTED: \(Program.regproc) cannot be reached by others") }
      let ended = try await Program(
        nobody + [Program.regproc, "settings", "--json", "--home", Program.repository], program: "/usr/bin/setpriv",
        environment: ["REGPROC_RECONCILE_SECONDS": "61"]
      ).ended()
      #expect(ended.code == 0, "\(ended.errors)")
      #expect(try value("reconcile-seconds", ended).value == "61")
    }

    @Test func `every fault of a settings file is shown at its place`() async throws {
      let folder = try TemporaryFolder()
      let file = try folder.write(
        "http:\n  port: many\n  hots: x\nkafka:\n  transactional: maybe\ndate: x\n", to: "mine.yaml")
      let ended = try await Program.run("settings", "--settings", file)
      #expect(ended.code == 1)
      #expect(
        ended.errors.contains("\(file):2:9: error: port must be a whole number from 0 to 65535, not `many`"),
        "\(ended.errors)")
      #expect(ended.errors.contains("\(file):3:3: error: http has no key 'hots'"))
      #expect(ended.errors.contains("did you mean 'host'?"))
      #expect(ended.errors.contains("\(file):5:18: error: transactional must be true or false"))
      #expect(ended.errors.contains("\(file):6:1: error: a settings file has no key 'date'"))
      #expect(ended.errors.contains("^~~~"))
      let first = ended.errors.split(separator: "\n").filter { $0.contains("error:") }
      #expect(first.count == 4 && first.allSatisfy { $0.hasPrefix(file) }, "each fault begins a line")
    }

    @Test func `a wrong variable ends the program and an unknown one is named`() async throws {
      let wrong = try await Program.run("settings", environment: ["REGPROC_HTTP_PORT": "http"])
      #expect(wrong.code == 1)
      #expect(wrong.errors.contains("REGPROC_HTTP_PORT must be a whole number"))
      let unknown = try await Program.run("settings", environment: ["REGPROC_HTTP_PROT": "1"])
      #expect(unknown.code == 0)
      #expect(unknown.errors.contains("did you mean REGPROC_HTTP_PORT?"))
    }

    @Test func `operators stay on loopback and share no port that nobody chose`() throws {
      func settings(_ words: String..., environment: [String: String] = [:]) throws -> Settings {
        try Settings(
          Arguments(words, for: UpCommand.command),
          Surroundings(console: Console(environment: [:]), environment: environment, program: Program.regproc))
      }
      let open = try settings(
        "--host", "0.0.0.0", "--port", "8081", "--url", "https://Us.example:1/x",
        environment: ["REGPROC_ADMIN_NAMES": "a.example, 10.0.0.1"])
      #expect(open.host == "0.0.0.0" && open.admin.host == "127.0.0.1", "http.host does not widen it")
      #expect(open.admin.port == 0 && open.adminMayMove)
      #expect(open.adminAccess.names == ["a.example", "10.0.0.1", "us.example"])
      let chosen = try settings("--port", "8081", "--admin-port", "8081")
      #expect(chosen.admin.port == 8081 && !chosen.adminMayMove)
      #expect(try settings().admin.port == 8081)
      for names in ["", "a b", "a,,b", "http://a.example/"] {
        #expect(throws: Failure.self, "\(names)") { try settings(environment: ["REGPROC_ADMIN_NAMES": names]) }
      }
    }

    @Test func `a secret is never shown`() async throws {
      let ended = try await Program.run("settings", environment: ["REGPROC_KAFKA_PROPERTIES": "sasl.password=hunter2"])
      #expect(ended.code == 0)
      #expect(!ended.output.contains("hunter2"))
    }

    /// Every setting there is gets a value with a secret in it, of each form that a value may have. Nothing that is told may hold the secret:
    /// neither what is in force, nor the faults of the settings that are not of this form.
    @Test(arguments: [
      "http://user:MARK@127.0.0.1:1/x?token=MARK", "http://us@er:MA/MARK@127.0.0.1:1/",
      "postgresql://user:MARK@127.0.0.1:1/d?sslpassword=MARK",
      "postgresql://user:x@MARK@127.0.0.1:1/d", "host=127.0.0.1 port=1 connect_timeout=2 user=u password = 'MARK x MARK'",
      "sasl.password=MARK", "Password=MARK", "{a: MARK, password: MARK}", "[password=MARK, MARK]",
    ])
    func `what is secret in any setting is shown nowhere`(_ form: String) async throws {
      let folder = try TemporaryFolder()
      let all = try await Program.run("settings", "--json").output.split(separator: "\n").compactMap {
        try JSONValue.parse(String($0))["setting"]?.string
      }
      #expect(all.count > 60)
      var left = all.filter { $0 != "data" && $0 != "stages" && $0 != "routes" }
      // A broker that is not there is waited for; what `doctor` says of it goes through the same function.
      let broker = "kafka.bootstrap-servers"
      func write() throws -> (file: String, names: [Int: String]) {
        var lines: [String] = []
        var names: [Int: String] = [:]
        var section = ""
        let isFlow = form.hasPrefix("{") || form.hasPrefix("[")
        for name in left.filter({ !$0.contains(".") }) + left.filter({ $0.contains(".") }) {
          let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
          if parts.count == 2, parts[0] != section {
            section = parts[0]
            lines.append(section + ":")
          }
          let value = isFlow ? form : "'" + form.replacing("'", with: "''") + "'"
          lines.append((parts.count == 2 ? "  " : "") + "\(parts.last ?? ""): \(value)")
          names[lines.count] = name
        }
        return (try folder.write(lines.joined(separator: "\n") + "\n", to: "marked.yaml"), names)
      }
      // Round by round the settings that are of another form are left out, until what is left is taken.
      for _ in 1...4 where !left.isEmpty {
        let (file, names) = try write()
        for command in [["settings"], ["settings", "--json"], ["doctor", "--data", folder.path + "/data"]] {
          if command[0] == "doctor", left.contains(broker) { continue }
          let ended = try await Program.run(command + ["--settings", file])
          #expect(!ended.output.contains("MARK"), "\(command): \(ended.output)")
          #expect(!ended.errors.contains("MARK"), "\(command): \(ended.errors)")
        }
        let faults = try await Program.run("settings", "--settings", file).errors.split(separator: "\n").compactMap { line in
          line.hasPrefix(file) ? line.split(separator: ":").dropFirst().first.flatMap { Int($0) } : nil
        }
        if faults.isEmpty, !left.contains(broker) {
          // A start ends as well: there is no database behind any form.
          if !left.contains("database.connection") { break }
          let ended = try await Program.run("up", "--data", folder.path + "/data", "--settings", file)
          #expect(ended.code == 1 && !(ended.output + ended.errors).contains("MARK"), "\(ended.output) \(ended.errors)")
          break
        }
        if faults.isEmpty { left.removeAll { $0 == broker } }
        left.removeAll { name in faults.contains { names[$0] == name } }
      }
      for flag in ["url", "database", "port", "log-level"] where !form.hasPrefix("{") && !form.hasPrefix("[") {
        let ended = try await Program.run("doctor", "--data", folder.path + "/data", "--\(flag)", form)
        #expect(!(ended.output + ended.errors).contains("MARK"), "--\(flag): \(ended.output) \(ended.errors)")
      }
    }

    /// Nobody writes a password there, but where somebody does, it stays his. The library tells of the broker that it does not reach.
    @Test func `what is secret in the address of a broker is shown nowhere`() async throws {
      let folder = try TemporaryFolder()
      let cluster = try EmbeddedCluster()
      let environment = ["REGPROC_KAFKA_BOOTSTRAP_SERVERS": "user:MARK@127.0.0.1:1," + cluster.settings.bootstrapServers]
      for command in [["doctor", "--data", folder.path + "/data"], ["settings"]] {
        let ended = try await Program.run(command, environment: environment)
        #expect(!(ended.output + ended.errors).contains("MARK"), "\(ended.output) \(ended.errors)")
        #expect(ended.output.contains("(not shown)@127.0.0.1"), "\(ended.output)")
      }
    }

    @Test func `a setting that is a secret as a whole is shown nowhere and the others keep what is none`() async throws {
      let folder = try TemporaryFolder()
      let environment = [
        "REGPROC_S3_SECRET_KEY": "MARK1", "REGPROC_MOSIP_CLIENT_SECRET": "MARK2",
        "REGPROC_KAFKA_PROPERTIES": "ssl.key.password=MARK3",
        "REGPROC_S3_URL": "http://minio:MARK4@minio.example:9000",
        "REGPROC_DATABASE": "host=127.0.0.1 port=1 dbname=d user=u password=MARK5",
      ]
      for command in [["settings"], ["settings", "--json"], ["doctor", "--data", folder.path + "/data"]] {
        let ended = try await Program.run(command, environment: environment)
        #expect(!(ended.output + ended.errors).contains("MARK"), "\(ended.output) \(ended.errors)")
      }
      let shown = try await Program.run("settings", "--json", environment: environment)
      #expect(try value("s3.url", shown).value == "http://(not shown)@minio.example:9000")
      #expect(
        try value("database.connection", shown).value == "user=u password=(not shown) dbname=d host=127.0.0.1 port=1",
        "\(shown.output)")
      let wrong = try folder.write("mosip:\n  client-secret: [MARK]\n  clientsecret: MARK\n  languages: 12\n", to: "wrong.yaml")
      let refused = try await Program.run("settings", "--settings", wrong)
      #expect(refused.code == 1 && !refused.errors.contains("MARK"), "\(refused.errors)")
      #expect(refused.errors.contains("languages: 12"), "the line of what is no secret is quoted")
    }

    @Test func `the filters of identifiers are settings that the commands and the pools go by`() async throws {
      let folder = try TemporaryFolder()
      let file = try folder.write("uin:\n  length: 12\n  not-start-with: 0,1,2\nvid:\n  restricted-numbers: ''\n", to: "mine.yaml")
      let shown = try await Program.run("settings", "--json", "--settings", file)
      #expect(try value("uin.length", shown).value == "12" && value("uin.length", shown).source == "\(file):2")
      #expect(try value("vid.restricted-numbers", shown).value == "")
      #expect(try value("uin.length.sequence-limit", shown).value == "3")
      let made = try await Program.run("id", "generate", "uin", "--count", "50", "--settings", file)
      #expect(made.lines.count == 50 && made.lines.allSatisfy { $0.utf8.count == 12 && !$0.hasPrefix("2") })
      let checked = try await Program.run(["id", "check", "uin", "--settings", file] + made.lines)
      #expect(checked.code == 0, "generator and checker are one")
      #expect(try await Program.run("id", "check", "uin", "5075291708", "--settings", file).code == 1)
      let over = try await Program.run("id", "generate", "uin", "--rule", "length=9", environment: ["REGPROC_UIN_LENGTH": "12"])
      #expect(over.lines.first?.utf8.count == 9, "a word stands over the environment")

      let wrong = try folder.write("uin:\n  length: 1\n  lenght: 3\n", to: "wrong.yaml")
      let refused = try await Program.run("id", "generate", "uin", "--settings", wrong)
      #expect(refused.code == 1 && refused.output.isEmpty)
      #expect(refused.errors.contains("\(wrong):2:11: error: length must be a whole number from 2 to 18"), "\(refused.errors)")
      #expect(refused.errors.contains("did you mean 'length'?"))

      let pipeline = UpPipeline(folder.path + "/data", side: try OpenCRVSSide(), options: ["--settings", file])
      let program = try await pipeline.start()
      let marks = try await pipeline.query("SELECT DISTINCT rules FROM platform.uin")
      var filter = DigitFilter.uin
      filter.length = 12
      filter.notStartWith = [0, 1, 2]
      #expect(marks == [UINRules(filter).filter.mark])
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0)
      await pipeline.side.stop()
    }

    @Test func `a mistyped stage setting starts nothing`() async throws {
      let folder = try TemporaryFolder()
      let ended = try await Program.run(
        "up", "--data", folder.path + "/data", environment: ["REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRT": "x"])
      #expect(ended.code == 1)
      #expect(ended.errors.contains("did you mean REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRET?"), "\(ended.errors)")
    }

    @Test func `the home is found from a folder inside it`() async throws {
      let ended = try await Program.run("routes", "check", folder: Program.repository + "/Sources/regproc")
      #expect(ended.code == 0, "\(ended.errors)")
    }

    @Test func `a fault in the file of a countrys names is said with its place before anything starts`() async throws {
      let folder = try TemporaryFolder()
      let stage = "/stages/opencrvs-mediator/"
      for name in ["routes.yaml"] + ["stage", "fields", "declaration"].map({ stage + $0 + ".yaml" }) {
        let bytes = try #require(TemporaryFolder.read(Program.repository + "/" + name))
        _ = try folder.write(bytes, to: name)
      }
      let good = try await Program.run("stages", "describe", "opencrvs-mediator", "--home", folder.path)
      #expect(good.code == 0, "\(good.errors)")
      _ = try folder.write("version: 1\nsections:\n  chlid: barn\n", to: stage + "fields.yaml")
      let bad = try await Program.run("stages", "describe", "opencrvs-mediator", "--home", folder.path)
      #expect(bad.code == 1)
      #expect(bad.errors.contains("fields.yaml:3:3: error: sections has no key 'chlid'"), "\(bad.errors)")
      #expect(bad.errors.contains("did you mean 'child'?"), "\(bad.errors)")
    }

    @Test func `a home without routes is refused`() async throws {
      let folder = try TemporaryFolder()
      let ended = try await Program.run("routes", "check", "--home", folder.path)
      #expect(ended.code == 1)
      #expect(ended.errors.contains("is not a home of regproc"))
    }
  }
}
