import HTTP
import Registration
import System

/// One entry of the audit trail (docs/upstream/packet-and-crypto.md#24-audits). No personal data.
public struct AuditEntry: Sendable {
  /// e.g. `RPR_405` or `OPENCRVS_CREATE_PACKET`.
  public var eventId: String
  /// What happened, in a few words.
  public var eventName: String
  /// e.g. `BUSINESS`, `SYSTEM`, `OPENCRVS`.
  public var eventType: String
  /// The part that reports it: the stage's name.
  public var module: String
  /// The RID or transaction id it is about.
  public var id: String
  /// e.g. `REGISTRATION_ID`.
  public var idType: String
  /// A sentence.
  public var description: String
  /// Entries with the same key are recorded once; nil for an entry that is new every time.
  public var idempotencyKey: String?

  /// An entry.
  public init(
    eventId: String, eventName: String, eventType: String, module: String, id: String, idType: String = "REGISTRATION_ID",
    description: String
  ) {
    self.eventId = eventId
    self.eventName = eventName
    self.eventType = eventType
    self.module = module
    self.id = id
    self.idType = idType
    self.description = description
  }
}

/// The audit trail.
public protocol AuditTrail: Sendable {
  /// Records entries; durable when it returns.
  func record(_ entries: [AuditEntry]) async throws
}

/// New RIDs (docs/upstream/packet-and-crypto.md#42-rid).
public protocol RIDGenerator: Sendable {
  /// A RID that was never given before, for a center and a machine.
  func next(centerId: String, machineId: String) async throws -> RID
}

/// Where id schemas come from.
public protocol IdSchemaSource: Sendable {
  /// The schema of a version such as `0.1`; nil when there is none.
  func schema(version: String) async throws -> IdSchema?
}

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

/// Who a valid token belongs to.
public struct Caller: Sendable {
  /// The user or service account.
  public var name: String
  /// The client that the token was given to: `azp`, or an older token's `clientId`.
  public var client: String
  /// Its roles.
  public var roles: Set<String>
  /// Whether the client is one of those that are configured: an endpoint that asks for no role takes nobody else.
  public var isConfigured: Bool

  /// A caller; its client is of the same name when none is given.
  public init(name: String, client: String? = nil, roles: Set<String>, isConfigured: Bool = false) {
    self.name = name
    self.client = client ?? name
    self.roles = roles
    self.isConfigured = isConfigured
  }
}

/// Whom a token is meant for (`aud`). One that is shown to one side opens nothing of another: who gets to see it could use it himself.
public enum TokenAudience: String, Sendable, CaseIterable {
  /// MOSIP's side: the MOSIP-side mediator, packet receiver, registration status and hub.
  case mosip
  /// The OpenCRVS-side mediator.
  case opencrvsMediator = "opencrvs-mediator"
  /// OpenCRVS itself, where nothing of ours is.
  case opencrvs
}

/// Access tokens: those that callers bring and those that we bring to others
/// (docs/upstream/opencrvs-and-websub.md#22-from-the-webhook-to-mosip and #31-endpoints).
public protocol AccessTokens: Sendable {
  /// Who a token belongs to; nil when it is not valid (wrong, expired, not ours, meant for others).
  /// - Parameter audience: what the endpoint belongs to that asks.
  func caller(of token: String, for audience: TokenAudience) async throws -> Caller?

  /// A token for one of our clients, e.g. `mosip-mediator`; renewed by itself.
  /// - Parameter audience: whom it will be shown to.
  func token(client: String, for audience: TokenAudience) async throws -> String
}

/// HTTP requests to other systems.
public protocol HTTPExchange: Sendable {
  /// Sends a request and waits for the answer.
  /// - Throws: `HTTPError`.
  func send(_ request: ClientRequest) async throws -> ClientResponse
}

/// HTTP to the outside over libcurl.
public struct CurlExchange: HTTPExchange {
  private let client: Client

  /// An exchange over a client.
  public init(_ client: Client = Client()) { self.client = client }

  public func send(_ request: ClientRequest) async throws -> ClientResponse { try await client.send(request) }
}
