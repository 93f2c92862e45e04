import Glibc
import Kafka
import Postgres
import Registration
import StageKit
import System

/// One stage as a process of its own (`regproc run STAGE`): from process start to the first message taken, and what it costs at rest.
struct StartBench {
  private let broker: String
  private let program: String
  private let home: String
  private let stage: String
  private let rounds: Int
  private let idleSeconds: Int

  init(_ options: Options) throws {
    broker = try Machine.whole(try options.text("broker"))
    program = try Machine.whole(try options.text("regproc"))
    home = try Machine.whole(options.has("home") ? try options.text("home") : ".")
    stage = options.has("stage") ? try options.text("stage") : "securezone-notification"
    rounds = try options.number("rounds", 5)
    idleSeconds = try options.number("idle", 10)
  }

  func run() throws {
    let folder = try Machine.makeFolder()
    defer { Machine.remove(folder) }
    // The database runs as a user of its own when we are root.
    chmod(folder, 0o711)
    let cluster = PrivateCluster(folder: folder + "/postgres")
    let database = try cluster.start()
    defer { cluster.stop() }
    let broker = try Broker(broker)
    defer { broker.end() }

    // The first start makes tables, topics and keys; a container that is started again finds them.
    say("first start (makes tables, topics and keys): \(fixed(try round(0, folder, database, broker), 2)) s to the first message")
    var seconds: [Double] = []
    for number in 1...rounds { seconds.append(try round(number, folder, database, broker)) }
    let idle = try rest(folder, database, broker)
    say(
      """
      \(stage) as a process of its own
        start to first message taken  best \(fixed(seconds.min()!, 2)) s, median \(fixed(median(seconds), 2)) s, worst \(fixed(seconds.max()!, 2)) s
        at rest for \(idleSeconds) s                RSS \(fixed(idle.resident, 1)) MB (of it \(fixed(idle.own, 1)) MB not of files), \(fixed(idle.cpu * 100, 1)) % of a core
                                         (of it \(fixed(idle.client * 100, 1)) % in the Kafka client's own threads)
      """)
  }

  /// Seconds from the start of the process to the moment at which it took a message that was there before.
  private func round(_ number: Int, _ folder: String, _ database: PostgresSettings, _ broker: Broker) throws -> Double {
    let topic = (stage == "print" ? "credential-requestor" : stage) + "-bus-in"
    if number == 0 { try broker.makeTopic(topic, partitions: 4) }
    let rid = "10001100010000\(100 + number)20260101000000"
    let message = try Message(
      process: "OPENCRVS_NEW", rid: rid, isValid: true, internalError: false, messageBusAddress: topic,
      tags: ["AGE_GROUP": "INFANT"],
      lastHopTimestamp: .now, iteration: 1, workflowInstanceId: SecureRandom.uuid())
    let producer = try KafkaProducer(settings: broker.settings)
    try producer.produce(topic: topic, key: Array(rid.utf8), value: message.encoded(), headers: [])
    if let failed = producer.flush().first { throw failed.error }

    let began = Instant.now
    let process = try start(folder, database, broker)
    defer { stop(process) }
    let deadline = Machine.wall + 60
    while Machine.wall < deadline {
      // The tables may not be there yet.
      if let connection = try? Connection(database),
        let rows = try? connection.execute("SELECT min(taken_at) AS at FROM regproc.hop WHERE rid = $1", [.text(rid)]),
        let taken = try? rows.only().instantOrNull("at")
      {
        return taken.seconds(since: began)
      }
      Machine.sleep(milliseconds: 20)
    }
    throw BenchError("\(stage) took no message within a minute")
  }

  private func rest(
    _ folder: String, _ database: PostgresSettings, _ broker: Broker
  ) throws -> (resident: Double, own: Double, cpu: Double, client: Double) {
    // What is to be tried again would wake it.
    _ = try Connection(database).execute("UPDATE regproc.hop SET state = 2 WHERE state < 2")
    let process = try start(folder, database, broker)
    defer { stop(process) }
    Machine.sleep(milliseconds: 5000)
    let before = Machine.cpu(of: process)
    let clientBefore = Machine.cpu(of: process, threads: "rdk:")
    Machine.sleep(milliseconds: idleSeconds * 1000)
    let client = Machine.cpu(of: process, threads: "rdk:") - clientBefore
    let status = Machine.read("/proc/\(process)/status")
    func megabytes(_ name: String) throws -> Double {
      guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(name + ":") }),
        let kilobytes = line.split(whereSeparator: { " \t".contains($0) }).dropFirst().first.flatMap({ Double($0) })
      else { throw BenchError("\(stage) does not run any more") }
      return kilobytes / 1024
    }
    return (
      try megabytes("VmRSS"), try megabytes("RssAnon"), (Machine.cpu(of: process) - before) / Double(idleSeconds),
      client / Double(idleSeconds)
    )
  }

  private func start(_ folder: String, _ database: PostgresSettings, _ broker: Broker) throws -> pid_t {
    let log = open(folder + "/stage.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer { close(log) }
    var connection = "host=\(database.host) port=\(database.port) dbname=\(database.database) user=\(database.user)"
    if let password = database.password { connection += " password=\(password)" }
    return try Machine.spawn(
      [
        program, "run", stage, "--data", folder + "/data", "--stages", home + "/stages", "--routes", home + "/routes.yaml",
        "--kafka", broker.settings.bootstrapServers, "--port", "0", "--instance", "bench",
      ], output: log, environment: ["REGPROC_DATABASE": connection, "REGPROC_HOME": home])
  }

  private func stop(_ process: pid_t) {
    kill(process, SIGTERM)
    Machine.wait(process)
  }
}
