import Glibc
import HTTP
import JSON
import StandIn
import System
import TestSupport
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// The program with certificates, as a country with an authority of its own has it.
  @Suite struct TLSTests {
    private func settings(_ words: [String], environment: [String: String] = [:]) throws -> Settings {
      try Settings(
        Arguments(words, for: DoctorCommand.command),
        Surroundings(console: Console(environment: [:]), environment: environment, program: Program.regproc))
    }

    private func put(_ from: String, at to: String) throws {
      let folder = to.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
      let new = "\(folder)/new-\(SecureRandom.uuid())"
      try Files.write(try Files.read(from), to: new)
      try #require(rename(new, to) == 0)
    }

    @Test func `births go to their tokens over mutual TLS and a renewed certificate needs no restart`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let authority = try await TestAuthority("authority", in: folder.path)
      let (http, admin) = (try await authority.issue("http"), try await authority.issue("admin"))
      let file = try folder.write(
        """
        http:
          trusted-ca: \(authority.certificate)
          tls:
            certificate: \(http.certificate)
            key: \(http.key)
            client-ca: \(authority.certificate)
        admin:
          tls:
            certificate: \(admin.certificate)
            key: \(admin.key)
        """, to: "tls.yaml")
      let secret = try folder.write(OpenCRVSSide.secret, to: "secret")
      let pipeline = UpPipeline(folder.path + "/data", side: side, options: ["--settings", file])
      let program = try await pipeline.start()
      let url = "https://127.0.0.1:\(pipeline.port)"
      #expect(pipeline.admin.hasPrefix("https://127.0.0.1:"))
      let births = OpenCRVSSide.births(2, run: "TLS")
      func send(_ birth: SampleBirths.Birth) async throws {
        let body = try folder.write(birth.body, to: "\(birth.name).json")
        let sent = try await Program.run(
          "send", "birth", body, "--to", url + "/webhooks", "--secret-file", secret, "--settings", file)
        #expect(sent.code == 0 && sent.output.contains("taken"), "\(sent.output)\(sent.errors)")
        #expect(
          try await eventually { !side.standIn.returned(birth.registrationNumber).tokens.isEmpty }, "\(program.errors)")
      }
      try await send(births[0])

      let operators = Client(ClientSettings(caFile: authority.certificate))
      func metrics() async throws -> [String] {
        let answer = try await operators.send(ClientRequest(url: pipeline.admin + "/actuator/prometheus"))
        return String(decoding: answer.body, as: UTF8.self).split(separator: "\n").map(String.init)
      }
      func ends(_ listener: String) async throws -> String? {
        try await metrics().first { $0.hasPrefix("regproc_tls_certificate_not_after_seconds{listener=\"\(listener)\"}") }
      }
      // Who shows no certificate hears nothing, and is counted.
      await #expect(throws: HTTPError.self) { try await operators.send(ClientRequest(url: url + "/webhooks")) }
      #expect(
        try await eventually { try await metrics().contains(#"regproc_refused_total{what="tls",reason="no-certificate"} 1"#) })
      let doctor = try await Program.run("doctor", "--data", pipeline.folder, "--settings", file)
      #expect(doctor.output.contains("process \(program.process) at \(url) says UP"), "\(doctor.output)")
      for files in ["http: \(http.certificate)", "admin: \(admin.certificate)"] {
        #expect(doctor.output.contains("tls        \(files) ends on "), "\(doctor.output)")
      }

      let before = (try await ends("public"), try await ends("admin"))
      let renewed = try await authority.issue("renewed", days: 40)
      for files in [http, admin] {
        try put(renewed.certificate, at: files.certificate)
        try put(renewed.key, at: files.key)
      }
      #expect(before.0 != nil && before.1 != nil)
      #expect(try await eventually { try await ends("public") != before.0 })
      #expect(try await eventually { try await ends("admin") != before.1 })
      try await send(births[1])

      // A key of another certificate changes nothing, and is told.
      let other = try await authority.issue("other")
      try put(other.key, at: admin.key)
      func tls() async throws -> JSONValue? {
        let answer = try await operators.send(ClientRequest(url: pipeline.admin + "/actuator/health"))
        #expect(answer.status == 200)
        return try JSONValue.parse(answer.body)["components"]?["tls"]
      }
      #expect(
        try await eventually {
          try await tls()?["listeners"]?.array?.contains { $0["name"]?.string == "admin" && $0["refused"]?.string != nil } == true
        })
      #expect(try await tls()?["status"]?.string == "UP")
      #expect(try await metrics().contains(#"regproc_tls_reload_failures_total{listener="admin"} 1"#))
      #expect(program.errors.contains("the changed certificate is refused"))
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)
      await side.stop()
    }

    @Test func `doctor tells when a certificate ends and for whom it is not`() async throws {
      let folder = try TemporaryFolder()
      let authority = try await TestAuthority("authority", in: folder.path)
      let files = try await authority.issue("server", days: 100)
      let settings = try settings(
        ["--url", "https://mediator.example:8443"],
        environment: ["REGPROC_HTTP_TLS_CERTIFICATE": files.certificate, "REGPROC_HTTP_TLS_KEY": files.key])
      func told(_ settings: Settings, afterDays days: Double) -> [String] {
        var lines: [String] = []
        let around = Surroundings(console: Console(environment: [:]), environment: [:], program: Program.regproc)
        let doctor = Doctor(settings, around, tell: { lines.append("\($0.kind) \($0.text)") })
        defer { doctor.blocking.close() }
        DoctorTLS.look(
          settings, now: Instant.now.advanced(bySeconds: days * 86_400), DoctorReport(doctor, DoctorTLS.check))
        return lines
      }
      let day = try TLSIdentity(files).check().notAfter.iso.prefix(10)
      let wrongName = "bad http: \(files.certificate) is not for mediator.example, by which it is called"
      let noAdmin = "good admin: none configured (admin.tls.certificate)"
      #expect(told(settings, afterDays: 0) == ["good http: \(files.certificate) ends on \(day)", wrongName, noAdmin])
      let url = try self.settings(
        ["--url", "http://localhost"],
        environment: [
          "REGPROC_HTTP_TLS_CERTIFICATE": files.certificate, "REGPROC_HTTP_TLS_KEY": files.key,
          "REGPROC_HTTP_TLS_CLIENT_CA": authority.certificate, "REGPROC_HTTP_TRUSTED_CA": files.key,
        ])
      let lines = told(url, afterDays: 0)
      #expect(lines.count == 5 && lines[0].hasPrefix("good http: ") && lines[1].hasPrefix("good admin: "), "\(lines)")
      #expect(lines[2].hasPrefix("warn http.tls.client-ca: \(authority.certificate) ends on "), "\(lines)")
      #expect(lines[3] == "bad http.trusted-ca: \(files.key) holds no PEM certificate that can be read", "\(lines)")
      #expect(lines[4].hasPrefix("warn http.url begins with http://"), "\(lines)")
      #expect(told(settings, afterDays: 75).first == "warn http: \(files.certificate) ends on \(day), in 24 days")
      #expect(told(settings, afterDays: 101).first?.hasPrefix("bad http: \(files.certificate) ended on \(day)") == true)
    }

    @Test func `certificates without their keys start nothing`() async throws {
      let folder = try TemporaryFolder()
      let authority = try await TestAuthority("authority", in: folder.path)
      let (one, other) = (try await authority.issue("one"), try await authority.issue("other"))
      func fault(_ environment: [String: String]) throws -> String? {
        let settings = try settings([], environment: environment)
        let error = #expect(throws: Failure.self, "\(environment.keys.sorted())") {
          _ = (try settings.tls("http"), try settings.tls("admin"), try settings.client())
        }
        return error.map { "\($0)" }
      }
      for section in ["HTTP", "ADMIN"] {
        let name = "REGPROC_\(section)_TLS_"
        #expect(try fault([name + "CERTIFICATE": one.certificate])?.contains("is set without") == true)
        #expect(try fault([name + "KEY": one.key])?.contains("is set without") == true)
        #expect(try fault([name + "CLIENT_CA": one.certificate])?.contains("is set without") == true)
        #expect(
          try fault([name + "CERTIFICATE": one.certificate, name + "KEY": other.key])?.contains("the key is not the certificate's")
            == true)
      }
      #expect(try fault(["REGPROC_HTTP_CLIENT_CERTIFICATE": one.certificate])?.contains("is set without") == true)
      let both = try settings(
        ["--host", "0.0.0.0"], environment: ["REGPROC_HTTP_TLS_CERTIFICATE": one.certificate, "REGPROC_HTTP_TLS_KEY": one.key])
      #expect(both.url(port: 1) == "https://0.0.0.0:1")
    }
  }
}
