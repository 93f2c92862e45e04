import Glibc
import HTTP
import JSON
import System
import TestSupport
import Testing

extension ProgramTests {
  /// A process that starts before what it needs is there.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct StartWaitTests {
    @Test func `a process waits for database migrations and Kafka and says for what while it lives`() async throws {
      let folder = try TemporaryFolder()
      let server = try await TestDatabase.makeEmpty()
      let name = "later\(server.database)"
      let connection = "host=\(server.host) user=\(server.user) dbname=\(name)"
      let ports = try #require(FreePort.choose(2))
      let kafka = OutsideBroker.address ?? "127.0.0.1:\(ports[0])"
      let words = [
        "run", "packet-validator", "--kafka", kafka, "--database", connection, "--data", folder.path + "/data", "--port", "0",
        "--admin-port", "\(ports[1])",
      ]
      let environment = ["REGPROC_DATABASE_MIGRATE": "check"]
      let client = Client(ClientSettings(connectTimeoutSeconds: 2, timeoutSeconds: 10))
      defer { client.close() }
      func probe(_ name: String) async -> (status: Int, waitsFor: String?)? {
        let url = "http://127.0.0.1:\(ports[1])/actuator/health/\(name)"
        guard let answer = try? await client.send(ClientRequest(url: url)) else { return nil }
        return (answer.status, (try? JSONValue.parse(answer.body))?["waitsFor"]?.string)
      }
      func waits(_ program: Program, for thing: String) async throws -> Bool {
        try await eventually {
          guard let answer = await probe("readiness") else { return false }
          return answer.status == 503 && answer.waitsFor == thing && program.errors.contains("waits for \(thing)")
        }
      }

      // Who does not want to wait is told what is missing; who waits and is asked to stop, stops.
      let refused = try await Program.run(words + ["--wait-for", "0"], environment: environment)
      #expect(refused.code == 1 && refused.errors.contains("connectionFailed"), "\(refused.errors)")
      let stopped = try await Program(words, environment: environment)
      #expect(try await waits(stopped, for: "the database"), "\(stopped.errors)")
      stopped.signal(SIGTERM)
      #expect(try await stopped.ended().code == 0)

      let program = try await Program(words, environment: environment)
      #expect(try await waits(program, for: "the database"), "\(program.errors)")
      #expect(await probe("liveness")?.status == 200)
      try await TestDatabase.run(server) { try $0.script("CREATE DATABASE \(name)") }
      #expect(try await waits(program, for: "migrations of the database"), "\(program.errors)")
      #expect(program.errors.contains("regproc database migrate"))
      #expect(try await Program.run("database", "migrate", "--database", connection).code == 0)
      if OutsideBroker.address == nil {
        #expect(try await waits(program, for: "Kafka"), "\(program.errors)")
        #expect(await probe("liveness")?.status == 200)
      }
      let broker = try await TransactionalBroker(port: ports[0])
      #expect(try await eventually { await probe("readiness")?.status == 200 }, "\(program.errors)")
      #expect(await probe("liveness")?.status == 200 && program.isRunning)
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0, "\(program.errors)")
      try await broker.stop()
    }
  }
}
