import ObjectStores
import Cryptography
import JSON
import Registration
import StageKit
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform

@Suite(.serialized, .timeLimit(.minutes(30))) struct PacketManagerTests {
  private static let rid = "10001100020000120240229235959"
  private static let path = "OPENCRVS/OPENCRVS_NEW/\(rid)"
  private static let reference = PacketReference(rid: rid, source: "OPENCRVS", process: "OPENCRVS_NEW")
  private static let schema = Array(
    """
    {"definitions":{
    "simpleType":{"type":"array","items":{"type":"object","additionalProperties":false,"required":["language","value"],
      "properties":{"language":{"type":"string"},"value":{"type":"string"}}}},
    "documentType":{"type":"object"},"biometricsType":{"type":"object"}},
    "properties":{"identity":{"required":["IDSchemaVersion"],"properties":{
      "IDSchemaVersion":{"type":"number","fieldCategory":"none"},
      "fullName":{"$ref":"#/definitions/simpleType","fieldCategory":"pvt"},
      "phone":{"type":"string","fieldCategory":"pvt"},
      "proofOfIdentity":{"$ref":"#/definitions/documentType","fieldCategory":"pvt"}
    }}}}
    """.utf8)

  private struct Stand: Sendable {
    var packets: EmbeddedPacketManager
    var objects: FileObjectStore
    var manager: EmbeddedKeyManager
  }

  private func stand(_ world: World) throws -> Stand {
    let manager = EmbeddedKeyManager(keys: world.keys, blocking: world.blocking)
    let objects = FileObjectStore(folder: world.folder + "/objects", blocking: world.blocking)
    return Stand(
      packets: EmbeddedPacketManager(
        objects: objects, keys: manager, schemas: try BundledIdSchemas(version: "0.1", json: Self.schema),
        pool: world.pool, blocking: world.blocking),
      objects: objects, manager: manager)
  }

  /// Puts a packet into the store as the uploader does.
  private func store(
    _ stand: Stand, process: String = "OPENCRVS_NEW", name: String = "Zoë Rao", document: [UInt8] = [1, 2, 3]
  ) async throws {
    var draft = PacketDraft(
      rid: Self.rid, source: "OPENCRVS", process: process, refId: "10001_10002", schemaVersion: "0.1",
      schema: try IdSchema(json: Self.schema),
      fields: [
        "IDSchemaVersion": "0.1", "fullName": [["language": "eng", "value": .string(name)]], "phone": "9898989898",
      ],
      metaInfo: ["metaData": [["label": "centerId", "value": "10001"]]],
      audits: [["eventId": "A", "id": .string(Self.rid)]],
      creationDate: Instant(iso: "2024-02-29T23:59:59.123Z")!)
    draft.documents["proofOfIdentity"] = PacketDocument(content: document, type: "DOC001", format: "pdf")
    let written = try await PacketWriter(keys: stand.manager).write(draft)
    let container = try await PacketReader(keys: stand.manager).openContainer(written.content, refId: "10001_10002")
    for part in container.parts {
      try await stand.objects.put(
        part.content, metadata: Dictionary(uniqueKeysWithValues: part.info.metadata.map { ($0.key, $0.value) }),
        account: "packet-manager", container: Self.rid, key: part.path)
    }
  }

  @Test func `a large packet is read from its files and its reading is kept like a small ones`() async throws {
    try await World.run { world async throws in
      let stand = try stand(world)
      let document = SecureRandom.bytes(6 << 20)
      try await store(stand, document: document)
      let source = try await stand.objects.source(
        account: "packet-manager", container: Self.rid, key: "OPENCRVS/OPENCRVS_NEW/\(Self.rid)_id")
      #expect(try #require(source).isSmall == false)
      for _ in 1...2 {
        #expect(try await stand.packets.validate(Self.reference).isEmpty)
        #expect(try await stand.packets.fields(["phone"], of: Self.reference) == ["phone": "9898989898"])
      }
      let content = try await stand.packets.document("proofOfIdentity", of: Self.reference)?.content ?? []
      #expect(Hash.sha256(content) == Hash.sha256(document))
      // A flipped bit in the midst of the large part is noticed, whatever was kept.
      let key = "OPENCRVS/OPENCRVS_NEW/\(Self.rid)_id"
      var bytes = try #require(try await stand.objects.get(account: "packet-manager", container: Self.rid, key: key))
      bytes[3 << 20] ^= 1
      try await stand.objects.put(bytes, account: "packet-manager", container: Self.rid, key: key)
      #expect(await code { try await stand.packets.allFields(of: Self.reference) } == "KER-PUT-019")
    }
  }

  @Test func `fields documents audits and meta information of a packet are read`() async throws {
    try await World.run { world async throws in
      let stand = try stand(world)
      try await store(stand)
      let packets = stand.packets
      for source in ["OPENCRVS", nil] {
        var reference = Self.reference
        reference.source = source
        let fields = try await packets.fields(["fullName", "phone", "none"], of: reference)
        #expect(Set(fields.keys) == ["fullName", "phone"] && fields["phone"] == "9898989898")
        #expect(
          try JSONValue.parse(Array((fields["fullName"] ?? "").utf8)) == [["language": "eng", "value": "Zoë Rao"]])
      }
      #expect(try await packets.allFields(of: Self.reference)["phone"] == "9898989898")
      #expect(try await packets.document("proofOfIdentity", of: Self.reference)?.content == [1, 2, 3])
      #expect(try await packets.document("none", of: Self.reference) == nil)
      #expect(try await packets.audits(of: Self.reference).map { $0["eventId"] } == ["A"])
      let meta = try await packets.metaInfo(of: Self.reference)
      #expect(meta["creationDate"] == "2024-02-29T23:59:59.123Z" && meta["metaData"]?.contains("centerId") == true)
      #expect(try await packets.validate(Self.reference) == [])
    }
  }

  @Test func `a packet that is not there is said so each time`() async throws {
    try await World.run { world async throws in
      let stand = try stand(world)
      #expect(await code { try await stand.packets.allFields(of: Self.reference) } == "KER-PUT-027")
      try await store(stand)
      var other = Self.reference
      other.process = "NEW"
      #expect(await code { try await stand.packets.allFields(of: other) } == "KER-PUT-027")
      other = Self.reference
      other.iteration = 2
      #expect(await code { try await stand.packets.allFields(of: other) } == "KER-PUT-027")
      other = Self.reference
      other.source = "OTHER"
      #expect(await code { try await stand.packets.allFields(of: other) } == "KER-PUT-027")
      try await stand.objects.delete(account: "packet-manager", container: Self.rid, key: Self.path + "_evidence")
      #expect(await code { try await stand.packets.allFields(of: Self.reference) } == "KER-PUT-027")
    }
  }

  @Test(arguments: ["_id", "_evidence", "_optional"])
  func `a packet in which one bit was changed is not trusted`(_ part: String) async throws {
    try await World.run { world async throws in
      let stand = try stand(world)
      try await store(stand)
      // Read before, so that what is kept in memory cannot speak for what is stored now.
      #expect(try await stand.packets.validate(Self.reference) == [])
      let key = Self.path + part
      var bytes = try #require(try await stand.objects.get(account: "packet-manager", container: Self.rid, key: key))
      bytes[bytes.count / 2] ^= 1
      try await stand.objects.put(bytes, account: "packet-manager", container: Self.rid, key: key)
      #expect(await code { try await stand.packets.allFields(of: Self.reference) } == "KER-PUT-019")
    }
  }

  @Test func `a signature that belongs to other bytes is not trusted`() async throws {
    try await World.run { world async throws in
      let stand = try stand(world)
      try await store(stand)
      let key = Self.path + "_id"
      var metadata = try #require(
        try await stand.objects.metadata(account: "packet-manager", container: Self.rid, key: key))
      metadata["signature"] = Encoding.base64URL(try await stand.manager.sign([1, 2, 3]))
      try await stand.objects.setMetadata(metadata, account: "packet-manager", container: Self.rid, key: key)
      #expect(await code { try await stand.packets.allFields(of: Self.reference) } == "KER-PUT-019")
      #expect(try await stand.packets.validate(Self.reference).map(\.code).contains("KER-PUT-019"))
    }
  }

  @Test func `a packet that was sent again is read anew`() async throws {
    try await World.run { world async throws in
      let stand = try stand(world)
      try await store(stand, name: "Before")
      #expect(try await stand.packets.allFields(of: Self.reference)["fullName"]?.contains("Before") == true)
      try await store(stand, name: "After")
      #expect(try await stand.packets.allFields(of: Self.reference)["fullName"]?.contains("After") == true)
    }
  }

  @Test func `a schema is found by its version as a number and each version has one`() async throws {
    let schemas = try BundledIdSchemas(["0.1": Self.schema, "0.2": Self.schema, "draft": Self.schema])
    for version in ["0.1", "0.100", "0.2", "draft"] { #expect(try await schemas.schema(version: version) != nil, "\(version)") }
    for version in ["1", "0.3", ""] { #expect(try await schemas.schema(version: version) == nil, "\(version)") }
    #expect(throws: ServiceError.self) { try BundledIdSchemas(["0.1": Self.schema, "0.10": Self.schema]) }
  }

  @Test func `a process without a list of mandatory attributes is not valid`() async throws {
    try await World.run { world async throws in
      let stand = try stand(world)
      try await store(stand, process: "CRVS_MARRIAGE")
      var reference = Self.reference
      reference.process = "CRVS_MARRIAGE"
      let faults = try await stand.packets.validate(reference)
      #expect(faults.map(\.code) == ["KER-IOV-004"])
      #expect(faults.first?.message.contains("no mandatory attributes are set for the process CRVS_MARRIAGE") == true)
    }
  }

  @Test func `a countrys own rules are held`() async throws {
    try await World.run { world async throws in
      var stand = try stand(world)
      try await store(stand)
      stand.packets = EmbeddedPacketManager(
        objects: stand.objects, keys: stand.manager, schemas: try BundledIdSchemas(version: "0.1", json: Self.schema),
        pool: world.pool,
        blocking: world.blocking, rules: IdObjectRules(mandatoryAttributes: [:]))
      #expect(try await stand.packets.validate(Self.reference).count == 1)
    }
  }

  @Test func `captures are read from their file and a file that is none is refused`() async throws {
    try await World.run { world async throws in
      let stand = try stand(world)
      try await store(stand)
      #expect(try await stand.packets.biometrics("individualBiometrics", of: Self.reference) == nil)
      #expect(try await stand.packets.biometrics("officer_bio_cbeff", of: Self.reference) == nil)
      #expect(
        await code { try await stand.packets.biometrics("proofOfIdentity", of: Self.reference) } == ServiceError.badBiometrics)
    }
  }

  @Test func `tags are set read and removed one by one`() async throws {
    try await World.run { world async throws in
      let packets = try stand(world).packets
      #expect(try await packets.tags(of: "1", named: nil) == [:])
      try await packets.addOrUpdateTags(of: "1", ["AGE_GROUP": "INFANT", "ID_OBJECT-gender": "ਔਰਤ '\"\\"])
      try await packets.addOrUpdateTags(of: "1", ["AGE_GROUP": "MINOR"])
      try await packets.addOrUpdateTags(of: "1", [:])
      try await packets.addOrUpdateTags(of: "2", ["AGE_GROUP": "ADULT"])
      #expect(try await packets.tags(of: "1", named: nil) == ["AGE_GROUP": "MINOR", "ID_OBJECT-gender": "ਔਰਤ '\"\\"])
      #expect(try await packets.tags(of: "1", named: ["AGE_GROUP", "none"]) == ["AGE_GROUP": "MINOR"])
      try await packets.deleteTags(of: "1", named: ["AGE_GROUP", "none"])
      #expect(try await packets.tags(of: "1", named: nil).keys.sorted() == ["ID_OBJECT-gender"])
      #expect(try await packets.tags(of: "2", named: nil) == ["AGE_GROUP": "ADULT"])
    }
  }

  @Test func `tags set at once are all there`() async throws {
    try await World.run { world async throws in
      let packets = try stand(world).packets
      try await withThrowingTaskGroup(of: Void.self) { group in
        for n in 0..<12 {
          group.addTask { try await packets.addOrUpdateTags(of: "1", ["T\(n)": "\(n)", "shared": "x"]) }
        }
        try await group.waitForAll()
      }
      #expect(try await packets.tags(of: "1", named: nil).count == 13)
    }
  }
}
