import JSON

/// Reads of FHIR resources that take the older and the newer form of each field alike
/// (docs/upstream/opencrvs-and-websub.md#13-payload-by-release).
package enum FHIR {
  /// The non-empty texts of what may be a text or an array of texts.
  static func texts(_ value: JSONValue?) -> [String] {
    switch value {
    case .string(let text): isBlank(text) ? [] : [text]
    case .array(let elements): elements.compactMap(\.string).filter { !isBlank($0) }
    default: []
    }
  }

  /// The code of what may be a plain text or a codeable concept.
  static func code(_ value: JSONValue?) -> String? {
    if let text = value?.string { return text }
    return value?["coding"]?.array?.lazy.compactMap { $0["code"]?.string }.first { !isBlank($0) }
  }

  /// The last part of a URL-like text: `…/id/birth-registration-number` gives `birth-registration-number`.
  package static func tail(_ text: String?) -> String? {
    text.map { String($0.split(separator: "/", omittingEmptySubsequences: true).last ?? "") }
  }

  /// The id in a reference: `Composition/x` gives `x`, whatever stands before or behind.
  static func id(in reference: String?, of type: String) -> String? {
    guard let reference else { return nil }
    let parts = reference.split(separator: "/").map(String.init)
    if let place = parts.firstIndex(of: type), place + 1 < parts.count { return parts[place + 1] }
    return parts.count == 1 && !isBlank(reference) ? reference.replacing("urn:uuid:", with: "") : nil
  }

  /// A text without blanks at its ends, which registrars leave in names (docs/upstream/scenarios.md#32-g2-17-and-18).
  static func trimmed(_ text: String) -> String {
    let bytes = Array(text.utf8)
    func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
    guard let first = bytes.first, let last = bytes.last, isBlank(first) || isBlank(last) else { return text }
    let start = bytes.prefix(while: isBlank).count
    let end = bytes.count - bytes[start...].reversed().prefix(while: isBlank).count
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }

  static func isBlank(_ text: String) -> Bool { text.utf8.allSatisfy { $0 == 32 || (9...13).contains($0) } }

  /// Whether a text may be the id of a record: one that a reference to it, `Composition/<id>`, gives back as it was.
  package static func isRecordId(_ text: String) -> Bool { isIdentifier(text) && !text.utf8.contains(UInt8(ascii: "/")) }

  /// Whether a text may be a key or a number that others will show: no control characters, not endless.
  package static func isIdentifier(_ text: String) -> Bool {
    !isBlank(text) && text.utf8.count <= 1024 && text.unicodeScalars.allSatisfy { $0.value >= 32 && $0.value != 127 }
  }
}
