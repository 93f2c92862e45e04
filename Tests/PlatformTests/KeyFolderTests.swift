import Cryptography
import Glibc
import StageKit
import System
import TestDatabase
import Testing

@testable import Platform

@Suite struct KeyFolderTests {
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

  @Test func onlyTheOwnerReadsKeysAndSecrets() async throws {
    try await inFolder { folder async throws in
      let keys = try KeyFolder(folder: folder + "/keys")
      _ = try keys.pair("client")
      _ = try keys.secret("salt")
      #expect(mode(folder + "/keys") == 0o700)
      #expect(names(folder + "/keys") == ["client.cert.pem", "client.key.pem", "salt.secret"])
      for name in names(folder + "/keys") { #expect(mode("\(folder)/keys/\(name)") == 0o600) }
    }
  }

  @Test func twoMakersAtOnceEndWithOneKey() async throws {
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

  @Test func namesThatDifferNeverShareAKeyAndNeverLeaveTheFolder() async throws {
    try await inFolder { folder async throws in
      let keys = try KeyFolder(folder: folder)
      let secrets = try ["a/b", "a_b", "a.b", "../a", "..", ""].map { try keys.secret($0) }
      #expect(Set(secrets).count == 6)
      #expect(names(folder).count == 6)
    }
  }

  @Test func aPartnersCertificateIsUsedAndNeverGetsAKeyMadeForIt() async throws {
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

  @Test func aSecretThatWasCutOffIsRefusedByName() async throws {
    try await inFolder { folder async throws in
      write("short", to: folder + "/salt.secret")
      #expect(await code { try KeyFolder(folder: folder).secret("salt") } == "RPR-KEY-004")
    }
  }

  @Test func aFolderThatCannotBeMadeIsAnError() async throws {
    #expect(await code { try KeyFolder(folder: "/proc/none/keys") } == "RPR-KEY-001")
  }
}
