import Cryptography
import OpenCRVS
import HTTP
import JSON
import StageKit

/// What comes back from the MOSIP side, and how OpenCRVS is told.
extension OpenCRVSMediator {
  /// A UIN token as the MOSIP side says it.
  private struct Arrival {
    var token: String
    var number: String
    var aid: String?
  }

  /// `POST /birthReceiveNid`: the UIN token of a birth. Upstream's mediator sends it once, whatever it is answered
  /// (docs/upstream/opencrvs-and-websub.md#36-credential-back).
  func takeToken(_ request: Request, _ context: StageContext) async throws -> Response {
    let arrival = try await arrival(request.body, context)
    let spooled = SpooledRequest(Self.token, group: arrival.number, body: request.body)
    let received = answer(context).message("Received")
    return try await context.take(orSpool: spooled, isRefusal: { $0 is MediatorError }, answer: received) {
      try await keepToken(arrival.token, of: arrival.number, arrival.aid, context)
      return received
    }
  }

  func takeSpooledToken(_ body: [UInt8], _ context: StageContext) async throws {
    let arrival = try await arrival(body, context)
    try await keepToken(arrival.token, of: arrival.number, arrival.aid, context)
  }

  private func arrival(_ body: [UInt8], _ context: StageContext) async throws -> Arrival {
    let value = try await opened(body, context)
    guard let token = value["uinToken"]?.string, FHIR.isIdentifier(token) else {
      throw MediatorError(.unreadable, "the message has no uinToken")
    }
    guard let number = value["opencrvsBRN"]?.string, FHIR.isIdentifier(number) else {
      throw MediatorError(.unreadable, "the message has no opencrvsBRN")
    }
    return Arrival(token: token, number: number, aid: value["aid"]?.string)
  }

  /// Keeps the UIN token of a birth; OpenCRVS is told of it once, whichever way it comes, and once more after an error.
  private func keepToken(_ token: String, of number: String, _ aid: String?, _ context: StageContext) async throws {
    let kept = try await KeptToken(token, context.services.envelopeKeys)
    let record = TokenRecord(kept, ofBirth: number, aid: aid)
    let isNew = try await keep(record, telling: .token, of: { try await birth(of: number, context) }, context) { known in
      if known.token.isOther(than: token) {
        throw MediatorError(.conflict, "another token was received before for the same registration number")
      }
    }
    if isNew { context.log.info("a UIN token is taken", ["aid": aid ?? ""]) }
  }

  /// `POST /receiveStatus`: the result of an event, whatever its kind. Of a success OpenCRVS is told no more than the token of a birth or
  /// a death, since it has no place for the rest.
  func takeStatus(_ request: Request, _ context: StageContext) async throws -> Response {
    let value = try await opened(request.body, context)
    guard let type = value["type"]?.string, let status = value["status"]?.string.flatMap(ResultStatus.init) else {
      throw MediatorError(.unreadable, "the message has no type, or no status of success or error")
    }
    let number: (kind: NumberKind, text: String)? =
      value["opencrvsBRN"]?.string.map { (NumberKind.birth, $0) } ?? value["opencrvsDRN"]?.string.map { (NumberKind.death, $0) }
    let token = value["uinToken"]?.string
    let (aid, transaction) = (value["aid"]?.string, value["txnId"]?.string)
    guard let subject = transaction ?? aid ?? number?.text, FHIR.isIdentifier(subject), FHIR.isIdentifier(type),
      [aid, number?.text, token].allSatisfy({ $0.map(FHIR.isIdentifier) ?? true })
    else { throw MediatorError(.unreadable, "the message names no event") }
    let errors = (value["errors"]?.array ?? []).prefix(20).map { error in
      ToldError(
        code: Self.plain(error["errorCode"]?.string ?? MediatorError.Code.unknown.rawValue),
        message: Self.plain(error["errorMessage"]?.string ?? ""))
    }
    let what = try value["what"]?.string.map { text throws(MediatorError) in
      guard let what = ChangeResult(rawValue: text) else { throw MediatorError(.unreadable, "`what` is no result that is known") }
      return what
    }
    let changed = (value["changed"]?.array ?? []).compactMap(\.string).filter(Self.isFieldName).prefix(100)
    if status == .error, errors.isEmpty { throw MediatorError(.unreadable, "the message names no error") }
    // Told once more because a person wants it so, and once for each time. Without that the end of each run is told, once.
    let again = value["again"]?.int
    let run = value["run"]?.int.map { $0 > 1 ? ":run:\($0)" : "" } ?? ""
    let kept = if let token { try await KeptToken(token, context.services.envelopeKeys) } else { KeptToken.none }
    var result = ResultRecord(
      Self.statusKey(type, status.rawValue, subject + (again.map { ":\($0)" } ?? run)), type: type, status,
      transaction: transaction, aid: aid,
      numberKind: number?.kind, number: number?.text, errors: errors, token: kept)
    result.became(what, fields: Array(changed))
    if value["held"]?.bool == true { result.isHeldBack() }
    let told: Telling? =
      switch (status, EventKind(rawValue: type)) {
      case (.error, _): .error
      case (.success, .birth), (.success, .death): token.map { _ in .token }
      default: nil
      }
    if status == .success, type == EventKind.birthCorrection.rawValue, what == .created, let token, let number {
      // The corrected birth had not reached MOSIP before: its token comes by the credential as well.
      try await keepToken(token, of: number.text, aid, context)
    }
    let isNew = try await keep(
      result, telling: told, isWanted: again != nil, of: { try await event(transaction, type, number?.text, context) }, context
    ) { known in
      guard let token, known.token.isOther(than: token) else { return }
      throw MediatorError(.conflict, "another token was received before for the same result")
    }
    if isNew {
      context.log.info(
        "a result is taken", ["type": type, "status": status.rawValue, "what": what?.rawValue ?? "", "aid": aid ?? ""])
    }
    return answer(context).message("Received")
  }

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
  private func opened(_ body: [UInt8], _ context: StageContext) async throws -> JSONValue {
    let message = try SealedMessage(body, largest: EventLimits.result)
    let plaintext = try await message.open(
      as: MediatorOwner.opencrvs, from: MediatorOwner.mosip, signed: .plaintext, context.services.envelopeKeys)
    return try MediatorBodies.json(plaintext, "the message")
  }

