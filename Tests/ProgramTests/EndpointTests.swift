import TestSupport
import Glibc
import HTTP
import JSON
import EmbeddedPlatform
import Postgres
import Registration
import StageKit
import StandIn
import System
import Testing

extension ProgramTests {
  /// Bad input at the endpoints of a running pipeline: a named error, and nothing of it kept.
  @Suite struct EndpointTests {
    /// An answer as a sender sees it.
    private struct Answer: Equatable {
      var status: Int
      var code: String?
      init(_ status: Int, _ code: String?) { (self.status, self.code) = (status, code) }
    }

    private let client = Client(ClientSettings(timeoutSeconds: 120))

    private func send(
      _ body: [UInt8], to url: String, signature: String?, method: String = "POST", type: String = "application/json"
    ) async throws -> (answer: Answer, body: JSONValue?) {
      var request = ClientRequest(method: method, url: url, body: .bytes(body))
      request.headers.set("Content-Type", type)
      if let signature { request.headers.set("X-Hub-Signature", signature) }
      let response = try await client.send(request)
      let value = try? JSONValue.parse(response.body)
      return (Answer(response.status, value?["errors"]?[0]?["errorCode"]?.string), value)
    }

    private func signed(_ body: [UInt8], secret: String = OpenCRVSSide.secret) -> String {
      HubSignature.openCRVS(body: body, secret: Array(secret.utf8))
    }

    private func event(_ context: String, topic: String = "BIRTH_REGISTERED") -> [UInt8] {
      Array(
        #"{"timestamp":"2025-09-01T08:00:00.000Z","id":"1","event":{"hub":{"topic":"\#(topic)"},"context":\#(context)}}"#
          .utf8)
    }

    @Test func `bad webhooks are refused by name and a good one is taken once`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side)
      let program = try await pipeline.start()
      let url = pipeline.url + "/webhooks"
      let birth = OpenCRVSSide.births(1, run: "DOORS")[0]
      let task = """
        {"resource":{"resourceType":"Task","focus":{"reference":"Composition/c-1"},"identifier":[
        {"system":"http://opencrvs.org/specs/id/birth-registration-number","value":"2025BNOCHILD"}]}}
        """

      let missing = try await send(birth.body, to: url, signature: nil)
      #expect(missing.answer == Answer(401, "OPN-AUT-003"))
      let foreign = try await send(birth.body, to: url, signature: signed(birth.body, secret: "another secret"))
      #expect(foreign.answer == Answer(401, "OPN-AUT-002"))
      let changed = try await send(birth.body + [32], to: url, signature: signed(birth.body))
      #expect(changed.answer == Answer(401, "OPN-AUT-002"))
      for signature in ["", "sha256=", "sha256=zz", "sha1=" + signed(birth.body).dropFirst(7), "nothing"] {
        #expect(try await send(birth.body, to: url, signature: signature).answer.status == 401, "\(signature)")
      }

