/// Templates of messages to people, as MOSIP's master data have them.
enum MessageTemplate {
  /// The text with its variables filled in, which are written `$name`, `$!name`, `${name}` or, by language, `$name_eng`. One that is not known is
  /// left out; a value is taken as it is.
  static func filled(_ template: String, _ values: [String: String]) -> String {
    template.replacing(#/\$!?(?:([A-Za-z][A-Za-z0-9_]*)|\{([A-Za-z][A-Za-z0-9_]*)\})/#) { match in
      let name = String(match.1 ?? match.2 ?? "")
      return values[name] ?? values[String(name.prefix { $0 != "_" })] ?? ""
    }
  }
}
