import System

/// How a kind of file is laid out. A path names a place: the keys on the way to it, `*` for an item of a list.
public struct YAMLStyle: Sendable {
  /// Lists and mappings that fit within so many columns are written on one line.
  public var width: Int
  /// Places that are never written on one line.
  public var isBlock: @Sendable ([String]) -> Bool
  /// The order of the keys of a mapping; keys that are not named come last, as they stand.
  public var order: @Sendable ([String]) -> [String]

  /// A style; without more, everything that fits is on one line and keys stay in their order.
  public init(
    width: Int = 100, isBlock: @escaping @Sendable ([String]) -> Bool = { _ in false },
    order: @escaping @Sendable ([String]) -> [String] = { _ in [] }
  ) {
    self.width = width
    self.isBlock = isBlock
    self.order = order
  }
}

/// Writes YAML in one canonical form. What it writes has the same values as what it was given, and every comment.
public struct YAMLPrinter {
  private let style: YAMLStyle
  private let comments: YAMLComments
  private var out = ""

  /// A document that was read, with its comments. Aliases are written out; the comments inside what they stand for stay at the
  /// anchor.
  public static func print(_ root: YAMLNode, of source: SourceText, style: YAMLStyle) -> String {
    let root = root.writtenOut()
    var printer = YAMLPrinter(style, YAMLComments(source, root))
    return printer.document(root)
  }

  /// A tree that was made. `header` are lines of comment at its top, without `#`; `comments` stand above the entry or item
  /// that begins at a position, and blank lines before the `spaced` ones, if no two nodes of the tree begin at one position.
  public static func print(
    _ root: YAMLNode, header: [String] = [], comments: [Position: [String]] = [:], spaced: Set<Position> = [],
    style: YAMLStyle
  ) -> String {
    var printer = YAMLPrinter(style, YAMLComments(leading: comments, spaced: spaced))
    let top = header.map { $0.isEmpty ? "#\n" : "# \($0)\n" }.joined()
    return top + (header.isEmpty ? "" : "\n") + printer.document(root)
  }

  private init(_ style: YAMLStyle, _ comments: YAMLComments) {
    self.style = style
    self.comments = comments
  }

  private mutating func document(_ root: YAMLNode) -> String {
    if let text = inline(root, []) {
      let line = text + trailing(inside: root, [])
      // Of a file of comments there is nothing else to write.
      if !line.isEmpty { out = line + "\n" }
    } else {
      block(root, 0, [])
    }
    below(comments.last, 0)
    return out
  }

  // MARK: - On several lines

  private mutating func block(_ node: YAMLNode, _ indent: Int, _ path: [String], isFirstInPlace: Bool = false) {
    var isInPlace = isFirstInPlace
    switch node.content {
    case .scalar: break
    case .sequence(let items):
      for item in items {
        lead(YAMLComments.Entry(position: item.start, isItem: true), indent, isInPlace)
        if !isInPlace { pad(indent) }
        isInPlace = false
        out += "- "
        self.item(item, indent, path + ["*"])
      }
    case .mapping(let entries):
      for entry in ordered(entries, path) {
        lead(YAMLComments.Entry(position: entry.keyNode.start, isItem: false), indent, isInPlace)
        if !isInPlace { pad(indent) }
        isInPlace = false
        value(entry, indent, path + [entry.key])
      }
    }
    below(comments.tail[node.start] ?? [], indent)
  }

  /// Comments below something; an empty text is a blank line.
  private mutating func below(_ comments: [String], _ indent: Int) {
    for comment in comments {
      if comment.isEmpty {
        if !out.isEmpty, !out.hasSuffix("\n\n") { out += "\n" }
        continue
      }
      pad(indent)
      out += comment + "\n"
    }
  }

  private mutating func item(_ item: YAMLNode, _ indent: Int, _ path: [String]) {
    let own = trailing(YAMLComments.Entry(position: item.start, isItem: true))
    if let text = inline(item, path), item.hasOneForm || fits(indent + 2 + text.unicodeScalars.count) {
      out += (text.isEmpty ? "null" : text) + own + trailing(inside: item, path) + "\n"
      return
    }
    if item.mapping != nil, own.isEmpty, !hasLeadingComment(item, path) {
      // The first entry stands behind the dash.
      block(item, indent + 2, path, isFirstInPlace: true)
    } else {
      while out.last == " " { out.removeLast() }
      out += own + "\n"
      block(item, indent + 2, path)
    }
  }

