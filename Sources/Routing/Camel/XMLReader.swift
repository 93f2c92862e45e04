import System
import YAML

/// An element of an XML file with the place where it begins.
struct XMLElement {
  /// The name without its namespace's prefix.
  let name: String
  let attributes: [(name: String, value: String)]
  var children: [XMLElement] = []
  /// The text directly inside, children left out.
  var text = ""
  let position: Position

  subscript(_ attribute: String) -> String? { attributes.first { $0.name == attribute }?.value }
}

/// Reads the XML that route files are written in: elements, attributes, text, CDATA, comments, the five entities of XML itself
/// and character references. A document type is refused, and with it every entity that a file could declare: no file, no
/// address is ever opened, and nothing grows. Without recursion, so that no input can exhaust the stack.
struct XMLReader {
  private let bytes: [UInt8]
  private let file: String
  private var at = 0
  private var line = 1
  /// Counted on the way: a file may be one line, and each of its elements has a place.
  private var column = 1
  private var stack: [XMLElement] = []
  private var root: XMLElement?
  private var count = 0

  /// The file's size in bytes, the number of elements, how deep they may be.
  static let limits = (bytes: 10 * 1024 * 1024, elements: 100_000, depth: 64)

  /// The root element of a file.
  static func read(_ bytes: [UInt8], name: String) throws(Problem) -> XMLElement {
    var reader = XMLReader(bytes: bytes, file: name)
    return try reader.document()
  }

