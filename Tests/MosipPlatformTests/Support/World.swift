import HTTP
import JSON
import Postgres
import Registration
import StageKit
import StandIn
import Synchronization
import System
import TestSupport
import Testing

@testable import MosipPlatform
@testable import EmbeddedPlatform

/// The two implementations of the platform services.
enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case embedded
  case mosip
  var testDescription: String { rawValue }
}

/// Embedded services over a database and a folder of one test's own, and a stand-in MOSIP over them with clients that call it.
final class World: Sendable {
  let folder: String
  let pool: Pool
  let embedded: EmbeddedPlatform
  let standIn: StandInMosip
  let mosip: Services
  let settings: MosipSettings
  let base: String
  let waits: Waits
  let client: Client

  static let idSchema = Array(
    """
    {"definitions":{"simpleType":{"type":"array","items":{"type":"object","properties":{
      "language":{"type":"string"},"value":{"type":"string"}}}},"documentType":{"type":"object"},"biometricsType":{"type":"object"}},
    "properties":{"identity":{"additionalProperties":false,"required":["IDSchemaVersion","fullName","gender"],"properties":{
      "IDSchemaVersion":{"type":"number","fieldCategory":"none"},"UIN":{"type":"string","fieldCategory":"none"},
      "gender":{"$ref":"#/definitions/simpleType","fieldCategory":"pvt"},
      "dateOfBirth":{"type":"string","fieldCategory":"pvt","validators":[{"type":"regex","validator":"^[0-9/]{10}$"}]},
      "fullName":{"$ref":"#/definitions/simpleType","fieldCategory":"pvt"},
      "phone":{"type":"string","fieldCategory":"pvt"},
      "proofOfIdentity":{"$ref":"#/definitions/documentType","fieldCategory":"pvt"},
      "individualBiometrics":{"$ref":"#/definitions/biometricsType","fieldCategory":"pvt"}
    }}}}
    """.utf8)

  static let masterData = Array(
    #"{"gender": [{"code": "FLE", "eng": "Female", "fra": "Féminin"}, {"code": "MLE", "eng": "Male"}]}"#.utf8)

  /// Runs a test in a world, which is taken down behind it.
  static func run(calling: CallSettings = CallSettings(), tokenLife: Int = 1800, _ body: (World) async throws -> Void) async throws
  {
    let world = try World(await TestDatabase.make(PlatformSchema.migrations), calling, tokenLife)
    do {
      try await world.embedded.start()
      try await body(world)
    } catch {
      await world.end()
      throw error
    }
    await world.end()
  }

  private init(_ database: PostgresSettings, _ calling: CallSettings, _ tokenLife: Int) throws {
    folder = TemporaryFolder.make()
    pool = Pool(database, size: 6)
    embedded = try EmbeddedPlatform(
      folder: folder, pool: pool, register: NoRegister(), clock: SystemClock(), idSchema: Self.idSchema, roles: [:],
      hubURL: "http://hub",
      identifiers: IdentifierRules(uinFill: 40, vidFill: 40), masterData: BundledMasterData(json: Self.masterData))
    let keys = embedded.keys
    standIn = try StandInMosip(
      services: embedded.services, clients: ["us": "our-secret", "opencrvs-partner": "their-secret"],
      signer: try keys.pair("client").key.publicKey, tokenLife: tokenLife
    ) { try keys.pair("registration-\($0)").certificate }
    base = try standIn.start()
    waits = Waits()
    client = Client()
    settings = Self.settings(base, calling)
    mosip =
      MosipPlatform(
        settings, register: NoRegister(), envelopeKeys: embedded.services.envelopeKeys, objects: embedded.services.objects,
        virusScanner: NoVirusScanner(), http: CurlExchange(client), clock: SystemClock(), timing: waits.timing
      ).services
  }

  static func settings(_ base: String, _ calling: CallSettings = CallSettings()) -> MosipSettings {
    var urls: [MosipService: String] = [:]
    for service in MosipService.allCases { urls[service] = base }
    urls[.iam] = base + "/auth/realms/mosip"
    return MosipSettings(
      urls: urls, client: ClientCredentials(id: "us", secret: "our-secret"),
      clients: ["opencrvs-partner": ClientCredentials(id: "opencrvs-partner", secret: "their-secret")], languages: ["eng", "fra"],
      calling: calling)
  }

  func services(_ kind: Kind) -> Services { kind == .embedded ? embedded.services : mosip }

  private func end() async {
    await standIn.stop()
    client.close()
    await embedded.stop()
    pool.close()
    TemporaryFolder.remove(folder)
  }

  /// The first column of the first row.
  func number(_ sql: String) async throws -> Int? { try await pool.with { try $0.execute(sql).first?.intOrNull(0) } }
}

/// Tables that no test here asks.
struct NoRegister: RegistrationRegister {
  struct NotAsked: Error {}
  func sync(_ record: SyncRecord) async throws -> SyncRecord { throw NotAsked() }
  func synced(packetId: String) async throws -> SyncRecord? { throw NotAsked() }
  func synced(workflowInstanceId: String) async throws -> SyncRecord? { throw NotAsked() }
  func synced(rid: String) async throws -> [SyncRecord] { throw NotAsked() }
  func registration(workflowInstanceId: String) async throws -> RegistrationRecord? { throw NotAsked() }
  func registrations(rid: String) async throws -> [RegistrationRecord] { throw NotAsked() }
}
