import OpenCRVS
import JSON
import Registration
import StageKit
import System

/// The work on a change, from its event to the changed identity. The status of its transaction says which step comes next; each step may be done
/// again. What is decided is written down before it is done, and a change of an identity carries the change's own RID, so that a second try
/// tells its own work from somebody else's.
extension MosipMediator {
  /// Seconds from one look to the next while a change waits for something that nobody tells it.
  private static let pause = 1.0

  func workOnChange(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    let key = work.payload["key"]?.string ?? work.key
    guard var change = try await change(key, context) else {
      throw MediatorError(.unknown, "there is no change of this key").workFailure
    }
    // Work of an earlier go that is found again has nothing left to do.
    guard work.key == Self.work(on: key, take: change.take).key else { return .done }
    do {
      for _ in 0..<12 {
        if change.hasEnded { return .done }
        if change.status == .uploaded {
          if change.plan == .packet { try await removePackets(of: change.rid, context) }
          return .done
        }
        if let outcome = try await step(&change, context) { return outcome }
      }
    } catch let fault as MediatorError {
      return try await fail(change, fault, context)
    } catch let failure as WorkFailure {
      return try await fail(change, failure, context)
    }
    throw ServiceError(
      .unavailable, service: context.stage, code: MediatorError.Code.packetCreation.rawValue,
      "a change was set back between two steps again and again")
  }

  /// One step; nil when the next one follows at once.
  private func step(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    switch change.status {
    case .taken: try await findPerson(&change, context)
    case .found: try await verify(&change, context)
    case .verified: try await decide(&change, context)
    case .decided: try await carryOut(&change, context)
    case .packetCreated, .synced: try await send(&change, context)
    case .uploaded, .changed, .held, .told, .failed: .done
    }
  }

  func advance(
    _ change: inout ChangeRecord, to status: ChangeRecord.Status, also changes: [StageChange] = [], _ context: StageContext
  ) async throws {
    change.status = status
    try await context.store.commit([change.writing] + changes)
    change.wasWritten()
  }

  /// The birth of a change's record.
  func birth(of change: ChangeRecord, _ context: StageContext) async throws -> BirthRecord? {
    try await context.store.record(BirthRecord.self, OpenCRVSRecordKey.of(change.recordId))
  }

  // MARK: whose identity

  private func findPerson(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    try await auditDecisions(change, context)
    if change.runsItsRegistrationAgain { return try await runRegistrationAgain(&change, context) }
    if let decided = try change.withEarlierDecisions(),
      try await context.services.identities.identity(.rid(change.rid)) != nil
    {
      change = decided
      return try await carryOn(&change, context)
    }
    if let reason = ChangeDecision.hold(change.kind, isReleased: change.isReleased, policy) {
      return try await hold(change, reason, context)
    }
    let event = try await event(of: change, context)
    switch change.kind {
    case .birth, .death, .birthCorrection, .deathCorrection: try EventCheck.check(event.bundle, at: context.services.clock.now)
    // Nothing of these goes into an identity: what is taken back may be wrong in just this.
    case .deathReversal, .birthRevocation, .birthReinstatement: break
    }
    change.treatedAs = nil
    if change.eventKind == .deathCorrection, try await standingLine(change, context).isStanding == nil {
      change.treatedAs = .death
    }
    let line = try await line(change.recordId, context)
    if change.kind == .birthCorrection, try await isOutdated(change, line, context) {
      return try await finish(change, .unchanged(isStale: true), context)
    }
    switch try await PersonSearch(change: change, event: event, line: line, context: context).find() {
    case .person(let identity):
      let person = PersonRecord.key(try await uinToken(of: identity.uin, context))
      guard let lock = try await holding([person], for: change, [person: identity.rid], context) else {
        return .again(afterSeconds: Self.pause / 2)
      }
      change.subjectRid = identity.rid
      change.person = person
      do {
        try await advance(&change, to: .found, also: lock, context)
      } catch is StoreConflict {
        return .again(afterSeconds: Self.pause / 4)
      }
      return nil
    case .waits:
      return .again(afterSeconds: patience(change, context))
    case .inactive(let status):
      // A death of somebody who is inactive already changes nothing; of a BLOCKED one nothing is known.
      guard change.kind == .death, status == .deactivated else {
        throw MediatorError(.state, "the identity behind the VID is \(status.rawValue)")
      }
      return try await finish(change, .unchanged(isStale: false), context)
    case .neverMade: return try await makeInstead(&change, context)
    case .nobody(let fault): throw fault
    }
  }

