import StageTesting
import HTTP
import JSON
import StageKit
import Stages
import System
import Testing

/// MOSIP's own endpoints for admin pages and scripts, over a register and an entrance in memory.
@Suite(.timeLimit(.minutes(10))) struct WorkflowManagerTests {
  private static let base = "/registrationprocessor/v1"
  private static let ids = [
    "workflow/search": ("mosip.registration.processor.workflow.search", "v1"),
    "workflowaction": ("mosip.registration.processor.workflow.action", "1.0"),
    "workflowinstance": ("mosip.registration.processor.workflow.instance", "v1"),
  ]

  private func world(_ change: @Sendable (isolated TestPlatform) -> Void = { _ in }) async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.callers = [
        "admin": Caller(name: "anna\n", roles: ["REGISTRATION_ADMIN"]),
        "processor": Caller(name: "receiver", roles: ["REGISTRATION_PROCESSOR"]),
        "officer": Caller(name: "otto", roles: ["REGISTRATION_OFFICER"]),
      ]
    }
    await world.set(change)
    return world
  }

  private func send(
    _ method: String, _ path: String, _ body: [UInt8] = [], token: String? = "admin", in world: TestPlatform
  ) async throws -> Response {
    let endpoints =
      try make(WorkflowManager.self).endpoints(world.context("workflow-manager"))
      + make(PacketReceiver.self).endpoints(world.context("packet-receiver"))
      + make(SecurezoneNotification.self).endpoints(world.context("securezone-notification"))
    var parameters: [String: String] = [:]
    let parts = (Self.base + path).split(separator: "/").map(String.init)
    let endpoint = try #require(
      endpoints.first { endpoint in
        let pattern = endpoint.pathPattern.split(separator: "/").map(String.init)
        guard endpoint.method == method, pattern.count == parts.count else { return false }
        var found: [String: String] = [:]
        for (name, part) in zip(pattern, parts) {
          if name.hasPrefix("{") { found[String(name.dropFirst().dropLast())] = part } else if name != part { return false }
        }
        parameters = found
        return true
      })
    var headers: Headers = ["Content-Type": "application/json"]
    if let token { headers["Cookie"] = "Authorization=\(token)" }
    return try await endpoint.respond(
      to: Request(method: method, path: Self.base + path, headers: headers, parameters: parameters, body: body))
  }

  private func ask(
    _ path: String, _ request: JSONValue, _ change: (inout JSONValue) -> Void = { _ in }, in world: TestPlatform
  ) async throws -> JSONValue {
    let (id, version) = Self.ids[path] ?? ("", "")
    var body: JSONValue = [
      "id": .string(id), "version": .string(version), "requesttime": "2024-03-01T12:00:00.000Z", "request": request,
    ]
    change(&body)
    let answer = try await send("POST", "/workflowmanager/" + path, body.encoded(), in: world)
    #expect(answer.status == 200)
    let json = try JSONValue.parse(answer.body)
    #expect(json["id"]?.string == id && json["version"]?.string == version)
    #expect(json["response"]?.isNull == !(json["errors"]?.isNull ?? false))
    return json
  }

  private func code(_ answer: JSONValue) -> String? { answer["errors"]?[0]?["errorCode"]?.string }

  // MARK: Who may call

  @Test(arguments: [
    ("GET", "/registrationtransaction/search/1", "officer"), ("GET", "/registrationtransaction/search/eng/1", "officer"),
    ("POST", "/workflowmanager/workflow/search", "officer"), ("POST", "/workflowmanager/workflowaction", "officer"),
    ("POST", "/workflowmanager/workflowinstance", "officer"), ("POST", "/registrationstatus/lostridsearch", "processor"),
    ("POST", "/securezone/notification", "admin"),
  ])
  func `nobody without the role is answered`(_ method: String, _ path: String, _ role: String) async throws {
    let world = await world()
    #expect(try await send(method, path, token: nil, in: world).status == 401)
    #expect(try await send(method, path, token: "unknown", in: world).status == 401)
    #expect(try await send(method, path, token: role, in: world).status == 403)
    #expect(await world.auditTrail.isEmpty)
    #expect(await world.changes.isEmpty)
  }

  // MARK: Transactions

  @Test func `transactions are the bytes that MOSIPs pages read`() async throws {
    let world = await world {
      $0.transactions = [
        TransactionRecord(
          id: "t1", rid: Sample.rid, type: "PACKET_RECEIVER", parent: nil, statusCode: "SUCCESS",
          subStatusCode: "RPR-PKR-SUCCESS-002", statusComment: "Packet is Uploaded to Landing Zone", createdAt: Sample.now)
      ]
    }
    let expected = """
      {"id":"mosip.registration.transaction","version":"1.0","responsetime":"2024-03-01T12:00:00.000Z","response":[{"id":"t1",\
      "registrationId":"\(Sample.rid)","transactionTypeCode":"PACKET_RECEIVER","parentTransactionId":null,"statusCode":"SUCCESS",\
      "subStatusCode":"RPR-PKR-SUCCESS-002","statusComment":"Packet is Uploaded to Landing Zone",\
      "createdDateTimes":"2024-03-01T12:00:00.000"}],"errors":null}
      """
    for path in ["", "eng/"] {
      let answer = try await send("GET", "/registrationtransaction/search/\(path)\(Sample.rid)", in: world)
      #expect(String(decoding: answer.body, as: UTF8.self) == expected)
      #expect(answer.headers["Response-Signature"]?.contains("..") == true)
    }
    for (path, code) in [("404", "RPR-RTS-001"), ("a%2f", "RPR-RTS-003"), ("english/1", "RPR-RTS-004")] {
      let answer = try await send("GET", "/registrationtransaction/search/" + path, in: world)
      #expect(self.code(try JSONValue.parse(answer.body)) == code && answer.status == 200)
    }
    await world.fail("transactions", with: Broken.unavailable)
    await #expect(throws: HTTPFailure.self) { try await send("GET", "/registrationtransaction/search/1", in: world) }
  }

  // MARK: The envelope

  @Test(arguments: ["workflow/search", "workflowaction", "workflowinstance"])
  func `what is wrong with the envelope is named in upstreams order`(_ path: String) async throws {
    let world = await world()
    let prefix = path == "workflowinstance" ? "RPR-WIN-" : "RPR-WAA-"
    for (name, value, code, message) in [
      ("id", .null, "000", "Missing Request Value - id"), ("id", "x", "001", "Invalid Request Value - id"),
      ("version", .null, "000", "Missing Request Value - version"), ("version", "9", "001", "Invalid Request Value - version"),
      ("requesttime", .null, "000", "Missing Request Value - requesttime"),
      ("requesttime", "now", "001", "Invalid Request Value - requesttime"),
      ("request", .null, "000", "Missing Request Value - request"),
      ("request", [1], "001", "Invalid Request Value - request"),
    ] as [(String, JSONValue, String, String)] {
      let answer = try await ask(path, [:], { $0[name] = value }, in: world)
      #expect(self.code(answer) == prefix + code && answer["errors"]?[0]?["message"]?.string == message)
    }
    for junk in ["", "{", "[]", "\"x\"", "\u{0}"] {
      let answer = try await send("POST", "/workflowmanager/" + path, Array(junk.utf8), in: world)
      #expect(code(try JSONValue.parse(answer.body)) == prefix + "002")
    }
    #expect(await world.auditTrail.isEmpty)
  }

  // MARK: Search

  @Test func `a search is a page with what MOSIP tells of each`() async throws {
    let world = await world {
      $0.workflowRows = [
        WorkflowRecord(
          rid: Sample.rid, process: "NEW", statusCode: "PAUSED", statusComment: "waits", createdBy: "MOSIP_SYSTEM",
          createdAt: Sample.now, updatedBy: "MOSIP_SYSTEM", updatedAt: Sample.now, stage: "PacketClassifierStage",
          resumeAt: Sample.now, resumeAction: "STOP_PROCESSING", pauseRules: "A,B", lastSuccessStage: "PacketClassifierStage")
      ]
    }
    let answer = try await ask(
      "workflow/search",
      [
        "filters": [
          ["columnName": "workflowType", "value": "NEW", "type": "equals"], ["columnName": "statusCode", "value": "PAUSED"],
        ],
        "sort": ["sortField": "resumeTimestamp", "sortType": "asc"], "pagination": ["pageStart": 2, "pageFetch": 5],
      ], in: world)
    #expect(
      String(decoding: (answer["response"] ?? .null).encoded(), as: UTF8.self) == """
        {"fromRecord":11,"toRecord":11,"totalRecord":1,"data":[{"workflowId":"\(Sample.rid)","statusCode":"PAUSED","statusComment":"waits",\
        "createdBy":"MOSIP_SYSTEM","createDateTime":"2024-03-01T12:00:00.000","updatedBy":"MOSIP_SYSTEM",\
        "updateDateTime":"2024-03-01T12:00:00.000","workflowType":"NEW","currentStageName":"PacketClassifierStage",\
        "resumeTimestamp":"2024-03-01T12:00:00.000","defaultResumeAction":"STOP_PROCESSING","pauseRuleIds":"A,B",\
        "lastSuccessStageName":"PacketClassifierStage"}]}
        """)
    #expect(
      await world.searches == [
        WorkflowSearch(process: "NEW", statusCode: "PAUSED", order: .resumeAt, isAscending: true, offset: 10, limit: 5)
      ])
    _ = try await ask("workflow/search", ["filters": [], "pagination": [:]], in: world)
    #expect(await world.searches.last == WorkflowSearch())
  }

  @Test(
    arguments: [
      ([:], "RPR-WAA-000"), (["filters": [["columnName": "name", "value": "x"]], "pagination": [:]], "RPR-WAA-000"),
      (["filters": [["columnName": "regId"]], "pagination": [:]], "RPR-WAA-001"), (["filters": []], "RPR-WAA-000"),
      (["filters": [], "pagination": ["pageFetch": 0]], "RPR-WAA-001"),
      (["filters": [], "pagination": ["pageFetch": -1]], "RPR-WAA-001"),
      (["filters": [], "pagination": ["pageStart": 99_999_999_999]], "RPR-WAA-001"),
      (["filters": [], "pagination": [:], "sort": ["sortType": "up", "sortField": "createDateTime"]], "RPR-WAA-001"),
      (["filters": [], "pagination": [:], "sort": ["sortType": "asc", "sortField": "cr_dtimes; DROP"]], "RPR-WAA-001"),
    ] as [(JSONValue, String)])
  func `a search that cannot be meant is named`(_ request: JSONValue, _ code: String) async throws {
    let world = await world()
    #expect(self.code(try await ask("workflow/search", request, in: world)) == code)
    #expect(await world.searches.isEmpty)
  }

  // MARK: Actions

  @Test func `an action is audited done and answered`() async throws {
    let world = await world()
    let answer = try await ask(
      "workflowaction", ["workflowIds": ["1", "2"], "workflowAction": "RESUME_FROM_BEGINNING"], in: world)
    #expect(answer["response"]?["statusMessage"]?.string == "Process the workflowIds '[1, 2]' successfully")
    #expect(await world.acted == ["RESUME_FROM_BEGINNING 1,2 anna"])
    #expect(await world.auditTrail.map(\.id) == ["1", "2"])
    #expect(await world.auditTrail.first?.description == "RESUME_FROM_BEGINNING is asked for by anna")
    // What is not in the audit trail is not done.
    await world.fail("record", with: Broken.unavailable)
    await #expect(throws: HTTPFailure.self) {
      try await ask("workflowaction", ["workflowIds": ["1"], "workflowAction": "STOP_PROCESSING"], in: world)
    }
    #expect(await world.acted.count == 1)
  }

  @Test func `an action that is refused has MOSIPs codes`() async throws {
    for (refusal, code, message) in [
      (.unknown("1"), "RPR-WAA-003", "Workflow id  1  not found in registration table"),
      (.notPaused("1"), "RPR-WAA-004", "Workflow id  1 is not PAUSED"), (.pausedElsewhere("1"), "RPR-WAS-003", nil),
    ] as [(WorkflowRefused, String, String?)] {
      let world = await world()
      await world.fail("act", with: refusal)
      let answer = try await ask("workflowaction", ["workflowIds": ["1"], "workflowAction": "STOP_PROCESSING"], in: world)
      #expect(self.code(answer) == code)
      if let message { #expect(answer["errors"]?[0]?["message"]?.string == message) }
    }
    let world = await world()
    for (request, code) in [
      (["workflowIds": ["1"], "workflowAction": "RESUME"], "RPR-WAS-000"), (["workflowAction": "STOP_PROCESSING"], "RPR-WAA-000"),
      (["workflowIds": [], "workflowAction": "STOP_PROCESSING"], "RPR-WAA-001"),
      (["workflowIds": ["1", 2], "workflowAction": "STOP_PROCESSING"], "RPR-WAA-001"),
      (["workflowIds": ["../1"], "workflowAction": "STOP_PROCESSING"], "RPR-WAA-001"),
    ] as [(JSONValue, String)] {
      #expect(self.code(try await ask("workflowaction", request, in: world)) == code)
    }
    #expect(await world.acted.isEmpty)
  }

  // MARK: Instances

  @Test func `an instance begins with its contact sealed and is there once`() async throws {
    let world = await world()
    let request: JSONValue = [
      "registrationId": .string(Sample.rid), "process": "CRVS_NEW", "source": "CRVS1", "additionalInfoReqId": "",
      "notificationInfo": ["name": "Asha", "phone": "12345", "email": ""],
    ]
    let answer = try await ask("workflowinstance", request, in: world)
    let start = try #require(await world.begun.first)
    #expect(answer["response"]?["workflowInstanceId"]?.string == start.workflowInstanceId && start.workflowInstanceId.count == 36)
    #expect(start.rid == Sample.rid && start.process == "CRVS_NEW" && start.source == "CRVS1" && start.iteration == 1)
    #expect(
      start.additionalInfoRequestId == nil && start.referenceId == "45451_45452" && start.stageClass == "PacketValidatorStage")
    let sealed = try #require(await world.additionalInfo[start.workflowInstanceId])
    #expect(sealed.starts(with: Array("sealed for 45451_45452:".utf8)) && !String(decoding: sealed, as: UTF8.self).contains("Asha"))
    #expect(await world.auditTrail.first?.description == "a workflow instance of CRVS_NEW is asked for by anna")
    #expect(await world.auditTrail.allSatisfy { !"\($0)".contains("Asha") })
    for (refusal, code) in [(.present, "RPR-WIS-001"), (.noFlow, "RPR-WIN-001"), (.noStage, "RPR-WIS-000")]
      as [(WorkflowRefused, String)]
    {
      await world.fail("begin", with: refusal)
      #expect(self.code(try await ask("workflowinstance", request, in: world)) == code)
    }
    for (name, value, code) in [
      ("registrationId", .null, "RPR-WIN-000"), ("registrationId", "../x", "RPR-WIN-001"), ("process", "", "RPR-WIN-000"),
      ("source", 1, "RPR-WIN-001"), ("additionalInfoReqId", "nobody-made-it", "RPR-WIN-001"),
    ] as [(String, JSONValue, String)] {
      var bad = request
      bad[name] = value
      #expect(self.code(try await ask("workflowinstance", bad, in: world)) == code)
    }
    #expect(await world.begun.count == 1)
  }

  // MARK: Lost registration ids

  private func lost(_ request: JSONValue, in world: TestPlatform, time: Instant = Sample.now) async throws -> JSONValue {
    let body: JSONValue = [
      "id": "mosip.registration.lostrid", "version": "1.0", "requesttime": .string(time.iso), "request": request,
    ]
    let answer = try await send("POST", "/registrationstatus/lostridsearch", body.encoded(), token: "officer", in: world)
    #expect(answer.status == 200)
    return try JSONValue.parse(answer.body)
  }

  @Test func `a lost RID is found by center and days`() async throws {
    let world = await world {
      $0.announcedRows = [AnnouncedRecord(rid: Sample.rid, registrationDay: nil, announcedAt: Sample.now)]
    }
    let days: JSONValue = ["columnName": "registrationDate", "type": "between", "fromValue": "2024-02-28", "toValue": "2024-03-01"]
    let center: JSONValue = ["columnName": "centerId", "type": "equals", "value": "45451"]
    let answer = try await lost(
      ["filters": [days, center], "sort": [["sortField": "registrationDate", "sortType": "desc"]]], in: world)
    #expect(
      String(decoding: (answer["response"] ?? .null).encoded(), as: UTF8.self) == """
        [{"registrationId":"\(Sample.rid)","registartionDate":null,"additionalInfo":{},"syncDateTime":"2024-03-01T12:00:00.000"}]
        """)
    #expect(
      await world.lostSearches == [
        LostRIDSearch(firstDay: "2024-02-28", lastDay: "2024-03-01", center: "45451", isAscending: false, limit: 51)
      ])
    await world.set { $0.announcedRows = [] }
    #expect(code(try await lost(["filters": [days]], in: world)) == "RPR-RGS-031")
    await world.set {
      $0.announcedRows = Array(repeating: AnnouncedRecord(rid: "1", registrationDay: nil, announcedAt: Sample.now), count: 51)
    }
    #expect(code(try await lost(["filters": [days]], in: world)) == "RPR-RGS-032")
  }

  @Test(
    arguments: [
      ([:], "RPR-RGS-013"), (["filters": []], "RPR-RGS-032"),
      (["filters": [["columnName": "name", "type": "equals", "value": "Asha"]]], "RPR-RGS-032"),
      (["filters": [["columnName": "uin", "type": "equals", "value": "1"]]], "RPR-RGS-013"),
      (["filters": [["columnName": "registrationDate", "type": "equals", "value": "2024-02-31"]]], "RPR-RGS-013"),
      (
        ["filters": [["columnName": "registrationDate", "type": "between", "fromValue": "2024-01-01", "toValue": "2024-03-01"]]],
        "RPR-RGS-034"
      ),
      (
        [
          "filters": [["columnName": "registrationDate", "type": "equals", "value": "2024-02-29"]],
          "sort": [["sortField": "centerId"], ["sortField": "name"]],
        ], "RPR-RGS-033"
      ),
    ] as [(JSONValue, String)])
  func `a search for a lost RID that cannot be meant is named`(_ request: JSONValue, _ code: String) async throws {
    let world = await world()
    let answer = try await lost(request, in: world)
    #expect(self.code(answer) == code && !String(decoding: answer.encoded(), as: UTF8.self).contains("Asha"))
    #expect(self.code(try await lost(request, in: world, time: Sample.now.advanced(bySeconds: -20_000))) == "RPR-RGS-014")
    #expect(await world.lostSearches.isEmpty)
  }

  // MARK: Securezone notification

  private func notify(_ body: JSONValue, in world: TestPlatform) async throws -> (Int, String) {
    let answer = try await send("POST", "/securezone/notification", body.encoded(), token: "processor", in: world)
    return (answer.status, String(decoding: answer.body, as: UTF8.self))
  }

  @Test func `a notification is taken once and answered in MOSIPs words`() async throws {
    let world = await world {
      $0.announcements = [Sample.announcement()]
      $0.rows = [Sample.row()]
    }
    let body: JSONValue = [
      "rid": .string(Sample.rid), "reg_type": "OPENCRVS_NEW", "isValid": true, "source": .null, "iteration": 1,
      "workflowInstanceId": .string(Sample.instance),
    ]
    for _ in 1...2 {
      #expect(
        try await notify(body, in: world) == (200, "Packet with registrationId '\(Sample.rid)' has been forwarded to next stage"))
    }
    #expect(await world.concluded.map(\.verdict.kind) == [.passed])
    #expect(await world.concluded.first?.message.workflowInstanceId == Sample.instance)
    #expect(await world.auditTrail.first?.description == "a notification of a packet was taken, from receiver")
    // What is not known, not of this process or not valid goes nowhere.
    for (name, value) in [
      ("rid", "10001100020000120240229235959"), ("reg_type", "LOST"), ("iteration", 2), ("isValid", false),
      ("workflowInstanceId", "x"),
      ("reg_type", .null),
    ] as [(String, JSONValue)] {
      var bad = body
      bad[name] = value
      let rid = bad["rid"]?.string ?? ""
      #expect(try await notify(bad, in: world) == (200, "Packet with registrationId '\(rid)' has not been uploaded to file System"))
    }
    #expect(await world.concluded.count == 1)
    for junk: JSONValue in [[], [:], ["rid": 1], ["rid": "../x"], "x"] { #expect(try await notify(junk, in: world).0 == 400) }
    await world.fail("registration", with: Broken.unavailable)
    await #expect(throws: HTTPFailure.self) { try await notify(body, in: world) }
  }

  @Test func `a packet that another has overtaken ends and is said not to go on`() async throws {
    let other = "00000000-0000-4000-8000-000000000002"
    let world = await world {
      $0.announcements = [Sample.announcement(), Sample.announcement(packetId: "other", workflowInstanceId: other)]
      $0.rows = [Sample.row(), Sample.row(workflowInstanceId: other, createdAt: Sample.now.advanced(bySeconds: -1))]
    }
    let body: JSONValue = ["rid": .string(Sample.rid), "reg_type": "OPENCRVS_NEW", "workflowInstanceId": .string(Sample.instance)]
    #expect(try await notify(body, in: world).1.contains("has not been uploaded"))
    #expect(await world.concluded.map(\.verdict.statusCode) == [.rejected])
  }
}
