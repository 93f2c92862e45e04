import HTTP
import JSON
import OperationsAPI
import Postgres
import Registration
import Synchronization
import System
import TestSupport
import Testing

@testable import Operations
@testable import StageRuntime

/// Jobs that read the topics, with topics that say and last what the test wants.
@Suite("Jobs that read the topics", .timeLimit(.minutes(30)))
struct LogJobTests {
  private typealias Search = @Sendable (_ watch: LogTopics.Watch) throws -> LogRecord?
  private typealias Rebuild = @Sendable (_ watch: LogTopics.Watch) throws -> JournalRebuild.Summary?

  private static func record(_ rid: String) throws -> LogRecord {
    let message = try Message(
      process: "TEST", rid: rid, isValid: true, internalError: false, lastHopTimestamp: .now, iteration: 1,
      workflowInstanceId: "w-" + rid)
    return LogRecord(
      stage: "a", isAnswer: false, topic: "a-bus-in", partition: 0, offset: 7, at: .now, key: rid, hop: nil, message: message,
      value: message.encoded(), process: "TEST")
  }

  private static func topics(
    _ newest: @escaping Search = { _ in try record("9") },
    rebuild: @escaping Rebuild = { _ in
      Issue.record("no rebuild was asked for")
      return nil
    }
  ) -> LogTopics {
    LogTopics(newest: { _, _, watch in try newest(watch) }, rebuild: { _, watch, _ in try rebuild(watch) })
  }

  private static func progress(_ records: Int) -> LogScan.Progress {
    var progress = LogScan.Progress()
    (progress.records, progress.done, progress.total) = (records, 1, 4)
    return progress
  }

  private func make(
    _ bench: ReplayBench, _ kind: LogJob.Kind = .replay(rid: "9", isForced: false), isDryRun: Bool = false
  ) async throws -> Int {
    let (replays, anna) = (bench.replays(), bench.anna)
    return try await bench.pool.with { try replays.make(kind, since: .now, by: anna, isDryRun: isDryRun, on: $0).id }
  }

  private static func runner(
    _ bench: ReplayBench, _ topics: LogTopics, worker: String, keepsEvery: Int = 0,
    isStopping: @escaping @Sendable () -> Bool = { false }
  ) -> LogJobRunner {
    LogJobRunner(
      bench.replays(), topics: topics, database: bench.database, worker: worker, keepsEvery: keepsEvery, isStopping: isStopping)
  }

  private func work(
    _ bench: ReplayBench, _ id: Int, _ topics: LogTopics, worker: String = "one", keepsEvery: Int = 0,
    isStopping: @escaping @Sendable () -> Bool = { false }
  ) async throws -> JobEnd {
    try await bench.threads.run {
      let connection = try Connection(bench.database)
      defer { connection.close() }
      return try Self.runner(bench, topics, worker: worker, keepsEvery: keepsEvery, isStopping: isStopping)
        .work(id, on: connection)
    }
  }

  private func job(_ bench: ReplayBench, _ id: Int) async throws -> LogJob {
    try await bench.pool.with { try LogJob.read(id, on: $0) }
  }

  private func waiting(_ bench: ReplayBench) async throws -> [Int] {
    try await bench.pool.with { try LogJob.waiting(limit: 9, on: $0) }
  }

  private static let expire = "UPDATE regproc.log_job SET leased_until = now() - interval '1 second' RETURNING id::text"

  @Test
  func `one that is killed between the start of the run and its mark has started nothing, and the next worker starts it once`()
    async throws
  {
    try await ReplayBench.run { bench async throws in
      let id = try await make(bench)
      _ = try await bench.pool.with {
        try $0.script(
          """
          CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.state = 'done' THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10); END IF; RETURN NEW; END $$;
          CREATE TRIGGER die BEFORE UPDATE ON regproc.log_job FOR EACH ROW EXECUTE FUNCTION die();
          """)
      }
      await #expect(throws: PostgresError.self) { try await work(bench, id, Self.topics()) }
      #expect(try await bench.runs().isEmpty)
      // Nobody takes it while the dead one's lease holds.
      #expect(try await waiting(bench).isEmpty)
      await #expect(throws: OperationError.self) { try await work(bench, id, Self.topics(), worker: "two") }
      _ = try await bench.pool.with { try $0.script("DROP TRIGGER die ON regproc.log_job") }
      _ = try await bench.texts(Self.expire)
      #expect(try await waiting(bench) == [id])
      #expect(try await work(bench, id, Self.topics(), worker: "three") == .done)
      #expect(try await bench.runs() == ["9:1:1"])
      let job = try await job(bench, id)
      #expect(job.state == "done" && job.worker == nil && job.result?["topic"] == "a-bus-in", "\(job.json)")
      // To work on it once more does nothing.
      await #expect(throws: OperationError.self) { try await work(bench, id, Self.topics(), worker: "four") }
      #expect(try await bench.runs() == ["9:1:1"])
      let trail = try await bench.pool.with { try AuditTrail.entries(of: "9", on: $0) }
      #expect(trail.map(\.operation) == ["log-jobs replay", "replay --from-log"])
      #expect(trail.allSatisfy { $0.details?["job"]?.int == id && $0.author == "anna" })
    }
  }

