/// Reads XML from anyone: elements, attributes, text, CDATA, comments, namespaces, the five entities of XML itself and character references.
/// A document type is refused, and with it every entity that a document could declare: no file, no address is ever opened, and nothing
/// grows. Without recursion, so that no input can exhaust the stack, and in a time that grows as the input does.
public struct XMLReader {
  private let bytes: [UInt8]
  private let limits: XMLLimits
  private var at = 0
  /// The last place that was asked for. Places only go forward, so a document is counted through once.
  private var counted = (at: 0, line: 1, column: 1)
  private var stack: [(element: XMLElement, tag: String, namespaces: [String: String])] = []
  private var root: XMLElement?
  private var count = 0

  /// The root element of a document.
  /// - Throws: `XMLError` for what is no XML in UTF-8, has a document type, or is above a limit.
  public static func read(_ bytes: [UInt8], limits: XMLLimits = XMLLimits()) throws(XMLError) -> XMLElement {
    var reader = XMLReader(bytes: bytes, limits: limits)
    return try reader.document()
  }

  private init(bytes: [UInt8], limits: XMLLimits) {
    self.bytes = bytes
    self.limits = limits
  }

  private mutating func document() throws(XMLError) -> XMLElement {
    guard bytes.count <= limits.bytes else {
      throw error(.tooLarge, "the file has \(bytes.count) bytes, more than the \(limits.bytes) allowed")
    }
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      throw error(.notUTF8, "the file is UTF-16; save it as UTF-8")
    }
    guard String(validating: bytes, as: UTF8.self) != nil else { throw error(.notUTF8, "the file is not UTF-8") }
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
      at = 3
      counted.at = 3
    }
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "<") { try markup() } else { try text() }
    }
    if let open = stack.last?.element {
      throw XMLError(
        fault: .endsEarly, message: "the element \(open.name) has no end", suggestion: nil, line: open.line, column: open.column)
    }
    guard let root else { throw error(.endsEarly, "the file has no element") }
    return root
  }

  // MARK: Markup

  private mutating func markup() throws(XMLError) {
    if comes("<!--") {
      at = try end(of: "-->", from: at + 4, "the comment has no end")
    } else if comes("<![CDATA[") {
      guard !stack.isEmpty else { throw error(.textOutside) }
      let start = at + 9
      at = try end(of: "]]>", from: start, "the CDATA section has no end")
      stack[stack.count - 1].element.text += String(decoding: bytes[start..<(at - 3)], as: UTF8.self)
    } else if comes("<!DOCTYPE") || comes("<!doctype") {
      throw error(
        .documentType, "a DOCTYPE is refused: it could name entities and files from outside", "remove the declaration")
    } else if comes("<!ENTITY") {
      throw error(.unknownEntity, "an ENTITY declaration is refused")
    } else if comes("<?") {
      try instruction()
    } else if comes("</") {
      try endTag()
    } else if comes("<!") {
      throw error(.declaration, "this declaration is not known")
    } else {
      try startTag()
    }
  }

  private mutating func instruction() throws(XMLError) {
    let end = try end(of: "?>", from: at + 2, "the instruction has no end")
    if comes("<?xml ") {
      let text = String(decoding: bytes[at..<end], as: UTF8.self).lowercased()
      if text.contains("encoding"), !text.contains("utf-8") {
        throw error(.notUTF8, "the file says it is no UTF-8; save it as UTF-8")
      }
    }
    at = end
  }

  private mutating func text() throws(XMLError) {
    let end = bytes[at...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.count
    if stack.isEmpty {
      guard bytes[at..<end].allSatisfy(Self.isSpace) else { throw error(.textOutside) }
    } else {
      let text = try unescaped(at..<end)
      stack[stack.count - 1].element.text += text
    }
    at = end
  }

  private mutating func startTag() throws(XMLError) {
    let (line, column) = place()
    guard root == nil else { throw error(.secondRoot, "a second root element") }
    at += 1
    let tag = try nextName("the name of an element")
    count += 1
    guard count <= limits.elements else { throw error(.tooManyElements, "more than \(limits.elements) elements") }
    guard stack.count < limits.depth else { throw error(.tooDeep, "nested more than \(limits.depth) levels deep") }
    var attributes: [XMLElement.Attribute] = []
    var known: Set<String> = []
    var namespaces = stack.last?.namespaces ?? [:]
    while true {
      let hadSpace = skipSpace()
      if comes("/>") || comes(">") { break }
      guard hadSpace else { throw error(.name, "expected a blank, > or /> in the tag \(tag)") }
      let key = try nextName("the name of an attribute")
      let (name, prefix) = Self.parts(key)
      let isDeclaration = prefix == "xmlns" || key == "xmlns"
      // Attributes are asked for without their prefixes.
      guard known.insert(isDeclaration ? key : name).inserted else {
        throw error(.attributeTwice, "the attribute \(key) is twice in one tag")
      }
      let value = try nextValue(of: key)
      if isDeclaration { namespaces[prefix.isEmpty ? "" : name] = value }
      attributes.append(XMLElement.Attribute(name: name, isDeclaration: isDeclaration, value: value))
      guard attributes.count <= limits.attributes, namespaces.count <= limits.attributes else {
        throw error(.tooManyAttributes, "more than \(limits.attributes) attributes or namespaces in the tag \(tag)")
      }
    }
    let (name, prefix) = Self.parts(tag)
    let element = XMLElement(
      name: name, namespace: namespaces[prefix] ?? "", attributes: attributes, line: line, column: column)
    if comes("/>") {
      at += 2
      close(element)
    } else {
      at += 1
      stack.append((element, tag, namespaces))
    }
  }

  /// The value of an attribute whose name was read.
  private mutating func nextValue(of key: String) throws(XMLError) -> String {
    _ = skipSpace()
    guard comes("=") else { throw error(.attributeWithoutValue, "expected = after the attribute \(key)") }
    at += 1
    _ = skipSpace()
    guard comes("\"") || comes("'") else { throw error(.attributeWithoutValue, "expected the value of \(key) in quotes") }
    let start = at + 1
    guard let end = bytes[start...].firstIndex(of: bytes[at]), !bytes[start..<end].contains(UInt8(ascii: "<")) else {
      throw error(.attributeWithoutValue, "the value of \(key) has no end")
    }
    let value = try unescaped(start..<end)
    at = end + 1
    return value
  }

  private mutating func endTag() throws(XMLError) {
    let (line, column) = place()
    at += 2
    let tag = try nextName("the name of an element")
    _ = skipSpace()
    guard comes(">") else { throw error(.wrongEnd, "expected > after </\(tag)") }
    guard let open = stack.last, open.tag == tag else {
      let expected = stack.last.map { "</\($0.tag)>, which began at line \($0.element.line)" } ?? "no end tag"
      throw XMLError(
        fault: .wrongEnd, message: "expected \(expected), found </\(tag)>", suggestion: nil, line: line, column: column)
    }
    at += 1
    stack.removeLast()
    close(open.element)
  }

  private mutating func close(_ element: XMLElement) {
    if stack.isEmpty { root = element } else { stack[stack.count - 1].element.children.append(element) }
  }

  // MARK: Small parts

  private mutating func nextName(_ what: String) throws(XMLError) -> String {
    var end = at
    while end < bytes.count, Self.isOfName(bytes[end]) { end += 1 }
    guard end > at, !(48...57).contains(bytes[at]), end - at <= 200 else { throw error(.name, "expected \(what)") }
    defer { at = end }
    return String(decoding: bytes[at..<end], as: UTF8.self)
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    switch byte {
    case 65...90, 97...122, 48...57, UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "."), 128...: true
    default: false
    }
  }

  /// A text with its entities put in.
  private mutating func unescaped(_ range: Range<Int>) throws(XMLError) -> String {
    var rest = bytes[range]
    var out = ""
    while let start = rest.firstIndex(of: UInt8(ascii: "&")) {
      // An error is told where its entity stands.
      let place = max(start, counted.at)
      out += String(decoding: rest[..<start], as: UTF8.self)
      guard let end = rest[start...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
        at = place
        throw error(.openEntity, "a lone &; write &amp;")
      }
      let name = String(decoding: rest[(start + 1)..<end], as: UTF8.self)
      switch name {
      case "amp": out += "&"
      case "lt": out += "<"
      case "gt": out += ">"
      case "quot": out += "\""
      case "apos": out += "'"
      default:
        guard name.hasPrefix("#"), let scalar = Self.scalar(name.dropFirst()) else {
          at = place
          throw error(.unknownEntity, "the entity &\(name); is not known; entities of a file's own are refused")
        }
        out.unicodeScalars.append(scalar)
      }
      rest = rest[(end + 1)...]
    }
    return out + String(decoding: rest, as: UTF8.self)
  }

  /// What a character reference stands for; nil for what XML has no place for.
  private static func scalar(_ text: Substring) -> Unicode.Scalar? {
    let isHex = text.first == "x"
    let digits = isHex ? text.dropFirst() : text
    guard digits.first?.isHexDigit == true, let number = UInt32(digits, radix: isHex ? 16 : 10),
      number >= 32 || number == 9 || number == 10 || number == 13
    else { return nil }
    return Unicode.Scalar(number)
  }

  private static func parts(_ name: String) -> (name: String, prefix: String) {
    guard let colon = name.lastIndex(of: ":") else { return (name, "") }
    return (String(name[name.index(after: colon)...]), String(name[..<colon]))
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }

  private mutating func skipSpace() -> Bool {
    let start = at
    while at < bytes.count, Self.isSpace(bytes[at]) { at += 1 }
    return at > start
  }

  private func comes(_ mark: StaticString) -> Bool { comes(mark, at: at) }

  private func comes(_ mark: StaticString, at index: Int) -> Bool {
    guard index + mark.utf8CodeUnitCount <= bytes.count else { return false }
    return mark.withUTF8Buffer { buffer in buffer.indices.allSatisfy { bytes[index + $0] == buffer[$0] } }
  }

  /// The place behind the next mark.
  private mutating func end(of mark: StaticString, from start: Int, _ message: String) throws(XMLError) -> Int {
    var index = start
    while index + mark.utf8CodeUnitCount <= bytes.count {
      if comes(mark, at: index) { return index + mark.utf8CodeUnitCount }
      index += 1
    }
    throw error(.endsEarly, message)
  }

  private mutating func place() -> (line: Int, column: Int) {
    for byte in bytes[counted.at..<at] {
      if byte == 10 {
        counted.line += 1
        counted.column = 1
      } else if byte & 0xC0 != 0x80 {
        counted.column += 1
      }
    }
    counted.at = at
    return (counted.line, counted.column)
  }

  private mutating func error(_ fault: XMLError.Fault, _ message: String? = nil, _ suggestion: String? = nil) -> XMLError {
    let (line, column) = place()
    return XMLError(fault: fault, message: message ?? fault.rawValue, suggestion: suggestion, line: line, column: column)
  }
}
