import CForwarder
import Kafka
import EmbeddedPlatform
import Postgres
import Registration
import Routing
import StageKit
import StageRuntime
import System

/// The engine's pass-through against the C forwarder: the same records, batches, transactions, client properties and broker, in turns.
struct EngineBench {
  private struct Round {
    var records: Int
    var seconds: Double
    var cpuSeconds: Double
    var batches: Int
    var rate: Double { Double(records) / seconds }
    var microseconds: Double { cpuSeconds / Double(records) * 1e6 }
  }

  private let broker: String
  private let messages: Int
  private let batch: Int
  private let rounds: Int
  private let lanes: Int
  private let withJournal: Bool
  private let only: String
  private let producer: [String: String]

  init(_ options: Options) throws {
    broker = try options.text("broker")
    messages = try options.number("messages", 100_000)
    batch = try options.number("batch", 1000)
    rounds = try options.number("rounds", 4)
    lanes = try options.number("lanes", 1)
    withJournal = options.has("journal")
    // For a profiler: one side alone.
    // Both sides get it: to see what a property of librdkafka's producer does.
    let property = options.has("producer") ? try options.text("producer").split(separator: "=", maxSplits: 1).map(String.init) : []
    producer = property.count == 2 ? [property[0]: property[1]] : [:]
    only = options.has("only") ? try options.text("only") : "both"
  }

