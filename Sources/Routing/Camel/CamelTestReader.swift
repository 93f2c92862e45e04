import System
import YAML

/// Reads the text of a `jsonpath` or `simple` element.
struct CamelTestReader {
  /// What is wrong with a test, in words.
  struct Fault: Error {
    let message: String
    var suggestion: String?
  }

  private let text: [Character]
  private var at = 0
  private var depth = 0

  private init(_ text: String) { self.text = Array(text) }

  /// Reads `$.[?( ... )]` (also `$[?( ... )]`), the filter on the root object: true when the object is in the result.
  static func jsonPath(_ text: String) throws(Fault) -> CamelTest {
    var reader = CamelTestReader(text)
    reader.space()
    guard reader.take("$") else { throw Fault(message: "expected a JSONPath filter, $.[?(...)]") }
    _ = reader.take(".")
    guard reader.take("["), reader.take("?"), reader.take("(") else {
      throw Fault(message: "expected a filter on the message itself, $.[?(...)]")
    }
    let test = try reader.either()
    reader.space()
    guard reader.take(")"), reader.take("]") else { throw reader.unexpected("expected )]") }
    reader.space()
    guard reader.at == reader.text.count else { throw reader.unexpected("expected the end") }
    return test
  }

  /// Reads `${bodyAs(String)} contains '"isValid":true'`, several joined by && or ||. The body is the message as compact JSON,
  /// so that the text is in it exactly when the field has the value.
  static func simple(_ text: String) throws(Fault) -> CamelTest {
    var reader = CamelTestReader(text)
    var either: [CamelTest] = []
    var both: [CamelTest] = []
    while true {
      both.append(try reader.contains())
      reader.space()
      if reader.take("&&") || reader.word("and") { continue }
      either.append(both.count == 1 ? both[0] : .and(both))
      both = []
      if reader.take("||") || reader.word("or") { continue }
      guard reader.at == reader.text.count else { throw reader.unexpected("expected && or ||") }
      return either.count == 1 ? either[0] : .or(either)
    }
  }

  private mutating func contains() throws(Fault) -> CamelTest {
    space()
    guard take("${bodyAs(String)}") || take("${body}") else {
      throw Fault(message: "of the simple language only ${bodyAs(String)} contains '\"FIELD\":VALUE' is known")
    }
    space()
    let isNegated = word("not") || take("!")
    space()
    guard word("contains") else { throw unexpected("expected contains") }
    space()
    guard case .text(let pair) = try literal() else { throw Fault(message: "contains needs a text in quotes") }
    let test = try CamelTestReader.member(pair)
    return isNegated ? .not(test) : test
  }

  /// The test of a text such as `"AGE_GROUP":"INFANT"`, which the body contains when the member of that name has that value: a
  /// field of the message, the address that it asks for, or a tag.
  private static func member(_ pair: String) throws(Fault) -> CamelTest {
    var reader = CamelTestReader(pair)
    guard pair.hasPrefix("\""), case .text(let name) = try reader.literal(), !name.isEmpty, reader.take(":") else {
      throw Fault(message: "expected a member and its value, '\"isValid\":true'")
    }
    let value = try reader.literal()
    guard reader.at == reader.text.count else { throw Fault(message: "expected one value after the member \(name)") }
    if case .int = value { throw Fault(message: "a number after \(name) is also found in longer numbers that begin so") }
    let path = name == "address" ? ["messageBusAddress", name] : MessageField(rawValue: name) != nil ? [name] : ["tags", name]
    return .equal(path: try known(path, value), value)
  }

  private mutating func either() throws(Fault) -> CamelTest {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 50 else { throw Fault(message: "parentheses are nested too deep") }
    var tests = [try both()]
    while operation("||") { tests.append(try both()) }
    return tests.count == 1 ? tests[0] : .or(tests)
  }

  private mutating func both() throws(Fault) -> CamelTest {
    var tests = [try one()]
    while operation("&&") { tests.append(try one()) }
    return tests.count == 1 ? tests[0] : .and(tests)
  }

  private mutating func one() throws(Fault) -> CamelTest {
    space()
    if take("!") {
      depth += 1
      defer { depth -= 1 }
      guard depth <= 50 else { throw Fault(message: "negations are nested too deep") }
      return .not(try one())
    }
    if take("(") {
      let test = try either()
      space()
      guard take(")") else { throw unexpected("expected )") }
      return test
    }
    let path = try self.path()
    space()
    if take("==") { return try equal(path) }
    if take("!=") { return .not(try equal(path)) }
    if word("in") { return try among(path) }
    if word("nin") { return .not(try among(path)) }
    space()
    if at < text.count, text[at] != ")", text[at] != "&", text[at] != "|" {
      throw unexpected("expected ==, !=, in or nin")
    }
    return .exists(path: try CamelTestReader.known(path, nil))
  }

