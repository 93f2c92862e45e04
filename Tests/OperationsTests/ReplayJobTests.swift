import HTTP
import JSON
import Operations
import OperationsAPI
import Postgres
import StageRuntime
import Synchronization
import System
import TestSupport
import Testing

@Suite("Replays of many", .timeLimit(.minutes(30)))
struct ReplayJobTests {
  private let ten = (1...10).map(String.init)

  @Test
  func `a job whose worker is killed goes on where that one was: each RID has one new run`() async throws {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(ten)
      let id = try await bench.make(ten)
      // The second worker dies between the replay of RID 6 and its mark, the first one between two RIDs.
      _ = try await bench.pool.with {
        try $0.script(
          """
          CREATE TABLE death (rid text);
          INSERT INTO death VALUES ('6');
          CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.state = 'started' AND EXISTS (SELECT 1 FROM death WHERE rid = NEW.rid) THEN
              PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10);
            END IF; RETURN NEW; END $$;
          CREATE TRIGGER die BEFORE UPDATE ON regproc.replay_item FOR EACH ROW EXECUTE FUNCTION die();
          """)
      }
      await #expect(throws: PostgresError.self) {
        try await bench.work(id, worker: "first") { progress, interrupter in if progress.started == 3 { interrupter.end() } }
      }
      #expect(try await bench.runs() == ["1:1:1", "2:1:1", "3:1:1"])
      // Nobody takes it while the dead one's lease holds.
      await #expect(throws: OperationError.self) { try await bench.work(id, worker: "second") }
      try await bench.expire(id)
      await #expect(throws: PostgresError.self) { try await bench.work(id, worker: "second") }
      #expect(try await bench.runs() == ["1:1:1", "2:1:1", "3:1:1", "4:1:1", "5:1:1"])
      _ = try await bench.texts("DELETE FROM death RETURNING rid")
      try await bench.expire(id)
      #expect(try await bench.work(id, worker: "third") == .done)
      #expect(try await bench.runs() == ten.map { "\($0):1:1" })
      let job = try await bench.job(id)
      #expect(job.state == "done" && job.counts?.started == 10 && job.worker == nil)
      #expect(
        try await bench.texts("SELECT DISTINCT author || ' ' || reason FROM regproc.run") == [
          "anna the schema was wrong (replay job \(id))"
        ])
      // To start it once more does nothing.
      await #expect(throws: OperationError.self) { try await bench.work(id, worker: "fourth") }
    }
  }

  @Test
  func `of two workers at once one works, and one that was thought dead does nothing twice`() async throws {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(ten)
      let id = try await bench.make(ten)
      let other = Mutex<JobEnd?>(nil)
      let end = try await bench.work(id, worker: "slow") { progress, _ in
        guard progress.started == 4 else { return }
        bench.meanwhile { connection in
          let eager = ReplayRunner(bench.replays(), worker: "eager")
          do {
            _ = try eager.work(id, on: connection)
            Issue.record("two hold one lease")
          } catch let refusal as OperationError { #expect(refusal.code == "busy") }
          _ = try connection.execute("UPDATE regproc.replay_job SET leased_until = now() - interval '1 second'")
          let end = try eager.work(id, on: connection)
          other.withLock { $0 = end }
        }
      }
      #expect(end == .done && other.withLock { $0 } == .done)
      #expect(try await bench.runs() == ten.map { "\($0):1:1" })
    }
  }

  @Test
  func `a cancelled job starts nothing more, and cannot be resumed`() async throws {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(ten)
      let id = try await bench.make(ten)
      let end = try await bench.work(id, worker: "one") { progress, _ in
        guard progress.started == 3 else { return }
        bench.meanwhile { connection in
          let left = try ReplayJob.cancel(id, by: Operator("bert", reason: "wrong ones"), on: connection)
          #expect(left == 7)
        }
      }
      #expect(end == .cancelled)
      #expect(try await bench.runs() == ["1:1:1", "2:1:1", "3:1:1"])
      let job = try await bench.job(id)
      #expect(job.state == "cancelled" && job.counts?.cancelled == 7 && job.counts?.started == 3)
      await #expect(throws: OperationError.self) { try await bench.work(id, worker: "two") }
      #expect(try await bench.refusal { try ReplayJob.cancel(id, by: Operator("bert"), on: $0) } == "ended")
      #expect(try await bench.refusal { try ReplayJob.cancel(99, by: Operator("bert"), on: $0) } == "unknown-job")
      let trail = try await bench.texts("SELECT operation || ' ' || author FROM regproc.operation ORDER BY id")
      #expect(trail == ["replay anna", "replay cancel bert"])
    }
  }

  @Test
  func `those that are refused are listed with their reasons, and stop no other`() async throws {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(["1", "2", "3"])
      try await bench.ended(["4"], at: "b", verdict: "passed", code: "OK", status: "PROCESSED")
      let replays = bench.replays()
      _ = try await bench.pool.with { [anna = bench.anna] in try replays.start("2", from: nil, by: anna, on: $0) }
      let id = try await bench.make(["1", "2", "3", "4", "1"])
      #expect(try await bench.work(id, worker: "one") == .done)
      let refused = try await bench.pool.with { try ReplayJob.refused(id, limit: 50, on: $0) }
      #expect(refused.map(\.rid) == ["2", "4"] && refused.map(\.code) == ["in-flight", "completed"])
      #expect(refused[0].message.contains("it waits for its moment at a"))
      let counts = try await bench.job(id).counts
      #expect(counts?.started == 2 && counts?.refused == 2 && counts?.total == 4)
    }
  }

  @Test
  func `it waits while enough is under way before the stages at which it begins, and goes on when there is room`() async throws {
    try await ReplayBench.run { bench async throws in
      let many = (1...60).map(String.init)
      try await bench.ended(many)
      let id = try await bench.make(many)
      let waited = Mutex(0)
      let end = try await bench.work(id, worker: "one", limits: ReplayLimits(holdAfter: 3, backlog: 20)) { progress, _ in
        guard progress.waitsForBacklog else { return }
        waited.withLock { $0 += 1 }
        bench.meanwhile { connection in
          let open = try connection.execute("SELECT count(*) FROM regproc.hop WHERE state < 2 AND not_before <= now()").only().int(
            0)
          #expect((20...22).contains(open), "\(open)")
          // What waits for a later moment counts for nothing.
          _ = try connection.execute("UPDATE regproc.hop SET not_before = now() + interval '1 hour' WHERE state < 2")
        }
      }
      #expect(end == .done)
      #expect(waited.withLock { $0 } == 2)
    }
  }

  @Test
  func `RIDs are run at the rate that was asked for`() async throws {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(ten)
      let id = try await bench.make(ten, rate: 50)
      let began = monotonicMilliseconds()
      #expect(try await bench.work(id, worker: "one") == .done)
      #expect(monotonicMilliseconds() - began >= 175)
    }
    #expect(ReplayRequest.rate("50/s") == 50 && ReplayRequest.rate("30/m") == 0.5 && ReplayRequest.rate("7") == 7)
    for bad in ["0", "0/s", "-1", "x", "1/d", "nan", "inf", "1/s/s", ""] { #expect(ReplayRequest.rate(bad) == nil, "\(bad)") }
  }

  @Test
  func `what cannot be meant is refused, and nothing is sent`() async throws {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(["1", "2", "3"])
      try await bench.ended(["7"], at: "c", process: "OTHER")
      let (replays, anna) = (bench.replays(), bench.anna)
      @Sendable func failure(_ request: ReplayRequest) async throws -> OperationError? {
        do {
          _ = try await bench.pool.with { connection in try replays.make(request, by: anna, on: connection) }
          return nil
        } catch let refusal as OperationError {
          return refusal
        }
      }
      let file = ReplayRequest.names(file: Array("# theirs\n1\r\n\nno rid\n 2 \n404\n7\n\u{1}\n".utf8))
      #expect(file.map(\.line) == [2, 4, 5, 6, 7, 8] && file[0].text == "1" && file[2].text == "2")

      let junk = try await failure(ReplayRequest(.names(file)))
      #expect(junk?.code == "bad-names" && junk?.message.contains("lines 4, 8: ") == true, "\(junk as Any)")
      let unknown = try await failure(ReplayRequest(.names(file.filter { [2, 5, 6].contains($0.line) })))
      #expect(unknown?.code == "bad-names" && unknown?.message.contains("line 6: known to no") == true, "\(unknown as Any)")
      let foreign = try await failure(ReplayRequest(.names(file.filter { [2, 7].contains($0.line) }), process: "TEST"))
      #expect(
        foreign?.code == "bad-names" && foreign?.message.contains("line 7: of another process") == true, "\(foreign as Any)")
      let stage = try await failure(ReplayRequest(.names(file.filter { [2, 7].contains($0.line) }), from: "b"))
      #expect(stage?.code == "no-such-stage" && stage?.message.contains("OTHER") == true)
      #expect(try await failure(ReplayRequest(.names(Array(file.prefix(1))), from: "entrance"))?.code == "no-such-stage")
      #expect(try await failure(ReplayRequest(.names([])))?.code == "empty-selection")
      var selection = Selection()
      #expect(try await failure(ReplayRequest(.selection(selection)))?.code == "selects-everything")
      selection.status = "REJECTED"
      #expect(try await failure(ReplayRequest(.selection(selection)))?.code == "empty-selection")
      selection.status = "FAILED"
      #expect(try await failure(ReplayRequest(.selection(selection), rate: 0))?.code == "bad-rate")
      #expect(try await bench.texts("SELECT id::text FROM regproc.replay_job").isEmpty)
      #expect(try await bench.texts("SELECT id::text FROM regproc.operation").isEmpty)
      #expect(try await bench.runs().isEmpty)

      // The rest is sent when that is asked for.
      let made = try await bench.pool.with {
        try replays.make(ReplayRequest(.names(file), process: "TEST", skipsBad: true), by: anna, on: $0)
      }
      #expect(made.count == 2 && made.leftOut == 4)
      #expect(made.standing == [Replays.Standing(stage: "a", code: "RPR-1", count: 2)])

      // A dry run tells as much, and makes nothing.
      let (all, wanted) = (selection, try await bench.texts("SELECT id::text FROM regproc.replay_job"))
      let dry = try await bench.pool.with {
        try replays.make(ReplayRequest(.selection(all), limit: 3), by: anna, isDryRun: true, on: $0)
      }
      #expect(dry.id == nil && dry.count == 3)
      #expect(try await bench.texts("SELECT id::text FROM regproc.replay_job") == wanted)
    }
  }

  @Test
  func `a RID whose replays end the same way again and again is held until a person releases it, and counting starts anew`()
    async throws
  {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(["1", "2"])
      let (replays, anna) = (bench.replays(holdAfter: 2), bench.anna)
      @Sendable func replay(_ rid: String = "1", force: Bool = false) async throws -> String? {
        try await bench.refusal { _ = try replays.start(rid, from: nil, by: anna, isForced: force, on: $0) }
      }
      // Another code in between is another story.
      for code in ["RPR-1", "RPR-2", "RPR-2"] {
        #expect(try await replay() == nil, "\(code)")
        #expect(try await replay() == "in-flight")
        try await bench.end("1", code: code)
      }
      #expect(try await replay() == "held")
      #expect(try await replay(force: true) == "held")
      let held = try await bench.pool.with { try Held.list(limit: 50, on: $0) }
      #expect(held.count == 1 && held[0]["name"]?.string == "1" && held[0]["stage"]?.string == "a")
      #expect(held[0]["code"]?.string == "RPR-2" && held[0]["times"]?.int == 2)

      // Of many it is one that is refused.
      let id = try await bench.make(["1", "2"])
      #expect(try await bench.work(id, worker: "one", limits: ReplayLimits(holdAfter: 2)) == .done)
      #expect(try await bench.pool.with { try ReplayJob.refused(id, limit: 9, on: $0) }.map(\.code) == ["held"])

      #expect(try await bench.refusal { _ = try Held.release("1", by: Operator("bert"), on: $0) } == "no-reason")
      _ = try await bench.pool.with { try Held.release("1", by: Operator("bert", reason: "mended"), on: $0) }
      #expect(try await bench.pool.with { try Held.list(limit: 50, on: $0) }.isEmpty)
      await #expect(throws: LifecycleError.self) {
        try await bench.pool.with { _ = try Held.release("1", by: Operator("bert", reason: "again"), on: $0) }
      }
      for _ in 0..<2 {
        #expect(try await replay() == nil)
        try await bench.end("1", code: "RPR-2")
      }
      #expect(try await replay() == "held")
      let never = bench.replays(holdAfter: 0)
      try await bench.end("2")
      for _ in 0..<4 {
        #expect(try await bench.refusal { _ = try never.start("2", from: nil, by: anna, on: $0) } == nil)
        try await bench.end("2")
      }
      let trail = try await bench.pool.with { try AuditTrail.entries(of: "1", on: $0) }
      #expect(trail.map(\.operation) == ["replay", "replay", "replay", "held release", "replay", "replay"])
      #expect(trail[3].author == "bert" && trail[3].reason == "mended")
    }
  }

  @Test
  func `of several operators on one RID at once one starts a run; a registration number leads to the RID of its birth`()
    async throws
  {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(["1"])
      _ = try await bench.pool.with {
        try $0.script(
          """
          INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES
            ('mosip-mediator', 'registration_numbers', '2026B1', 1, '{"txnId": "t1"}'),
            ('mosip-mediator', 'rids', '1', 1, '{"txnId": "t1"}'),
            ('mosip-mediator', 'birth_transactions', 't1', 1, '{"rid": "1", "status": "Uploaded"}');
          """)
      }
      let (replays, anna) = (bench.replays(), bench.anna)
      let answers = try await withThrowingTaskGroup(of: String?.self) { group in
        for name in ["1", "2026B1", "1", "2026B1"] {
          group.addTask { try await bench.refusal { _ = try replays.start(name, from: nil, by: anna, on: $0) } }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count { $0 == nil } == 1 && answers.count { $0 == "in-flight" } == 3, "\(answers)")
      #expect(try await bench.runs() == ["1:1:1"])
      #expect(try await bench.refusal { _ = try replays.start("404", from: nil, by: anna, on: $0) } == "unknown-rid")
    }
  }

  @Test
  func `a job that comes over HTTP is made, worked on by the engine's service and told of; bad bodies make none`() async throws {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(ten)
      let access = bench.access()
      let endpoints = OperationsAPI.endpoints(access)
      @Sendable func ask(_ method: String, _ pattern: String, _ parameters: [String: String] = [:], _ body: JSONValue? = nil)
        async throws -> (Int, JSONValue)
      { try await ReplayBench.ask(endpoints, method, pattern, parameters, body) }
      let replays = "/regproc/v1/replays"
      for (body, code) in [
        (["author": "a"] as JSONValue, "bad-body"), (["author": "a", "rids": ["1"], "dryrun": true], "bad-body"),
        (["author": "a", "rids": ["1"], "dryRun": "true"], "bad-body"), (["author": "a", "rids": ["1"], "rate": 0], "bad-rate"),
        (["author": "a", "selection": [:]], "selects-everything"), (["author": "a", "selection": ["stagge": "a"]], "bad-body"),
        (["author": "a", "selection": ["stage": "aa"]], "bad-stage"), (["rids": ["1"]], "no-author"),
        (["author": "a", "rids": ["404"]], "bad-names"),
      ] {
        let (status, answer) = try await ask("POST", replays, [:], body)
        #expect(status == 400 && answer["error"]?.string == code, "\(answer)")
      }
      let (status, made) = try await ask(
        "POST", replays, [:], ["author": "anna", "reason": "drill", "selection": ["status": "FAILED"], "limit": 9])
      #expect(status == 200 && made["total"]?.int == 9 && made["state"]?.string == "open", "\(made)")
      let id = try #require(made["id"]?.int)

      let service = ReplayService(access, database: bench.database, instance: "one")
      service.start()
      #expect(try await eventually { try await bench.job(id).state == "done" })
      try await bench.threads.run { service.stop() }
      let (_, job) = try await ask("GET", replays + "/{id}", ["id": "\(id)"])
      #expect(job["counts"]?["started"]?.int == 9 && job["refused"]?.array?.isEmpty == true)
      #expect(try await ask("GET", replays).1.array?.count == 1)
      #expect(try await ask("GET", replays + "/{id}", ["id": "99"]).0 == 404)
      #expect(try await ask("POST", replays + "/{id}/cancel", ["id": "\(id)"], ["author": "a"]).0 == 409)
      let one = "/regproc/v1/registrations/{name}/replay"
      #expect(try await ask("POST", one, ["name": "10"], ["author": "a", "dryRun": true]).1["run"]?.int == 2)
      #expect(try await ask("POST", one, ["name": "10"], ["author": "a"]).0 == 200)
      #expect(try await ask("POST", one, ["name": "10"], ["author": "a"]).1["error"]?.string == "in-flight")
      #expect(try await ask("GET", "/regproc/v1/held").1.array?.isEmpty == true)
    }
  }
}

extension ReplayBench {
  /// The lease of whoever died runs out.
  func expire(_ id: Int) async throws {
    _ = try await texts(
      "UPDATE regproc.replay_job SET leased_until = now() - interval '1 second' WHERE id = $1 RETURNING id::text", [.int(id)])
  }
}