  /// Longer and longer looks, as long as a birth takes.
  private func patience(_ change: ChangeRecord, _ context: StageContext) -> Double {
    let waited = change.takenAt.map { context.clock.now.seconds(since: $0) } ?? 0
    return min(max(Self.pause, waited / 20), 60)
  }

  /// The changes that make this change the holder of some people; nil while another one holds any of them.
  func holding(
    _ keys: [String], for change: ChangeRecord, _ rids: [String: String], _ context: StageContext
  ) async throws -> [StageChange]? {
    var changes: [StageChange] = []
    for key in Set(keys).sorted() {
      var person = try await person(key, context)
      if let holder = person.holder, holder != change.key { return nil }
      person.holder = change.key
      if let rid = rids[key], !rid.isEmpty { person.rid = rid }
      changes.append(person.writing)
    }
    return changes
  }

  func uinToken(of uin: String, _ context: StageContext) async throws -> String {
    do {
      let first = try await context.services.keys.tokenId(uin, partner: settings.text("token-intermediary"))
      return try await context.services.keys.tokenId(first, partner: settings.text("uin-token-partner"))
    } catch let error as ServiceError where error.kind == .refused {
      throw MediatorError(.tokenGeneration, "the key manager makes no token of the UIN (\(error.code))")
    }
  }

  /// The identity that the change was found to be about.
  func subject(of change: ChangeRecord, _ context: StageContext) async throws -> Identity {
    guard let rid = change.subjectRid, let identity = try await context.services.identities.identity(.rid(rid)) else {
      throw MediatorError(.numberUnknown, "the identity that was found is not there any more")
    }
    return identity
  }

  // MARK: verification

  private func verify(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    let isStatusChange = change.kind != .birthCorrection && change.kind != .deathCorrection
    if isStatusChange, policy.verifiesDeaths {
      try compare(try await event(of: change, context).bundle.subject, with: try await subject(of: change, context))
    }
    try await advance(&change, to: .verified, context)
    return nil
  }

  /// - Throws: OPN-CRVS-008 for another person's data, -017 when too little can be compared.
  func compare(_ person: OpenCRVSPerson, with identity: Identity) throws(MediatorError) {
    switch PersonComparison(rule: policy.nameRule).compare(person, with: identity.fields) {
    case .same: return
    case .different(let names):
      throw MediatorError(.mismatch, "the event's data are not those of the identity: \(names.joined(separator: ", "))")
    case .unknown:
      throw MediatorError(.state, "fewer than two of name, date of birth and gender can be compared with the identity")
    }
  }

  // MARK: decision

  private func decide(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    let event = try await event(of: change, context)
    let identity = try await subject(of: change, context)
    var facts = try await facts(of: change, event, identity, context)
    var other: Identity?
    if change.kind == .deathCorrection {
      other = try await otherDeceased(change, event, identity, context)
      facts.isAboutAnother = other != nil
    }
    switch ChangeDecision.make(facts, policy) {
    case .unchanged: return try await finish(change, .unchanged(isStale: false), context)
    case .hold(let reason): return try await hold(change, reason, context)
    case .refuse(let fault): throw fault
    case .status(let status, let deceased, let what):
      (change.plan, change.to, change.deceased, change.what) = (.status, status, deceased, what)
      try await advance(&change, to: .decided, context)
    case .deathData:
      (change.plan, change.what) = (.deathData, .corrected)
      try await advance(&change, to: .decided, context)
    case .fields(let names):
      change.plan = policy.correctsByPacket && change.kind == .birthCorrection ? .packet : .fields
      (change.changed, change.what) = (names, .corrected)
      try await advance(&change, to: .decided, context)
    case .exchange:
      guard let other else { throw MediatorError(.unknown, "an exchange without another person") }
      return try await decideExchange(&change, event, identity, other, context)
    }
    return nil
  }

