import CPQ
import System

/// Parameters in the form libpq takes them: one run of bytes and an offset for each.
///
/// Everything goes as text with a type left to the server, so that one `.text` serves uuid, numeric and enum columns alike;
/// only `bytea` goes as binary (hex would double it) and then names its type.
struct ParameterBuffer {
  private static let bytea: Oid = 17
  private static let byteaArray: Oid = 1001

  private var storage: [UInt8] = []
  /// -1 stands for null.
  private var starts: [Int] = []
  private var lengths: [Int32] = []
  private var formats: [Int32] = []
  /// Types by parameter, 0 = the server's choice; empty when all are 0.
  private(set) var types: [Oid] = []

  init(_ values: [Value]) throws {
    guard values.count <= 65535 else { throw PostgresError(.misuse, "a statement has at most 65535 parameters") }
    starts.reserveCapacity(values.count)
    for (index, value) in values.enumerated() {
      let start = storage.count
      var isNull = false
      var type: Oid = 0
      switch value {
      case .null: isNull = true
      case .text(let text), .json(let text): try append(text, parameter: index)
      case .int(let number): storage.append(contentsOf: String(number).utf8)
      case .double(let number): storage.append(contentsOf: String(number).utf8)
      case .bool(let bool): storage.append(UInt8(ascii: bool ? "t" : "f"))
      case .timestamp(let instant): try append(instant, parameter: index)
      case .textArray(let elements): try array(elements) { try $0.appendQuoted($1, parameter: index) }
      case .intArray(let elements): array(elements) { $0.storage.append(contentsOf: String($1).utf8) }
      case .doubleArray(let elements): array(elements) { $0.storage.append(contentsOf: String($1).utf8) }
      case .boolArray(let elements): array(elements) { $0.storage.append(UInt8(ascii: $1 ? "t" : "f")) }
      case .timestampArray(let elements): try array(elements) { try $0.append($1, parameter: index) }
      case .bytes(let bytes):
        storage.append(contentsOf: bytes)
        type = Self.bytea
      case .bytesArray(let elements):
        appendBinary(elements)
        type = Self.byteaArray
      }
      guard let length = Int32(exactly: storage.count - start) else {
        throw PostgresError(.misuse, "parameter \(index + 1) is larger than 2 GiB")
      }
      starts.append(isNull ? -1 : start)
      lengths.append(length)
      formats.append(type == 0 ? 0 : 1)
      if type != 0 {
        if types.isEmpty { types = [Oid](repeating: 0, count: values.count) }
        types[index] = type
      }
      // libpq finds the end of a text by its zero byte.
      storage.append(0)
    }
  }

  var count: Int32 { Int32(starts.count) }

  /// Lends the arrays libpq wants: values, lengths, formats.
  func withPointers<R>(
    _ body: (UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?) -> R
  ) -> R {
    storage.withUnsafeBytes { bytes in
      let values = starts.map { start -> UnsafePointer<CChar>? in
        start < 0 ? nil : (bytes.baseAddress! + start).assumingMemoryBound(to: CChar.self)
      }
      return values.withUnsafeBufferPointer { values in
        lengths.withUnsafeBufferPointer { lengths in
          formats.withUnsafeBufferPointer { body(values.baseAddress, lengths.baseAddress, $0.baseAddress) }
        }
      }
    }
  }

  private mutating func append(_ text: String, parameter index: Int) throws {
    let start = storage.count
    storage.append(contentsOf: text.utf8)
    guard !storage[start...].contains(0) else { throw Self.zeroCharacter(index) }
  }

  private static func zeroCharacter(_ index: Int) -> PostgresError {
    PostgresError(
      .typeMismatch, "the text of parameter \(index + 1) has a character U+0000, which Postgres cannot store")
  }

  private mutating func append(_ instant: Instant, parameter index: Int) throws {
    guard (1...9999).contains(instant.civil.year) else {
      throw PostgresError(.typeMismatch, "the moment of parameter \(index + 1) is outside the years 1 to 9999")
    }
    storage.append(contentsOf: instant.iso.utf8)
  }

  private mutating func appendQuoted(_ text: String, parameter index: Int) throws {
    storage.append(UInt8(ascii: "\""))
    var text = text
    let start = storage.count
    let plain = text.withUTF8 { bytes in
      storage.append(contentsOf: bytes)
      return bytes.allSatisfy { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") && $0 != 0 }
    }
    if !plain {
      storage.removeSubrange(start...)
      for byte in text.utf8 {
        if byte == 0 { throw Self.zeroCharacter(index) }
        if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { storage.append(UInt8(ascii: "\\")) }
        storage.append(byte)
      }
    }
    storage.append(UInt8(ascii: "\""))
  }

  /// The text form of an array, postgresql.org/docs/15/arrays.html 8.15.2.
  private mutating func array<T>(_ elements: [T?], _ append: (inout ParameterBuffer, T) throws -> Void) rethrows {
    storage.append(UInt8(ascii: "{"))
    for (i, element) in elements.enumerated() {
      if i > 0 { storage.append(UInt8(ascii: ",")) }
      if let element { try append(&self, element) } else { storage.append(contentsOf: "NULL".utf8) }
    }
    storage.append(UInt8(ascii: "}"))
  }

  /// The binary form of a one-dimensional array: dimensions, has-nulls flag, element type, size, first index, then elements
  /// with a length each (-1 = null).
  private mutating func appendBinary(_ elements: [[UInt8]?]) {
    func put(_ value: Int32) { withUnsafeBytes(of: value.bigEndian) { storage.append(contentsOf: $0) } }
    put(elements.isEmpty ? 0 : 1)
    put(elements.contains(nil) ? 1 : 0)
    put(Int32(Self.bytea))
    guard !elements.isEmpty else { return }
    put(Int32(elements.count))
    put(1)
    for element in elements {
      put(element.map { Int32($0.count) } ?? -1)
      if let element { storage.append(contentsOf: element) }
    }
  }
}
