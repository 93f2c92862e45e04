import Cryptography
import OpenCRVS
import JSON
import Registration
import StageKit
import System

/// What was decided is done: by a change of the identity under the change's own RID, or by a packet of its own process.
extension MosipMediator {
  func carryOut(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    if change.plan == .packet { return try await makePacket(&change, context) }
    if change.plan == .exchange { return try await carryOutExchange(change, context) }
    let event = try await event(of: change, context)
    let identity = try await subject(of: change, context)
    var fields = JSONObject()
    switch change.plan {
    case .status: fields = deceasedFields(change.deceased, event)
    case .deathData: fields = deathData(event)
    default: fields = try await corrected(change, event, context)
    }
    try await patch(identity, rid: change.rid, status: change.to, fields: fields, change, context)
    return try await finish(change, .done, context)
  }

  /// What an earlier go decided and had begun is carried on: an identity that was changed under this RID shows what the change itself did, so
  /// nothing is searched and decided by it once more.
  func carryOn(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    guard let locks = try await holding(change.people, for: change, [:], context) else { return .again(afterSeconds: 0.5) }
    do {
      try await advance(&change, to: .decided, also: locks, context)
    } catch is StoreConflict {
      return .again(afterSeconds: 0.5)
    }
    return nil
  }

  /// PATCH of an identity with those fields that its schema has.
  /// - Throws: `MediatorError` when the id repository refuses it for good: OPN-CRVS-028 for nobody, -030 for a death, -018 for all else.
  func patch(
    _ identity: Identity, rid: String, status: IdentityStatus?, fields: JSONObject, _ change: ChangeRecord, _ context: StageContext
  ) async throws {
    var object = JSONObject()
    if !fields.isEmpty {
      let schema = try await schema(of: identity, context)
      for member in fields where schema.field(member.key) != nil { object[member.key] = member.value }
    }
    let refusal = change.kind == .death ? MediatorError.Code.deactivation : .changeRefused
    // Nothing would be changed, and a change be told.
    if status == nil, object.isEmpty {
      throw MediatorError(refusal, "the identity schema has no \(fields.map(\.key).sorted().joined(separator: ", "))")
    }
    do {
      try await context.services.identities.update(
        uin: identity.uin, rid: rid, status: status?.rawValue, fields: object.isEmpty ? nil : .object(object),
        idempotencyKey: "\(rid):\(context.stage)")
    } catch let error as ServiceError where !error.isRetriable {
      if error.kind == .notFound {
        throw MediatorError(.numberUnknown, "the id repository does not know the identity (\(error.code))")
      }
      throw MediatorError(refusal, "the id repository refuses the change with \(error.code)")
    }
  }

  private func schema(of identity: Identity, _ context: StageContext) async throws -> IdSchema {
    let version: String? =
      switch identity.fields["IDSchemaVersion"] {
      case .string(let text)?: text
      case .number(let number)?: number.text
      default: nil
      }
    return try await context.idSchema(version ?? mapping.schemaVersion)
  }

  // MARK: what an event says

  /// Y with what is known of the death, or N, which is all that can be taken back.
  func deceasedFields(_ value: Deceased?, _ event: OpenCRVSEvent) -> JSONObject {
    guard let value else { return [:] }
    var fields: JSONObject = ["declaredAsDeceased": .string(value.rawValue)]
    if value == .yes {
      for member in deathData(event) { fields[member.key] = member.value }
      if let token = event.bundle.informant?.token { fields["deceasedInformer"] = .string(token) }
    }
    return fields
  }

  /// Whether an identity says that its person is deceased.
  func isDeceased(_ identity: Identity) -> Bool { identity.fields["declaredAsDeceased"]?.string == Deceased.yes.rawValue }

  /// Date and type of the death. OpenCRVS knows more manners of death than MOSIP's two types: only what is surely one of them is said.
  func deathData(_ event: OpenCRVSEvent) -> JSONObject {
    var fields = JSONObject()
    if let date = event.bundle.dateOfDeath.flatMap(BirthMapping.mosipDate) { fields["deceasedDeclarationDate"] = .string(date) }
    if event.bundle.mannerOfDeath?.contains("NATURAL") == true { fields["typeOfDeath"] = "natural" }
    return fields
  }

  /// The identity fields of an event.
  func mapped(_ event: OpenCRVSEvent, _ context: StageContext) async throws -> JSONObject {
    try await wholeMapping(event, context).fields
  }

  /// The same, with what the event says and no field has.
  private func wholeMapping(_ event: OpenCRVSEvent, _ context: StageContext) async throws -> BirthMapping.Identity {
    let schema = try await context.idSchema(mapping.schemaVersion)
    return try await mapping.identity(of: event.bundle, through: context.services.http, accepts: schema.accepts)
  }

  /// What an event says of the fields that its change is decided to touch.
  private func corrected(_ change: ChangeRecord, _ event: OpenCRVSEvent, _ context: StageContext) async throws -> JSONObject {
    let all = try await wholeMapping(event, context)
    var fields = JSONObject()
    for name in change.changed { if let value = all.fields[name] { fields[name] = value } }
    if !all.leftOut.isEmpty {
      context.log.info(
        "not all of a correction is in the identity", ["rid": change.rid, "leftOut": all.leftOut.joined(separator: "; ")])
    }
    return fields
  }