  private mutating func value(_ entry: YAMLEntry, _ indent: Int, _ path: [String]) {
    let key = scalar(entry.keyNode, isKey: true)
    let own = YAMLComments.Entry(position: entry.keyNode.start, isItem: false)
    if let text = inline(entry.value, path),
      entry.value.hasOneForm || fits(indent + key.unicodeScalars.count + 2 + text.unicodeScalars.count)
    {
      out += key + ":" + (text.isEmpty ? "" : " " + text) + trailing(own) + trailing(inside: entry.value, path) + "\n"
    } else {
      out += key + ":" + trailing(own) + "\n"
      block(entry.value, indent + 2, path)
    }
  }

  private func fits(_ columns: Int) -> Bool { columns <= style.width }

  private mutating func pad(_ indent: Int) { out += String(repeating: " ", count: indent) }

  private func hasLeadingComment(_ node: YAMLNode, _ path: [String]) -> Bool {
    guard let first = node.mapping.flatMap({ ordered($0, path).first }) else { return false }
    return isLed(YAMLComments.Entry(position: first.keyNode.start, isItem: false))
  }

  private mutating func lead(_ entry: YAMLComments.Entry, _ indent: Int, _ isInPlace: Bool) {
    if isInPlace { return }
    if comments.spaced.contains(entry), !out.isEmpty, !out.hasSuffix("\n\n") { out += "\n" }
    for comment in comments.leading[entry] ?? [] {
      if !comment.isEmpty { pad(indent) }
      out += comment + "\n"
    }
  }

  /// The comment behind an entry.
  private func trailing(_ entry: YAMLComments.Entry) -> String {
    comments.trailing[entry].map { "  " + $0 } ?? ""
  }

  /// The comments behind what is in a node that was written on one line.
  private func trailing(inside node: YAMLNode, _ path: [String]) -> String {
    var out = ""
    if comments.trailing.isEmpty { return out }
    for child in children(node, path) { out += trailing(child.entry) + trailing(inside: child.value, child.path) }
    return out
  }

  private struct Child {
    let entry: YAMLComments.Entry
    let value: YAMLNode
    let path: [String]
  }

  /// What is in a node, in the order in which it is written.
  private func children(_ node: YAMLNode, _ path: [String]) -> [Child] {
    switch node.content {
    case .scalar: []
    case .sequence(let items):
      items.map { Child(entry: YAMLComments.Entry(position: $0.start, isItem: true), value: $0, path: path + ["*"]) }
    case .mapping(let entries):
      ordered(entries, path).map {
        Child(
          entry: YAMLComments.Entry(position: $0.keyNode.start, isItem: false), value: $0.value, path: path + [$0.key])
      }
    }
  }

  private func ordered(_ entries: [YAMLEntry], _ path: [String]) -> [YAMLEntry] {
    let order = style.order(path)
    guard !order.isEmpty else { return entries }
    return entries.enumerated().sorted { a, b in
      let left = order.firstIndex(of: a.element.key) ?? order.count
      let right = order.firstIndex(of: b.element.key) ?? order.count
      return (left, a.offset) < (right, b.offset)
    }.map(\.element)
  }

  // MARK: - On one line

  /// The node on one line; nil when its place or a comment inside forbids it.
  private func inline(_ node: YAMLNode, _ path: [String], isInside: Bool = false) -> String? {
    switch node.content {
    case .scalar: return scalar(node, isInside: isInside)
    case .sequence(let items):
      guard !items.isEmpty else { return "[]" }
      guard !style.isBlock(path), isQuiet(node, path) else { return nil }
      var parts: [String] = []
      for item in items {
        guard !isLed(YAMLComments.Entry(position: item.start, isItem: true)),
          let text = inline(item, path + ["*"], isInside: true)
        else { return nil }
        parts.append(text)
      }
      return "[" + parts.joined(separator: ", ") + "]"
    case .mapping(let entries):
      guard !entries.isEmpty else { return "{}" }
      guard !style.isBlock(path), isQuiet(node, path) else { return nil }
      var parts: [String] = []
      for entry in ordered(entries, path) {
        guard !isLed(YAMLComments.Entry(position: entry.keyNode.start, isItem: false)),
          let text = inline(entry.value, path + [entry.key], isInside: true)
        else { return nil }
        parts.append(scalar(entry.keyNode, isKey: true, isInside: true) + ":" + (text.isEmpty ? "" : " " + text))
      }
      return "{ " + parts.joined(separator: ", ") + " }"
    }
  }

