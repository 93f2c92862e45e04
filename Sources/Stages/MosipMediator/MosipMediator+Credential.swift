import Cryptography
import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import System

/// From CREDENTIAL_ISSUED to the UIN token at the OpenCRVS side (docs/upstream/opencrvs-and-websub.md#36-credential-back and
/// #42-credential_issued).
extension MosipMediator {
  /// `POST /internal/receiveCredentialBirth`: kept first, answered, worked on afterwards. An event that came before
  /// changes nothing. MOSIP's hub tries for half a minute (docs/upstream/opencrvs-and-websub.md#41-requests-to-the-hub).
  func takeCredential(_ request: Request, _ context: StageContext) async throws -> Response {
    let (event, key) = try credential(try delivered(request, of: credentialTopic, context), request.body)
    let spooled = SpooledRequest(Self.credential, group: key, body: request.body)
    let received = answer(context).message("Received")
    return try await context.take(orSpool: spooled, isRefusal: { $0 is MediatorError }, answer: received) {
      try await keep(event, key, context)
      return received
    }
  }

  func takeSpooledCredential(_ body: [UInt8], _ context: StageContext) async throws {
    let (event, key) = try credential(try MediatorBodies.json(body, "the delivery"), body)
    try await keep(event, key, context)
  }

  /// The event of a delivery, and its key.
  private func credential(_ body: JSONValue, _ bytes: [UInt8]) throws(MediatorError) -> (event: JSONValue, key: String) {
    if let topic = body["topic"]?.string, topic != credentialTopic {
      throw MediatorError(.unreadable, "the delivery is of another topic")
    }
    guard let event = body["event"], event.object != nil else {
      throw MediatorError(.unreadable, "the delivery has no event")
    }
    let id = event["id"]?.string.flatMap { FHIR.isIdentifier($0) ? $0 : nil } ?? Hash.sha256Hex(bytes)
    return (event, OpenCRVSRecordKey.of(id))
  }

  private func keep(_ event: JSONValue, _ key: String, _ context: StageContext) async throws {
    if try await context.store.has(CredentialRecord.self, key) { return }
    try await events(context).put(
      event.encoded(), container: ObjectAccounts.credentials + OpenCRVSRecordKey.container(key), key: "event.json")
    let request = event["transactionId"]?.string.flatMap { FHIR.isIdentifier($0) ? $0 : nil }
    do {
      try await context.store.commit([
        CredentialRecord(key, requestId: request).writing,
        .schedule(WorkItem(kind: Self.credential, key: key)),
      ])
    } catch is StoreConflict {
      // Delivered twice at the same time, and the other delivery was first.
    }
  }

  func returnToken(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard var record = try await context.store.record(CredentialRecord.self, work.key) else {
      throw MediatorError(.unknown, "there is no credential event of this key").workFailure
    }
    // Given up before, it is done again because an operator wants it so.
    if record.status != .received && record.status != .failed { return .done }
    record.errorCode = nil
    do {
      guard let (message, trace) = try await tokenMessage(work.key, context) else {
        context.log.warning("a credential of nobody who was sent here is dropped", ["event": work.key])
        strangers.add()
        record.status = .dropped
        return .done(changes: [record.overwriting])
      }
      do {
        try await sendBack(message, id: "", to: "/birthReceiveNid", trace, context)
      } catch let refusal as MediatorClient.RefusedError {
        throw refusal.ending("the UIN token cannot be sent back")
      }
    } catch let refusal as CredentialError {
      context.log.warning("a credential is refused", ["event": work.key, "reason": refusal.rawValue])
      refusals.add(refusal)
      record.status = .refused
      record.reason = refusal
      return .done(changes: [record.overwriting] + saying(refusal.status, of: record))
    } catch let fault as MediatorError {
      throw fault.workFailure
    }
    context.log.info("a UIN token is sent back", ["event": work.key])
    record.status = .served
    return .done(changes: [record.overwriting] + saying(.served, of: record))
  }

  /// `{"uinToken","opencrvsBRN","aid"}` of a credential event, and the birth's trace; nil for one of a registration that nobody sent here.
  private func tokenMessage(_ key: String, _ context: StageContext) async throws -> (message: JSONValue, trace: TraceId?)? {
    guard let (birth, uin) = try await provenBirth(key, context) else { return nil }
    guard let number = birth.registrationNumber, FHIR.isIdentifier(number) else { return nil }
    let token = try await uinToken(of: uin, context)
    try await remember(token, birth.rid, context)
    return (["uinToken": .string(token), "opencrvsBRN": .string(number), "aid": .string(birth.rid)], birth.trace)
  }