  @Test
  func `of two workers at once one works; one that was thought dead starts nothing`() async throws {
    try await ReplayBench.run { bench async throws in
      let id = try await make(bench)
      let other = Mutex<JobEnd?>(nil)
      let slow = Self.topics { _ in
        bench.meanwhile { connection in
          let eager = Self.runner(bench, Self.topics(), worker: "eager")
          do {
            _ = try eager.work(id, on: connection)
            Issue.record("two hold one lease")
          } catch let refusal as OperationError { #expect(refusal.code == "busy") }
          _ = try connection.execute(Self.expire)
          let end = try eager.work(id, on: connection)
          other.withLock { $0 = end }
        }
        return try Self.record("9")
      }
      #expect(try await work(bench, id, slow, worker: "slow", keepsEvery: 3_600_000) == .done)
      #expect(other.withLock { $0 } == .done)
      #expect(try await bench.runs() == ["9:1:1"])
    }
  }

  @Test
  func `the lease is renewed while topics are read, and the row tells how far it is`() async throws {
    try await ReplayBench.run { bench async throws in
      let id = try await make(bench)
      let topics = Self.topics { watch in
        bench.meanwhile { connection in
          _ = try connection.execute(Self.expire)
          watch.tell(Self.progress(5))
          let job = try LogJob.read(id, on: connection)
          #expect(job.worker == "one" && job.progress == ["records": 5, "percent": 25, "registrations": 0], "\(job.json)")
        }
        #expect(!watch.isStopping())
        return try Self.record("9")
      }
      #expect(try await work(bench, id, topics) == .done)
    }
  }

  @Test
  func `a job that is cancelled ends at the next word of its reading, and starts nothing`() async throws {
    try await ReplayBench.run { bench async throws in
      let bert = Operator("bert", reason: "wrong one")
      // The first hears of it while it reads, the second when it is about to start the run.
      for hears in [true, false] {
        let id = try await make(bench)
        let topics = Self.topics { watch in
          bench.meanwhile { try LogJob.cancel(id, by: bert, on: $0) }
          guard hears else { return try Self.record("9") }
          watch.tell(Self.progress(5))
          #expect(watch.isStopping())
          throw LogScan.Failure(description: "interrupted")
        }
        #expect(try await work(bench, id, topics) == .cancelled, "\(hears)")
        let job = try await job(bench, id)
        #expect(job.state == "cancelled" && job.endedBy == "bert" && job.worker == nil)
        #expect(try await bench.refusal { try LogJob.cancel(id, by: bert, on: $0) } == "ended")
      }
      #expect(try await bench.runs().isEmpty)
      #expect(try await bench.refusal { try LogJob.cancel(99, by: bert, on: $0) } == "unknown-job")
      let trail = try await bench.texts("SELECT operation || ' ' || author FROM regproc.operation ORDER BY id")
      #expect(trail == ["log-jobs replay anna", "log-jobs cancel bert", "log-jobs replay anna", "log-jobs cancel bert"])
    }
  }

  @Test
  func `a rebuild goes on after a stop, waits for another one's, and says why it failed`() async throws {
    try await ReplayBench.run { bench async throws in
      let id = try await make(bench, .rebuild)
      let interrupted = Self.topics { _ in
        nil
      } rebuild: { watch in
        #expect(watch.isStopping())
        throw LogScan.Failure(description: "interrupted")
      }
      #expect(try await work(bench, id, interrupted, isStopping: { true }) == .stopped)
      #expect(try await waiting(bench) == [id], "nobody waits for its lease")
      // Somebody else rebuilds: it is not taken up again at once.
      #expect(try await work(bench, id, Self.topics(rebuild: { _ in nil })) == .stopped)
      #expect(try await waiting(bench).isEmpty)
      #expect(try await job(bench, id).state == "open")
      _ = try await bench.texts(Self.expire)
      let whole = Self.topics(rebuild: { watch in
        watch.tell(Self.progress(8))
        watch.tellWritten(3)
        var summary = JournalRebuild.Summary()
        summary.registrations = 3
        return summary
      })
      #expect(try await work(bench, id, whole) == .done)
      let done = try await job(bench, id)
      #expect(
        done.result?["registrations"] == 3 && done.progress == ["records": 8, "percent": 25, "registrations": 3], "\(done.json)")

      let dry = try await make(bench, .rebuild, isDryRun: true)
      #expect(try await work(bench, dry, whole) == .done)
      let bad = try await make(bench, .rebuild)
      let silent = Self.topics(rebuild: { _ in throw LogScan.Failure(description: "the broker does not answer") })
      #expect(try await work(bench, bad, silent) == .failed)
      let failed = try await job(bench, bad)
      #expect(failed.state == "failed" && failed.code == "topics" && failed.message == "the broker does not answer")
      #expect(failed.endedAt != nil && failed.worker == nil)
      let unfound = try await make(bench)
      #expect(try await work(bench, unfound, Self.topics { _ in nil }) == .failed)
      #expect(try await job(bench, unfound).code == "not-on-topics")
      let trail = try await bench.texts("SELECT operation FROM regproc.operation WHERE subject IS NULL ORDER BY id")
      #expect(trail == ["log-jobs rebuild", "journal rebuild", "log-jobs rebuild", "log-jobs rebuild"])
    }
  }

