import TestSupport
import Glibc
import JSON
import Kafka
import Postgres
import Synchronization
import System
import Testing

/// A pipeline of which MOSIP's Java runs the first and the last stage: one stage of ours and the bridge as processes of their own, on a broker
/// with transactions and one Postgres. The Java stages are played by the test, which speaks as they do
/// (docs/upstream/bus-and-routes.md#1-the-message, 3 and 4).
final class MixedPipeline: Sendable {
  static let routes = """
    version: 1
    on: { failed: [complete-as-failed, anonymous-profile], error: complete-as-failed, retry: mark-as-reprocess }
    flows:
      NEW:
        route:
          - packet-receiver: { runs: elsewhere }
          - securezone-notification
          - cmd-validator: { runs: elsewhere, passed: complete-as-processed }

    """

  private static let javaTopics = [
    "packet-receiver-new-bus-out", "c-m-d-validator-bus-in", "c-m-d-validator-new-bus-out", "workflow-internal-action",
  ]

  let database: PostgresSettings
  let kafka: KafkaSettings
  let routesFile: String
  let folder: TemporaryFolder
  private let broker: TransactionalBroker
  private let cluster: PrivateCluster
  private let environment: [String: String]
  private let programs = Mutex<[String: Program]>([:])
  let blocking = BlockingPool(name: "mixed", threads: 2)

  init() async throws {
    let broker = try await TransactionalBroker()
    let folder = try TemporaryFolder()
    let cluster = PrivateCluster(folder: folder.path + "/postgres")
    (self.broker, self.folder, self.cluster) = (broker, folder, cluster)
    database = try await blocking.run { try cluster.start() }
    kafka = KafkaSettings(bootstrapServers: broker.address, logsWarnings: false)
    routesFile = try folder.write(Self.routes, to: "routes.yaml")
    // What the Java stages have; the broker may be one that makes no topic by itself.
    let kafka = kafka
    _ = try await blocking.run {
      try KafkaAdmin(settings: kafka).createTopics(Self.javaTopics.map { KafkaAdmin.NewTopic($0, partitions: 4) })
    }
    environment = [
      "REGPROC_KAFKA_BOOTSTRAP_SERVERS": broker.address,
      "REGPROC_DATABASE": "host=\(database.host) user=postgres dbname=postgres", "REGPROC_ROUTES": routesFile,
      "REGPROC_DATA": folder.path + "/data",
    ]
  }

  struct NotReady: Error { var errors: String }

  /// Starts the bridge or the stage of ours and waits until it takes messages. Its instance name is the same at every start.
  func start(_ name: String, instance: String = "one", settings: [String: String] = [:]) async throws {
    let program = try await Program(
      ["run", name, "--port", "\(freePort())", "--instance", instance], environment: environment.merging(settings) { $1 })
    programs.withLock { $0[name + instance] = program }
    guard try await eventually({ program.errors.contains("takes messages") || !program.isRunning }), program.isRunning else {
      throw NotReady(errors: "\(name): \(program.errors.suffix(4000))")
    }
  }

  /// Asks it to end, and waits; how it ended.
  func terminate(_ name: String, instance: String = "one") async throws -> Program.Ended? {
    guard let program = programs.withLock({ $0.removeValue(forKey: name + instance) }) else { return nil }
    program.signal(SIGTERM)
    return try await program.ended()
  }

  func kill(_ name: String, instance: String = "one") async throws {
    try await programs.withLock { $0.removeValue(forKey: name + instance) }?.killed()
  }

  /// Waits until a process said something.
  func heard(_ words: String, from name: String) async throws -> Bool {
    try await eventually { programs.withLock { $0[name + "one"]?.errors.contains(words) } ?? false }
  }

  /// Puts a route file in force, and waits until all processes go by it.
  func edit(_ routes: String) async throws {
    _ = try folder.write(routes, to: "routes.yaml.new")
    #expect(rename(folder.path + "/routes.yaml.new", routesFile) == 0)
    #expect(try await eventually { try await command("routes", "status").code == 0 })
  }

  /// What the processes complain about.
  var troubles: String {
    programs.withLock { $0 }.flatMap { name, program in
      program.errors.split(separator: "\n").filter { $0.contains("\"warning\"") || $0.contains("\"error\"") }.suffix(5)
        .map { "\(name): \($0)" }
    }.joined(separator: "\n")
  }

  /// A command of the program with the same settings.
  func command(_ words: String...) async throws -> Program.Ended { try await Program.run(words, environment: environment) }

  func stop() async throws {
    try await broker.end(programs.withLock { Array($0.values) })
    let cluster = cluster
    try await blocking.run { cluster.stop() }
    blocking.close()
    try await broker.stop()
  }

  func sql<T: Sendable>(_ body: @escaping @Sendable (Connection) throws -> T) async throws -> T {
    let database = database
    return try await blocking.run {
      let connection = try Connection(database)
      defer { connection.close() }
      return try body(connection)
    }
  }

