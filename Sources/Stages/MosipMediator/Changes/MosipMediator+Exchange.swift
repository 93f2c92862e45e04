import OpenCRVS
import JSON
import Registration
import StageKit

/// A correction of a death that names another person: the new one is treated as deceased first, then the old one as not, each by a RID of its
/// own, so that nobody is forgotten whatever breaks off between them.
extension MosipMediator {
  /// The person whom the event names as deceased, when it is another than the one whose death was registered.
  func otherDeceased(
    _ change: ChangeRecord, _ event: OpenCRVSEvent, _ identity: Identity, _ context: StageContext
  ) async throws -> Identity? {
    guard let number = event.bundle.nationalId else { return nil }
    // The same number as before is the same person, also when nobody is found by it any more.
    if let old = try await registeredNumber(change, context), old == number { return nil }
    switch try await PersonSearch(change: change, event: event, line: line(change.recordId, context), context: context)
      .named(isNewPerson: true)
    {
    case .person(let other)?: return other.uin == identity.uin ? nil : other
    case .nobody(let fault)?: throw fault
    case .inactive(let status)?:
      throw MediatorError(.state, "the identity behind the VID of the event is \(status.rawValue)")
    default: return nil
    }
  }

  /// The number by which the death of this record named its person.
  private func registeredNumber(_ change: ChangeRecord, _ context: StageContext) async throws -> String? {
    let line = try await line(change.recordId, context)
    let key = line.deathKey ?? OpenCRVSRecordKey.of("\(change.recordId):\(EventKind.death.rawValue)")
    guard let death = try await self.change(key, context) else { return nil }
    return try await event(of: death, context).bundle.nationalId
  }

  func decideExchange(
    _ change: inout ChangeRecord, _ event: OpenCRVSEvent, _ old: Identity, _ new: Identity, _ context: StageContext
  ) async throws -> WorkOutcome? {
    if IdentityStatus(rawValue: new.status) == .blocked { throw MediatorError(.state, "the identity is BLOCKED and is left alone") }
    if policy.verifiesDeaths { try compare(event.bundle.subject, with: new) }
    guard let person = change.person else { throw MediatorError(.unknown, "the change holds nobody") }
    let other = PersonRecord.key(try await uinToken(of: new.uin, context))
    guard let locks = try await holding([other], for: change, [other: new.rid], context) else {
      // Whoever holds the other one may wait for this one: it is let go meanwhile.
      var held = try await self.person(person, context)
      held.holder = nil
      try await advance(&change, to: .taken, also: [held.writing], context)
      return .again(afterSeconds: 0.5)
    }
    let second = if let kept = change.secondRid { kept } else { try await newRID(context) }
    change.plan = .exchange
    change.to = policy.deathAction.deactivates ? .deactivated : nil
    change.what = .corrected
    change.changed = ["UIN"]
    change.otherRid = new.rid
    change.otherPerson = other
    change.secondRid = second
    try await advance(&change, to: .decided, also: locks, context)
    return nil
  }

  func carryOutExchange(_ change: ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    let event = try await event(of: change, context)
    let old = try await subject(of: change, context)
    guard let rid = change.otherRid, let second = change.secondRid,
      let new = try await context.services.identities.identity(.rid(rid))
    else { throw MediatorError(.numberUnknown, "the identity that was found is not there any more") }
    let action = policy.deathAction
    try await patch(
      new, rid: change.rid, status: action.deactivates ? .deactivated : nil,
      fields: deceasedFields(action.flags ? .yes : nil, event),
      change, context)
    let held = try await person(change.person ?? "", context).reasons
      .filter { !$0.isOf(change.kind, OpenCRVSRecordKey.of(change.recordId)) }
    let activates = action.deactivates && !held.contains { $0.holds != .flag }
    let unflags = isDeceased(old) && !held.contains { $0.holds != .revocation }
    if activates || unflags {
      try await patch(
        old, rid: second, status: activates ? .activated : nil, fields: deceasedFields(unflags ? .no : nil, event), change, context
      )
    }
    return try await finish(change, .done, context)
  }
}
