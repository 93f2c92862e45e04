import ObjectStores
import Glibc
import MosipPlatform
import EmbeddedPlatform
import Postgres
import Registration
import StandIn
import StageKit
import System
import TestSupport
import Testing

extension ProgramTests {
  /// The program on services that are not its own: MOSIP's, and an object store in S3.
  @Suite struct OutsideServicesTests {
    @Test func `up on MOSIPs services takes births to their tokens`() async throws {
      let folder = try TemporaryFolder()
      let side = try OpenCRVSSide()
      let data = folder.path + "/data"
      // MOSIP's packet manager and the stages share the object store.
      try Folder.make(data)
      try Folder.make(data + "/platform")
      let pool = Pool(try await TestDatabase.make(PlatformSchema.migrations), size: 6)
      let embedded = try EmbeddedPlatform(
        folder: data + "/platform", pool: pool, register: NoRegister(), clock: SystemClock(),
        idSchema: try #require(TemporaryFolder.read(Program.repository + "/stages/packet-validator/id-schema.json")), roles: [:],
        hubURL: "http://hub", identifiers: IdentifierRules(uinFill: 40, vidFill: 40))
      try await embedded.start()
      let keys = embedded.keys
      let names = ["opencrvs", "opencrvs-mediator", "opencrvs-partner"]
      let mosip = try StandInMosip(
        services: embedded.services, clients: Dictionary(uniqueKeysWithValues: (names + ["us"]).map { ($0, $0 + "-secret") }),
        signer: try keys.pair("client").key.publicKey
      ) { try keys.pair("registration-\($0)").certificate }
      let base = try mosip.start()

      var lines =
        "platform: mosip\nmosip:\n  client-id: us\n  client-secret-file: \(try folder.write("us-secret\n", to: "secret"))\n"
      let clients = names.map { "\($0).id = \($0)\n\($0).secret = \($0)-secret\n" }.joined()
      lines += "  clients-file: \(try folder.write(clients, to: "clients"))\n  iam-url: \(base)/auth/realms/mosip\n"
      for service in MosipService.allCases where service != .iam { lines += "  \(service.rawValue)-url: \(base)/\n" }
      let pipeline = UpPipeline(data, side: side, options: ["--settings", try folder.write(lines, to: "mosip.yaml")])
      let births = OpenCRVSSide.births(2, run: "ONMOSIP")
      let program = try await pipeline.start()
      let sender = WebhookSender(births, to: pipeline.url + "/webhooks")
      sender.allow(births.count)
      await sender.run()
      let numbers = births.map(\.registrationNumber)
      #expect(try await eventually({ side.standIn.ended(among: numbers) == births.count }), "\(program.errors)")
      for number in numbers {
        let returned = side.standIn.returned(number)
        #expect(returned.token?.utf8.count == 36 && returned.error == nil, "\(program.errors)")
        let identity = try await embedded.services.identities.identity(.rid(returned.rid ?? ""))
        #expect(identity?.status == "ACTIVATED", "the identity is MOSIP's")
        #expect(!program.errors.contains(identity?.uin ?? "no identity"), "no UIN is in the log")
      }
      #expect(mosip.count("/draft/publish/") == 2 && mosip.count("/searchFields") > 0 && mosip.count("/tokenid/") == 4)
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0)
      await mosip.stop()
      await embedded.stop()
      await side.stop()
      pool.close()
    }

    @Test(.enabled(if: S3Server.isThere)) func `the demo keeps its packets in s 3`() async throws {
      let folder = try TemporaryFolder()
      let s3 = try await S3Server.settings()
      let secret = try folder.write(s3.secretKey + "\n", to: "secret")
      let prefix = "t" + Encoding.hex(SecureRandom.bytes(4)) + "-"
      let file = try folder.write(
        "object-store: s3\ns3:\n  url: \(s3.url)\n  access-key: \(s3.accessKey)\n  secret-key-file: \(secret)\n  bucket-prefix: \(prefix)\n",
        to: "s3.yaml")
      let doctor = try await Program.run("doctor", "--settings", file, "--data", folder.path + "/data")
      #expect(doctor.lines.contains { $0.hasPrefix("good  s3") }, "\(doctor.output)")
      let ended = try await Program.run("demo", "--births", "2", "--json", "--settings", file, "--data", folder.path + "/data")
      #expect(ended.code == 0, "\(ended.errors)")
      #expect(!TemporaryFolder.names(in: folder.path + "/data/platform").contains("objects"))
      let rid = try #require(ended.lines.first).split(separator: "\"rid\":\"").last?.prefix(29)
      var store = s3
      store.bucketPrefix = prefix
      let keys = try await S3ObjectStore(store, http: CurlExchange()).keys(
        account: "packet-manager", container: String(rid ?? ""), prefix: "OPENCRVS/OPENCRVS_NEW/")
      #expect(keys.count == 3, "\(keys)")
    }
  }
}

/// Folders of mode 0700.
private enum Folder {
  static func make(_ path: String) throws {
    guard mkdir(path, 0o700) == 0 else { throw Program.NotStarted(reason: "mkdir \(path)") }
  }
}

/// Tables that MOSIP keeps elsewhere.
private struct NoRegister: RegistrationRegister {
  struct NotAsked: Error {}
  func sync(_ record: SyncRecord) async throws -> SyncRecord { throw NotAsked() }
  func synced(packetId: String) async throws -> SyncRecord? { throw NotAsked() }
  func synced(workflowInstanceId: String) async throws -> SyncRecord? { throw NotAsked() }
  func synced(rid: String) async throws -> [SyncRecord] { throw NotAsked() }
  func registration(workflowInstanceId: String) async throws -> RegistrationRecord? { throw NotAsked() }
  func registrations(rid: String) async throws -> [RegistrationRecord] { throw NotAsked() }
}
