import OpenCRVS
import JSON
import StageKit

/// The events of one record that have not been forwarded yet, in the order taken. The first is being forwarded; each of the others is
/// scheduled by the commit that ends the one before it, so nobody has to look whether it is its turn.
struct RecordQueue: KeptRecord {
  static let collection = "records"

  let key: String
  var version: Int?
  private let before: [String]
  private(set) var keys: [String] { didSet { document["queue"] = .array(keys.map(JSONValue.string)) } }
  /// Which go of an event it is, where that is not the first.
  private var takes: JSONValue { didSet { document["takes"] = takes } }
  private(set) var document: JSONValue

  init(_ record: StageRecord) throws(ServiceError) {
    key = record.key
    version = record.version
    let read = try RecordReader(record)
    keys = try read.texts("queue")
    takes = try read.optionalObject("takes").map(JSONValue.object) ?? [:]
    before = keys
    document = record.document
  }

  /// A queue that is not kept yet.
  private init(_ key: String, _ keys: [String]) {
    self.key = key
    self.keys = keys
    takes = [:]
    before = keys
    document = ["queue": .array(keys.map(JSONValue.string))]
  }

  /// Reads the queue of a record. Where there is none, an earlier version may have taken the record's birth, and not ended with it: then
  /// the birth is in it.
  static func of(_ recordId: String, _ store: any StageStore) async throws -> RecordQueue {
    let key = OpenCRVSRecordKey.of(recordId)
    if let queue = try await store.record(RecordQueue.self, key) { return queue }
    guard let birth = try await store.record(EventRecord.self, key), !birth.hasEnded, birth.status != .parked else {
      return RecordQueue(key, [])
    }
    return RecordQueue(key, [key])
  }

  /// Whether it is not kept yet.
  var isNew: Bool { version == nil }

  /// Takes off the first ones that have ended without that: a process of an earlier version, which knows no queues, may have forwarded
  /// them while both versions ran. One that cannot be read has not ended.
  mutating func dropEnded(_ context: StageContext) async throws {
    while let first = keys.first {
      if let event = try await context.store.record(EventRecord.collection, first),
        context.readable(EventRecord.self, event)?.hasEnded != true
      {
        return
      }
      keys.removeFirst()
    }
  }

  /// Puts a go of an event at the end.
  mutating func append(_ key: String, take: Int = 1) {
    if take > 1 { takes[key] = JSONValue(take) }
    if !keys.contains(key) { keys.append(key) }
  }

  mutating func remove(_ key: String) {
    keys.removeAll { $0 == key }
    if takes[key] != nil { takes[key] = nil }
  }

  /// The changes that keep it and schedule whoever has become the first. They conflict with those of anybody who changed it meanwhile.
  var changes: [StageChange] {
    guard isNew || keys != before else { return [] }
    var out = [writing]
    if let first = keys.first, first != before.first {
      out.append(.schedule(OpenCRVSMediator.work(OpenCRVSMediator.forward, on: first, take: takes[first]?.int ?? 1)))
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
