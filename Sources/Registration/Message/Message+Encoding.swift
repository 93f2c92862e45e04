import Glibc

extension Message {
  /// The bytes that `encoded()` will have.
  public var encodedCount: Int {
    var count = 1
    for field in Field.allCases { count += Self.lead(field).utf8CodeUnitCount + valueCount(field) }
    return count
  }

  /// The record's value: all fields, null as `null`, in the order of docs/upstream/bus-and-routes.md#1-the-message.
  public func encoded() -> [UInt8] {
    let count = encodedCount
    return [UInt8](unsafeUninitializedCapacity: count) { out, filled in
      write(UnsafeMutableRawPointer(out.baseAddress!))
      filled = count
    }
  }

  /// Writes the record's value behind bytes that are there.
  public func encode(into out: inout [UInt8]) {
    let start = out.count
    out.append(contentsOf: repeatElement(0, count: encodedCount))
    out.withUnsafeMutableBytes { write($0.baseAddress! + start) }
  }

  /// What stands before a field's value, its name included.
  private static func lead(_ field: Field) -> StaticString {
    switch field {
    case .process: "{\"reg_type\":"
    case .rid: ",\"rid\":"
    case .isValid: ",\"isValid\":"
    case .internalError: ",\"internalError\":"
    case .messageBusAddress: ",\"messageBusAddress\":"
    case .retryCount: ",\"retryCount\":"
    case .tags: ",\"tags\":"
    case .lastHopTimestamp: ",\"lastHopTimestamp\":"
    case .source: ",\"source\":"
    case .iteration: ",\"iteration\":"
    case .workflowInstanceId: ",\"workflowInstanceId\":"
    }
  }

  private static let addressLead: StaticString = "{\"address\":"

  private func valueCount(_ field: Field) -> Int {
    let slot = slot(field)
    switch slot.kind {
    case .null: return field == .iteration ? 1 : 4
    case .true: return 4
    case .false: return 5
    case .int: return Self.digits(slot.start)
    case .received, .written:
      return Int(slot.count) + (field == .messageBusAddress ? Self.addressLead.utf8CodeUnitCount + 1 : 0)
    }
  }

  private static func digits(_ value: Int32) -> Int {
    var count = value < 0 ? 2 : 1
    var rest = value.magnitude
    while rest >= 10 {
      rest /= 10
      count += 1
    }
    return count
  }

  /// Writes `encodedCount` bytes.
  private func write(_ start: UnsafeMutableRawPointer) {
    received.withUnsafeBytes { received in
      written.withUnsafeBytes { written in
        var out = Output(at: start)
        for field in Field.allCases {
          let slot = slot(field)
          out.put(Self.lead(field))
          switch slot.kind {
          case .null: field == .iteration ? out.put("0") : out.put("null")
          case .true: out.put("true")
          case .false: out.put("false")
          case .int: out.put(slot.start, digits: Self.digits(slot.start))
          case .received, .written:
            let source = slot.kind == .received ? received : written
            if field == .messageBusAddress { out.put(Self.addressLead) }
            out.put(source.baseAddress! + Int(slot.start), Int(slot.count))
            if field == .messageBusAddress { out.put("}") }
          }
        }
        out.put("}")
      }
    }
  }

  private struct Output {
    var at: UnsafeMutableRawPointer

    init(at start: UnsafeMutableRawPointer) { at = start }

    @inline(__always)
    mutating func put(_ text: StaticString) { put(text.utf8Start, text.utf8CodeUnitCount) }

    @inline(__always)
    mutating func put(_ bytes: UnsafeRawPointer, _ count: Int) {
      memcpy(at, bytes, count)
      at += count
    }

    mutating func put(_ value: Int32, digits: Int) {
      var rest = value.magnitude
      for i in stride(from: digits - 1, through: value < 0 ? 1 : 0, by: -1) {
        at.storeBytes(of: UInt8(48 + rest % 10), toByteOffset: i, as: UInt8.self)
        rest /= 10
      }
      if value < 0 { at.storeBytes(of: UInt8(ascii: "-"), as: UInt8.self) }
      at += digits
    }
  }
}
