import HTTP
import JSON
import OperationsAPI
import EmbeddedPlatform
import Postgres
import Registration
import Routing
import StageKit
import System
import TestSupport
import Testing

@testable import Operations
@testable import StageRuntime

/// What waits and what died, and what operators do about it.
@Suite("What waits and what died", .serialized, .timeLimit(.minutes(30)))
struct WaitingAndDeadTests {
  private static let rid = "45451454520000120261124080000"
  private static let route = """
    version: 1
    flows:
      TEST:
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        route:
          - entrance
          - a
          - b: { passed: complete-as-processed }
    """

  /// A database with all tables, and how registrations of its one flow are run again.
  private struct Place: Sendable {
    let pool: Pool
    let routes: RouteFile
    let replay: Replay
    let files: [StageDefinition]
    let who = Operator("anna", reason: "a reason", mayReveal: true)

    func run(_ sql: String, _ parameters: [Value] = []) async throws {
      _ = try await pool.with { try $0.execute(sql, parameters) }
    }
    func number(_ sql: String, _ parameters: [Value] = []) async throws -> Int? {
      try await pool.with { try $0.execute(sql, parameters).first?.intOrNull(0) }
    }
    func text(_ sql: String, _ parameters: [Value] = []) async throws -> String? {
      try await pool.with { try $0.execute(sql, parameters).first?.textOrNull(0) }
    }
    /// The code of a refusal; nil when it was done.
    func refusal(_ body: @escaping @Sendable (Connection) throws -> Void) async throws -> String? {
      do {
        try await pool.with { try body($0) }
        return nil
      } catch let refusal as OperationError { return refusal.code } catch let refusal as LifecycleError { return refusal.code }
    }

    /// A letter of a record that nobody could read; its number.
    func letter(_ value: [UInt8], topic: String = "a-bus-in", offset: Int64 = 7, hop: HopId? = nil, code: String = "RPR-MSG-001")
      async throws -> String
    {
      let letter = DeadLetter(
        stage: "a", code: code, reason: "no message", rid: nil, hop: hop,
        origin: RecordOrigin(topic: topic, partition: 0, offset: offset), key: [0xff, 0x41], value: value,
        headers: #"{"b3":"1234567890123456-1","RID":"\#(WaitingAndDeadTests.rid)_a"}"#)
      return try await pool.with { connection in
        try Journal.keep([letter], connection)
        return try connection.execute("SELECT max(id)::text FROM regproc.dead_letter").only().text(0)
      }
    }

    func endpoint(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> (status: Int, json: JSONValue) {
      let (routes, files) = (routes, files)
      let endpoints = OperationsAPI.endpoints(
        OperatorAccess(
          read: .everybody(), operate: .everybody(), reveal: .everybody(), pool: pool, routes: { routes }, stages: files,
          takesMessages: ["a", "b"],
          wakeUp: {}))
      let parts = path.split(separator: "?")
      let asked = parts[0].split(separator: "/")
      let query = parts.dropFirst().flatMap { $0.split(separator: "&") }.map { pair in
        let halves = pair.split(separator: "=")
        return (name: String(halves[0]), value: String(halves[1]))
      }
      for endpoint in endpoints where endpoint.method == method {
        let pattern = endpoint.pathPattern.split(separator: "/")
        guard pattern.count == asked.count else { continue }
        var parameters: [String: String] = [:]
        let fits = zip(pattern, asked).allSatisfy { pattern, part in
          guard pattern.hasPrefix("{") else { return pattern == part }
          parameters[String(pattern.dropFirst().dropLast())] = String(part)
          return true
        }
        guard fits else { continue }
        let answer = try await endpoint.respond(
          to: Request(
            method: method, path: String(parts[0]), query: query, headers: ["Content-Type": "application/json"],
            parameters: parameters, body: body?.encoded() ?? []))
        return (answer.status, try JSONValue.parse(answer.body))
      }
      Issue.record("no endpoint \(method) \(path)")
      return (0, .null)
    }
  }

  private func run(_ body: (Place) async throws -> Void) async throws {
    let database = try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations + PlatformSchema.migrations)
    let pool = Pool(database, size: 4)
    defer { pool.close() }
    let names = ["entrance", "a", "b"]
    let reading = RouteFile.read(
      Array(Self.route.utf8), name: "routes.yaml",
      stages: StageDirectory.registrationProcessor.adding(names.map { StageDirectory.Entry($0) }))
    let routes = try #require(reading.file)
    let files = names.map { StageDefinition(name: $0, plugin: "test", tries: 3, backoff: Backoff(first: 0, longest: 0)) }
    try await body(
      Place(pool: pool, routes: routes, replay: Replay(routes: routes, stages: files, takesMessages: ["a", "b"]), files: files))
  }

