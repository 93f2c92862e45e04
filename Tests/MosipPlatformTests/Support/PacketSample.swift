import JSON
import Registration
import StageKit
import System

/// A packet, made and put into the store with nothing but the services under test.
enum PacketSample {
  private struct Keys: PacketKeys {
    let keys: any KeyManager
    func encrypt(_ plaintext: [UInt8], refId: String) async throws -> [UInt8] {
      try await keys.encryptPacket(plaintext, referenceId: refId)
    }
    func decrypt(_ blob: [UInt8], refId: String) async throws -> [UInt8] { try await keys.decryptPacket(blob, referenceId: refId) }
    func sign(_ plaintext: [UInt8], refId: String) async throws -> [UInt8] { try await keys.sign(plaintext) }
    func isSigned(_ plaintext: [UInt8], signature: [UInt8], refId: String) async throws -> Bool {
      try await keys.verify(plaintext, signature: signature, referenceId: refId)
    }
  }

  /// - Parameters:
  ///   - captures: the CBEFF file of the person.
  ///   - officer: the CBEFF file of the officer.
  static func store(in services: Services, rid: String, captures: [UInt8]? = nil, officer: [UInt8]? = nil) async throws {
    var draft = PacketDraft(
      rid: rid, source: "OPENCRVS", process: "OPENCRVS_NEW", refId: "10001_10002", schemaVersion: "0.1",
      schema: try IdSchema(json: World.idSchema),
      fields: ["IDSchemaVersion": "0.1", "fullName": [["language": "eng", "value": "Zoë Rao"]], "phone": "9898989898"],
      metaInfo: ["metaData": [["label": "centerId", "value": "10001"]]], audits: [["eventId": "A", "id": .string(rid)]],
      creationDate: Instant(iso: "2024-02-29T23:59:59.123Z")!)
    draft.documents["proofOfIdentity"] = PacketDocument(content: [1, 2, 3], type: "DOC001", format: "pdf")
    draft.biometrics["individualBiometrics"] = captures
    draft.officerBiometrics = officer
    let keys = Keys(keys: services.keys)
    let written = try await PacketWriter(keys: keys).write(draft)
    let container = try await PacketReader(keys: keys).openContainer(written.content, refId: "10001_10002")
    try await services.objects.put(
      try container.parts.map { part in
        StoredObject(
          key: part.path, bytes: try part.content.bytes(),
          metadata: Dictionary(uniqueKeysWithValues: part.info.metadata.map { ($0.key, $0.value) }))
      }, account: "packet-manager", container: rid)
  }
}
