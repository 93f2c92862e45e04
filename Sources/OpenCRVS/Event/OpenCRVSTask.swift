import JSON

/// The Task of a bundle: which record it is about and whom to ask (docs/upstream/opencrvs-and-websub.md#14-resources-and-fields).
package struct OpenCRVSTask: Sendable {
  /// What sort of record it is.
  package enum Kind: String, Sendable {
    case birth = "BIRTH"
    case death = "DEATH"

    /// The type of a Patient's identifier that is the number of the certificate.
    var numberType: String { "\(rawValue)_REGISTRATION_NUMBER" }
  }

  let resource: JSONValue

  /// BIRTH or DEATH; nil when the Task does not say.
  var kind: Kind? { FHIR.code(resource["code"]).flatMap(Kind.init) }

  /// The id of the record, from `focus.reference`.
  var compositionId: String? { FHIR.id(in: resource["focus"]?["reference"]?.string, of: "Composition") }

  /// The number of the certificate of such an event.
  func registrationNumber(_ kind: Kind) -> String? {
    switch kind {
    case .birth: identifier("birth-registration-number")
    case .death: identifier("death-registration-number")
    }
  }

  /// What the registrar and the family know such an event by.
  func trackingId(_ kind: Kind) -> String? { identifier("\(kind.rawValue.lowercased())-tracking-id") }

  /// The last parts of the systems of the identifiers that tell one change of a record from another and are no part of it.
  static let versionSystems = ["opencrvs-action-id", "opencrvs-version"]

  /// Which change of the record it is: the id of OpenCRVS' action, or what we made of a notice that has none. Nil where `lastModified`
  /// tells.
  package var version: String? { Self.versionSystems.lazy.compactMap { identifier($0) }.first }

  /// The version that we gave it: of a death, which OpenCRVS registers once, only when it was revoked and is one again.
  var ourVersion: String? { identifier("opencrvs-version") }

  /// The phone number of whom to ask.
  package var contactPhone: String? { contact("contact-person-phone-number") }
  /// The mail address of whom to ask.
  package var contactEmail: String? { contact("contact-person-email") }
  /// When the record was changed last, an ISO time as it was written.
  package var lastModified: String? { resource["lastModified"]?.string }

  /// Application ids that were kept at the record.
  var applicationIds: [String] { identifiers("mosip-aid") }

  private func identifier(_ system: String) -> String? { identifiers(system).first }

  private func identifiers(_ system: String) -> [String] {
    (resource["identifier"]?.array ?? [])
      .filter { FHIR.tail($0["system"]?.string) == system }
      .compactMap { $0["value"]?.string }.filter { !FHIR.isBlank($0) }
  }

  private func contact(_ url: String) -> String? {
    resource["extension"]?.array?.lazy
      .filter { FHIR.tail($0["url"]?.string) == url }
      .compactMap { $0["valueString"]?.string }.first { !FHIR.isBlank($0) }
  }
}
