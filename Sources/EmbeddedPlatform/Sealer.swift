import Cryptography
import Postgres
import StageKit
import System

/// Seals small values for the database and makes keyed hashes of them for looking up.
///
/// A sealed value is a mark (1 byte), the id of its key (4 bytes, the highest first), a random nonce (12 bytes) and AES-256-GCM's ciphertext
/// and tag. Mark, id and place are the associated data: moved to another row, column or table it does not open.
///
/// A value of before is nonce, ciphertext and tag under key 1, without associated data. One in 256 has a nonce that begins with the mark, so
/// the first bytes alone decide nothing: what does not open as new is tried as old. That lets nothing through that either form would refuse,
/// since the tag covers the associated data and its length: a new value never opens as an old one, whatever is cut off it. Once all rows
/// of a database are sealed in the new form the old one is refused.
struct Sealer: Sendable {
  private let keys: SealingKeys

  private static let mark: UInt8 = 0x53
  private static let nonceSize = 12
  /// Bytes of mark and id.
  static let headerSize = 5

  init(_ keys: SealingKeys) { self.keys = keys }

  /// Over a folder that is known to belong to the database; its first keys are made when there are none.
  init(_ folder: KeyFolder) throws { keys = try SealingKeys(making: folder) }

  /// What a value sealed with a key begins with.
  static func header(_ id: UInt32) -> [UInt8] { [mark] + (0..<4).map { UInt8(truncatingIfNeeded: id >> (24 - 8 * $0)) } }

  /// The id of the key that a value names; nil for one that names none.
  static func id(of sealed: [UInt8]) -> UInt32? {
    guard sealed.count >= headerSize + nonceSize + AESGCM.tagSize, sealed[0] == mark else { return nil }
    return sealed[1..<headerSize].reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// Seals with the current key.
  /// - Parameter place: where the value will stand.
  func seal(_ plaintext: [UInt8], in place: SealedPlace) throws -> [UInt8] { try seal(plaintext, in: place, with: keys.current) }

  /// Seals with one of the keys.
  func seal(_ plaintext: [UInt8], in place: SealedPlace, with id: UInt32) throws -> [UInt8] {
    guard let key = try keys.key(id) else { throw SealingKeys.missing(id, keys.folder) }
    let nonce = SecureRandom.bytes(Self.nonceSize)
    var out = Self.header(id) + nonce
    try AESGCM.seal(plaintext, key: key, nonce: nonce, aad: Self.associated(id, place), appendingTo: &out)
    return out
  }

  /// - Parameter place: where the value stands.
  /// - Throws: RPR-KEY-006 for a value whose key is not in the folder, RPR-KEY-007 for one that was changed or sealed for another place.
  func open(_ sealed: [UInt8], in place: SealedPlace) throws -> [UInt8] {
    let id = Self.id(of: sealed)
    // A key that was made since is found in the folder.
    let key = try id.flatMap { try keys.key($0) }
    if let id, let key {
      let rest = sealed[Self.headerSize...]
      let plaintext = try? AESGCM.open(
        rest.dropFirst(Self.nonceSize), key: key, nonce: Array(rest.prefix(Self.nonceSize)), aad: Self.associated(id, place))
      if let plaintext { return plaintext }
    }
    if keys.opensUnbound, let first = try keys.key(1),
      let plaintext = try? AESGCM.open(
        sealed.dropFirst(Self.nonceSize), key: first, nonce: Array(sealed.prefix(Self.nonceSize)))
    {
      return plaintext
    }
    if let id, key == nil { throw SealingKeys.missing(id, keys.folder) }
    throw ServiceError(
      .refused, service: "sealer", code: "RPR-KEY-007",
      "a value in platform.\(place.column.table).\(place.column.name) does not open: it was changed, or sealed for another place")
  }

  /// As `open`, of a value that was read from the database.
  /// - Throws: `Unopened` for a value that does not open; `PostgresError`.
  func open(_ sealed: [UInt8], in place: SealedPlace, of connection: Connection) throws -> [UInt8] {
    do {
      return try open(sealed, in: place)
    } catch let fault as ServiceError {
      throw try Unopened(fault, sealed, connection)
    }
  }

  func hash(_ text: String) -> [UInt8] { HMAC.code(Array(text.utf8), key: keys.hashKey) }

  /// What shows that a folder has a key: a constant sealed with it.
  func checkValue(_ id: UInt32) throws -> [UInt8] {
    try seal(Self.constant, in: SealedColumn.checkValue.row(String(id)), with: id)
  }

  /// Whether a check value was made with the key of this id that the folder has.
  func isOwn(checkValue: [UInt8], of id: UInt32) -> Bool {
    Self.id(of: checkValue) == id && (try? open(checkValue, in: SealedColumn.checkValue.row(String(id)))) == Self.constant
  }

  /// What shows that a folder has the key of the hashes. No number is hashed in this form.
  var hashCheck: [UInt8] { hash("regproc: the key of the hashes") }

  private static let constant = Array("regproc: a sealing key".utf8)

  private static func associated(_ id: UInt32, _ place: SealedPlace) -> [UInt8] { header(id) + Array(place.text.utf8) }
}
