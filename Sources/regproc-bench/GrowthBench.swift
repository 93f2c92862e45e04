import Glibc
import HTTP
import Kafka
import Operations
import Postgres
import StandIn
import System

/// That nothing piles up: births through the whole pipeline in one process with nothing kept, the rows that are left, and the memory it takes
/// up after three fifths of them and at the end. What the embedded broker holds is told apart: it is part of the process in a demo alone.
struct GrowthBench {
  private let program: String
  private let home: String
  private let births: Int
  /// The program of a broker; nil for the embedded one, which keeps its records in the memory of the process.
  private let broker: String?
  private let secret = "made-up-sha-secret"

  /// What was counted, and whether it is as it must be.
  private struct Row {
    var what: String
    var found: String
    var wanted: String
    var isGood: Bool
  }

  /// The memory at one moment.
  private struct Memory {
    var megabytes: Double
    /// The records of the embedded broker; empty for one of its own.
    var records: [TopicPartition: Int]

    func records(_ means: [TopicPartition: Double]) -> Double {
      records.reduce(0) { $0 + Double($1.value) * (means[$1.key] ?? 0) } / 1_048_576
    }
  }

  init(_ options: Options) throws {
    program = try Machine.whole(try options.text("regproc"))
    home = try Machine.whole(options.has("home") ? try options.text("home") : ".")
    births = try options.number("births", 5000)
    broker = options.has("broker") ? try Machine.whole(try options.text("broker")) : nil
    guard births >= 10 else { throw BenchError("--births needs a number from 10 on") }
  }

  func run() throws {
    let folder = try Machine.makeFolder()
    defer { Machine.remove(folder) }
    chmod(folder, 0o711)
    let standIn = StandInOpenCRVS(secret: secret)
    let url = try standIn.start()
    defer { blockingAwait { await standIn.stop() } }
    let port = try Machine.freePort()
    let broker = try broker.map { try Broker($0) }
    defer { broker?.end() }
    let process = try start(folder, url, port, broker)
    defer {
      kill(process, SIGTERM)
      Machine.wait(process)
    }
    try wait("it takes no events", process, seconds: 120) {
      Machine.read(folder + "/errors").contains("takes events")
    }

    let began = Machine.wall
    var samples = SampleBirths(seed: 7, run: "GROWTH", year: 2025)
    // The first fifth only warms it up.
    let early = births * 3 / 5
    let all = samples.make(births)
    try send(all.prefix(early), standIn, port, process)
    let embedded = broker == nil ? try EmbeddedRecords(of: folder + "/data") : nil
    let first = Memory(megabytes: try resident(process), records: try embedded?.counts() ?? [:])
    try send(all.dropFirst(early), standIn, port, process)
    let last = Memory(megabytes: try resident(process), records: try embedded?.counts() ?? [:])
    say("\(births) births in \(fixed(Machine.wall - began, 0)) s")
    try conclude(try rows(folder, process) + memory(first, last, try embedded?.meanBytes()))
  }

