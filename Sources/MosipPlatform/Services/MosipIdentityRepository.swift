import HTTP
import JSON
import Registration
import StageKit
import System

/// MOSIP's identity repository and VID service over REST (docs/upstream/stages.md#7-uin-generator;
/// docs/upstream/scenarios.md#21-identity-repository-read-and-change).
///
/// Upstream's endpoints may not be called twice: a second `create` of a RID is an error, a second `publish` finds no draft. Here every call may:
/// what a repeat meets is read as what it is, the work of the first call. So a lost answer never costs a RID its identity.
struct MosipIdentityRepository: IdentityRepository {
  static let kinds = ErrorKinds(
    unavailable: [
      "IDR-IDC-004", "IDR-IDC-006", "IDR-IDC-008", "IDR-IDC-009", "IDR-IDC-010", "IDR-IDS-003", "IDR-IDS-004", "IDR-IDS-007",
      "IDR-IDS-008", "IDR-IDS-010", "IDR-IDS-011", "IDR-VID-002", "IDR-VID-005",
    ], notFound: ["IDR-IDC-007", "IDR-VID-006"], conflict: ["IDR-IDC-012"])

  private let client: ServiceClient
  private let vidClient: ServiceClient
  private static let base = "/idrepository/v1/identity"
  private static let noRecord = "IDR-IDC-007"
  private static let recordExists = "IDR-IDC-012"
  fileprivate static let captures = "individualBiometrics"

  init(_ client: ServiceClient, vids: ServiceClient) {
    self.client = client
    vidClient = vids
  }

  private func draft(_ part: String, _ rid: String) -> String { Self.base + "/draft" + part + "/" + URLText.encode(rid) }

  // MARK: identities

  func identity(_ reference: IdentityReference) async throws -> Identity? {
    switch reference {
    case .rid(let rid): return try await record(rid, rid: rid)
    case .uin(let id), .vid(let id):
      guard var identity = try await record(id, rid: "") else { return nil }
      identity.rid = try await rid(of: identity.uin)
      return identity
    }
  }

  /// An identity by any of its ids; the answer does not hold a RID.
  private func record(_ id: String, rid: String) async throws -> Identity? {
    let answer: JSONValue
    do {
      answer = try await client.call("an identity", "GET", Self.base + "/idvid/" + URLText.encode(id), .always).response
    } catch let error as ServiceError where error.kind == .notFound {
      return nil
    }
    return try client.reader.identity(answer, rid: rid)
  }

  /// The RID of the latest registration of a UIN; empty where the repository is too old to tell.
  private func rid(of uin: String) async throws -> String {
    do {
      let answer = try await client.call("the RID of an identity", "GET", Self.base + "/rid/" + URLText.encode(uin), .always)
      return client.reader.latestRID(answer.response)
    } catch let error as ServiceError
      where error.kind == .notFound || error.code == CallError.noEndpoint || error.code == CallError.status && !error.isRetriable
    {
      return ""
    }
  }

  func update(uin: String, rid: String, status: String?, fields: JSONValue?, idempotencyKey: String) async throws {
    var object = fields?.object ?? [:]
    object["UIN"] = .string(uin)
    if object["IDSchemaVersion"] == nil {
      guard let known = try await record(uin, rid: "") else {
        throw ServiceError(
          .notFound, service: client.service.name, code: Self.noRecord, "a change of an identity: there is no such identity")
      }
      object["IDSchemaVersion"] = known.fields["IDSchemaVersion"]
    }
    var parts: JSONObject = ["registrationId": .string(rid), "identity": .object(object)]
    if let status { parts["status"] = .string(status) }
    let (client, request) = (client, JSONValue.object(parts))
    do {
      _ = try await client.call(
        "a change of an identity", "PATCH", Self.base + "/",
        body: { client.envelope(id: "mosip.id.update", version: "v1", request: request) }, .always)
    } catch let error as ServiceError where error.code == Self.recordExists {
      // A RID may change one identity once: if it is this one, this is the repeat. What others made of the identity since says nothing of it.
      guard let known = try await record(rid, rid: rid), known.uin == uin else { throw error }
      guard status == nil || known.status == status else {
        let latest = try await self.rid(of: uin)
        guard !latest.isEmpty, latest != rid else { throw error }
        return
      }
    }
  }

