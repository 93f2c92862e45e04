import Glibc
import HTTP
import JSON
import EmbeddedPlatform
import StageKit
import System
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// The listener for operators, of processes as people start them.
  @Suite struct AdminTests {
    private let client = Client()

    private func status(_ url: String, host: String? = nil, token: String? = nil) async throws -> Int {
      var request = ClientRequest(url: url)
      if let host { request.headers.set("Host", host) }
      if let token { request.headers.set("Authorization", "Bearer \(token)") }
      return try await client.send(request).status
    }

    @Test func `two processes serve their operators apart without further settings and nobody else`() async throws {
      let folders = try (TemporaryFolder(), TemporaryFolder())
      let side = try OpenCRVSSide()
      let (one, two) = (UpPipeline(folders.0.path + "/data", side: side), UpPipeline(folders.1.path + "/data", side: side))
      let programs = (try await one.start(), try await two.start())
      #expect(one.admin != two.admin)
      for (pipeline, program) in [(one, programs.0), (two, programs.1)] {
        #expect(pipeline.admin.hasPrefix("http://127.0.0.1:") && pipeline.admin != pipeline.url)
        for line in ["health    \(pipeline.admin)/actuator/health", "journey   \(pipeline.admin)/regproc/v1/journey/RID"] {
          #expect(program.output.contains(line), "\(program.output)")
        }
        for path in ["/actuator/health", "/actuator/health/liveness", "/actuator/prometheus", "/regproc/v1/journey/1"] {
          #expect(try await status(pipeline.url + path) == 404, "\(path)")
          #expect(try await status(pipeline.admin + path) == (path.hasSuffix("/1") ? 404 : 200), "\(path)")
          #expect(try await status(pipeline.admin + path, host: "evil.example") == 421, "\(path)")
        }
        let doctor = try await Program.run("doctor", "--data", pipeline.folder)
        #expect(doctor.output.contains("process \(program.process) at \(pipeline.url) says UP"), "\(doctor.output)")
      }

      // A port that was given is not changed for another.
      let port = one.admin.split(separator: ":").last.map(String.init) ?? ""
      let third = try await Program.run("up", "--data", folders.0.path + "/third", "--port", "0", "--admin-port", port)
      #expect(third.code == 1 && third.errors.contains("cannot listen on 127.0.0.1:\(port)"), "\(third.errors)")
      for program in [programs.0, programs.1] {
        program.signal(SIGINT)
        #expect(try await program.ended().code == 0)
      }
      await side.stop()
    }

    @Test func `beyond loopback readers need a token and probes none`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(
        folder.path + "/data", side: side, options: ["--admin-port", "0"],
        environment: ["REGPROC_ADMIN_HOST": "0.0.0.0", "REGPROC_ADMIN_NAMES": "ops.example", "REGPROC_ADMIN_READ_ROLE": "LOOKER"])
      let program = try await pipeline.start()
      let blocking = BlockingPool(name: "tokens", threads: 1)
      let tokens = EmbeddedTokens(
        keys: try KeyFolder(folder: pipeline.folder + "/platform/keys"), blocking: blocking,
        roles: ["looker": ["LOOKER"], "other": ["REGPROC_READ"]], clock: SystemClock())
      let (looker, other) = (
        try await tokens.token(client: "looker", for: .mosip), try await tokens.token(client: "other", for: .mosip)
      )
      for path in ["/actuator/health", "/actuator/prometheus", "/regproc/v1/journey/1"] {
        let url = pipeline.admin + path
        #expect(try await status(url) == 401, "\(path)")
        #expect(try await status(url, token: other) == 403, "\(path)")
        #expect(try await status(url, host: "evil.example", token: looker) == 421, "\(path)")
        #expect(try await status(url, host: "ops.example", token: looker) == (path.hasSuffix("/1") ? 404 : 200), "\(path)")
      }
      for path in ["/actuator/health/liveness", "/actuator/health/readiness"] {
        #expect(try await status(pipeline.admin + path) == 200, "\(path)")
        #expect(try await status(pipeline.admin + path, host: "evil.example") == 421, "\(path)")
      }
      let doctor = try await Program.run("doctor", "--data", pipeline.folder)
      #expect(doctor.output.contains("process \(program.process) at \(pipeline.url) says UP"), "\(doctor.output)")
      program.signal(SIGINT)
      #expect(try await program.ended().code == 0)
      blocking.close()
      await side.stop()
    }
  }
}
