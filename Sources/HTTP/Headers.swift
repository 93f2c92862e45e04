/// The header fields of a message, in their order. Names are compared without case; a name may occur several times (RFC 9110, 5).
public struct Headers: Sendable, Sequence, ExpressibleByDictionaryLiteral {
  private var fields: [(name: String, value: String)]

  /// No fields.
  public init() { fields = [] }

  /// Fields in their order.
  public init(_ fields: [(name: String, value: String)]) { self.fields = fields }

  /// Fields written as a dictionary; names may repeat.
  public init(dictionaryLiteral elements: (String, String)...) {
    fields = elements.map { (name: $0.0, value: $0.1) }
  }

  /// The first value of a name; setting replaces all values, nil removes them.
  public subscript(name: String) -> String? {
    get { fields.first { Self.same($0.name, name) }?.value }
    set {
      if let newValue { set(name, newValue) } else { remove(name) }
    }
  }

  /// Every value of a name, in their order.
  public func all(_ name: String) -> [String] { fields.filter { Self.same($0.name, name) }.map(\.value) }

  /// Adds a field beside those of the same name.
  public mutating func append(_ name: String, _ value: String) { fields.append((name: name, value: value)) }

  /// Replaces all fields of a name by one.
  public mutating func set(_ name: String, _ value: String) {
    remove(name)
    append(name, value)
  }

  /// Takes all fields of a name away.
  public mutating func remove(_ name: String) { fields.removeAll { Self.same($0.name, name) } }

  /// How many fields there are.
  public var count: Int { fields.count }

  /// The fields as name and value, names as they were written.
  public func makeIterator() -> IndexingIterator<[(name: String, value: String)]> { fields.makeIterator() }

  /// Whether two field names are the same: ASCII letters of either case.
  static func same(_ a: String, _ b: String) -> Bool {
    let (x, y) = (a.utf8, b.utf8)
    return x.count == y.count && zip(x, y).allSatisfy { lower($0) == lower($1) }
  }

  private static func lower(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte | 32 : byte }

  /// Whether a field can be written without changing the message around it: no control characters, a name of token characters.
  static func isWritable(_ name: String, _ value: String) -> Bool {
    isToken(name) && value.utf8.allSatisfy { $0 == 9 || $0 >= 32 && $0 != 127 }
  }

  /// Whether a text is a token (RFC 9110, 5.6.2), as methods and field names are.
  static func isToken(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy {
        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || marks.contains($0)
      }
  }

  private static let marks = Array("!#$%&'*+-.^_`|~".utf8)
}

/// A field value with parameters, such as `form-data; name="photo"` (RFC 9110, 5.6.6).
struct ParameterizedValue {
  /// The part before the first semicolon, in lower case.
  let value: String
  private let parameters: [(name: String, value: String)]

  /// The first value of a parameter; names are compared without case.
  subscript(name: String) -> String? { parameters.first { Headers.same($0.name, name) }?.value }

  /// Splits a field value; quoted parameters may hold semicolons. In quotes only `\"` and `\\` are escapes, so that a Windows
  /// path, which some clients send with single backslashes, stays what it is.
  init(_ field: String) {
    let bytes = Array(field.utf8)
    var at = 0
    func text(_ range: some Sequence<UInt8>) -> String { String(decoding: Array(range), as: UTF8.self) }
    func skipBlanks() { while at < bytes.count, bytes[at] == 32 || bytes[at] == 9 { at += 1 } }
    let end = bytes.firstIndex(of: UInt8(ascii: ";")) ?? bytes.count
    value = text(bytes[..<end].filter { $0 != 32 && $0 != 9 }).lowercased()
    at = end
    var found: [(name: String, value: String)] = []
    while at < bytes.count {
      at += 1
      skipBlanks()
      let start = at
      while at < bytes.count, bytes[at] != UInt8(ascii: "="), bytes[at] != UInt8(ascii: ";") { at += 1 }
      let name = text(bytes[start..<at].filter { $0 != 32 && $0 != 9 })
      guard at < bytes.count, bytes[at] == UInt8(ascii: "=") else { continue }
      at += 1
      skipBlanks()
      var content: [UInt8] = []
      if at < bytes.count, bytes[at] == UInt8(ascii: "\"") {
        at += 1
        while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
          if bytes[at] == UInt8(ascii: "\\"), at + 1 < bytes.count,
            bytes[at + 1] == UInt8(ascii: "\"") || bytes[at + 1] == UInt8(ascii: "\\")
          {
            at += 1
          }
          content.append(bytes[at])
          at += 1
        }
        while at < bytes.count, bytes[at] != UInt8(ascii: ";") { at += 1 }
      } else {
        while at < bytes.count, bytes[at] != UInt8(ascii: ";") {
          content.append(bytes[at])
          at += 1
        }
        while let last = content.last, last == 32 || last == 9 { content.removeLast() }
      }
      found.append((name: name, value: text(content)))
    }
    parameters = found
  }
}
