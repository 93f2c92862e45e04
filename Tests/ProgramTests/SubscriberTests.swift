import TestSupport
import Glibc
import HTTP
import JSON
import EmbeddedPlatform
import StandIn
import Synchronization
import System
import Testing

extension ProgramTests {
  /// Hubs and subscribers of another make, beside a running pipeline.
  @Suite struct SubscriberTests {
    /// A subscriber that answers as it is told.
    private final class Subscriber: Sendable {
      let links = Mutex<[String]>([])
      let statuses: Mutex<[Int]>

      init(_ statuses: [Int]) { self.statuses = Mutex(statuses) }

      var endpoints: [Endpoint] {
        [
          Endpoint("GET", "/callback") { .text($0.query("hub.challenge") ?? "") },
          Endpoint("POST", "/callback") { request in
            self.links.withLock { $0.append(request.headers["Link"] ?? "") }
            return .text("", status: self.statuses.withLock { $0.isEmpty ? 200 : $0.removeFirst() })
          },
        ]
      }
    }

    private let client = Client(ClientSettings(timeoutSeconds: 120))

    private func status(_ method: String, _ url: String, _ body: String = "{}", headers: Headers = [:]) async throws -> Int {
      var request = ClientRequest(method: method, url: url, body: .bytes(Array(body.utf8)))
      request.headers = headers
      if headers["Content-Type"] == nil { request.headers.set("Content-Type", "application/json") }
      return try await client.send(request).status
    }

    @Test func `every endpoint takes a slash at its end and a refused event is listed without holding the others`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let program = try await pipeline.start()

      // As MOSIP's own hub delivers: to the callback that it was given, and a slash.
      let base = "/registrationprocessor/v1"
      for (path, wanted) in [
        ("/opencrvs/v1/internal/receiveCredentialBirth", 401), ("/opencrvs/v1/internal/receiveWorkflowCompleted", 401),
        ("/webhooks", 401), ("/birthReceiveNid", 401), ("/receiveStatus", 401), ("/opencrvs/v1/birth", 401),
        ("\(base)/registrationstatus/sync", 401), ("\(base)/packetreceiver/registrationpackets", 401), ("/hub", 401),
      ] {
        let plain = try await status("POST", pipeline.url + path)
        #expect(plain == wanted, "\(path)")
        #expect(try await status("POST", pipeline.url + path + "/") == plain, "\(path)/")
      }
      for url in [pipeline.url + "/ping", pipeline.admin + "/actuator/health/readiness"] {
        #expect(try await client.send(ClientRequest(url: url + "/")).status == 200, "\(url)/")
      }

