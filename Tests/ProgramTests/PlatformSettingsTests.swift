import HTTP
import JSON
import Testing

extension ProgramTests {
  /// Which platform services are used, and what `doctor` says of them.
  @Suite struct PlatformSettingsTests {
    @Test func `doctor names each service of MOSIP and whether it answers`() async throws {
      let server = try Server(
        ServerSettings(),
        endpoints: [
          Endpoint("GET", "/auth/realms/mosip") { _ in .json("{}") },
          Endpoint("POST", "/auth/realms/mosip/protocol/openid-connect/token") { request in
            request.form().contains { $0 == ("client_secret", "from-a-file") }
              ? .json(#"{"access_token":"t","expires_in":60}"#) : .json("{}", status: 401)
          },
          Endpoint("GET", "/v1/keymanager/actuator/health") { _ in .json(#"{"status":"DOWN"}"#, status: 503) },
        ])
      let url = "http://127.0.0.1:\(try server.start())"
      let folder = try TemporaryFolder()
      let secret = try folder.write("from-a-file\n", to: "secret")
      var lines =
        "platform: mosip\ndata: \(folder.path)/data\nmosip:\n  client-secret-file: \(secret)\n  iam-url: \(url)/auth/realms/mosip\n"
      for name in [
        "packet-manager", "id-repository", "vid-service", "key-manager", "credential-request", "websub-hub", "rid-generator",
        "audit-manager", "sync-data", "id-authentication", "notifier",
      ] {
        lines += "  \(name)-url: \(url)\n"
      }
      lines += "  master-data-url: http://127.0.0.1:1\n"
      let file = try folder.write(lines, to: "mosip.yaml")
      let ended = try await Program.run("doctor", "--settings", file)
      #expect(ended.code == 1)
      func line(_ name: String) -> String { ended.lines.first { $0.contains(" \(name) at ") } ?? "" }
      #expect(line("iam").hasPrefix("good") && line("iam").contains("gives our client a token"), "\(ended.output)")
      for name in [
        "packet manager", "id repository", "vid service", "credential request", "websub hub", "rid generator", "sync data",
        "id authentication",
      ] {
        #expect(line(name).hasPrefix("good"), "\(name): \(ended.output)")
      }
      #expect(line("key manager").hasPrefix("bad") && line("key manager").contains("503"))
      #expect(line("master data").hasPrefix("bad") && line("master data").contains("does not answer"))
      #expect(!ended.output.contains("from-a-file") && !ended.errors.contains("from-a-file"))
      await server.stop(graceSeconds: 0)
    }

    @Test func `a missing secret and a wrong line of a clients file are named`() async throws {
      let folder = try TemporaryFolder()
      let missing = try await Program.run("doctor", "--platform", "mosip", "--data", folder.path + "/data")
      #expect(missing.code == 1 && missing.output.contains("mosip.client-secret-file"), "\(missing.output)")
      let clients = try folder.write("# ours\nopencrvs.id=o\nopencrvs.secrt=s\n", to: "clients")
      let wrong = try await Program.run(
        "doctor", "--platform", "mosip", "--data", folder.path + "/data",
        environment: ["REGPROC_MOSIP_CLIENT_SECRET": "s3cret", "REGPROC_MOSIP_CLIENTS_FILE": clients])
      #expect(wrong.code == 1 && wrong.output.contains("\(clients):3"), "\(wrong.output)")
      #expect(!wrong.output.contains("s3cret"))
      let store = try await Program.run("doctor", "--object-store", "s3", "--data", folder.path + "/data")
      #expect(store.code == 1 && store.output.contains("s3.secret-key-file"), "\(store.output)")
    }

    @Test func `settings show where MOSIP is and no secret`() async throws {
      let ended = try await Program.run(
        "settings", "--json", environment: ["REGPROC_MOSIP_CLIENT_SECRET": "s3cret", "REGPROC_S3_SECRET_KEY": "k3y"])
      #expect(ended.code == 0 && !ended.output.contains("s3cret") && !ended.output.contains("k3y"))
      #expect(ended.output.contains("http://keymanager.keymanager") && ended.output.contains("REGPROC_MOSIP_KEY_MANAGER_URL"))
      let wrong = try await Program.run("settings", "--platform", "mosp")
      #expect(wrong.code == 2 && wrong.errors.contains("embedded or mosip"), "\(wrong.code) \(wrong.errors)")
    }

    @Test func `languages of master data are codes of three letters`() async throws {
      let right = try await Program.run("settings", "--json", environment: ["REGPROC_MOSIP_LANGUAGES": "eng, fra,ara"])
      #expect(right.code == 0 && right.output.contains("eng, fra,ara"), "\(right.errors)")
      for text in ["english", "eng,", "ENG", "eng;fra", "en"] {
        let wrong = try await Program.run("settings", environment: ["REGPROC_MOSIP_LANGUAGES": text])
        #expect(wrong.code == 1 && wrong.errors.contains("three small letters"), "\(text): \(wrong.code) \(wrong.errors)")
      }
    }
  }
}
