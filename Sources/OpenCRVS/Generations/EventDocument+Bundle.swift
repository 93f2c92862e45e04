import JSON

/// The event as both mediators read it: what a webhook of 1.5 would have said of the record (docs/upstream/scenarios.md#3-opencrvs-by-generation).
extension EventDocument {
  /// - Parameters:
  ///   - kind: what the pending action means.
  ///   - number: the number of the certificate.
  ///   - fields: what the country calls things.
  /// - Throws: OPN-CRVS-001 when the event is of another type than the kind, -006 when it says nothing about the child or the deceased.
  package func event(_ kind: EventKind, number: String, fields: DeclarationFields) throws(MediatorError) -> [UInt8] {
    guard fields.kind(ofType: type) == kind.subject else {
      throw MediatorError(.unreadable, "the event's type is another than that of the action")
    }
    let values = DeclaredValues(values: values(), fields: fields)
    return try DeclaredRecord(
      id: id, trackingId: trackingId, actionId: pending.id, version: pending.type == Action.custom ? pending.id : nil,
      moment: pending.createdAt, kind: kind, number: number, declared: values
    ).event()
  }
}
