import OpenCRVS
import JSON
import Registration
import StageKit
import System

/// How a change ends: what it leaves at its record and its person, who is next in the line, and what the OpenCRVS side is told.
extension MosipMediator {
  enum Ending: Sendable {
    /// What was decided is done.
    case done
    /// There was nothing to do.
    case unchanged(isStale: Bool)
  }

  func finish(_ change: ChangeRecord, _ ending: Ending, _ context: StageContext) async throws -> WorkOutcome {
    var (isDone, isStale) = (true, false)
    if case .unchanged(let cause) = ending { (isDone, isStale) = (false, cause) }
    if isStale { stale.add() }
    let outcome = try await end(change, .changed, context) {
      if !isDone { $0.isUnchanged(isStale: isStale) }
    } effects: { line, persons in
      try await leave(change, isDone, &line, &persons, isStale, context) + (isDone ? noticeWork(of: change, context) : [])
    }
    context.log.info(
      "a change is done",
      ["kind": change.eventKind.rawValue, "rid": change.rid, "what": (isDone ? change.what : .unchanged)?.rawValue ?? ""])
    return outcome
  }

  /// Keeps a change until a person releases it, and says so. What comes after it in its line goes on.
  func hold(_ change: ChangeRecord, _ reason: String, _ context: StageContext) async throws -> WorkOutcome {
    context.log.warning("a change waits for a person to release it", ["kind": change.eventKind.rawValue, "rid": change.rid])
    return try await end(change, .held, context) {
      $0.errorCode = MediatorError.Code.notAllowed.rawValue
      $0.errorMessage = reason
    }
  }

  func fail(_ change: ChangeRecord, _ fault: MediatorError, _ context: StageContext) async throws -> WorkOutcome {
    try await fail(change, fault.workFailure, context)
  }

  func fail(_ change: ChangeRecord, _ failure: WorkFailure, _ context: StageContext) async throws -> WorkOutcome {
    context.log.warning(
      "a change ended in an error",
      ["kind": change.eventKind.rawValue, "rid": change.rid, "code": failure.code, "error": failure.message])
    return try await end(change, .failed, context) {
      $0.errorCode = failure.code
      $0.errorMessage = failure.message
    }
  }

  /// Ends a change in one commit: its own record, its line, the people whom it held, the next in the line, and the telling.
  private func end(
    _ change: ChangeRecord, _ status: ChangeRecord.Status, _ context: StageContext, saying: (inout ChangeRecord) -> Void,
    effects: (inout RecordLine, inout [PersonRecord]) async throws -> [StageChange] = { _, _ in [] }
  ) async throws -> WorkOutcome {
    let isLate = change.hasFailedInItsRegistration && status == .changed
    for _ in 0..<20 {
      guard let fresh = try await self.change(change.key, context), isLate || !fresh.hasEnded else { return .done }
      guard fresh.version == change.version else {
        throw ServiceError(
          .unavailable, service: context.stage, code: MediatorError.Code.serviceUnreachable.rawValue,
          "a change is worked on elsewhere too")
      }
      var ended = fresh
      ended.status = status
      // The error was told of the go before.
      if isLate { ended.take += 1 }
      saying(&ended)
      if status == .changed {
        ended.errorCode = nil
        ended.errorMessage = nil
      }
      var own = try await line(change.recordId, context)
      own.queue.removeAll { $0 == change.key }
      var changes = [ended.writing, .schedule(Self.telling(change.key, take: ended.take))]
      if let next = own.queue.first, let record = try await context.store.record(ChangeRecord.collection, next) {
        changes.append(.schedule(Self.work(on: next, take: ChangeRecord.take(of: record))))
      }
      var persons: [PersonRecord] = []
      for key in change.people where !persons.contains(where: { $0.key == key }) {
        persons.append(try await person(key, context))
      }
      // Its hold was given up when it failed: whoever has it now ends first.
      if isLate, persons.contains(where: { $0.holder != nil && $0.holder != change.key }) { return .again(afterSeconds: 1) }
      let standing = try await standingLine(change, context)
      if standing.key == own.key {
        changes += try await effects(&own, &persons)
      } else {
        var standing = standing
        changes += try await effects(&standing, &persons)
        changes.append(standing.writing)
      }
      for index in persons.indices where persons[index].holder == change.key { persons[index].holder = nil }
      do {
        try await context.store.commit(changes + [own.writing] + persons.map(\.writing))
        return .done
      } catch is StoreConflict {
        // Another event of the record was taken meanwhile: looked at again.
        continue
      }
    }
    throw ServiceError(
      .unavailable, service: context.stage, code: MediatorError.Code.serviceUnreachable.rawValue,
      "a record is changed by many at once")
  }

