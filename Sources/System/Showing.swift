/// How the value of a setting is shown to people: in tables, logs and errors. What is secret is declared with the setting; a text that is not
/// secret as a whole may still hold a secret part, which is left out of everything that is shown.
public enum Showing: Sendable, Equatable {
  /// As it is, without the secret parts of a URL or of `name=value` pairs in it.
  case withoutSecretParts
  /// Not at all.
  case hidden

  /// What stands in the place of a secret.
  public static let notShown = "(not shown)"

  /// The text as it is shown.
  public func callAsFunction(_ text: String) -> String {
    switch self {
    case .hidden: Self.notShown
    case .withoutSecretParts: Self.pairsHidden(in: Self.urlHidden(in: text))
    }
  }

  /// Without what stands before the last `@` of a URL (a password may hold any character, written wrongly), and without the values of its query.
  private static func urlHidden(in text: String) -> String {
    guard let scheme = text.firstRange(of: "://") else {
      // `user:password@host` is written without a scheme as well, where addresses are: of a broker, say.
      guard let at = text.lastIndex(of: "@"), text[..<at].contains(":") else { return text }
      return notShown + text[at...]
    }
    var rest = text[scheme.upperBound...]
    var out = String(text[..<scheme.upperBound])
    if let at = rest.lastIndex(of: "@") {
      out += notShown + "@"
      rest = rest[rest.index(after: at)...]
    }
    guard let mark = rest.firstIndex(where: { $0 == "?" || $0 == "#" }) else { return out + rest }
    out += rest[...mark]
    let pairs = rest[rest.index(after: mark)...].split(separator: "&", omittingEmptySubsequences: false).map { pair in
      pair.firstIndex(of: "=").map { pair[...$0] + notShown } ?? notShown[...]
    }
    return out + pairs.joined(separator: "&")
  }

  /// Without what follows a name such as `password =`: all of it, since only its own reader knows where a value ends.
  private static func pairsHidden(in text: String) -> String {
    let small = Array(text.utf8).map { (65...90).contains($0) ? $0 + 32 : $0 }
    for place in small.indices where small[place] == UInt8(ascii: "=") {
      let name = small[..<place].reversed().drop { $0 == 32 || $0 == 9 }.prefix { $0 != 32 && $0 != 9 && $0 != UInt8(ascii: ",") }
      let word = String(decoding: name.reversed(), as: UTF8.self)
      if ["password", "passwd", "secret", "token"].contains(where: { word.contains($0) }) {
        return String(decoding: Array(text.utf8)[...place], as: UTF8.self) + notShown
      }
    }
    return text
  }
}
