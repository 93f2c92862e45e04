import StageKit
import System

/// What a mediator keeps in the object store, sealed with its own key, so that nobody reads it there. What an earlier version kept in the
/// clear is read as it is.
package struct SealedObjects: Sendable {
  private let services: Services
  private let account: String
  private let owner: String

  /// - Parameter owner: whose key seals and opens.
  package init(_ services: Services, account: String, owner: String) {
    self.services = services
    self.account = account
    self.owner = owner
  }

  /// Seals and keeps an object.
  /// - Throws: `ServiceError` of the key manager or of the object store.
  package func put(_ bytes: [UInt8], container: String, key: String) async throws {
    let sealed = try await LargeWork.with(bytes.count) { try await services.envelopeKeys.seal(bytes, for: owner) }
    try await services.objects.put(sealed, account: account, container: container, key: key)
  }

  /// Reads and opens an object; nil for none.
  /// - Throws: `ServiceError` of the key manager or of the object store.
  package func get(container: String, key: String) async throws -> [UInt8]? {
    guard let bytes = try await services.objects.get(account: account, container: container, key: key) else { return nil }
    // No JSON begins as an envelope does.
    guard bytes.starts(with: "VER_R2".utf8) else { return bytes }
    return try await LargeWork.with(bytes.count) { try await services.envelopeKeys.open(bytes, as: owner) }
  }
}