  @Test
  func `what OpenCRVS waits for is listed by whose time is over first, with how the last try failed`() async throws {
    try await run { place in
      let now = Int(Instant.now.milliseconds)
      func add(_ key: String, _ status: String, hours: Int, event: String = "e1", record: String? = nil) async throws {
        let document: JSONValue = [
          "event": .string(event), "question": "register", "generation": "actions", "status": .string(status), "number": "N1",
          "sealedToken": "secret", "until": JSONValue(now + hours * 3_600_000), "recordId": .string(record ?? key),
        ]
        try await place.run(
          """
          INSERT INTO regproc.stage_record (stage, collection, key, version, document)
          VALUES ('opencrvs-mediator', 'awaited', $1, 1, $2::jsonb)
          """, [.text(key), .text(document.description)])
      }
      let none = try await place.pool.with { try Awaited.counts(endingWithin: 86_400, on: $0) }
      #expect(none.undeliverable == Awaited.Count(count: 0, since: nil) && none.ending == none.undeliverable)
      try await add("a-long", "Waiting", hours: 100)
      try await add("a-soon", "Waiting", hours: 2)
      try await add("a-lost", "Undeliverable", hours: -2, event: "e2")
      // The registrar sent this one again.
      try await add("a-gone", "Undeliverable", hours: -3, record: "r")
      try await add("a-told", "Told", hours: 1, record: "r")
      try await add("a-without", "Without", hours: 3)
      try await place.run(
        """
        INSERT INTO regproc.stage_record (stage, collection, key, version, document)
        VALUES ('opencrvs-mediator', 'events', 'e2', 1, '{"latest":"token:tokens:x"}')
        """)
      try await place.run(
        """
        INSERT INTO regproc.work (stage, kind, key, payload, state, failure_code, failure) VALUES
          ('opencrvs-mediator', 'tell', 'token:tokens:x', '{}', 2, 'OPN-CRVS-036', 'its token is over'),
          ('opencrvs-mediator', 'confirm', 'a-soon', '{}', 0, 'OPN-CRVS-004', 'answers 500')
        """)
      let rows = try await place.pool.with { try Awaited.list(on: $0) }
      #expect(rows.map(\.key) == ["a-lost", "a-soon", "a-without", "a-long"])
      #expect(rows.map(\.code) == ["OPN-CRVS-036", "OPN-CRVS-004", nil, nil])
      #expect(rows.map(\.record) == ["e2", "e1", "e1", "e1"])
      #expect(rows[1].error == "answers 500" && abs(rows[1].until.seconds(since: .now) - 7200) < 600)
      #expect(rows.allSatisfy { !$0.json.description.contains("N1") && !$0.json.description.contains("secret") })
      #expect(try await place.pool.with { try Awaited.list(undeliverable: true, on: $0) }.map(\.key) == ["a-lost"])
      #expect(try await place.pool.with { try Awaited.list(limit: 2, on: $0) }.count == 2)
      let counts = try await place.pool.with { try Awaited.counts(endingWithin: 86_400, on: $0) }
      #expect(counts.undeliverable.count == 1 && counts.ending.count == 1 && counts.ending.since != nil)
    }
  }