  /// Of the documents that one whose category is the field's name. An identity that is not there has no captures.
  func biometrics(uin: String) async throws -> BiometricRecord? {
    let operation = "captures of an identity"
    let answer: JSONValue
    do {
      answer = try await client.call(
        operation, "GET", Self.base + "/idvid/" + URLText.encode(uin), query: [(name: "type", value: "bio")], .always
      ).response
    } catch let error as ServiceError where error.kind == .notFound {
      return nil
    }
    return try client.reader.keptCaptures(answer, operation)
  }

  func vids(uin: String) async throws -> [VirtualId] {
    let answer: JSONValue
    do {
      answer = try await vidClient.call(
        "the VIDs of an identity", "GET", "/idrepository/v1/vid/uin/" + URLText.encode(uin), .always
      )
      .response
    } catch let error as ServiceError where error.kind == .notFound {
      return []
    }
    return try vidClient.reader.vids(answer)
  }

  // MARK: drafts

  func hasDraft(rid: String) async throws -> Bool {
    try client.reader.isDraftThere(try await client.send("looking for a draft", "HEAD", draft("", rid), .always))
  }

  func createDraft(rid: String, uin: String?, idempotencyKey: String) async throws {
    if try await hasDraft(rid: rid) { return try await check(rid, uin) }
    do {
      // The repository knows a RID again, so a second try can make no second draft.
      _ = try await client.call(
        "making a draft", "POST", draft("/create", rid), query: uin.map { [(name: "UIN", value: $0)] } ?? [], .always)
    } catch let error as ServiceError where error.code == Self.recordExists {
      // Drafted by another try meanwhile, or published before.
      if try await hasDraft(rid: rid) { return try await check(rid, uin) }
      guard let known = try await identity(.rid(rid)), uin == nil || known.uin == uin else { throw error }
    }
  }

  /// A draft belongs to the UIN it was made for.
  private func check(_ rid: String, _ uin: String?) async throws {
    guard let uin, let drafted = try await draftedUIN(rid), drafted != uin else { return }
    throw ServiceError(
      .conflict, service: client.service.name, code: Self.recordExists, "the RID is bound to another identity")
  }

  private func draftedUIN(_ rid: String) async throws -> String? {
    client.reader.draftedUIN(try await client.call("a draft", "GET", draft("", rid), .always).response)
  }

  func updateDraft(rid: String, fields: JSONValue, documents: [IdentityDocument], idempotencyKey: String) async throws {
    do {
      var object = fields.object ?? [:]
      // What is drafted is replaced as a whole, its UIN as well.
      if let uin = try await draftedUIN(rid) { object["UIN"] = .string(uin) }
      let request: JSONValue = [
        "identity": .object(object),
        "documents": .array(
          documents.map { ["category": .string($0.category), "value": .string(Encoding.base64URL($0.bytes))] }),
        "registrationId": .string(rid), "status": "ACTIVATED", "biometricReferenceId": .null,
      ]
      let client = client
      _ = try await client.call(
        "filling a draft", "PATCH", draft("/update", rid),
        body: { client.envelope(id: "mosip.id.update", version: "v1", request: request) }, .always)
    } catch let error as ServiceError where error.kind == .notFound {
      // A repeat after the draft was published changes nothing.
      guard try await identity(.rid(rid)) != nil else { throw error }
    }
  }

  func discardDraft(rid: String) async throws {
    do {
      _ = try await client.call("discarding a draft", "DELETE", draft("/discard", rid), .always)
    } catch let error as ServiceError where error.kind == .notFound {}
  }

  func publishDraft(rid: String, idempotencyKey: String) async throws -> String? {
    do {
      // Not tried again without a look: of a call whose answer was lost the draft may be gone, and the identity there.
      let answer = try await client.call("publishing a draft", "GET", draft("/publish", rid), .onlyUnsent).response
      return try client.reader.publishedStatus(answer)
    } catch let error as ServiceError where [.notFound, .conflict].contains(error.kind) || error.isRetriable {
      if error.isRetriable, error.code.hasPrefix("IDR-") { throw error }
      // There is a draft still: whatever happened, the publishing did not end.
      if error.kind != .conflict, try await hasDraft(rid: rid) { throw error }
      if let known = try await identity(.rid(rid)) { return known.status }
      if error.kind == .notFound { return nil }
      throw error
    }
  }
}

