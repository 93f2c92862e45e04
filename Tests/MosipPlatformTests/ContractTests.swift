import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import MosipPlatform
@testable import EmbeddedPlatform

/// What the protocols promise, of both implementations.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ContractTests {
  private static let rid = "10001100020000120240229235959"
  private static let other = "10001100020000220240229235959"
  private static let third = "10001100020000320240229235959"
  private static let fields: JSONValue = [
    "fullName": [["language": "eng", "value": "Zoë Rao"]], "gender": [["language": "eng", "value": "Female"]],
    "IDSchemaVersion": 0.1,
  ]

  private func birth(_ repository: any IdentityRepository, _ rid: String) async throws -> String? {
    try await repository.createDraft(rid: rid, uin: nil, idempotencyKey: "\(rid):uin-generator")
    let document = IdentityDocument(category: "POI", bytes: Array("%PDF-1.4".utf8))
    try await repository.updateDraft(rid: rid, fields: Self.fields, documents: [document], idempotencyKey: "\(rid):uin-generator")
    return try await repository.publishDraft(rid: rid, idempotencyKey: "\(rid):finalization")
  }

  @Test(arguments: Kind.allCases) func `a birth becomes an active identity with one perpetual VID, found by UIN, VID and RID`(
    _ kind: Kind
  )
    async throws
  {
    try await World.run { world async throws in
      let repository = world.services(kind).identities
      #expect(try await repository.identity(.rid(Self.rid)) == nil)
      #expect(try await birth(repository, Self.rid) == "ACTIVATED")
      let identity = try #require(try await repository.identity(.rid(Self.rid)))
      #expect(identity.status == "ACTIVATED" && identity.fields["fullName"]?[0]?["value"]?.string == "Zoë Rao")
      let vids = try await repository.vids(uin: identity.uin)
      #expect(vids.map(\.type) == ["PERPETUAL"] && vids.map(\.status) == ["ACTIVE"] && vids[0].expiresAt == nil)
      for reference in [IdentityReference.uin(identity.uin), .vid(vids[0].vid)] {
        let found = try await repository.identity(reference)
        #expect(found?.rid == Self.rid && found?.uin == identity.uin)
      }
      #expect(try await world.number("SELECT count(*) FROM platform.identity_document") == 1)
      #expect(try await repository.vids(uin: "5075291708").isEmpty)
    }
  }

  @Test(arguments: Kind.allCases) func `every step may be repeated and the RID keeps its UIN`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let repository = world.services(kind).identities
      for _ in 1...3 { #expect(try await birth(repository, Self.rid) == "ACTIVATED") }
      let uin = try #require(try await repository.identity(.rid(Self.rid))).uin
      for _ in 1...2 { #expect(try await repository.publishDraft(rid: Self.rid, idempotencyKey: "k") == "ACTIVATED") }
      #expect(try await repository.vids(uin: uin).count == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 1)
      #expect(try await repository.hasDraft(rid: Self.rid) == false)
      #expect(try await repository.publishDraft(rid: Self.other, idempotencyKey: "k") == nil)
    }
  }

  @Test(arguments: Kind.allCases) func `many at once for one RID make one identity`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let repository = world.services(kind).identities
      let answers = try await withThrowingTaskGroup(of: String?.self) { group in
        for _ in 0..<6 { group.addTask { try await birth(repository, Self.rid) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers == Array(repeating: "ACTIVATED", count: 6))
      #expect(try await world.number("SELECT count(*) FROM platform.identity") == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 1)
    }
  }

  @Test(arguments: Kind.allCases) func `an identity is deactivated and changed, and a repeat answers the same`(_ kind: Kind)
    async throws
  {
    try await World.run { world async throws in
      let repository = world.services(kind).identities
      _ = try await birth(repository, Self.rid)
      let uin = try #require(try await repository.identity(.rid(Self.rid))).uin
      for _ in 1...2 {
        try await repository.update(uin: uin, rid: Self.other, status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      }
      #expect(try await repository.identity(.uin(uin))?.status == "DEACTIVATED")
      #expect(try await repository.identity(.uin(uin))?.rid == Self.other)
      try await repository.update(uin: uin, rid: Self.third, status: nil, fields: ["phone": "1"], idempotencyKey: "k")
      let changed = try await repository.identity(.uin(uin))
      #expect(changed?.fields["phone"]?.string == "1" && changed?.fields["fullName"] != nil)
      // A RID of one identity is none of another's.
      _ = try await birth(repository, "10001100020000420240229235959")
      let second = try #require(try await repository.identity(.rid("10001100020000420240229235959"))).uin
      let refused = await fault {
        try await repository.update(uin: second, rid: Self.other, status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      }
      #expect(refused?.code == "IDR-IDC-012" && refused?.kind == .conflict)
      #expect(
        await fault { try await repository.updateDraft(rid: "9", fields: [:], documents: [], idempotencyKey: "k") }?.code
          == "IDR-IDC-007")
    }
  }

  @Test(arguments: Kind.allCases) func `packets are encrypted, signed and read`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let services = world.services(kind)
      try await PacketSample.store(in: services, rid: Self.rid)
      let packet = PacketReference(rid: Self.rid, source: "OPENCRVS", process: "OPENCRVS_NEW")
      let fields = try await services.packets.fields(["fullName", "phone", "none"], of: packet)
      #expect(fields.keys.sorted() == ["fullName", "phone"] && fields["phone"] == "9898989898")
      #expect(
        try await services.packets.allFields(of: packet).keys.sorted() == [
          "IDSchemaVersion", "fullName", "phone", "proofOfIdentity",
        ])
      #expect(try await services.packets.metaInfo(of: packet)["metaData"]?.contains("centerId") == true)
      #expect(try await services.packets.audits(of: packet).map { $0["eventId"] } == ["A"])
      #expect(try await services.packets.document("proofOfIdentity", of: packet)?.content == [1, 2, 3])
      #expect(try await services.packets.document("none", of: packet) == nil)
      #expect(try await services.packets.validate(packet) == [])
      let missing = PacketReference(rid: Self.other, source: "OPENCRVS", process: "OPENCRVS_NEW")
      let fault = await fault { try await services.packets.metaInfo(of: missing) }
      #expect(fault?.code == "KER-PUT-027" && fault?.kind == .notFound)
    }
  }

  @Test(arguments: Kind.allCases) func `captures of a packet are read, of the person and of operators`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let services = world.services(kind)
      try await PacketSample.store(
        in: services, rid: Self.rid, captures: CaptureSample.file, officer: CaptureSample.file(CaptureSample.face))
      try await PacketSample.store(in: services, rid: Self.other)
      try await PacketSample.store(in: services, rid: Self.third, captures: CaptureSample.file())
      func packet(_ rid: String) -> PacketReference { PacketReference(rid: rid, source: "OPENCRVS", process: "OPENCRVS_NEW") }
      let record = try #require(try await services.packets.biometrics("individualBiometrics", of: packet(Self.rid)))
      #expect(CaptureSample.parts(record) == CaptureSample.expected)
      #expect(record.segments[0].isException == false && record.segments[2].isExceptionPhoto)
      let officer = try #require(try await services.packets.biometrics("officer_bio_cbeff", of: packet(Self.rid)))
      #expect(CaptureSample.parts(officer) == [CaptureSample.expected[1]])
      #expect(try await services.packets.biometrics("supervisor_bio_cbeff", of: packet(Self.rid)) == nil)
      #expect(try await services.packets.biometrics("individualBiometrics", of: packet(Self.other)) == nil)
      #expect(try await services.packets.biometrics("individualBiometrics", of: packet(Self.third))?.segments.isEmpty == true)
      let missing = packet("10001100020000920240229235959")
      #expect(await fault { try await services.packets.biometrics("individualBiometrics", of: missing) }?.code == "KER-PUT-027")
    }
  }

  @Test(arguments: Kind.allCases) func `captures of an identity are kept and read again`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let repository = world.services(kind).identities
      try await repository.createDraft(rid: Self.rid, uin: nil, idempotencyKey: "k")
      let documents = [
        IdentityDocument(category: "POI", bytes: Array("%PDF-1.4".utf8)),
        IdentityDocument(category: "individualBiometrics", bytes: CaptureSample.file),
      ]
      try await repository.updateDraft(rid: Self.rid, fields: Self.fields, documents: documents, idempotencyKey: "k")
      _ = try await repository.publishDraft(rid: Self.rid, idempotencyKey: "k")
      let uin = try #require(try await repository.identity(.rid(Self.rid))).uin
      let record = try #require(try await repository.biometrics(uin: uin))
      #expect(CaptureSample.parts(record) == CaptureSample.expected)
      _ = try await birth(repository, Self.other)
      let bare = try #require(try await repository.identity(.rid(Self.other))).uin
      #expect(try await repository.biometrics(uin: bare) == nil)
      #expect(try await repository.biometrics(uin: "5075291708") == nil)
    }
  }

  @Test(arguments: Kind.allCases) func `master data are found by kind, with their names in every language`(_ kind: Kind)
    async throws
  {
    try await World.run { world async throws in
      let masterData = world.services(kind).masterData
      #expect(
        try await masterData.values(of: "gender") == [
          MasterDataValue(code: "FLE", names: ["eng": "Female", "fra": "Féminin"]),
          MasterDataValue(code: "MLE", names: ["eng": "Male"]),
        ])
      for unknown in ["none", "a/b ?&c", "ਲਿੰਗ"] { #expect(try await masterData.values(of: unknown) == nil) }
    }
  }

  @Test(arguments: Kind.allCases) func `tags are set, changed in letter case as well, and removed`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let packets = world.services(kind).packets
      #expect(try await packets.tags(of: "1", named: nil) == [:])
      try await packets.addOrUpdateTags(of: "1", ["AGE_GROUP": "INFANT", "ID_OBJECT-gender": "ਔਰਤ '\"\\"])
      try await packets.addOrUpdateTags(of: "1", ["AGE_GROUP": "Infant"])
      try await packets.addOrUpdateTags(of: "1", [:])
      #expect(try await packets.tags(of: "1", named: nil) == ["AGE_GROUP": "Infant", "ID_OBJECT-gender": "ਔਰਤ '\"\\"])
      #expect(try await packets.tags(of: "1", named: ["AGE_GROUP", "none"]) == ["AGE_GROUP": "Infant"])
      try await packets.deleteTags(of: "1", named: ["AGE_GROUP", "none"])
      try await packets.deleteTags(of: "1", named: ["AGE_GROUP"])
      #expect(try await packets.tags(of: "1", named: nil).keys.sorted() == ["ID_OBJECT-gender"])
    }
  }

  @Test(arguments: Kind.allCases) func `what one implementation encrypts and signs the other one reads`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let (here, there) = (world.services(kind).keys, world.services(kind == .mosip ? .embedded : .mosip).keys)
      let plaintext = SecureRandom.bytes(5000)
      let blob = try await here.encryptPacket(plaintext, referenceId: "10001_10002")
      #expect(blob.count == plaintext.count + 362)
      #expect(try await there.decryptPacket(blob, referenceId: "10001_10002") == plaintext)
      var broken = blob
      broken[100] ^= 1
      let fault = await fault { try await here.decryptPacket(broken, referenceId: "10001_10002") }
      #expect(fault?.code.hasPrefix("KER-CRY") == true && fault?.isRetriable == false)
      #expect(
        await TestSupport.fault { try await here.decryptPacket([1, 2], referenceId: "10001_10002") }?.isRetriable == false)
      let signature = try await here.sign(plaintext)
      #expect(try await there.verify(plaintext, signature: signature, referenceId: "10001_10002"))
      #expect(try await here.verify(plaintext + [0], signature: signature, referenceId: "10001_10002") == false)
      for detached in [true, false] {
        let jws = try await here.signJWS(plaintext, application: "CREDENTIAL_SERVICE", detached: detached)
        #expect(jws.contains("..") == detached)
        #expect(try await there.verifyJWS(jws, payload: plaintext, application: "CREDENTIAL_SERVICE"))
        #expect(try await there.verifyJWS(jws, payload: plaintext + [0], application: "CREDENTIAL_SERVICE") == false)
      }
      // Whatever certificate it brings along.
      let stranger = try RSAPrivateKey.generate()
      let forged = try JWS.sign(
        plaintext, with: stranger, certificates: [.selfSigned(for: stranger, commonName: "KERNEL")], thumbprint: true,
        detached: true)
      #expect(try await here.verifyJWS(forged, payload: plaintext, application: "CREDENTIAL_SERVICE") == false)
      let token = try await here.tokenId("5075291708", partner: "p")
      #expect(token.utf8.count == 36)
      #expect(try await there.tokenId("5075291708", partner: "p") == token)
    }
  }

  @Test(arguments: Kind.allCases) func `one idempotency key gives one credential request`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let services = world.services(kind)
      _ = try await birth(services.identities, Self.rid)
      let request = CredentialRequest(
        id: Self.rid, credentialType: "euin", issuer: "partner", additionalData: ["registrationId": "1"])
      let first = try await services.credentials.request(request, idempotencyKey: "\(Self.rid):print")
      #expect(first.utf8.count <= 36)
      for _ in 1...2 { #expect(try await services.credentials.request(request, idempotencyKey: "\(Self.rid):print") == first) }
      #expect(try await world.number("SELECT count(*) FROM platform.credential_request") == 1)
      #expect(try await services.credentials.request(request, idempotencyKey: "\(Self.other):print") != first)
      #expect(try await world.number("SELECT count(*) FROM platform.credential_request") == 2)
    }
  }

  @Test(arguments: Kind.allCases) func `RIDs are new each time and of their center and machine`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let rids = world.services(kind).rids
      var seen: Set<String> = []
      for _ in 1...5 {
        let rid = try await rids.next(centerId: "45451", machineId: "45452")
        #expect(rid.center == "45451" && rid.machine == "45452")
        seen.insert(rid.text)
      }
      #expect(seen.count == 5)
      #expect(await fault { try await rids.next(centerId: "1", machineId: "45452") }?.code == "KER-RIG-003")
    }
  }

  @Test(arguments: Kind.allCases) func `schemas are found by version, and audit entries are recorded`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let services = world.services(kind)
      #expect(try await services.schemas.schema(version: "0.1")?.field("phone") != nil)
      #expect(try await services.schemas.schema(version: "7") == nil)
      let entries = (1...3).map {
        AuditEntry(eventId: "E\($0)", eventName: "n", eventType: "SYSTEM", module: "print", id: Self.rid, description: "d")
      }
      try await services.audit.record(entries)
      try await services.audit.record([])
      #expect(try await world.number("SELECT count(*) FROM audit.app_audit_log WHERE module_name = 'print'") == 3)
    }
  }

  @Test(arguments: Kind.allCases) func `a token that a client is given is known again, and no other`(_ kind: Kind) async throws {
    try await World.run { world async throws in
      let tokens = world.services(kind).tokens
      let client = kind == .mosip ? "opencrvs-partner" : "mosip-mediator"
      let token = try await tokens.token(client: client)
      #expect(try await tokens.token(client: client) == token)
      #expect(try await tokens.caller(of: token)?.name == client)
      for bad in ["", "x", "a.b.c", token + "x", String(token.dropLast(4)) + "AAAA"] {
        #expect(try await tokens.caller(of: bad) == nil)
      }
    }
  }

  @Test(arguments: Kind.allCases) func `what is published reaches a subscriber, whose subscription may be renewed`(_ kind: Kind)
    async throws
  {
    try await World.run { world async throws in
      let hub = world.services(kind).hub
      let got = Mutex<[[UInt8]]>([])
      let server = try Server(
        ServerSettings(),
        endpoints: [
          Endpoint("GET", "/callback") { .text($0.query("hub.challenge") ?? "") },
          Endpoint("POST", "/callback") { request in
            got.withLock { $0.append(request.body) }
            return .text("")
          },
        ])
      let port = try server.start()
      let topic = "opencrvs-partner/CREDENTIAL_ISSUED"
      for _ in 1...2 {
        try await hub.subscribe(topic: topic, callback: "http://127.0.0.1:\(port)/callback", secret: "s", leaseSeconds: 600)
      }
      try await hub.publish(Array(#"{"a":1}"#.utf8), topic: topic, idempotencyKey: "k")
      #expect(try await eventually { got.withLock { $0.contains(Array(#"{"a":1}"#.utf8)) } })
      await server.stop(graceSeconds: 1)
    }
  }
}