  /// Whether every comment inside would still stand behind what it stands behind now, if the node were on one line: that is so
  /// for comments of the last entry, and of the last one in that.
  private func isQuiet(_ node: YAMLNode, _ path: [String], isLast: Bool = true) -> Bool {
    if comments.trailing.isEmpty, comments.tail.isEmpty { return true }
    guard comments.tail[node.start] == nil else { return false }
    let children = children(node, path)
    for (index, child) in children.enumerated() {
      let isLast = isLast && index == children.count - 1
      if !isLast, comments.trailing[child.entry] != nil { return false }
      if !isQuiet(child.value, child.path, isLast: isLast) { return false }
    }
    return true
  }

  /// Whether a comment stands above an entry.
  private func isLed(_ entry: YAMLComments.Entry) -> Bool { comments.leading[entry] != nil }

  private func scalar(_ node: YAMLNode, isKey: Bool = false, isInside: Bool = false) -> String {
    guard case .scalar(let text, let isQuoted) = node.content else { return "" }
    if isKey { return YAMLPrinter.isPlain(text, isInside: isInside) ? text : YAMLPrinter.quote(text) }
    if !isQuoted, YAMLValue(plain: text) != .string(text) {
      // Nothing at all would be misread between braces.
      return text.isEmpty && isInside ? "null" : text
    }
    let words: Set<String> = ["y", "n", "yes", "no", "on", "off"]
    let isMisread = YAMLValue(plain: text) != .string(text) || words.contains(text.lowercased())
    return !isMisread && YAMLPrinter.isPlain(text, isInside: isInside) ? text : YAMLPrinter.quote(text)
  }

  /// Whether a text needs no quotes (yaml.org/spec/1.2.2, 7.3.3), with some to spare.
  static func isPlain(_ text: String, isInside: Bool) -> Bool {
    guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else { return false }
    if "-?:,[]{}#&*!|>'\"%@` \t=<".unicodeScalars.contains(first) || last == " " || last == ":" { return false }
    if text == "---" || text == "..." { return false }
    var before: Unicode.Scalar = "x"
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\u{21}"..."\u{7E}", "\u{A0}"..."\u{D7FF}", "\u{E000}"..."\u{FEFE}", "\u{FF00}"..."\u{FFFD}", " ": break
      default: return false
      }
      if scalar == "\u{2028}" || scalar == "\u{2029}" || scalar == "\u{85}" { return false }
      if scalar == "#", before == " " { return false }
      if scalar == " ", before == ":" { return false }
      if ",[]{}".unicodeScalars.contains(scalar), isInside { return false }
      before = scalar
    }
    return true
  }

  static func quote(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": out += "\\\(scalar)"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case " "..."~", "\u{A1}"..."\u{2027}", "\u{202F}"..."\u{D7FF}", "\u{E000}"..."\u{FEFE}", "\u{FF00}"..."\u{FFFD}":
        out.unicodeScalars.append(scalar)
      default:
        let isShort = scalar.value < 0x1_0000
        out += (isShort ? "\\u" : "\\U") + scalar.value.digits(isShort ? 4 : 8, radix: 16)
      }
    }
    return out + "\""
  }
}

extension YAMLNode {
  /// Whether it can only stand on one line, however long that is: a block of nothing would be null.
  fileprivate var hasOneForm: Bool {
    switch content {
    case .scalar: true
    case .sequence(let items): items.isEmpty
    case .mapping(let entries): entries.isEmpty
    }
  }
}

extension YAMLNode {
  /// The same tree without aliases: what an alias stood for is at the alias' place, and what is in that is nowhere in the text
  /// (on line 0), each at a column of its own.
  fileprivate func writtenOut() -> YAMLNode {
    var copies = 0
    return writtenOut(isCopy: false, &copies)
  }

  private func writtenOut(isCopy: Bool, _ copies: inout Int) -> YAMLNode {
    let isInside = isCopy || alias != nil
    let content: Content
    switch self.content {
    case .scalar: content = self.content
    case .sequence(let items): content = .sequence(items.map { $0.writtenOut(isCopy: isInside, &copies) })
    case .mapping(let entries):
      content = .mapping(
        entries.map {
          YAMLEntry(
            key: $0.key, keyNode: $0.keyNode.writtenOut(isCopy: isInside, &copies),
            value: $0.value.writtenOut(isCopy: isInside, &copies))
        })
    }
    guard isCopy else { return YAMLNode(content, start: alias?.start ?? start, end: alias?.end ?? end) }
    copies += 1
    let nowhere = Position(line: 0, column: copies)
    return YAMLNode(content, start: nowhere, end: nowhere)
  }
}
