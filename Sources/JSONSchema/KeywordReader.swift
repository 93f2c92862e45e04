import JSON

/// Reads the keywords of one schema, each of the kind it must be.
struct KeywordReader {
  let schema: JSONValue
  let pointer: String

  func fault(_ keyword: String, _ message: String) -> JSONSchemaError {
    JSONSchemaError(pointer: Compiler.pointer(pointer, keyword), message: message)
  }

  func types() throws(JSONSchemaError) -> Set<Node.TypeName>? {
    guard let value = schema["type"] else { return nil }
    var types: Set<Node.TypeName> = []
    for name in value.array ?? [value] {
      guard let type = name.string.flatMap(Node.TypeName.init) else { throw fault("type", "is no type of JSON schema") }
      types.insert(type)
    }
    return types
  }

  func list(_ keyword: String) throws(JSONSchemaError) -> [JSONValue]? {
    guard let value = schema[keyword] else { return nil }
    guard let list = value.array, !list.isEmpty else { throw fault(keyword, "must be a list that is not empty") }
    return list
  }

  func texts(_ keyword: String) throws(JSONSchemaError) -> [String] {
    guard let value = schema[keyword] else { return [] }
    guard let list = value.array, case let texts = list.compactMap(\.string), texts.count == list.count else {
      throw fault(keyword, "must be a list of texts")
    }
    return texts
  }

  func members(_ keyword: String) throws(JSONSchemaError) -> JSONObject {
    guard let value = schema[keyword] else { return [:] }
    guard let object = value.object else { throw fault(keyword, "must be an object") }
    return object
  }

  func number(_ keyword: String) throws(JSONSchemaError) -> Double? {
    guard let value = schema[keyword] else { return nil }
    guard let number = value.double else { throw fault(keyword, "must be a number") }
    if keyword == "multipleOf", number <= 0 { throw fault(keyword, "must be above 0") }
    return number
  }

  func count(_ keyword: String) throws(JSONSchemaError) -> Int? {
    guard let value = schema[keyword] else { return nil }
    guard let count = value.int, count >= 0 else { throw fault(keyword, "must be a whole number from 0 on") }
    return count
  }

  func flag(_ keyword: String) throws(JSONSchemaError) -> Bool {
    guard let value = schema[keyword] else { return false }
    guard let flag = value.bool else { throw fault(keyword, "must be true or false") }
    return flag
  }

  /// A limit: draft 4 says by a flag that the limit itself is not allowed, later drafts by a limit of its own.
  func bound(
    _ keyword: String, _ exclusive: String, stricter: (Double, Double) -> Double
  ) throws(JSONSchemaError) -> (value: Double, isExclusive: Bool)? {
    let limit = try number(keyword)
    switch schema[exclusive] {
    case nil: return limit.map { ($0, false) }
    case .bool(let isExclusive): return limit.map { ($0, isExclusive) }
    default:
      guard let other = try number(exclusive) else { return nil }
      guard let limit else { return (other, true) }
      return stricter(limit, other) == other ? (other, true) : (limit, false)
    }
  }

  func pattern(_ keyword: String) throws(JSONSchemaError) -> Pattern? {
    guard let value = schema[keyword] else { return nil }
    guard let pattern = value.string.flatMap(Pattern.init) else { throw fault(keyword, "is no regular expression") }
    return pattern
  }

  /// MOSIP's keyword: `[{"type":"regex","validator":"..."}]`; other types than regex are for other programs.
  func validators() throws(JSONSchemaError) -> [Pattern] {
    guard let value = schema["validators"], !value.isNull else { return [] }
    guard let list = value.array else { throw fault("validators", "must be a list") }
    var out: [Pattern] = []
    for entry in list where entry["type"]?.string ?? "regex" == "regex" {
      guard let text = entry["validator"]?.string else { continue }
      guard let pattern = Pattern(text) else { throw fault("validators", "has one that is no regular expression") }
      out.append(pattern)
    }
    return out
  }
}

/// Equal values have equal texts: members sorted, numbers by what they count.
enum Canonical {
  static func text(_ value: JSONValue) -> String {
    var out = ""
    write(value, &out)
    return out
  }

  private static func write(_ value: JSONValue, _ out: inout String) {
    switch value {
    case .number(let number):
      // A whole number in any notation; one that a Double cannot hold stays as it is written.
      if let int = number.int {
        out += String(int)
      } else if let double = number.double, abs(double) < 1e15 {
        out += double == double.rounded() ? String(Int(double)) : "\(double)"
      } else {
        out += number.text
      }
    case .array(let elements):
      out += "["
      for element in elements {
        write(element, &out)
        out += ","
      }
      out += "]"
    case .object(let object):
      out += "{"
      for member in object.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
        out += JSONValue.string(member.key).description + ":"
        write(member.value, &out)
        out += ","
      }
      out += "}"
    default: out += value.description
    }
  }
}