  @Test
  func `over HTTP jobs are made, worked on by the engine's service and told of; what the commands refuse makes none`() async throws
  {
    try await ReplayBench.run { bench async throws in
      try await bench.ended(["1", "2"])
      _ = try await bench.pool.with {
        try $0.script("INSERT INTO regproc.held (rid, stage, code, times, author) VALUES ('2', 'a', 'RPR-1', 3, 'anna')")
      }
      let access = bench.access()
      let endpoints = OperationsAPI.endpoints(access, withoutTopics: nil)
      @Sendable func ask(_ method: String, _ pattern: String, _ parameters: [String: String] = [:], _ body: JSONValue? = nil)
        async throws -> (Int, JSONValue)
      { try await ReplayBench.ask(endpoints, method, "/regproc/v1/" + pattern, parameters, body) }
      let (one, all) = ("registrations/{name}/replay-from-log", "journal/rebuild")
      for (path, name, body, status, code) in [
        (one, "9x", ["author": "a"] as JSONValue, 400, "bad-rid"), (one, "9", [:], 400, "no-author"),
        (one, "9", ["author": "a", "since": "yesterday"], 400, "bad-since"),
        (one, "9", ["author": "a", "from": "a"], 400, "bad-body"),
        (one, "9", ["author": "a", "dryRun": "true"], 400, "bad-body"), (one, "1", ["author": "a"], 409, "known"),
        (one, "2", ["author": "a", "force": true], 409, "held"), (all, "", ["author": "a", "since": "0h"], 400, "bad-since"),
        (all, "", ["author": "a", "force": true], 400, "bad-body"),
      ] {
        let answer = try await ask("POST", path, ["name": name], body)
        #expect(answer.0 == status && answer.1["error"]?.string == code, "\(answer)")
      }
      let broker = try await ReplayBench.ask(OperationsAPI.endpoints(access), "POST", "/regproc/v1/" + all, [:], ["author": "a"])
      #expect(broker.0 == 409 && broker.1["error"] == "no-kafka", "\(broker)")
      #expect(try await bench.texts("SELECT id::text FROM regproc.log_job").isEmpty)

      let (status, made) = try await ask("POST", one, ["name": "9"], ["author": "anna", "reason": "a drill", "since": "2h"])
      #expect(status == 200 && made["state"] == "open" && made["rid"] == "9" && made["kind"] == "replay", "\(made)")
      let rebuild = try await ask("POST", all, [:], ["author": "anna", "dryRun": true]).1
      #expect(rebuild["kind"] == "rebuild" && rebuild["dryRun"] == true, "\(rebuild)")
      let other = try await ask("POST", one, ["name": "1"], ["author": "anna", "force": true]).1
      let cancelled = try await ask("POST", "log-jobs/{id}/cancel", ["id": "\(other["id"]?.int ?? 0)"], ["author": "bert"]).1
      #expect(cancelled["state"] == "cancelled" && cancelled["endedBy"] == "bert", "\(cancelled)")

      let topics = Self.topics(rebuild: { _ in JournalRebuild.Summary() })
      let service = ReplayService(access, database: bench.database, instance: "one", topics: topics)
      service.start()
      let open = "SELECT id::text FROM regproc.log_job WHERE state = 'open'"
      #expect(try await eventually { try await bench.texts(open).isEmpty })
      try await bench.threads.run { service.stop() }
      let job = try await ask("GET", "log-jobs/{id}", ["id": "\(made["id"]?.int ?? 0)"]).1
      #expect(job["state"] == "done" && job["result"]?["rid"] == "9", "\(job)")
      #expect(try await ask("GET", "log-jobs").1.array?.map { $0["state"] } == ["cancelled", "done", "done"])
      #expect(try await ask("GET", "log-jobs/{id}", ["id": "99"]).0 == 404)
      #expect(try await ask("GET", "log-jobs/{id}", ["id": "x"]).0 == 400)
      #expect(try await bench.runs() == ["9:1:1"])
    }
  }
}
