import Glibc
import HTTP
import JSON
import Kafka
import Postgres
import Routing
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import StageRuntime

@Suite(.serialized, .timeLimit(.minutes(30))) struct EngineTests {
  /// An engine with stages a, b and c on a broker with nothing on it, over the bench's database.
  private func withEngine(
    _ bench: Bench, routes: RouteFile? = nil, broker: PipelineBroker? = nil, plugin: any StagePlugin.Type = TestStage.self,
    scanner: (any VirusScanner)? = nil, dataFolder: String? = nil,
    _ body: (Engine, _ admin: String) async throws -> Void
  ) async throws {
    var broker = broker
    if broker == nil { broker = try await bench.pipelineBroker() }
    let bus = try #require(broker)
    var settings = EngineSettings(
      kafka: bus.settings, database: bench.database, instance: "engine", isTransactional: bus.isOutside,
      isAloneOnTheBus: !bus.isOutside,
      partitions: 2, reconcileAfter: 3600, connections: 3)
    settings.http = ServerSettings(host: "127.0.0.1", port: 0)
    settings.admin = ServerSettings(host: "127.0.0.1", port: 0)
    settings.dataFolder = dataFolder
    var services = bench.platform.services
    if let scanner { services.virusScanner = scanner }
    let engine = try Engine(
      settings,
      run: ["a", "b", "c"].compactMap { name in
        var file = bench.files[name]
        file?.plugin = plugin.spec.name
        return file
      },
      directory: Array(bench.files.values),
      catalogue: [plugin], routes: try routes ?? Bench.routes(Bench.route), services: services,
      pool: bench.pool,
      makeTopics: bus.makeTopics)
    _ = try await engine.start()
    do {
      #expect(try await eventually { engine.isReady })
      try await body(engine, try #require(engine.adminURL))
    } catch {
      await engine.stop()
      throw error
    }
    await engine.stop()
  }

  private func get(_ url: String) async throws -> (status: Int, text: String) {
    let response = try await Client().send(ClientRequest(url: url))
    return (response.status, String(decoding: response.body, as: UTF8.self))
  }

  private func json(_ url: String) async throws -> JSONValue {
    try JSONValue.parse(Array(try await get(url).text.utf8))
  }

  /// What is answered to a request of these bytes, on a connection that the server closes.
  private func raw(_ request: String, at url: String) throws -> String {
    let port = try #require(url.split(separator: ":").last.flatMap { UInt16($0) })
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    address.sin_port = in_port_t(port).bigEndian
    let isConnected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
    try #require(isConnected && send(descriptor, request, request.utf8.count, 0) == request.utf8.count)
    var (answer, buffer): ([UInt8], [UInt8]) = ([], Array(repeating: 0, count: 4096))
    while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 { answer += buffer[..<count] }
    return String(decoding: answer, as: UTF8.self)
  }

  /// Enters a RID by the routes in force and waits until it has ended; the stages it passed.
  private func way(_ bench: Bench, _ engine: Engine, _ rid: String) async throws -> [String] {
    bench.table.replace(engine.routes)
    try await bench.enter(rid)
    #expect(try await eventually { try await bench.status(rid) == "PROCESSED" })
    return try await bench.journey(rid)?.hops.map(\.stage) ?? []
  }

  private static let throughC = """
    version: 1
    flows:
      TEST:
        on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
        route:
          - entrance
          - a
          - c
          - b: { passed: complete-as-processed }
    """

  @Test func `a paused stage is told of and stands without alarm until it is let go`() async throws {
    try await Bench.run { bench async throws in
      try await bench.run("INSERT INTO regproc.pause (what, author, reason) VALUES ('b', 'anna', 'a move')")
      try await withEngine(bench) { engine, url async throws in
        bench.table.replace(engine.routes)
        try await bench.enter("1")
        func atB() async throws -> Journey.Hop? { try await bench.journey("1")?.hops.first { $0.stage == "b" } }
        #expect(try await eventually { try await atB()?.state == "sent" })
        try await #require(engine.stageWorkers.first { $0.unit.file.name == "b" }).goesRound()
        #expect(try await atB()?.state == "sent", "it waits on the topic")
        #expect(try await get(url + "/actuator/health/readiness").status == 200)
        let health = try await get(url + "/actuator/health")
        let paused = try JSONValue.parse(Array(health.text.utf8))["components"]?["paused"]?[0]
        #expect(health.status == 200 && paused?["what"]?.string == "b" && paused?["author"]?.string == "anna")
        #expect(paused?["reason"]?.string == "a move" && paused?["since"]?.string != nil)
        let metrics = try await get(url + "/actuator/prometheus").text
        #expect(metrics.contains("regproc_paused{stage=\"b\"} 1\n") && metrics.contains("regproc_paused{stage=\"a\"} 0\n"))
        try await bench.run("DELETE FROM regproc.pause")
        #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
        #expect(try await bench.journey("1")?.hops.map(\.stage) == ["entrance", "a", "b"])
      }
    }
  }

  @Test func `the admin endpoints say what the process is and how it is`() async throws {
    try await Bench.run { bench async throws in
      try await withEngine(bench) { engine, url async throws in
        #expect(try await way(bench, engine, "1") == ["entrance", "a", "b"])
        #expect(try await json(url + "/actuator/health/liveness")["status"]?.string == "UP")
        #expect(try await json(url + "/actuator/health/readiness")["status"]?.string == "UP")
        let health = try await get(url + "/actuator/health")
        let components = try JSONValue.parse(Array(health.text.utf8))["components"]
        #expect(health.status == 200 && components?["database"]?["status"]?.string == "UP")
        let promise = OutsideBroker.address == nil ? "acknowledged" : "transactional"
        #expect(
          components?["bus"]?["delivery"]?.string?.hasPrefix(promise) == true,
          "what the bus promises is said openly")
        #expect(components?["virusScanner"]?["scanner"]?.string == "none", "that nothing is scanned is said openly")
        #expect(components?["virusScanner"]?["status"]?.string == "OFF")
        #expect(
          components?["routes"]?["digest"]?.string == engine.routes.digest && components?["routes"]?["refused"] == .null
        )
        #expect(try await bench.journey("1")?.hops.count == 3)
      }
    }
  }

  /// Holds something up until it is let go.
  private final class Gate: Sendable {
    private let isOpen = Atomic(false)
    func open() { isOpen.store(true, ordering: .sequentiallyConsistent) }
    func wait() throws { try eventually(blocking: "the gate") { isOpen.load(ordering: .sequentiallyConsistent) } }
    func pass() async throws { try await eventually("the gate") { isOpen.load(ordering: .sequentiallyConsistent) } }
  }

  @Test func `operators are served before the start has ended and until the stop has`() async throws {
    try await Bench.run { bench async throws in
      let broker = try await bench.pipelineBroker()
      let (start, call) = (Gate(), Gate())
      let called = Atomic(false)
      let slow = Endpoint("GET", "/slow") { _ in
        called.store(true, ordering: .sequentiallyConsistent)
        try await call.pass()
        return .text("done")
      }
      var settings = EngineSettings(
        kafka: broker.settings, database: bench.database, admin: ServerSettings(), instance: "engine",
        isTransactional: broker.isOutside, isAloneOnTheBus: !broker.isOutside, partitions: 2)
      // Taken by somebody, and not chosen by a person: another one does.
      let other = try Server(endpoints: [])
      settings.admin?.port = try other.start()
      let taken = settings
      settings.adminMayMove = true
      func engine(_ settings: EngineSettings) throws -> Engine {
        try Engine(
          settings, run: [], directory: Array(bench.files.values), catalogue: [TestStage.self],
          routes: try Bench.routes(Bench.route),
          services: bench.platform.services, pool: bench.pool, endpoints: [slow], makeTopics: { _, _, _ in try start.wait() })
      }
      await #expect(throws: HTTPError.self, "a port that was chosen is not changed") { try await engine(taken).start() }

      let engine = try engine(settings)
      async let port = engine.start()
      #expect(try await eventually { engine.adminURL != nil })
      let admin = try #require(engine.adminURL)
      #expect(try await get(admin + "/actuator/health/liveness").status == 200)
      #expect(try raw("GET /actuator/health/liveness HTTP/1.0\r\nHost: localhost\r\n\r\n", at: admin).contains(" 200 "))
      #expect(
        try raw("GET /actuator/health/liveness HTTP/1.0\r\n\r\n", at: admin).contains(" 421 "), "without a name it is nobody's")
      let early = try await get(admin + "/actuator/health/readiness")
      #expect(early.status == 503 && early.text.contains("\"started\":false"))
      start.open()
      let url = "http://127.0.0.1:\(try await port)"
      #expect(try await eventually { try await get(admin + "/actuator/health/readiness").status == 200 })
      #expect(try await get(url + "/actuator/health/liveness").status == 404)
      #expect(try await get(url + "/regproc/v1/journey/1").status == 404)

      async let answer = get(url + "/slow")
      #expect(try await eventually { called.load(ordering: .sequentiallyConsistent) })
      async let stop: Void = engine.stop()
      #expect(try await eventually { try await get(admin + "/actuator/health/readiness").status == 503 })
      #expect(try await get(admin + "/actuator/health/liveness").status == 200)
      call.open()
      #expect(try await answer.text == "done")
      await stop
      await #expect(throws: HTTPError.self) { try await get(admin + "/actuator/health/liveness") }
      await other.stop()
    }
  }

  /// A stage that scans packets.
  private struct ScanningStage: StagePlugin {
    static let spec = PluginSpec(name: "scanning", summary: "scans", scansPackets: true)
    init(settings: StageSettings) throws {}
  }
  private struct LostScanner: VirusScanner {
    let isScanning = true
    func scan(_ bytes: [UInt8]) async throws -> String? { nil }
    func state() async -> VirusScannerState { VirusScannerState(scanner: "clamd", fault: "out of reach") }
  }

  @Test func `a lost virus scanner brings down only processes that scan`() async throws {
    try await Bench.run { bench async throws in
      for (plugin, status, word) in [(TestStage.self, 200, "UP"), (ScanningStage.self, 503, "DOWN")]
        as [(any StagePlugin.Type, Int, String)]
      {
        try await withEngine(bench, plugin: plugin, scanner: LostScanner()) { _, url async throws in
          let health = try await get(url + "/actuator/health")
          let json = try JSONValue.parse(Array(health.text.utf8))
          #expect(health.status == status && json["status"]?.string == word)
          let scanner = json["components"]?["virusScanner"]
          #expect(scanner?["status"]?.string == "DOWN" && scanner?["fault"]?.string == "out of reach")
          #expect(try await get(url + "/actuator/health/liveness").status == 200, "nobody is restarted for it")
        }
      }
    }
  }

  @Test func `the metrics are Prometheus text and count what was done`() async throws {
    try await Bench.run { bench async throws in
      try await withEngine(bench) { engine, url async throws in
        for rid in ["1", "2", "3"] { _ = try await way(bench, engine, rid) }
        func lines() async throws -> [String] {
          try await get(url + "/actuator/prometheus").text.split(separator: "\n").map(String.init)
        }
        // A batch is counted when it is done, which is a moment after its registrations are.
        #expect(try await eventually { try await lines().contains("regproc_hops_total{stage=\"a\",verdict=\"passed\"} 3") })
        #expect(try await eventually { try await lines().contains("regproc_outbox_sent_total 3") })
        let lines = try await lines()
        #expect(lines.contains("regproc_routes_refused 0"))
        #expect(lines.contains("regproc_routes_info{digest=\"\(engine.routes.digest)\"} 1"))
        // Each name has its type once, before its values, and no name is twice.
        let types = lines.filter { $0.hasPrefix("# TYPE ") }
        #expect(Set(types).count == types.count)
        let values = lines.filter { !$0.hasPrefix("#") }.map { $0.split(separator: " ")[0] }
        #expect(Set(values).count == values.count)
        #expect(!lines.contains { $0.contains("w-1") }, "no registration is named")
      }
    }
  }

  @Test func `a database that is gone shows in health and not in liveness`() async throws {
    try await Bench.run { bench async throws in
      try await withEngine(bench) { _, url async throws in
        let database = bench.database.database
        let administrator = Pool(bench.administration, size: 1)
        defer { administrator.close() }
        _ = try await administrator.with { connection in
          try connection.script("ALTER DATABASE \(database) ALLOW_CONNECTIONS false")
          _ = try connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [.text(database)])
        }
        #expect(try await eventually { try await get(url + "/actuator/health").status == 503 })
        #expect(try await get(url + "/actuator/health/liveness").status == 200)
        try await administrator.with { try $0.script("ALTER DATABASE \(database) ALLOW_CONNECTIONS true") }
        #expect(try await eventually { try await get(url + "/actuator/health").status == 200 })
      }
    }
  }

  @Test func `an edited route file is taken while running and a bad one is refused`() async throws {
    let folder = TemporaryFolder.make()
    defer { TemporaryFolder.remove(folder) }
    let path = folder + "/routes.yaml"
    try write(Bench.route, to: path)
    try await Bench.run { bench async throws in
      try await withEngine(bench) { engine, url async throws in
        let watch = RouteWatch(path: path, engine: engine, milliseconds: 20) { Self.read(path) }
        defer { watch.stop() }
        let first = engine.routes.digest
        #expect(try await way(bench, engine, "1") == ["entrance", "a", "b"])

        try write(Self.throughC, to: path)
        #expect(try await eventually { engine.routes.digest != first })
        let second = engine.routes.digest
        #expect(try await way(bench, engine, "2") == ["entrance", "a", "c", "b"])
        #expect(try await bench.journey("1")?.hops.map(\.routeDigest) == Array(repeating: first, count: 3))
        #expect(try await bench.journey("2")?.hops.map(\.routeDigest) == Array(repeating: second, count: 4))

        try write(Self.throughC.replacing("- c", with: "- cc"), to: path)
        #expect(try await eventually { try await refusal(url) != nil })
        #expect(try await refusal(url)?.contains("cc") == true && engine.routes.digest == second)
        #expect(try await get(url + "/actuator/prometheus").text.contains("regproc_routes_refused 1"))
        #expect(try await get(url + "/actuator/health").status == 200, "a refused edit harms nobody")
        #expect(try await way(bench, engine, "3") == ["entrance", "a", "c", "b"])

        // Taken back to what is in force: there is nothing refused any more.
        try write(Self.throughC, to: path)
        #expect(try await eventually { try await refusal(url) == nil })
        #expect(engine.routes.digest == second)

        unlink(path)
        #expect(try await eventually { try await refusal(url) != nil })
        #expect(engine.routes.digest == second)
        try write(Bench.route, to: path)
        #expect(try await eventually { engine.routes.digest == first })
      }
    }
  }

  @Test func `forwarded topics are read by their stage and inputs of stages elsewhere by nobody here`() async throws {
    try await Bench.run { bench async throws in
      let broker = try await bench.pipelineBroker()
      let text = Self.throughC.replacing("- c", with: "- c: { runs: elsewhere }").replacing(
        "flows:", with: "forwards: { old-b-bus-in: b, old-c-bus-in: c }\nflows:")
      try await withEngine(bench, routes: Bench.routes(text), broker: broker) { _, _ async throws in
        // As a Java stage of an older release sends it: bare key, no hop id of ours.
        try await bench.register("1")
        let message = try bench.message("1")
        let producer = try KafkaProducer(settings: broker.settings)
        try producer.produce(topic: "old-b-bus-in", key: Array("1".utf8), value: message.encoded())
        #expect(producer.flush().isEmpty)
        #expect(try await eventually { try await bench.status("1") == "PROCESSED" })
        #expect(try await bench.journey("1")?.hops.map(\.stage) == ["b"])
        #expect(try await bench.journey("1")?.hops.first?.origin?.hasPrefix("old-b-bus-in/") == true)
      }
    }
  }

  @Test func `every version in force is kept before anything is routed by it`() async throws {
    try await Bench.run { bench async throws in
      try await withEngine(bench) { engine, _ async throws in
        func kept() async throws -> Int? {
          try await bench.number("SELECT count(*) FROM regproc.route_version WHERE digest = $1", [.text(engine.routes.digest)])
        }
        #expect(try await kept() == 1)
        let other = try Bench.routes(Self.throughC)
        let threads = BlockingPool(name: "take", threads: 1)
        defer { threads.close() }
        #expect(try await threads.run { engine.take(other) })
        #expect(engine.routes.digest == other.digest)
        #expect(try await kept() == 1)

        // While the database takes nothing, the version in force stays.
        try await bench.run("ALTER TABLE regproc.route_version RENAME TO gone")
        let third = try Bench.routes(Bench.route.replacing("- a", with: "- c"))
        #expect(try await threads.run { !engine.take(third) })
        #expect(engine.routes.digest == other.digest)
        try await bench.run("ALTER TABLE regproc.gone RENAME TO route_version")
        #expect(try await threads.run { engine.take(third) })
        #expect(engine.routes.digest == third.digest)
      }
      #expect(try await bench.number("SELECT count(*) FROM regproc.route_report") == 0, "one that stops takes itself off the list")
    }
  }

  private func refusal(_ url: String) async throws -> String? {
    try await json(url + "/actuator/health")["components"]?["routes"]?["refused"]?.string
  }

  private static func read(_ path: String) -> RouteWatch.Reading {
    guard let file = fopen(path, "r") else { return .bad("the file cannot be read") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
    let directory = StageDirectory(["entrance", "a", "b", "c"].map { StageDirectory.Entry($0) })
    let reading = RouteFile.read(bytes, name: "routes.yaml", stages: directory)
    if let routes = reading.file { return .good(routes) }
    return .bad(reading.problems.first?.message ?? "bad")
  }

  /// Writes over as editors do: another file under the same name.
  private func write(_ text: String, to path: String) throws {
    let file = try #require(fopen(path + ".new", "w"))
    fputs(text + "\n", file)
    fclose(file)
    try #require(rename(path + ".new", path) == 0)
  }

  @Test func `what the broker refuses is in health by topic and stage after fifteen seconds`() async throws {
    try await Bench.run { bench async throws in
      try await withEngine(bench) { _, url in
        #expect(try await get(url + "/actuator/health").status == 200)
        try await bench.run(
          """
          INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, topic, record_key, message, not_before, refusal,
            decided_at)
          VALUES (gen_random_uuid(), '1', 'TEST', 1, 1, 1, 'elsewhere', 0, 'elsewhere-bus-in', '1', '{}', now() + interval '1 hour',
            'no such topic', now() - interval '14 s')
          """)
        #expect(try await get(url + "/actuator/health").status == 200, "it may be there in a moment")
        try await bench.run("UPDATE regproc.hop SET decided_at = now() - interval '16 s'")
        let health = try await get(url + "/actuator/health")
        #expect(health.status == 503)
        let refused = try JSONValue.parse(Array(health.text.utf8))["components"]?["topics"]?["refused"]?.array?.first
        #expect(refused?["topic"]?.string == "elsewhere-bus-in" && refused?["stage"]?.string == "elsewhere")
        #expect(refused?["reason"]?.string == "no such topic")
        #expect(try await get(url + "/actuator/health/liveness").status == 200, "nobody is restarted for it")
      }
    }
  }

  @Test func `a worker that stands still is not ready then down and never killed for it`() async throws {
    try await Bench.run { bench async throws in
      try await withEngine(bench) { engine, url in
        let watch = try #require(engine.watches.first { $0.name == "a" })
        #expect(try await get(url + "/actuator/prometheus").text.contains("regproc_assigned_partitions{stage=\"a\"} 2"))
        // Each time anew: an idle worker's own word of it is over after some seconds.
        func stands(_ seconds: Int, _ path: String, _ status: Int, _ word: String) async throws -> Bool {
          try await eventually {
            watch.stand("the broker is away", since: monotonicMilliseconds() - seconds * 1000)
            let answer = try await get(url + path)
            return answer.status == status && answer.text.contains(word)
          }
        }
        #expect(try await stands(16, "/actuator/health/readiness", 503, "the broker is away"))
        #expect(try await stands(16, "/actuator/health", 200, "the broker is away"))
        #expect(try await stands(31, "/actuator/health", 503, "the broker is away"))
        #expect(try await stands(31, "/actuator/health/liveness", 200, "UP"))
        #expect(try await stands(31, "/actuator/prometheus", 200, "regproc_standstill_seconds{name=\"a\"} 31"))
        watch.passed()
        #expect(try await eventually { try await get(url + "/actuator/health/readiness").status == 200 })
      }
    }
  }
}
