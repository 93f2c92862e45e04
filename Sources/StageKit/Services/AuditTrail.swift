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