  func run() throws {
    let folder = try Machine.makeFolder()
    defer { Machine.remove(folder) }
    let cluster = PrivateCluster(folder: folder + "/postgres")
    let database = try cluster.start()
    defer { cluster.stop() }
    try Migrator.apply(EngineSchema.migrations + PlatformSchema.migrations, on: try Connection(database))
    let pool = Pool(database, size: 2)
    let platform = try EmbeddedPlatform(
      folder: folder, pool: pool, register: PostgresRegister(pool: pool), clock: SystemClock(),
      idSchema: Array(#"{"type":"object","properties":{"identity":{"type":"object","properties":{}}}}"#.utf8), roles: [:],
      hubURL: "http://127.0.0.1/hub")

    var forwarder: [Round] = []
    var engine: [Round] = []
    for round in 1...rounds {
      // A broker that holds the records of earlier rounds is busy writing them to disk, so each round has a new one.
      let broker = try Broker(broker, producer: producer)
      defer { broker.end() }
      try preload(broker)
      func takeEngine() throws {
        guard only != "forwarder" else { return }
        engine.append(try pass(broker, round, platform.services, pool, withJournal ? database : nil))
      }
      // The second one finds a fuller broker, so they take turns in being it.
      if round % 2 == 0 { try takeEngine() }
      if only != "engine" { forwarder.append(try forward(broker, round)) }
      if round % 2 == 1 { try takeEngine() }
      report(round, forwarder.last, engine.last)
    }
    guard only == "both" else { return }
    let best = engine.map(\.rate).max()! / forwarder.map(\.rate).max()!
    let middle = median(engine.map(\.rate)) / median(forwarder.map(\.rate))
    let cpu = median(forwarder.map(\.microseconds)) / median(engine.map(\.microseconds))
    say(
      """
      engine \(withJournal ? "with" : "without") journal, \(messages) messages, batches of \(batch), \(lanes) lanes, transactional
        forwarder in C  best \(fixed(forwarder.map(\.rate).max()!, 0)) msg/s, median \(fixed(median(forwarder.map(\.rate)), 0))
        engine          best \(fixed(engine.map(\.rate).max()!, 0)) msg/s, median \(fixed(median(engine.map(\.rate)), 0))
        engine/forwarder  best \(fixed(best, 2)), median \(fixed(middle, 2)), per CPU second \(fixed(cpu, 2))
      """)
  }

  private func report(_ round: Int, _ forwarder: Round?, _ engine: Round?) {
    func words(_ name: String, _ round: Round?) -> String {
      guard let round else { return "" }
      return "  \(name) \(fixed(round.rate, 0)) msg/s, \(fixed(round.microseconds, 1)) us CPU, "
        + "\(fixed(Double(round.records) / Double(max(1, round.batches)), 0)) a batch"
    }
    say("round \(round):\(words("forwarder", forwarder))\(words("engine", engine))")
  }

  private static let process = "OPENCRVS_NEW"
  private static let partitions = 6

  /// Messages as the pipeline makes them: about 850 bytes with 13 tags, the composite key, the three headers.
  private func preload(_ broker: Broker) throws {
    try broker.makeTopic("in-bus-in", partitions: Self.partitions)
    let producer = try KafkaProducer(settings: broker.settings)
    let now = Instant.now
    for i in 0..<messages {
      let rid = "10001100010" + i.digits(18)
      let message = try Message(
        process: Self.process, rid: rid, isValid: true, internalError: false, messageBusAddress: "in-bus-in",
        tags: Self.tags, lastHopTimestamp: now, source: "OPENCRVS", iteration: 1, workflowInstanceId: SecureRandom.uuid())
      let hop = SecureRandom.uuid()
      try producer.produce(
        topic: "in-bus-in",
        key: Array(
          RecordKey.composite(rid: rid, busOutTopic: Topic.busOut("in", process: Self.process), address: "in-bus-in").utf8),
        value: message.encoded(),
        headers: [("b3", "0123456789abcdef-0123456789abcdef"), ("RID", rid), ("regproc-hop", hop + ".1.1")].map {
          RecordHeader($0.0, Array($0.1.utf8))
        })
    }
    if let failed = producer.flush(timeoutMilliseconds: 120_000).first { throw failed.error }
  }

  private static let tags = [
    "AGE_GROUP": "INFANT", "GENDER": "FEMALE", "INTRODUCER_AVAILABILITY": "true", "RESIDENCE_STATUS": "FR",
    "META_INFO-OPERATIONS_DATA-supervisorId": "110119", "META_INFO-OPERATIONS_DATA-officerId": "110118",
    "META_INFO-META_DATA-centerId": "10001", "META_INFO-META_DATA-Registration Client Version Number": "1.2.1",
    "META_INFO-CAPTURED_REGISTERED_DEVICES-Face": "--TAG_VALUE_NOT_AVAILABLE--", "EXCEPTION_BIOMETRICS": "",
    "SUPERVISOR_APPROVAL_STATUS": "APPROVED", "ID_OBJECT-residenceStatus": "Foreigner", "PACKET_CREATED_ON": "2024-05-01",
  ]

  private func forward(_ broker: Broker, _ round: Int) throws -> Round {
    try broker.makeTopic("forwarded-bus-in", partitions: Self.partitions)
    let consumer = try broker.settings.properties(ofConsumer: "forwarder")
    let producer = try broker.settings.properties(ofProducer: "forwarder")
    var result = forwarder_result()
    var reason = [CChar](repeating: 0, count: 512)
    let status = Self.withTexts(consumer) { consumer in
      Self.withTexts(producer) { producer in
        "in-bus-in".withCString { from in
          "forwarded-bus-in".withCString { to in
            var plan = forwarder_plan(
              consumer_properties: consumer, producer_properties: producer, from: from, to: to, batch: Int32(batch),
              records: messages)
            return forwarder_run(&plan, &result, &reason, UInt(reason.count))
          }
        }
      }
    }
    guard status == 0 else {
      throw BenchError(
        "the forwarder failed: " + String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    return Round(
      records: result.records, seconds: result.seconds, cpuSeconds: result.cpu_seconds, batches: result.batches)
  }

  private static func withTexts<R>(
    _ pairs: [(name: String, value: String)], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> R
  ) -> R {
    let texts = pairs.flatMap { [$0.name, $0.value] }.map { Array($0.utf8CString) }
    var all: [CChar] = []
    var starts: [Int] = []
    for text in texts {
      starts.append(all.count)
      all += text
    }
    return all.withUnsafeBufferPointer { bytes in
      (starts.map { Optional(bytes.baseAddress! + $0) } + [nil]).withUnsafeBufferPointer { body($0.baseAddress!) }
    }
  }

  private func pass(
    _ broker: Broker, _ round: Int, _ services: Services, _ pool: Pool, _ database: PostgresSettings?
  ) throws -> Round {
    try broker.makeTopic("passed-bus-in", partitions: Self.partitions)
    let stage = StageDefinition(name: "pass", topicPrefix: "in", group: "engine", parallelism: lanes, batch: batch)
    let next = StageDefinition(name: "next", plugin: "pass", topicPrefix: "passed")
    let text = """
      version: 1
      flows:
        \(Self.process):
          source: OPENCRVS
          on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
          route:
            - pass
            - next: { passed: complete-as-processed }

      """
    let file = RouteFile.read(Array(text.utf8), name: "bench.yaml", stages: StageDirectory([stage, next]))
    guard let routes = file.file else { throw BenchError("\(file.problems)") }
    if let database { _ = try Connection(database).execute("TRUNCATE regproc.hop") }
    let worker = try LoneWorker(
      stage, plugin: Pass.self, services: services, pool: pool, routes: routes, directory: [stage, next],
      kafka: broker.settings, isTransactional: true, database: database)
    worker.start()
    defer { worker.stop() }
    var waited = Machine.wall
    while worker.batches == 0 {
      guard Machine.wall - waited < 60 else { throw BenchError("the engine takes no message") }
      Machine.sleep(milliseconds: 1)
    }
    // Counted from the end of the first batch, as the forwarder does.
    let first = worker.passed
    let began = Machine.wall
    let cpuBegan = Machine.cpu
    var last = first
    while last < messages {
      Machine.sleep(milliseconds: 1)
      let passed = worker.passed
      if passed != last { waited = Machine.wall }
      last = passed
      guard Machine.wall - waited < 60 else { throw BenchError("the engine stands still after \(last) messages") }
    }
    return Round(
      records: last - first, seconds: Machine.wall - began, cpuSeconds: Machine.cpu - cpuBegan, batches: worker.batches - 1)
  }
}

/// A stage that passes everything on.
private struct Pass: StagePlugin {
  static let spec = PluginSpec(name: "pass", summary: "Passes every message on.")

  init(settings: StageSettings) throws {}

  func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    .passed("RPR-PASS-SUCCESS-001", "passed")
  }
}
