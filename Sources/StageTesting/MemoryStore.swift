import JSON
import StageKit
import Synchronization

/// What stages keep, in memory: records, durable work and records for further topics. As in the database, changes are applied together or not
/// at all, and only over the version that was read.
public final class MemoryStore: Sendable {
  private struct Place: Hashable {
    var stage: String
    var collection: String
    var key: String
  }

  private struct Content {
    var records: [Place: StageRecord] = [:]
    var work: [(stage: String, item: WorkItem)] = []
    /// Work that ended without being done, by its kind and key.
    var ended: Set<Place> = []
    var published: [TopicRecord] = []
  }

  private let content = Mutex(Content())

  /// Nothing in it yet.
  public init() {}

  /// The store as one stage sees it.
  public func of(_ stage: String) -> any StageStore { View(store: self, stage: stage) }

  /// A record of a stage; nil when there is none.
  public func record(_ collection: String, _ key: String, of stage: String) -> StageRecord? {
    content.withLock { $0.records[Place(stage: stage, collection: collection, key: key)] }
  }

  /// The durable work that was scheduled and that nobody has ended, in its order.
  public var work: [(stage: String, item: WorkItem)] {
    content.withLock { content in
      content.work.filter { !content.ended.contains(Place(stage: $0.stage, collection: $0.item.kind, key: $0.item.key)) }
    }
  }

  /// The records for further topics, in their order.
  public var published: [TopicRecord] { content.withLock { $0.published } }

  /// Applies changes of a stage, all or none.
  /// - Throws: `StoreConflict`; `ServiceError` for a number that is added to what is none.
  public func commit(_ changes: [StageChange], of stage: String) throws {
    try content.withLock { content in
      var next = content
      for change in changes { try Self.apply(change, stage, &next) }
      content = next
    }
  }

  private static func apply(_ change: StageChange, _ stage: String, _ content: inout Content) throws {
    switch change {
    case .schedule(let item):
      let isKnown = content.work.contains { $0.stage == stage && $0.item.kind == item.kind && $0.item.key == item.key }
      if !isKnown { content.work.append((stage, item)) }
    case .end(let kind, let key): content.ended.insert(Place(stage: stage, collection: kind, key: key))
    case .publish(let record): content.published.append(record)
    default:
      guard let (collection, key) = change.place else { return }
      let place = Place(stage: stage, collection: collection, key: key)
      content.records[place] = try change.applied(to: content.records[place])
    }
  }

  private struct View: StageStore {
    let store: MemoryStore
    let stage: String

    func record(_ collection: String, _ key: String) async throws -> StageRecord? { store.record(collection, key, of: stage) }

    func records(_ collection: String, where member: String, is value: String, after key: String?, limit: Int) async throws
      -> [StageRecord]
    {
      store.content.withLock { content in
        let found = content.records.filter { place, record in
          place.stage == stage && place.collection == collection && record.document[member]?.string == value
            && record.key > key ?? ""
        }
        return Array(found.values.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.prefix(limit))
      }
    }

    func commit(_ changes: [StageChange]) async throws { try store.commit(changes, of: stage) }
  }
}