  private func facts(
    of change: ChangeRecord, _ event: OpenCRVSEvent, _ identity: Identity, _ context: StageContext
  ) async throws -> ChangeFacts {
    let person = try await person(change.person ?? "", context)
    let line = try await standingLine(change, context)
    var facts = ChangeFacts(kind: change.kind, status: IdentityStatus(rawValue: identity.status))
    facts.isFlagged = isDeceased(identity)
    facts.isReleased = change.isReleased
    facts.reversals = person.reversals
    facts.stands = line.isStanding == true
    facts.wasReversed = line.isReversed == true
    if change.kind == .birthReinstatement { facts.stands = line.isRevoked == true }
    let others = person.reasons.filter { !$0.isOf(change.kind, line.key) }
    facts.othersDeactivate = others.contains { $0.holds != .flag }
    facts.othersFlag = others.contains { $0.holds != .revocation }
    if let rid = person.deactivatedBy {
      facts.isOurs = try await context.services.identities.identity(.rid(rid))?.uin == identity.uin
    }
    facts.daysSince = try await days(change, identity, line, context)
    switch change.kind {
    case .birthCorrection:
      facts.differences = try await differences(change, event, identity, context).map(\.key).sorted()
      if !facts.differences.isEmpty {
        facts.hasBiometrics = try await context.services.identities.biometrics(uin: identity.uin) != nil
      }
    case .deathCorrection:
      facts.differences = try await differences(change, event, identity, context).map(\.key).sorted()
      facts.deathDataDiffer = deathData(event).contains { identity.fields[$0.key] != $0.value }
    default: break
    }
    return facts
  }

  /// The line in which the death of a record stands: its own, or that of the record which its registration number belongs to.
  func standingLine(_ change: ChangeRecord, _ context: StageContext) async throws -> RecordLine {
    let own = try await line(change.recordId, context)
    guard change.kind == .deathReversal || change.kind == .deathCorrection, own.isStanding == nil,
      let number = change.registrationNumber,
      let death = try await context.store.record(DeathNumber.self, OpenCRVSRecordKey.of(number))
    else { return own }
    return try await line(death.recordId, context)
  }

  /// Whole days since the death, as the identity says it, else since it was taken; of a birth since that was taken.
  private func days(
    _ change: ChangeRecord, _ identity: Identity, _ line: RecordLine, _ context: StageContext
  ) async throws -> Int? {
    let now = context.services.clock.now
    if change.kind.subject == .death, let date = identity.fields["deceasedDeclarationDate"]?.string,
      let moment = Instant(iso: date.replacing("/", with: "-") + "T00:00:00.000Z")
    {
      return Int(now.seconds(since: moment) / 86_400)
    }
    let rid =
      change.kind.subject == .death
      ? line.deathRid
      : try await birth(of: change, context)?.rid
    return rid.flatMap { try? RID($0) }.map { Int(now.seconds(since: $0.timestamp) / 86_400) }
  }

  /// Whether a later event of the record's birth is done already.
  func isOutdated(_ change: ChangeRecord, _ line: RecordLine, _ context: StageContext) async throws -> Bool {
    guard let last = try await baseline(of: change, line, context)?.bundle.task.lastModified, let moment = change.lastModified
    else { return false }
    return isEarlier(moment, than: last)
  }

  /// Whether a moment is earlier than another one; what is no time is compared as it is written.
  private func isEarlier(_ a: String, than b: String) -> Bool {
    guard let x = Instant(iso: a), let y = Instant(iso: b) else { return a < b }
    return x < y
  }

  // MARK: waiting for a person, and audit

  /// A release or a replay is a person's decision, which the audit trail must show; nothing is done before it stands there.
  private func auditDecisions(_ change: ChangeRecord, _ context: StageContext) async throws {
    func entry(_ what: String, _ decision: ChangeRecord.Decision, key: String) -> AuditEntry {
      var entry = AuditEntry(
        eventId: "OPENCRVS_CHANGE_\(what.uppercased())", eventName: "opencrvs change \(what)", eventType: "OPENCRVS",
        module: context.stage, id: change.rid,
        description:
          "\(change.kind.rawValue) \(what) by \(decision.author ?? "unknown"): \(decision.reason ?? "")")
      entry.idempotencyKey = "\(context.stage):\(key):\(change.key):\(change.take)"
      return entry
    }
    if let replay = change.replays.last, replay.take == change.take {
      try await context.services.audit.record([entry("replayed", replay, key: "replay")])
    } else if let release = change.release, change.sentAgainTake != change.take {
      try await context.services.audit.record([entry("released", release, key: "release")])
    }
  }
}
