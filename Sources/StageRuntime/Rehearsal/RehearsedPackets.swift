import Registration
import StageKit
import Synchronization

/// The packet manager, of which a try reads; tags that it would have set or removed are laid over those that are there.
final class RehearsedPackets: PacketManager {
  private let real: any PacketManager
  private let notes: RehearsalNotes
  /// Tags by RID; `.some(nil)` for one that would be gone.
  private let overlay = Mutex<[String: [String: String?]]>([:])

  init(_ real: any PacketManager, _ notes: RehearsalNotes) {
    (self.real, self.notes) = (real, notes)
  }

  func fields(_ names: [String], of packet: PacketReference) async throws -> [String: String] {
    try notes.reach(.packets)
    return try await real.fields(names, of: packet)
  }

  func allFields(of packet: PacketReference) async throws -> [String: String] {
    try notes.reach(.packets)
    return try await real.allFields(of: packet)
  }

  func metaInfo(of packet: PacketReference) async throws -> [String: String] {
    try notes.reach(.packets)
    return try await real.metaInfo(of: packet)
  }

  func audits(of packet: PacketReference) async throws -> [[String: String]] {
    try notes.reach(.packets)
    return try await real.audits(of: packet)
  }

  func document(_ name: String, of packet: PacketReference) async throws -> PacketDocument? {
    try notes.reach(.packets)
    return try await real.document(name, of: packet)
  }

  func biometrics(_ person: String, of packet: PacketReference) async throws -> BiometricRecord? {
    try notes.reach(.packets)
    return try await real.biometrics(person, of: packet)
  }

  func validate(_ packet: PacketReference) async throws -> [PacketProblem] {
    try notes.reach(.packets)
    return try await real.validate(packet)
  }

  func tags(of rid: String, named names: [String]?) async throws -> [String: String] {
    try notes.reach(.tags)
    var tags = try await real.tags(of: rid, named: names)
    for (name, value) in overlay.withLock({ $0[rid] ?? [:] }) where names?.contains(name) != false { tags[name] = value }
    return tags
  }

  func addOrUpdateTags(of rid: String, _ tags: [String: String]) async throws {
    overlay.withLock { $0[rid, default: [:]].merge(tags.mapValues { .some($0) }) { $1 } }
    notes.tag(Array(tags.keys))
    notes.note(.packets, "addOrUpdateTags", RehearsalNotes.names(tags.keys.sorted()))
  }

  func deleteTags(of rid: String, named names: [String]) async throws {
    overlay.withLock { for name in names { $0[rid, default: [:]].updateValue(nil, forKey: name) } }
    notes.note(.packets, "deleteTags", RehearsalNotes.names(names))
  }
}
