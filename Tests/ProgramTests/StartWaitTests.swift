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
      #expect(refused.code == 1 && refused.errors.contains("cannot connect to database"), "\(refused.errors)")
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

      // A second one under its name is told so; one that comes after a kill is not.
      let others = words.map { $0 == "\(ports[1])" ? "0" : $0 }
      let second = try await Program.run(others, environment: environment)
      #expect(second.code == 1 && second.errors.contains("process \(program.process) on host"), "\(second.errors)")
      #expect(second.errors.contains("runs packet-validator under it since"), "\(second.errors)")
      #expect(await probe("readiness")?.status == 200)
      try await program.killed()
      let again = try await Program(words, environment: environment)
      #expect(try await eventually { await probe("readiness")?.status == 200 }, "\(again.errors)")
      #expect(!again.errors.contains("the name was held"), "\(again.errors)")
      again.signal(SIGTERM)
      #expect(try await again.ended().code == 0, "\(again.errors)")
      try await broker.stop()
    }

    @Test func `up waits for a configured database says so and ends at once when it is asked to`() async throws {
      let folder = try TemporaryFolder()
      let server = try await TestDatabase.makeEmpty()
      func words(_ name: String) -> [String] {
        let connection = "host=\(server.host) user=\(server.user) dbname=\(name)"
        return ["up", "--database", connection, "--data", folder.path + "/data", "--port", "0", "--admin-port", "0"]
      }
      let refused = try await Program.run(words("never\(server.database)") + ["--wait-for", "1"])
      #expect(refused.code == 1 && refused.errors.contains("waited in vain for the database: "), "\(refused.errors)")

      let name = "later\(server.database)"
      let stopped = try await Program(words(name))
      try await eventually("it waits") { stopped.errors.contains("regproc: waits for the database") }
      stopped.signal(SIGINT)
      #expect(try await stopped.ended().code == 0)

      let program = try await Program(words(name))
      try await eventually("it waits") { program.errors.contains("regproc: waits for the database") }
      try await TestDatabase.run(server) { try $0.script("CREATE DATABASE \(name)") }
      try await eventually("it starts: \(program.errors)") { program.errors.contains("takes events") || !program.isRunning }
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0, "\(program.errors)")
    }

    /// A socket that takes connections and never says a word.
    @Test func `the wait for what does not answer ends at once too`() async throws {
      let folder = try TemporaryFolder()
      let silent = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      defer { close(silent) }
      let port = freePort()
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(silent, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
      }
      try #require(bound == 0 && listen(silent, 8) == 0)
      let program = try await Program([
        "run", "packet-validator", "--kafka", "127.0.0.1:1", "--data", folder.path + "/data", "--port", "0", "--admin-port", "0",
        "--database", "host=127.0.0.1 port=\(port) user=a dbname=b connect_timeout=600",
      ])
      // It has called, and hangs.
      let caller = try await BlockingPool(name: "silent", threads: 1).run { accept(silent, nil, nil) }
      defer { close(caller) }
      program.signal(SIGTERM)
      #expect(try await program.ended(within: 60).code == 0, "\(program.errors)")
    }
  }
}
