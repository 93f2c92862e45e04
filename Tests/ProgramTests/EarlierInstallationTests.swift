import Glibc
import HTTP
import Postgres
import StandIn
import System
import TestSupport
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// A data folder and database that an earlier version left behind, with births on their way (`Earlier/README.md`).
  @Suite struct EarlierInstallationTests {
    private static let place = Program.repository + "/Tests/ProgramTests/Earlier"
    /// Where the earlier process had its endpoints.
    private static let formerURL = "http://127.0.0.1:21171"

    @Test func `what an earlier version left is finished and can be changed`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let database = try await TestDatabase.makeEmpty()
      let pipeline = UpPipeline(
        folder.path + "/data", side: side,
        options: ["--database", "host=\(database.host) dbname=\(database.database) user=\(database.user)"])
      try await Self.restore(database, pipeline)
      let before = try await Outcome.read(database)
      #expect(!before.openWork.isEmpty && before.uins.count == 9)

      let program = try await pipeline.start()
      // What came in by the old program is told by the new one.
      let births = Self.births(3, "OLDA", 3) + Self.births(9, "OLDB", 6)
      let haveEnded = try await eventually { side.standIn.ended(among: births.map(\.registrationNumber)) == births.count }
      #expect(haveEnded, "\(program.errors.suffix(2000))")
      (try await Outcome.atRest(database)).expectEachOnce(births, at: side.standIn)

      // The rows that the old program sealed open, and are written anew.
      let death = SampleEvents(seed: 3, run: "OLDA", year: 2025, at: .now).death("death", births[0], 1, isNew: true)
      let client = Client()
      defer { client.close() }
      _ = try await Webhook.post(death.body, to: pipeline.url + "/webhooks", secret: Array(OpenCRVSSide.secret.utf8), client)
      let isOver = try await eventually { try await Self.status(of: births[0], side, database) == "DEACTIVATED" }
      #expect(isOver, "\(program.errors.suffix(2000))")
      #expect(try await Self.status(of: births[1], side, database) == "ACTIVATED")
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0)
      await side.stop()
    }

    private static func births(_ seed: UInt64, _ run: String, _ count: Int) -> [SampleBirths.Birth] {
      var samples = SampleBirths(seed: seed, run: run, year: 2025)
      return samples.make(count)
    }

    /// Puts database and folder where the new program finds them.
    private static func restore(_ database: PostgresSettings, _ pipeline: UpPipeline) async throws {
      let unpacked = try await Program(["-dc", place + "/database.sql.gz"], program: "/bin/gzip").ended()
      try #require(unpacked.code == 0, "\(unpacked.errors)")
      let sql = unpacked.output.replacing(formerURL, with: pipeline.url)
      try await TestDatabase.run(database) { try $0.script(sql) }
      mkdir(pipeline.folder, 0o711)
      let files = try await Program(["-xzf", place + "/data.tar.gz", "-C", pipeline.folder], program: "/bin/tar").ended()
      try #require(files.code == 0, "\(files.errors)")
    }

    private static func status(of birth: SampleBirths.Birth, _ side: OpenCRVSSide, _ database: PostgresSettings) async throws
      -> String?
    {
      guard let rid = side.standIn.returned(birth.registrationNumber).rid else { return nil }
      return try await TestDatabase.run(database) { connection in
        try connection.execute(
          "SELECT i.status FROM platform.identity AS i JOIN platform.identity_rid AS r USING (uin_hash) WHERE r.rid = $1",
          [.text(rid)]
        ).map { try $0.text(0) }.first
      }
    }
  }
}
