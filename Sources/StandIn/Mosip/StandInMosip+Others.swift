import HTTP
import JSON
import StageKit
import System

/// The endpoints of credential request generator, hub, RID generator, audit manager and master data.
extension StandInMosip {
  var otherDoors: [Endpoint] {
    let (services, state) = (services, self)
    return [
      door("POST", "/v1/credentialrequest/v2/requestgenerator/{id}") { request in
        let id = request.parameters["id"] ?? ""
        let content = try Self.content(request)
        let made = state.issue(id)
        // Each call issues anew, whatever was before.
        _ = try await services.credentials.request(
          CredentialRequest(
            id: try Self.text(content, "id"), credentialType: try Self.text(content, "credentialType"),
            issuer: try Self.text(content, "issuer"), additionalData: content["additionalData"] ?? [:]),
          idempotencyKey: "stand-in:\(id):\(made)")
        return Self.done(["requestId": .string(id), "id": content["id"] ?? .null])
      },
      door("GET", "/v1/credentialrequest/get/{id}") { request in
        guard let status = state.credentialStatus(request.parameters["id"] ?? "") else {
          return Self.failed("IDR-CRG-003", "request id is not present")
        }
        return Self.done([
          "id": .null, "requestId": JSONValue(request.parameters["id"]), "statusCode": .string(status), "url": .null,
        ])
      },
      door("POST", "/hub", maxBody: 2 << 20) { request in try await state.hub(request) },
      door("GET", "/v1/ridgenerator/generate/rid/{center}/{machine}") { request in
        let rid = try await services.rids.next(
          centerId: request.parameters["center"] ?? "", machineId: request.parameters["machine"] ?? "")
        return Self.done(["rid": .string(rid.text)])
      },
      door("POST", "/v1/auditmanager/audits") { request in
        let content = try Self.content(request)
        for name in ["actionTimeStamp", "hostName", "hostIp", "applicationId", "applicationName", "sessionUserId", "createdBy"] {
          _ = try Self.text(content, name)
        }
        try await services.audit.record([
          AuditEntry(
            eventId: try Self.text(content, "eventId"), eventName: try Self.text(content, "eventName"),
            eventType: try Self.text(content, "eventType"), module: try Self.text(content, "moduleName"),
            id: try Self.text(content, "id"),
            idType: try Self.text(content, "idType"), description: try Self.text(content, "description"))
        ])
        return Self.done(["status": true])
      },
      door("GET", "/v1/masterdata/idschema/latest") { request in
        guard let schema = try await services.schemas.schema(version: request.query("schemaVersion") ?? "") else {
          return Self.failed("KER-SCH-007", "Schema not found")
        }
        return Self.done(["id": "1001", "schemaJson": .string(String(decoding: schema.json.encoded(), as: UTF8.self))])
      },
      door("GET", "/v1/masterdata/possiblevalues/{kind}") { request in
        guard let languages = request.query("langCode") else {
          return Self.failed("KER-MSD-500", "Required request parameter 'langCode' is not present", status: 500)
        }
        let values = try await services.masterData.values(of: request.parameters["kind"] ?? "") ?? []
        // A language without values is left out, and so is everything of a kind that is not there.
        var answer = JSONObject()
        for language in languages.split(separator: ",").map(String.init) {
          let named: [JSONValue] = values.compactMap { value in
            value.names[language].map { ["code": .string(value.code), "value": .string($0), "dataType": "string"] }
          }
          if !named.isEmpty { answer[language] = .array(named) }
        }
        return Self.done(.object(answer))
      },
    ]
  }

  private func issue(_ id: String) -> Int {
    state.withLock { state in
      let made = (state.credentials[id]?.made ?? 0) + 1
      state.credentials[id] = ("NEW", made)
      return made
    }
  }

  private func credentialStatus(_ id: String) -> String? { state.withLock { $0.credentials[id]?.status } }

  /// How many credentials a request's id has brought.
  public func credentials(of id: String) -> Int { state.withLock { $0.credentials[id]?.made ?? 0 } }

  /// Sets the state of a credential request, as the credential service or a partner does.
  public func setCredential(_ id: String, status: String) { state.withLock { $0.credentials[id]?.status = status } }

  /// The hub: forms and answers of docs/upstream/opencrvs-and-websub.md#41-requests-to-the-hub.
  private func hub(_ request: Request) async throws -> Response {
    func plain(_ text: String, _ status: Int) -> Response {
      Response(status: status, headers: ["Content-Type": "application/x-www-form-urlencoded"], body: Array(text.utf8))
    }
    let form = request.query("hub.mode") == nil ? request.form() : []
    func field(_ name: String) -> String { request.query(name) ?? form.first { $0.0 == name }?.1 ?? "" }
    let topic = field("hub.topic")
    // Nobody but the partner subscribes to its topics, and is told so with a 500.
    if field("hub.mode") == "subscribe", let slash = topic.firstIndex(of: "/"), client(request) != topic[..<slash] {
      return plain("hub.mode=denied&hub.reason=unauthorised", 500)
    }
    switch field("hub.mode") {
    case "publish":
      try await services.hub.publish(request.body, topic: topic, idempotencyKey: SecureRandom.uuid())
      return plain("hub.mode=accepted", 200)
    case "subscribe":
      guard let lease = Int(field("hub.lease_seconds")), !field("hub.secret").isEmpty else {
        return plain("hub.mode=denied&hub.reason=missing", 400)
      }
      let place = topic + " " + field("hub.callback")
      let isKnown = state.withLock { state in
        if state.subscriptions.contains(place) { return true }
        state.subscriptions.append(place)
        return false
      }
      if isKnown { return plain("hub.mode=denied&hub.reason=already registered", 200) }
      try await services.hub.subscribe(
        topic: topic, callback: field("hub.callback"), secret: field("hub.secret"), leaseSeconds: lease)
      return plain("hub.mode=accepted", 202)
    default: return plain("hub.mode=denied&hub.reason=unknown mode", 400)
    }
  }
}
