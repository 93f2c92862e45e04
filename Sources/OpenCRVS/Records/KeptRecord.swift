import JSON
import StageKit

/// A record that a mediator keeps in its store, with what its members mean. Members that this version does not know stay in it when it is
/// written again.
package protocol KeptRecord: Sendable {
  /// The collection that records of this kind are in.
  static var collection: String { get }
  /// Its key within the collection.
  var key: String { get }
  /// The version that was read; nil for a record that is not stored yet.
  var version: Int? { get set }
  /// What stands in the database.
  var document: JSONValue { get }

  /// Reads a stored record.
  /// - Throws: `ServiceError`, which names the member that is missing or wrong and no value of it. It is retriable: a newer version may
  ///   have written the record, or a person puts it right.
  init(_ record: StageRecord) throws(ServiceError)
}

extension KeptRecord {
  /// The change that writes it, unless somebody else has made or changed it meanwhile.
  package var writing: StageChange { .keep(collection: Self.collection, key: key, document: document, over: version) }

  /// The change that writes it over whatever is there.
  package var overwriting: StageChange { .put(collection: Self.collection, key: key, document: document) }

  /// Counts a change that was committed.
  package mutating func wasWritten() { version = (version ?? 0) + 1 }
}

extension StageStore {
  /// A record of this kind; nil when there is none.
  /// - Throws: `ServiceError` when it cannot be read.
  package func record<Record: KeptRecord>(_ kind: Record.Type, _ key: String) async throws -> Record? {
    guard let record = try await record(Record.collection, key) else { return nil }
    return try Record(record)
  }

  /// Whether there is a record of this kind, be it readable or not.
  package func has<Record: KeptRecord>(_ kind: Record.Type, _ key: String) async throws -> Bool {
    try await record(Record.collection, key) != nil
  }
}

extension StageContext {
  /// A record of this kind for whoever can go on without it: nil for none, and for one that cannot be read, which is said in the log.
  package func readable<Record: KeptRecord>(_ kind: Record.Type, _ key: String) async throws -> Record? {
    try await store.record(Record.collection, key).flatMap { readable(kind, $0) }
  }

  /// The same of a record that was got already.
  package func readable<Record: KeptRecord>(_ kind: Record.Type, _ record: StageRecord) -> Record? {
    do {
      return try Record(record)
    } catch {
      log.error("a record cannot be read, and stays as it is", ["record": record.key, "error": error.description])
      return nil
    }
  }
}
