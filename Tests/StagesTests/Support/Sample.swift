import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import Stages
import System

/// What the tests speak of.
enum Sample {
  static let rid = "45451454520000120240229235959"
  static let instance = "5d0f3c0e-4c7e-4c0e-9a54-0d7d1f1f8a11"
  static let referenceId = "45451_45452"
  static let now = Instant(iso: "2024-03-01T12:00:00.000Z")!

  static func message(process: String = "OPENCRVS_NEW") -> Message {
    try! Message(process: process, rid: rid, iteration: 1, workflowInstanceId: instance)
  }

  static func announcement(
    of packet: [UInt8] = [], rid: String = rid, packetId: String? = nil, workflowInstanceId: String = instance,
    process: String = "OPENCRVS_NEW", supervisorStatus: String = "APPROVED", additionalInfoRequestId: String? = nil
  ) -> SyncRecord {
    SyncRecord(
      workflowInstanceId: workflowInstanceId, rid: rid, packetId: packetId ?? rid, process: process,
      packetChecksum: checksum(packet), packetSize: packet.count, supervisorStatus: supervisorStatus,
      supervisorComment: nil, languageCode: "eng", additionalInfoRequestId: additionalInfoRequestId,
      referenceId: referenceId, source: nil)
  }

  static func row(
    workflowInstanceId: String = instance, rid: String = rid, process: String = "OPENCRVS_NEW",
    status: String = "PROCESSING", type: String? = "PACKET_RECEIVER", retryCount: Int = 0, createdAt: Instant = now
  ) -> RegistrationRecord {
    RegistrationRecord(
      workflowInstanceId: workflowInstanceId, rid: rid, process: process, iteration: 1, statusCode: status,
      latestTransactionStatus: "SUCCESS", latestTransactionType: type, latestTransactionAt: createdAt,
      retryCount: retryCount, createdAt: createdAt, lastSuccessStage: nil)
  }

  static func identity(
    uin: String = "5075291708", rid: String = rid, status: String = "ACTIVATED", fields: JSONValue = [:]
  )
    -> Identity
  { Identity(uin: uin, rid: rid, status: status, fields: fields) }

  /// The platform's notation of a checksum, written out here so that the stages are held to it.
  static func checksum(_ bytes: [UInt8]) -> String { Encoding.upperHex(Hash.sha256(bytes)) }
}

struct FixedClock: WallClock { let now: Instant }

/// Services that no stage of this folder uses.
private struct Absent: EnvelopeKeys, WebSubHub, RIDGenerator, HTTPExchange, StageStore {
  func seal(_ plaintext: [UInt8], for owner: String) async throws -> [UInt8] { throw Broken.unavailable }
  func open(_ envelope: [UInt8], as owner: String) async throws -> [UInt8] { throw Broken.unavailable }
  func sign(_ data: [UInt8], as owner: String) async throws -> [UInt8] { throw Broken.unavailable }
  func verify(_ data: [UInt8], signature: [UInt8], of owner: String) async throws -> Bool { false }
  func code(_ message: [UInt8], label: String, as owner: String) async throws -> [UInt8] { throw Broken.unavailable }
  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws {}
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws {}
  func next(centerId: String, machineId: String) async throws -> RID { throw Broken.unavailable }
  func send(_ request: ClientRequest) async throws -> ClientResponse { throw Broken.unavailable }
  func record(_ collection: String, _ key: String) async throws -> StageRecord? { nil }
  func records(_ collection: String, where member: String, is value: String, after key: String?, limit: Int) async throws
    -> [StageRecord]
  { [] }
  func commit(_ changes: [StageChange]) async throws {}
}

extension World {
  /// The context of a stage in this world.
  nonisolated func context(_ stage: String, now: Instant = Sample.now) -> StageContext {
    let unused = Absent()
    var services = Services(
      packets: self, registrations: self, identities: self, keys: self, envelopeKeys: unused, credentials: self,
      hub: unused, objects: self, audit: self, rids: unused, schemas: self, virusScanner: self, tokens: self,
      http: unused, clock: FixedClock(now: now))
    (services.masterData, services.biometrics, services.preRegistration) = (self, self, self)
    (services.identityAuthentication, services.notifier) = (self, self)
    return StageContext(stage: stage, services: services, store: unused, pipeline: self)
  }

  /// Lets a stage of a plugin judge the sample message.
  nonisolated func judge<S: StagePlugin>(
    _ plugin: S.Type, _ settings: [String: SettingValue] = [:], process: String = "OPENCRVS_NEW",
    now: Instant = Sample.now
  ) async throws -> Verdict {
    let stage = try make(plugin, settings)
    return try await stage.process(Sample.message(process: process), context(S.spec.name, now: now))
  }
}

/// A plugin with settings over its defaults.
func make<S: StagePlugin>(_ plugin: S.Type, _ settings: [String: SettingValue] = [:]) throws -> S {
  try S(settings: StageSettings(stage: S.spec.name, declared: S.spec.settings, given: settings))
}
