import ObjectStores
import Cryptography
import Glibc
import StageKit
import Synchronization
import System

/// Key pairs and secrets on disk: a folder of mode 0700, files of mode 0600, each made once, also when two processes need it at the same time.
public final class KeyFolder: Sendable {
  /// A key pair with its certificate.
  public struct KeyPair: Sendable {
    /// The private key.
    public let key: RSAPrivateKey
    /// The certificate of its public half.
    public let certificate: Certificate
  }

  /// The folder.
  public let folder: String
  /// The names whose private keys are elsewhere: none is ever made here.
  private let partners: Set<String>
  /// Whether nothing is made here, neither folder nor key.
  private let isReadOnly: Bool
  private let pairs = Mutex<[String: KeyPair]>([:])
  /// Held while a key pair is made or read: when many ask for a new one at once, it is made once and not by each of them.
  private let making = Mutex<Void>(())
  private let secrets = Mutex<[String: [UInt8]]>([:])

  /// Keys in a folder, which is made when it is missing.
  /// - Parameters:
  ///   - partners: names of keys that another installation has; only their certificates are used, and must be there.
  ///   - isReadOnly: for whoever only looks: a key that is not there is RPR-KEY-013 then, and none is made.
  /// - Throws: `ServiceError` when the folder cannot be made.
  public init(folder: String, partners: Set<String> = [], isReadOnly: Bool = false) throws {
    self.folder = folder
    self.partners = partners
    self.isReadOnly = isReadOnly
    if isReadOnly { return }
    guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
      throw ServiceError(
        .refused, service: "key folder", code: "RPR-KEY-001", "the folder cannot be made (errno \(errno))")
    }
  }

  /// The key pair of a name; made (RSA 2048, self-signed) when there is none. A certificate that was put beside the key is used.
  public func pair(_ name: String) throws -> KeyPair {
    if let known = pairs.withLock({ $0[name] }) { return known }
    return try making.withLock { _ in try load(name) }
  }

  private func load(_ name: String) throws -> KeyPair {
    if let known = pairs.withLock({ $0[name] }) { return known }
    if partners.contains(name) { throw missing(name) }
    let safe = Self.safe(name)
    // A key is always there before its certificate, so a certificate alone is somebody else's.
    if access("\(folder)/\(safe).cert.pem", F_OK) == 0, access("\(folder)/\(safe).key.pem", F_OK) != 0 {
      throw ServiceError(
        .refused, service: "key folder", code: "RPR-KEY-003",
        "there is a certificate of \(name) and no private key: it is a partner's")
    }
    var keyText = try once("\(safe).key.pem") { try RSAPrivateKey.generate(bits: 2048).pemBytes() }
    defer { keyText.cleanse() }
    let key = try RSAPrivateKey(pem: keyText)
    let certificateText = try once("\(safe).cert.pem") {
      Array(try Certificate.selfSigned(for: key, commonName: name, organization: "regproc").pem.utf8)
    }
    let pair = KeyPair(key: key, certificate: try Certificate(bytes: certificateText))
    pairs.withLock { $0[name] = pair }
    return pair
  }

  /// The certificate of a name alone: of a partner whose private key is elsewhere.
  public func certificate(_ name: String) throws -> Certificate {
    if let known = pairs.withLock({ $0[name] }) { return known.certificate }
    let path = "\(folder)/\(Self.safe(name))"
    if access(path + ".key.pem", F_OK) != 0, let bytes = Self.read(path + ".cert.pem") {
      return try Certificate(bytes: bytes)
    }
    if partners.contains(name) { throw missing(name) }
    return try pair(name).certificate
  }

  /// The certificate of a partner that was imported under a name; nil when there is none, and for a key of our own.
  public func partnerCertificate(_ name: String) throws -> Certificate? {
    let path = "\(folder)/\(Self.safe(name))"
    guard access(path + ".key.pem", F_OK) != 0, let bytes = Self.read(path + ".cert.pem") else { return nil }
    return try Certificate(bytes: bytes)
  }

  /// Takes a partner's certificate under a name, for all processes on this folder from now on.
  /// - Parameter replaces: whether it may take the place of another one.
  /// - Returns: false when it was there already.
  /// - Throws: RPR-KEY-010 when there is a private key of that name, or another certificate.
  public func importCertificate(_ certificate: Certificate, as name: String, replaces: Bool) throws -> Bool {
    let path = "\(folder)/\(Self.safe(name))"
    func refused(_ words: String) -> ServiceError {
      ServiceError(.refused, service: "key folder", code: "RPR-KEY-010", words)
    }
    if access(path + ".key.pem", F_OK) == 0 {
      throw refused("there is a private key of \(name) here: it is our own, and no certificate of a partner can take its name")
    }
    let known = try partnerCertificate(name)
    if let known {
      if known.thumbprint == certificate.thumbprint { return false }
      guard replaces else { throw refused("there is another certificate of \(name); --replace puts the new one in its place") }
    }
    let temporary = "\(path).\(SecureRandom.uuid())"
    defer { unlink(temporary) }
    try write(Array(certificate.pem.utf8), to: temporary)
    if known == nil {
      // Of two at once one comes first; the other finds it there.
      guard link(temporary, path + ".cert.pem") == 0 else {
        guard errno == EEXIST else { throw failed("cannot be written") }
        guard try access(path + ".key.pem", F_OK) == 0 || partnerCertificate(name) != nil else { throw failed("cannot be read") }
        return try importCertificate(certificate, as: name, replaces: replaces)
      }
    } else {
      guard rename(temporary, path + ".cert.pem") == 0 else { throw failed("cannot be written") }
    }
    try syncFolder()
    return true
  }

  private func missing(_ name: String) -> ServiceError {
    // It may still come: what needs it waits.
    ServiceError(
      .unavailable, service: "key folder", code: "RPR-KEY-011",
      "the certificate of \(name), whose key the other side has, is not in \(folder): `regproc keys import \(name) FILE`")
  }

  private func write(_ bytes: [UInt8], to path: String) throws {
    let handle = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
    guard handle >= 0 else { throw failed("cannot be written") }
    let written = bytes.withUnsafeBytes { Glibc.write(handle, $0.baseAddress, $0.count) }
    let synced = fsync(handle)
    close(handle)
    guard written == bytes.count, synced == 0 else { throw failed("cannot be written") }
  }

  private func syncFolder() throws {
    let directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    defer { if directory >= 0 { close(directory) } }
    guard directory >= 0, fsync(directory) == 0 else { throw failed("cannot be synced") }
  }

  /// A random secret of 32 bytes by name; made when there is none.
  public func secret(_ name: String) throws -> [UInt8] {
    if let known = secrets.withLock({ $0[name] }) { return known }
    return try keep(try once("\(Self.safe(name)).secret") { SecureRandom.bytes(32) }, name)
  }

  private func keep(_ secret: [UInt8], _ name: String) throws -> [UInt8] {
    guard secret.count == 32 else {
      throw ServiceError(
        .refused, service: "key folder", code: "RPR-KEY-004", "the secret \(name) is not 32 bytes long")
    }
    secrets.withLock { $0[name] = secret }
    return secret
  }

  /// A secret of 32 bytes by name that is there already; nil when there is none, and nothing is made.
  func existingSecret(_ name: String) throws -> [UInt8]? {
    if let known = secrets.withLock({ $0[name] }) { return known }
    let path = "\(folder)/\(Self.safe(name)).secret"
    if access(path, F_OK) != 0, errno == ENOENT { return nil }
    guard let secret = Self.read(path) else { throw failed("cannot be read") }
    return try keep(secret, name)
  }

  /// The content of a file, made once: written in full under another name and then linked, so that the first of two makers wins and the
  /// other one reads what is there.
  private func once(_ file: String, _ make: () throws -> [UInt8]) throws -> [UInt8] {
    let path = "\(folder)/\(file)"
    if let bytes = Self.read(path) { return bytes }
    guard !isReadOnly else {
      throw ServiceError(
        .unavailable, service: "key folder", code: "RPR-KEY-013", "\(file) is not in \(folder), and who only looks makes no key")
    }
    let temporary = "\(path).\(SecureRandom.uuid())"
    var bytes = try make()
    defer { bytes.cleanse() }
    defer { unlink(temporary) }
    try write(bytes, to: temporary)
    guard link(temporary, path) == 0 || errno == EEXIST, let now = Self.read(path) else {
      throw failed("cannot be read")
    }
    // What was sealed with a key must not outlive it: the name is on disk before anybody uses the key.
    try syncFolder()
    return now
  }

  private func failed(_ what: String) -> ServiceError {
    ServiceError(.unavailable, service: "key folder", code: "RPR-KEY-002", "a key file \(what) (errno \(errno))")
  }

  /// A file in one piece of memory, so that no copy of a key stays behind in another.
  private static func read(_ path: String) -> [UInt8]? { try? FileSource(path: path).bytes() }

  /// A file name of a key's name; two names never share a file.
  private static func safe(_ name: String) -> String { FileObjectStore.escape(name) }
}