  @Test
  func `a dead letter shows its form and no personal data, unless somebody who may asks for it, which is noted`() async throws {
    try await run { place in
      let value: JSONValue = [
        "rid": .string(Self.rid), "reg_type": "TEST", "isValid": true, "name": "Ada Lovelace", "uin": "5075291708", "iteration": 1,
        "tags": ["AGE_GROUP": "ADULT", "5075291708": "x"], "lastHopTimestamp": "2026-11-30T21:06:46.000Z",
        "list": [["phone": 5_075_291_708]], "code": "5075291708", "at": "2001-01-01",
      ]
      let id = try await place.letter(value.encoded())
      let opaque = try await place.letter(Array("<Ada Lovelace>".utf8), offset: 8)
      let (masked, hidden) = try await place.pool.with {
        (try DeadLetters.show(id, on: $0), try DeadLetters.show(opaque, on: $0))
      }
      let shown = String(decoding: masked.encoded() + hidden.encoded(), as: UTF8.self)
      for secret in ["Ada", "Lovelace", "5075291708", "2001-01-01", "ADULT"] { #expect(!shown.contains(secret), "\(shown)") }
      let record = try #require(masked["value"])
      #expect(record["rid"]?.string == Self.rid && record["reg_type"]?.string == "TEST" && record["isValid"]?.bool == true)
      #expect(record["name"]?.string == "<text>" && record["list"]?[0]?["phone"]?.string == "<number>")
      #expect(record["tags"]?["AGE_GROUP"]?.string == "<text>" && record["iteration"]?.int == 1)
      #expect(record["lastHopTimestamp"]?.string == "2026-11-30T21:06:46.000Z")
      #expect(
        masked["topic"]?.string == "a-bus-in" && masked["offset"]?.int == 7 && masked["headers"]?["RID"]?.string == Self.rid + "_a")
      #expect(hidden["value"]?["bytes"]?.int == 14 && hidden["value"]?["sha256"]?.string?.count == 64)

      #expect(
        try await place.refusal { _ = try DeadLetters.show(id, reveal: true, by: Operator("bert"), on: $0) } == "may-not-reveal")
      let revealed = try await place.endpoint("POST", "/regproc/v1/dead-letters/\(id)/reveal", ["author": "anna"])
      #expect(revealed.status == 200 && revealed.json["value"]?["name"]?.string == "Ada Lovelace")
      #expect(revealed.json["base64"]?.string == Encoding.base64(value.encoded()))
      let noted = try await place.pool.with { try AuditTrail.entries(of: "dead-letter:\(id)", on: $0) }
      #expect(noted.map(\.author) == ["anna"] && noted.first?.operation == "dead-letters show --reveal")
    }
  }

