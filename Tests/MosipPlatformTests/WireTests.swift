import TestSupport
import HTTP
import JSON
import StageKit
import StandIn
import System
import Testing

@testable import MosipPlatform

/// The bodies of requests, member by member as upstream's services read them.
@Suite(.serialized, .timeLimit(.minutes(30))) struct WireTests {
  private static let rid = "10001100020000120240229235959"

  private func body(_ world: World, _ part: String) throws -> JSONValue {
    try JSONValue.parse(try #require(world.standIn.lastBody(part)))
  }

  @Test func `a draft is filled with its own UIN, its documents and the status it shall have`() async throws {
    try await World.run { world async throws in
      let repository = world.mosip.identities
      try await repository.createDraft(rid: Self.rid, uin: nil, idempotencyKey: "k")
      world.standIn.next(
        "/draft/\(Self.rid)", .answer(.json(#"{"response":{"status":"DRAFTED","identity":{"UIN":5075291708}},"errors":null}"#)))
      let document = IdentityDocument(category: "POI", bytes: [0xFB, 0xFF])
      try await repository.updateDraft(rid: Self.rid, fields: ["phone": "1"], documents: [document], idempotencyKey: "k")
      let sent = try body(world, "/draft/update/")
      #expect(sent["id"] == "mosip.id.update" && sent["version"] == "v1" && sent["metadata"] == .null)
      #expect(sent["requesttime"]?.string.flatMap { Instant(iso: $0) } != nil)
      #expect(
        sent["request"] == [
          "identity": ["phone": "1", "UIN": "5075291708"], "documents": [["category": "POI", "value": "-_8"]],
          "registrationId": .string(Self.rid), "status": "ACTIVATED", "biometricReferenceId": .null,
        ])
    }
  }

  @Test func `a packet is encrypted under a nonce and an AAD of the caller's`() async throws {
    try await World.run { world async throws in
      let blob = try await world.mosip.keys.encryptPacket([1, 2, 3], referenceId: "10001_10002")
      let sent = try body(world, "/keymanager/encrypt")
      #expect(sent["id"] == "mosip.cryptomanager.decrypt")
      #expect(
        sent["request"]?.object?.keys.sorted() == [
          "aad", "applicationId", "data", "prependThumbprint", "referenceId", "salt", "timeStamp",
        ])
      #expect(sent["request"]?["salt"]?.string == Encoding.base64URL(Array(blob[..<12])))
      #expect(sent["request"]?["aad"]?.string == Encoding.base64URL(Array(blob[12..<44])))
      #expect(sent["request"]?["applicationId"] == "REGISTRATION" && sent["request"]?["data"] == "AQID")
    }
  }

  @Test func `a credential request has upstream's members, misspelt ones included`() async throws {
    try await World.run { world async throws in
      // Refused, for there is no such identity; what was sent counts.
      _ = await fault {
        try await world.mosip.credentials.request(
          CredentialRequest(
            id: Self.rid, credentialType: "opencrvs", issuer: "opencrvs-partner", additionalData: ["opencrvsBRN": "2024B"]),
          idempotencyKey: "k")
      }
      let sent = try body(world, "/v2/requestgenerator/")
      #expect(sent["id"] == "mosip.credential.request.generator" && sent["version"] == "1.0")
      var request = try #require(sent["request"]?.object)
      #expect(request["encryptionKey"]?.string?.utf8.count == 6)
      request["encryptionKey"] = nil
      #expect(
        request == [
          "id": .string(Self.rid), "credentialType": "opencrvs", "issuer": "opencrvs-partner", "encrypt": false, "recepiant": .null,
          "user": .null, "sharableAttributes": .null, "additionalData": ["opencrvsBRN": "2024B"],
        ])
    }
  }

  @Test func `a packet of a correction is asked for by process and iteration`() async throws {
    try await World.run { world async throws in
      let packet = PacketReference(rid: Self.rid, source: nil, process: "BIOMETRIC_CORRECTION", iteration: 2)
      _ = await fault { try await world.mosip.packets.fields(["phone"], of: packet) }
      let sent = try body(world, "/searchFields")
      #expect(sent["id"] == "mosip.commmons.packetmanager" && sent["version"] == "v1")
      #expect(
        sent["request"] == [
          "id": .string(Self.rid), "fields": ["phone"], "source": .null, "process": "BIOMETRIC_CORRECTION-2", "bypassCache": false,
        ])
    }
  }

  @Test func `captures are asked for by field, and an operator's by the label of the file`() async throws {
    try await World.run { world async throws in
      let packet = PacketReference(rid: Self.rid, source: "OPENCRVS", process: "OPENCRVS_NEW")
      for (person, asked, source) in [
        ("individualBiometrics", "individualBiometrics", JSONValue.string("OPENCRVS")),
        ("officer_bio_cbeff", "officerBiometricFileName", .null), ("supervisor_bio_cbeff", "supervisorBiometricFileName", .null),
      ] {
        _ = await fault { try await world.mosip.packets.biometrics(person, of: packet) }
        let sent = try body(world, "/packetmanager/biometrics")
        #expect(sent["id"] == "mosip.commmons.packetmanager" && sent["version"] == "v1")
        #expect(
          sent["request"] == [
            "id": .string(Self.rid), "person": .string(asked), "modalities": .null, "source": source, "process": "OPENCRVS_NEW",
            "bypassCache": false,
          ])
      }
    }
  }

  @Test func `a deactivation names registration, status and identity, and no more`() async throws {
    try await World.run { world async throws in
      let known = #"{"response":{"status":"ACTIVATED","identity":{"UIN":"5075291708","IDSchemaVersion":0.1}},"errors":null}"#
      world.standIn.next("/idvid/", .answer(.json(known)))
      _ = await fault {
        try await world.mosip.identities.update(
          uin: "5075291708", rid: Self.rid, status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      }
      let sent = try body(world, "PATCH /idrepository/v1/identity/")
      #expect(
        sent["request"] == [
          "registrationId": .string(Self.rid), "status": "DEACTIVATED", "identity": ["UIN": "5075291708", "IDSchemaVersion": 0.1],
        ])
    }
  }

  @Test func `a hub that denies is up, and others may still publish`() async throws {
    try await World.run(calling: CallSettings(breakerFailures: 2)) { world async throws in
      for _ in 1...4 {
        let denied = await fault {
          try await world.mosip.hub.subscribe(
            topic: "other-partner/CREDENTIAL_ISSUED", callback: "http://c", secret: "s", leaseSeconds: 60)
        }
        #expect(denied?.code == "RPR-HUB-002" && denied?.isRetriable == false)
      }
      try await world.mosip.hub.publish([0x7B, 0x7D], topic: "CREDENTIAL_STATUS_UPDATE", idempotencyKey: "k")
      #expect(world.standIn.count("/hub") == 5)
    }
  }

  @Test(arguments: ["", "hub.mode=subscribe", "accepted, and verified later", "<html></html>"])
  func `a hub of another make that accepts by its status alone is believed`(_ body: String) throws {
    let answer = ClientResponse(status: 202, body: Array(body.utf8))
    try HubAnswer.check(answer, "subscribing", isThere: true)
    try HubAnswer.check(answer, "publishing", isThere: false)
    let page = ClientResponse(status: 200, body: Array(body.utf8))
    #expect(throws: ServiceError.self) { try HubAnswer.check(page, "subscribing", isThere: true) }
    let denied = ClientResponse(status: 202, body: Array("hub.mode=denied&hub.reason=no".utf8))
    #expect(throws: ServiceError.self) { try HubAnswer.check(denied, "subscribing", isThere: true) }
  }
}
