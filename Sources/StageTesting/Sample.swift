import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import System

/// A made-up registration, for tests to speak of.
public enum Sample {
  /// Its RID.
  public static let rid = "45451454520000120240229235959"
  /// Its workflow instance.
  public static let instance = "5d0f3c0e-4c7e-4c0e-9a54-0d7d1f1f8a11"
  /// The reference id of its keys: center and machine.
  public static let referenceId = "45451_45452"
  /// The moment of the test: a day after it was registered.
  public static let now = Instant(iso: "2024-03-01T12:00:00.000Z")!

  /// Its message.
  public static func message(process: String = "OPENCRVS_NEW") -> Message {
    try! Message(process: process, rid: rid, iteration: 1, workflowInstanceId: instance)
  }

  /// What the registration client announced of it.
  public static func announcement(
    of packet: [UInt8] = [], rid: String = rid, packetId: String? = nil, workflowInstanceId: String = instance,
    process: String = "OPENCRVS_NEW", supervisorStatus: String = "APPROVED", additionalInfoRequestId: String? = nil
  ) -> SyncRecord {
    SyncRecord(
      workflowInstanceId: workflowInstanceId, rid: rid, packetId: packetId ?? rid, process: process,
      packetChecksum: checksum(packet), packetSize: packet.count, supervisorStatus: supervisorStatus,
      supervisorComment: nil, languageCode: "eng", additionalInfoRequestId: additionalInfoRequestId,
      referenceId: referenceId, source: nil)
  }

  /// Its row of MOSIP's `registration`.
  public static func row(
    workflowInstanceId: String = instance, rid: String = rid, process: String = "OPENCRVS_NEW",
    status: RegistrationStatus = .processing, type: String? = "PACKET_RECEIVER", retryCount: Int = 0, createdAt: Instant = now
  ) -> RegistrationRecord {
    RegistrationRecord(
      workflowInstanceId: workflowInstanceId, rid: rid, process: process, iteration: 1, statusCode: status,
      latestTransactionStatus: "SUCCESS", latestTransactionType: type, latestTransactionAt: createdAt,
      retryCount: retryCount, createdAt: createdAt, lastSuccessStage: nil)
  }

  /// The person in the id repository.
  public static func identity(
    uin: String = "5075291708", rid: String = rid, status: String = "ACTIVATED", fields: JSONValue = [:]
  )
    -> Identity
  { Identity(uin: uin, rid: rid, status: status, fields: fields) }

  /// The platform's notation of a checksum, written out here so that the stages are held to it.
  public static func checksum(_ bytes: [UInt8]) -> String { Encoding.upperHex(Hash.sha256(bytes)) }
}

/// A clock that stands.
public struct FixedClock: WallClock {
  /// What it always says.
  public let now: Instant

  /// A clock that says this for ever.
  public init(now: Instant) { self.now = now }
}

/// What a stage asked for is not there in its test.
public struct NotInThisTest: Error, Equatable {
  /// What it is.
  public var service: String

  /// A service that is missing.
  public init(_ service: String) { self.service = service }
}

/// Services that are not in memory: a test that needs one makes its own.
private struct Absent: EnvelopeKeys, WebSubHub, RIDGenerator, HTTPExchange {
  func seal(_ plaintext: [UInt8], for owner: String) async throws -> [UInt8] { throw NotInThisTest("envelope keys") }
  func open(_ envelope: [UInt8], as owner: String) async throws -> [UInt8] { throw NotInThisTest("envelope keys") }
  func sign(_ data: [UInt8], as owner: String) async throws -> [UInt8] { throw NotInThisTest("envelope keys") }
  func verify(_ data: [UInt8], signature: [UInt8], of owner: String) async throws -> Bool { throw NotInThisTest("envelope keys") }
  func code(_ message: [UInt8], label: String, as owner: String) async throws -> [UInt8] { throw NotInThisTest("envelope keys") }
  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws { throw NotInThisTest("hub") }
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws { throw NotInThisTest("hub") }
  func next(centerId: String, machineId: String) async throws -> RID { throw NotInThisTest("RID generator") }
  func send(_ request: ClientRequest) async throws -> ClientResponse { throw NotInThisTest("HTTP") }
}

extension TestPlatform {
  /// The context of a stage in this world.
  public nonisolated func context(_ stage: String, now: Instant = Sample.now) -> StageContext {
    let unused = Absent()
    var services = Services(
      packets: self, registrations: self, identities: self, keys: self, envelopeKeys: unused, credentials: self,
      hub: unused, objects: self, audit: self, rids: unused, schemas: self, virusScanner: self, tokens: self,
      http: unused, clock: FixedClock(now: now))
    (services.masterData, services.biometrics, services.preRegistration) = (self, self, self)
    (services.identityAuthentication, services.notifier) = (self, self)
    return StageContext(stage: stage, services: services, store: store.of(stage), pipeline: self)
  }

  /// Lets a stage of a plugin judge the sample message, and keeps what its verdict changes.
  public nonisolated func judge<S: StagePlugin>(
    _ plugin: S.Type, _ settings: [String: SettingValue] = [:], process: String = "OPENCRVS_NEW",
    now: Instant = Sample.now
  ) async throws -> Verdict {
    let stage = try make(plugin, settings)
    let verdict = try await stage.process(Sample.message(process: process), context(S.spec.name, now: now))
    try store.commit(verdict.changes, of: S.spec.name)
    return verdict
  }
}

/// A plugin with settings over its defaults.
public func make<S: StagePlugin>(_ plugin: S.Type, _ settings: [String: SettingValue] = [:]) throws -> S {
  try S(settings: StageSettings(stage: S.spec.name, declared: S.spec.settings, given: settings))
}