      let unreadable: [(String, [UInt8])] = [
        ("nothing", []), ("no JSON", Array("a letter".utf8)), ("cut", Array(birth.body.dropLast(20))),
        ("a list", Array("[]".utf8)),
        ("no event", Array(#"{"timestamp":"x"}"#.utf8)), ("no context", event("[]")),
        ("no bundle", event(#"[{"resourceType":"Patient"}]"#)),
        ("an empty bundle", event(#"[{"resourceType":"Bundle","entry":[]}]"#)),
        ("no child", event("[{\"resourceType\":\"Bundle\",\"entry\":[\(task)]}]")),
        ("deep", Array(repeating: UInt8(ascii: "["), count: 200_000)),
        ("an unknown topic", event("[]", topic: "MARRIAGE_REGISTERED")),
      ]
      for (name, body) in unreadable {
        #expect(try await send(body, to: url, signature: signed(body)).answer == Answer(400, "OPN-CRVS-001"), "\(name)")
      }
      let noText: [UInt8] = [0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]
      #expect(try await send(noText, to: url, signature: signed(noText)).answer == Answer(400, "OPN-CRVS-033"))
      #expect(
        try await send([UInt8](repeating: 32, count: 52_428_801), to: url, signature: "sha256=00").answer
          == Answer(413, "OPN-CRVS-035"))
      #expect(try await send(birth.body, to: url, signature: signed(birth.body), method: "PUT").answer.status == 405)
      #expect(
        try await send(birth.body, to: pipeline.url + "/webhook", signature: signed(birth.body)).answer.status == 404)
      // The endpoints behind it take nothing without a token.
      for path in ["/opencrvs/v1/birth", "/birthReceiveNid", "/receiveStatus", "/subscribe"] {
        #expect(
          try await send(Array("{}".utf8), to: pipeline.url + path, signature: nil).answer
            == Answer(401, "OPN-AUT-003"), "\(path)")
      }
      let upload = pipeline.url + "/registrationprocessor/v1/packetreceiver/registrationpackets"
      // What a stranger sends is not looked at, so that it is no multipart is not told either.
      #expect(try await send(Array("x".utf8), to: upload, signature: nil).answer == Answer(401, "KER-ATH-401"))
      let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"1.zip\"\r\n\r\nx\r\n--b--\r\n"
      let unasked = try await send(
        Array(part.utf8), to: upload, signature: nil, type: "multipart/form-data; boundary=b")
      #expect(unasked.answer == Answer(401, "KER-ATH-401"))

      // What we show to OpenCRVS, and what the MOSIP-side mediator shows to the other one, opens nothing of MOSIP's side.
      let blocking = BlockingPool(name: "tokens", threads: 1)
      defer { blocking.close() }
      let tokens = EmbeddedTokens(
        keys: try KeyFolder(folder: pipeline.folder + "/platform/keys"), blocking: blocking,
        roles: ["opencrvs": ["REGISTRATION_PROCESSOR"]], clock: SystemClock())
      let received = "/registrationprocessor/v1"
      for audience in [TokenAudience.opencrvs, .opencrvsMediator] {
        let token = try await tokens.token(client: "opencrvs", for: audience)
        for path in [
          "/hub", "/opencrvs/v1/birth", "/opencrvs/v1/death", "/opencrvs/v1/internal/subscribe",
          "\(received)/registrationstatus/sync",
          "\(received)/registrationstatus/search", "\(received)/packetreceiver/registrationpackets",
        ] {
          var request = ClientRequest(method: "POST", url: pipeline.url + path, body: .bytes(Array(part.utf8)))
          request.headers.set("Content-Type", "multipart/form-data; boundary=b")
          request.headers.set("Cookie", "Authorization=\(token)")
          request.headers.set("Authorization", "Bearer \(token)")
          let status = try await client.send(request).status
          #expect(status == 401, "\(path)")
        }
      }

      // Nothing of all that was kept.
      let database = try pipeline.database()
      #expect(try await events(database) == 0)
      #expect(try await Outcome.read(database).rids.isEmpty)

      // The good one, many times at once and again after its end: one answer, one RID, one token.
      let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
        for _ in 0..<8 { group.addTask { try await send(birth.body, to: url, signature: signed(birth.body)).answer } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.allSatisfy { $0 == Answer(200, nil) }, "\(answers)")
      #expect(
        try await eventually { side.standIn.returned(birth.registrationNumber).hasEnded },
        "\(program.errors.suffix(1000))")
      let late = try await send(birth.body, to: url, signature: signed(birth.body))
      #expect(late.answer == Answer(200, nil))
      // Other content under the same record is not taken for the same event.
      let text = String(decoding: birth.body, as: UTF8.self)
      let other = Array(text.replacing("\"birthDate\":\"2025-", with: "\"birthDate\":\"2024-").utf8)
      #expect(other != birth.body)
      #expect(try await send(other, to: url, signature: signed(other)).answer == Answer(409, "OPN-CRVS-015"))
      let outcome = try await Outcome.atRest(database)
      outcome.expectEachOnce([birth], at: side.standIn)
      #expect(try await events(database) == 1)

      // What must stay out of words.
      let returned = side.standIn.returned(birth.registrationNumber)
      program.signal(SIGINT)
      let end = try await program.ended()
      #expect(end.code == 0)
      #expect(!end.errors.contains(try #require(returned.token)) && !end.errors.contains(OpenCRVSSide.secret))
      client.close()
      await side.stop()
    }

    private func events(_ database: PostgresSettings) async throws -> Int {
      let pool = BlockingPool(name: "events", threads: 1)
      defer { pool.close() }
      return try await pool.run {
        let connection = try Connection(database)
        defer { connection.close() }
        return try connection.execute("SELECT count(*)::int FROM regproc.stage_record WHERE collection = 'events'")
          .only().int(0)
      }
    }
  }
}
