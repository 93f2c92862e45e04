import JSON
import Registration
import StageKit
import Synchronization

/// The stage's records with everything that a try would have changed laid over them, in memory.
final class RehearsedStore: StageStore {
  private struct Place: Hashable {
    var collection: String
    var key: String
  }
  private let real: any StageStore
  private let notes: RehearsalNotes
  /// What a record would be now; `.some(nil)` for one that would be gone.
  private let overlay = Mutex<[Place: StageRecord?]>([:])

  init(_ real: any StageStore, _ notes: RehearsalNotes) {
    (self.real, self.notes) = (real, notes)
  }

  func record(_ collection: String, _ key: String) async throws -> StageRecord? {
    if let known = overlay.withLock({ $0[Place(collection: collection, key: key)] }) { return known }
    try notes.reach(.store)
    return try await real.record(collection, key)
  }

  func records(
    _ collection: String, where member: String, is value: String, after key: String?, limit: Int
  ) async throws -> [StageRecord] {
    try notes.reach(.store)
    let changed = overlay.withLock { $0.filter { $0.key.collection == collection } }
    // As many more as may fall away.
    let read = try await real.records(collection, where: member, is: value, after: key, limit: limit + changed.count)
    let kept = read.filter { changed[Place(collection: collection, key: $0.key)] == nil }
    let added = changed.values.compactMap(\.self).filter { record in
      record.document[member]?.string == value && key.map { Self.isBefore($0, record.key) } != false
    }
    return Array((kept + added).sorted { Self.isBefore($0.key, $1.key) }.prefix(limit))
  }

  private static func isBefore(_ one: String, _ other: String) -> Bool { one.utf8.lexicographicallyPrecedes(other.utf8) }

  func commit(_ changes: [StageChange]) async throws {
    var after: [Place: StageRecord?] = [:]
    var writes: [RehearsedWrite] = []
    for change in changes {
      writes.append(written(change))
      try await apply(change, &after)
    }
    overlay.withLock { $0.merge(after) { $1 } }
    for write in writes { notes.write(write) }
  }

  private func apply(_ change: StageChange, _ after: inout [Place: StageRecord?]) async throws {
    guard let (collection, key) = change.place else { return }
    let place = Place(collection: collection, key: key)
    // What goes need not be read, nor be there.
    if case .delete = change { return after[place] = .some(nil) }
    let old = if let known = after[place] { known } else { try await record(collection, key) }
    after[place] = .some(try change.applied(to: old, service: RehearsedPart.store.rawValue))
  }

  private func written(_ change: StageChange) -> RehearsedWrite {
    func write(_ name: String, _ place: String, _ key: String, _ members: [String]) -> RehearsedWrite {
      RehearsedWrite(change: name, place: place, key: notes.shown(key), members: members)
    }
    switch change {
    case .insert(let collection, let key, let document):
      return write("insert", collection, key, RehearsalNotes.members(document))
    case .put(let collection, let key, let document, _): return write("put", collection, key, RehearsalNotes.members(document))
    case .add(let collection, let key, let member, _): return write("add", collection, key, RehearsalNotes.names([member]))
    case .delete(let collection, let key): return write("delete", collection, key, [])
    case .schedule(let work): return write("schedule", work.kind, work.key, RehearsalNotes.members(work.payload))
    case .end(let kind, let key): return write("end", kind, key, [])
    case .publish(let record):
      let members = (try? JSONValue.parse(record.value)).map(RehearsalNotes.members) ?? []
      return write("publish", record.topic, record.key, members)
    }
  }
}

/// What begins outside the bus is no part of judging a message.
struct RehearsedEntrance: PipelineEntrance {
  let notes: RehearsalNotes

  func conclude(
    _ message: Message, at stage: String, _ verdict: Verdict, opening registration: RegistrationOpening?
  ) async throws -> Bool { throw notes.refuse(.pipeline, "conclude", ["at \(stage)"]) }
  func notified(_ message: Message, at stage: String, _ verdict: Verdict) async throws -> Bool {
    throw notes.refuse(.pipeline, "notified", ["at \(stage)"])
  }
  func act(_ action: ResumeAction, on rids: [String], by author: String) async throws {
    throw notes.refuse(.pipeline, "act", ["\(rids.count) registrations"])
  }
  func begin(_ start: WorkflowStart, additionalInfo: [UInt8]?, by author: String) async throws {
    throw notes.refuse(.pipeline, "begin", [start.process])
  }
  func runAgain(_ rid: String, by author: String, reason: String, trace: TraceId?) async throws -> RunAgain {
    throw notes.refuse(.pipeline, "runAgain", [])
  }
}