  /// The fields with new values: against what was sent last for the record, or, where that is not known or not ours, against the identity.
  /// A language that is gone is no difference: nothing can be taken out of an identity.
  func differences(
    _ change: ChangeRecord, _ event: OpenCRVSEvent, _ identity: Identity, _ context: StageContext
  ) async throws -> JSONObject {
    if change.kind == .deathCorrection, policy.deathCorrectionFields.isEmpty { return [:] }
    let new = try await mapped(event, context)
    var old = identity.fields.object ?? [:]
    // What an earlier try has changed is in the identity alone.
    if change.kind == .birthCorrection, change.formerRid == nil,
      let baseline = try await baseline(of: change, line(change.recordId, context), context)
    {
      old = try await mapped(baseline, context)
    }
    var out = JSONObject()
    for member in new where member.key != "IDSchemaVersion" {
      if change.kind == .deathCorrection, !policy.deathCorrectionFields.contains(member.key) { continue }
      if !Self.covers(old[member.key], member.value) { out[member.key] = member.value }
    }
    return out
  }

  /// Whether a field has a value already: all that it says, in each of its languages.
  private static func covers(_ old: JSONValue?, _ new: JSONValue) -> Bool {
    guard let old else { return false }
    guard let wanted = new.array, let known = old.array else {
      return old.encoded(sortedKeys: true) == new.encoded(sortedKeys: true)
    }
    return wanted.allSatisfy { item in
      known.contains { $0["language"]?.string == item["language"]?.string && $0["value"]?.string == item["value"]?.string }
    }
  }

  /// The event whose data were sent last for a record: of its latest correction that was done, else of its birth; nil for an unknown record.
  func baseline(of change: ChangeRecord, _ line: RecordLine, _ context: StageContext) async throws -> OpenCRVSEvent? {
    var place: (container: String, key: String)?
    if let container = line.eventRid, let key = line.eventObject {
      place = (container, key)
    } else if let birth = try await birth(of: change, context) {
      place = (birth.rid, birth.object)
    }
    guard let place, let bytes = try await events(context).get(container: place.container, key: place.key)
    else { return nil }
    return try? OpenCRVSEvent(bytes)
  }

  // MARK: by a packet

  private func makePacket(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    let event = try await event(of: change, context)
    let identity = try await subject(of: change, context)
    var fields: JSONObject = ["IDSchemaVersion": .string(mapping.schemaVersion), "UIN": .string(identity.uin)]
    for member in try await corrected(change, event, context) { fields[member.key] = member.value }
    let birth = try await birth(of: change, context)?.rid
    let packet = BirthPacket(
      event: event, rid: change.rid, referenceId: referenceId, settings: settings, mapping: mapping,
      process: settings.text("update-process"), furtherLabels: birth.map { [("correctionOf", $0)] } ?? [])
    let (bytes, leftOut) = try await packet.written(fields, context)
    let hash = Hash.sha256UpperHex(bytes)
    try await context.services.objects.put(
      bytes, account: Accounts.packets, container: change.rid, key: Self.packetKey(change.rid, hash))
    change.has(packet: hash, leftOut: leftOut)
    try await advance(&change, to: .packetCreated, context)
    return nil
  }

  /// Announces and uploads the packet.
  func send(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    guard
      let bytes = try await context.services.objects.get(
        account: Accounts.packets, container: change.rid, key: Self.packetKey(change.rid, change.packetHash ?? ""))
    else {
      try await advance(&change, to: .decided, context)
      return nil
    }
    let registrations = registrations(process: settings.text("update-process"), change.trace, context)
    if change.status == .packetCreated {
      try await registrations.sync(rid: change.rid, packet: bytes)
      try await advance(&change, to: .synced, context)
    }
    guard try await registrations.upload(rid: change.rid, packet: bytes) else {
      try await advance(&change, to: .packetCreated, context)
      throw ServiceError(.unavailable, service: "packet receiver", code: "RPR-PKR-001", "does not know the announcement")
    }
    change.isUploaded(at: context.clock.now)
    try await advance(&change, to: .uploaded, also: [.schedule(Self.look(after: change, context))], context)
    context.log.info("a packet of a correction is uploaded", ["rid": change.rid])
    return nil
  }

  // MARK: a birth instead of a correction

  /// The person never got a UIN: a correction makes one with the corrected data, where that is allowed.
  func makeInstead(_ change: inout ChangeRecord, _ context: StageContext) async throws -> WorkOutcome? {
    guard change.kind == .birthCorrection, policy.createsByCorrection else {
      throw MediatorError(.state, "no UIN came of this birth")
    }
    let event = try await event(of: change, context)
    guard let number = event.bundle.registrationNumber else {
      throw MediatorError(.unreadable, "the event has no registration number")
    }
    let key = OpenCRVSRecordKey.of(change.recordId)
    let before = try await context.store.record(BirthRecord.self, key)
    var birth = BirthRecord(key, rid: change.rid, event, object: change.object, by: change.key, over: before)
    birth.trace = change.trace
    var changes = [birth.writing]
    if let before, before.rid != change.rid {
      // Whoever would run the failed registration again would make a second UIN.
      changes.append(RIDOwner(before.rid, of: key, supersededBy: change.rid).overwriting)
    }
    changes += try await likeness(of: event, key, context)
    if try await !context.store.has(NumberOwner.self, OpenCRVSRecordKey.of(number)) {
      changes.append(NumberOwner(number, of: key).writing)
    }
    changes += [
      RIDOwner(change.rid, of: change.key, isChange: true, making: key).overwriting,
      .schedule(
        WorkItem(
          kind: Self.packet, key: "\(key)#\(change.rid)" + (change.take > 1 ? "#\(change.take)" : ""),
          payload: ["transaction": .string(key)])),
      .schedule(Self.look(after: change, context)),
    ]
    change.plan = .create
    change.what = .created
    change.subjectRid = change.rid
    do {
      try await advance(&change, to: .uploaded, also: changes, context)
    } catch is StoreConflict {
      return .again(afterSeconds: 0.5)
    }
    return .done
  }
}
