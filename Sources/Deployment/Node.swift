import JSON

/// A value of a YAML file that is written: mappings keep the order in which they are made.
indirect enum Node: Sendable, Equatable {
  case text(String)
  case number(Int)
  case flag(Bool)
  case list([Node])
  case map([Pair])
  /// Written as it stands: an expression of a template.
  case raw(String)
  /// A block that a template fills in from this expression.
  case block(String)

  struct Pair: Sendable, Equatable {
    var key: String
    var value: Node
    init(_ key: String, _ value: Node) { (self.key, self.value) = (key, value) }
  }
}

extension Node: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral, ExpressibleByStringInterpolation
{
  init(stringLiteral value: String) { self = .text(value) }
  init(integerLiteral value: Int) { self = .number(value) }
  init(booleanLiteral value: Bool) { self = .flag(value) }
  init(arrayLiteral elements: Node...) { self = .list(elements) }
  init(dictionaryLiteral elements: (String, Node)...) { self = .map(elements.map { Pair($0, $1) }) }

  /// Texts by name, sorted.
  init(sorted texts: [String: String]) { self = .map(texts.sorted { $0.key < $1.key }.map { Pair($0.key, .text($0.value)) }) }
  /// A list of texts.
  init(_ texts: [String]) { self = .list(texts.map { .text($0) }) }

  /// A mapping with further pairs.
  func adding(_ more: [(String, Node)]) -> Node {
    guard case .map(let pairs) = self else { return self }
    return .map(pairs + more.map { Pair($0.0, $0.1) })
  }
}

extension Node {
  /// The node as a document of YAML, in block style.
  var yaml: String { lines(0).map { $0 + "\n" }.joined() }

  private func lines(_ indent: Int) -> [String] {
    let pad = String(repeating: " ", count: indent)
    switch self {
    case .map(let pairs):
      return pairs.flatMap { pair -> [String] in
        let key = pad + Node.text(pair.key).inline + ":"
        if pair.value.isInline { return [key + " " + pair.value.inline] }
        if case .block(let expression) = pair.value { return [key, "\(pad)  {{- toYaml \(expression) | nindent \(indent + 2) }}"] }
        if case .text(let text) = pair.value {
          let inside = text.split(separator: "\n", omittingEmptySubsequences: false)
          return [key + (text.hasSuffix("\n") ? " |" : " |-")]
            + (text.hasSuffix("\n") ? inside.dropLast() : inside[...]).map { $0.isEmpty ? "" : pad + "  " + $0 }
        }
        return [key] + pair.value.lines(indent + 2)
      }
    case .list(let items):
      return items.flatMap { item -> [String] in
        if item.isInline { return [pad + "- " + item.inline] }
        var inside = item.lines(indent + 2)
        inside[0] = pad + "- " + inside[0].dropFirst(indent + 2)
        return inside
      }
    default: return [pad + inline]
    }
  }

  private var isInline: Bool {
    switch self {
    case .map(let pairs): pairs.isEmpty
    case .list(let items): items.isEmpty
    case .text(let text): !text.contains("\n")
    case .block: false
    default: true
    }
  }

  private var inline: String {
    switch self {
    case .text(let text): Node.isPlain(text) ? text : Node.quoted(text)
    case .number(let number): String(number)
    case .flag(let flag): String(flag)
    case .raw(let text): text
    case .map: "{}"
    case .list: "[]"
    case .block(let expression): expression
    }
  }

  /// Whether a text needs no quotes in any YAML reader.
  private static func isPlain(_ text: String) -> Bool {
    guard let first = text.unicodeScalars.first, first.properties.isAlphabetic || first == "/" || first == "." else { return false }
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", ".nan", ".inf"]
    return !words.contains(text.lowercased())
      && text.unicodeScalars.allSatisfy {
        $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "-_./".unicodeScalars.contains($0))
      }
  }

  /// In double quotes, as JSON has them, which YAML takes too.
  static func quoted(_ text: String) -> String { String(decoding: JSONValue.string(text).encoded(), as: UTF8.self) }
}