  /// What a change leaves behind at its record and its people.
  private func leave(
    _ change: ChangeRecord, _ isDone: Bool, _ line: inout RecordLine, _ persons: inout [PersonRecord],
    _ isStale: Bool, _ context: StageContext
  ) async throws -> [StageChange] {
    switch change.kind {
    case .birth: return []
    case .birthCorrection:
      guard !isStale, try await !isOutdated(change, line, context) else { return [] }
      line.isCorrected(by: change)
      // A corrected number leads there as well as the old one.
      let birth = OpenCRVSRecordKey.of(change.recordId)
      guard let number = change.registrationNumber, try await context.store.has(BirthRecord.self, birth),
        try await !context.store.has(NumberOwner.self, OpenCRVSRecordKey.of(number))
      else { return [] }
      return [NumberOwner(number, of: birth).writing]
    case .death:
      return try await leaveDeath(change, isDone, &line, &persons, context)
    case .deathCorrection:
      guard isDone, change.plan == .exchange, persons.count == 2 else { return [] }
      persons[0].reasons.removeAll { $0.isOf(change.kind, line.key) }
      persons[0].deactivatedBy = nil
      persons[0].reversals += 1
      var new = [persons[1]]
      let changes = try await leaveDeath(change, true, &line, &new, context)
      persons[1] = new[0]
      return changes
    case .deathReversal:
      guard line.isStanding == true else { return [] }
      line.isStanding = false
      line.isReversed = true
      for index in persons.indices {
        persons[index].reasons.removeAll { $0.isOf(change.kind, line.key) }
        persons[index].reversals += 1
        if isDone && change.to == .activated || change.formerRid != nil { persons[index].deactivatedBy = nil }
      }
      return []
    case .birthRevocation:
      line.isRevoked = true
      for index in persons.indices {
        persons[index].reasons.removeAll { $0.isOf(change.kind, line.key) }
        persons[index].reasons.append(PersonRecord.Reason(.revocation, line.key))
        if let rid = isDone ? change.rid : change.formerRid { persons[index].deactivatedBy = rid }
      }
      return []
    case .birthReinstatement:
      line.isRevoked = false
      for index in persons.indices {
        persons[index].reasons.removeAll { $0.isOf(change.kind, line.key) }
        if isDone || change.formerRid != nil { persons[index].deactivatedBy = nil }
      }
      return []
    }
  }

  /// A death stands from now on: its record leads to the person, by number too, and the person knows why the identity is inactive.
  private func leaveDeath(
    _ change: ChangeRecord, _ isDone: Bool, _ line: inout RecordLine,
    _ persons: inout [PersonRecord], _ context: StageContext
  ) async throws -> [StageChange] {
    line.hasDeath(by: change)
    // Without a change of the identity its repository does not know this RID.
    line.rid = isDone ? change.rid : change.formerRid ?? change.subjectRid
    for index in persons.indices {
      persons[index].reasons.removeAll { $0.isOf(change.kind, line.key) }
      persons[index].reasons.append(PersonRecord.Reason(policy.deathAction.deactivates ? .death : .flag, line.key))
      if isDone, change.to == .deactivated { persons[index].deactivatedBy = change.rid }
      if !isDone, policy.deathAction.deactivates, let rid = change.formerRid { persons[index].deactivatedBy = rid }
    }
    guard let number = change.registrationNumber,
      try await !context.store.has(DeathNumber.self, OpenCRVSRecordKey.of(number))
    else { return [] }
    return [DeathNumber(number, of: change.recordId).writing]
  }

