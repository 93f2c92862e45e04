import TestSupport
import Glibc
import EmbeddedPlatform
import StageKit
import System
import Testing

@testable import RegprocMain

extension ProgramTests {
  /// Uploads, and what is too large for memory: in the data folder, and gone when the process is.
  @Suite struct TemporaryFileTests {
    /// Begins an upload and sends no more than its first half; the connection, which stays open.
    private func beginUpload(to port: Int, token: String) throws -> Int32 {
      let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_port = in_port_t(port).bigEndian
      address.sin_addr.s_addr = inet_addr("127.0.0.1")
      let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
      }
      try #require(connected == 0)
      let part =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"1.zip\"\r\n\r\n" + String(repeating: "x", count: 300_000)
      let head =
        "POST /registrationprocessor/v1/packetreceiver/registrationpackets HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        + "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 600000\r\nCookie: Authorization=\(token)\r\n\r\n"
      let bytes = Array((head + part).utf8)
      var at = 0
      while at < bytes.count {
        let count = bytes.withUnsafeBytes { send(socket, $0.baseAddress! + at, bytes.count - at, Int32(MSG_NOSIGNAL)) }
        try #require(count > 0)
        at += count
      }
      return socket
    }

    /// What lies below a folder, but for folders and locks.
    private func files(in folder: String) -> [String] {
      TemporaryFolder.names(in: folder).flatMap { name -> [String] in
        let path = folder + "/" + name
        var info = stat()
        guard lstat(path, &info) == 0 else { return [] }
        return info.st_mode & S_IFMT == S_IFDIR ? files(in: path) : name.hasSuffix("lock") ? [] : [path]
      }
    }

    @Test func `nothing is left of an upload that a kill cut off`() async throws {
      let folder = try TemporaryFolder()
      let systems = folder.path + "/systems"
      mkdir(systems, 0o700)
      let pipeline = UpPipeline(folder.path + "/data", side: try OpenCRVSSide(), environment: ["TMPDIR": systems])
      let temporary = pipeline.folder + "/tmp"
      var program = try await pipeline.start()
      let blocking = BlockingPool(name: "tokens", threads: 1)
      defer { blocking.close() }
      let tokens = EmbeddedTokens(
        keys: try KeyFolder(folder: pipeline.folder + "/platform/keys"), blocking: blocking,
        roles: ["mosip-mediator": ["REGISTRATION_PROCESSOR"]], clock: SystemClock())
      let socket = try beginUpload(to: pipeline.port, token: try await tokens.token(client: "mosip-mediator", for: .mosip))
      defer { close(socket) }
      #expect(try await eventually { !files(in: temporary).isEmpty }, "\(program.errors)")
      var info = stat()
      #expect(lstat(temporary, &info) == 0 && info.st_mode & 0o777 == 0o700)
      try await program.killed()
      #expect(!files(in: temporary).isEmpty, "kill -9 leaves it")

      program = try await pipeline.start()
      #expect(files(in: temporary).isEmpty, "\(files(in: temporary))")
      program.signal(SIGTERM)
      #expect(try await program.ended().code == 0)
      #expect(TemporaryFolder.names(in: temporary) == ["lock"])
      #expect(TemporaryFolder.names(in: systems).isEmpty)
      await pipeline.side.stop()
    }

    @Test func `processes on one folder sweep only what ended ones left`() throws {
      let folder = try TemporaryFolder()
      let first = try ProcessFolder(in: folder.path)
      var second: ProcessFolder? = try ProcessFolder(in: folder.path)
      let left = try #require(second?.path)
      for path in [first.path, left] { #expect(mkdir(path + "/below", 0o700) == 0) }
      let third = try ProcessFolder(in: folder.path)
      for path in [first.path, left, third.path] { #expect(access(path, F_OK) == 0, "it lives") }
      #expect(Set([first.path, left, third.path]).count == 3)
      // As a kill does it: the lock goes, the folder stays.
      second = nil
      #expect(access(left + "/below", F_OK) == 0)
      // What has no lock at all is swept as well, and a link is not followed.
      #expect(symlink(first.path, folder.path + "/tmp/link") == 0)
      let fourth = try ProcessFolder(in: folder.path)
      #expect(access(left, F_OK) != 0 && access(left + ".lock", F_OK) != 0)
      #expect(access(first.path + "/below", F_OK) == 0)
      for process in [first, third, fourth] { process.remove() }
      #expect(TemporaryFolder.names(in: folder.path + "/tmp") == ["lock"])
    }
  }
}
