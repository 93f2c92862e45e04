import System

/// A column of schema `platform` whose values are sealed. This list drives sealing, opening and the change of the key, so that no column
/// can be forgotten by one of them.
struct SealedColumn: Sendable, Hashable {
  /// A column of the table's primary key.
  struct Key: Sendable, Hashable {
    var name: String
    var isBytes = false
  }

  var table: String
  var name: String
  /// The primary key, in its order.
  var key: [Key]

  static let uin = SealedColumn(table: "uin", name: "sealed", key: [uinHash])
  static let draftUIN = SealedColumn(table: "draft", name: "sealed_uin", key: [rid])
  static let draftFields = SealedColumn(table: "draft", name: "fields", key: [rid])
  static let draftDocument = SealedColumn(table: "draft_document", name: "content", key: [rid, category])
  static let identityUIN = SealedColumn(table: "identity", name: "sealed_uin", key: [uinHash])
  static let identityFields = SealedColumn(table: "identity", name: "fields", key: [uinHash])
  static let identityDocument = SealedColumn(table: "identity_document", name: "content", key: [uinHash, category])
  static let hubSecret = SealedColumn(
    table: "hub_subscription", name: "sealed_secret", key: [Key(name: "topic"), Key(name: "callback")])

  /// All there are.
  static let all = [uin, draftUIN, draftFields, draftDocument, identityUIN, identityFields, identityDocument, hubSecret]

  /// The check value of a sealing key, which stays with its key.
  static let checkValue = SealedColumn(table: "sealing_key", name: "check_value", key: [Key(name: "id")])

  /// Columns of bytes that are not sealed with the sealing key, and why.
  static let others: [String: String] = [
    "uin.uin_hash": "a keyed hash", "vid.uin_hash": "a keyed hash", "draft.uin_hash": "a keyed hash",
    "identity.uin_hash": "a keyed hash", "identity_rid.uin_hash": "a keyed hash", "identity_document.uin_hash": "a keyed hash",
    "identity_update_count.uin_hash": "a keyed hash", "identity_follow_up.uin_hash": "a keyed hash",
    "credential_request.event": "its credential is sealed for the partner", "hub_message.body": "what subscribers are told",
    "credential_done.key_digest": "a hash of RID, stage and issuer",
    "sealing_key.check_value": "stays with its key", "sealing_key.hash_check": "a keyed hash",
  ]

  private static let uinHash = Key(name: "uin_hash", isBytes: true)
  private static let rid = Key(name: "rid")
  private static let category = Key(name: "category")

  /// The place of the row with this key, in the order of the key's columns.
  func row(_ key: [UInt8]...) -> SealedPlace { SealedPlace(column: self, key: key) }
  /// The place of the row with this key, in the order of the key's columns.
  func row(_ key: String...) -> SealedPlace { SealedPlace(column: self, key: key.map { Array($0.utf8) }) }
}

/// Where one sealed value stands. It opens nowhere else.
struct SealedPlace: Sendable, Hashable {
  var column: SealedColumn
  var key: [[UInt8]]

  /// Table, column and row in a form that no other place has: the parts of the key are in hex digits, so no part holds a separator.
  var text: String { "platform.\(column.table).\(column.name)|" + key.map { Encoding.hex($0) }.joined(separator: "|") }
}
