import Cryptography
import Glibc
import Postgres
import StageKit
import System

/// What keys a folder has and what each is for. Nothing secret is in it.
public struct KeyInventory: Sendable {
  /// One key pair, certificate or secret.
  public struct Key: Sendable, Equatable {
    /// Its name, which its files have too.
    public var name: String
    /// `key pair`, `certificate`, `secret`, `sealing key`.
    public var kind: String
    /// What it is for.
    public var purpose: String
    /// The SHA-256 of its certificate.
    public var thumbprint: [UInt8]?
    /// The end of its certificate.
    public var validUntil: Instant?
    /// The id of a sealing key.
    public var id: Int?
  }

  /// How the database uses a sealing key.
  public struct Use: Sendable, Equatable {
    public var isCurrent: Bool
    /// How many values are sealed with it.
    public var values: Int
  }

  /// The keys by name, sealing keys last, by id.
  public var keys: [Key]

  /// Reads a folder; nothing is made.
  /// - Throws: RPR-KEY-002 when it cannot be read.
  public init(folder: String) throws {
    guard let handle = opendir(folder) else {
      throw ServiceError(
        .notFound, service: "key folder", code: "RPR-KEY-002", "there are no keys in \(folder) (errno \(errno))")
    }
    defer { closedir(handle) }
    var files: Set<String> = []
    while let entry = readdir(handle) {
      files.insert(
        withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        })
    }
    keys = []
    for file in files.sorted() {
      if let name = Self.stem(file, ".cert.pem") {
        let certificate = try? Certificate(bytes: FileSource(path: "\(folder)/\(file)").bytes())
        let isPair = files.contains(name + ".key.pem")
        keys.append(
          Key(
            name: name, kind: isPair ? "key pair" : "certificate", purpose: Self.purpose(name) + (isPair ? "" : ", of a partner"),
            thumbprint: certificate?.thumbprint, validUntil: certificate?.notAfter))
      } else if let name = Self.stem(file, ".key.pem"), !files.contains(name + ".cert.pem") {
        keys.append(Key(name: name, kind: "key pair", purpose: Self.purpose(name)))
      } else if let name = Self.stem(file, ".secret") {
        let id = Self.sealingId(name)
        keys.append(Key(name: name, kind: id == nil ? "secret" : "sealing key", purpose: Self.purpose(name), id: id))
      }
    }
    keys.sort { ($0.id ?? 0, $0.name) < ($1.id ?? 0, $1.name) }
  }

  /// How a database uses its sealing keys, by their ids; empty for one that has none yet. Values of an earlier version count for key 1.
  public static func uses(_ connection: Connection) throws -> [Int: Use] {
    guard try connection.execute("SELECT to_regclass('platform.sealing_key') IS NOT NULL").only().bool(0) else { return [:] }
    var out: [Int: Use] = [:]
    for row in try connection.execute("SELECT id, is_current FROM platform.sealing_key ORDER BY id") {
      out[try row.int(0)] = Use(isCurrent: try row.bool(1), values: 0)
    }
    // What names a key that there never was is a value of before whose nonce looks like it.
    for (id, count) in try KeyRotation.counts(connection) { out[out[id] == nil ? 1 : id]?.values += count }
    return out
  }

  /// Whether a key pair of this name means something: what is exported or imported under another name nobody would look for.
  public static func isKeyPair(_ name: String) -> Bool {
    let prefixes = ["registration-", "envelope-", "sign-", "tokens-"]
    return name == "client" || name == "tokens" || prefixes.contains { name.hasPrefix($0) && name.count > $0.count }
  }

  private static func stem(_ file: String, _ ending: String) -> String? {
    file.hasSuffix(ending) ? String(file.dropLast(ending.count)) : nil
  }

  private static func sealingId(_ name: String) -> Int? {
    if name == SealingKeys.name(1) { return 1 }
    let prefix = SealingKeys.name(1) + "-"
    return name.hasPrefix(prefix) ? Int(name.dropFirst(prefix.count)) : nil
  }

  private static func purpose(_ name: String) -> String {
    if sealingId(name) != nil { return "identities, UINs, hub secrets" }
    if name.hasPrefix("registration-") { return "packets" }
    if name.hasPrefix("envelope-") { return "mediators' messages" }
    if name.hasPrefix("sign-") { return "signatures" }
    if name.hasPrefix("tokens-") { return "access tokens of \(name.dropFirst(7))" }
    switch name {
    case "client": return "signs packets"
    case "tokens": return "signs access tokens"
    case "spool": return "requests that wait for the database"
    case SealingKeys.hashName: return "search hashes (fixed)"
    case "token-uin-salt", "token-partner-salt": return "UIN tokens (fixed)"
    default: return "not known"
    }
  }
}
