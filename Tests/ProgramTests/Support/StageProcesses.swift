import TestSupport
import Glibc
import HTTP
import Postgres
import Synchronization
import System

/// `regproc run STAGE`, one process for each stage, on one Postgres, one broker and one data folder.
final class StageProcesses: Sendable {
  /// All but the bridge, which has nothing to do where every stage is ours.
  static let stages = TemporaryFolder.names(in: Program.repository + "/stages").filter { !["bridge", "reprocessor"].contains($0) }

  let database: PostgresSettings
  private let folder: TemporaryFolder
  private let cluster: PrivateCluster
  private let broker: TransactionalBroker
  private let environment: [String: String]
  private let ports: [String: Int]
  private let ofStage: @Sendable (_ stage: String) -> [String: String]
  private let programs = Mutex<[String: Program]>([:])
  private let blocking = BlockingPool(name: "stages", threads: 1)
  private let client = Client(ClientSettings(connectTimeoutSeconds: 2, timeoutSeconds: 10))

  /// - Parameters:
  ///   - more: further variables of all processes.
  ///   - ofStage: further variables of one stage's processes, over all others.
  init(
    _ broker: TransactionalBroker, _ side: OpenCRVSSide, _ more: [String: String] = [:],
    ofStage: @escaping @Sendable (_ stage: String) -> [String: String] = { _ in [:] }
  ) async throws {
    self.broker = broker
    self.ofStage = ofStage
    let folder = try TemporaryFolder()
    self.folder = folder
    let cluster = PrivateCluster(folder: folder.path + "/postgres")
    self.cluster = cluster
    database = try await blocking.run { try cluster.start() }
    let ports = Dictionary(uniqueKeysWithValues: zip(Self.stages, FreePort.choose(Self.stages.count) ?? []))
    self.ports = ports
    func url(_ stage: String) -> String { "http://127.0.0.1:\(ports[stage] ?? 0)" }
    environment = side.environment.merging([
      "REGPROC_KAFKA_BOOTSTRAP_SERVERS": broker.address,
      "REGPROC_DATABASE": Self.connection(database, user: "postgres"),
      "REGPROC_STAGE_OPENCRVS_MEDIATOR_MOSIP_URL": url("mosip-mediator"),
      "REGPROC_STAGE_MOSIP_MEDIATOR_REGISTRATION_STATUS_URL": url("packet-receiver"),
      "REGPROC_STAGE_MOSIP_MEDIATOR_PACKET_RECEIVER_URL": url("packet-receiver"),
      "REGPROC_STAGE_MOSIP_MEDIATOR_OPENCRVS_MEDIATOR_URL": url("opencrvs-mediator"),
      "REGPROC_STAGE_MOSIP_MEDIATOR_CALLBACK_URL": url("mosip-mediator"),
    ]) { _, new in new }.merging(more) { _, new in new }
  }

  /// How libpq finds the database as one user.
  private static func connection(_ database: PostgresSettings, user: String) -> String {
    "host=\(database.host) user=\(user) dbname=postgres"
  }
  func connection(user: String) -> String { Self.connection(database, user: user) }

  /// The variables of a stage's processes.
  private func variables(_ stage: String) -> [String: String] {
    var own = ofStage(stage)
    own["data"] = nil
    if let user = own.removeValue(forKey: "user") { own["REGPROC_DATABASE"] = connection(user: user) }
    return environment.merging(own) { _, new in new }
  }

  /// The data folder that all of them share.
  var data: String { folder.path + "/data" }

  /// The most memory that a stage's process had so far, in MB.
  func peakMemory(_ stage: String) -> Double? {
    guard let program = programs.withLock({ $0[stage] }),
      let status = TemporaryFolder.read("/proc/\(program.process)/status"),
      let line = String(decoding: status, as: UTF8.self).split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") })
    else { return nil }
    return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) }.map { $0 / 1000 }
  }

  /// Where OpenCRVS sends to.
  var webhooks: String { url("opencrvs-mediator") + "/webhooks" }
  func url(_ stage: String) -> String { "http://127.0.0.1:\(ports[stage] ?? 0)" }

  struct NotReady: Error { var errors: String }

  /// Starts a stage. Its instance name is the same at every start, so that a killed one's membership is taken over.
  func start(_ stage: String) async throws {
    let program = try await Program(
      [
        "run", stage, "--data", ofStage(stage)["data"] ?? data, "--port", "\(ports[stage] ?? 0)", "--instance", "one",
        "--reconcile", "10",
      ], environment: variables(stage))
    programs.withLock { $0[stage] = program }
  }

  /// Starts a second instance of a stage beside the first, known as `<stage>/two`; the group shares the partitions out anew.
  func startSecond(_ stage: String) async throws {
    let program = try await Program(
      ["run", stage, "--data", folder.path + "/data", "--port", "0", "--instance", "two", "--reconcile", "10"],
      environment: variables(stage))
    programs.withLock { $0[stage + "/two"] = program }
    try await waitUntilReady(stage + "/two")
  }

  /// Waits until a stage says that it takes messages.
  func waitUntilReady(_ stage: String) async throws {
    guard let program = programs.withLock({ $0[stage] }) else { return }
    guard try await eventually({ program.errors.contains("takes messages") || !program.isRunning }), program.isRunning
    else {
      throw NotReady(errors: "\(stage): \(program.errors.suffix(4000))")
    }
  }

  func startAll() async throws {
    for stage in Self.stages { try await start(stage) }
    for stage in Self.stages { try await waitUntilReady(stage) }
  }

  /// Asks a stage to end, as a container's runtime does, and waits for it.
  func terminate(_ stage: String) async throws -> Program.Ended {
    guard let program = programs.withLock({ $0.removeValue(forKey: stage) }) else {
      throw NotReady(errors: "\(stage) does not run")
    }
    program.signal(SIGTERM)
    return try await program.ended()
  }

  func kill(_ stage: String) async throws { try await programs.withLock { $0.removeValue(forKey: stage) }?.killed() }

  /// Asks all to end at once; how each of them ended.
  func terminateAll() async throws -> [String: Program.Ended] {
    let all = programs.withLock { programs in
      defer { programs = [:] }
      return programs
    }
    for program in all.values { program.signal(SIGTERM) }
    var out: [String: Program.Ended] = [:]
    for (stage, program) in all { out[stage] = try await program.ended() }
    return out
  }

  /// What a stage wrote on standard error.
  func errors(_ stage: String) -> String { programs.withLock { $0[stage] }?.errors ?? "" }
  /// The warnings and errors of all.
  var troubles: String {
    let all = programs.withLock { $0 }
    return all.flatMap { stage, program in
      program.errors.split(separator: "\n").filter { $0.contains("\"warning\"") || $0.contains("\"error\"") }.suffix(3)
        .map { "\(stage): \($0)" }
    }.joined(separator: "\n")
  }

  func stop() async throws {
    try await broker.end(programs.withLock { Array($0.values) })
    client.close()
    let cluster = cluster
    try await blocking.run { cluster.stop() }
    blocking.close()
  }
}
