import StageKit
import Synchronization
import System

/// The object store with everything that a try would have stored or removed laid over it, in memory.
final class RehearsedObjects: ObjectStore {
  private struct Place: Hashable {
    var account: String
    var container: String
    var key: String
  }
  private struct Object {
    var source: any ByteSource
    var metadata: [String: String]?
  }
  private let real: any ObjectStore
  private let notes: RehearsalNotes
  /// What an object would be now; `.some(nil)` for one that would be gone.
  private let overlay = Mutex<[Place: Object?]>([:])

  init(_ real: any ObjectStore, _ notes: RehearsalNotes) {
    (self.real, self.notes) = (real, notes)
  }

  private func known(_ place: Place) -> Object?? { overlay.withLock { $0[place] } }

  private func keep(_ object: Object?, at place: Place, _ call: String) {
    overlay.withLock { $0[place] = .some(object) }
    let size = object.map { ["\($0.source.count) bytes"] } ?? []
    notes.note(.objects, call, [place.account, notes.shown(place.key)] + size)
  }

  func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws {
    let metadata = try await metadata(account: account, container: container, key: key)
    keep(
      Object(source: MemorySource(bytes), metadata: metadata), at: Place(account: account, container: container, key: key), "put")
  }

  func put(_ objects: [StoredObject], account: String, container: String) async throws {
    for object in objects {
      keep(
        Object(source: MemorySource(object.bytes), metadata: object.metadata),
        at: Place(account: account, container: container, key: object.key), "put")
    }
  }

  func put(
    _ source: any ByteSource, metadata: [String: String], account: String, container: String, key: String
  ) async throws {
    keep(Object(source: source, metadata: metadata), at: Place(account: account, container: container, key: key), "put")
  }

  func get(account: String, container: String, key: String) async throws -> [UInt8]? {
    if let known = known(Place(account: account, container: container, key: key)) { return try known?.source.bytes() }
    return try await real.get(account: account, container: container, key: key)
  }

  func source(account: String, container: String, key: String) async throws -> (any ByteSource)? {
    if let known = known(Place(account: account, container: container, key: key)) { return known?.source }
    return try await real.source(account: account, container: container, key: key)
  }

  func exists(account: String, container: String, key: String) async throws -> Bool {
    if let known = known(Place(account: account, container: container, key: key)) { return known != nil }
    return try await real.exists(account: account, container: container, key: key)
  }

  func keys(account: String, container: String, prefix: String) async throws -> [String] {
    var keys = Set(try await real.keys(account: account, container: container, prefix: prefix))
    overlay.withLock { overlay in
      for (place, object) in overlay where place.account == account && place.container == container && place.key.hasPrefix(prefix) {
        if object == nil { keys.remove(place.key) } else { keys.insert(place.key) }
      }
    }
    return keys.sorted()
  }

  func delete(account: String, container: String, key: String) async throws {
    keep(nil, at: Place(account: account, container: container, key: key), "delete")
  }

  func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws {
    let object = try await source(account: account, container: container, key: key)
    keep(
      object.map { Object(source: $0, metadata: metadata) }, at: Place(account: account, container: container, key: key),
      "setMetadata")
  }

  func metadata(account: String, container: String, key: String) async throws -> [String: String]? {
    if let known = known(Place(account: account, container: container, key: key)) { return known?.metadata }
    return try await real.metadata(account: account, container: container, key: key)
  }
}
