import StageTesting
import HTTP
import JSON
import StageKit
import Stages
import System
import Testing

/// The endpoints by which a client asks what became of its packets.
@Suite(.timeLimit(.minutes(10))) struct StatusQueriesTests {
  private static let base = "/registrationprocessor/v1/registrationstatus"

  /// A question with the name of its ids and the id of its envelope.
  struct Question: Sendable, CustomStringConvertible {
    let path: String
    let name: String
    let id: String
    var description: String { path }
  }
  private static let progress = Question(path: "/search", name: "registrationId", id: "mosip.registration.status")
  private static let outcome = Question(
    path: "/externalstatus/search", name: "registrationId", id: "mosip.registration.external.status")
  private static let packet = Question(
    path: "/packetexternalstatus", name: "packetId", id: "mosip.registration.packet.external.status")
  static let all = [progress, outcome, packet]

  private func withServer(
    _ change: @Sendable (isolated TestPlatform) -> Void = { _ in },
    _ body: (TestPlatform, (String, [UInt8], String?) async throws -> ClientResponse) async throws -> Void
  ) async throws {
    let world = TestPlatform()
    await world.set {
      $0.callers = ["good": Caller(name: "client", roles: ["REGISTRATION_OFFICER"])]
      $0.announcements = [Sample.announcement()]
    }
    await world.set(change)
    let server = try Server(endpoints: make(PacketReceiver.self).endpoints(world.context("packet-receiver")))
    let port = try server.start()
    let client = Client()
    do {
      try await body(world) { path, bytes, token in
        var headers: Headers = ["Content-Type": "application/json"]
        if let token { headers["Cookie"] = "Authorization=\(token)" }
        return try await client.send(
          ClientRequest(method: "POST", url: "http://127.0.0.1:\(port)\(Self.base)\(path)", headers: headers, body: .bytes(bytes)))
      }
    } catch {
      await server.stop()
      client.close()
      throw error
    }
    await server.stop()
    client.close()
  }

  private func request(_ question: Question, _ ids: [String]) -> JSONValue {
    [
      "id": .string(question.id), "version": "1.0", "requesttime": .string(Sample.now.iso),
      "request": .array(ids.map { .object([question.name: .string($0)]) }),
    ]
  }

  /// Asks and gives `id=status` for each answer and `id!code` for each error.
  private func ask(
    _ question: Question, _ ids: [String], _ send: (String, [UInt8], String?) async throws -> ClientResponse
  ) async throws -> [String] {
    let response = try await send(question.path, request(question, ids).encoded(), "good")
    #expect(response.status == 200 && response.headers["Response-Signature"]?.contains("..") == true)
    let answer = try JSONValue.parse(response.body)
    #expect(answer["id"]?.string == question.id && answer["version"]?.string == "1.0")
    #expect(Instant(iso: answer["responsetime"]?.string ?? "") != nil)
    return (answer["response"]?.array ?? []).map { "\($0[question.name]?.string ?? "null")=\($0["statusCode"]?.string ?? "null")" }
      + (answer["errors"]?.array ?? []).map { "\($0[question.name]?.string ?? "")!\($0["errorCode"]?.string ?? "")" }
  }

  @Test(arguments: all) func `what was only announced is pending and what is unknown is said so`(_ question: Question) async throws
  {
    try await withServer { _, send async throws in
      let unknown = "10001100020000120240229235959"
      #expect(
        try await ask(question, [Sample.rid, unknown], send) == ["\(Sample.rid)=UPLOAD_PENDING", "\(unknown)!RPR-RGS-031"])
      #expect(try await ask(question, [], send) == [])
    }
  }

  @Test func `every question has its own answer over one registration`() async throws {
    try await withServer({ $0.rows = [Sample.row(status: .failed, type: "INTERNAL_WORKFLOW_ACTION")] }) { _, send async throws in
      #expect(try await ask(Self.progress, [Sample.rid], send) == ["\(Sample.rid)=PROCESSED"])
      #expect(try await ask(Self.outcome, [Sample.rid], send) == ["\(Sample.rid)=REREGISTER"])
      #expect(try await ask(Self.packet, [Sample.rid], send) == ["\(Sample.rid)=ACCEPTED"])
    }
  }

  @Test func `a registration with corrections is answered by each row and by its main process`() async throws {
    try await withServer({
      $0.rows = [
        Sample.row(status: .pausedForAdditionalInfo, type: "INTERNAL_WORKFLOW_ACTION"),
        Sample.row(
          workflowInstanceId: "2", process: "BIOMETRIC_CORRECTION", status: .processing,
          createdAt: Sample.now.advanced(bySeconds: 1)),
      ]
    }) { _, send async throws in
      #expect(try await ask(Self.progress, [Sample.rid], send).count == 2)
      #expect(try await ask(Self.outcome, [Sample.rid], send) == ["\(Sample.rid)=PROCESSING"])
    }
  }

  @Test func `a registration that waits names its newest request`() async throws {
    @Sendable func request(_ iteration: Int) -> AdditionalInfoRequestRecord {
      AdditionalInfoRequestRecord(
        id: "request-\(iteration)", rid: Sample.rid, process: "BIOMETRIC_CORRECTION", iteration: iteration,
        workflowInstanceId: Sample.instance)
    }
    for status in ["PAUSED_FOR_ADDITIONAL_INFO", "PROCESSING"] {
      try await withServer({
        $0.rows = [Sample.row(status: RegistrationStatus(rawValue: status), type: "INTERNAL_WORKFLOW_ACTION")]
        $0.requests = [request(1), request(2)]
      }) { _, send async throws in
        let response = try await send(Self.progress.path, self.request(Self.progress, [Sample.rid]).encoded(), "good")
        let id = try JSONValue.parse(response.body)["response"]?[0]?["additionalInfoReqId"]?.string
        #expect(id == (status == "PROCESSING" ? nil : "request-2"))
      }
    }
  }

  @Test func `corrections alone have no outcome`() async throws {
    try await withServer({ $0.rows = [Sample.row(process: "BIOMETRIC_CORRECTION")] }) { _, send async throws in
      #expect(try await ask(Self.outcome, [Sample.rid], send) == ["null=null"])
    }
  }

  @Test func `of very many ids the first hundred are answered`() async throws {
    try await withServer { _, send async throws in
      #expect(try await ask(Self.progress, Array(repeating: Sample.rid, count: 150), send).count == 100)
    }
  }

  @Test(arguments: all) func `only a caller with a token is answered`(_ question: Question) async throws {
    try await withServer { world, send async throws in
      let body = request(question, [Sample.rid]).encoded()
      #expect(try await send(question.path, body, nil).status == 401)
      #expect(try await send(question.path, body, "wrong").status == 401)
      await world.fail("synced", with: Broken.unavailable)
      #expect(try await send(question.path, body, "good").status == 503)
    }
  }

  @Test(
    arguments: [
      ("id", "mosip.registration.sync", "RPR-RGS-014"), ("id", .null, "RPR-RGS-013"), ("version", "2", "RPR-RGS-014"),
      ("version", .null, "RPR-RGS-013"), ("requesttime", "2024-03-01T08:59:59.000Z", "RPR-RGS-014"),
      ("requesttime", .null, "RPR-RGS-013"),
      ("request", .null, "RPR-RGS-017"), ("request", [1], "RPR-RGS-017"), ("request", [[:]], "RPR-RGS-013"),
      ("request", [["registrationId": "../x"]], "RPR-RGS-013"),
    ] as [(String, JSONValue, String)])
  func `a bad request is named with its code`(_ name: String, _ value: JSONValue, _ code: String) async throws {
    try await withServer { _, send async throws in
      var body = request(Self.progress, [Sample.rid])
      body[name] = value
      let answer = try JSONValue.parse(try await send("/search", body.encoded(), "good").body)
      #expect(answer["response"]?.isNull == true && answer["errors"]?[0]?["errorCode"]?.string == code)
    }
  }

  @Test func `a body that is no JSON is named with its code`() async throws {
    try await withServer { _, send async throws in
      for (body, code) in [("x", "RPR-RGS-016"), ("[]", "RPR-RGS-017")] {
        let answer = try JSONValue.parse(try await send("/search", Array(body.utf8), "good").body)
        #expect(answer["errors"]?[0]?["errorCode"]?.string == code)
      }
    }
  }
}