  private func start(_ folder: String, _ url: String, _ port: Int, _ broker: Broker?) throws -> pid_t {
    let log = open(folder + "/errors", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer { close(log) }
    var environment = [
      "REGPROC_HOME": home, "REGPROC_KEEP_EVERY": "1", "REGPROC_STAGE_OPENCRVS_MEDIATOR_ANSWER_WITHIN": "0",
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_SHA_SECRET": secret,
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_OPENCRVS_URL": url + "/mosip-openhim-mediator",
      "REGPROC_STAGE_MOSIP_MEDIATOR_LOCATIONS_URL": url + "/location",
      "REGPROC_STAGE_MOSIP_MEDIATOR_LANG_CODE_MAPPING":
        "eng:eng|english|en,fra:french|fr|fra|fre,ara:ara|arabic|ar,amh:am|amh,ben:bn|ben,khm:km|khm,kan:kn|kan,spa:es|spa",
    ]
    for what in RetentionSettings.What.allCases {
      environment["REGPROC_KEEP_" + what.rawValue.uppercased().replacing("-", with: "_")] = "0"
    }
    return try Machine.spawn(
      [program, "up", "--data", folder + "/data", "--port", "\(port)", "--admin-port", "0", "--log-level", "warning"]
        + (broker.map { ["--kafka", $0.settings.bootstrapServers] } ?? []), output: log,
      environment: environment)
  }

  /// Sends births, some at a time, and waits until each has its token.
  private func send(
    _ births: ArraySlice<SampleBirths.Birth>, _ standIn: StandInOpenCRVS, _ port: Int, _ process: pid_t
  ) throws {
    let bodies = Array(births)
    let (url, secret) = ("http://127.0.0.1:\(port)/webhooks", Array(secret.utf8))
    let lanes = 8
    let failure = blockingAwait { () -> String? in
      let client = Client(ClientSettings(connectTimeoutSeconds: 5, timeoutSeconds: 60))
      defer { client.close() }
      return await withTaskGroup(of: String?.self) { group in
        for lane in 0..<lanes {
          group.addTask {
            for place in stride(from: lane, to: bodies.count, by: lanes) {
              do { _ = try await Webhook.post(bodies[place].body, to: url, secret: secret, client) } catch { return "\(error)" }
            }
            return nil
          }
        }
        return await group.reduce(String?.none) { $0 ?? $1 }
      }
    }
    if let failure { throw BenchError("a birth was not taken: \(failure)") }
    try wait("not every birth has its token", process, seconds: 120 + Double(bodies.count)) {
      bodies.allSatisfy { standIn.returned($0.registrationNumber).token != nil }
    }
  }

  private func wait(_ what: String, _ process: pid_t, seconds: Double, _ holds: () throws -> Bool) throws {
    let end = Machine.wall + seconds
    while try !holds() {
      guard Machine.wall < end, kill(process, 0) == 0 else { throw BenchError(what) }
      Machine.sleep(milliseconds: 50)
    }
  }

  // MARK: what is left

  /// Tables in which no row may stay. Subscriptions are renewed by a piece of work that never ends.
  private static let empty = [
    ("work", "SELECT count(*)::int FROM regproc.work WHERE key <> 'standing'"),
    ("outbox", "SELECT count(*)::int FROM regproc.outbox"),
    ("messages of the hub", "SELECT count(*)::int FROM platform.hub_message"),
    ("deliveries of the hub", "SELECT count(*)::int FROM platform.hub_delivery"),
    ("credential requests", "SELECT count(*)::int FROM platform.credential_request"),
  ]

  private func rows(_ folder: String, _ process: pid_t) throws -> [Row] {
    guard let settings = PrivateCluster.running(in: folder + "/data/postgres") else {
      throw BenchError("its database does not run")
    }
    let connection = try Connection(settings)
    defer { connection.close() }
    func left() throws -> [Int] { try Self.empty.map { try connection.execute($0.1).only().int(0) } }
    // What came last is removed in the next passes; what stays for longer stays.
    try? wait("rows are left", process, seconds: 60) { try left().allSatisfy { $0 == 0 } }
    var out = zip(Self.empty, try left()).map { table, count in
      Row(what: table.0, found: "\(count)", wanted: "0", isGood: count == 0)
    }
    let hops = try connection.execute(
      "SELECT count(*)::int, count(DISTINCT rid)::int, count(DISTINCT stage)::int, count(DISTINCT (rid, stage))::int FROM regproc.hop"
    ).only()
    let (all, rids, stages, pairs) = (try hops.int(0), try hops.int(1), try hops.int(2), try hops.int(3))
    out.append(Row(what: "births in the journal", found: "\(rids)", wanted: "\(births)", isGood: rids == births))
    out.append(
      Row(
        what: "hops a birth", found: fixed(Double(all) / Double(max(1, rids)), 2), wanted: "\(stages), one for each stage",
        isGood: all == rids * stages && all == pairs))
    return out
  }

  /// - Parameter means: of a record's bytes, where the broker is the embedded one.
  private func memory(_ first: Memory, _ last: Memory, _ means: [TopicPartition: Double]?) -> [Row] {
    func row(_ what: String, _ first: Double, _ last: Double, wanted: String = "", isGood: Bool = true) -> Row {
      Row(what: what, found: "\(fixed(first, 1)) MB, \(fixed(last, 1)) MB", wanted: wanted, isGood: isGood)
    }
    let (broker, later) = (first.records(means ?? [:]), last.records(means ?? [:]))
    let (rest, laterRest) = (first.megabytes - broker, last.megabytes - later)
    let moments = "at birth \(births * 3 / 5), at birth \(births)"
    let isFlat = abs(laterRest - rest) <= rest / 10
    guard means != nil else { return [row("memory " + moments, rest, laterRest, wanted: "within a tenth", isGood: isFlat)] }
    return [
      row("memory " + moments, first.megabytes, last.megabytes),
      row("of it records of the embedded broker", broker, later),
      row("memory without these", rest, laterRest, wanted: "within a tenth", isGood: isFlat),
    ]
  }

  private func resident(_ process: pid_t) throws -> Double {
    // What is under way settles first.
    Machine.sleep(milliseconds: 3000)
    let line = Machine.read("/proc/\(process)/status").split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    guard let kilobytes = line?.split(whereSeparator: { " \t".contains($0) }).dropFirst().first.flatMap({ Double($0) }) else {
      throw BenchError("it does not run any more")
    }
    return kilobytes / 1024
  }

  private func conclude(_ rows: [Row]) throws {
    func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
    for row in rows {
      let end = row.wanted.isEmpty ? "" : row.isGood ? "good" : "NOT GOOD"
      say("  " + padded(row.what, 40) + padded(row.found, 24) + padded(row.wanted, 30) + end)
    }
    let bad = rows.filter { !$0.isGood }
    if !bad.isEmpty { throw BenchError("something piles up: " + bad.map(\.what).joined(separator: ", ")) }
  }
}
