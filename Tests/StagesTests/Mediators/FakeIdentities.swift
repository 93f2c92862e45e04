import StageTesting
import JSON
import Registration
import StageKit
import System

/// An id repository in memory that answers as the real one does: changes are known by their RID, VIDs of inactive people find nobody.
struct FakeIdentities: IdentityRepository {
  struct Person: Sendable {
    var status = "ACTIVATED"
    var fields: JSONObject
    var rids: [String]
    var vid: String?
    var captures = false
    /// The changes that were made, by RID, in their order.
    var patches: [(rid: String, status: String?, fields: JSONObject)] = []
  }

  let world: MediatorWorld

  func identity(_ reference: IdentityReference) async throws -> Identity? {
    try world.state.withLock { state in
      let found = state.people.first { uin, person in
        switch reference {
        case .uin(let wanted): uin == wanted
        case .vid(let wanted): person.vid == wanted
        case .rid(let wanted): person.rids.contains(wanted)
        }
      }
      guard let (uin, person) = found else { return nil }
      if case .vid = reference, person.status != "ACTIVATED" {
        throw ServiceError(.refused, service: "vid service", code: "IDR-VID-004", "\(person.status) UIN")
      }
      if case .vid(let vid) = reference, state.spentVIDs.contains(vid) {
        throw ServiceError(.refused, service: "vid service", code: "IDR-VID-001", "VID is EXPIRED")
      }
      var fields = person.fields
      fields["UIN"] = .string(uin)
      return Identity(uin: uin, rid: person.rids.last ?? "", status: person.status, fields: .object(fields))
    }
  }

  func update(uin: String, rid: String, status: String?, fields: JSONValue?, idempotencyKey: String) async throws {
    try world.step { state in
      if let refusal = state.patchRefusals.first {
        state.patchRefusals.removeFirst()
        throw refusal
      }
      guard var person = state.people[uin] else {
        throw ServiceError(.notFound, service: "id repository", code: "IDR-IDC-007", "no record")
      }
      if state.people.contains(where: { $0.key != uin && $0.value.rids.contains(rid) }) {
        throw ServiceError(.conflict, service: "id repository", code: "IDR-IDC-012", "the RID is used")
      }
      guard !person.rids.contains(rid) else { return }
      person.rids.append(rid)
      if let status { person.status = status }
      for member in fields?.object ?? [:] { person.fields[member.key] = member.value }
      person.patches.append((rid, status, fields?.object ?? [:]))
      state.people[uin] = person
    }
  }

  func biometrics(uin: String) async throws -> BiometricRecord? {
    world.state.withLock { $0.people[uin]?.captures == true } ? BiometricRecord(segments: []) : nil
  }
  func vids(uin: String) async throws -> [VirtualId] { throw NotInThisTest("VIDs") }
  func hasDraft(rid: String) async throws -> Bool { throw UnusedByMediators.NotNeeded() }
  func createDraft(rid: String, uin: String?, idempotencyKey: String) async throws { throw UnusedByMediators.NotNeeded() }
  func updateDraft(rid: String, fields: JSONValue, documents: [IdentityDocument], idempotencyKey: String) async throws {
    throw UnusedByMediators.NotNeeded()
  }
  func discardDraft(rid: String) async throws { throw UnusedByMediators.NotNeeded() }
  func publishDraft(rid: String, idempotencyKey: String) async throws -> String? { throw UnusedByMediators.NotNeeded() }
}
