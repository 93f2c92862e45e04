import StageKit
import Synchronization

/// MOSIP's registration tables, of which a try reads; announcements that it would have made are laid over them.
final class RehearsedRegister: RegistrationRegister {
  private let real: any RegistrationRegister
  private let notes: RehearsalNotes
  /// The announcements of this try.
  private let overlay = Mutex<[SyncRecord]>([])

  init(_ real: any RegistrationRegister, _ notes: RehearsalNotes) {
    (self.real, self.notes) = (real, notes)
  }

  private func known(_ isMeant: (SyncRecord) -> Bool) -> SyncRecord? { overlay.withLock { $0.last(where: isMeant) } }

  func sync(_ record: SyncRecord) async throws -> SyncRecord { try await sync(record, additionalInfo: nil) }

  func sync(_ record: SyncRecord, additionalInfo: [UInt8]?) async throws -> SyncRecord {
    var row = record
    if let before = try await synced(packetId: record.packetId) { row.workflowInstanceId = before.workflowInstanceId }
    notes.note(.registrations, "sync", [record.process], isMadeUp: true)
    let kept = row
    overlay.withLock { $0.append(kept) }
    return row
  }

  /// Nobody: who is there can only be learnt by taking him away.
  func takeAdditionalInfo(workflowInstanceId: String) async throws -> [UInt8]? {
    notes.note(.registrations, "takeAdditionalInfo", ["as if there were nobody to notify"], isMadeUp: true)
    return nil
  }

  func synced(packetId: String) async throws -> SyncRecord? {
    if let known = known({ $0.packetId == packetId }) { return known }
    try notes.reach(.registrations)
    return try await real.synced(packetId: packetId)
  }

  func synced(workflowInstanceId: String) async throws -> SyncRecord? {
    if let known = known({ $0.workflowInstanceId == workflowInstanceId }) { return known }
    try notes.reach(.registrations)
    return try await real.synced(workflowInstanceId: workflowInstanceId)
  }

  func synced(rid: String) async throws -> [SyncRecord] {
    try notes.reach(.registrations)
    let own = overlay.withLock { $0.filter { $0.rid == rid } }
    let packets = Set(own.map(\.packetId))
    return try await real.synced(rid: rid).filter { !packets.contains($0.packetId) } + own
  }

  func registration(workflowInstanceId: String) async throws -> RegistrationRecord? {
    try notes.reach(.registrations)
    return try await real.registration(workflowInstanceId: workflowInstanceId)
  }

  func registrations(rid: String) async throws -> [RegistrationRecord] {
    try notes.reach(.registrations)
    return try await real.registrations(rid: rid)
  }

  func additionalInfoRequest(id: String) async throws -> AdditionalInfoRequestRecord? {
    try notes.reach(.registrations)
    return try await real.additionalInfoRequest(id: id)
  }

  func additionalInfoRequests(workflowInstanceId: String) async throws -> [AdditionalInfoRequestRecord] {
    try notes.reach(.registrations)
    return try await real.additionalInfoRequests(workflowInstanceId: workflowInstanceId)
  }

  func transactions(rid: String, limit: Int) async throws -> [TransactionRecord] {
    try notes.reach(.registrations)
    return try await real.transactions(rid: rid, limit: limit)
  }

  func workflows(_ search: WorkflowSearch) async throws -> (rows: [WorkflowRecord], total: Int) {
    try notes.reach(.registrations)
    return try await real.workflows(search)
  }

  func announced(_ search: LostRIDSearch) async throws -> [AnnouncedRecord] {
    try notes.reach(.registrations)
    return try await real.announced(search)
  }
}
