import JSON
import StageKit
import System

/// A token of OpenCRVS for one record (1.7, 1.8) or for one action of one (from 1.9), after its signature was found right
/// (docs/upstream/scenarios.md#32-g2-17-and-18 and #33-g3-19-and-2x). Whoever has it can decide that action, so its text is kept sealed.
package struct RecordToken: Sendable, CustomStringConvertible {
  /// The token itself, as it goes into `Authorization: Bearer`.
  package let text: String
  /// The composition's id; nil for a token of an action.
  package let recordId: String?
  /// The event's id; nil for a token of a record.
  package let eventId: String?
  /// The action's id; nil for a token of a record.
  package let actionId: String?
  /// What it may do, as OpenCRVS calls it; empty from 2.1, where it proves the sender and nothing else.
  package let scopes: [String]
  /// When it ends.
  package let expires: Instant

  /// Nothing for claims that name neither a record nor an action, or no end.
  init?(_ text: String, _ claims: JSONValue) {
    guard let end = claims["exp"]?.double else { return nil }
    self.text = text
    recordId = Self.id(claims["recordId"])
    eventId = Self.id(claims["eventId"])
    actionId = Self.id(claims["actionId"])
    scopes = claims["scope"]?.array?.compactMap(\.string) ?? []
    expires = Instant(milliseconds: 0).advanced(bySeconds: end)
    if recordId == nil, eventId == nil || actionId == nil { return nil }
  }

  private static func id(_ claim: JSONValue?) -> String? {
    guard let id = claim?.string, (1...128).contains(id.utf8.count) else { return nil }
    return id
  }

  /// Whether it is a token of this record.
  package func isOf(record id: String) -> Bool { Self.same(recordId, id) }

  /// Whether it is a token of this action of this event.
  package func isOf(event: String, action: String) -> Bool { Self.same(eventId, event) && Self.same(actionId, action) }

  /// Byte by byte: Swift's own comparison takes texts for the same that only look so.
  private static func same(_ claim: String?, _ id: String) -> Bool { claim.map { $0.utf8.elementsEqual(id.utf8) } ?? false }

  /// - Throws: OPN-AUT-002 unless it is a token of this record.
  package func require(record id: String) throws(MediatorError) {
    guard isOf(record: id) else { throw Self.otherRecord() }
  }

  /// - Throws: OPN-AUT-002 unless it is a token of this action of this event.
  package func require(event: String, action: String) throws(MediatorError) {
    guard isOf(event: event, action: action) else { throw Self.otherRecord() }
  }

  private static func otherRecord() -> MediatorError {
    RefusedCallers.shared.add("token", reason: "record")
    return MediatorError(.tokenInvalid, "the access token is not of this record or action")
  }

  /// Shows nothing of the token.
  package var description: String { "a token of \(recordId == nil ? "an action" : "a record")" }
}
