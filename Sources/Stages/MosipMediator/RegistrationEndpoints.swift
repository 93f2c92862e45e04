import Cryptography
import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import System

/// The two endpoints of the registration processor that a packet goes through: announcement and upload
/// (docs/upstream/packet-and-crypto.md#6-sync-and-upload).
struct RegistrationEndpoints: Sendable {
  let statusURL: String
  let receiverURL: String
  /// `{center}_{machine}`
  let referenceId: String
  let process: String
  /// The trace that the packet belongs to, which the packet receiver goes on with.
  let trace: TraceId?
  let token: @Sendable () async throws -> String
  let services: Services

  /// Announces a packet. A repeated announcement changes nothing, since it names its packet id.
  /// - Throws: `WorkFailure` OPN-CRVS-011 when the announcement is refused for good; `ServiceError` when it may work
  ///   later.
  func sync(rid: String, packet: [UInt8]) async throws {
    let now = services.clock.now
    let body: JSONValue = [
      "id": "mosip.registration.sync", "version": "1.0", "requesttime": .string(now.iso),
      "request": [
        [
          "registrationId": .string(rid), "packetId": .string(rid), "registrationType": .string(process),
          "packetHashValue": .string(Hash.sha256UpperHex(packet)), "packetSize": JSONValue(packet.count),
          "supervisorStatus": "APPROVED", "supervisorComment": "UIN creation for a birth received from OpenCRVS",
          "langCode": "eng",
        ]
      ],
    ]
    let sealed = try await services.keys.encryptPacket(body.encoded(), referenceId: referenceId)
    let text = JSONValue.string(Encoding.base64URL(sealed)).encoded()
    var headers: Headers = [
      "Cookie": "Authorization=\(try await token())", "Center-Machine-RefId": referenceId,
      // Always with seconds and milliseconds: the service cannot read a shorter one (docs/upstream/packet-and-crypto.md#61-sync).
      "timestamp": now.iso,
    ]
    headers["b3"] = TraceContext.header(continuing: trace)
    let answer = try await exchange("registration status service") {
      try await MediatorClient(http: services.http).post(
        text, to: statusURL.appending(path: "/registrationprocessor/v1/registrationstatus/sync"), headers: headers,
        service: "registration status service")
    }
    if let code = Self.errorCode(answer) {
      if PacketAnswer.meaning(of: code) == .final { throw Self.refused("the announcement", code) }
      throw ServiceError(
        .unavailable, service: "registration status service", code: code, "did not take the announcement")
    }
    guard answer["response"]?[0]?["status"]?.string == "SUCCESS" else {
      throw ServiceError(
        .unavailable, service: "registration status service", code: "OPN-CRVS-011", "answers no success")
    }
  }

  /// Uploads a packet. One that is there already counts as uploaded.
  /// - Returns: false when the announcement is not known or of other bytes: it must be made again.
  /// - Throws: as `sync`.
  func upload(rid: String, packet: [UInt8]) async throws -> Bool {
    var request = ClientRequest(
      method: "POST", url: receiverURL.appending(path: "/registrationprocessor/v1/packetreceiver/registrationpackets"),
      headers: ["Cookie": "Authorization=\(try await token())"],
      body: .multipartFile(
        field: "file", fileName: rid + ".zip", contentType: "application/zip", content: .bytes(packet)))
    request.headers["b3"] = TraceContext.header(continuing: trace)
    let answer = try await exchange("packet receiver") {
      try await MediatorClient(http: services.http).send(request, "packet receiver")
    }
    guard let code = Self.errorCode(answer) else {
      guard answer["response"]?["status"]?.string != nil else {
        throw ServiceError(
          .unavailable, service: "packet receiver", code: "OPN-CRVS-011", "answers neither success nor error")
      }
      return true
    }
    switch PacketAnswer.meaning(of: code) {
    case .taken: return true
    case .announceAgain: return false
    case .final: throw Self.refused("the upload", code)
    case .later: throw ServiceError(.unavailable, service: "packet receiver", code: code, "did not take the upload")
    }
  }

  private static func refused(_ what: String, _ code: String) -> WorkFailure {
    WorkFailure(code: MediatorError.Code.syncOrUpload.rawValue, "\(what) of the packet is refused with \(code)")
  }

  private func exchange(_ service: String, _ send: () async throws -> ClientResponse) async throws -> JSONValue {
    let response: ClientResponse
    do {
      response = try await send()
    } catch let refusal as MediatorClient.RefusedError {
      // By its code, if it has one; a gateway refuses with the same statuses.
      if let code = refusal.code, PacketAnswer.meaning(of: code) == .final { throw Self.refused("the request", code) }
      throw ServiceError(
        .unavailable, service: service, code: refusal.code ?? MediatorError.Code.syncOrUpload.rawValue,
        "refuses with \(refusal.status)")
    }
    guard let value = try? JSONValue.parse(response.body) else {
      throw ServiceError(.unavailable, service: service, code: "OPN-CRVS-001", "answers what is not JSON")
    }
    return value
  }

  /// The first error of an answer, whose lists may be absent, null or empty.
  private static func errorCode(_ answer: JSONValue) -> String? {
    guard let error = answer["errors"]?.array?.first else { return nil }
    return error["errorCode"]?.string ?? "OPN-CRVS-010"
  }
}
