import HTTP
import JSON
import Registration
import StageKit
import System

/// The sync endpoint: what a client announces before it uploads (docs/upstream/packet-and-crypto.md#61-sync,
/// docs/upstream/stages.md#14-sync-api).
struct Announcements: Sendable {
  /// The two forms of the request. V2 names the packet id; its registration id need not be a RID.
  enum Version { case v1, v2 }

  let settings: StageSettings
  let context: StageContext
  let endpoint: MosipEndpoint

  func take(_ request: Request, version: Version) async throws -> Response {
    do {
      let records = try await records(of: request)
      var taken: [JSONValue] = []
      var refused: [JSONValue] = []
      for record in records.values {
        do {
          let row = try await sync(record, records.referenceId, version)
          var answer: JSONObject = ["registrationId": .string(row.rid), "status": "SUCCESS"]
          if version == .v2 { answer["packetId"] = .string(row.packetId) }
          taken.append(.object(answer))
        } catch let fault as SyncError { refused.append(fault.json(record, version)) }
      }
      return await endpoint.answer(
        "mosip.registration.sync", response: taken.isEmpty ? .null : .array(taken),
        errors: refused.isEmpty ? .null : .array(refused))
    } catch let fault as SyncError {
      return await endpoint.answer("mosip.registration.sync", response: .null, errors: [fault.json(.null, version)])
    } catch let error as ServiceError {
      context.log.warning("an announcement could not be taken", ["error": error.description])
      throw endpoint.refusal(503)
    }
  }

  // MARK: The envelope

  private func records(of request: Request) async throws -> (values: [JSONValue], referenceId: String) {
    guard let referenceId = request.headers["Center-Machine-RefId"], let timestamp = request.headers["timestamp"] else {
      throw SyncError("RPR-RGS-013", "a header Center-Machine-RefId or timestamp is missing")
    }
    let halves = referenceId.split(separator: "_", omittingEmptySubsequences: false)
    guard halves.count == 2, halves.allSatisfy({ MosipEndpoint.isSafeName(String($0)) }) else {
      throw SyncError("RPR-RGS-014", "the header Center-Machine-RefId is not center_machine")
    }
    // Unlike upstream, which answers 500.
    guard Instant(iso: timestamp) != nil else {
      throw SyncError("RPR-RGS-014", "the header timestamp is no moment in UTC")
    }

    guard let text = (try? JSONValue.parse(request.body))?.string else {
      throw SyncError("RPR-RGS-016", "the body is no JSON text")
    }
    guard let sealed = Encoding.bytes(base64: text) else { throw SyncError.undecryptable }
    let clear: [UInt8]
    do {
      clear = try await context.services.keys.decryptPacket(sealed, referenceId: referenceId)
    } catch let error as ServiceError where !error.isRetriable { throw SyncError.undecryptable }
    guard let envelope = try? JSONValue.parse(clear) else {
      throw SyncError("RPR-RGS-016", "the decrypted body is not JSON")
    }
    guard envelope.object != nil else { throw SyncError("RPR-RGS-017", "the decrypted body is no JSON object") }
    try EnvelopeCheck(settings: settings, clock: context.services.clock).check(envelope, id: "mosip.registration.sync")
    guard let values = envelope["request"]?.array, values.allSatisfy({ $0.object != nil }) else {
      throw SyncError("RPR-RGS-017", "`request` is no list of announcements")
    }
    return (values, referenceId)
  }

  // MARK: One announcement

  private func sync(_ record: JSONValue, _ referenceId: String, _ version: Version) async throws -> SyncRecord {
    func text(_ name: String) -> String? { record[name]?.string.flatMap { $0.isEmpty ? nil : $0 } }
    // Unlike upstream, which fails without an answer when langCode is null.
    guard let language = text("langCode"), language.count == 3 else {
      throw SyncError("RPR-RGS-004", "Invalid Language Code - Language Code must be of Three Characters")
    }
    guard let process = text("registrationType"),
      settings.texts("main-processes").contains(process) || settings.texts("sub-processes").contains(process)
    else { throw SyncError("RPR-RGS-003", "Invalid Sync Type") }
    guard let hash = text("packetHashValue") else { throw SyncError("RPR-RGS-027", "the packet's hash is missing") }
    guard let status = text("supervisorStatus"), SupervisorStatus(rawValue: status) != nil else {
      throw SyncError("RPR-RGS-026", "the supervisor's status is neither APPROVED nor REJECTED")
    }
    guard let rid = text("registrationId") else {
      throw SyncError("RPR-RGS-006", "Invalid Request Value - RID cannot be NULL")
    }
    try check(rid, version)
    guard let size = record["packetSize"]?.int, size > 0 else {
      throw SyncError("RPR-RGS-014", "`packetSize` is no number of bytes")
    }
    // Unlike upstream: a v1 client that names no packet id finds its row again, and no id can lead out of its container.
    guard let packetId = text("packetId") ?? (version == .v1 ? rid : nil) else {
      throw SyncError("RPR-RGS-013", "`packetId` is missing")
    }
    guard MosipEndpoint.isSafeName(packetId) else { throw SyncError("RPR-RGS-014", "`packetId` has characters it may not have") }

    let register = context.services.registrations
    if let earlier = try await register.synced(packetId: packetId), earlier.rid != rid {
      throw SyncError("RPR-RGS-014", "`packetId` was announced for another registration")
    }
    var sealed: [UInt8]?
    let contact = Contact(announcement: record, language: language)
    if contact.isReachable {
      sealed = try await context.services.keys.encryptPacket(contact.json.encoded(), referenceId: referenceId)
    }
    return try await register.sync(
      SyncRecord(
        workflowInstanceId: SecureRandom.uuid(), rid: rid, packetId: packetId, process: process, packetChecksum: hash,
        packetSize: size, supervisorStatus: status, supervisorComment: text("supervisorComment"),
        languageCode: language,
        additionalInfoRequestId: text("additionalInfoReqId"), referenceId: referenceId, source: nil),
      additionalInfo: sealed)
  }

  /// A RID in v1; in v2 anything that may be a key, in the width of the tables.
  private func check(_ rid: String, _ version: Version) throws {
    switch version {
    case .v1:
      do {
        _ = try RID(rid)
      } catch {
        switch error.rule {
        case .length: throw SyncError("RPR-RGS-009", "Invalid Request Value - RID Length is not as per Configuration")
        case .timestamp: throw SyncError("RPR-RGS-007", "Invalid Request Value - Invalid Timestamp in RID")
        default: throw SyncError("RPR-RGS-008", "Invalid Request Value - RID must be numeric")
        }
      }
    case .v2:
      guard MosipEndpoint.isSafeName(rid), rid.count <= 39 else {
        throw SyncError("RPR-RGS-008", "Invalid Request Value - registrationId has characters it may not have")
      }
    }
  }
}

/// Why an announcement is not taken.
struct SyncError: Error {
  let code: String
  let message: String

  init(_ code: String, _ message: String) {
    self.code = code
    self.message = message
  }

  static let undecryptable = SyncError(
    "RPR-RGS-028", "the body cannot be decrypted with the key of Center-Machine-RefId")

  /// The error as MOSIP's clients read it; of the announcement only its ids.
  func json(_ record: JSONValue, _ version: Announcements.Version) -> JSONValue {
    var json: JSONObject = [
      "registrationId": JSONValue(record["registrationId"]?.string), "status": "FAILURE", "errorCode": .string(code),
      "errorMessage": .string(message),
    ]
    if version == .v2 { json["packetId"] = JSONValue(record["packetId"]?.string) }
    return .object(json)
  }
}