  @Test
  func `a record that nobody could read goes back to its topic with its bytes and key, once, also of two who want it at once`()
    async throws
  {
    try await run { place in
      let id = try await place.letter([1, 2, 3])
      let (who, replay) = (place.who, place.replay)
      let dry = try await place.pool.with {
        try DeadLetters.replay(id, isDryRun: true, by: who, with: replay, on: $0).json
      }
      #expect(dry["way"]?.string == "sent" && dry["topic"]?.string == "a-bus-in")
      #expect(try await place.number("SELECT count(*) FROM regproc.outbox") == 0)
      let codes = try await withThrowingTaskGroup(of: String?.self) { group in
        for _ in 0..<4 {
          group.addTask { try await place.refusal { _ = try DeadLetters.replay(id, by: who, with: replay, on: $0) } }
        }
        return try await group.reduce(into: [String]()) { $0.append($1 ?? "done") }.sorted()
      }
      #expect(codes == ["already-replayed", "already-replayed", "already-replayed", "done"])
      let row = try await place.pool.with {
        let row = try $0.execute("SELECT topic, raw_key, value, once FROM regproc.outbox").only()
        return (try row.text(0), try row.bytes(1), try row.bytes(2), try row.bool(3))
      }
      #expect(row.0 == "a-bus-in" && row.1 == [0xff, 0x41] && row.2 == [1, 2, 3] && row.3)
      let lists = try await place.pool.with {
        (try DeadLetters.list(stage: nil, on: $0), try DeadLetters.list(stage: nil, all: true, on: $0))
      }
      #expect(lists.0.isEmpty && lists.1.first?["state"]?.string == "replayed")

      // On a broker that counts from 0 again it may die again at the very same place.
      let again = try await place.letter([1, 2, 3])
      #expect(again != id)
      let edited = try await place.endpoint(
        "POST", "/regproc/v1/dead-letters/\(again)/replay",
        ["author": "bert", "reason": "a comma", "edited": .string(Encoding.base64([9]))])
      #expect(edited.status == 200)
      #expect(try await place.number("SELECT count(*) FROM regproc.outbox WHERE value = '\\x09'") == 1)
      #expect(
        try await place.number(
          """
          SELECT count(*) FROM regproc.dead_letter
          WHERE id = $1::bigint AND edited = '\\x09' AND value = '\\x010203' AND ended_by = 'bert' AND ended_reason = 'a comma'
          """, [.text(again)]) == 1)
      // Of a further topic it is the plugin that takes it out of the outbox.
      let further = try await place.letter([4], topic: "events", code: "RPR-TOP-001")
      _ = try await place.pool.with { try DeadLetters.replay(further, by: who, with: replay, on: $0).json }
      #expect(try await place.number("SELECT count(*) FROM regproc.outbox WHERE topic = 'events' AND NOT once") == 1)
    }
  }

  /// A registration that ended at stage a, whose hop died.
  private func dead(_ place: Place) async throws -> String {
    let hop = HopId.first(rid: Self.rid, process: "TEST", iteration: 1, run: 1, stage: "a")
    try await place.run(
      """
      INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes)
      VALUES ('w', $1, 'TEST', 'FAILED', 'eng', true, 'test', now())
      """, [.text(Self.rid)])
    try await place.run(
      """
      INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, verdict, done_at)
      VALUES ($1::uuid, 'w', $2, 'TEST', 1, 1, 3, 'a', 2, 'error', now())
      """, [.text(hop.text), .text(Self.rid)])
    return try await place.letter(Array("{}".utf8), hop: hop, code: "RPR-RPS-FAILED-001")
  }

  @Test
  func `the letter of a registration that the journal knows runs it again from its stage, and refuses what a replay refuses`()
    async throws
  {
    try await run { place in
      let id = try await dead(place)
      let answer = try await place.endpoint(
        "POST", "/regproc/v1/dead-letters/\(id)/replay", ["author": "anna", "reason": "mended"])
      #expect(answer.status == 200 && answer.json["way"]?.string == "run" && answer.json["run"]?.int == 2)
      #expect(answer.json["stage"]?.string == "a" && answer.json["rid"]?.string == Self.rid)
      #expect(try await place.number("SELECT count(*) FROM regproc.hop WHERE run = 2 AND stage = 'a' AND state = 0") == 1)
      #expect(try await place.number("SELECT count(*) FROM regproc.outbox") == 0)
      #expect(try await place.text("SELECT author || reason FROM regproc.run WHERE run = 2") == "annamended")
      // The registration is on its way: another letter of it is refused, and stays.
      let second = try await place.letter(
        Array("{}".utf8), offset: 9, hop: HopId.first(rid: Self.rid, process: "TEST", iteration: 1, run: 1, stage: "a"),
        code: "RPR-RPS-FAILED-001")
      let refused = try await place.endpoint("POST", "/regproc/v1/dead-letters/\(second)/replay", ["author": "anna"])
      #expect(refused.status == 409 && refused.json["error"]?.string == "in-flight")
      #expect(try await place.number("SELECT count(*) FROM regproc.dead_letter WHERE replayed_at IS NULL") == 1)
    }
  }

  @Test
  func `what the hub gave up is delivered again or dropped, and dropped letters are listed only where all are asked for`()
    async throws
  {
    try await run { place in
      try await place.run(
        "INSERT INTO platform.hub_message (topic, dedupe_key, body) VALUES ('T', 'k', '{\"uin\":\"5075291708\"}')")
      for callback in ["x", "y"] {
        try await place.run(
          """
          INSERT INTO platform.hub_delivery (message_id, callback, topic, is_open, attempt, given_up_at, refusal)
          SELECT id, $1, topic, false, 9, now(), 'status 500' FROM platform.hub_message
          """, [.text(callback)])
      }
      let id = try await place.letter([1])
      let list = try await place.endpoint("GET", "/regproc/v1/dead-letters")
      #expect(list.json["rows"]?.array?.count == 3)
      #expect(list.json["counts"]?.array?.first?["count"]?.int == 2)
      let names = (list.json["rows"]?.array ?? []).compactMap { $0["id"]?.string }.sorted()
      #expect(names.count == 2)
      let shown = try await place.endpoint("GET", "/regproc/v1/dead-letters/\(names[0])")
      #expect(shown.json["value"]?["uin"]?.string == "<text>" && shown.json["code"]?.string == "RPR-HUB-003")

      let again = try await place.endpoint("POST", "/regproc/v1/dead-letters/\(names[0])/replay", ["author": "anna"])
      #expect(again.json["way"]?.string == "delivered")
      #expect(
        try await place.number(
          "SELECT count(*) FROM platform.hub_delivery WHERE is_open AND attempt = 1 AND given_up_at IS NULL AND refusal IS NULL")
          == 1)
      #expect(try await place.endpoint("POST", "/regproc/v1/dead-letters/\(names[0])/replay", ["author": "anna"]).status == 404)

      for name in [names[1], id] {
        #expect(try await place.endpoint("POST", "/regproc/v1/dead-letters/\(name)/drop", ["author": "anna"]).status == 400)
        #expect(
          try await place.endpoint("POST", "/regproc/v1/dead-letters/\(name)/drop", ["author": "anna", "reason": "a test"]).status
            == 200)
      }
      #expect(try await place.endpoint("GET", "/regproc/v1/dead-letters").json["rows"]?.array?.isEmpty == true)
      let all = try await place.endpoint("GET", "/regproc/v1/dead-letters?all=true").json["rows"]?.array
      #expect(all?.map { $0["state"]?.string } == ["dropped", "dropped"])
      #expect(try await place.endpoint("GET", "/regproc/v1/dead-letters/x").status == 400)
      #expect(try await place.endpoint("GET", "/regproc/v1/dead-letters/99").status == 404)
      let audit = try await place.endpoint("GET", "/regproc/v1/operations/dead-letter:\(id)")
      #expect(audit.json[0]?["operation"]?.string == "dead-letters drop" && audit.json[0]?["reason"]?.string == "a test")
    }
  }

  @Test
  func `what the platform suspended is listed as held, and goes on when a person releases it`() async throws {
    try await run { place in
      try await place.run(
        """
        INSERT INTO platform.hub_subscription (topic, callback, sealed_secret, lease_until, suspended_at, suspended_for)
        VALUES ('T', 'http://s/', '', now() + interval '1 d', now() - interval '1 h', 'RPR-HUB-005'),
          ('U', 'http://s/', '', now() + interval '1 d', NULL, NULL)
        """)
      try await place.run("INSERT INTO platform.hub_message (topic, dedupe_key, body) VALUES ('T', 'k', '1'), ('T', 'l', '2')")
      try await place.run(
        """
        INSERT INTO platform.hub_delivery (message_id, callback, topic, attempt, not_before, unanswered_since)
        SELECT id, 'http://s/', 'T', 9, now() + interval '1 h', now() - interval '9 h' FROM platform.hub_message
        """)
      try await place.run(
        """
        INSERT INTO platform.identity_follow_up (uin_hash, kind, rid, attempt, suspended_at, suspended_for)
        VALUES ('x', 'DELETED', '1', 4, now(), 'RPR-KEY-007')
        """)
      let list = try await place.endpoint("GET", "/regproc/v1/held").json.array ?? []
      #expect(list.map { $0["what"]?.string } == ["subscription", "follow-up"])
      #expect(list[0]["code"]?.string == "RPR-HUB-005" && list[0]["owed"]?.int == 2 && list[0]["topic"]?.string == "T")
      #expect(list[1]["code"]?.string == "RPR-KEY-007" && list[1]["kind"]?.string == "DELETED")
      let names = list.compactMap { $0["name"]?.string }
      for name in names {
        let path = "/regproc/v1/held/\(name)/release"
        #expect(try await place.endpoint("POST", path, ["author": "anna"]).status == 400, "a reason must be given")
        let released = try await place.endpoint("POST", path, ["author": "anna", "reason": "mended"])
        #expect(released.status == 200 && released.json["name"]?.string == name)
        let again = try await place.endpoint("POST", path, ["author": "anna", "reason": "mended"])
        #expect(again.status == 404 && again.json["error"]?.string == "not-suspended")
      }
      #expect(
        try await place.number(
          "SELECT count(*) FROM platform.hub_delivery WHERE not_before <= now() AND attempt = 1 AND unanswered_since IS NULL") == 2)
      #expect(
        try await place.number(
          "SELECT count(*) FROM platform.identity_follow_up WHERE suspended_at IS NULL AND attempt = 1 AND not_before <= now()")
          == 1)
      let audit = try await place.endpoint("GET", "/regproc/v1/operations/\(names[0])")
      #expect(audit.json[0]?["operation"]?.string == "held release" && audit.json[0]?["reason"]?.string == "mended")
    }
  }

  @Test
  func `work is counted, listed and shown masked; it is tried again or given up where nobody has it in hand`() async throws {
    try await run { place in
      func put(_ kind: String, _ key: String, state: Int = 0, _ more: String = "NULL") async throws {
        try await place.run(
          """
          INSERT INTO regproc.work (stage, kind, key, payload, state, attempt, not_before, leased_until, failure_code, created_at)
          VALUES ('s', $1, $2, '{"change":"c-1","name":"Ada"}', $3::int, 4, now() + interval '1 h', \(more),
            CASE $3::int WHEN 2 THEN 'X-1' END, now() - interval '3 h')
          """, [.text(kind), .text(key), .int(state)])
      }
      try await put("k", "open")
      try await put("k", "held", "now() + interval '1 h'")
      try await put("k", "failed", state: 2)
      try await put("l", "failed")
      try await put("l", "done", state: 1)
      let list = try await place.endpoint("GET", "/regproc/v1/work?kind=k")
      #expect(list.json["counts"]?[0]?["open"]?.int == 2 && list.json["counts"]?[0]?["givenUp"]?.int == 1)
      #expect(list.json["rows"]?.array?.count == 2)
      #expect(try await place.endpoint("GET", "/regproc/v1/work?older-than=4h").json["rows"]?.array?.isEmpty == true)
      #expect(try await place.endpoint("GET", "/regproc/v1/work?older-than=2h&state=given-up").json["rows"]?.array?.count == 1)
      #expect(try await place.endpoint("GET", "/regproc/v1/work?older-than=x").status == 400)
      #expect(try await place.endpoint("GET", "/regproc/v1/work?state=x").status == 400)
      let shown = try await place.endpoint("GET", "/regproc/v1/work?key=open").json["rows"]?[0]
      #expect(shown?["payload"]?["name"]?.string == "<text>" && shown?["attempt"]?.int == 4)

      func retry(_ keys: JSONValue) async throws -> (status: Int, json: JSONValue) {
        try await place.endpoint("POST", "/regproc/v1/work/retry", ["author": "anna", "keys": keys])
      }
      #expect(try await place.endpoint("GET", "/regproc/v1/work?key=s/k/failed").json["rows"]?[0]?["code"]?.string == "X-1")
      #expect(try await retry(["failed"]).json["error"]?.string == "ambiguous")
      #expect(try await retry(["open", "held"]).json["error"]?.string == "in-hand")
      #expect(try await place.number("SELECT attempt FROM regproc.work WHERE key = 'open'") == 4, "all or none")
      #expect(try await retry(["done"]).status == 409)
      #expect(try await retry([]).status == 400)
      #expect(try await retry(["none"]).status == 404)
      #expect(try await retry(["s/k/failed", "open"]).status == 200)
      #expect(
        try await place.number(
          "SELECT count(*) FROM regproc.work WHERE state = 0 AND attempt = 1 AND not_before <= now() AND failure_code IS NULL") == 2
      )

      func giveUp(_ key: String, _ reason: JSONValue) async throws -> (status: Int, json: JSONValue) {
        try await place.endpoint("POST", "/regproc/v1/work/give-up", ["author": "anna", "reason": reason, "keys": [.string(key)]])
      }
      #expect(try await giveUp("held", .null).status == 400)
      let marked = try await giveUp("held", "too late")
      #expect(marked.status == 200 && marked.json[0]?["state"]?.string == "giving-up")
      #expect(try await giveUp("done", "too late").json["error"]?.string == "done")
      // Whoever tries it again after all takes the mark away.
      try await place.run("UPDATE regproc.work SET leased_until = NULL WHERE key = 'held'")
      #expect(try await retry(["held"]).json[0]?["state"]?.string == "open")
      let audit = try await place.endpoint("GET", "/regproc/v1/operations/work:s")
      #expect(audit.status == 200)
      let noted = try await place.pool.with { try AuditTrail.entries(of: "work:s/k/held", on: $0) }
      #expect(noted.map(\.operation) == ["work give-up", "work retry"])
    }
  }

  @Test
  func `what waits is listed with its moment and reason, and one RID goes on now; one that waits for information does not`()
    async throws
  {
    try await run { place in
      func hop(_ number: Int, _ stage: String, due: String, refusal: String? = nil) async throws {
        let rid = String(Self.rid.dropLast()) + "\(number)"
        try await place.run(
          """
          INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, not_before, refusal)
          VALUES (gen_random_uuid(), $1, 'TEST', 1, 1, 2, $2, 0, now() + $3::interval, $4)
          """, [.text(rid), .text(stage), .text(due), Value(refusal)])
      }
      try await hop(1, "a", due: "1 h")
      try await hop(2, "b", due: "1 min", refusal: "no topic b")
      try await hop(3, "a", due: "-1 s")
      let paused = SecureRandom.uuid()
      for (number, status, action) in [(4, "PAUSED", "STOP_PROCESSING"), (5, "PAUSED_FOR_ADDITIONAL_INFO", "STOP_PROCESSING")] {
        try await place.run(
          """
          INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes,
            resume_timestamp, default_resume_action, reg_stage_name, latest_trn_id, pause_rule_ids)
          VALUES ($1, $2, 'TEST', $3, 'eng', true, 'test', now(), now() + interval '2 h', $4, 'a', $5, 'ADULT')
          """,
          [
            .text("w\(number)"), .text(String(Self.rid.dropLast()) + "\(number)"), .text(status), .text(action),
            .text(number == 4 ? paused : "x"),
          ])
      }
      try await place.run(
        """
        INSERT INTO regproc.work (stage, kind, key, payload, not_before)
        VALUES ($1, $2, $3, '{"instance":"w4","way":"stop"}', now() + interval '2 h')
        """, [.text(ResumeWork.stage), .text(ResumeWork.kind), .text(paused)])
      let list = try await place.endpoint("GET", "/regproc/v1/waiting")
      let rows = list.json["rows"]?.array ?? []
      #expect(rows.map { $0["why"]?.string } == ["broker", "moment", "rule", "information"])
      #expect(rows.first?["reason"]?.string == "no topic b" && rows.allSatisfy { $0["dueAt"]?.string != nil })
      #expect(list.json["counts"]?.array?.count == 4)
      #expect(try await place.endpoint("GET", "/regproc/v1/waiting?stage=b").json["rows"]?.array?.count == 1)

      func resume(_ number: Int) async throws -> (status: Int, json: JSONValue) {
        try await place.endpoint(
          "POST", "/regproc/v1/waiting/\(Self.rid.dropLast())\(number)/resume", ["author": "anna", "reason": "now"])
      }
      #expect(try await resume(1).json["stages"]?[0]?.string == "a")
      #expect(try await resume(1).json["error"]?.string == "does-not-wait")
      #expect(try await place.number("SELECT count(*) FROM regproc.hop WHERE state = 0 AND not_before <= now()") == 2)
      #expect(try await resume(4).status == 200)
      #expect(
        try await place.number("SELECT count(*) FROM regproc.work WHERE payload->>'way' = 'routeAgain' AND not_before <= now()")
          == 1)
      #expect(try await resume(5).json["error"]?.string == "waits-for-information")
      // What the list calls an answer is refused by that word.
      let sent = String(Self.rid.dropLast()) + "3"
      let rules = #"{"every":60,"elapsedSeconds":60,"attempts":3,"elsewhere":[{"process":"TEST","stage":"a","class":"A"}]}"#
      try await place.run(
        "INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES ('reprocessor', 'rules', 'now', 1, $1::jsonb)",
        [.text(rules)])
      try await place.run(
        """
        INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes)
        VALUES ('w3', $1, 'TEST', 'PROCESSING', 'eng', true, 'test', now())
        """, [.text(sent)])
      try await place.run(
        "UPDATE regproc.hop SET state = 1, sent_at = now(), workflow_instance_id = 'w3' WHERE rid = $1", [.text(sent)])
      let answers = try await place.endpoint("GET", "/regproc/v1/waiting").json["rows"]?.array ?? []
      #expect(answers.first { $0["rid"]?.string == sent }?["why"]?.string == "answer")
      #expect(try await resume(3).json["error"]?.string == "waits-for-answer")
      #expect(try await resume(9).status == 404)
    }
  }

  @Test
  func `a pause names a stage that exists, with its author and reason, and ends once`() async throws {
    try await run { place in
      func pause(_ what: String, _ reason: JSONValue = "a move") async throws -> (status: Int, json: JSONValue) {
        try await place.endpoint("POST", "/regproc/v1/pauses/\(what)", ["author": "anna", "reason": reason])
      }
      #expect(try await pause("nothing").json["error"]?.string == "unknown-stage")
      #expect(try await pause("a", .null).status == 400)
      let since = try await pause("a").json["since"]?.string
      #expect(try await pause("a", "still").json["since"]?.string == since)
      try await place.run(
        """
        INSERT INTO regproc.route_report (instance, stages, digest, started_at, taken_at) VALUES ('i', 'mediator other', 'd', now(), now())
        """)
      #expect(try await pause("mediator").status == 200)
      #expect(try await pause("intake").status == 200)
      let list = try await place.endpoint("GET", "/regproc/v1/pauses").json.array ?? []
      #expect(list.map { $0["what"]?.string } == ["a", "intake", "mediator"] && list[0]["reason"]?.string == "still")
      func resume(_ what: String) async throws -> (status: Int, json: JSONValue) {
        try await place.endpoint("POST", "/regproc/v1/pauses/\(what)/resume", ["author": "bert"])
      }
      #expect(try await resume("a").status == 200)
      #expect(try await resume("a").json["error"]?.string == "not-paused")
      let audit = try await place.endpoint("GET", "/regproc/v1/operations/a").json
      #expect(audit.array?.map { $0["operation"]?.string } == ["pause", "pause", "resume"])
    }
  }

  @Test
  func
    `while the intake is held, what takes in answers 503 with Retry-After in MOSIP's form, to those who may call; nothing else does`()
    async throws
  {
    try await run { place in
      let pauses = Pauses(place.pool)
      let endpoint = Endpoint("POST", "/in", admission: Admission("some") { $0.headers["Token"] == nil ? .text("no") : nil }) { _ in
        .text("taken")
      }
      #expect(!endpoint.isIntake && endpoint.takingIn.isIntake)
      let closed = endpoint.takingIn.closed { pauses.closedIntake }
      let request = Request(method: "POST", path: "/in", headers: ["Token": "t"])
      #expect(try await closed.respond(to: request).body == Array("taken".utf8))
      try await place.run("INSERT INTO regproc.pause (what, author, reason) VALUES ('intake', 'anna', 'a move')")
      try await pauses.look()
      let answer = try await closed.respond(to: request)
      #expect(answer.status == 503 && answer.headers["Retry-After"] == "30")
      #expect(try JSONValue.parse(answer.body)["errors"]?[0]?["errorCode"]?.string == "RPR-OPS-002")
      #expect(try await closed.respond(to: Request(method: "POST", path: "/in")).body == Array("no".utf8))
    }
  }
}
