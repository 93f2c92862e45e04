/// Writes JSON straight into bytes, for paths where building a `JSONValue` would cost too much. It places the commas; that
/// objects and arrays are closed and every name has a value is the caller's part.
public struct JSONWriter: Sendable {
  /// What has been written.
  public private(set) var bytes: [UInt8]

  /// A writer into fresh bytes, or behind bytes that are there already and are left as they are.
  public init(appendingTo bytes: [UInt8] = [], capacity: Int = 0) {
    self.bytes = bytes
    start = bytes.count
    self.bytes.reserveCapacity(bytes.count + capacity)
  }

  private let start: Int

  /// Opens an object.
  public mutating func beginObject() { open(UInt8(ascii: "{")) }
  /// Closes an object.
  public mutating func endObject() { bytes.append(UInt8(ascii: "}")) }
  /// Opens an array.
  public mutating func beginArray() { open(UInt8(ascii: "[")) }
  /// Closes an array.
  public mutating func endArray() { bytes.append(UInt8(ascii: "]")) }

  /// Writes an object around what the closure writes.
  public mutating func object<E: Error>(_ body: (inout JSONWriter) throws(E) -> Void) throws(E) {
    beginObject()
    try body(&self)
    endObject()
  }

  /// Writes an array around what the closure writes.
  public mutating func array<E: Error>(_ body: (inout JSONWriter) throws(E) -> Void) throws(E) {
    beginArray()
    try body(&self)
    endArray()
  }

  /// Writes a member's name and the colon.
  public mutating func key(_ name: String) {
    separate()
    JSONText.quote(name, into: &bytes)
    bytes.append(UInt8(ascii: ":"))
  }

  /// Writes a text, or `null` for nil.
  public mutating func string(_ value: String?) {
    separate()
    if let value { JSONText.quote(value, into: &bytes) } else { bytes.append(contentsOf: "null".utf8) }
  }

  /// Writes a text that is there as UTF-8.
  public mutating func string(utf8 value: UnsafeRawBufferPointer) {
    separate()
    JSONText.quote(value, into: &bytes)
  }

  /// Writes a text in its quotation marks, escaped, behind bytes that someone else keeps.
  public static func append(_ text: String, to bytes: inout [UInt8]) { JSONText.quote(text, into: &bytes) }

  /// Writes a whole number, or `null` for nil.
  public mutating func int(_ value: Int?) {
    guard let value else { return null() }
    separate()
    if (0...9).contains(value) {
      bytes.append(UInt8(48 + value))
    } else {
      bytes.append(contentsOf: String(value).utf8)
    }
  }

  /// Writes `true` or `false`, or `null` for nil.
  public mutating func bool(_ value: Bool?) {
    guard let value else { return null() }
    separate()
    bytes.append(contentsOf: (value ? "true" : "false").utf8)
  }

  /// Writes `null`.
  public mutating func null() {
    separate()
    bytes.append(contentsOf: "null".utf8)
  }

  /// Writes any value.
  public mutating func value(_ value: JSONValue) { raw(value.encoded()) }

  /// Writes bytes that are a JSON value already.
  public mutating func raw(_ value: some Collection<UInt8>) {
    separate()
    bytes.append(contentsOf: value)
  }

  private mutating func open(_ byte: UInt8) {
    separate()
    bytes.append(byte)
  }

  /// A comma is due unless nothing, an opening bracket or a colon stands before: no finished value ends with one of these.
  private mutating func separate() {
    guard bytes.count > start, let last = bytes.last else { return }
    switch last {
    case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: ":"): return
    default: bytes.append(UInt8(ascii: ","))
    }
  }
}
