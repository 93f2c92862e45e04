/// As much of XML as biometric records need: elements with attributes and text, comments, CDATA, the entities of XML itself. A document type
/// is refused, so nothing is declared, opened or expanded. Without recursion, so that no input exhausts the stack.
struct BiometricXML {
  /// An element, its namespace's prefix resolved.
  struct Element {
    let name: String
    let namespace: String
    let attributes: [String: String]
    var children: [Element] = []
    var text = ""

    func first(_ name: String) -> Element? { children.first { $0.name == name } }
    /// The text without the blanks around it.
    var trimmed: String {
      var part = text[...]
      while let first = part.first, first.isWhitespace { part.removeFirst() }
      while let last = part.last, last.isWhitespace { part.removeLast() }
      return String(part)
    }
  }

  /// Bytes, elements and levels of one record.
  static let limits = (bytes: 32 << 20, elements: 10_000, depth: 12)

  private let bytes: [UInt8]
  private var at = 0
  private var stack: [(element: Element, tag: String, namespaces: [String: String])] = []
  private var root: Element?
  private var count = 0

  static func read(_ bytes: [UInt8]) throws(CBEFFError) -> Element {
    guard bytes.count <= limits.bytes else { throw CBEFFError("more than \(limits.bytes >> 20) MiB") }
    guard String(validating: bytes, as: UTF8.self) != nil else { throw CBEFFError("the text is not UTF-8") }
    var reader = BiometricXML(bytes: bytes)
    return try reader.document()
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private mutating func document() throws(CBEFFError) -> Element {
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "<") { try markup() } else { try text() }
    }
    guard stack.isEmpty, let root else { throw CBEFFError("the XML ends too early") }
    return root
  }

  // MARK: Markup

  private mutating func markup() throws(CBEFFError) {
    if comes("<!--") {
      at = try end(of: "-->", from: at + 4)
    } else if comes("<?") {
      at = try end(of: "?>", from: at + 2)
    } else if comes("<![CDATA[") {
      guard !stack.isEmpty else { throw CBEFFError("text outside of any element") }
      let start = at + 9
      at = try end(of: "]]>", from: start)
      stack[stack.count - 1].element.text += String(decoding: bytes[start..<(at - 3)], as: UTF8.self)
    } else if comes("<!") {
      throw CBEFFError("a document type")
    } else if comes("</") {
      at += 2
      let tag = try name()
      skipBlanks()
      guard take(">"), let open = stack.popLast(), open.tag == tag else { throw CBEFFError("an end that fits no element") }
      close(open.element)
    } else {
      try begin()
    }
  }

  private mutating func begin() throws(CBEFFError) {
    at += 1
    count += 1
    guard count <= Self.limits.elements, stack.count < Self.limits.depth else { throw CBEFFError("too many or too deep elements") }
    guard root == nil else { throw CBEFFError("more than one root element") }
    let tag = try name()
    var attributes: [String: String] = [:]
    var namespaces = stack.last?.namespaces ?? [:]
    while true {
      skipBlanks()
      if comes("/>") || comes(">") { break }
      let attribute = try name()
      skipBlanks()
      guard take("=") else { throw CBEFFError("an attribute without a value") }
      skipBlanks()
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "'"),
        let end = bytes[(at + 1)...].firstIndex(of: bytes[at])
      else { throw CBEFFError("an attribute without a value") }
      let value = try Self.resolve(bytes[(at + 1)..<end])
      at = end + 1
      if attribute == "xmlns" {
        namespaces[""] = value
      } else if attribute.hasPrefix("xmlns:") {
        namespaces[String(attribute.dropFirst(6))] = value
      } else if attributes.updateValue(value, forKey: Self.local(attribute).name) != nil {
        throw CBEFFError("an attribute twice")
      }
      guard namespaces.count <= 16, attributes.count <= 16 else { throw CBEFFError("too many attributes") }
    }
    let (name, prefix) = Self.local(tag)
    let element = Element(name: name, namespace: namespaces[prefix] ?? "", attributes: attributes)
    if take("/>") { return close(element) }
    at += 1
    stack.append((element, tag, namespaces))
  }

  private mutating func close(_ element: Element) {
    if stack.isEmpty { root = element } else { stack[stack.count - 1].element.children.append(element) }
  }

  private mutating func text() throws(CBEFFError) {
    let end = bytes[at...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
    let part = bytes[at..<end]
    at = end
    if stack.isEmpty {
      guard part.allSatisfy({ [9, 10, 13, 32].contains($0) }) else { throw CBEFFError("text outside of any element") }
    } else {
      stack[stack.count - 1].element.text += try Self.resolve(part)
    }
  }

  // MARK: Small parts

  private static func local(_ tag: String) -> (name: String, prefix: String) {
    guard let colon = tag.firstIndex(of: ":") else { return (tag, "") }
    return (String(tag[tag.index(after: colon)...]), String(tag[..<colon]))
  }

  /// A text with its entities put in.
  private static func resolve(_ part: ArraySlice<UInt8>) throws(CBEFFError) -> String {
    guard part.contains(UInt8(ascii: "&")) else { return String(decoding: part, as: UTF8.self) }
    var out = ""
    var rest = part
    while let amp = rest.firstIndex(of: UInt8(ascii: "&")) {
      out += String(decoding: rest[..<amp], as: UTF8.self)
      guard let semicolon = rest[amp...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
        throw CBEFFError("an entity without an end")
      }
      let name = String(decoding: rest[(amp + 1)..<semicolon], as: UTF8.self)
      switch name {
      case "lt": out += "<"
      case "gt": out += ">"
      case "amp": out += "&"
      case "quot": out += "\""
      case "apos": out += "'"
      default:
        let number =
          name.hasPrefix("#x") ? UInt32(name.dropFirst(2), radix: 16) : name.hasPrefix("#") ? UInt32(name.dropFirst()) : nil
        guard let scalar = number.flatMap(Unicode.Scalar.init), scalar.value >= 9 else { throw CBEFFError("an unknown entity") }
        out.unicodeScalars.append(scalar)
      }
      rest = rest[(semicolon + 1)...]
    }
    return out + String(decoding: rest, as: UTF8.self)
  }

  private func comes(_ word: StaticString) -> Bool {
    let count = word.utf8CodeUnitCount
    guard at + count <= bytes.count else { return false }
    return (0..<count).allSatisfy { bytes[at + $0] == word.utf8Start[$0] }
  }

  private mutating func take(_ word: StaticString) -> Bool {
    guard comes(word) else { return false }
    at += word.utf8CodeUnitCount
    return true
  }

  private mutating func skipBlanks() {
    while at < bytes.count, [9, 10, 13, 32].contains(bytes[at]) { at += 1 }
  }

  private mutating func name() throws(CBEFFError) -> String {
    let start = at
    while at < bytes.count {
      switch bytes[at] {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"), 128...:
        at += 1
        continue
      default: break
      }
      break
    }
    guard at > start, at - start <= 128 else { throw CBEFFError("a name that is none") }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  private func end(of word: StaticString, from start: Int) throws(CBEFFError) -> Int {
    let count = word.utf8CodeUnitCount
    var place = start
    while place + count <= bytes.count {
      guard let next = bytes[place...].firstIndex(of: word.utf8Start[0]), next + count <= bytes.count else { break }
      if (0..<count).allSatisfy({ bytes[next + $0] == word.utf8Start[$0] }) { return next + count }
      place = next + 1
    }
    throw CBEFFError("the XML ends too early")
  }
}