  private mutating func equal(_ path: [String]) throws(Fault) -> CamelTest {
    space()
    let value = try literal()
    return .equal(path: try CamelTestReader.known(path, value), value)
  }

  private mutating func among(_ path: [String]) throws(Fault) -> CamelTest {
    space()
    guard take("[") else { throw unexpected("expected a list") }
    var values: [Condition.Literal] = []
    repeat {
      space()
      values.append(try literal())
      space()
    } while take(",")
    guard take("]") else { throw unexpected("expected ]") }
    for value in values { _ = try CamelTestReader.known(path, value) }
    return .among(path: path, values)
  }

  /// `@['tags']['AGE_GROUP']` or `@.tags.AGE_GROUP`
  private mutating func path() throws(Fault) -> [String] {
    space()
    guard take("@") else { throw unexpected("expected @ and a path") }
    var path: [String] = []
    while true {
      if take("[") {
        space()
        guard case .text(let name) = try literal() else { throw unexpected("expected a name in quotes") }
        space()
        guard take("]") else { throw unexpected("expected ]") }
        path.append(name)
      } else if take(".") {
        let start = at
        while at < text.count, text[at].isLetter || text[at].isNumber || text[at] == "_" { at += 1 }
        guard at > start else { throw unexpected("expected a name") }
        path.append(String(text[start..<at]))
      } else {
        break
      }
    }
    guard !path.isEmpty else { throw unexpected("expected ['NAME']") }
    return path
  }

  /// The path if a message has such a place, and values of this type there.
  private static func known(_ path: [String], _ value: Condition.Literal?) throws(Fault) -> [String] {
    if path.count == 2, path[0] == "tags", !path[1].isEmpty {
      switch value {
      case nil, .text?: return path
      default: throw Fault(message: "a tag is text; this compares \(path[1]) with something else")
      }
    }
    let name = path.joined(separator: ".")
    guard let field = MessageField(rawValue: name) else {
      let hint = NearestName.suggestion(for: name, among: MessageField.allCases.map(\.rawValue))
      throw Fault(message: "a message has no field \(quoted(name))", suggestion: hint)
    }
    switch (field.kind, value) {
    case (_, nil), (.text, .text?), (.bool, .bool?), (.int, .int?): return path
    case (_, .null?) where field.isNullable: return path
    default: throw Fault(message: "\(name) never has a value of this type")
    }
  }

  private mutating func literal() throws(Fault) -> Condition.Literal {
    guard at < text.count else { throw unexpected("expected a value") }
    let quote = text[at]
    if quote == "'" || quote == "\"" {
      at += 1
      var out = ""
      while at < text.count, text[at] != quote {
        if text[at] == "\\", at + 1 < text.count { at += 1 }
        out.append(text[at])
        at += 1
      }
      guard at < text.count else { throw Fault(message: "the text \(quoted(String(out.prefix(40)))) has no end") }
      at += 1
      return .text(out)
    }
    for (name, value) in [("true", Condition.Literal.bool(true)), ("false", .bool(false)), ("null", .null)]
    where word(name) {
      return value
    }
    let start = at
    if at < text.count, text[at] == "-" { at += 1 }
    while at < text.count, text[at].isASCII, text[at].isNumber { at += 1 }
    guard let number = Int(String(text[start..<at])) else {
      at = start
      throw unexpected("expected a text in quotes, true, false, null, or a whole number")
    }
    return .int(number)
  }

  private mutating func space() {
    while at < text.count, text[at].isWhitespace { at += 1 }
  }

  private mutating func operation(_ name: String) -> Bool {
    space()
    return take(name)
  }

  private mutating func take(_ word: String) -> Bool {
    guard text[at...].starts(with: word) else { return false }
    at += word.count
    return true
  }

  /// A word that is not the beginning of a longer one.
  private mutating func word(_ name: String) -> Bool {
    guard text[at...].starts(with: name) else { return false }
    let end = at + name.count
    if end < text.count, text[end].isLetter || text[end].isNumber || text[end] == "_" { return false }
    at = end
    return true
  }

  private func unexpected(_ expected: String) -> Fault {
    let found = at < text.count ? quoted(String(text[at..<min(at + 20, text.count)])) : "the end"
    return Fault(message: "\(expected), found \(found)")
  }
}
