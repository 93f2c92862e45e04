import OpenCRVS
import JSON
import Registration
import StageKit

/// Whose identity a change is about: found by what is kept of the record, by the UIN or VID that the event names, by a registration number, or
/// by a partner token; never by name. Keys that lead to different people lead to nobody.
struct PersonSearch: Sendable {
  enum Outcome: Sendable {
    case person(Identity)
    /// The birth that would lead there is still on its way.
    case waits
    /// The birth is known, and no UIN came of it; or no birth is known at all.
    case neverMade
    /// The VID of the event belongs to somebody whose UIN is not ACTIVATED: MOSIP finds no more by it.
    case inactive(IdentityStatus)
    case nobody(MediatorError)
  }

  let change: ChangeRecord
  let event: OpenCRVSEvent
  let line: RecordLine
  let context: StageContext

  private var identities: any IdentityRepository { context.services.identities }

  func find() async throws -> Outcome {
    var found: [Identity] = []
    var isWaiting = false
    var inactive: IdentityStatus?
    var isUnknownNumber = false
    func add(_ identity: Identity?) {
      if let identity, !found.contains(where: { $0.uin == identity.uin }) { found.append(identity) }
    }

    if let rid = change.formerRid { add(try await identities.identity(.rid(rid))) }
    switch change.kind.subject {
    case .birth:
      for birth in try await births() {
        switch try await child(of: birth) {
        case .person(let identity): add(identity)
        case .waits: isWaiting = true
        default: break
        }
      }
    case .death where change.kind == .death:
      if let number = event.bundle.birthNumber, let birth = try await birth(number: number) {
        switch try await child(of: birth) {
        case .person(let identity): add(identity)
        case .waits: isWaiting = true
        default: break
        }
      }
    case .death:
      for rid in try await deathRIDs() { add(try await identities.identity(.rid(rid))) }
    }

    // A correction of a death may say that somebody else died: that is no second key to the one whose death was registered.
    let isSettled = change.kind == .deathCorrection && !found.isEmpty
    switch isSettled ? nil : try await named() {
    case .person(let identity): add(identity)
    case .inactive(let status): inactive = status
    case .nobody: isUnknownNumber = true
    default: break
    }
    if !isSettled, let token = event.bundle.token,
      let rid = try await context.store.record(PersonRecord.self, PersonRecord.key(token))?.rid
    {
      add(try await identities.identity(.rid(rid)))
    }

    guard found.count < 2 else {
      return .nobody(MediatorError(.state, "what the event names leads to different identities"))
    }
    if let person = found.first { return .person(person) }
    if isWaiting { return .waits }
    if let inactive { return .inactive(inactive) }
    if isUnknownNumber { return .nobody(MediatorError(.numberUnknown, "the UIN or VID of the event is none, or nobody has it")) }
    if change.kind.subject == .birth { return .neverMade }
    return .nobody(MediatorError(.nobodyNamed, "the event names no UIN or VID, and nothing that is kept leads to one"))
  }

  /// By the UIN or VID of the event's person; nil when it names none that is a key.
  /// - Parameter isNewPerson: whether it is meant to be another one than the person of the record.
  func named(isNewPerson: Bool = false) async throws -> Outcome? {
    guard let number = event.bundle.nationalId else { return nil }
    let unknown = Outcome.nobody(MediatorError(.numberUnknown, "the UIN or VID of the event is none, or nobody has it"))
    let digits = number.utf8.map { $0 &- 48 }
    guard digits.allSatisfy({ $0 < 10 }), Verhoeff.isValid(digits) else { return unknown }
    let isVID = digits.count == 16
    // After a death a VID leads to nobody: it is no key of what follows.
    if isVID, !isNewPerson, change.kind == .deathReversal || change.kind == .deathCorrection { return nil }
    do {
      return try await identities.identity(isVID ? .vid(number) : .uin(number)).map { .person($0) } ?? unknown
    } catch let error as ServiceError where error.code == Self.inactiveVID {
      return .inactive(error.message.contains(IdentityStatus.blocked.rawValue) ? .blocked : .deactivated)
    } catch let error as ServiceError where error.code == Self.spentVID {
      return unknown
    }
  }

  /// The UIN of the VID is not ACTIVATED.
  private static let inactiveVID = "IDR-VID-004"
  /// The VID has expired, was used up or revoked.
  private static let spentVID = "IDR-VID-001"

  // MARK: by what is kept

  /// The births of the record: its own, and the one that its registration number belongs to.
  private func births() async throws -> [BirthRecord] {
    var keys = [OpenCRVSRecordKey.of(change.recordId)]
    if let number = event.bundle.registrationNumber, let key = try await birthKey(number: number), !keys.contains(key) {
      keys.append(key)
    }
    var births: [BirthRecord] = []
    for key in keys {
      if let birth = try await context.store.record(BirthRecord.self, key) { births.append(birth) }
    }
    return births
  }

  private func birthKey(number: String) async throws -> String? {
    try await context.store.record(NumberOwner.self, OpenCRVSRecordKey.of(number))?.transaction
  }

  private func birth(number: String) async throws -> BirthRecord? {
    guard let key = try await birthKey(number: number) else { return nil }
    return try await context.store.record(BirthRecord.self, key)
  }

  /// The identity of a birth that was taken here.
  private func child(of birth: BirthRecord) async throws -> Outcome {
    let identity = try await identities.identity(.rid(birth.rid))
    if let identity, !endsAnIdentity { return .person(identity) }
    if identity == nil, birth.status == .failed || birth.outcome != nil { return .neverMade }
    let row = try await context.services.registrations.registrations(rid: birth.rid).last
    let end = row.flatMap { RegistrationEnd($0.statusCode) }
    // The last stages of a birth ask for credentials, which an identity that is not active any more does not get: the birth would end
    // without its token.
    if let identity { return row == nil || end != nil ? .person(identity) : .waits }
    return end?.isFailure == true ? .neverMade : .waits
  }

  /// Whether the change may make the identity inactive.
  private var endsAnIdentity: Bool { change.kind == .death || change.kind == .birthRevocation }

  /// The RIDs by which the deaths of this record changed an identity, the one in force first.
  private func deathRIDs() async throws -> [String] {
    var rids = [line.rid]
    var records = [change.recordId]
    if let number = event.bundle.registrationNumber,
      let record = try await context.store.record(DeathNumber.self, OpenCRVSRecordKey.of(number))?.recordId,
      record != change.recordId
    {
      records.append(record)
    }
    for record in records {
      if record != change.recordId {
        rids.append(try await context.store.record(RecordLine.self, OpenCRVSRecordKey.of(record))?.rid)
      }
      let death = OpenCRVSRecordKey.of("\(record):\(EventKind.death.rawValue)")
      if line.rid == nil { rids.append(try await context.store.record(ChangeRecord.self, death)?.rid) }
    }
    return rids.compactMap { $0 }
  }
}
