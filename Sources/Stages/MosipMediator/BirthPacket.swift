import OpenCRVS
import Glibc
import JSON
import Registration
import StageKit
import System

/// The registration packet of a birth or of a correction
/// (docs/upstream/packet-and-crypto.md#2-what-the-mosip-side-mediator-puts-into-a-packet).
struct BirthPacket: Sendable {
  let event: OpenCRVSEvent
  let rid: String
  let referenceId: String
  let settings: StageSettings
  let mapping: BirthMapping
  /// The packet's process.
  let process: String
  /// What its meta data say beside what all packets say.
  var furtherLabels: [(name: String, value: String)] = []

  /// The upload file, an encrypted container of encrypted sub-packets, and what of the event is not in it
  /// (`BirthMapping.Identity.leftOut`).
  /// - Throws: `MediatorError` when no packet can be made of this event, `ServiceError` when a service is needed that
  ///   does not answer.
  func encoded(_ context: StageContext) async throws -> (content: [UInt8], leftOut: [String]) {
    try EventCheck.check(event.bundle, at: context.services.clock.now)
    let schema = try await context.idSchema(mapping.schemaVersion)
    let identity = try await mapping.identity(
      of: event.bundle, through: context.services.http, completedBy: schema, accepts: schema.accepts)
    let (content, leftOut) = try await written(identity.fields, context)
    return (content, identity.leftOut + leftOut)
  }

  /// The upload file of identity fields, and which of them the identity schema does not have.
  func written(_ fields: JSONObject, _ context: StageContext) async throws -> (content: [UInt8], leftOut: [String]) {
    let schema = try await context.idSchema(mapping.schemaVersion)
    let now = context.services.clock.now
    do {
      let draft = PacketDraft(
        rid: rid, source: settings.text("source"), process: process, refId: referenceId,
        schemaVersion: mapping.schemaVersion, schema: schema,
        fields: Dictionary(fields.map { ($0.key, $0.value) }) { _, last in last }, metaInfo: metaInfo(at: now),
        audits: audits(at: now),
        creationDate: now)
      let packet = try await PacketWriter(keys: ServiceKeys(keys: context.services.keys)).write(draft)
      if !packet.ignoredFields.isEmpty {
        context.log.warning(
          "the id schema lacks fields of a birth",
          ["rid": rid, "fields": packet.ignoredFields.sorted().joined(separator: " ")])
      }
      return (packet.content, packet.ignoredFields.sorted().map { "\($0): the identity schema has no such field" })
    } catch let error as PacketError {
      context.log.warning("a packet cannot be made", ["rid": rid, "error": ErrorText.of(error)])
      throw MediatorError(.packetCreation, "the packet cannot be made (\(error.message))")
    }
  }

  /// What the sender says of the packet (docs/upstream/packet-and-crypto.md#23-meta-information).
  func metaInfo(at now: Instant) -> JSONObject {
    func labelled(_ pairs: [(String, JSONValue)]) -> JSONValue {
      .array(pairs.map { ["label": .string($0.0), "value": $0.1] })
    }
    var metaData: [(String, JSONValue)] = [
      ("registrationType", .string(process)), ("uin", .string(rid)),
      ("centerId", .string(settings.text("center-id"))), ("machineId", .string(settings.text("machine-id"))),
    ]
    if let number = event.bundle.registrationNumber { metaData.append(("opencrvsBRN", .string(number))) }
    metaData += furtherLabels.map { ($0.name, .string($0.value)) }
    let operations = [
      "officerId", "officerBiometricFileName", "supervisorId", "supervisorBiometricFileName", "supervisorPassword",
      "officerPassword",
      "supervisorPIN", "officerPIN", "supervisorOTPAuthentication", "officerOTPAuthentication",
    ]
    return [
      "metaData": labelled(metaData), "operationsData": labelled(operations.map { ($0, .null) }),
      "capturedRegisteredDevices": [],
      "documents": [], "registrationId": .string(rid), "creationDate": .string(now.iso),
    ]
  }

  /// The packet's one audit entry (docs/upstream/packet-and-crypto.md#24-audits).
  func audits(at now: Instant) -> [JSONObject] {
    [
      [
        "uuid": .string(SecureRandom.uuid()), "createdAt": .string(now.iso), "eventId": "OPENCRVS_CREATE_PACKET",
        "eventName": "opencrvs packet created", "eventType": "OPENCRVS", "actionTimeStamp": .string(now.iso),
        "hostName": .string(Self.hostName), "hostIp": "127.0.0.1", "applicationId": .string(settings.text("app-id")),
        "applicationName": .string(settings.text("app-name")), "id": .string(rid), "idType": "REGISTRATION_ID",
      ]
    ]
  }

  private static let hostName: String = {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    return name.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }()
}