/// The answers of the identity repository and of the VID service.
extension AnswerReader {
  /// The captures that an identity keeps; nil where it keeps none.
  package func keptCaptures(_ answer: JSONValue, _ operation: String) throws(ServiceError) -> BiometricRecord? {
    guard answer["status"]?.string != nil else { throw unreadable(operation) }
    guard let documents = answer["documents"], !documents.isNull else { return nil }
    guard let list = documents.array else { throw unreadable(operation) }
    for document in list {
      guard let category = document["category"]?.string else { throw unreadable(operation) }
      guard category.lowercased() == MosipIdentityRepository.captures.lowercased() else { continue }
      guard let file = document["value"]?.string.flatMap({ Encoding.bytes(base64: $0) }) else { throw unreadable(operation) }
      do { return try CBEFF.read(file) } catch {
        throw ServiceError(.refused, service: service.name, code: ServiceError.badBiometrics, error.message)
      }
    }
    return nil
  }

  /// An identity; the answer does not hold a RID.
  package func identity(_ answer: JSONValue, rid: String) throws(ServiceError) -> Identity {
    guard let status = answer["status"]?.string, let fields = answer["identity"], let uin = text(fields["UIN"]) else {
      throw unreadable("an identity")
    }
    return Identity(uin: uin, rid: rid, status: status, fields: fields)
  }

  /// The RID of the latest registration; empty where it is not told.
  package func latestRID(_ answer: JSONValue) -> String { answer["rid"]?.string ?? "" }

  /// The VIDs of an identity, the oldest first.
  package func vids(_ answer: JSONValue) throws(ServiceError) -> [VirtualId] {
    guard let list = answer.array else {
      if answer.isNull { return [] }
      throw unreadable("the VIDs of an identity")
    }
    // The member's spelling is upstream's; older repositories lack it, and the order is then theirs.
    let sorted = list.enumerated().sorted { a, b in
      (a.element["genratedOnTimestamp"]?.string ?? "", a.offset) < (b.element["genratedOnTimestamp"]?.string ?? "", b.offset)
    }
    var vids: [VirtualId] = []
    for (_, entry) in sorted {
      guard let vid = text(entry["vid"]), let type = entry["vidType"]?.string else {
        throw unreadable("the VIDs of an identity")
      }
      // The endpoint shows active ones alone.
      vids.append(
        VirtualId(vid: vid, type: type.uppercased(), status: "ACTIVE", expiresAt: Self.expiry(entry["expiryTimestamp"]?.string)))
    }
    return vids
  }

  /// Whether there is a draft.
  package func isDraftThere(_ response: ClientResponse) throws(ServiceError) -> Bool {
    switch response.status {
    case 200: return true
    case 204, 404: return false
    default:
      throw ServiceError(
        response.status >= 500 ? .unavailable : .refused, service: service.name,
        code: response.status >= 500 ? CallError.trouble : CallError.status, "looking for a draft: status \(response.status)")
    }
  }

  /// The UIN of a draft; nil for a draft without.
  package func draftedUIN(_ answer: JSONValue) -> String? { text(answer["identity"]?["UIN"]) }

  /// The status of an identity that was published.
  package func publishedStatus(_ answer: JSONValue) throws(ServiceError) -> String {
    guard let status = answer["status"]?.string else { throw unreadable("publishing a draft") }
    return status
  }

  /// The last instant of year 9999 is upstream's "never"; times come with and without a zone, and with any fraction.
  private static func expiry(_ text: String?) -> Instant? {
    guard let text, !text.hasPrefix("9999-") else { return nil }
    if let instant = Instant(iso: text) ?? Instant(iso: text + "Z") { return instant }
    guard let dot = text.firstIndex(of: ".") else { return nil }
    return Instant(iso: text[..<dot] + "." + (text[text.index(after: dot)...].filter(\.isNumber) + "000").prefix(3) + "Z")
  }

  /// A text, or a number as it is written.
  private func text(_ value: JSONValue?) -> String? {
    switch value {
    case .string(let text) where !text.isEmpty: text
    case .number(let number): number.text
    default: nil
    }
  }
}
