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
    var more: JSONObject = [:]
    var isDone = false
    switch ending {
    case .done: isDone = true
    case .unchanged(let isStale):
      more = ["what": "unchanged", "changed": []]
      if isStale {
        more["stale"] = true
        stale.add()
      }
    }
    let outcome = try await end(change, ChangeRecord.Status.changed, more, context) { line, persons in
      try await leave(change, isDone, &line, &persons, more["stale"] != nil, context)
        + (isDone ? noticeWork(of: change, context) : [])
    }
    context.log.info(
      "a change is done",
      ["kind": change.eventKind.rawValue, "rid": change.rid, "what": more["what"]?.string ?? change.text("what") ?? ""])
    return outcome
  }

  /// Keeps a change until a person releases it, and says so. What comes after it in its line goes on.
  func hold(_ change: ChangeRecord, _ reason: String, _ context: StageContext) async throws -> WorkOutcome {
    context.log.warning("a change waits for a person to release it", ["kind": change.eventKind.rawValue, "rid": change.rid])
    return try await end(
      change, ChangeRecord.Status.held,
      ["errorCode": .string(MediatorError.Code.notAllowed.rawValue), "errorMessage": .string(reason)], context)
  }

  func fail(_ change: ChangeRecord, _ fault: MediatorError, _ context: StageContext) async throws -> WorkOutcome {
    try await fail(change, fault.workFailure, context)
  }

  func fail(_ change: ChangeRecord, _ failure: WorkFailure, _ context: StageContext) async throws -> WorkOutcome {
    context.log.warning(
      "a change ended in an error",
      ["kind": change.eventKind.rawValue, "rid": change.rid, "code": failure.code, "error": failure.message])
    return try await end(
      change, ChangeRecord.Status.failed,
      ["errorCode": .string(failure.code), "errorMessage": .string(failure.message)], context)
  }

  /// Ends a change in one commit: its own record, its line, the people whom it held, the next in the line, and the telling.
  private func end(
    _ change: ChangeRecord, _ status: String, _ more: JSONObject, _ context: StageContext,
    effects: (inout RecordLine, inout [PersonRecord]) async throws -> [StageChange] = { _, _ in [] }
  ) async throws -> WorkOutcome {
    let isLate = change.hasFailedInItsRegistration && status == ChangeRecord.Status.changed
    for _ in 0..<20 {
      guard let fresh = try await self.change(change.key, context), isLate || !fresh.hasEnded else { return .done }
      guard fresh.version == change.version else {
        throw ServiceError(
          .unavailable, service: context.stage, code: MediatorError.Code.serviceUnreachable.rawValue,
          "a change is worked on elsewhere too")
      }
      var document = fresh.document
      document["status"] = .string(status)
      // The error was told of the go before.
      if isLate { document["take"] = JSONValue(fresh.take + 1) }
      for member in more { document[member.key] = member.value }
      if status == ChangeRecord.Status.changed {
        document["errorCode"] = nil
        document["errorMessage"] = nil
      }
      var own = try await line(change.recordId, context)
      own.queue.removeAll { $0 == change.key }
      var changes: [StageChange] = [
        .put(collection: Records.changes, key: change.key, document: document, ifVersion: fresh.version),
        .schedule(Self.telling(change.key, take: isLate ? fresh.take + 1 : fresh.take)),
      ]
      if let next = own.queue.first, let record = try await self.change(next, context) {
        changes.append(.schedule(Self.work(on: next, take: record.take)))
      }
      var persons: [PersonRecord] = []
      for key in [change.text("person"), change.text("otherPerson")].compactMap({ $0 })
      where !persons.contains(where: { $0.key == key }) {
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
        changes.append(standing.change)
      }
      for index in persons.indices where persons[index].holder == change.key { persons[index].holder = nil }
      do {
        try await context.store.commit(changes + [own.change] + persons.map(\.change))
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
      line.document["eventRid"] = .string(change.rid)
      line.document["eventObject"] = JSONValue(change.text("object"))
      // A corrected number leads there as well as the old one.
      guard let number = change.registrationNumber,
        try await context.store.record(Records.births, OpenCRVSRecordKey.of(change.recordId)) != nil,
        try await context.store.record(Records.numbers, OpenCRVSRecordKey.of(number)) == nil
      else { return [] }
      return [
        .insert(
          collection: Records.numbers, key: OpenCRVSRecordKey.of(number),
          document: ["txnId": .string(OpenCRVSRecordKey.of(change.recordId))])
      ]
    case .death:
      return try await leaveDeath(change, isDone, &line, &persons, context)
    case .deathCorrection:
      guard isDone, change.text("plan") == "exchange", persons.count == 2 else { return [] }
      persons[0].reasons.removeAll { $0.isOf(change.kind, line.key) }
      persons[0].deactivatedBy = nil
      persons[0].reversals += 1
      var new = [persons[1]]
      let changes = try await leaveDeath(change, true, &line, &new, context)
      persons[1] = new[0]
      return changes
    case .deathReversal:
      guard line.document["standing"]?.bool == true else { return [] }
      line.document["standing"] = false
      line.document["reversed"] = true
      for index in persons.indices {
        persons[index].reasons.removeAll { $0.isOf(change.kind, line.key) }
        persons[index].reversals += 1
        if isDone, change.text("to") == "ACTIVATED" { persons[index].deactivatedBy = nil }
      }
      return []
    case .birthRevocation:
      line.document["revoked"] = true
      for index in persons.indices {
        persons[index].reasons.removeAll { $0.isOf(change.kind, line.key) }
        persons[index].reasons.append(PersonRecord.Reason(.revocation, line.key))
        if isDone { persons[index].deactivatedBy = change.rid }
      }
      return []
    case .birthReinstatement:
      line.document["revoked"] = false
      for index in persons.indices {
        persons[index].reasons.removeAll { $0.isOf(change.kind, line.key) }
        if isDone { persons[index].deactivatedBy = nil }
      }
      return []
    }
  }

  /// A death stands from now on: its record leads to the person, by number too, and the person knows why the identity is inactive.
  private func leaveDeath(
    _ change: ChangeRecord, _ isDone: Bool, _ line: inout RecordLine,
    _ persons: inout [PersonRecord], _ context: StageContext
  ) async throws -> [StageChange] {
    line.document["standing"] = true
    line.document["reversed"] = nil
    line.document["deathRid"] = .string(change.rid)
    line.document["deathKey"] = .string(change.key)
    // Without a change of the identity its repository does not know this RID.
    line.document["rid"] = isDone ? .string(change.rid) : JSONValue(change.text("subjectRid"))
    for index in persons.indices {
      persons[index].reasons.removeAll { $0.isOf(change.kind, line.key) }
      persons[index].reasons.append(PersonRecord.Reason(policy.deathAction.deactivates ? .death : .flag, line.key))
      if isDone, change.text("to") == "DEACTIVATED" { persons[index].deactivatedBy = change.rid }
    }
    guard let number = change.registrationNumber,
      try await context.store.record(Records.deathNumbers, OpenCRVSRecordKey.of(number)) == nil
    else { return [] }
    return [
      .insert(
        collection: Records.deathNumbers, key: OpenCRVSRecordKey.of(number), document: ["record": .string(change.recordId)])
    ]
  }

  // MARK: registrations of their own

  /// A look at what became of a registration, should its completed event never come.
  static func look(after change: ChangeRecord, _ context: StageContext) -> WorkItem {
    WorkItem(
      kind: ended, key: "\(change.key)#\(change.take):look", payload: ["key": .string(change.key)],
      notBefore: context.services.clock.now.advanced(bySeconds: lookAfter))
  }
  private static let lookAfter = 5.0

  /// The registration of a change has ended, or may have.
  func registrationEnded(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let change = try await change(work.payload["key"]?.string ?? "", context) else { return .done }
    let row = try await context.services.registrations.registrations(rid: change.rid).last
    // Of a registration that was run again an earlier end may be told once more: what its row says is how it stands now.
    let given = work.payload["result"]?.string
    let result = change.take > 1 ? row?.statusCode ?? given : given ?? row?.statusCode
    if change.hasFailedInItsRegistration, result == "PROCESSED" { return try await finish(change, .done, context) }
    if change.hasEnded { return .done }
    // Its packet may have ended before anybody wrote down that it was sent.
    guard change.status == ChangeRecord.Status.uploaded else { return .again(afterSeconds: 1) }
    if change.text("plan") == "create",
      let birth = try await context.store.record(Records.births, OpenCRVSRecordKey.of(change.recordId))?.document,
      birth["rid"]?.string == change.rid, birth["status"]?.string == Status.failed
    {
      return try await fail(
        change,
        WorkFailure(code: birth["errorCode"]?.string ?? MediatorError.Code.packetCreation.rawValue, "no packet could be made"),
        context)
    }
    switch result {
    case "PROCESSED"?: return try await finish(change, .done, context)
    case let result? where ["FAILED", "REJECTED"].contains(result):
      return try await fail(change, failure(result, work.payload["errorCode"]?.string, row), context)
    default: return .again(afterSeconds: 15)
    }
  }

  /// What a registration that failed is told as: the id repository's refusal by its code, all else by stage and status.
  private func failure(_ result: String, _ code: String?, _ row: RegistrationRecord?) -> WorkFailure {
    if let refusal = row?.statusComment.flatMap(Self.repositoryCode) {
      return WorkFailure(
        code: MediatorError.Code.changeRefused.rawValue, "the id repository refuses the change with \(refusal)")
    }
    let place = row?.latestTransactionType.map { " at \($0) (\(row?.latestTransactionStatus ?? "no status"))" } ?? ""
    return WorkFailure(code: code ?? "PACKET_\(result)", "the registration ended as \(result)\(place)")
  }

  /// The id repository's code in a comment, e.g. `IDR-IDC-013`.
  private static func repositoryCode(_ comment: String) -> String? {
    comment.split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-")) }.map(String.init).first { $0.hasPrefix("IDR-") }
  }

  // MARK: telling

  /// The work of telling the OpenCRVS side how this go of a change ended.
  private static func telling(_ key: String, take: Int) -> WorkItem {
    WorkItem(kind: status, key: "\(key)#\(take)", payload: ["change": .string(key)])
  }

  func returnChange(_ key: String, _ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let change = try await change(key, context) else {
      throw MediatorError(.unknown, "there is no change of this key").workFailure
    }
    // Released or replayed meanwhile: what the next go comes to is told instead.
    guard work.key == Self.telling(key, take: change.take).key, change.hasEnded else { return .done }
    var message: JSONObject = [
      "type": .string(change.eventKind.rawValue), "status": "success", "txnId": .string(change.key), "aid": .string(change.rid),
    ]
    if let again = work.payload["again"]?.int { message["again"] = JSONValue(again) }
    if let number = change.registrationNumber { message["opencrvs" + change.kind.numberKind] = .string(number) }
    if let code = change.text("errorCode") {
      message["status"] = "error"
      message["errors"] = [["errorCode": .string(code), "errorMessage": JSONValue(change.text("errorMessage") ?? "")]]
    } else {
      if let rid = change.text("otherRid") ?? change.text("subjectRid"),
        let identity = try await context.services.identities.identity(.rid(rid))
      {
        message["uinToken"] = .string(try await uinToken(of: identity.uin, context))
      }
      message["what"] = JSONValue(change.text("what") ?? "unchanged")
      message["changed"] = .array(change.changed.map { .string($0) })
      message["errors"] = []
    }
    do {
      try await sendBack(.object(message), id: change.key, to: "/receiveStatus", context)
    } catch let refusal as MediatorClient.RefusedError {
      throw refusal.ending("the result cannot be reported")
    }
    if change.status == ChangeRecord.Status.changed {
      var document = change.document
      document["status"] = .string(ChangeRecord.Status.told)
      do {
        try await context.store.commit([
          .put(collection: Records.changes, key: key, document: document, ifVersion: change.version)
        ])
      } catch is StoreConflict {
        // Told by another process too.
      }
    }
    return .done
  }
}