      let blocking = BlockingPool(name: "tokens", threads: 1)
      let tokens = EmbeddedTokens(
        keys: try KeyFolder(folder: pipeline.folder + "/platform/keys"), blocking: blocking,
        roles: ["somebody": ["SUBSCRIBE_T_GENERAL", "PUBLISH_T_GENERAL", "REGISTRATION_PROCESSOR"]], clock: SystemClock())
      let token = try await tokens.token(client: "somebody", for: .mosip)
      let subscriber = Subscriber([500, 500])
      let server = try Server(ServerSettings(), endpoints: subscriber.endpoints)
      let callback = "http://127.0.0.1:\(try server.start())/callback"
      let form = "hub.mode=subscribe&hub.topic=T&hub.secret=made-up&hub.callback=\(callback)"
      #expect(
        try await status(
          "POST", pipeline.url + "/hub/", form,
          headers: ["Content-Type": "application/x-www-form-urlencoded", "Authorization": "Bearer \(token)"]) == 202)
      func publish() async throws -> Int {
        try await status(
          "POST", pipeline.url + "/hub?hub.mode=publish&hub.topic=T", #"{"result":"FAILED"}"#,
          headers: ["Authorization": "Bearer \(token)"])
      }
      #expect(try await publish() == 200)
      #expect(try await eventually { subscriber.links.withLock { !$0.isEmpty } })
      #expect(
        subscriber.links.withLock { $0.first } == "<\(pipeline.url)/hub>; rel=\"hub\", <T>; rel=\"self\"",
        "the hub's own address, at which one can subscribe")

      // As if it had been refused for two days; the equal event behind it is another one.
      #expect(try await publish() == 200)
      #expect(
        try await eventually {
          _ = try await pipeline.query(
            """
            UPDATE platform.hub_delivery SET refused_since = now() - interval '2 days', not_before = now()
            WHERE topic = 'T' AND refused_since IS NOT NULL AND is_open RETURNING 'x'
            """)
          return try await pipeline.query("SELECT 'x' FROM platform.hub_delivery WHERE topic = 'T' AND given_up_at IS NOT NULL")
            .count == 1
        })
      #expect(
        try await eventually {
          try await pipeline.query("SELECT 'x' FROM platform.hub_delivery WHERE topic = 'T' AND is_open").isEmpty
        })
      #expect(subscriber.links.withLock { $0.count } == 3)
      let list = try await Program.run("dead-letters", "list", "--stage", "hub", "--json", "--data", pipeline.folder)
      let letter = try JSONValue.parse(Array(try #require(list.lines.first, "\(list.errors)").utf8))
      #expect(list.lines.count == 1 && letter["code"]?.string == "RPR-HUB-003" && letter["record"]?.string == "T")
      #expect(letter["reason"]?.string?.contains("status 500") == true)
      let show = try await Program.run("dead-letters", "show", try #require(letter["id"]?.string), "--data", pipeline.folder)
      #expect(show.code == 0 && show.output.contains(#"{"result":"FAILED"}"#), "\(show.errors)")
      let id = try #require(letter["id"]?.string)
      let again = try await Program.run("dead-letters", "replay", id, "--reason", "it is back", "--data", pipeline.folder)
      #expect(again.code == 0 && again.output == "\(id): delivered again, of T\n", "\(again.errors)")
      #expect(try await eventually { subscriber.links.withLock { $0.count } == 4 })
      #expect(try await Program.run("dead-letters", "replay", id, "--data", pipeline.folder).code == 1, "it lives")

      // What an operator holds, every process knows a moment later.
      func held() async throws -> JSONValue? {
        let health = try await client.send(ClientRequest(url: pipeline.admin + "/actuator/health"))
        return try JSONValue.parse(health.body)["components"]?["paused"]
      }
      #expect(try await Program.run("pause", "intake", "--data", pipeline.folder).code == 2, "a reason must be given")
      #expect(try await Program.run("pause", "nothing", "--reason", "a move", "--data", pipeline.folder).code == 1)
      let pause = try await Program.run(
        "pause", "uin-generator", "--reason", "a move", "--author", "anna", "--data", pipeline.folder)
      #expect(pause.code == 0 && pause.output.contains("by anna: a move"), "\(pause.errors)")
      #expect(try await eventually { try await held()?[0]?["what"]?.string == "uin-generator" })
      #expect(try await Program.run("resume", "uin-generator", "--data", pipeline.folder).code == 0)
      #expect(try await eventually { try await held() == [] })
      // With the intake held, who may announce is asked to come again; a stranger stays one, and webhooks are taken.
      let sync = pipeline.url + "\(base)/registrationstatus/sync"
      let headers: Headers = ["Cookie": "Authorization=\(token)", "Content-Type": "application/json"]
      let open = try await status("POST", sync, "{}", headers: headers)
      #expect(open != 503 && open != 401)
      #expect(try await Program.run("pause", "intake", "--reason", "a move", "--data", pipeline.folder).code == 0)
      #expect(try await eventually { try await status("POST", sync, "{}", headers: headers) == 503 })
      #expect(try await status("POST", sync, "{}") == 401)
      #expect(try await status("POST", pipeline.url + "/webhooks") == 401)
      #expect(try await Program.run("resume", "intake", "--data", pipeline.folder).code == 0)
      #expect(try await eventually { try await status("POST", sync, "{}", headers: headers) == open })
      for words in [["work", "list"], ["waiting", "list"], ["pause"]] {
        let run = try await Program.run(words + ["--data", pipeline.folder])
        #expect(run.code == 0 && run.lines.allSatisfy { $0.count <= 80 }, "\(words): \(run.errors)")
      }

      program.signal(SIGINT)
      let end = try await program.ended()
      #expect(end.code == 0 && end.errors.contains("RPR-HUB-003"))
      await server.stop(graceSeconds: 1)
      client.close()
      blocking.close()
      await side.stop()
    }
  }
}
