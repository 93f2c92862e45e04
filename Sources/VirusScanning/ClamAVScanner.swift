import StageKit
import System

/// The virus scanner over a ClamAV daemon: bytes go to it as a stream, whole packets never touch a disk for it (clamd(8), `INSTREAM`).
public struct ClamAVScanner: VirusScanner {
  private let address: ScannerAddress
  private let seconds: Double
  private let blocking: BlockingPool

  /// A scanner over the daemon at an address. Nothing is connected until there is something to scan.
  /// - Parameters:
  ///   - seconds: the longest wait for the daemon to take or send the next bytes.
  ///   - threads: how many streams are scanned at the same time; further ones wait.
  public init(_ address: ScannerAddress, seconds: Double = 60, threads: Int = 4) {
    self.address = address
    self.seconds = seconds
    blocking = BlockingPool(name: "virus-scan", threads: threads)
  }

  public var isScanning: Bool { true }

  public func scan(_ bytes: [UInt8]) async throws -> String? { try await scan(MemorySource(bytes)) }

  public func scan(_ source: any ByteSource) async throws -> String? {
    let (address, seconds) = (address, seconds)
    return try await blocking.run {
      let daemon = try ClamAVConnection(address, seconds: seconds)
      defer { daemon.close() }
      do { return try Self.verdict(of: daemon.stream(source)) } catch let error as ByteSourceError {
        throw Self.fault(.unavailable, "cannot be given the packet: \(error)")
      }
    }
  }

  public func state() async -> VirusScannerState {
    let (address, seconds) = (address, min(seconds, 3))
    do {
      let version = try await blocking.run {
        let daemon = try ClamAVConnection(address, seconds: seconds)
        defer { daemon.close() }
        return try daemon.ask("VERSION")
      }
      return VirusScannerState(scanner: "clamd", version: version)
    } catch let error as ServiceError {
      return VirusScannerState(scanner: "clamd", fault: error.message)
    } catch {
      return VirusScannerState(scanner: "clamd", fault: "the daemon cannot be asked")
    }
  }

  /// What an answer to a stream says: nil for clean bytes, else the virus's name.
  /// - Throws: `ServiceError` refused when the daemon will never take these bytes, unavailable for anything else.
  static func verdict(of answer: String) throws -> String? {
    guard let colon = answer.firstRange(of: ": ") else {
      // "INSTREAM size limit exceeded. ERROR": its StreamMaxLength is below what we take.
      guard answer.contains("size limit exceeded") else { throw fault(.unavailable, "answered `\(shown(answer))`") }
      throw fault(.refused, "takes no stream of this length; raise its StreamMaxLength")
    }
    let word = answer[colon.upperBound...]
    if word == "OK" { return nil }
    if word.hasSuffix(" FOUND") { return shown(String(word.dropLast(6))) }
    throw fault(.unavailable, "answered `\(shown(answer))`")
  }

  static func fault(_ kind: ServiceError.Kind, _ message: String) -> ServiceError {
    ServiceError(kind, service: "virus scanner", code: "RPR-PKR-008", "the virus scanner \(message)")
  }

  /// Something the daemon said, fit for a log.
  private static func shown(_ text: String) -> String {
    String(text.unicodeScalars.prefix(120).map { $0.properties.generalCategory == .control ? "?" : Character($0) })
  }
}

/// Where a ClamAV daemon listens.
public enum ScannerAddress: Sendable, Equatable {
  /// A TCP port.
  case tcp(host: String, port: Int)
  /// A Unix socket's path.
  case unix(path: String)

  /// ClamAV's own port.
  public static let port = 3310

  /// Reads `host`, `host:port`, `[host]:port` or a path that begins with `/`; nil for anything else.
  public init?(_ text: String) {
    if text.hasPrefix("/") {
      // sun_path has 108 bytes, the last of them a zero.
      guard text.utf8.count < 108, !text.utf8.contains(0) else { return nil }
      self = .unix(path: text)
      return
    }
    var host = Substring(text)
    var port = Self.port
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return nil }
      host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
      if !rest.isEmpty {
        guard let number = Int(rest.dropFirst()) else { return nil }
        port = number
      }
    } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
      host = text[..<colon]
      guard let number = Int(text[text.index(after: colon)...]) else { return nil }
      port = number
    }
    guard !host.isEmpty, (1...65_535).contains(port), !host.contains(where: \.isWhitespace), !host.contains("/") else {
      return nil
    }
    self = .tcp(host: String(host), port: port)
  }
}