  private init(bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  private mutating func document() throws(Problem) -> XMLElement {
    guard bytes.count <= XMLReader.limits.bytes else {
      throw problem("too-large", "the file has \(bytes.count) bytes, more than the \(XMLReader.limits.bytes) allowed")
    }
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      throw problem("not-utf-8", "the file is UTF-16; save it as UTF-8")
    }
    guard String(validating: bytes, as: UTF8.self) != nil else { throw problem("not-utf-8", "the file is not UTF-8") }
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
      at = 3
    }
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "<") { try markup() } else { try text() }
    }
    if let open = stack.last {
      throw Problem(
        "xml-syntax", "the element \(open.name) has no end", file: file, at: open.position, length: open.name.count + 1)
    }
    guard let root else { throw problem("xml-syntax", "the file has no element") }
    return root
  }

  private mutating func markup() throws(Problem) {
    if comes("<!--") {
      try skip(past: "-->", from: 4, "the comment has no end")
    } else if comes("<![CDATA[") {
      guard !stack.isEmpty else { throw problem("xml-syntax", "text outside of any element") }
      let start = at + 9
      guard let end = find("]]>", from: start) else { throw problem("xml-syntax", "the CDATA section has no end") }
      stack[stack.count - 1].text += String(decoding: bytes[start..<end], as: UTF8.self)
      advance(to: end + 3)
    } else if comes("<!DOCTYPE") || comes("<!doctype") {
      throw problem(
        "doctype", "a DOCTYPE is refused: it could name entities and files from outside", "remove the declaration")
    } else if comes("<!ENTITY") {
      throw problem("entity", "an ENTITY declaration is refused")
    } else if comes("<?") {
      try instruction()
    } else if comes("</") {
      try endTag()
    } else if comes("<!") {
      throw problem("xml-syntax", "this declaration is not known")
    } else {
      try startTag()
    }
  }

  private mutating func instruction() throws(Problem) {
    guard let end = find("?>", from: at + 2) else { throw problem("xml-syntax", "the instruction has no end") }
    if comes("<?xml ") {
      let text = String(decoding: bytes[at..<end], as: UTF8.self).lowercased()
      if text.contains("encoding"), !text.contains("utf-8") {
        throw problem("not-utf-8", "the file says it is no UTF-8; save it as UTF-8")
      }
    }
    advance(to: end + 2)
  }

  private mutating func text() throws(Problem) {
    let start = at
    var end = at
    while end < bytes.count, bytes[end] != UInt8(ascii: "<") { end += 1 }
    let isBlank = bytes[start..<end].allSatisfy { XMLReader.isSpace($0) }
    if stack.isEmpty {
      guard isBlank else { throw problem("xml-syntax", "text outside of any element") }
    } else if !isBlank {
      let text = try unescaped(start..<end)
      stack[stack.count - 1].text += text
    }
    advance(to: end)
  }

  private mutating func startTag() throws(Problem) {
    let place = position
    guard root == nil || !stack.isEmpty else { throw problem("xml-syntax", "a second root element") }
    advance(to: at + 1)
    let name = try self.name("the name of an element")
    count += 1
    guard count <= XMLReader.limits.elements else {
      throw problem("too-many-elements", "more than \(XMLReader.limits.elements) elements")
    }
    guard stack.count < XMLReader.limits.depth else {
      throw problem("too-deep", "nested more than \(XMLReader.limits.depth) levels deep")
    }
    var attributes: [(name: String, value: String)] = []
    var known: Set<String> = []
    while true {
      let hadSpace = skipSpace()
      if comes("/>") {
        advance(to: at + 2)
        close(XMLElement(name: XMLReader.local(name), attributes: attributes, position: place))
        return
      }
      if comes(">") {
        advance(to: at + 1)
        stack.append(XMLElement(name: XMLReader.local(name), attributes: attributes, position: place))
        return
      }
      guard hadSpace else { throw problem("xml-syntax", "expected a blank, > or /> in the tag \(name)") }
      let key = try self.name("the name of an attribute")
      if known.contains(key) {
        throw problem("xml-syntax", "the attribute \(key) is twice in one tag")
      }
      _ = skipSpace()
      guard comes("=") else { throw problem("xml-syntax", "expected = after the attribute \(key)") }
      advance(to: at + 1)
      _ = skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "'") else {
        throw problem("xml-syntax", "expected the value of \(key) in quotes")
      }
      let quote = bytes[at]
      let start = at + 1
      guard let end = bytes[start...].firstIndex(of: quote), !bytes[start..<end].contains(UInt8(ascii: "<")) else {
        throw problem("xml-syntax", "the value of \(key) has no end")
      }
      known.insert(key)
      known.insert(XMLReader.local(key))
      attributes.append((XMLReader.local(key), try unescaped(start..<end)))
      advance(to: end + 1)
    }
  }

  private mutating func endTag() throws(Problem) {
    let place = position
    advance(to: at + 2)
    let name = XMLReader.local(try self.name("the name of an element"))
    _ = skipSpace()
    guard comes(">") else { throw problem("xml-syntax", "expected > after </\(name)") }
    guard let open = stack.last, open.name == name else {
      let expected = stack.last.map { "</\($0.name)>, which began at line \($0.position.line)" } ?? "no end tag"
      throw Problem(
        "xml-syntax", "expected \(expected), found </\(name)>", file: file, at: place, length: name.count + 3)
    }
    advance(to: at + 1)
    stack.removeLast()
    close(open)
  }

  private mutating func close(_ element: XMLElement) {
    if stack.isEmpty { root = element } else { stack[stack.count - 1].children.append(element) }
  }

  private mutating func name(_ what: String) throws(Problem) -> String {
    var end = at
    while end < bytes.count {
      switch bytes[end] {
      case 65...90, 97...122, 48...57, UInt8(ascii: "_"), UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "."),
        128...:
        end += 1
        continue
      default: break
      }
      break
    }
    guard end > at, !(48...57).contains(bytes[at]), end - at <= 200 else {
      throw problem("xml-syntax", "expected \(what)")
    }
    let name = String(decoding: bytes[at..<end], as: UTF8.self)
    advance(to: end)
    return name
  }

  private func unescaped(_ range: Range<Int>) throws(Problem) -> String {
    guard bytes[range].contains(UInt8(ascii: "&")) else { return String(decoding: bytes[range], as: UTF8.self) }
    var out: [UInt8] = []
    var index = range.lowerBound
    while index < range.upperBound {
      guard bytes[index] == UInt8(ascii: "&") else {
        out.append(bytes[index])
        index += 1
        continue
      }
      let limit = min(index + 12, range.upperBound)
      guard let end = bytes[index..<limit].firstIndex(of: UInt8(ascii: ";")) else {
        throw problem("xml-syntax", "a lone &; write &amp;")
      }
      let name = String(decoding: bytes[index + 1..<end], as: UTF8.self)
      switch name {
      case "amp": out.append(UInt8(ascii: "&"))
      case "lt": out.append(UInt8(ascii: "<"))
      case "gt": out.append(UInt8(ascii: ">"))
      case "quot": out.append(UInt8(ascii: "\""))
      case "apos": out.append(UInt8(ascii: "'"))
      default:
        guard name.first == "#", let scalar = XMLReader.scalar(name.dropFirst()) else {
          throw problem("entity", "the entity &\(name); is not known; entities of a file's own are refused")
        }
        out += Array(String(scalar).utf8)
      }
      index = end + 1
    }
    return String(decoding: out, as: UTF8.self)
  }

  private static func scalar(_ text: Substring) -> Unicode.Scalar? {
    let number = text.first == "x" ? UInt32(text.dropFirst(), radix: 16) : UInt32(text)
    guard let number, number >= 32 || number == 9 || number == 10 || number == 13 else { return nil }
    return Unicode.Scalar(number)
  }

  private static func local(_ name: String) -> String {
    name.lastIndex(of: ":").map { String(name[name.index(after: $0)...]) } ?? name
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }

  private mutating func skipSpace() -> Bool {
    let start = at
    while at < bytes.count, XMLReader.isSpace(bytes[at]) { advance(to: at + 1) }
    return at > start
  }

  private mutating func skip(past mark: StaticString, from distance: Int, _ message: String) throws(Problem) {
    guard let end = find(mark, from: at + distance) else { throw problem("xml-syntax", message) }
    advance(to: end + mark.utf8CodeUnitCount)
  }

  private func comes(_ mark: StaticString) -> Bool { comes(mark, at: at) }

  private func comes(_ mark: StaticString, at index: Int) -> Bool {
    guard index + mark.utf8CodeUnitCount <= bytes.count else { return false }
    return mark.withUTF8Buffer { buffer in buffer.indices.allSatisfy { bytes[index + $0] == buffer[$0] } }
  }

  private func find(_ mark: StaticString, from start: Int) -> Int? {
    var index = start
    while index + mark.utf8CodeUnitCount <= bytes.count {
      if comes(mark, at: index) { return index }
      index += 1
    }
    return nil
  }

  private mutating func advance(to end: Int) {
    while at < end {
      if bytes[at] == 10 {
        line += 1
        column = 1
      } else if bytes[at] & 0xC0 != 0x80 {
        column += 1
      }
      at += 1
    }
  }

  private var position: Position { Position(line: line, column: column) }

  private func problem(_ code: String, _ message: String, _ suggestion: String? = nil) -> Problem {
    Problem(code, message, file: file, at: position, suggestion: suggestion)
  }
}
