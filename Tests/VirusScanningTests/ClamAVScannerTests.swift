import StageKit
import System
import TestSupport
import Testing

@testable import VirusScanning

/// The scanner against a stand-in of ClamAV's daemon, and against the daemon itself where it is installed.
@Suite(.timeLimit(.minutes(30))) struct ClamAVScannerTests {
  private func withDaemon(
    _ manner: StandInDaemon.Manner, overUnixSocket: Bool = false, _ body: (ClamAVScanner, StandInDaemon) async throws -> Void
  ) async throws {
    let folder = TemporaryFolder.make()
    let daemon = StandInDaemon(manner, unix: overUnixSocket ? folder + "/clamd.sock" : nil)
    defer {
      daemon.stop()
      TemporaryFolder.remove(folder)
    }
    try await body(ClamAVScanner(try #require(ScannerAddress(daemon.address))), daemon)
  }

  @Test(arguments: [false, true], [0, 1, 65_535, 65_536, 65_537, 3_000_000])
  func `every byte reaches the daemon whatever the length and the socket`(_ overUnixSocket: Bool, _ count: Int) async throws {
    try await withDaemon(.honest("no such text"), overUnixSocket: overUnixSocket) { scanner, daemon async throws in
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
      #expect(try await scanner.scan(bytes) == nil)
      #expect(daemon.heard.withLock { $0.streams } == [bytes])
      #expect(daemon.heard.withLock { $0.commands } == ["zINSTREAM"])
    }
  }

  @Test func `a virus is named wherever it stands`() async throws {
    try await withDaemon(.honest("EVIL")) { scanner, _ async throws in
      #expect(try await scanner.scan(Array("good".utf8)) == nil)
      #expect(try await scanner.scan(Array("EVIL".utf8)) == "Test.Signature")
      // Across the border of two chunks.
      var bytes = [UInt8](repeating: 0, count: 200_000)
      bytes.replaceSubrange(65_534..<65_538, with: Array("EVIL".utf8))
      #expect(try await scanner.scan(bytes) == "Test.Signature")
    }
  }

  @Test func `many packets are scanned at the same time and none is mistaken for another`() async throws {
    try await withDaemon(.honest("EVIL")) { scanner, _ async throws in
      let found = try await withThrowingTaskGroup(of: Bool.self) { group in
        for number in 0..<24 {
          group.addTask {
            let virus = try await scanner.scan(Array((number % 3 == 0 ? "EVIL \(number)" : "good \(number)").utf8))
            return (virus != nil) == (number % 3 == 0)
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(found.count == 24 && found.allSatisfy { $0 })
    }
  }

  @Test(arguments: [
    ("", "closed the connection"), ("stream: OK", "broke off its answer"), ("stream: X FOU", "broke off its answer"),
    ("stream: Can't allocate memory ERROR\0", "answered `stream: Can't allocate memory ERROR`"),
    ("UNKNOWN COMMAND\0", "answered `UNKNOWN COMMAND`"), ("\0", "answered ``"), ("OK\0", "answered `OK`"),
    ("stream: OK \0", "answered"), ("stream: \u{1B}[31mred ERROR\0", "answered `stream: ?[31mred ERROR`"),
    (String(repeating: "x", count: 5000), "without an end"),
  ])
  func `an answer that is none is never taken for clean`(_ answer: String, _ expected: String) async throws {
    try await withDaemon(.says(answer)) { scanner, _ async throws in
      let error = try #require(await fault { try await scanner.scan([1]) })
      #expect(error.isRetriable && error.code == "RPR-PKR-008" && error.message.contains(expected), "\(error)")
    }
  }

  @Test(arguments: [false, true])
  func `a stream that the daemon will never take is refused and says what to do`(_ overUnixSocket: Bool) async throws {
    try await withDaemon(.hasEnough(after: 100_000), overUnixSocket: overUnixSocket) { scanner, _ async throws in
      #expect(try await scanner.scan([UInt8](repeating: 1, count: 90_000)) == nil)
      let error = try #require(await fault { try await scanner.scan([UInt8](repeating: 1, count: 20_000_000)) })
      // Over TCP the answer may be lost in the reset that follows it.
      if overUnixSocket || !error.isRetriable {
        #expect(!error.isRetriable && error.message.contains("StreamMaxLength"), "\(error)")
      }
    }
  }

  @Test func `a daemon that hangs up is tried again`() async throws {
    try await withDaemon(.hangsUp) { scanner, _ async throws in
      #expect(await fault { try await scanner.scan([UInt8](repeating: 1, count: 500_000)) }?.isRetriable == true)
    }
  }

  @Test func `a silent daemon holds a packet for its time only`() async throws {
    let daemon = StandInDaemon(.silent)
    defer { daemon.stop() }
    let scanner = ClamAVScanner(try #require(ScannerAddress(daemon.address)), seconds: 0.2)
    let error = try #require(await fault { try await scanner.scan([1]) })
    #expect(error.isRetriable && error.message.contains("in time"))
    #expect(await scanner.state().fault?.contains("in time") == true)
  }

  @Test(arguments: ["/nowhere/clamd.sock", "127.0.0.1:1", "no-such-host.invalid:3310"])
  func `a daemon that is not there is out of reach and health says so`(_ address: String) async throws {
    let scanner = ClamAVScanner(try #require(ScannerAddress(address)), seconds: 5)
    #expect(await fault { try await scanner.scan([1]) }?.isRetriable == true)
    let state = await scanner.state()
    #expect(state.scanner == "clamd" && state.fault?.isEmpty == false && state.version == nil)
  }

  @Test func `health says which scanner there is`() async throws {
    try await withDaemon(.honest("x")) { scanner, daemon async throws in
      let state = await scanner.state()
      #expect(state == VirusScannerState(scanner: "clamd", version: "ClamAV 9.9.9/27000/Mon Jan  1 00:00:00 2024"))
      #expect(daemon.heard.withLock { $0.commands } == ["zVERSION"])
    }
    #expect(await NoVirusScanner().state() == .none)
    #expect(try await NoVirusScanner().scan([1]) == nil)
  }

  @Test(
    arguments: [
      ("clamd", .tcp(host: "clamd", port: 3310)), ("clamd:3311", .tcp(host: "clamd", port: 3311)),
      ("10.0.0.1:3310", .tcp(host: "10.0.0.1", port: 3310)), ("[::1]:99", .tcp(host: "::1", port: 99)),
      ("[::1]", .tcp(host: "::1", port: 3310)), ("/run/clamav/clamd.ctl", .unix(path: "/run/clamav/clamd.ctl")),
      ("", nil), ("clamd:", nil), ("clamd:0", nil), ("clamd:70000", nil), (":3310", nil), ("a b", nil), ("[::1", nil),
      ("[::1]x", nil), ("host/path", nil), ("/" + String(repeating: "x", count: 108), nil),
    ] as [(String, ScannerAddress?)])
  func `an address is a host with a port or a sockets path`(_ text: String, _ expected: ScannerAddress?) {
    #expect(ScannerAddress(text) == expected)
  }

  @Test(.enabled(if: RealDaemon.program != nil, "clamd is not installed: apt-get install clamav-daemon"))
  func `clam AV itself finds the test file and takes what is clean`() async throws {
    let daemon = try RealDaemon(try #require(RealDaemon.program))
    defer { daemon.stop() }
    let scanner = ClamAVScanner(.unix(path: daemon.socketPath))
    #expect(try await scanner.scan(RealDaemon.eicar) == "Eicar-Local-Test.UNOFFICIAL")
    #expect(try await scanner.scan(Array("a clean packet".utf8)) == nil)
    #expect(try await scanner.scan([]) == nil)
    #expect(try await scanner.scan([UInt8](repeating: 7, count: 900_000)) == nil)
    let error = try #require(await fault { try await scanner.scan([UInt8](repeating: 7, count: 5_000_000)) })
    #expect(!error.isRetriable && error.message.contains("StreamMaxLength"))
    let state = await scanner.state()
    #expect(state.fault == nil && state.version?.hasPrefix("ClamAV ") == true)
  }
}
