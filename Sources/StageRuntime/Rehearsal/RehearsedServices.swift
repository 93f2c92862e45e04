import HTTP
import JSON
import Registration
import StageKit
import System

extension Services {
  /// The same services, of which only reads get through. Every member of every protocol is written out, those with a default too; a
  /// service that is new here is absent for a rehearsal until it has a part below.
  func rehearsed(_ notes: RehearsalNotes) -> Services {
    var services = Services(
      packets: RehearsedPackets(packets, notes), registrations: RehearsedRegister(registrations, notes),
      identities: RehearsedIdentities(identities, notes), keys: RehearsedKeys(real: keys, notes: notes),
      envelopeKeys: RehearsedEnvelopeKeys(real: envelopeKeys, notes: notes), credentials: RehearsedCredentials(notes: notes),
      hub: RehearsedHub(notes: notes), objects: RehearsedObjects(objects, notes), audit: RehearsedAudit(notes: notes),
      rids: RehearsedRIDs(notes: notes),
      // These have nothing but reads, as master data and matcher below.
      schemas: schemas, virusScanner: virusScanner, tokens: RehearsedTokens(real: tokens, notes: notes),
      http: RehearsedHTTP(notes: notes), clock: clock)
    (services.masterData, services.biometrics) = (masterData, biometrics)
    services.identityAuthentication = RehearsedAuthentication(notes: notes)
    services.preRegistration = RehearsedPreRegistration(notes: notes)
    services.notifier = RehearsedNotifier(real: notifier, notes: notes)
    services.outgoingHosts = outgoingHosts
    return services
  }
}

/// The key manager opens and checks. What it would make with a key, it might first make a key for.
struct RehearsedKeys: KeyManager {
  let real: any KeyManager
  let notes: RehearsalNotes

  func encryptPacket(_ plaintext: [UInt8], referenceId: String) async throws -> [UInt8] {
    throw notes.refuse(.keys, "encryptPacket")
  }
  func decryptPacket(_ ciphertext: [UInt8], referenceId: String) async throws -> [UInt8] {
    try await real.decryptPacket(ciphertext, referenceId: referenceId)
  }
  func decryptPacket(_ ciphertext: any ByteSource, referenceId: String) async throws -> any ByteSource {
    try await real.decryptPacket(ciphertext, referenceId: referenceId)
  }
  func sign(_ data: [UInt8]) async throws -> [UInt8] { throw notes.refuse(.keys, "sign") }
  func verify(_ data: [UInt8], signature: [UInt8], referenceId: String) async throws -> Bool {
    try await real.verify(data, signature: signature, referenceId: referenceId)
  }
  func verify(_ data: any ByteSource, signature: [UInt8], referenceId: String) async throws -> Bool {
    try await real.verify(data, signature: signature, referenceId: referenceId)
  }
  func tokenId(_ id: String, partner: String) async throws -> String { try await real.tokenId(id, partner: partner) }
  func signJWS(_ payload: [UInt8], application: String, detached: Bool) async throws -> String {
    throw notes.refuse(.keys, "signJWS")
  }
  func verifyJWS(_ jws: String, payload: [UInt8], application: String) async throws -> Bool {
    try await real.verifyJWS(jws, payload: payload, application: application)
  }
  func verifyDeviceToken(_ token: String) async throws -> Bool { try await real.verifyDeviceToken(token) }
}

/// Envelopes are opened and checked, none is made.
struct RehearsedEnvelopeKeys: EnvelopeKeys {
  let real: any EnvelopeKeys
  let notes: RehearsalNotes

  func seal(_ plaintext: [UInt8], for owner: String) async throws -> [UInt8] { throw notes.refuse(.envelopeKeys, "seal", [owner]) }
  func open(_ envelope: [UInt8], as owner: String) async throws -> [UInt8] { try await real.open(envelope, as: owner) }
  func sign(_ data: [UInt8], as owner: String) async throws -> [UInt8] { throw notes.refuse(.envelopeKeys, "sign", [owner]) }
  func verify(_ data: [UInt8], signature: [UInt8], of owner: String) async throws -> Bool {
    try await real.verify(data, signature: signature, of: owner)
  }
  func code(_ message: [UInt8], label: String, as owner: String) async throws -> [UInt8] {
    try await real.code(message, label: label, as: owner)
  }
}

