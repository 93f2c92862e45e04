import HTTP
import JSON
import StageKit
import System

/// The endpoints of identity repository and VID service (docs/upstream/stages.md#7-uin-generator and 8).
extension StandInMosip {
  private static let identities = "/idrepository/v1/identity"

  var identityEndpoints: [Endpoint] {
    let repository = services.identities
    let (exists, missing) = (
      Self.failed("IDR-IDC-012", "Record already exists in DB"), Self.failed("IDR-IDC-007", "No Record(s) found")
    )
    return [
      endpoint("GET", Self.identities + "/draft/{rid}") { request in
        let rid = request.parameters["rid"] ?? ""
        let isThere = try await repository.hasDraft(rid: rid)
        if request.method == "HEAD" { return .empty(status: isThere ? 200 : 204) }
        guard isThere else { return missing }
        return Self.done(["status": "DRAFTED", "identity": [:], "documents": []])
      },
      endpoint("POST", Self.identities + "/draft/create/{rid}") { request in
        let rid = request.parameters["rid"] ?? ""
        if try await repository.hasDraft(rid: rid) { return exists }
        if try await repository.identity(.rid(rid)) != nil { return exists }
        try await repository.createDraft(rid: rid, uin: request.query("UIN"), idempotencyKey: "stand-in:\(rid)")
        return Self.done(["status": "DRAFTED"])
      },
      endpoint("PATCH", Self.identities + "/draft/update/{rid}") { request in
        let rid = request.parameters["rid"] ?? ""
        let content = try Self.content(request)
        guard try await repository.hasDraft(rid: rid) else { return missing }
        var documents: [IdentityDocument] = []
        for entry in content["documents"]?.array ?? [] {
          documents.append(IdentityDocument(category: try Self.text(entry, "category"), bytes: try Self.bytes(entry, "value")))
        }
        guard let fields = content["identity"], fields.object != nil else {
          return Self.failed("IDR-IDC-002", "Invalid Input Parameter - request/identity")
        }
        if fields["phone"]?.string == "refuse-me" {
          return Self.failed("IDR-IDC-002", "Invalid Input Parameter - identity/phone refuse-me")
        }
        try await repository.updateDraft(rid: rid, fields: fields, documents: documents, idempotencyKey: "stand-in:\(rid)")
        return Self.done(["status": "DRAFTED"])
      },
      endpoint("GET", Self.identities + "/draft/publish/{rid}") { request in
        let rid = request.parameters["rid"] ?? ""
        guard try await repository.hasDraft(rid: rid),
          let status = try await repository.publishDraft(rid: rid, idempotencyKey: "stand-in:\(rid)")
        else { return missing }
        return Self.done(["status": .string(status)], metadata: [:])
      },
      endpoint("DELETE", Self.identities + "/draft/discard/{rid}") { request in
        let rid = request.parameters["rid"] ?? ""
        guard try await repository.hasDraft(rid: rid) else { return missing }
        try await repository.discardDraft(rid: rid)
        return Self.done(["status": "DISCARDED"])
      },
      endpoint("GET", Self.identities + "/idvid/{id}") { request in
        guard let identity = try await repository.identity(Self.reference(request.parameters["id"] ?? "")) else { return missing }
        let type = request.query("type")?.lowercased()
        if let type, !["bio", "demo", "all"].contains(type) {
          return Self.failed("IDR-IDC-002", "Invalid Input Parameter - type")
        }
        var documents: [JSONValue] = []
        if type == "bio" || type == "all", let record = try await repository.biometrics(uin: identity.uin) {
          documents = [["category": "individualBiometrics", "value": .string(Encoding.base64URL(Self.file(record)))]]
        }
        return Self.done([
          "status": .string(identity.status), "identity": identity.fields, "documents": .array(documents),
          "verifiedAttributes": .null,
        ])
      },
      endpoint("GET", Self.identities + "/rid/{id}") { request in
        guard let identity = try await repository.identity(Self.reference(request.parameters["id"] ?? "")) else { return missing }
        return Self.done(["rid": .string(identity.rid)])
      },
      endpoint("PATCH", Self.identities + "/") { request in
        let content = try Self.content(request)
        if !Self.isOfNow(request) { return Self.failed("IDR-IDC-002", "Invalid Input Parameter - requesttime") }
        let rid = try Self.text(content, "registrationId")
        guard var fields = content["identity"]?.object, let uin = fields["UIN"]?.string else {
          return Self.failed("IDR-IDC-001", "Missing Input Parameter - identity/UIN")
        }
        guard fields["IDSchemaVersion"] != nil else {
          return Self.failed("IDR-IDC-001", "Missing Input Parameter - identity/IDSchemaVersion")
        }
        // Unlike ours, upstream knows no repeats.
        if try await repository.identity(.uin(uin)) == nil { return missing }
        if try await repository.identity(.rid(rid)) != nil { return exists }
        fields["UIN"] = nil
        try await repository.update(
          uin: uin, rid: rid, status: content["status"]?.string, fields: .object(fields), idempotencyKey: "stand-in:\(rid)")
        return Self.done([
          "status": JSONValue(try await repository.identity(.uin(uin))?.status), "identity": .null, "documents": .null,
          "verifiedAttributes": .null,
        ])
      },
      endpoint("GET", "/idrepository/v1/vid/uin/{uin}") { request in
        let vids = try await repository.vids(uin: request.parameters["uin"] ?? "")
        if vids.isEmpty { return Self.failed("IDR-VID-006", "No Record(s) found") }
        return Self.done(
          .array(
            vids.map { vid in
              [
                "vid": .string(vid.vid), "vidType": .string(vid.type),
                "expiryTimestamp": .string(vid.expiresAt?.iso ?? "9999-12-31T23:59:59"),
                "transactionLimit": .null, "hashAttributes": .null,
              ]
            }))
      },
    ]
  }

  /// A request is taken within a minute of its time, by the clock of the service.
  private static func isOfNow(_ request: Request) -> Bool {
    guard let body = try? JSONValue.parse(request.body), let time = body["requesttime"]?.string.flatMap({ Instant(iso: $0) }) else {
      return false
    }
    return abs(time.milliseconds - Instant.now.milliseconds) <= 60_000
  }

  /// Upstream tells the kinds of ids apart by their rules, in effect by their length.
  private static func reference(_ id: String) -> IdentityReference {
    switch id.utf8.count {
    case 10: .uin(id)
    case 16: .vid(id)
    default: .rid(id)
    }
  }
}
