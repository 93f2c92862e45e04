import Glibc
import JSON
import Postgres
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform
@testable import RegprocMain

extension ProgramTests {
  /// The keys of a data folder, as an operator sees and changes them.
  @Suite struct KeysTests {
    @Test func `the sealing key is changed also when the command is killed half way`() async throws {
      let folder = try TemporaryFolder()
      let data = folder.path + "/data"
      try Files.makeFolder(data)
      try Files.makeFolder(data + "/platform")
      let settings = try await TestDatabase.make(PlatformSchema.migrations)
      let database = "host=\(settings.host) port=\(settings.port) user=\(settings.user) dbname=\(settings.database)"
      let pool = Pool(settings, size: 2)
      defer { pool.close() }
      let keys = try KeyFolder(folder: data + "/platform/keys")
      _ = try keys.pair("client")
      _ = try keys.pair("registration-10001_10001")
      try await pool.with { connection in
        let sealer = Sealer(try KeyBinding.bind(keys, to: settings, connection))
        let hashes = (0..<20_000).map { sealer.hash("\($0)") }
        let sealed = try hashes.map { try sealer.seal([1], in: SealedColumn.uin.row($0)) }
        _ = try connection.execute(
          "INSERT INTO platform.uin (uin_hash, sealed) SELECT * FROM unnest($1::bytea[], $2::bytea[])",
          [.bytesArray(hashes), .bytesArray(sealed)])
      }

      let asked = try await Program.run("keys", "rotate", "--database", database, "--data", data)
      #expect(asked.code == 0 && asked.output.isEmpty && asked.errors.contains("20000 values"), "\(asked.errors)")
      let killed = try await Program(["keys", "rotate", "--yes", "--database", database, "--data", data])
      #expect(try await eventually { try await pool.with { try KeyRotation.counts($0) }[2, default: 0] > 0 })
      killed.signal(SIGKILL)
      _ = try await killed.ended()
      let half = try await pool.with { try KeyRotation.counts($0) }
      #expect(half[1, default: 0] > 0 && half[2, default: 0] > 0, "\(half)")
      // No process learns of the key any more, so nobody need be waited for.
      _ = try await pool.with { try $0.execute("UPDATE platform.sealing_key SET made_at = made_at - interval '1 minute'") }
      let ended = try await Program.run("keys", "rotate", "--yes", "--database", database, "--data", data)
      #expect(ended.code == 0 && ended.errors.contains("went on with it"), "\(ended.errors)")
      #expect(ended.output == "sealing key 2 is current; \(half[1, default: 0]) values sealed again\n")

      let list = try await Program.run("keys", "list", "--database", database, "--data", data)
      #expect(list.code == 0 && list.lines.allSatisfy { $0.count <= 80 }, "\(list.output)")
      for line in [["1", "platform-seal.secret", "old", "0"], ["2", "platform-seal-2.secret", "current", "20000"]] {
        #expect(list.lines.contains { $0.split(separator: " ").map(String.init) == line }, "\(list.output)")
      }
      let json = try await Program.run("keys", "list", "--json", "--database", database, "--data", data)
      let rows = try json.lines.map { try JSONValue.parse($0) }
      #expect(
        rows.compactMap { $0["name"]?.string }.sorted() == [
          "client", "platform-hash", "platform-seal", "platform-seal-2", "registration-10001_10001",
        ])
      let client = try #require(rows.first { $0["name"]?.string == "client" })
      #expect(client["thumbprint"]?.string == Encoding.hex(try keys.certificate("client").thumbprint))
      #expect(client["validUntil"]?.string == (try keys.certificate("client").notAfter.iso))
      for secret in ["platform-hash", "platform-seal", "platform-seal-2"] {
        let bytes = try keys.secret(secret)
        #expect(![Encoding.hex(bytes), Encoding.base64(bytes)].contains { json.output.contains($0) || list.output.contains($0) })
      }
    }

    @Test func `a data folder that is not the databases stops the process by name`() async throws {
      let folder = try TemporaryFolder()
      let (own, other) = (folder.path + "/own", folder.path + "/other")
      let settings = try await TestDatabase.make(PlatformSchema.migrations)
      let pool = Pool(settings, size: 1)
      defer { pool.close() }
      let keys = try KeyFolder(folder: own)
      _ = try await pool.with { try KeyBinding.bind(keys, to: settings, $0) }
      let database =
        "host=\(settings.host) port=\(settings.port) user=\(settings.user) dbname=\(settings.database) password=s3cretword"
      let side = try OpenCRVSSide()
      let pipeline = UpPipeline(other, side: side, options: ["--database", database])
      let refused = try await pipeline.launch().ended()
      #expect(refused.code == 1 && refused.errors.contains("RPR-KEY-005"), "\(refused.errors)")
      #expect(refused.errors.contains(other) && refused.errors.contains(settings.database), "\(refused.errors)")
      #expect(!refused.errors.contains("s3cretword"))
      #expect(Files.names(in: other + "/platform/keys") == [])
      await side.stop()
    }
  }
}
