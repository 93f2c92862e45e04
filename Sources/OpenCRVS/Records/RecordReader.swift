import JSON
import StageKit

/// Reads the members of a kept record. `null` is as good as absent.
package struct RecordReader: Sendable {
  private let record: StageRecord

  /// - Throws: `ServiceError` for a document that is no object.
  package init(_ record: StageRecord) throws(ServiceError) {
    self.record = record
    guard record.document.object != nil else { throw fault("is no object") }
  }

  /// A text that must be there.
  package func text(_ member: String) throws(ServiceError) -> String { try needed(member, try optionalText(member)) }

  /// A text that may be absent.
  package func optionalText(_ member: String) throws(ServiceError) -> String? { try value(member, "a text", \.string) }

  /// One of the texts of an enum, which must be there.
  package func choice<Choice: RawRepresentable<String>>(_ member: String) throws(ServiceError) -> Choice {
    try needed(member, try optionalChoice(member))
  }

  /// One of the texts of an enum, which may be absent.
  package func optionalChoice<Choice: RawRepresentable<String>>(_ member: String) throws(ServiceError) -> Choice? {
    try value(member, "a text that this version knows") { $0.string.flatMap { Choice(rawValue: $0) } }
  }

  /// Texts that must be there.
  package func texts(_ member: String) throws(ServiceError) -> [String] { try needed(member, try optionalTexts(member)) }

  /// Texts that may be absent.
  package func optionalTexts(_ member: String) throws(ServiceError) -> [String]? {
    try value(member, "a list of texts") { list in
      guard let elements = list.array else { return nil }
      let texts = elements.compactMap(\.string)
      return texts.count == elements.count ? texts : nil
    }
  }

  /// Objects that may be absent.
  package func optionalObjects(_ member: String) throws(ServiceError) -> [JSONObject]? {
    try value(member, "a list of objects") { list in
      guard let elements = list.array else { return nil }
      let objects = elements.compactMap(\.object)
      return objects.count == elements.count ? objects : nil
    }
  }

  /// An object that may be absent.
  package func optionalObject(_ member: String) throws(ServiceError) -> JSONObject? { try value(member, "an object", \.object) }

  /// A whole number that may be absent.
  package func optionalNumber(_ member: String) throws(ServiceError) -> Int? { try value(member, "a whole number", \.int) }

  /// True or false, or absent.
  package func optionalFlag(_ member: String) throws(ServiceError) -> Bool? { try value(member, "true or false", \.bool) }

  /// What is wrong with the record, as an error.
  package func fault(_ what: String) -> ServiceError {
    ServiceError(.unavailable, service: "record of \(record.collection)", code: MediatorError.Code.unknown.rawValue, what)
  }

  private func needed<Value>(_ member: String, _ value: Value?) throws(ServiceError) -> Value {
    guard let value else { throw fault("has no \(member)") }
    return value
  }

  private func value<Value>(_ member: String, _ kind: String, _ read: (JSONValue) -> Value?) throws(ServiceError) -> Value? {
    guard let found = record.document[member], !found.isNull else { return nil }
    guard let value = read(found) else { throw fault("\(member) is not \(kind)") }
    return value
  }
}
