import OpenCRVS
import HTTP
import JSON
import StageKit

/// What comes back from the MOSIP side, and how OpenCRVS is told.
extension OpenCRVSMediator {
  /// `POST /birthReceiveNid`: the UIN token of a birth.
  func takeToken(_ request: Request, _ context: StageContext) async throws -> Response {
    let value = try await opened(request, context)
    guard let token = value["uinToken"]?.string, FHIR.isIdentifier(token) else {
      throw MediatorError(.unreadable, "the message has no uinToken")
    }
    guard let number = value["opencrvsBRN"]?.string, FHIR.isIdentifier(number) else {
      throw MediatorError(.unreadable, "the message has no opencrvsBRN")
    }
    try await keepToken(token, of: number, value["aid"]?.string, context)
    return answer(context).message("Received")
  }

  /// Keeps the UIN token of a birth; OpenCRVS is told of it once, whichever way it comes.
  private func keepToken(_ token: String, of number: String, _ aid: String?, _ context: StageContext) async throws {
    var document: JSONObject = ["numberKind": "BRN", "registrationNumber": .string(number), "aid": JSONValue(aid)]
    for member in try await KeptToken.members(token, context.services.envelopeKeys) { document[member.key] = member.value }
    let isNew = try await keep(.object(document), in: Records.tokens, OpenCRVSRecordKey.of(number), telling: "token", context) {
      known in
      if KeptToken.isOther(known, than: token) {
        throw MediatorError(.conflict, "another token was received before for the same registration number")
      }
    }
    if isNew { context.log.info("a UIN token is taken", ["aid": aid ?? ""]) }
  }

  /// `POST /receiveStatus`: the result of an event, whatever its kind. Of a success OpenCRVS is told no more than the token of a birth or
  /// a death, since it has no place for the rest.
  func takeStatus(_ request: Request, _ context: StageContext) async throws -> Response {
    let value = try await opened(request, context)
    guard let type = value["type"]?.string, let status = value["status"]?.string, ["success", "error"].contains(status)
    else {
      throw MediatorError(.unreadable, "the message has no type, or no status of success or error")
    }
    let number: (kind: String, text: String)? =
      value["opencrvsBRN"]?.string.map { ("BRN", $0) } ?? value["opencrvsDRN"]?.string.map { ("DRN", $0) }
    let (aid, transaction) = (value["aid"]?.string, value["txnId"]?.string)
    guard let subject = transaction ?? aid ?? number?.text, FHIR.isIdentifier(subject), FHIR.isIdentifier(type),
      [aid, number?.text, value["uinToken"]?.string].allSatisfy({ $0.map(FHIR.isIdentifier) ?? true })
    else { throw MediatorError(.unreadable, "the message names no event") }
    let errors = (value["errors"]?.array ?? []).prefix(20).map { error -> JSONValue in
      [
        "errorCode": .string(Self.plain(error["errorCode"]?.string ?? "OPN-CRVS-010")),
        "errorMessage": .string(Self.plain(error["errorMessage"]?.string ?? "")),
      ]
    }
    let what = value["what"]?.string.flatMap { Self.results.contains($0) ? $0 : nil } ?? ""
    let changed = (value["changed"]?.array ?? []).compactMap(\.string).filter(Self.isFieldName).prefix(100).map(JSONValue.string)
    if status == "error", errors.isEmpty { throw MediatorError(.unreadable, "the message names no error") }
    var document: JSONObject = [
      "type": .string(type), "status": .string(status), "txnId": JSONValue(transaction), "aid": JSONValue(aid),
      "numberKind": JSONValue(number?.kind), "registrationNumber": JSONValue(number?.text),
      "what": .string(what), "changed": .array(changed), "errors": .array(errors),
    ]
    for member in try await KeptToken.members(value["uinToken"]?.string, context.services.envelopeKeys) {
      document[member.key] = member.value
    }
    let told =
      switch (status, EventKind(rawValue: type)) {
      case ("error", _): "error"
      case (_, .birth), (_, .death): value["uinToken"]?.string.map { _ in "token" }
      default: nil as String?
      }
    if status == "success", type == EventKind.birthCorrection.rawValue, what == "created", let token = value["uinToken"]?.string,
      let number
    {
      // The corrected birth had not reached MOSIP before: its token comes by the credential as well.
      try await keepToken(token, of: number.text, aid, context)
    }
    // Told once more because a person wants it so, and once for each time.
    let again = value["again"]?.int.map { ":\($0)" } ?? ""
    let isNew = try await keep(
      .object(document), in: Records.statuses, Self.statusKey(type, status, subject + again), telling: told, context
    ) { known in
      guard let token = value["uinToken"]?.string, KeptToken.isOther(known, than: token) else { return }
      throw MediatorError(.conflict, "another token was received before for the same result")
    }
    if isNew { context.log.info("a result is taken", ["type": type, "status": status, "what": what, "aid": aid ?? ""]) }
    return answer(context).message("Received")
  }

