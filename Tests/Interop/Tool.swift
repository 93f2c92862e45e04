import Glibc
import System

/// Other people's programs, and ours as a person calls it.
enum Tool {
  /// A new folder that is removed with all that is in it.
  static func withFolder<T>(_ body: (String) async throws -> T) async throws -> T {
    let folder = "/tmp/regproc-interop-\(SecureRandom.uuid())"
    mkdir(folder, 0o700)
    defer { _ = shell("rm -rf '\(folder)'") }
    return try await body(folder)
  }

  /// The repository.
  static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

  /// The program that was built beside these tests.
  static let regproc: String = {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes {
      readlink("/proc/self/exe", $0.baseAddress!.assumingMemoryBound(to: CChar.self), $0.count)
    }
    var path = String(decoding: buffer[..<max(count, 0)], as: UTF8.self)
    path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] + "/regproc"
    // Swift's own test runner may have been started in our place.
    return access(path, X_OK) == 0 ? path : "\(root)/.build/debug/regproc"
  }()

  /// Writes a file.
  static func write(_ bytes: [UInt8], to path: String) {
    guard let file = fopen(path, "w") else { return }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }

  /// A file's content.
  static func read(_ path: String) -> [UInt8] {
    guard let source = try? FileSource(path: path) else { return [] }
    return (try? source.bytes()) ?? []
  }

  /// What a line of shell writes to standard output, and its exit code.
  static func shell(_ line: String) -> (output: [UInt8], code: Int) {
    guard let pipe = popen(line, "r") else { return ([], -1) }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = fread(&buffer, 1, buffer.count, pipe)
      if count == 0 { break }
      output += buffer[..<count]
    }
    return (output, Int(pclose(pipe) >> 8 & 0xff))
  }

  /// What a line of shell with `input` on its standard input writes.
  static func shell(_ line: String, _ input: [UInt8], in folder: String) -> (output: [UInt8], code: Int) {
    let file = "\(folder)/in-\(SecureRandom.uuid())"
    write(input, to: file)
    defer { unlink(file) }
    return shell("cd '\(folder)' && ( \(line) ) < '\(file)'")
  }

  /// Whether a program can be found.
  static func has(_ name: String) -> Bool { shell("command -v \(name) >/dev/null 2>&1").code == 0 }

  /// Says aloud what is not tested.
  static func missing(_ what: String) -> Bool {
    fputs("INTEROP TESTS SKIPPED: \(what)\n", stderrFile)
    return false
  }

  private static var stderrFile: UnsafeMutablePointer<FILE>? { fdopen(dup(2), "w") }
}

/// Code of other hands that makes and checks envelopes and packets.
enum Peer: String, CaseIterable, Sendable {
  /// Java's own ciphers and zip streams.
  case java
  /// Python's zipfile and cryptography.
  case python

  /// What stands before the words of a call; nil when the tool is not here.
  private static let commands: [Peer: String] = {
    var out: [Peer: String] = [:]
    if Tool.has("javac"), Tool.has("java") {
      let folder = "\(Tool.root)/.build/interop-java"
      if Tool.shell("javac -encoding UTF-8 -d '\(folder)' '\(Tool.root)/Tests/Interop/java/Peer.java'").code == 0 {
        out[.java] = "java -XX:TieredStopAtLevel=1 -Xshare:auto -cp '\(folder)' Peer"
      } else {
        _ = Tool.missing("javac does not compile Peer.java")
      }
    } else {
      _ = Tool.missing("no JDK (default-jdk-headless)")
    }
    let venv = getenv("REGPROC_TEST_VENV").map { String(cString: $0) } ?? "\(Tool.root)/.build/venv"
    if access("\(venv)/bin/python", X_OK) == 0 {
      out[.python] = "'\(venv)/bin/python' '\(Tool.root)/Tests/Interop/python/peer.py'"
    } else {
      _ = Tool.missing("no Python environment in REGPROC_TEST_VENV (scripts/test-venv makes it)")
    }
    return out
  }()

  /// The ones that are here.
  static let present: [Peer] = allCases.filter { commands[$0] != nil }

  /// Calls it.
  func callAsFunction(_ words: String, _ input: [UInt8], in folder: String) -> (output: [UInt8], code: Int) {
    Tool.shell("\(Self.commands[self] ?? "false") \(words) 2>/dev/null", input, in: folder)
  }
}
