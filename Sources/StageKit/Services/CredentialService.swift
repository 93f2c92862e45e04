import JSON

/// A request for a credential (docs/upstream/stages.md#9-print-or-credential-requestor and 10).
public struct CredentialRequest: Sendable {
  /// What the credential is about: a RID for print, a VID for the OpenCRVS stage.
  public var id: String
  /// e.g. `opencrvs`, `euin`.
  public var credentialType: String
  /// The partner it is issued to, e.g. `opencrvs-partner`.
  public var issuer: String
  /// Copied into the event beside the credential, e.g. `opencrvsBRN`.
  public var additionalData: JSONValue

  /// A request.
  public init(id: String, credentialType: String, issuer: String, additionalData: JSONValue) {
    self.id = id
    self.credentialType = credentialType
    self.issuer = issuer
    self.additionalData = additionalData
  }
}

/// MOSIP's credential request generator and credential service.
public protocol CredentialService: Sendable {
  /// Asks for a credential; it is sealed for the partner and published on WebSub as `<issuer>/CREDENTIAL_ISSUED`.
  /// The same idempotency key gives the same request: never a second credential. While nobody has confirmed it as served, a repeated request
  /// publishes the same event again.
  /// - Returns: the request's id.
  func request(_ request: CredentialRequest, idempotencyKey: String) async throws -> String
}
