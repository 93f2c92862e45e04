import Cryptography
import Glibc
import StageKit
import System
import TestSupport
import Testing

@testable import EmbeddedPlatform

@Suite(.timeLimit(.minutes(30))) struct KeyFolderTests {
  private func inFolder(_ body: (String) async throws -> Void) async throws {
    let folder = TemporaryFolder.make()
    defer { TemporaryFolder.remove(folder) }
    try await body(folder)
  }

  private func mode(_ path: String) -> mode_t {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
  }

  private func write(_ text: String, to path: String) {
    guard let file = fopen(path, "w") else { return }
    fputs(text, file)
    fclose(file)
  }

  private func names(_ folder: String) -> [String] { TemporaryFolder.names(in: folder) }

  @Test func `only the owner reads keys and secrets`() async throws {
    try await inFolder { folder async throws in
      let keys = try KeyFolder(folder: folder + "/keys")
      _ = try keys.pair("client")
      _ = try keys.secret("salt")
      #expect(mode(folder + "/keys") == 0o700)
      #expect(names(folder + "/keys") == ["client.cert.pem", "client.key.pem", "salt.secret"])
      for name in names(folder + "/keys") { #expect(mode("\(folder)/keys/\(name)") == 0o600) }
    }
  }

  @Test func `two makers at once end with one key`() async throws {
    try await inFolder { folder async throws in
      // Each has a folder object of its own, as two processes would.
      let makers = try (0..<4).map { _ in try KeyFolder(folder: folder) }
      let threads = BlockingPool(name: "keys", threads: 4)
      defer { threads.close() }
      let made = try await withThrowingTaskGroup(of: ([UInt8], [UInt8], String).self) { group in
        for maker in makers {
          group.addTask {
            try await threads.run {
              let pair = try maker.pair("client")
              let signature = try pair.key.sign([1, 2, 3], .sha256)
              #expect(
                pair.certificate.publicKey.isValid(signature, of: [1, 2, 3], .sha256),
                "key and certificate belong together")
              return (try maker.secret("salt"), signature, pair.certificate.pem)
            }
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(Set(made.map(\.0)).count == 1 && Set(made.map(\.1)).count == 1 && Set(made.map(\.2)).count == 1)
      #expect(names(folder) == ["client.cert.pem", "client.key.pem", "salt.secret"])
    }
  }

  @Test func `names that differ never share a key and never leave the folder`() async throws {
    try await inFolder { folder async throws in
      let keys = try KeyFolder(folder: folder)
      let secrets = try ["a/b", "a_b", "a.b", "../a", "..", ""].map { try keys.secret($0) }
      #expect(Set(secrets).count == 6)
      #expect(names(folder).count == 6)
    }
  }

  @Test func `a partners certificate is used and never gets a key made for it`() async throws {
    try await inFolder { folder async throws in
      let partner = try RSAPrivateKey.generate(bits: 2048)
      let certificate = try Certificate.selfSigned(for: partner, commonName: "partner", organization: "test")
      write(certificate.pem, to: folder + "/partner.cert.pem")
      let keys = try KeyFolder(folder: folder)
      #expect(try keys.certificate("partner").thumbprint == certificate.thumbprint)
      #expect(await code { try keys.pair("partner") } == "RPR-KEY-003")
      #expect(names(folder) == ["partner.cert.pem"])
    }
  }

  @Test func `a secret that was cut off is refused by name`() async throws {
    try await inFolder { folder async throws in
      write("short", to: folder + "/salt.secret")
      #expect(await code { try KeyFolder(folder: folder).secret("salt") } == "RPR-KEY-004")
    }
  }

  @Test func `a folder that cannot be made is an error`() async throws {
    #expect(await code { try KeyFolder(folder: "/proc/none/keys") } == "RPR-KEY-001")
  }

  @Test func `a partners certificate is taken once and never the name of a key of ours`() async throws {
    try await inFolder { folder async throws in
      let theirs = try KeyFolder(folder: folder + "/theirs")
      let ours = try KeyFolder(folder: folder + "/ours", partners: ["envelope-them"])
      func code(_ body: () throws -> Void) -> String? {
        do { try body() } catch { return (error as? ServiceError)?.code }
        return nil
      }
      #expect(code { _ = try ours.certificate("envelope-them") } == "RPR-KEY-011", "no key of theirs is made up")
      #expect(code { _ = try ours.pair("envelope-them") } == "RPR-KEY-011")
      #expect(names(folder + "/ours").isEmpty)
      let certificate = try theirs.pair("envelope-them").certificate
      #expect(try ours.importCertificate(certificate, as: "envelope-them", replaces: false))
      #expect(try !ours.importCertificate(certificate, as: "envelope-them", replaces: false), "it is there already")
      #expect(try ours.certificate("envelope-them").thumbprint == certificate.thumbprint)
      #expect(mode(folder + "/ours/envelope-them.cert.pem") == 0o600 && names(folder + "/ours").count == 1)
      let other = try theirs.pair("other").certificate
      #expect(code { _ = try ours.importCertificate(other, as: "envelope-them", replaces: false) } == "RPR-KEY-010")
      #expect(try ours.importCertificate(other, as: "envelope-them", replaces: true))
      #expect(try ours.certificate("envelope-them").thumbprint == other.thumbprint, "from now on, without a restart")
      _ = try ours.pair("tokens")
      #expect(code { _ = try ours.importCertificate(other, as: "tokens", replaces: true) } == "RPR-KEY-010")
    }
  }

  @Test func `of many certificates that are imported at once one is taken`() async throws {
    try await inFolder { folder async throws in
      let theirs = try KeyFolder(folder: folder + "/theirs")
      let certificates = try ["one", "two", "three", "four"].map { try theirs.pair($0).certificate }
      let taken = await withTaskGroup(of: String?.self) { group in
        for certificate in certificates {
          group.addTask {
            // A process for each, as it were.
            let ours = try? KeyFolder(folder: folder + "/ours", partners: ["envelope-them"])
            return (try? ours?.importCertificate(certificate, as: "envelope-them", replaces: false)) == true
              ? Encoding.hex(certificate.thumbprint) : nil
          }
        }
        return await group.reduce(into: [String]()) { if let one = $1 { $0.append(one) } }
      }
      let ours = try KeyFolder(folder: folder + "/ours", partners: ["envelope-them"])
      let kept = Encoding.hex(try ours.certificate("envelope-them").thumbprint)
      #expect(taken == [kept], "whoever was told that it is taken can rely on it")
      #expect(names(folder + "/ours").count == 1)
    }
  }

  @Test func `tokens of another installation are believed for one client with the roles it has here`() async throws {
    try await inFolder { folder async throws in
      let (theirs, ours) = (try KeyFolder(folder: folder + "/theirs"), try KeyFolder(folder: folder + "/ours"))
      let blocking = BlockingPool(name: "tokens", threads: 1)
      defer { blocking.close() }
      // They give themselves every role.
      let all = ["them": ["ADMIN"], "boss": ["ADMIN"]]
      let theirTokens = EmbeddedTokens(keys: theirs, blocking: blocking, roles: all, clock: SystemClock())
      let ourTokens = EmbeddedTokens(
        keys: ours, blocking: blocking, roles: ["them": ["GUEST"], "boss": ["ADMIN"]], clock: SystemClock())
      let token = try await theirTokens.token(client: "them", for: .mosip)
      #expect(try await ourTokens.caller(of: token, for: .mosip) == nil)
      _ = try ours.importCertificate(theirs.pair("tokens").certificate, as: "tokens-them", replaces: false)
      let caller = try #require(try await ourTokens.caller(of: token, for: .mosip))
      #expect(caller.name == "them" && caller.roles == ["GUEST"] && caller.isConfigured)
      #expect(try await ourTokens.caller(of: token, for: .opencrvsMediator) == nil)
      let boss = try await theirTokens.token(client: "boss", for: .mosip)
      #expect(try await ourTokens.caller(of: boss, for: .mosip) == nil, "they speak for one client alone")
      let own = try #require(try await ourTokens.caller(of: ourTokens.token(client: "boss", for: .mosip), for: .mosip))
      #expect(own.roles == ["ADMIN"])
    }
  }
}
