import HTTP
import JSON
import OperationsAPI
import Postgres
import StageRuntime
import System
import TestSupport
import Testing

@testable import Operations

@Suite("What came of events", .timeLimit(.minutes(30)))
struct OutcomeTests {
  private func pool() async throws -> Pool {
    Pool(try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations), size: 2)
  }

  private static func put(
    _ stage: String, _ collection: String, _ key: String, _ document: JSONValue, at: String = "2026-11-24T08:00:00Z",
    _ connection: Connection
  ) throws {
    _ = try connection.execute(
      """
      INSERT INTO regproc.stage_record (stage, collection, key, version, document, created_at) VALUES ($1, $2, $3, 1, $4::jsonb, $5)
      """,
      [
        .text(stage), .text(collection), .text(key), .text(String(decoding: document.encoded(), as: UTF8.self)),
        .timestamp(try #require(Instant(iso: at))),
      ])
  }

  private static func registration(_ rid: String, _ status: String, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes, reg_stage_name)
      VALUES (gen_random_uuid()::text, $1, 'OPENCRVS_NEW', $2, 'eng', true, 'test', now(), 'uin-generator')
      """, [.text(rid), .text(status)])
  }

  /// Events as both mediators keep them, in all the states that there are.
  private static func fill(_ connection: Connection) throws {
    func event(_ key: String, _ number: String, kind: String = "birth", status: String = "Forwarded") throws {
      try put(
        "opencrvs-mediator", "events", key,
        ["kind": .string(kind), "status": .string(status), "registrationNumber": .string(number), "aid": .string("aid-" + key)],
        connection)
    }
    func birth(_ key: String, _ number: String, _ more: JSONObject = ["status": "Uploaded"], at: String = "2026-11-24T08:00:01Z")
      throws
    {
      var document: JSONObject = ["rid": .string("rid-" + key), "registrationNumber": .string(number)]
      for member in more { document[member.key] = member.value }
      try put("mosip-mediator", "birth_transactions", key, .object(document), at: at, connection)
    }
    func change(_ key: String, _ number: String, kind: String, _ more: JSONObject) throws {
      var document: JSONObject = ["rid": .string("rid-" + key), "kind": .string(kind), "registrationNumber": .string(number)]
      for member in more { document[member.key] = member.value }
      try put("mosip-mediator", "change_transactions", key, .object(document), connection)
    }
    try event("b1", "N1")
    try birth("b1", "N1")
    try registration("rid-b1", "PROCESSED", connection)
    try put("opencrvs-mediator", "tokens", "N1", ["numberKind": "BRN"], connection)
    try event("b2", "N2")
    try birth("b2", "N2")
    try registration("rid-b2", "PROCESSED", connection)
    try event("b3", "N3")
    try birth("b3", "N3")
    try registration("rid-b3", "PROCESSING", connection)
    try event("b4", "N4")
    try birth("b4", "N4", ["status": "Failed", "errorCode": "OPN-CRVS-006"])
    try event("b5", "N5")
    try birth("b5", "N5")
    try registration("rid-b5", "FAILED", connection)
    try put(
      "opencrvs-mediator", "statuses", "birth:error:b5",
      [
        "status": "error", "txnId": "b5", "registrationNumber": "N5",
        "errors": [["errorCode": "OPN-CRVS-012", "errorMessage": "x"]],
      ], connection)
    try event("b6", "N6", status: "Received")
    try event("b7", "N7", kind: "marriage", status: "Parked")
    // A birth and what came of it.
    try change("c1", "N1", kind: "birth-correction", ["status": "Told", "what": "corrected"])
    try event("d1:death", "D1", kind: "death")
    try change("d1:death", "D1", kind: "death", ["status": "Told", "what": "deactivated"])
    try change("d2:death", "D2", kind: "death", ["status": "Failed", "errorCode": "OPN-CRVS-029"])
    try change("d3:x", "D3", kind: "death-reversal", ["status": "Held", "errorCode": "OPN-CRVS-009"])
    try change("d4:death", "D4", kind: "death", ["status": "Person Found"])
    // The next day's, and one whose OpenCRVS side is in another database.
    try birth("b8", "N8", at: "2026-11-25T00:00:00Z")
    try registration("rid-b8", "PROCESSED", connection)
  }

  @Test
  func `each number is told with how it ended, where it is, or that it never arrived, in the order of the file`() async throws {
    let pool = try await pool()
    defer { pool.close() }
    let numbers = ["N1", "N2", "N3", "N4", "N5", "N6", "N7", "D1", "D2", "D3", "D4", "N8", "NOWHERE"]
    let (all, births) = try await pool.with { connection in
      try Self.fill(connection)
      return (
        try Reconciliation.outcomes(of: numbers, kind: nil, on: connection),
        try Reconciliation.outcomes(of: ["N1", "D1"], kind: "birth", on: connection)
      )
    }
    let told = all.map { "\($0.number ?? "-") \($0.kind ?? "-") \($0.word.rawValue) \($0.result ?? "-")" }
    #expect(
      told == [
        "N1 birth done uin-token", "N1 birth-correction done corrected", "N2 birth done processed",
        "N3 birth on-its-way PROCESSING at uin-generator", "N4 birth error OPN-CRVS-006", "N5 birth error OPN-CRVS-012",
        "N6 birth on-its-way Received", "N7 marriage parked Parked", "D1 death done deactivated", "D2 death error OPN-CRVS-029",
        "D3 death-reversal held OPN-CRVS-009", "D4 death on-its-way Person Found", "N8 birth done processed",
        "NOWHERE - never-arrived -",
      ], "\(told)")
    #expect(births.map(\.word) == [.done, .neverArrived])
  }

  @Test
  func `a day's report counts what arrived on it, each event once, by kind and outcome`() async throws {
    let pool = try await pool()
    defer { pool.close() }
    let endpoints = try FoundationTests.endpoints(pool)
    try await pool.with { try Self.fill($0) }
    let report = try await pool.with {
      try DayReport.read(from: try DayReport.day("2026-11-24"), to: try DayReport.day("2026-11-25"), on: $0)
    }
    let lines = report.lines.map { "\($0.kind) \($0.word.rawValue) \($0.result ?? "-") \($0.count)" }
    #expect(
      Set(lines) == [
        "birth done uin-token 1", "birth done processed 1", "birth on-its-way - 2", "birth error OPN-CRVS-006 1",
        "birth error OPN-CRVS-012 1", "marriage parked Parked 1", "birth-correction done corrected 1", "death done deactivated 1",
        "death error OPN-CRVS-029 1", "death on-its-way - 1", "death-reversal held OPN-CRVS-009 1",
      ], "\(lines)")

    // Over HTTP: the same words, and what cannot be meant.
    let endpoint = try #require(endpoints.first { $0.pathPattern == "/regproc/v1/reports/{day}" })
    func ask(_ day: String) async throws -> (Int, JSONValue) {
      let answer = try await endpoint.respond(to: Request(method: "GET", path: "/", parameters: ["day": day]))
      return (answer.status, try JSONValue.parse(answer.body))
    }
    #expect(try await ask("2026-11-24").1["events"]?.int == 12)
    #expect(try await ask("2026-11-25").1["events"]?.int == 1)
    for day in ["2026-13-01", "yesterday", "2026-11-24T00", "24.11.2026"] { #expect(try await ask(day).0 == 400, "\(day)") }
  }

  /// A birth as MOSIP's mediator keeps it with its likeness.
  private static func alike(
    _ key: String, _ likeness: String, mother: String? = nil, number: String? = nil, at: String, _ connection: Connection
  ) throws {
    try put(
      "mosip-mediator", "birth_transactions", key,
      ["rid": .string("rid-" + key), "status": "Uploaded", "registrationNumber": .string(number ?? "N-" + key)], at: at, connection)
    var document: JSONObject = ["likeness": .string(likeness)]
    if let mother { document["motherLikeness"] = .string(mother) }
    try put("mosip-mediator", "birth_likenesses", key, .object(document), at: at, connection)
  }

  @Test
  func `births that look like one child under two numbers are listed on the day of either, but not those of different mothers`()
    async throws
  {
    let pool = try await pool()
    defer { pool.close() }
    let endpoints = try FoundationTests.endpoints(pool)
    let (first, second, third) = ("2026-11-24T08:00:00Z", "2026-11-25T08:00:00Z", "2026-11-26T08:00:00Z")
    try await pool.with { connection in
      // One child of one mother, on two days; and a third birth of another mother.
      try Self.alike("a1", "A", mother: "m", at: first, connection)
      try Self.alike("a2", "A", mother: "m", at: second, connection)
      try Self.alike("a3", "A", mother: "n", at: second, connection)
      // A mother who is not known may be either.
      try Self.alike("b1", "B", mother: "m", at: first, connection)
      try Self.alike("b2", "B", mother: "n", at: first, connection)
      try Self.alike("b3", "B", at: third, connection)
      // No mother at all.
      try Self.alike("c1", "C", at: first, connection)
      try Self.alike("c2", "C", at: first, connection)
      // Nobody's like; other mothers; one number.
      try Self.alike("d1", "D", mother: "m", at: first, connection)
      try Self.alike("e1", "E", mother: "m", at: first, connection)
      try Self.alike("e2", "E", mother: "n", at: first, connection)
      try Self.alike("f1", "F", number: "F", at: first, connection)
      try Self.alike("f2", "F", number: "F", at: first, connection)
      // The event came to OpenCRVS' mediator before midnight.
      try Self.alike("g1", "G", at: "2026-11-27T00:00:01Z", connection)
      try Self.put(
        "opencrvs-mediator", "events", "g1", ["kind": "birth", "registrationNumber": "N-g1"], at: "2026-11-26T23:59:59Z", connection
      )
      try Self.alike("g2", "G", at: "2026-11-28T08:00:00Z", connection)
      try Self.registration("rid-a1", "PROCESSED", connection)
    }
    func groups(_ day: String) async throws -> [[String]] {
      let from = try DayReport.day(day)
      let alike = try await pool.with { try DayReport.read(from: from, to: from.advanced(bySeconds: 86_400), on: $0).alike }
      #expect(!alike.isCut)
      return alike.groups.map { $0.map { $0.rid?.replacing("rid-", with: "") ?? "-" } }
    }
    #expect(try await groups("2026-11-24") == [["a1", "a2"], ["b1", "b3"], ["b2", "b3"], ["c1", "c2"]])
    #expect(try await groups("2026-11-25") == [["a1", "a2"]])
    #expect(try await groups("2026-11-26") == [["b1", "b3"], ["b2", "b3"], ["g1", "g2"]])
    #expect(try await groups("2026-11-27").isEmpty)
    #expect(try await groups("2026-11-28") == [["g1", "g2"]])

    let endpoint = try #require(endpoints.first { $0.pathPattern == "/regproc/v1/reports/{day}" })
    let answer = try await endpoint.respond(to: Request(method: "GET", path: "/", parameters: ["day": "2026-11-25"]))
    let group = try JSONValue.parse(answer.body)["alike"]?[0]?.array
    #expect(group?.map { $0["registrationNumber"]?.string } == ["N-a1", "N-a2"])
    #expect(group?.map { $0["outcome"]?.string } == ["done", "on-its-way"] && group?[0]["rid"] == "rid-a1")
    #expect(!String(decoding: answer.body, as: UTF8.self).contains("ikeness"))
  }

  @Test
  func `no more births that look like one child are looked at than a person could read, and it is said`() async throws {
    let pool = try await pool()
    defer { pool.close() }
    let from = try DayReport.day("2026-11-24")
    let alike = try await pool.with { connection in
      for number in 0...AlikeBirths.most { try Self.alike("x\(number)", "X", at: "2026-11-24T08:00:00Z", connection) }
      return try DayReport.read(from: from, to: from.advanced(bySeconds: 86_400), on: connection).alike
    }
    #expect(alike.isCut && alike.groups.map(\.count) == [AlikeBirths.most])
  }

  @Test
  func `a file of numbers has each once; lines that hold none are named and nothing is asked`() throws {
    #expect(try Reconciliation.numbers(file: Array("# of today\nN1\r\n\n N2 \nN1\n".utf8)) == ["N1", "N2"])
    let junk = Array("N1\nname of a child\nN2\n\(String(repeating: "x", count: 200))\n".utf8)
    let refusal = #expect(throws: OperationError.self) { try Reconciliation.numbers(file: junk) }
    #expect(
      refusal?.code == "bad-numbers" && refusal?.message.contains("2, 4") == true && refusal?.message.contains("child") == false)
    #expect(throws: OperationError.self) { try Reconciliation.numbers(file: Array("# none\n".utf8)) }
  }
}