  /// The birth of ours that a credential event belongs to, with the UIN that the credential says; nil for one that nobody sent here.
  /// - Throws: `CredentialError` for an event that is not believed, `MediatorError` for one that cannot be read.
  private func provenBirth(_ key: String, _ context: StageContext) async throws -> (birth: BirthRecord, uin: String)? {
    let event = try await keptEvent(key, context)
    let credential = try await openedCredential(of: event, context)
    try await checkProof(of: event, credential, context)
    guard let subject = (try? JSONValue.parse(credential))?["credentialSubject"],
      let uin = subject["UIN"]?.string ?? subject["UIN"]?.int.map(String.init), !uin.isEmpty
    else { throw MediatorError(.unreadable, "the credential is not readable or has no UIN") }
    return try await birth(of: event, subject, uin, context).map { ($0, uin) }
  }

  private func openedCredential(of event: JSONValue, _ context: StageContext) async throws -> [UInt8] {
    let envelope = try await envelope(of: event, context)
    do {
      return try await context.services.envelopeKeys.open(envelope, as: settings.text("partner-id"))
    } catch let error as ServiceError where error.kind == .refused {
      throw MediatorError(.decryption, "the credential cannot be decrypted")
    }
  }

  /// Keeps by which token the person of a birth is known: a later event may name nothing else.
  private func remember(_ token: String, _ rid: String, _ context: StageContext) async throws {
    for _ in 0..<8 {
      var person = try await person(PersonRecord.key(token), context)
      guard person.rid == nil else { return }
      person.rid = rid
      do {
        return try await context.store.commit([person.writing])
      } catch is StoreConflict {
        // A change of the same person: looked at again.
      }
    }
  }

  /// Holds a credential to the signature of the service that issues credentials.
  /// - Throws: `CredentialError`; `ServiceError`, always retriable, when its certificate cannot be had: nobody's token is lost by that.
  private func checkProof(of event: JSONValue, _ credential: [UInt8], _ context: StageContext) async throws {
    let rule = settings.text("credential-proof")
    guard rule != "off" else { return }
    guard let proof = event["data"]?["proof"]?["signature"]?.string, !proof.isEmpty else {
      if rule == "required" { throw CredentialError.noProof }
      return
    }
    // An earlier version of the embedded service signed the text of the credential in base64url; its events may still be on their way.
    for payload in [credential, Array(Encoding.base64URL(credential).utf8)] {
      do {
        let signer = settings.text("credential-signer")
        if try await context.services.keys.verifyJWS(proof, payload: payload, application: signer) { return }
      } catch let error as ServiceError where !error.isRetriable {
        throw ServiceError(.unavailable, service: error.service, code: error.code, error.message)
      }
    }
    throw CredentialError.wrongProof
  }

  /// Whose credential it says that it is, proved or not: for a line of the log.
  func subject(ofCredential key: String, _ context: StageContext) async -> WorkSubject? {
    guard let rid = (try? await keptEvent(key, context))?["data"]?["registrationId"]?.string, OpenCRVSRecordKey.isRID(rid)
    else { return nil }
    return WorkSubject(rid: rid, trace: (try? await birth(ofRID: rid, context))?.trace)
  }

  /// The birth that a credential is of: by the RID for which our requestor asked, else by a RID at the end of the subject's id, else by the
  /// latest registration of the identity. Where none of these is ours, by the registration number, which is believed of nobody else than
  /// the one whose UIN the credential says.
  private func birth(
    of event: JSONValue, _ subject: JSONValue, _ uin: String, _ context: StageContext
  ) async throws -> BirthRecord? {
    let number = event["data"]?["opencrvsBRN"]?.string
    let named = try await birth(ofNumber: number, context)
    let asked = [event["data"]?["registrationId"]?.string, FHIR.tail(subject["id"]?.string)]
    for rid in asked.compactMap({ $0 }) where OpenCRVSRecordKey.isRID(rid) {
      guard let birth = try await birth(ofRID: rid, context) else { continue }
      try await prove(uin, isOf: rid, context)
      return try checked(birth, number, named)
    }
    if let rid = try await context.services.identities.identity(.uin(uin))?.rid, let birth = try await birth(ofRID: rid, context) {
      return try checked(birth, number, named)
    }
    // The identity was changed since by a registration that is not ours.
    guard let named else { return nil }
    try await prove(uin, isOf: named.rid, context)
    return named
  }

  private func birth(ofRID rid: String, _ context: StageContext) async throws -> BirthRecord? {
    guard let owner = try await context.store.record(RIDOwner.self, rid) else { return nil }
    return try await context.store.record(BirthRecord.self, owner.birth ?? owner.transaction)
  }

  private func birth(ofNumber number: String?, _ context: StageContext) async throws -> BirthRecord? {
    guard let number, FHIR.isIdentifier(number),
      let owner = try await context.store.record(NumberOwner.self, OpenCRVSRecordKey.of(number))
    else { return nil }
    return try await context.store.record(BirthRecord.self, owner.transaction)
  }

  /// A birth whose credential names no other registration number than its own.
  private func checked(_ birth: BirthRecord, _ number: String?, _ named: BirthRecord?) throws(CredentialError) -> BirthRecord {
    guard number == nil || number == birth.registrationNumber || named?.key == birth.key else { throw .otherNumber }
    return birth
  }