  /// The event that a result is of: by its work key; a birth's also by its registration number.
  private func event(
    _ transaction: String?, _ type: String, _ number: String?, _ context: StageContext
  ) async throws -> EventRecord? {
    if let transaction, let event = try await context.store.record(EventRecord.self, OpenCRVSRecordKey.of(transaction)) {
      return event
    }
    guard type == EventKind.birth.rawValue, let number else { return nil }
    return try await birth(of: number, context)
  }

  /// The birth of a registration number, as far as MOSIP has taken it: what is told by that number is told of no other record.
  private func birth(of number: String, _ context: StageContext) async throws -> EventRecord? {
    let events = try await context.store.records(
      EventRecord.collection, where: "registrationNumber", is: number, after: nil, limit: 50)
    return try events.map { try EventRecord($0) }.first { $0.kind == .birth && $0.takenAid != nil }
  }

  /// Keeps what came back, and schedules that OpenCRVS is told, in one commit. What there was to tell of the event before is out of date
  /// from then on.
  /// - Returns: false when it was there already.
  private func keep<Record: KeptRecord>(
    _ record: Record, telling what: Telling?, isWanted: Bool = false, of event: () async throws -> EventRecord?,
    _ context: StageContext, check: (Record) throws -> Void
  ) async throws -> Bool {
    try await untilCommitted {
      let known = try await context.store.record(Record.self, record.key)
      if let known { try check(known) }
      var event = try await event()
      // The same token after an error is what there is to tell again.
      guard known == nil || what == .token && event?.hasError == true else { return false }
      // How a try ended whose place another one took is kept, and is nothing to tell.
      if let result = record as? ResultRecord, result.status == .error, event?.isBeyond(result.aid) == true {
        try await context.store.commit([record.writing])
        return true
      }
      var changes = known == nil ? [record.writing] : []
      if let what = what ?? (event?.generation == nil ? nil : .result) {
        let work = telling(
          what, Record.collection, record.key, of: event, isRepeatable: known != nil, isWanted: isWanted)
        changes.append(.schedule(work))
        event?.isTold(by: work.key)
      } else {
        event?.isTold(by: "\(Record.collection):\(record.key)")
      }
      if let event { changes += [event.writing, awaitedNoMore(event)] }
      try await context.store.commit(changes)
      return known == nil
    }
  }

  // MARK: telling OpenCRVS

  /// The work of telling OpenCRVS what a record says.
  /// - Parameters:
  ///   - event: the event that it is of; without it nothing is known that could make it out of date.
  ///   - isRepeatable: whether the same record may have been told before.
  ///   - isWanted: whether a person wants it told, be it what was told last.
  func telling(
    _ what: Telling, _ collection: String, _ key: String, of event: EventRecord?, isRepeatable: Bool = false,
    isWanted: Bool = false
  ) -> WorkItem {
    var payload: JSONObject = ["what": .string(what.rawValue), "collection": .string(collection), "record": .string(key)]
    if let event { payload["event"] = .string(event.key) }
    if isWanted { payload["wanted"] = true }
    let number = event.map { $0.tellings + 1 } ?? 1
    return WorkItem(
      kind: Self.tell, key: "\(what.rawValue):\(collection):\(key)" + (isRepeatable && number > 1 ? "#\(number)" : ""),
      payload: .object(payload))
  }