  /// The rows that a packet receiver makes.
  func register(_ rids: [String]) async throws {
    try await sql { connection in
      for table in [
        "registration_list (workflow_instance_id, reg_id, process, packet_id, client_status_code, ref_id",
        "registration (workflow_instance_id, reg_id, process, status_code, status_comment, is_active",
      ] {
        let values = table.contains("is_active") ? "'PROCESSING', '', true" : "r, 'APPROVED', ''"
        _ = try connection.execute(
          """
          INSERT INTO regprc.\(table), lang_code, cr_by, cr_dtimes)
          SELECT 'w-' || r, r, 'NEW', \(values), 'eng', 'test', now() FROM unnest($1::text[]) AS r
          """, [.textArray(rids)])
      }
    }
  }
}

/// A stage that MOSIP's Java runs, as others see it on the bus.
struct JavaPeer: Sendable {
  /// What its topics begin with.
  let prefix: String
  let kafka: KafkaSettings
  var process = "NEW"

  var busIn: String { prefix + "-bus-in" }
  var busOut: String { "\(prefix)-\(process.lowercased())-bus-out" }
  static let b3 = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1"

  /// What `consumeAndSend` keys its output with.
  func key(_ rid: String) -> String { "\(rid)_\(busOut)_\(busIn)" }

  func body(_ rid: String, valid: Bool = true, error: Bool = false) -> String {
    #"{"reg_type":"\#(process)","rid":"\#(rid)","isValid":\#(valid),"internalError":\#(error),"#
      + #""messageBusAddress":{"address":"\#(busIn)"},"retryCount":null,"tags":{},"lastHopTimestamp":"\#(Instant.now.iso)","#
      + #""source":null,"iteration":1,"workflowInstanceId":"w-\#(rid)"}"#
  }

  /// Produces as Vert.x does: string key and value, headers `b3` and `RID`, no transaction.
  func send(_ rids: [String], to topic: String? = nil, valid: Bool = true, error: Bool = false) throws {
    let producer = try KafkaProducer(settings: kafka)
    for rid in rids {
      try producer.produce(
        topic: topic ?? busOut, key: Array(key(rid).utf8), value: Array(body(rid, valid: valid, error: error).utf8),
        headers: [RecordHeader("b3", Array(Self.b3.utf8)), RecordHeader("RID", Array(key(rid).utf8))])
    }
    if let failed = producer.flush().first { throw failed.error }
  }
}

/// A record as a consumer of Java's reads it.
struct JavaRecord: Sendable {
  var key: String
  var value: [UInt8]
  var headers: [String: String]
  /// Its body's fields.
  var json: JSONValue { (try? JSONValue.parse(value)) ?? .null }
  var rid: String { json["rid"]?.string ?? "" }

  /// Everything committed on a topic from its beginning.
  static func all(_ topic: String, _ kafka: KafkaSettings) throws -> [JavaRecord] {
    guard try KafkaAdmin(settings: kafka).listTopics()[topic] != nil else { return [] }
    var settings = kafka
    settings.consumerProperties["enable.partition.eof"] = "true"
    let consumer = try KafkaConsumer(
      settings: settings, group: "reader-\(Encoding.hex(SecureRandom.bytes(6)))", topics: [topic], assignment: .all)
    defer { try? consumer.close() }
    var left = Set(consumer.assignedPartitions)
    var out: [JavaRecord] = []
    let end = monotonicMilliseconds() + 60_000
    while !left.isEmpty, monotonicMilliseconds() < end {
      let result = try consumer.poll(max: 1000, timeoutMilliseconds: 200)
      for record in result.records {
        let headers = record.headers.map { ($0.name, String(decoding: $0.value ?? [], as: UTF8.self)) }
        out.append(
          JavaRecord(
            key: String(decoding: record.keyBytes ?? [], as: UTF8.self), value: record.valueBytes ?? [],
            headers: Dictionary(headers) { _, last in last }))
      }
      for case .reachedEnd(let place) in result.events { left.remove(place.partition) }
    }
    #expect(left.isEmpty, "the ends of \(left)")
    return out
  }
}

extension MixedPipeline {
  /// Everything committed on a topic, once it holds so many records.
  func records(_ topic: String, _ count: Int) async throws -> [JavaRecord] {
    let kafka = kafka
    var all: [JavaRecord] = []
    let came = try await eventually {
      all = try await blocking.run { try JavaRecord.all(topic, kafka) }
      return all.count >= count
    }
    #expect(came, "\(all.count) of \(count) on \(topic): \(troubles)")
    return all
  }

  func send(_ peer: JavaPeer, _ rids: [String], to topic: String? = nil, valid: Bool = true) async throws {
    try await blocking.run { try peer.send(rids, to: topic, valid: valid) }
  }
}
