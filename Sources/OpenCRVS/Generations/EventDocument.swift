import JSON

/// An event of OpenCRVS 1.9 or 2.x as a trigger brings it: all its actions, of which one waits for an answer
/// (docs/upstream/scenarios.md#33-g3-19-and-2x).
package struct EventDocument: Sendable {
  /// The largest that is taken, in bytes.
  package static let largest = 16 << 20

  /// The event's id, which stands for the record.
  package let id: String
  /// What the country calls this kind of event, e.g. `birth`; `DeclarationFields` knows which it is.
  package let type: String
  /// What the registrar and the family know it by.
  package let trackingId: String?
  /// The action that is to be answered: the last one that was requested and has no answer.
  package let pending: Action
  /// All of them, in their order.
  let actions: [Action]

  /// One step of an event's history.
  package struct Action: Sendable {
    /// Its id, which an answer to it names.
    package let id: String
    /// What its sender calls it, the same at each repeat.
    package let transactionId: String?
    /// e.g. `REGISTER`.
    package let type: String
    /// `Requested`, `Accepted` or `Rejected`.
    package let status: String
    /// An ISO time as it was written.
    package let createdAt: String?
    /// Of an approved or rejected correction: the accepted request.
    package let requestId: String?
    /// Of an answer: the requested action.
    package let originalActionId: String?
    /// Which custom action it is.
    package let customActionType: String?
    /// The number of the certificate, of an accepted REGISTER.
    package let registrationNumber: String?
    /// The fields that it changes.
    package let declaration: JSONObject
    /// What was said of the action itself, e.g. a reason.
    package let annotation: JSONObject
    /// Whether one who may approve requested a correction and approved it in a row.
    package let isImmediateCorrection: Bool
  }

  /// - Throws: OPN-CRVS-001 naming what is missing, -033 for what is not UTF-8.
  package init(_ body: [UInt8]) throws(MediatorError) {
    let value = try MediatorBodies.json(body, "the event", largest: Self.largest)
    guard let id = value["id"]?.string, FHIR.isRecordId(id) else { throw MediatorError(.unreadable, "the event has no id") }
    guard let type = value["type"]?.string, FHIR.isIdentifier(type) else {
      throw MediatorError(.unreadable, "the event has no type")
    }
    guard let written = value["actions"]?.array else { throw MediatorError(.unreadable, "the event has no actions") }
    var actions: [Action] = []
    for action in written { if let action = try Action(action) { actions.append(action) } }
    guard let pending = Self.pending(actions) else {
      throw MediatorError(.unreadable, "no action of the event waits for an answer")
    }
    (self.id, self.type, self.actions, self.pending) = (id, type, actions, pending)
    trackingId = value["trackingId"]?.string.flatMap { FHIR.isIdentifier($0) ? $0 : nil }
  }

  private static func pending(_ actions: [Action]) -> Action? {
    let answered = Set(actions.compactMap(\.originalActionId))
    return actions.last { $0.status == Action.requested && !answered.contains($0.id) }
  }

  /// The number of the certificate: of the accepted REGISTER, nil before.
  package var registrationNumber: String? {
    actions.last { $0.type == Action.register && $0.status == Action.accepted && $0.registrationNumber != nil }?
      .registrationNumber
  }
}

extension EventDocument.Action {
  static let requested = "Requested"
  static let accepted = "Accepted"
  /// A record is registered.
  package static let register = "REGISTER"
  /// What the country made an action of its own.
  package static let custom = "CUSTOM"
  static let requestCorrection = "REQUEST_CORRECTION"
  /// A correction that was requested is approved.
  package static let approveCorrection = "APPROVE_CORRECTION"
  /// Those whose fields are no part of the record.
  static let aside: Set<String> = [requestCorrection, "REJECT_CORRECTION", "PRINT_CERTIFICATE"]

  /// Nil for what has no id, type or status, and so can neither be answered nor change a record.
  /// - Throws: OPN-CRVS-001 when its fields are no object: what it changes cannot be told then.
  init?(_ value: JSONValue) throws(MediatorError) {
    func text(_ name: String) -> String? { value[name]?.string.flatMap { FHIR.isIdentifier($0) ? $0 : nil } }
    func object(_ name: String) throws(MediatorError) -> JSONObject {
      guard let member = value[name], !member.isNull else { return JSONObject() }
      guard let object = member.object else { throw MediatorError(.unreadable, "the \(name) of an action is no object") }
      return object
    }
    guard let id = text("id"), let type = text("type"), let status = text("status") else { return nil }
    self.init(
      id: id, transactionId: text("transactionId"), type: type, status: status, createdAt: text("createdAt"),
      requestId: text("requestId"), originalActionId: text("originalActionId"), customActionType: text("customActionType"),
      registrationNumber: text("registrationNumber"), declaration: try object("declaration"),
      annotation: try object("annotation"), isImmediateCorrection: value["content"]?["immediateCorrection"]?.bool == true)
  }
}
