import TestSupport
import Cryptography
import Foundation
import HTTP
import JSON
import Registration
import StageKit
import StageRuntime
import System
import Testing

@testable import Stages

/// A registration waits for a packet of another process, and a registration client brings it
/// (docs/upstream/bus-and-routes.md#74-what-the-workflow-engine-does, docs/upstream/stages.md#16-status-by-rid-and-external-status).
@Suite(.serialized, .timeLimit(.minutes(30))) struct AdditionalInfoTests {
  private static let rid = "10001100020000220240229235959"
  private static let referenceId = "10001_10002"
  private static let routes = """
    version: 1
    on: { failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }
    flows:
      OPENCRVS_NEW:
        route:
          - packet-receiver
          - securezone-notification
          - packet-uploader:
              next:
                - { when: { tags.BIOMETRIC_CORRECTION_FLOW_STATUS: PROCESSED }, to: complete-as-processed }
                - { to: { pause-and-request-additional-info: { process: BIOMETRIC_CORRECTION, pause-for: 15d } } }
      BIOMETRIC_CORRECTION:
        route:
          - packet-receiver
          - securezone-notification
          - packet-uploader: { passed: complete-as-processed }
    """

  @Test func `a registration that waits for a packet goes on when a client brings it`() async throws {
    let stand = try await Stand(routes: Self.routes)
    let request = "\(Self.rid)-BIOMETRIC_CORRECTION-1"
    let first = try await packet("OPENCRVS_NEW", nil, stand)
    #expect(try await announce(first, id: Self.rid, "OPENCRVS_NEW", nil, stand) == "SUCCESS")
    #expect(try await upload(first, id: Self.rid, stand) == nil)
    #expect(try await eventually { try await stand.journey(Self.rid)?.status == "PAUSED_FOR_ADDITIONAL_INFO" })
    #expect(try await search("search", "mosip.registration.status", stand)["additionalInfoReqId"]?.string == request)
    #expect(
      try await search("externalstatus/search", "mosip.registration.external.status", stand)["statusCode"] == "AWAITING_INFORMATION"
    )

    // A packet for a request that nobody made, and one for another process than the request's.
    let answer = try await packet("BIOMETRIC_CORRECTION", request, stand)
    for (id, process, wrong) in [("a", "BIOMETRIC_CORRECTION", request + "9"), ("b", "BIOMETRIC_CORRECTION", "")] {
      #expect(try await announce(answer, id: id, process, wrong, stand) == "SUCCESS")
      #expect(try await upload(answer, id: id, stand) == "RPR-PKR-016")
    }
    #expect(try await announce(answer, id: request + "-1", "BIOMETRIC_CORRECTION", request, stand) == "SUCCESS")
    #expect(try await upload(answer, id: request + "-1", stand) == nil)
    #expect(try await upload(answer, id: request + "-1", stand) == "RPR-PKR-005")
    // A second packet for the same request comes too late.
    #expect(try await announce(answer, id: request + "-2", "BIOMETRIC_CORRECTION", request, stand) == "SUCCESS")
    #expect(try await upload(answer, id: request + "-2", stand) == "RPR-PKR-005")

    #expect(
      try await eventually {
        try await search("externalstatus/search", "mosip.registration.external.status", stand)["statusCode"] == "UIN_GENERATED"
      })
    let journey = try #require(try await stand.journey(Self.rid))
    #expect(
      journey.hops.map(\.stage) == [
        "packet-receiver", "securezone-notification", "packet-uploader", "packet-receiver", "securezone-notification",
        "packet-uploader", "packet-uploader", "packet-uploader",
      ])
    #expect(journey.hops.allSatisfy { $0.verdict == "passed" })
    let stored = try await stand.platform.services.objects.keys(account: "packet-manager", container: Self.rid, prefix: "")
    #expect(stored.contains("REGISTRATION_CLIENT/BIOMETRIC_CORRECTION-1/\(Self.rid)_id"), "\(stored)")
    await stand.stop()
  }

  private func packet(_ process: String, _ request: String?, _ stand: Stand) async throws -> [UInt8] {
    var draft = PacketDraft(
      rid: Self.rid, source: "REGISTRATION_CLIENT", process: process, refId: Self.referenceId, schemaVersion: "0.1",
      schema: try IdSchema(json: Stand.read(Stand.home + "/stages/packet-validator/id-schema.json")),
      fields: [
        "IDSchemaVersion": "0.1", "fullName": [["language": "eng", "value": "Asha Rao"]],
        "gender": [["language": "eng", "value": "Female"]], "dateOfBirth": "2024/02/29",
      ],
      metaInfo: ["metaData": [], "operationsData": [], "capturedRegisteredDevices": []],
      audits: [["eventId": "REG-EVT-001", "id": .string(Self.rid)]], creationDate: .now)
    draft.additionalInfoRequestId = request
    draft.iteration = request == nil ? nil : 1
    return try await PacketWriter(keys: ServiceKeys(keys: stand.platform.services.keys)).write(draft).content
  }

  /// The status or the code of an announcement.
  private func announce(
    _ packet: [UInt8], id: String, _ process: String, _ request: String?, _ stand: Stand
  ) async throws -> String? {
    let envelope: JSONValue = [
      "id": "mosip.registration.sync", "version": "1.0", "requesttime": .string(Instant.now.iso),
      "request": [
        [
          "registrationId": .string(Self.rid), "registrationType": .string(process),
          "packetHashValue": .string(Encoding.upperHex(Hash.sha256(packet))), "packetSize": JSONValue(packet.count),
          "supervisorStatus": "APPROVED", "supervisorComment": "", "optionalValues": .null, "langCode": "eng",
          "packetId": .string(id), "additionalInfoReqId": JSONValue(request),
        ]
      ],
    ]
    let sealed = try await stand.platform.services.keys.encryptPacket(envelope.encoded(), referenceId: Self.referenceId)
    let answer = try await post(
      "registrationstatus/syncV2", .bytes(JSONValue.string(Encoding.base64(sealed)).encoded()), stand,
      ["Center-Machine-RefId": Self.referenceId, "timestamp": Instant.now.iso])
    return answer["response"]?[0]?["status"]?.string ?? answer["errors"]?[0]?["errorCode"]?.string
  }

  /// The code of an upload that is refused.
  private func upload(_ packet: [UInt8], id: String, _ stand: Stand) async throws -> String? {
    try await post(
      "packetreceiver/registrationpackets",
      .multipartFile(field: "file", fileName: id + ".zip", content: .bytes(packet)), stand)["errors"]?[0]?["errorCode"]?.string
  }

  private func search(_ path: String, _ id: String, _ stand: Stand) async throws -> JSONValue {
    let body: JSONValue = [
      "id": .string(id), "version": "1.0", "requesttime": .string(Instant.now.iso),
      "request": [["registrationId": .string(Self.rid)]],
    ]
    return try await post("registrationstatus/" + path, .bytes(body.encoded()), stand)["response"]?[0] ?? .null
  }

  private func post(
    _ path: String, _ body: ClientRequest.Body, _ stand: Stand, _ headers: [String: String] = [:]
  ) async throws -> JSONValue {
    let token = try await stand.platform.services.tokens.token(client: "mosip-mediator", for: .mosip)
    var request = ClientRequest(
      method: "POST", url: "http://127.0.0.1:\(stand.port)/registrationprocessor/v1/\(path)",
      headers: ["Cookie": "Authorization=\(token)"], body: body)
    if case .bytes = body { request.headers.set("Content-Type", "application/json") }
    for (name, value) in headers { request.headers.set(name, value) }
    return try JSONValue.parse(try await Client().send(request).body)
  }
}