  /// What may have become of a piece of work.
  private static let results: Set<String> = ["created", "deactivated", "flagged", "corrected", "activated", "unchanged"]

  static func statusKey(_ type: String, _ status: String, _ subject: String) -> String {
    OpenCRVSRecordKey.of("\(type):\(status):\(subject)")
  }

  /// Whether a text may be the name of a field: no value of one passes.
  private static func isFieldName(_ text: String) -> Bool {
    guard let first = text.utf8.first, (65...90).contains(first) || (97...122).contains(first) else { return false }
    return text.utf8.count <= 64
      && text.utf8.allSatisfy {
        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || [45, 46, 95].contains($0)
      }
  }

  /// Who sends, opened and proved.
  private func opened(_ request: Request, _ context: StageContext) async throws -> JSONValue {
    let message = try SealedMessage(request.body, largest: 1 << 20)
    let plaintext = try await message.open(
      as: MediatorOwner.opencrvs, from: MediatorOwner.mosip, signed: .plaintext, context.services.envelopeKeys)
    return try MediatorBodies.json(plaintext, "the message")
  }

  /// Keeps what came back, and schedules that OpenCRVS is told, in one commit.
  /// - Returns: false when it was there already.
  private func keep(
    _ document: JSONValue, in collection: String, _ key: String, telling what: String?, _ context: StageContext,
    check: (JSONValue) throws -> Void
  ) async throws -> Bool {
    if let known = try await context.store.record(collection, key) {
      try check(known.document)
      return false
    }
    var changes: [StageChange] = [.insert(collection: collection, key: key, document: document)]
    if let what { changes.append(.schedule(telling(what, collection, key))) }
    do {
      try await context.store.commit(changes)
    } catch let conflict as StoreConflict {
      guard let known = try await context.store.record(collection, key) else { throw conflict }
      try check(known.document)
      return false
    }
    return true
  }

  /// The work of telling OpenCRVS what a record says.
  func telling(_ what: String, _ collection: String, _ key: String) -> WorkItem {
    WorkItem(
      kind: Self.tell, key: "\(what):\(collection):\(key)",
      payload: ["what": .string(what), "collection": .string(collection), "record": .string(key)])
  }

  /// `POST <opencrvs url>` with `{"BRN"|"DRN", "MOSIP_AID"}`, `{"BRN"|"DRN", "MOSIP_PSUT_TOKEN_ID"}` or
  /// `{"BRN"|"DRN", "MOSIP_AID"?, "MOSIP_ERROR"}`, until OpenCRVS
  /// takes it: every refusal is tried again, since it is a person's registration that would be lost.
  func tell(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let collection = work.payload["collection"]?.string, let key = work.payload["record"]?.string,
      let document = try await context.store.record(collection, key)?.document
    else { throw MediatorError(.unknown, "there is nothing of this key to tell").workFailure }
    var body = JSONObject()
    if let number = document["registrationNumber"]?.string {
      body[document["numberKind"]?.string ?? "BRN"] = .string(number)
    } else {
      body["MOSIP_AID"] = document["aid"]
    }
    switch work.payload["what"]?.string {
    case "aid": body["MOSIP_AID"] = document["aid"]
    case "token": body["MOSIP_PSUT_TOKEN_ID"] = JSONValue(try await KeptToken.of(document, context.services.envelopeKeys))
    default:
      let errors = document["errors"]?.array ?? []
      let texts = errors.map { "\($0["errorCode"]?.string ?? ""): \($0["errorMessage"]?.string ?? "")" }
      if let aid = document["aid"]?.string { body["MOSIP_AID"] = .string(aid) }
      body["MOSIP_ERROR"] = .string(texts.joined(separator: "; "))
    }
    _ = try await MediatorClient(http: context.services.http).post(
      JSONValue.object(body).encoded(), to: settings.text("opencrvs-url"), headers: try await bearer(context),
      service: "OpenCRVS")
    return .done
  }

  /// Text of another system without control characters and of bounded length: a database and a person will read it.
  private static func plain(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }.prefix(500)))
  }
}
