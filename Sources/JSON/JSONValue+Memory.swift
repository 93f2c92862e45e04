extension JSONValue {
  /// About how many bytes it takes up outside of itself: its texts, arrays and tables, as Swift lays them out on a 64-bit machine.
  public var bytesInMemory: Int {
    switch self {
    case .null, .bool: 0
    case .number(let number): Self.bytes(of: number.text)
    case .string(let text): Self.bytes(of: text)
    case .array(let elements):
      elements.reduce(Self.block + elements.capacity * MemoryLayout<JSONValue>.stride) { $0 + $1.bytesInMemory }
    case .object(let object): object.bytesInMemory
    }
  }

  /// What a block on the heap takes beside its content.
  static let block = 48

  /// A text of up to 15 bytes stands in its place.
  static func bytes(of text: String) -> Int { text.utf8.count > 15 ? block + text.utf8.count : 0 }
}
