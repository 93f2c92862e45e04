import JSON
import Registration
import System

/// How an identity is named.
public enum IdentityReference: Sendable, Hashable {
  /// By its UIN.
  case uin(String)
  /// By a VID.
  case vid(String)
  /// By the RID of a registration that made or changed it.
  case rid(String)
}

/// An identity of the repository. Its description shows nothing of it.
public struct Identity: Sendable, CustomStringConvertible {
  /// The UIN.
  public var uin: String
  /// The RID of the latest registration.
  public var rid: String
  /// `ACTIVATED`, `BLOCKED` or `DEACTIVATED`.
  public var status: String
  /// The identity object (fields by schema name).
  public var fields: JSONValue

  /// An identity.
  public init(uin: String, rid: String, status: String, fields: JSONValue) {
    self.uin = uin
    self.rid = rid
    self.status = status
    self.fields = fields
  }
  public var description: String { "identity (\(status))" }
}

/// A document beside an identity.
public struct IdentityDocument: Sendable {
  /// The document's category: the type's value, or the field's name for biometrics.
  public var category: String
  /// The document's bytes.
  public var bytes: [UInt8]

  /// A document.
  public init(category: String, bytes: [UInt8]) {
    self.category = category
    self.bytes = bytes
  }
}

/// A VID of an identity. Its description shows nothing of it.
public struct VirtualId: Sendable, CustomStringConvertible {
  /// The 16 digits.
  public var vid: String
  /// `PERPETUAL`, `TEMPORARY` or `ONETIMEUSE`.
  public var type: String
  /// `ACTIVE`, `REVOKED` ...
  public var status: String
  /// When it expires; nil for never.
  public var expiresAt: Instant?

  /// A VID.
  public init(vid: String, type: String, status: String, expiresAt: Instant?) {
    self.vid = vid
    self.type = type
    self.status = status
    self.expiresAt = expiresAt
  }
  public var description: String { "VID (\(type), \(status))" }
}

/// MOSIP's identity repository with drafts (docs/upstream/stages.md#7-uin-generator;
/// docs/upstream/scenarios.md#21-identity-repository-read-and-change). Errors
/// are `ServiceError` with the repository's codes: IDR-IDS-003 key manager out of reach (retriable), IDR-IDC-012 record exists, IDR-IDC-007
/// no record, and final ones: IDR-IDC-001 a field is missing, IDR-IDC-002 a field or value is not taken (about requesttime it is a matter
/// of clocks, and retriable), IDR-IDC-013 a field was changed as often as it may be.
///
/// Unlike upstream every creating call may be repeated: a draft of a RID keeps its UIN for ever, also when it was published or discarded,
/// and publishing a published RID answers as the first time. So a RID never gets two UINs.
public protocol IdentityRepository: Sendable {
  /// An identity, or nil when there is none. By UIN and RID it is found in every status, by RID also by those of its history.
  /// - Throws: `ServiceError` refused for a VID that is spent (IDR-VID-001) or whose UIN is not ACTIVATED (IDR-VID-004).
  func identity(_ reference: IdentityReference) async throws -> Identity?

  /// Whether a draft of this RID waits to be published.
  func hasDraft(rid: String) async throws -> Bool

  /// Makes a draft for a RID, with a new UIN or for an existing one. Repeating it gives the same draft.
  func createDraft(rid: String, uin: String?, idempotencyKey: String) async throws

  /// Writes identity object and documents into the draft; documents that are not given stay.
  func updateDraft(rid: String, fields: JSONValue, documents: [IdentityDocument], idempotencyKey: String) async throws

  /// Throws the draft away. Its UIN stays bound to the RID.
  func discardDraft(rid: String) async throws

  /// Makes the draft the identity and gives it a perpetual VID. Repeating it answers the same. For an identity that exists its fields are
  /// laid over it as `update` does. A draft that is refused, e.g. because a new identity lacks a field (IDR-IDC-001), stays.
  /// - Returns: the identity's status, or nil when there is neither a draft nor a published one of this RID.
  func publishDraft(rid: String, idempotencyKey: String) async throws -> String?

  /// Changes status or fields of an identity (PATCH identity). Texts in several languages are merged by language, other fields are replaced;
  /// null and absent delete nothing, and without a status it keeps its own. A RID makes one change of one identity: repeating it changes
  /// nothing, whatever happened since.
  func update(uin: String, rid: String, status: String?, fields: JSONValue?, idempotencyKey: String) async throws

  /// What is kept of a person's own captures (`idvid?type=bio`); nil when nothing is.
  func biometrics(uin: String) async throws -> BiometricRecord?

  /// The VIDs of a UIN, oldest first.
  func vids(uin: String) async throws -> [VirtualId]
}
