import HTTP
import JSON
@testable import Operations
import OperationsAPI
import Postgres
import Routing
import StageRuntime
import System
import TestSupport
import Testing

@Suite("Seeing registrations", .timeLimit(.minutes(30)))
struct SeeingTests {
  private static let now = Instant(iso: "2026-11-24T12:00:00Z") ?? Instant(milliseconds: 0)

  /// Runs a test on a database of its own with the registrations of `rows`.
  private func with(_ body: @escaping @Sendable (Connection) throws -> Void) async throws {
    let database = try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations)
    let pool = Pool(database, size: 1)
    defer { pool.close() }
    try await pool.with { connection in
      try Self.fill(connection)
      try body(connection)
    }
  }

  private static func fill(_ connection: Connection) throws {
    // Through; failed; between two tries; on the bus, after a failed run; paused; a death whose change is held; one that others wrote of.
    try registration("1", "PROCESSED", at: "11:00", connection)
    try hop("1", "packet-validator", verdict: "passed", code: "RPR-PKV-SUCCESS-001", at: "10:59", connection)
    try hop("1", "finalization", verdict: "passed", code: "RPR-FIN-SUCCESS-001", at: "11:00", connection)
    try registration("2", "FAILED", at: "09:00", connection)
    try hop("2", "packet-validator", verdict: "failed", code: "RPR-PKV-FAILED-001", at: "09:00", connection)
    try registration("3", "REPROCESS", at: "11:58", connection)
    try hop("3", "uin-generator", verdict: "retry", code: "RPR-UIN-REPROCESS-001", at: "11:58", connection)
    try hop("3", "uin-generator", state: 0, attempt: 2, due: "12:03:04", at: "11:58", connection)
    try registration("4", "PROCESSING", at: "10:00", connection)
    try hop("4", "packet-validator", verdict: "failed", code: "RPR-PKV-FAILED-001", at: "09:30", connection)
    try hop("4", "packet-classifier", state: 1, run: 2, at: "10:00", connection)
    try registration("5", "PAUSED", at: "08:00", process: "OPENCRVS_CORRECTION", connection)
    try hop("5", "packet-classifier", verdict: "passed", code: "RPR-PKC-SUCCESS-001", at: "08:00", connection)
    try registration("6", "PROCESSING", at: "07:00", connection)
    try record("rids", "6", #"{"txnId": "d:death", "change": true}"#, connection)
    try record(
      "change_transactions", "d:death",
      #"{"kind": "death", "rid": "6", "subjectRid": "1", "status": "Held", "registrationNumber": "2026D1", "take": 1}"#, connection)
    try record("rids", "1", #"{"txnId": "b1"}"#, connection)
    try record("birth_transactions", "b1", #"{"rid": "1", "registrationNumber": "2026B1"}"#, connection)
    try record("registration_numbers", "2026B1", #"{"txnId": "b1"}"#, connection)
    _ = try connection.execute("ANALYZE")
  }

  private static func registration(
    _ rid: String, _ status: String, at time: String, process: String = "OPENCRVS_NEW", _ connection: Connection
  ) throws {
    _ = try connection.execute(
      """
      INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes,
        latest_trn_dtimes) VALUES ('w' || $1, $1, $2, $3, 'eng', true, 'test', '2026-11-24 06:00', $4::timestamp)
      """, [.text(rid), .text(process), .text(status), .text("2026-11-24 " + time)])
  }

  private static func hop(
    _ rid: String, _ stage: String, state: Int = 2, run: Int = 1, attempt: Int = 1, verdict: String? = nil, code: String? = nil,
    due: String? = nil, at time: String, _ connection: Connection
  ) throws {
    _ = try connection.execute(
      """
      INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, verdict, sub_status_code,
        decided_at, taken_at, done_at, not_before)
      SELECT gen_random_uuid(), 'w' || $1, $1, 'OPENCRVS_NEW', 1, $2::int, $3::int, $4, $5::smallint, $6, $7, at - interval '1 second',
        CASE WHEN $5 = 2 THEN at END, CASE WHEN $5 = 2 THEN at END, $9::timestamptz FROM (SELECT $8::timestamptz) AS d(at)
      """,
      [
        .text(rid), .int(run), .int(attempt), .text(stage), .int(state), Value(verdict), Value(code),
        .text("2026-11-24 \(time)Z"), Value(due.map { "2026-11-24 \($0)Z" }),
      ])
  }

  private static func record(_ collection: String, _ key: String, _ document: String, _ connection: Connection) throws {
    _ = try connection.execute(
      "INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES ('mosip-mediator', $1, $2, 1, $3::text::jsonb)",
      [.text(collection), .text(key), .text(document)])
  }

  private static func selection(_ filters: [String: String]) throws -> Selection {
    try Selection(
      stages: ["packet-validator", "packet-classifier", "uin-generator", "finalization"],
      processes: ["OPENCRVS_NEW", "OPENCRVS_CORRECTION"], now: now
    ) { filters[$0] }
  }

  @Test
  func `each filter selects what stands so, all of them together what they have in common`() async throws {
    try await with { connection throws in
      func rids(_ filters: [String: String]) throws -> String {
        let list = try RegistrationList.read(try Self.selection(filters), now: Self.now, on: connection)
        #expect(list.counts?.total == list.rows.count && list.counts?.isBounded == false && list.next == nil)
        #expect(list.counts?.places.map(\.count).reduce(0, +) == list.rows.count)
        return list.rows.map(\.rid).joined()
      }
      #expect(try rids([:]) == "314256")
      #expect(try rids(["status": "FAILED"]) == "2")
      #expect(try rids(["status": "processing"]) == "46")
      #expect(try rids(["status": "waiting"]) == "3")
      #expect(try rids(["status": "sent"]) == "4")
      #expect(try rids(["status": "held"]) == "16")
      // The one of the replayed registration that failed there before stands elsewhere now, and the first one went through.
      #expect(try rids(["stage": "packet-validator"]) == "2")
      #expect(try rids(["stage": "packet-classifier"]) == "45")
      #expect(try rids(["stage": "finalization"]) == "")
      #expect(try rids(["code": "RPR-PKV-FAILED-001"]) == "42")
      #expect(try rids(["code": "RPR-FIN-SUCCESS-001"]) == "" && rids(["code": "RPR-PKC-SUCCESS-001"]) == "5")
      #expect(try rids(["code": "RPR-FIN-SUCCESS-001", "status": "PROCESSED"]) == "1")
      #expect(try rids(["code": "RPR-PKV-SUCCESS-001", "status": "PROCESSED"]) == "")
      #expect(try rids(["kind": "birth"]) == "1")
      #expect(try rids(["kind": "death"]) == "6")
      #expect(try rids(["process": "OPENCRVS_CORRECTION"]) == "5")
      #expect(try rids(["since": "2h"]) == "314")
      #expect(try rids(["since": "2026-11-24T11:00:00.000Z"]) == "31")
      #expect(try rids(["waiting-longer-than": "90m"]) == "654", "the longest waiting comes first")
      #expect(try rids(["status": "PROCESSING", "stage": "packet-classifier", "since": "3h"]) == "4")
      #expect(try rids(["status": "PROCESSED", "waiting-longer-than": "1s"]) == "")

      // Of many changes of a kind the newest are found in another way.
      #expect(try !Self.selection(["kind": "death"]).hasCommonKind(connection))
      _ = try connection.execute(
        """
        INSERT INTO regproc.stage_record (stage, collection, key, version, document)
        SELECT 'mosip-mediator', 'change_transactions', 'many-' || n, 1, jsonb_build_object('kind', 'death', 'rid', 'nobody-' || n)
        FROM generate_series(1, 2001) AS n
        """)
      #expect(try Self.selection(["kind": "death"]).hasCommonKind(connection))
      #expect(try rids(["kind": "death"]) == "6")
      #expect(try rids(["kind": "death", "status": "PROCESSED"]) == "")
    }
  }

  @Test
  func `a row says where, since when, why, and when it goes on`() async throws {
    try await with { connection throws in
      let rows = try RegistrationList.read(Selection(), now: Self.now, on: connection).rows.map { $0.json(at: Self.now) }
      let row = try #require(rows.first { $0["rid"]?.string == "3" })
      #expect(row["stage"]?.string == "uin-generator" && row["state"]?.string == "waiting" && row["status"]?.string == "REPROCESS")
      #expect(row["code"]?.string == "RPR-UIN-REPROCESS-001" && row["waitingSeconds"]?.int == 120 && row["try"]?.int == 2)
      #expect(row["dueAt"]?.string == "2026-11-24T12:03:04.000Z")
      let through = try #require(rows.first { $0["rid"]?.string == "1" })
      #expect(through["registrationNumber"]?.string == "2026B1" && through["kind"]?.string == "birth" && through["stage"] == .null)
      #expect(through["waitingSeconds"] == .null)
      #expect(rows.first { $0["rid"]?.string == "6" }?["registrationNumber"]?.string == "2026D1")
    }
  }

  @Test
  func `pages have every row once, also of one moment; counts are bounded and say so`() async throws {
    try await with { connection throws in
      _ = try connection.execute(
        """
        INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes)
        SELECT 'x' || n, '9' || n, 'OPENCRVS_NEW', 'PROCESSING', 'eng', true, 'test', '2026-11-24 05:00' FROM generate_series(1, 25) AS n
        """)
      for filters in [[:], ["waiting-longer-than": "1m"], ["status": "PROCESSING"]] {
        let selection = try Self.selection(filters)
        let all = try RegistrationList.read(selection, limit: 1000, now: Self.now, on: connection).rows.map(\.rid)
        var (seen, place, pages): ([String], String?, Int) = ([], nil, 0)
        repeat {
          let page = try RegistrationList.read(selection, limit: 7, after: place, now: Self.now, on: connection)
          #expect((page.counts == nil) == (place != nil))
          seen += page.rows.map(\.rid)
          place = page.next
          pages += 1
        } while place != nil && pages < 10
        #expect(seen == all && Set(seen).count == seen.count && seen.count > 20)
      }
      let counts = try #require(
        try RegistrationList.read(Selection(), countingAtMost: 10, now: Self.now, on: connection).counts)
      #expect(counts.isBounded && counts.total == 11 && counts.words == "11+" && counts.places[0].words == "1")
      #expect(RegistrationList.Counts(places: [], total: 1_234_567, isBounded: false).words == "1,234,567")
    }
  }

  @Test
  func `what cannot be meant is refused by name, with what was probably meant`() throws {
    func message(_ filters: [String: String]) -> String {
      do {
        _ = try Selection(stages: ["packet-validator"], processes: ["OPENCRVS_NEW"]) { filters[$0] }
        return "taken"
      } catch {
        #expect(error.kind == .badInput)
        return error.message
      }
    }
    #expect(message(["status": "PROCESED"]).contains("did you mean PROCESSED?"))
    #expect(message(["status": "wating"]).contains("did you mean waiting?"))
    #expect(message(["status": "x'; DROP"]).contains("it is one of FAILED"))
    #expect(message(["stage": "packet-validtor"]).contains("did you mean packet-validator?"))
    #expect(message(["process": "OPENCRVS_NW"]).contains("did you mean OPENCRVS_NEW?"))
    #expect(message(["kind": "deth"]).contains("did you mean death?"))
    #expect(message(["code": "a b\u{1b}[31m"]).contains("cannot be a code") && !message(["code": "a\u{1b}"]).contains("\u{1b}"))
    for time in ["yesterday", "0h", "-1h", "2026-13-01", "99999999999999999999d", ""] {
      #expect(message(["since": time]).contains("since: "), "\(time)")
    }
    #expect(message(["since": "2026-11-24"]) == "taken" && message(["since": "1d"]) == "taken")
    #expect(message(["waiting-longer-than": "2026-11-24"]).contains("is no span"))
    #expect(Selection().isEverything && Selection().words == "all registrations")
    let selection = try Self.selection(["status": "failed", "stage": "packet-validator", "waiting-longer-than": "125m"])
    #expect(!selection.isEverything)
    #expect(selection.words == "registrations with status FAILED at packet-validator waiting longer than 2h 5m")
  }

  @Test
  func `nothing there is an empty list`() async throws {
    let database = try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations)
    let pool = Pool(database, size: 1)
    defer { pool.close() }
    try await pool.with { connection in
      let list = try RegistrationList.read(Selection(), on: connection)
      #expect(list.rows.isEmpty && list.next == nil && list.counts?.total == 0)
      #expect(try RegistrationView.read("1", on: connection) == nil)
      #expect(try RegistrationView.read("", on: connection) == nil && RegistrationView.read("a\0b", on: connection) == nil)
    }
  }

  @Test
  func `a registration is shown with its work, dead letters, operators' actions and what happens next`() async throws {
    try await with { connection throws in
      for (kind, key, state) in [
        ("packet", "b1", 1), ("tell", "token:statuses:birth:success:b1", 0), ("status", "b1#2", 2), ("packet", "b12", 0),
      ] {
        _ = try connection.execute(
          """
          INSERT INTO regproc.work (stage, kind, key, payload, state, attempt, not_before, failure)
          VALUES ('mosip-mediator', $1, $2, '{}', $3::smallint, 2, '2026-11-24 12:09Z', 'out of reach')
          """, [.text(kind), .text(key), .int(state)])
      }
      _ = try connection.execute(
        """
        INSERT INTO regproc.work (stage, kind, key, payload) VALUES ('workflow', 'completed', 'k1', '{"rid": "1"}'), ('workflow', 'completed', 'k2', '{"rid": "2"}');
        """)
      _ = try connection.execute(
        "INSERT INTO regproc.dead_letter (stage, code, reason, rid, topic) VALUES ('finalization', 'RPR-X-001', 'no', '1', 't')")
      _ = try connection.execute(
        "INSERT INTO regproc.outbox (id, topic, record_key, value) VALUES (gen_random_uuid(), 'births', '1', 'x')")
      try AuditTrail.note("replay", of: "1", by: Operator("anna", reason: "a drill"), on: connection)
      let byRID = try #require(try RegistrationView.read("1", on: connection))
      #expect(byRID.work.map(\.key).sorted() == ["b1", "b1#2", "k1", "token:statuses:birth:success:b1"])
      let json = byRID.json
      #expect(json["rid"]?.string == "1" && json["hops"]?.array?.count == 2 && json["registrationNumber"]?.string == "2026B1")
      #expect(json["work"]?.array?.map { $0["state"]?.string ?? "" }.sorted() == ["done", "given up", "open", "open"])
      #expect(json["deadLetters"]?[0]?["code"]?.string == "RPR-X-001" && json["outbox"]?[0]?["topic"]?.string == "births")
      #expect(json["operations"]?[0]?["author"]?.string == "anna" && json["operations"]?[0]?["reason"]?.string == "a drill")
      let next = json["next"]?.array ?? []
      #expect(Set(next.map { $0["what"]?.string }) == ["work", "send", "decision"])
      #expect(next.first { $0["at"]?.string == "2026-11-24T12:09:00.000Z" }?["try"]?.int == 2)
      #expect(!byRID.hasEnded)
      #expect(try RegistrationView.read("2026B1", on: connection)?.record.rid == "1")

      let retried = try #require(try RegistrationView.read("3", on: connection))
      #expect(retried.next.map(\.words) == ["retry at uin-generator"] && retried.next.map(\.attempt) == [2])
      #expect(retried.next.first?.at?.iso == "2026-11-24T12:03:04.000Z")
      let failed = try #require(try RegistrationView.read("2", on: connection))
      #expect(failed.next.map(\.what) == ["work"] && failed.deadLetters.isEmpty)
      #expect(try RegistrationView.read("5", on: connection)?.next.map(\.what) == ["resume"])
      #expect(try RegistrationView.read("4", on: connection)?.next.map(\.what) == ["answer"])
    }
  }

  @Test
  func `the endpoints answer the same and refuse a query that means nothing`() async throws {
    let database = try await TestDatabase.make(EngineSchema.migrations + OperationsSchema.migrations)
    let pool = Pool(database, size: 1)
    defer { pool.close() }
    try await pool.with { try Self.fill($0) }
    let text = """
      version: 1
      flows:
        OPENCRVS_NEW:
          on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
          route:
            - packet-validator
            - finalization: { passed: complete-as-processed }
      """
    let stages = StageDirectory([StageDirectory.Entry("packet-validator"), StageDirectory.Entry("finalization")])
    let routes = try #require(RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages).file)
    let endpoints = OperationsAPI.endpoints(
      OperatorAccess(read: .everybody(), operate: .everybody(), reveal: .everybody(), pool: pool, routes: { routes }, wakeUp: {}))
    func ask(_ pattern: String, _ query: [(name: String, value: String)] = [], name: String = "") async throws -> (Int, JSONValue) {
      let endpoint = try #require(endpoints.first { $0.pathPattern == pattern })
      let answer = try await endpoint.respond(
        to: Request(method: "GET", path: pattern, query: query, parameters: ["name": name]))
      return (answer.status, try JSONValue.parse(answer.body))
    }
    let (status, list) = try await ask("/regproc/v1/registrations", [("status", "FAILED"), ("limit", "1")])
    #expect(status == 200 && list["rows"]?.array?.count == 1 && list["counts"]?["total"]?.int == 1 && list["next"] == .null)
    #expect(list["counts"]?["places"]?[0]?["stage"]?.string == "packet-validator")
    for query in [
      ("statsu", "FAILED"), ("status", "FAILD"), ("limit", "0"), ("limit", "x"), ("limit", "1001"), ("after", "x"),
      ("stage", "nowhere"),
      ("since", "soon"),
    ] {
      let (status, answer) = try await ask("/regproc/v1/registrations", [query])
      #expect(status == 400 && answer["message"]?.string?.isEmpty == false, "\(query)")
    }
    #expect(try await ask("/regproc/v1/registrations", [("status", "FAILED"), ("status", "PAUSED")]).0 == 400)
    #expect(try await ask("/regproc/v1/journey/{name}", name: "2026B1").1["rid"]?.string == "1")
    #expect(try await ask("/regproc/v1/journey/{name}", name: "nobody").0 == 404)
  }
}