  /// A credential says the UIN of the identity that the registration made, and of nobody else.
  private func prove(_ uin: String, isOf rid: String, _ context: StageContext) async throws {
    guard try await context.services.identities.identity(.rid(rid))?.uin == uin else { throw CredentialError.otherPerson }
  }

  /// The event as it came.
  private func keptEvent(_ key: String, _ context: StageContext) async throws -> JSONValue {
    guard
      let bytes = try await events(context).get(
        container: ObjectAccounts.credentials + OpenCRVSRecordKey.container(key), key: "event.json"),
      let event = try? JSONValue.parse(bytes)
    else { throw MediatorError(.unknown, "the credential event is not in the object store") }
    return event
  }

  /// The sealed credential: in the event itself, or where its data share URL says.
  private func envelope(of event: JSONValue, _ context: StageContext) async throws -> [UInt8] {
    if let text = event["data"]?["credential"]?.string, !text.isEmpty {
      guard let bytes = Encoding.bytes(base64: text) else {
        throw MediatorError(.decryption, "the credential is not base64")
      }
      return bytes
    }
    guard let url = event["dataShareUri"]?.string, !url.isEmpty else {
      throw MediatorError(.unreadable, "the event has neither a credential nor a data share URL")
    }
    guard context.services.outgoingHosts.allows(url) else {
      RefusedCallers.shared.add("credential", reason: "host")
      context.log.warning(
        "a credential is not fetched: data shares at its host are not allowed (http.outgoing-hosts, mosip.datashare-url)",
        ["host": OutgoingHosts.host(of: url) ?? "none that can be read"])
      throw MediatorError(.decryption, "the data share is at a host that is not allowed")
    }
    let response: ClientResponse
    do {
      response = try await MediatorClient(http: context.services.http).get(
        url, service: "data share", final: [404, 410], largest: 16 << 20)
    } catch let refusal as MediatorClient.RefusedError {
      // It deletes what is over; any other refusal says nothing of the credential.
      guard [404, 410].contains(refusal.status) else {
        throw ServiceError(
          .unavailable, service: "data share", code: MediatorError.Code.serviceUnreachable.rawValue,
          "refuses with \(refusal.status)")
      }
      throw MediatorError(.decryption, "the data share does not have the credential")
    }
    // The text of the envelope, in quotes or not; a share that keeps raw bytes begins with the envelope's own header.
    if response.body.starts(with: "VER_R2".utf8) { return response.body }
    let text = response.body.filter { $0 > 32 && $0 != UInt8(ascii: "\"") }
    guard let bytes = Encoding.bytes(base64: text) else {
      throw MediatorError(.decryption, "the data share holds no base64")
    }
    return bytes
  }

  /// No token will come of this credential: MOSIP is told by its status, the OpenCRVS side by an error.
  func credentialGaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    guard var record = try await context.readable(CredentialRecord.self, work.key) else { return }
    let code = MediatorError.Code(rawValue: failure.code)
    let status: ServingStatus =
      switch code {
      case .decryption: .notDecrypted
      case .unreadable: .notReadable
      case .tokenGeneration: .noToken
      default: .notSentBack
      }
    record.status = .failed
    record.errorCode = failure.code
    var changes = [record.overwriting] + saying(status, of: record)
    // Only of a birth that the credential is proved to be of: nobody else's could be made to fail.
    let isOpen = code != .decryption && code != .unreadable
    do {
      if isOpen, var (birth, _) = try await provenBirth(work.key, context) {
        changes.append(
          .schedule(statusWork(of: &birth, .credential(work.key), code: failure.code, message: failure.message)))
        changes.append(birth.writing)
      }
    } catch let error where error is MediatorError || error is CredentialError {
      context.log.warning("a credential comes to nothing, and nobody knows whose it is", ["event": work.key, "code": failure.code])
    }
    try await context.store.commit(changes)
  }

  /// The work of publishing a status; nothing for an event that names no credential request.
  private func saying(_ status: ServingStatus, of record: CredentialRecord) -> [StageChange] {
    guard let request = record.requestId else { return [] }
    return [
      .schedule(
        WorkItem(
          kind: Self.credentialStatus, key: "\(record.key):\(status.rawValue)",
          payload: ["status": .string(status.rawValue), "requestId": .string(request), "id": .string(SecureRandom.uuid())]))
    ]
  }

  func publishCredentialStatus(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    let topic = "CREDENTIAL_STATUS_UPDATE"
    let now = JSONValue.string(context.services.clock.now.iso)
    let body: JSONValue = [
      "publisher": "OPENCRVS_MEDIATOR", "topic": .string(topic), "publishedOn": now,
      "event": [
        "id": work.payload["id"] ?? .null, "requestId": work.payload["requestId"] ?? .null, "timestamp": now,
        "status": work.payload["status"] ?? .null, "url": .null,
      ],
    ]
    try await context.services.hub.publish(body.encoded(), topic: topic, idempotencyKey: "\(context.stage):\(work.key)")
    return .done
  }
}
