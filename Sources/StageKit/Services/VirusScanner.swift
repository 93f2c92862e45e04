import System

/// The virus scanner.
public protocol VirusScanner: Sendable {
  /// Whether scanning is done at all; shown in health.
  var isScanning: Bool { get }
  /// The name of the virus that was found; nil when the bytes are clean.
  /// - Throws: `ServiceError` unavailable when the scanner is out of reach, refused when it will never take these bytes.
  func scan(_ bytes: [UInt8]) async throws -> String?
  /// As the other `scan`, for bytes that may be too many to be held in memory.
  func scan(_ source: any ByteSource) async throws -> String?
  /// What the scanner is and whether it answers, for health.
  func state() async -> VirusScannerState
}

extension VirusScanner {
  /// In memory, for scanners that take whole files alone.
  public func scan(_ source: any ByteSource) async throws -> String? { try await scan(source.bytes()) }
  public func state() async -> VirusScannerState {
    isScanning ? VirusScannerState(scanner: "clamd") : .none
  }
}

/// What health says of the virus scanner.
public struct VirusScannerState: Sendable, Equatable {
  /// `clamd`, or `none` when nothing is scanned.
  public var scanner: String
  /// The scanner's version, with that of its signatures.
  public var version: String?
  /// Why it cannot be used; nil when it can.
  public var fault: String?

  /// A scanner as it is now.
  public init(scanner: String, version: String? = nil, fault: String? = nil) {
    self.scanner = scanner
    self.version = version
    self.fault = fault
  }

  /// No scanner: every packet counts as clean.
  public static let none = VirusScannerState(scanner: "none")
}

/// No virus scanner: every packet counts as clean. Health says so.
public struct NoVirusScanner: VirusScanner {
  /// No scanner.
  public init() {}
  public var isScanning: Bool { false }
  public func scan(_ bytes: [UInt8]) async throws -> String? { nil }
  public func scan(_ source: any ByteSource) async throws -> String? { nil }
  public func state() async -> VirusScannerState { .none }
}