  /// The work on a change was given up: it ends in an error, so that those behind it in its line go on.
  func changeGaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    let key = work.payload["key"]?.string ?? work.key
    guard let stored = try await context.store.record(ChangeRecord.collection, key) else { return }
    guard let change = context.readable(ChangeRecord.self, stored) else { return try await letGo(stored, context) }
    if change.hasEnded { return }
    if work.kind == Self.change {
      // Work of an earlier go means nothing by now; that of an uploaded packet has only to tidy up.
      guard work.key == Self.work(on: key, take: change.take).key, change.status != .uploaded else { return }
    }
    _ = try await fail(change, failure, context)
  }

  /// Lets those go that wait in their line behind a change that nobody can read.
  private func letGo(_ stored: StageRecord, _ context: StageContext) async throws {
    guard let record = try RecordReader(stored).optionalText("recordId") else { return }
    try await untilCommitted {
      var line = try await self.line(record, context)
      let wasFirst = line.queue.first == stored.key
      line.queue.removeAll { $0 == stored.key }
      var changes = [line.writing]
      if wasFirst, let next = line.queue.first, let behind = try await context.store.record(ChangeRecord.collection, next) {
        changes.append(.schedule(Self.work(on: next, take: ChangeRecord.take(of: behind))))
      }
      try await context.store.commit(changes)
    }
  }

  // MARK: registrations of their own

  /// A look at what became of a registration, should its completed event never come.
  static func look(after change: ChangeRecord, _ context: StageContext) -> WorkItem {
    WorkItem(
      kind: ended, key: "\(change.key)#\(change.take):look", payload: ["key": .string(change.key)],
      after: lookAfter)
  }
  private static let lookAfter = 5.0

  /// The registration of a change has ended, or may have.
  func registrationEnded(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let change = try await change(work.payload["key"]?.string ?? "", context) else { return .done }
    let row = try await context.services.registrations.registrations(rid: change.rid).last
    // Of a registration that was run again an earlier end may be told once more: what its row says is how it stands now.
    let given = work.payload["result"]?.string.map { RegistrationStatus(rawValue: $0) }
    let result = change.take > 1 ? row?.statusCode ?? given : given ?? row?.statusCode
    let end = result.flatMap { RegistrationEnd($0) }
    if change.hasFailedInItsRegistration, end == .processed { return try await finish(change, .done, context) }
    if change.hasEnded { return .done }
    // Its packet may have ended before anybody wrote down that it was sent.
    guard change.status == .uploaded else { return .again(afterSeconds: 1) }
    if change.plan == .create, let birth = try await birth(of: change, context), birth.rid == change.rid, birth.status == .failed {
      return try await fail(
        change,
        WorkFailure(code: birth.errorCode ?? MediatorError.Code.packetCreation.rawValue, "no packet could be made"),
        context)
    }
    guard let end else { return .again(afterSeconds: 15) }
    if end.isFailure { return try await fail(change, failure(end, work.payload["errorCode"]?.string, row), context) }
    return try await finish(change, .done, context)
  }

  /// What a registration that failed is told as: the id repository's refusal by its code, all else by stage and status.
  private func failure(_ end: RegistrationEnd, _ code: String?, _ row: RegistrationRecord?) -> WorkFailure {
    if let refusal = row?.statusComment.flatMap(Self.repositoryCode) {
      return WorkFailure(
        code: MediatorError.Code.changeRefused.rawValue, "the id repository refuses the change with \(refusal)")
    }
    let place = row?.latestTransactionType.map { " at \($0) (\(row?.latestTransactionStatus ?? "no status"))" } ?? ""
    return WorkFailure(code: code ?? Self.packetCode + end.rawValue, "the registration ended as \(end.rawValue)\(place)")
  }

  /// The id repository's code in a comment, e.g. `IDR-IDC-013`.
  private static func repositoryCode(_ comment: String) -> String? {
    comment.split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-")) }.map(String.init).first { $0.hasPrefix("IDR-") }
  }

  // MARK: telling

  /// The work of telling the OpenCRVS side how this go of a change ended.
  static func telling(_ key: String, take: Int) -> WorkItem {
    WorkItem(kind: status, key: "\(key)#\(take)", payload: ["change": .string(key)])
  }

  func returnChange(_ key: String, _ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let change = try await change(key, context) else {
      throw MediatorError(.unknown, "there is no change of this key").workFailure
    }
    // Released or replayed meanwhile: what the next go comes to is told instead.
    guard work.key == Self.telling(key, take: change.take).key, change.hasEnded else { return .done }
    let status: ResultStatus = change.errorCode == nil ? .success : .error
    var message: JSONObject = [
      "type": .string(change.eventKind.rawValue), "status": .string(status.rawValue), "txnId": .string(change.key),
      "aid": .string(change.rid),
    ]
    if let again = work.payload["again"]?.int { message["again"] = JSONValue(again) }
    if let number = change.registrationNumber { message["opencrvs" + change.kind.numberKind.rawValue] = .string(number) }
    if let code = change.errorCode {
      message["errors"] = [["errorCode": .string(code), "errorMessage": .string(change.errorMessage ?? "")]]
      if change.take > 1 { message["run"] = JSONValue(change.take) }
      if change.status == .held { message["held"] = true }
    } else {
      if let rid = change.otherRid ?? change.subjectRid,
        let identity = try await context.services.identities.identity(.rid(rid))
      {
        message["uinToken"] = .string(try await uinToken(of: identity.uin, context))
      }
      message["what"] = .string((change.what ?? .unchanged).rawValue)
      message["changed"] = .array(change.changed.map { .string($0) })
      message["errors"] = []
    }
    do {
      try await sendBack(.object(message), id: change.key, to: "/receiveStatus", change.trace, context)
    } catch let refusal as MediatorClient.RefusedError {
      throw refusal.ending("the result cannot be reported")
    }
    try await wasTold(change, context)
    return .done
  }

  /// The OpenCRVS side has heard how this go ended: whoever sends the event again after an error means another one.
  private func wasTold(_ change: ChangeRecord, _ context: StageContext) async throws {
    var told = change
    if change.status == .changed { told.status = .told }
    if change.errorCode != nil { told.toldTake = change.take }
    guard told.document != change.document else { return }
    do {
      try await context.store.commit([told.writing])
    } catch is StoreConflict {
      // Told by another process too, or the next go has begun.
    }
  }
}
