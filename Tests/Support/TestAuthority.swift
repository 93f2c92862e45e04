import Glibc
import HTTP
import System

/// An authority for certificates of tests, and what it issues. All of it lies in one folder, which must be there.
public struct TestAuthority: Sendable {
  public struct Failed: Error {
    public var arguments: [String]
  }

  private static let blocking = BlockingPool(name: "openssl", threads: 2)
  private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  private let path: String
  private let folder: String

  /// The authority's own certificate.
  public var certificate: String { path + ".pem" }

  /// Makes one.
  public init(_ name: String, in folder: String) async throws {
    self.folder = folder
    path = "\(folder)/\(name)"
    try await Self.openssl(
      ["req", "-x509"] + Self.newKey + ["-days", "2", "-subj", "/CN=\(name)", "-keyout", path + ".key", "-out", path + ".pem"])
  }

  /// A certificate for loopback with its key.
  /// - Parameter days: how long it counts; negative for one that is over.
  public func issue(
    _ name: String, days: Int = 2, for names: String = "DNS:localhost,IP:127.0.0.1"
  ) async throws -> TLSIdentity.Files {
    let own = "\(folder)/\(name)"
    try await Self.openssl(
      ["req"] + Self.newKey
        + ["-subj", "/CN=\(name)", "-addext", "subjectAltName=\(names)", "-keyout", own + ".key", "-out", own + ".csr"])
    func sign(_ time: [String]) async throws {
      try await Self.openssl(
        [
          "x509", "-req", "-in", own + ".csr", "-CA", path + ".pem", "-CAkey", path + ".key", "-CAcreateserial", "-copy_extensions",
          "copyall",
        ] + time + ["-out", own + ".pem"])
    }
    do {
      try await sign(["-days", "\(days)"])
    } catch  where days < 0 {
      // From OpenSSL 3.4 on a time in the past is said in another way.
      try await sign(["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"])
    }
    return TLSIdentity.Files(certificate: own + ".pem", key: own + ".key")
  }

  private static func openssl(_ arguments: [String]) async throws {
    let status = try await blocking.run { spawn(["openssl"] + arguments) }
    guard status == 0 else { throw Failed(arguments: arguments) }
  }

  private static func spawn(_ arguments: [String]) -> Int32 {
    var pid = pid_t()
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    words.append(nil)
    defer { for word in words { free(word) } }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    guard posix_spawnp(&pid, "openssl", &actions, nil, words, environ) == 0 else { return -1 }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    return status
  }
}
