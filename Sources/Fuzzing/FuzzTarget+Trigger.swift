import JSON
import OpenCRVS

/// What OpenCRVS sends to be answered: whatever is taken becomes an event that both mediators read.
extension FuzzTarget {
  static func trigger(_ input: [UInt8]) {
    named(MediatorError.self) {
      let document = try EventDocument(input)
      guard let kind = DeclarationFields.standard.kind(ofType: document.type) else { return }
      guard isWithoutNulls(.object(document.values())), isWithoutNulls(.object(document.formerValues())) else {
        fatalError("a field that was removed and is there")
      }
      let change: EventKind = kind == .birth ? .birthCorrection : .deathCorrection
      let event = try document.event(change, number: "N1", fields: .standard)
      check(event, change, record: document.id)
    }
    named(MediatorError.self) {
      let read = try RecordBundle.registration(input)
      guard try RecordBundle.personsDigest(input).utf8.count == 64 else { fatalError("a digest that is none") }
      let kind: EventKind = read.kind == .birth ? .birth : .death
      check(try RecordBundle.event(input, topic: kind.topic, number: "N1", version: "1"), kind, record: read.compositionId)
    }
  }

  private static func check(_ event: [UInt8], _ kind: EventKind, record: String) {
    guard let read = EventReading(event), read.topic == kind.topic, read.recordId == record, read.registrationNumber == "N1" else {
      fatalError("an event of another record")
    }
  }

  private static func isWithoutNulls(_ value: JSONValue) -> Bool {
    value.object.map { $0.allSatisfy { !$0.value.isNull && isWithoutNulls($0.value) } } ?? true
  }
}
