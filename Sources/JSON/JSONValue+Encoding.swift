extension JSONValue: CustomStringConvertible {
  /// The value in UTF-8. Slashes are not escaped; `pretty` writes a member a line, two spaces a level; `sortedKeys` orders
  /// names by their bytes, so that equal values have equal bytes.
  public func encoded(pretty: Bool = false, sortedKeys: Bool = false) -> [UInt8] {
    var out: [UInt8] = []
    write(into: &out, level: pretty ? 0 : nil, sortedKeys)
    return out
  }

  /// The value as one line of text. It may be personal data: not for logs.
  public var description: String { String(decoding: encoded(), as: UTF8.self) }

  private func write(into out: inout [UInt8], level: Int?, _ sortedKeys: Bool) {
    switch self {
    case .null: out.append(contentsOf: "null".utf8)
    case .bool(let value): out.append(contentsOf: (value ? "true" : "false").utf8)
    case .number(let value): out.append(contentsOf: value.text.utf8)
    case .string(let value): JSONText.quote(value, into: &out)
    case .array(let elements):
      Self.list(UInt8(ascii: "["), UInt8(ascii: "]"), elements, into: &out, level) { element, out, level in
        element.write(into: &out, level: level, sortedKeys)
      }
    case .object(let object):
      let members =
        sortedKeys ? object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } : Array(object)
      Self.list(UInt8(ascii: "{"), UInt8(ascii: "}"), members, into: &out, level) { member, out, level in
        JSONText.quote(member.key, into: &out)
        out.append(UInt8(ascii: ":"))
        if level != nil { out.append(UInt8(ascii: " ")) }
        member.value.write(into: &out, level: level, sortedKeys)
      }
    }
  }

  private static func list<Element>(
    _ open: UInt8, _ close: UInt8, _ elements: [Element], into out: inout [UInt8], _ level: Int?,
    _ write: (Element, inout [UInt8], Int?) -> Void
  ) {
    func newLine(_ level: Int) {
      out.append(UInt8(ascii: "\n"))
      out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * level))
    }
    out.append(open)
    for (i, element) in elements.enumerated() {
      if i > 0 { out.append(UInt8(ascii: ",")) }
      if let level { newLine(level + 1) }
      write(element, &out, level.map { $0 + 1 })
    }
    if let level, !elements.isEmpty { newLine(level) }
    out.append(close)
  }
}
