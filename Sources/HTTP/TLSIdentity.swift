import CMicroHTTPD
import Glibc
import System

/// A certificate chain and its private key, and whose clients are let in.
public struct TLSIdentity: Sendable {
  /// Where its parts are.
  public struct Files: Sendable, Equatable {
    /// The chain.
    public var certificate: String
    /// The private key.
    public var key: String
    /// The authorities of clients; nil when clients need no certificate.
    public var clientCA: String?

    /// Paths of PEM files.
    public init(certificate: String, key: String, clientCA: String? = nil) {
      self.certificate = certificate
      self.key = key
      self.clientCA = clientCA
    }

    /// The files as they are at this moment.
    var fingerprint: Fingerprint {
      let all = [certificate, key] + (clientCA.map { [$0] } ?? [])
      return Fingerprint(parts: all.map(Fingerprint.Part.init))
    }
  }

  /// What tells one state of files from another.
  struct Fingerprint: Equatable {
    struct Part: Equatable {
      var device: UInt
      var inode: UInt
      var size: Int
      var modified: [Int]

      /// Nil for what is not there.
      init?(_ path: String) {
        // Through links: a Kubernetes secret is renewed by turning one.
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        (device, inode, size) = (status.st_dev, status.st_ino, status.st_size)
        modified = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
      }
    }
    var parts: [Part?]
  }

  /// The chain in PEM, the server's own certificate first.
  public var certificate: String
  /// The unencrypted private key in PEM.
  public var key: String
  /// Authorities in PEM: a client without a certificate of one of them gets no answer. Nil when clients need none.
  public var clientCA: String?
  /// Where it was read from; a server looks there for newer ones.
  public private(set) var files: Files?
  /// The files as they were just before they were read.
  private(set) var fingerprint: Fingerprint?

  /// An identity from PEM texts.
  public init(certificate: String, key: String, clientCA: String? = nil) {
    self.certificate = certificate
    self.key = key
    self.clientCA = clientCA
  }

  /// An identity from PEM files. Throws `HTTPError` (`invalidSettings`) when one cannot be read. Reads them at once, blocking.
  public init(_ files: Files) throws {
    fingerprint = files.fingerprint
    certificate = try Self.read(files.certificate)
    key = try Self.read(files.key)
    clientCA = try files.clientCA.map(Self.read)
    self.files = files
  }

  /// An identity from PEM files. Throws `HTTPError` (`invalidSettings`) when one cannot be read. Reads them at once, blocking.
  public init(certificateFile: String, keyFile: String) throws {
    try self.init(Files(certificate: certificateFile, key: keyFile))
  }

  /// Whether its parts can be used and fit each other. Throws `HTTPError` (`invalidSettings`).
  public func check() throws -> TLSCertificate { TLSCertificate(try TLSCredential(self)) }

  /// When the first certificate of a PEM file ends. Throws `HTTPError` (`invalidSettings`) when there is none that can be read.
  public static func firstEnd(of file: String) throws -> Instant {
    var text = try read(file)
    let end = text.withUTF8 { regproc_tls_first_end($0.baseAddress, $0.count) }
    guard end >= 0 else { throw HTTPError(.invalidSettings, "\(file) holds no PEM certificate that can be read") }
    return Instant(milliseconds: end * 1000)
  }

  private static func read(_ path: String) throws -> String {
    guard let file = fopen(path, "re") else { throw HTTPError(.invalidSettings, "\(path) cannot be read") }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}

/// What a server's certificate says.
public struct TLSCertificate: Sendable {
  private let credential: TLSCredential

  init(_ credential: TLSCredential) { self.credential = credential }

  /// The first moment at which it counts.
  public var notBefore: Instant { credential.notBefore }
  /// The last moment.
  public var notAfter: Instant { credential.notAfter }
  /// Whether it is for this name or address.
  public func covers(_ host: String) -> Bool { credential.covers(host) }
}

/// An identity in GnuTLS's form. Connections that use it keep it.
final class TLSCredential: @unchecked Sendable {
  // Safe to share: it is constant from its making on, and GnuTLS only reads it.
  private let pointer: OpaquePointer
  let asksClients: Bool

  init(_ identity: TLSIdentity) throws {
    var reason: UnsafePointer<CChar>?
    var (certificate, key, authorities) = (identity.certificate, identity.key, identity.clientCA ?? "")
    let made = certificate.withUTF8 { certificate in
      key.withUTF8 { key in
        authorities.withUTF8 { authorities in
          // An empty file of authorities is a fault, and does not open the server to everybody.
          let start: UnsafeRawPointer? = identity.clientCA == nil ? nil : Self.start(authorities)
          return regproc_tls_make(
            Self.start(certificate), certificate.count, Self.start(key), key.count, start, authorities.count, &reason)
        }
      }
    }
    guard let made else {
      throw HTTPError(.invalidSettings, reason.map { String(cString: $0) } ?? "the certificate cannot be used")
    }
    pointer = made
    asksClients = identity.clientCA != nil
  }

  private static let nothing: StaticString = ""
  private static func start(_ bytes: UnsafeBufferPointer<UInt8>) -> UnsafeRawPointer {
    UnsafeRawPointer(bytes.baseAddress ?? nothing.utf8Start)
  }

  deinit { regproc_tls_free(pointer) }

  var notBefore: Instant { Instant(milliseconds: regproc_tls_not_before(pointer) * 1000) }
  var notAfter: Instant { Instant(milliseconds: regproc_tls_not_after(pointer) * 1000) }
  func covers(_ host: String) -> Bool { regproc_tls_covers(pointer, host) != 0 }

  /// Has a connection use it whose handshake has not begun.
  func use(for connection: OpaquePointer) -> TLSPeer? {
    regproc_tls_use(connection, pointer).map { TLSPeer($0, self) }
  }
}

/// The client of one connection over TLS. It lives as long as the connection does.
final class TLSPeer: @unchecked Sendable {
  // Safe to share: the verdict is written in the handshake and read after it, both by the daemon's thread.
  private let pointer: OpaquePointer
  private let credential: TLSCredential

  init(_ pointer: OpaquePointer, _ credential: TLSCredential) {
    self.pointer = pointer
    self.credential = credential
  }

  deinit { regproc_tls_peer_free(pointer) }

  /// Whether what the client showed is enough.
  var isLetIn: Bool { !credential.asksClients || regproc_tls_judged(pointer) == regproc_tls_trusted }

  /// Why it was refused in the handshake; nil when it was not.
  var refusal: String? {
    switch regproc_tls_judged(pointer) {
    case regproc_tls_none: "no-certificate"
    case regproc_tls_expired: "expired"
    case regproc_tls_foreign: "foreign"
    default: nil
    }
  }
}
