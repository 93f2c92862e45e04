import JSON

/// What a country's own configuration hands on to MOSIP as it does to OpenCRVS' mosip-api: not the record but the few fields that the
/// configuration has taken out of it, with the number that it has made (docs/upstream/scenarios.md#310-mosip-api-and-who-calls-it).
package struct HandedEvent: Sendable {
  /// By which path it comes.
  package enum Way: Sendable {
    /// `/events/registration`.
    case registration
    /// `/events/update-biographics`.
    case correction
  }

  /// A birth, a death, or the correction of a birth.
  package let kind: EventKind
  /// What the registrar and the family know the record by.
  package let trackingId: String
  /// The registration number that the country has made; nil for a correction, which names none.
  package let number: String?
  /// The record that the body names itself, as the configurations of 1.8 do; later ones leave that to the token.
  private let recordId: String?
  private let values: JSONObject

  /// - Throws: OPN-CRVS-001 naming what is missing or has another type, -006 for a correction that says less than it must.
  package init(_ body: [UInt8], _ way: Way) throws(MediatorError) {
    let value = try MediatorBodies.json(body, "the request", largest: EventLimits.event)
    guard let given = value["requestFields"]?.object else { throw MediatorError(.unreadable, "the request has no requestFields") }
    guard let trackingId = Self.id(value["trackingId"]) else { throw MediatorError(.unreadable, "the request has no trackingId") }
    let fields = Fields(given: given)
    self.trackingId = trackingId
    recordId = [value["compositionId"], value["eventId"]].lazy.compactMap(Self.id).first { FHIR.isRecordId($0) }
    (kind, number) = try way == .correction ? (.birthCorrection, nil) : Self.registered(fields)
    values = try Self.values(kind, fields, value)
  }

  private static func id(_ value: JSONValue?) -> String? { value?.string.flatMap { FHIR.isIdentifier($0) ? $0 : nil } }

  private static func registered(_ fields: Fields) throws(MediatorError) -> (EventKind, String) {
    switch (try fields.text("birthCertificateNumber"), try fields.text("deathCertificateNumber")) {
    case (let number?, nil): return (.birth, try identifier(number, "birthCertificateNumber"))
    case (nil, let number?): return (.death, try identifier(number, "deathCertificateNumber"))
    case (nil, nil):
      throw MediatorError(.unreadable, "requestFields has neither birthCertificateNumber nor deathCertificateNumber")
    default: throw MediatorError(.unreadable, "requestFields has both birthCertificateNumber and deathCertificateNumber")
    }
  }

  private static func identifier(_ number: String, _ field: String) throws(MediatorError) -> String {
    guard FHIR.isIdentifier(number) else { throw MediatorError(.unreadable, "\(field) is no registration number") }
    return number
  }

  /// The fields by the names of the reference country's forms.
  private static func values(_ kind: EventKind, _ fields: Fields, _ request: JSONValue) throws(MediatorError) -> JSONObject {
    let person = kind.subject == .birth ? "child" : "deceased"
    var out = JSONObject()
    func set(_ name: String, _ value: String?) { if let value { out[name] = .string(value) } }
    set("\(person).name", try fields.text("fullName"))
    set("\(person).dob", try fields.day("dateOfBirth"))
    set("\(person).gender", try fields.text("gender")?.lowercased())
    if kind != .birth { set("\(person).nid", try fields.first(["UIN", "VID", "nationalIdNumber"])) }
    if kind == .death { set("eventDetails.date", try fields.day("dateOfDeath")) }
    for (name, what) in [("name", "fullName"), ("dob", "dateOfBirth")]
    where kind == .birthCorrection && out["\(person).\(name)"] == nil {
      throw MediatorError(.identity, "\(what): not among requestFields; a correction says the whole of name and date of birth")
    }
    let notification = request["notification"]
    set("informant.name", DeclaredValues.text(notification?["recipientFullName"]))
    set("informant.email", DeclaredValues.text(notification?["recipientEmail"]))
    set("informant.phoneNo", DeclaredValues.text(notification?["recipientPhone"]))
    let token = try fields.text("introducerInfoToken") ?? DeclaredValues.text(request["metaInfo"]?["informantPsut"])
    set("informant.verify-nid-http-fetch.data.sub", token)
    return out
  }

  /// The fields of a request.
  private struct Fields {
    let given: JSONObject

    /// A text, or a number that is written as one, without blanks at its ends; nil where there is none.
    func text(_ name: String) throws(MediatorError) -> String? {
      guard let value = given[name], !value.isNull else { return nil }
      guard let text = value.string ?? value.int.map(String.init) else {
        throw MediatorError(.unreadable, "\(name) of requestFields is no text")
      }
      return FHIR.isBlank(text) ? nil : FHIR.trimmed(text)
    }

    func first(_ names: [String]) throws(MediatorError) -> String? {
      for name in names { if let text = try text(name) { return text } }
      return nil
    }

    /// A day as OpenCRVS writes it; as MOSIP does is taken too.
    func day(_ name: String) throws(MediatorError) -> String? { try text(name)?.replacing("/", with: "-") }
  }
}

extension HandedEvent {
  /// Which record it is of, and by which action.
  package struct Place: Sendable, Equatable {
    /// OpenCRVS' id of the record.
    package let record: String
    /// The action that waits; nil before 1.9.
    package let action: String?

    /// The same once more.
    package init(record: String, action: String?) { (self.record, self.action) = (record, action) }
  }

  /// What its token says that it is of, which must not be another record than the body says.
  /// - Throws: OPN-AUT-002 for the token of another record, OPN-CRVS-001 for a correction without an action.
  package func place(_ token: RecordToken) throws(MediatorError) -> Place {
    if let event = token.eventId, let action = token.actionId {
      try token.require(event: recordId ?? event, action: action)
      return Place(record: event, action: action)
    }
    let record = recordId ?? token.recordId ?? ""
    try token.require(record: record)
    guard kind != .birthCorrection else {
      throw MediatorError(.unreadable, "a correction is handed on with the token of its action, and this one is of a record")
    }
    return Place(record: record, action: nil)
  }

  /// The event document for both mediators.
  /// - Throws: OPN-CRVS-006 when it says nothing of the child or the deceased.
  package func event(_ place: Place, number: String, moment: String) throws(MediatorError) -> [UInt8] {
    try DeclaredRecord(
      id: place.record, trackingId: trackingId, actionId: place.action, moment: moment, kind: kind, number: number,
      declared: DeclaredValues(values: values, fields: .standard)
    ).event()
  }
}
