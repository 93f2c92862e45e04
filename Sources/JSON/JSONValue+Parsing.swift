extension JSONValue {
  /// Reads a JSON text strictly by RFC 8259: UTF-8 without a byte order mark, one value, nothing behind it.
  public static func parse(_ bytes: [UInt8], limits: JSONLimits = .standard) throws(JSONError) -> JSONValue {
    try bytes.withUnsafeBufferPointer { bytes throws(JSONError) in
      try parse(UnsafeRawBufferPointer(bytes), limits: limits)
    }
  }

  /// Reads a JSON text strictly by RFC 8259.
  public static func parse(_ text: String, limits: JSONLimits = .standard) throws(JSONError) -> JSONValue {
    try parse(Array(text.utf8), limits: limits)
  }

  /// Reads a JSON text strictly by RFC 8259 from bytes that stay in place meanwhile.
  public static func parse(
    _ bytes: UnsafeRawBufferPointer, limits: JSONLimits = .standard
  ) throws(JSONError) -> JSONValue {
    var scanner = try JSONScanner(bytes, limits: limits)
    var room = limits.maximumValues
    let value = try read(&scanner, limits, &room)
    try scanner.finish()
    return value
  }

  private static func read(
    _ scanner: inout JSONScanner, _ limits: JSONLimits, _ room: inout Int
  ) throws(JSONError) -> JSONValue {
    let kind = try scanner.peek()
    guard room > 0 else { throw scanner.error(.tooManyValues, at: scanner.offset) }
    room -= 1
    switch kind {
    case .object:
      var object = JSONObject()
      try scanner.enterObject()
      while let token = try scanner.nextKey() {
        let key = token.string(in: scanner.bytes)
        let value = try read(&scanner, limits, &room)
        if !object.append(key, value) {
          guard limits.duplicateKeys == .keepLast else { throw scanner.error(.duplicateKey, at: token.start) }
          object[key] = value
        }
      }
      return .object(object)
    case .array:
      var elements: [JSONValue] = []
      try scanner.enterArray()
      while try scanner.nextElement() { elements.append(try read(&scanner, limits, &room)) }
      return .array(elements)
    case .string:
      return .string(try scanner.value().string(in: scanner.bytes))
    case .decimal, .integer:
      let raw = try scanner.value().raw(in: scanner.bytes)
      return .number(JSONNumber(checked: String(decoding: raw, as: UTF8.self)))
    case .true:
      _ = try scanner.value()
      return .bool(true)
    case .false:
      _ = try scanner.value()
      return .bool(false)
    case .null:
      _ = try scanner.value()
      return .null
    }
  }
}
