import StageKit

/// Why a credential is not believed. Nobody at OpenCRVS hears of it: whoever forges one must not be able to fail a person's birth.
enum CredentialError: String, Error, Sendable, CaseIterable {
  /// The event has no signature of the credential service, and the site demands one.
  case noProof = "unsigned"
  /// The signature is not that of the credential service over this credential.
  case wrongProof = "signature"
  /// The event names another record's registration number than that of the registration that it is of.
  case otherNumber = "number"
  /// The credential says another UIN than that of the registration that the event is of.
  case otherPerson = "person"

  /// The name of its count.
  var count: String { "credentials_refused_" + rawValue }

  /// The reason, for whoever watches the count.
  var why: String {
    switch self {
    case .noProof: "they have no signature of the credential service, which this site demands"
    case .wrongProof: "the signature is not that of the credential service"
    case .otherNumber: "the registration number is another record's"
    case .otherPerson: "the UIN is not that of the registration"
    }
  }

  /// What MOSIP is told, in words that it knows.
  var status: ServingStatus {
    switch self {
    case .noProof, .wrongProof: .notDecrypted
    case .otherNumber, .otherPerson: .notReadable
    }
  }
}

/// Credentials that were refused since the stage was started, by reason.
struct RefusedCredentials: Sendable {
  private let tallies = Dictionary(uniqueKeysWithValues: CredentialError.allCases.map { ($0, Tally()) })

  func add(_ refusal: CredentialError) { tallies[refusal]?.add() }

  static let fields = CredentialError.allCases.map { CountField($0.count, "Credentials that were refused: \($0.why).") }

  var counts: [String: Int] { Dictionary(uniqueKeysWithValues: tallies.map { ($0.key.count, $0.value.count) }) }
}
