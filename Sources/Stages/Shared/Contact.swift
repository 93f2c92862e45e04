import JSON

/// Whom to notify of a registration, from its announcement (docs/upstream/packet-and-crypto.md#61-sync). Personal data: it is kept
/// encrypted only, and the description shows nothing of it.
struct Contact: Sendable, Equatable, CustomStringConvertible {
  /// The applicant's name.
  let name: String?
  /// A phone number.
  let phone: String?
  /// A mail address.
  let email: String?
  /// Three letters, e.g. `eng`.
  let language: String

  /// Of an announcement.
  init(announcement: JSONValue, language: String) {
    name = Self.line(announcement["name"])
    phone = Self.line(announcement["phone"])
    email = Self.line(announcement["email"])
    self.language = language
  }

  /// Whether there is a phone number or a mail address.
  var isReachable: Bool { phone != nil || email != nil }

  /// Reads what `json` wrote; nil for other bytes.
  /// - Parameter language: that of the announcement, for rows of MOSIP's own services, which name none here.
  init?(json bytes: [UInt8], language: String) {
    guard let json = try? JSONValue.parse(bytes), json.object != nil else { return nil }
    self.init(announcement: json, language: json["langCode"]?.string ?? language)
  }

  /// `{"name", "phone", "email", "langCode"}`.
  var json: JSONValue {
    ["name": JSONValue(name), "phone": JSONValue(phone), "email": JSONValue(email), "langCode": .string(language)]
  }

  var description: String { "a contact" }

  /// A text of one line; nil for none and for one that is too long to be a name or an address. A line break could begin a header field of a mail.
  private static func line(_ value: JSONValue?) -> String? {
    guard let text = value?.string, text.utf8.count <= 1000 else { return nil }
    let scalars = text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
    let words = String(String.UnicodeScalarView(scalars)).split(separator: " ")
    return words.isEmpty ? nil : words.joined(separator: " ")
  }
}