  /// What a piece of telling tells, and of which record, by its key.
  static func parts(ofTelling key: String) -> (what: Telling, collection: String, key: String)? {
    let parts = key.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3, let what = Telling(rawValue: parts[0]) else { return nil }
    return (what, parts[1], parts[2].split(separator: "#", omittingEmptySubsequences: false).first.map(String.init) ?? parts[2])
  }

  /// The work of telling OpenCRVS under which application id MOSIP has taken an event.
  func tellingAid(of event: EventRecord) -> WorkItem {
    var work = telling(.aid, EventRecord.collection, event.key, of: event)
    if event.take > 1 { work.key += "#\(event.take)" }
    return work
  }

  /// `POST <opencrvs url>` with `{"BRN"|"DRN", "MOSIP_AID"}`, `{"BRN"|"DRN", "MOSIP_PSUT_TOKEN_ID"}` or
  /// `{"BRN"|"DRN", "MOSIP_AID"?, "MOSIP_ERROR"}`, until OpenCRVS
  /// takes it: every refusal is tried again, since it is a person's registration that would be lost. What is out of date by then, and an
  /// error or a token that is what was told last, is not told.
  func tell(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let collection = work.payload["collection"]?.string, let key = work.payload["record"]?.string,
      let record = try await told(collection, key, context)
    else { throw MediatorError(.unknown, "there is nothing of this key to tell").workFailure }
    let what = try Self.telling(of: work)
    let event = try await event(of: work, context)
    if what == .aid {
      guard let record = record as? EventRecord, record.status != .failed else { return .done }
      // An earlier version wanted to say so before MOSIP had taken it; or it is on its way there once more.
      if record.status != .forwarded { return .again(afterSeconds: 5) }
    } else if let event, event.latest != work.key {
      return .done
    }
    if let event, event.generation != nil, let policy { return try await answer(what, record, of: event, policy, context) }
    let body = try await body(what, record, context)
    let mark = what == .token ? what.rawValue : Hash.sha256Hex(body.encoded())
    if what != .aid, let event, event.told == mark, work.payload["wanted"]?.bool != true { return .done }
    var headers = try await bearer(context)
    headers["b3"] = TraceContext.header(continuing: event?.trace)
    _ = try await MediatorClient(http: context.services.http).post(
      body.encoded(), to: settings.text("opencrvs-url"), headers: headers, service: "OpenCRVS")
    if what != .aid, let event { try await wasTold(event.key, mark, context) }
    return .done
  }

  /// What a piece of work is to tell; of the first versions an error.
  private static func telling(of work: WorkItem) throws -> Telling {
    guard let text = work.payload["what"]?.string else { return .error }
    guard let what = Telling(rawValue: text) else {
      throw MediatorError(.unknown, "what is to be told is \(text.prefix(40)), which this version does not know").workFailure
    }
    return what
  }

  /// The event that a piece of telling is of; nil for the work of an earlier version.
  private func event(of work: WorkItem, _ context: StageContext) async throws -> EventRecord? {
    guard let key = work.payload["event"]?.string else { return nil }
    return try await context.store.record(EventRecord.self, key)
  }

  private func body(_ what: Telling, _ record: any Tellable, _ context: StageContext) async throws -> JSONValue {
    var body = JSONObject()
    if let number = record.registrationNumber {
      body[(record.numberKind ?? .birth).rawValue] = .string(number)
    } else {
      body["MOSIP_AID"] = JSONValue(record.takenAid)
    }
    switch what {
    case .aid: body["MOSIP_AID"] = JSONValue(record.takenAid)
    case .token: body["MOSIP_PSUT_TOKEN_ID"] = JSONValue(try await record.token.opened(context.services.envelopeKeys))
    case .result: throw MediatorError(.unknown, "there is no way to tell that it is done").workFailure
    case .error:
      if let aid = record.takenAid { body["MOSIP_AID"] = .string(aid) }
      body["MOSIP_ERROR"] = .string(record.errors.map { "\($0.code): \($0.message)" }.joined(separator: "; "))
    }
    return .object(body)
  }

  private func wasTold(_ key: String, _ mark: String, _ context: StageContext) async throws {
    try await untilCommitted {
      guard var event = try await context.store.record(EventRecord.self, key) else { return }
      event.told = mark
      try await context.store.commit([event.writing])
    }
  }

  func told(_ collection: String, _ key: String, _ context: StageContext) async throws -> (any Tellable)? {
    switch collection {
    case EventRecord.collection: try await context.store.record(EventRecord.self, key)
    case TokenRecord.collection: try await context.store.record(TokenRecord.self, key)
    case ResultRecord.collection: try await context.store.record(ResultRecord.self, key)
    default: nil
    }
  }

  /// Text of another system without control characters and of bounded length: a database and a person will read it.
  private static func plain(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 32 && $0.value != 127 }.prefix(500)))
  }
}
