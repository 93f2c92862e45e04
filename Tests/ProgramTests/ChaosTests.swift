import Glibc
import HTTP
import JSON
import Postgres
import StandIn
import System
import TestSupport
import Testing

extension ProgramTests {
  /// What goes wrong with the ground that a pipeline stands on: whatever it is, health tells it, and each birth ends once.
  @Suite struct ChaosTests {
    @Test func `a full disk and a foreign data folder cost no birth`() async throws {
      let (folder, blocking) = (try TemporaryFolder(), BlockingPool(name: "chaos", threads: 1))
      defer { blocking.close() }
      let cluster = PrivateCluster(folder: folder.path + "/postgres")
      let database = try await blocking.run { try cluster.start() }
      let connection = "host=\(database.host) user=\(database.user) dbname=\(database.database)"
      let disk = try #require(
        SmallDisk(folder.path + "/data", mib: 48 + Self.births(16)), "NOT TESTED: no file system can be mounted here")
      defer { disk.remove() }
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(folder.path + "/data", side: side, options: ["--database", connection])
      let births = OpenCRVSSide.births(Self.births(16), run: "CHAOS")
      let quarter = births.count / 4
      let numbers = births.map(\.registrationNumber)
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      async let delivery: Void = sender.run()
      var program = try await pipeline.start()
      func ended(_ count: Int) async throws -> Bool {
        try await eventually(within: Self.patience(births)) { side.standIn.ended(among: numbers) >= count }
      }
      sender.allow(quarter)
      #expect(try await ended(2), "\(program.errors.suffix(3000))")

      // Nothing can be written any more, in the middle of births.
      try disk.fill()
      sender.allow(2 * quarter)
      #expect(try await eventually { try await Self.health(pipeline)["status"] == "DOWN" }, "\(program.errors.suffix(3000))")
      disk.empty()
      #expect(try await eventually { try await Self.health(pipeline)["status"] == "UP" }, "\(program.errors.suffix(3000))")
      #expect(try await ended(2 * quarter), "\(program.errors.suffix(3000))")

      // Another folder on this database has other keys, and a second process on this folder would do the work twice.
      let stranger = try await Program.run(
        "up", "--data", folder.path + "/foreign", "--database", connection, "--port", "0", "--instance", "stranger",
        environment: side.environment)
      #expect(stranger.code != 0 && stranger.errors.contains("key"), "\(stranger)")
      let namesake = try await Program.run(
        "up", "--data", folder.path + "/foreign", "--database", connection, "--port", "0", environment: side.environment)
      #expect(namesake.code != 0 && namesake.errors.contains("is held: process "), "\(namesake)")
      let second = try await Program.run(
        "up", "--data", pipeline.folder, "--database", connection, "--port", "0", environment: side.environment)
      #expect(second.code != 0 && second.errors.contains(pipeline.folder), "\(second)")

      // Killed on a full disk, and started again when there is room.
      try disk.fill()
      sender.allow(3 * quarter)
      try await program.killed()
      disk.empty()
      program = try await pipeline.start()
      sender.allow(births.count)
      #expect(try await ended(births.count), "\(program.errors.suffix(3000))")
      await delivery
      #expect(sender.refusals.isEmpty)
      let outcome = try await Outcome.atRest(database)
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork)")
      outcome.expectEachOnce(births, at: side.standIn)
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0)
      await side.stop()
      try await blocking.run { cluster.stop() }
    }

    /// How many births go through: so many, or what `make test-chaos BIRTHS=N` says, in fours.
    private static func births(_ usual: Int) -> Int {
      (getenv("REGPROC_TEST_BIRTHS").flatMap { Int(String(cString: $0)) } ?? usual) / 4 * 4
    }

    /// How long an end may be waited for.
    private static func patience(_ births: [SampleBirths.Birth]) -> Duration { .seconds(240 + births.count) }

    /// The broker's disk is gone, and an empty one takes its place under the same address. What was on it is in the journal.
    ///
    /// One partition a topic, because noida-db takes records of a transaction that it knows nothing of, and holds it open for ever when the
    /// producer has given it up: of a batch for several partitions it refuses some and takes others, behind which nobody reads any more. Of
    /// a batch for one it refuses all (docs/upstream/kafka.md#1-what-test-brokers-do-differently).
    @Test(.enabled(if: TransactionalBroker.isThere && OutsideBroker.address == nil, "no broker of our own is installed"))
    func `a broker that comes back empty costs no birth`() async throws {
      let port = freePort()
      var broker = try await TransactionalBroker(port: port)
      let side = try OpenCRVSSide()
      let births = OpenCRVSSide.births(Self.births(12), run: "LOST")
      let numbers = births.map(\.registrationNumber)
      let processes = try await StageProcesses(broker, side, ["REGPROC_KAFKA_PARTITIONS": "1"])
      try await processes.startAll()
      let sender = WebhookSender(births, to: processes.webhooks)
      async let delivery: Void = sender.run()
      func ended(_ count: Int) async throws -> Bool {
        try await eventually(within: Self.patience(births)) { side.standIn.ended(among: numbers) >= count }
      }
      sender.allow(births.count * 2 / 3)
      #expect(try await ended(2), "\(processes.troubles)")
      try await broker.stop()
      broker = try await TransactionalBroker(port: port)
      sender.allow(births.count)
      #expect(try await ended(births.count), "\(processes.troubles)")
      await delivery
      let outcome = try await Outcome.atRest(processes.database)
      #expect(outcome.isAtRest, "\(outcome.openHops) \(outcome.openWork) \(processes.troubles)")
      outcome.expectEachOnce(births, at: side.standIn)
      _ = try await processes.terminateAll()
      try await processes.stop()
      try await broker.stop()
      await side.stop()
    }

    private static func health(_ pipeline: UpPipeline) async throws -> JSONValue {
      let client = Client(ClientSettings(connectTimeoutSeconds: 5, timeoutSeconds: 60))
      defer { client.close() }
      return try JSONValue.parse(try await client.send(ClientRequest(url: pipeline.admin + "/actuator/health")).body)
    }
  }
}

/// A file system of its own, small enough to be filled.
private struct SmallDisk {
  let path: String

  /// Nil where none can be mounted.
  init?(_ path: String, mib: Int) {
    guard mkdir(path, 0o700) == 0, mount("tmpfs", path, "tmpfs", 0, "size=\(mib)m,mode=0700") == 0 else { return nil }
    self.path = path
  }

  /// Takes what room there is.
  func fill() throws {
    let file = open(path + "/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Program.NotStarted(reason: "the disk cannot be filled") }
    defer { close(file) }
    for size in [1 << 16, 1 << 12] {
      let block = [UInt8](repeating: 0, count: size)
      while write(file, block, size) == size {}
    }
  }

  func empty() { unlink(path + "/filler") }
  func remove() { umount2(path, CInt(MNT_DETACH)) }
}
