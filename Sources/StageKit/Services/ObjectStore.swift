/// The object store: accounts, containers (one for each RID), keys (facts/packet-and-crypto 1.10). A put is there in full or not at
/// all, and durable when it returns; a repeated put writes over.
public protocol ObjectStore: Sendable {
  /// Stores bytes.
  func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws

  /// The bytes of an object; nil when there is none.
  func get(account: String, container: String, key: String) async throws -> [UInt8]?

  /// Whether an object exists.
  func exists(account: String, container: String, key: String) async throws -> Bool

  /// The keys of a container that begin with a prefix, sorted.
  func keys(account: String, container: String, prefix: String) async throws -> [String]

  /// Removes an object; nothing when there is none.
  func delete(account: String, container: String, key: String) async throws

  /// Sets the user metadata of an object: names lower case, values text.
  func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws

  /// The user metadata of an object; nil when it has none.
  func metadata(account: String, container: String, key: String) async throws -> [String: String]?
}