/// No credential is asked for; the request gets a made-up number.
struct RehearsedCredentials: CredentialService {
  /// What stands for the request's id.
  static let madeUpId = "made-up-request"
  let notes: RehearsalNotes

  func request(_ request: CredentialRequest, idempotencyKey: String) async throws -> String {
    try notes.reach(.credentials)
    notes.note(
      .credentials, "request", [request.credentialType, "for \(request.issuer)"] + RehearsalNotes.members(request.additionalData),
      isMadeUp: true)
    return Self.madeUpId
  }
}

/// Nothing is published.
struct RehearsedHub: WebSubHub {
  let notes: RehearsalNotes

  func publish(_ body: [UInt8], topic: String, idempotencyKey: String) async throws {
    notes.note(.hub, "publish", [topic] + ((try? JSONValue.parse(body)).map(RehearsalNotes.members) ?? []))
  }
  func subscribe(topic: String, callback: String, secret: String, leaseSeconds: Int) async throws {
    notes.note(.hub, "subscribe", [topic])
  }
}

/// Nothing is recorded.
struct RehearsedAudit: AuditTrail {
  let notes: RehearsalNotes

  func record(_ entries: [AuditEntry]) async throws {
    // The ids of a packet's own entries come from outside.
    let events = Set(entries.map(\.eventId)).sorted().prefix(4)
    notes.note(.audit, "record", ["\(entries.count) entries"] + RehearsalNotes.names(events))
  }
}

/// No RID is given.
struct RehearsedRIDs: RIDGenerator {
  let notes: RehearsalNotes

  func next(centerId: String, machineId: String) async throws -> RID { throw notes.refuse(.rids, "next") }
}

/// Callers are judged; no token is fetched, and nothing is sent that could carry one.
struct RehearsedTokens: AccessTokens {
  let real: any AccessTokens
  let notes: RehearsalNotes

  func caller(of token: String, for audience: TokenAudience) async throws -> Caller? {
    try await real.caller(of: token, for: audience)
  }
  func token(client: String, for audience: TokenAudience) async throws -> String {
    notes.note(.tokens, "token", ["of \(client)", "for \(audience.rawValue)"], isMadeUp: true)
    return "made-up-token"
  }
}

/// Nothing is sent.
struct RehearsedHTTP: HTTPExchange {
  let notes: RehearsalNotes

  func send(_ request: ClientRequest) async throws -> ClientResponse {
    throw notes.refuse(.http, "send", [request.method, OutgoingHosts.host(of: request.url) ?? "no host"])
  }
}

/// Nobody is asked: each question leaves an entry in the record of a person's authentications.
struct RehearsedAuthentication: IdentityAuthentication {
  let notes: RehearsalNotes

  func authenticate(_ captures: BiometricRecord, uin: String) async throws -> IdentityMatch {
    throw notes.refuse(.authentication, "authenticate")
  }
}

/// Nobody is told.
struct RehearsedPreRegistration: PreRegistration {
  let notes: RehearsalNotes

  func registered(_ preRegistrationIds: [String]) async throws {
    notes.note(.preRegistration, "registered", ["\(preRegistrationIds.count) applications"])
  }
}

/// Templates are read, nothing is sent.
struct RehearsedNotifier: Notifier {
  let real: any Notifier
  let notes: RehearsalNotes

  func sendSMS(_ text: String, to number: String) async throws { notes.note(.notifier, "sendSMS") }
  func sendEmail(_ text: String, subject: String, to address: String) async throws { notes.note(.notifier, "sendEmail") }
  func template(_ code: String, language: String) async throws -> String? { try await real.template(code, language: language) }
}
