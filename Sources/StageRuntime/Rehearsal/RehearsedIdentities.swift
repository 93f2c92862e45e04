import JSON
import Registration
import StageKit
import Synchronization

/// The identity repository, of which a try reads. What it would have made or changed has no content that anybody could read afterwards.
final class RehearsedIdentities: IdentityRepository {
  private enum Draft { case open, published(String), discarded }
  private struct State {
    var drafts: [String: Draft] = [:]
    var changed: Set<String> = []
  }
  private let real: any IdentityRepository
  private let notes: RehearsalNotes
  private let state = Mutex(State())

  init(_ real: any IdentityRepository, _ notes: RehearsalNotes) {
    (self.real, self.notes) = (real, notes)
  }

  func identity(_ reference: IdentityReference) async throws -> Identity? {
    if case .rid(let rid) = reference, case .published? = state.withLock({ $0.drafts[rid] }) {
      throw notes.unknown(.identities, "identity")
    }
    try notes.reach(.identities)
    let identity = try await real.identity(reference)
    if let uin = identity?.uin, state.withLock({ $0.changed.contains(uin) }) { throw notes.unknown(.identities, "identity") }
    return identity
  }

  func hasDraft(rid: String) async throws -> Bool {
    switch state.withLock({ $0.drafts[rid] }) {
    case .open?: return true
    case .published?, .discarded?: return false
    case nil:
      try notes.reach(.identities)
      return try await real.hasDraft(rid: rid)
    }
  }

  func createDraft(rid: String, uin: String?, idempotencyKey: String) async throws {
    try notes.reach(.identities)
    notes.note(.identities, "createDraft", [uin == nil ? "with a new UIN" : "of an identity that exists"])
    state.withLock { $0.drafts[rid] = .open }
  }

  func updateDraft(rid: String, fields: JSONValue, documents: [IdentityDocument], idempotencyKey: String) async throws {
    try notes.reach(.identities)
    notes.note(.identities, "updateDraft", RehearsalNotes.members(fields) + ["\(documents.count) documents"])
  }

  func discardDraft(rid: String) async throws {
    try notes.reach(.identities)
    notes.note(.identities, "discardDraft")
    state.withLock { $0.drafts[rid] = .discarded }
  }

  func publishDraft(rid: String, idempotencyKey: String) async throws -> String? {
    if case .published(let status)? = state.withLock({ $0.drafts[rid] }) { return status }
    if try await hasDraft(rid: rid) {
      notes.note(.identities, "publishDraft", isMadeUp: true)
      state.withLock { $0.drafts[rid] = .published("ACTIVATED") }
      return "ACTIVATED"
    }
    // What was published before is answered as the first time, and what is not there with nothing.
    notes.note(.identities, "publishDraft")
    return try await identity(.rid(rid))?.status
  }

  func update(uin: String, rid: String, status: String?, fields: JSONValue?, idempotencyKey: String) async throws {
    try notes.reach(.identities)
    let about = status.map { ["status \($0)"] } ?? []
    notes.note(.identities, "update", about + (fields.map(RehearsalNotes.members) ?? []))
    state.withLock { _ = $0.changed.insert(uin) }
  }

  func biometrics(uin: String) async throws -> BiometricRecord? {
    try notes.reach(.identities)
    return try await real.biometrics(uin: uin)
  }

  func vids(uin: String) async throws -> [VirtualId] {
    try notes.reach(.identities)
    return try await real.vids(uin: uin)
  }
}
