import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

/// What a plugin does with a record is the test's.
private struct Receiver: StagePlugin {
  static let spec = PluginSpec(name: "receiver", summary: "receives as the test says", topics: ["events"])
  let take: @Sendable (TopicRecord) async throws -> Void

  init(_ take: @escaping @Sendable (TopicRecord) async throws -> Void) { self.take = take }
  init(settings: StageSettings) throws { take = { _ in } }
  func receive(_ record: TopicRecord, _ context: StageContext) async throws { try await take(record) }
}

@Suite(.serialized, .timeLimit(.minutes(30))) struct TopicWorkerTests {
  /// A worker over the topic `events`, and an outbox whose rows are on it under their ids.
  private func withWorker(
    _ bench: Bench, tries: Int = 3, take: @escaping @Sendable (TopicRecord) async throws -> Void,
    _ body: (TopicWorker) async throws -> Void
  ) async throws {
    let file = StageDefinition(name: "a", plugin: "receiver", tries: tries, backoff: Backoff(first: 0, longest: 0))
    let context = StageContext(
      stage: "a", services: bench.platform.services, store: PostgresStageStore(stage: "a", pool: bench.pool, wake: bench.wake),
      pipeline: bench.pipeline)
    let settings = try StageSettings(stage: "a", declared: [], given: [:])
    let broker = bench.broker
    let worker = TopicWorker(
      unit: RunningStage(file: file, plugin: Receiver(take), context: context, settings: settings), pool: bench.pool,
      forgetful: bench.pool, openBus: { broker.bus("events", $0) })
    worker.start()
    let threads = BlockingPool(name: "join", threads: 1)
    func end() async throws {
      worker.stop()
      try await threads.run { worker.join() }
      threads.close()
    }
    do {
      try await body(worker)
    } catch {
      try await end()
      throw error
    }
    try await end()
  }

  private func put(_ bench: Bench, _ texts: String...) async throws {
    for text in texts {
      let id = SecureRandom.uuid()
      try await bench.run(
        "INSERT INTO regproc.outbox (id, topic, record_key, value, sent_at) VALUES ($1::uuid, 'events', $2, $3, now())",
        [.text(id), .text(text), .bytes(Array(text.utf8))])
      bench.broker.put(
        "events", [FakeBroker.Record(value: Array(text.utf8), hop: nil, key: Array(text.utf8), header: Array(id.utf8))])
    }
  }

  private func outbox(_ bench: Bench) async throws -> Int? { try await bench.number("SELECT count(*) FROM regproc.outbox") }

  @Test func `a record is taken in its order and leaves the outbox and only then its offset moves`() async throws {
    try await Bench.run(transactional: false) { bench async throws in
      let calls = Calls()
      bench.broker.plan(.send, .fail(.retriable))
      try await put(bench, "1", "2", "3")
      try await withWorker(bench) { record in
        calls.note("\(record.topic) \(record.key) \(String(decoding: record.value, as: UTF8.self))")
      } _: { _ async throws in
        #expect(try await eventually { bench.broker.isDone("events") })
        #expect(try await outbox(bench) == 0)
      }
      // The offsets could not be moved the first time, so all came once more: a plugin's own keys make that once.
      #expect(calls.list == ["events 1 1", "events 2 2", "events 3 3", "events 1 1", "events 2 2", "events 3 3"])
    }
  }

  @Test func `a record that is not taken is given again and holds the others back until it is`() async throws {
    try await Bench.run(transactional: false) { bench async throws in
      let calls = Calls()
      try await put(bench, "1", "2")
      try await withWorker(bench, tries: 5) { record in
        calls.note(record.key)
        if record.key == "1", calls.list.count < 4 { throw ServiceError(.unavailable, service: "s", code: "DOWN", "down") }
      } _: { _ async throws in
        #expect(try await eventually { bench.broker.isDone("events") })
      }
      #expect(calls.list == ["1", "1", "1", "1", "2"])
      #expect(try await bench.number("SELECT count(*) FROM regproc.dead_letter") == 0)
    }
  }

  @Test func `a record that is never taken is a dead letter with its bytes and the others go on`() async throws {
    try await Bench.run(transactional: false) { bench async throws in
      let calls = Calls()
      try await put(bench, "1", "2", "3")
      try await withWorker(bench, tries: 2) { record in
        calls.note(record.key)
        if record.key == "1" { throw ServiceError(.unavailable, service: "s", code: "DOWN", "down") }
        // A failure for good is not tried again.
        if record.key == "2" { throw WorkFailure(code: "NO", "never") }
      } _: { _ async throws in
        #expect(try await eventually { bench.broker.isDone("events") })
      }
      #expect(calls.list == ["1", "1", "2", "3"])
      #expect(
        try await bench.text(
          """
          SELECT string_agg(code || ' ' || topic || ' ' || record_offset || ' ' || convert_from(value, 'UTF8'), ',' ORDER BY id)
          FROM regproc.dead_letter
          """)
          == "RPR-TOP-001 events 0 1,RPR-TOP-001 events 1 2")
      #expect(try await outbox(bench) == 0)
    }
  }

  @Test func `a stop in the middle of trying leaves the record to the next worker`() async throws {
    try await Bench.run(transactional: false) { bench async throws in
      try await put(bench, "1")
      let calls = Calls()
      try await withWorker(bench, tries: 1_000_000) { record in
        calls.note("first")
        throw ServiceError(.unavailable, service: "s", code: "DOWN", "down")
      } _: { _ async throws in
        #expect(try await eventually { calls.list.count > 1 })
      }
      #expect(!bench.broker.isDone("events"))
      #expect(try await outbox(bench) == 1)
      try await withWorker(bench) { record in
        calls.note("second")
      } _: { _ async throws in
        #expect(try await eventually { bench.broker.isDone("events") })
      }
      #expect(calls.count("second") == 1)
      #expect(try await outbox(bench) == 0)
    }
  }
}
