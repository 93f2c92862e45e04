import OpenCRVS
import JSON
import StageKit

/// The events of one record that have not been forwarded yet, in the order taken. The first is being forwarded; each of the others is
/// scheduled by the commit that ends the one before it, so nobody has to look whether it is its turn.
struct RecordQueue: Sendable {
  private let key: String
  private let version: Int?
  private let before: [String]
  private(set) var keys: [String]

  /// Reads the queue of a record. Where there is none, an earlier version may have taken the record's birth, and not ended with it: then
  /// the birth is in it.
  static func of(_ recordId: String, _ store: any StageStore) async throws -> RecordQueue {
    let key = OpenCRVSRecordKey.of(recordId)
    if let record = try await store.record(OpenCRVSMediator.Records.records, key) {
      let keys = record.document["queue"]?.array?.compactMap(\.string) ?? []
      return RecordQueue(key: key, version: record.version, before: keys, keys: keys)
    }
    let birth = try await store.record(OpenCRVSMediator.Records.events, key)
    let keys = birth.map { hasEnded($0.document) || $0.document["status"]?.string == "Parked" } == false ? [key] : []
    return RecordQueue(key: key, version: nil, before: keys, keys: keys)
  }

  /// Whether an event has been forwarded, or never will be.
  static func hasEnded(_ event: JSONValue) -> Bool { ["Forwarded", "Failed"].contains(event["status"]?.string) }

  /// Whether it is not kept yet.
  var isNew: Bool { version == nil }

  /// Takes off the first ones that have ended without that: a process of an earlier version, which knows no queues, may have forwarded
  /// them while both versions ran.
  mutating func dropEnded(_ store: any StageStore) async throws {
    while let first = keys.first {
      if let event = try await store.record(OpenCRVSMediator.Records.events, first), !Self.hasEnded(event.document) { return }
      keys.removeFirst()
    }
  }

  mutating func append(_ key: String) { if !keys.contains(key) { keys.append(key) } }
  mutating func remove(_ key: String) { keys.removeAll { $0 == key } }

  /// The changes that keep it and schedule whoever has become the first. They conflict with those of anybody who changed it meanwhile.
  var changes: [StageChange] {
    guard isNew || keys != before else { return [] }
    let document: JSONValue = ["queue": .array(keys.map(JSONValue.string))]
    var out: [StageChange] = [
      .keep(collection: OpenCRVSMediator.Records.records, key: key, document: document, over: version)
    ]
    if let first = keys.first, first != before.first {
      out.append(.schedule(WorkItem(kind: OpenCRVSMediator.forward, key: first)))
    }
    return out
  }
}

/// Does what reads and then commits until nobody else changed what was read.
/// - Throws: `StoreConflict` after many tries: then something is wrong that a later try may find put right.
@discardableResult
func untilCommitted<T>(_ body: () async throws -> T) async throws -> T {
  for _ in 0..<20 {
    do { return try await body() } catch is StoreConflict {}
  }
  return try await body()
}
