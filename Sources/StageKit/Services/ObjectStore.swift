import System

/// The object store: accounts, containers (one for each RID), keys (docs/upstream/packet-and-crypto.md#110-names-in-the-object-store). A
/// put is there in full or not at all, and durable when it returns; a repeated put writes over.
public protocol ObjectStore: Sendable {
  /// Stores bytes.
  func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws

  /// Stores several objects of a container with their user metadata. An object never stands without its metadata; when it throws, some
  /// may be there and others not.
  func put(_ objects: [StoredObject], account: String, container: String) async throws

  /// The bytes of an object; nil when there is none.
  func get(account: String, container: String, key: String) async throws -> [UInt8]?

  /// Stores bytes that may be too many to be held in memory, with their user metadata. An object never stands without its metadata.
  func put(
    _ source: any ByteSource, metadata: [String: String], account: String, container: String, key: String) async throws

  /// An object to be read piece by piece; nil when there is none. The source keeps what the object was when it was asked for, whatever
  /// becomes of the object.
  func source(account: String, container: String, key: String) async throws -> (any ByteSource)?

  /// Whether an object exists.
  func exists(account: String, container: String, key: String) async throws -> Bool

  /// The keys of a container that begin with a prefix, sorted.
  func keys(account: String, container: String, prefix: String) async throws -> [String]

  /// Removes an object; nothing when there is none.
  func delete(account: String, container: String, key: String) async throws

  /// Removes what is left of containers in which nothing is, where a store has such a thing.
  /// - Parameter seconds: only what has not changed for so long.
  /// - Returns: how many folders were removed.
  @discardableResult func removeEmptyFolders(olderThan seconds: Double) async throws -> Int

  /// Sets the user metadata of an object: names lower case, values text.
  func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws

  /// The user metadata of an object; nil when it has none.
  func metadata(account: String, container: String, key: String) async throws -> [String: String]?
}

/// An object on its way into the store.
public struct StoredObject: Sendable {
  /// Its key in the container.
  public var key: String
  /// Its content.
  public var bytes: [UInt8]
  /// Its user metadata: names lower case, values text.
  public var metadata: [String: String]

  /// An object with its metadata.
  public init(key: String, bytes: [UInt8], metadata: [String: String]) {
    self.key = key
    self.bytes = bytes
    self.metadata = metadata
  }
}

extension ObjectStore {
  /// Nothing: a container without objects is none.
  public func removeEmptyFolders(olderThan seconds: Double) async throws -> Int { 0 }

  /// In memory, for stores that take whole objects alone.
  public func put(
    _ source: any ByteSource, metadata: [String: String], account: String, container: String, key: String
  ) async throws {
    try await put(
      [StoredObject(key: key, bytes: source.bytes(), metadata: metadata)], account: account, container: container)
  }

  /// In memory, for stores that give whole objects alone.
  public func source(account: String, container: String, key: String) async throws -> (any ByteSource)? {
    try await get(account: account, container: container, key: key).map { MemorySource($0) }
  }

  public func put(_ objects: [StoredObject], account: String, container: String) async throws {
    for object in objects {
      try await put(object.bytes, account: account, container: container, key: object.key)
      try await setMetadata(object.metadata, account: account, container: container, key: object.key)
    }
  }
}
