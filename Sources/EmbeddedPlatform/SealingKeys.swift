import Cryptography
import Postgres
import StageKit
import Synchronization
import System

/// The sealing keys of a folder by their ids, and the key of the hashes, which never changes: it keeps UINs unique.
///
/// Key 1 is `platform-seal.secret`, later ones are `platform-seal-2.secret` and so on. Which of them is current says the database
/// (`platform.sealing_key`), so that all processes on it agree.
final class SealingKeys: Sendable {
  /// How often a running process looks which key is current, in seconds.
  static let lookEvery = 5.0

  private struct State {
    var keys: [UInt32: [UInt8]] = [:]
    var current: UInt32 = 1
    var opensUnbound = true
  }

  let folder: KeyFolder
  let hashKey: [UInt8]
  private let state: Mutex<State>

  /// - Parameter hashKey: the folder's.
  private init(_ folder: KeyFolder, hashKey: [UInt8]) {
    self.folder = folder
    self.hashKey = hashKey
    state = Mutex(State())
  }

  /// The keys of a folder; the first ones are made when there are none.
  convenience init(making folder: KeyFolder) throws {
    self.init(folder, hashKey: try folder.secret(Self.hashName))
    _ = try folder.secret(Self.name(1))
  }

  /// Keys of nobody, for whoever has no database and so nothing sealed: they open nothing.
  convenience init(ofNobodyIn folder: KeyFolder) { self.init(folder, hashKey: SecureRandom.bytes(32)) }

  /// The keys of a folder; nil when it has none, and nothing is made.
  convenience init?(existingIn folder: KeyFolder) throws {
    guard let hashKey = try folder.existingSecret(Self.hashName) else { return nil }
    self.init(folder, hashKey: hashKey)
  }

  static let hashName = "platform-hash"

  /// The name of a sealing key in its folder.
  static func name(_ id: UInt32) -> String { id == 1 ? "platform-seal" : "platform-seal-\(id)" }

  /// The id of the key by which new values are sealed.
  var current: UInt32 { state.withLock { $0.current } }
  /// Whether values of before, which name no key and no place, are opened.
  var opensUnbound: Bool { state.withLock { $0.opensUnbound } }

  /// A key by its id, looked for in the folder when it is not known yet; nil when it is not there.
  func key(_ id: UInt32) throws -> [UInt8]? {
    if let known = state.withLock({ $0.keys[id] }) { return known }
    guard id > 0, let key = try folder.existingSecret(Self.name(id)) else { return nil }
    state.withLock { $0.keys[id] = key }
    return key
  }

  /// Seals by this key from now on.
  func use(_ id: UInt32, opensUnbound: Bool) {
    state.withLock { state in
      state.current = id
      state.opensUnbound = opensUnbound
    }
  }

  /// Looks which key is current.
  /// - Throws: RPR-KEY-006 when it is not in the folder; the former one stays in use then.
  func look(_ connection: Connection) throws {
    let rows = try connection.execute(
      """
      SELECT id, check_value, (SELECT bool_or(swept_at IS NOT NULL) FROM platform.sealing_key)
      FROM platform.sealing_key WHERE is_current
      """)
    guard let row = rows.first, let id = UInt32(exactly: try row.int(0)) else { return }
    // A file of this name that holds another key would seal what nobody else opens.
    guard try key(id) != nil, Sealer(self).isOwn(checkValue: try row.bytes(1), of: id) else { throw Self.missing(id, folder) }
    use(id, opensUnbound: try !row.bool(2))
  }

  static func missing(_ id: UInt32, _ folder: KeyFolder) -> ServiceError {
    ServiceError(
      .refused, service: "sealer", code: "RPR-KEY-006",
      "sealing key \(id) of the database is not in \(folder.folder): copy \(name(id)).secret from the folder where it was made")
  }
}
