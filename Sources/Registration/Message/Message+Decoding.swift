import Glibc
import JSON

extension Message.Field {
  /// The name on the wire.
  var name: StaticString {
    switch self {
    case .process: "reg_type"
    case .rid: "rid"
    case .isValid: "isValid"
    case .internalError: "internalError"
    case .messageBusAddress: "messageBusAddress"
    case .retryCount: "retryCount"
    case .tags: "tags"
    case .lastHopTimestamp: "lastHopTimestamp"
    case .source: "source"
    case .iteration: "iteration"
    case .workflowInstanceId: "workflowInstanceId"
    }
  }

  /// The field of a name: no two names have the same length, so one comparison decides.
  init?(_ name: UnsafeRawBufferPointer) {
    switch name.count {
    case 8: self = .process
    case 3: self = .rid
    case 7: self = .isValid
    case 13: self = .internalError
    case 17: self = .messageBusAddress
    case 10: self = .retryCount
    case 4: self = .tags
    case 16: self = .lastHopTimestamp
    case 6: self = .source
    case 9: self = .iteration
    case 18: self = .workflowInstanceId
    default: return nil
    }
    guard let start = name.baseAddress, memcmp(start, self.name.utf8Start, name.count) == 0 else { return nil }
  }
}

/// Reads a record once and remembers where the fields are.
struct MessageReader {
  private var scanner: JSONScanner

  /// Fills the slots where they are: they are too large to be handed back and forth for every record.
  static func read(_ bytes: UnsafeRawBufferPointer, into slots: inout Message.Slots) throws(MessageError) {
    let fault: MessageError?
    do throws(JSONError) {
      var reader = MessageReader(
        scanner: try JSONScanner(bytes, limits: JSONLimits(maximumBytes: Message.maximumBytes)))
      fault = try reader.object(&slots)
    } catch {
      throw MessageError(error)
    }
    if let fault { throw fault }
  }

  private init(scanner: JSONScanner) { self.scanner = scanner }

  private mutating func object(_ slots: inout Message.Slots) throws(JSONError) -> MessageError? {
    guard try scanner.peek() == .object else { return MessageError(.notAnObject) }
    try scanner.enterObject()
    let bytes = scanner.bytes
    var seen = 0
    while let key = try scanner.nextKey() {
      guard let field = Self.field(key, in: bytes) else {
        _ = try scanner.value()
        continue
      }
      guard seen & 1 << field.rawValue == 0 else { return Self.error(.duplicateField, field) }
      seen |= 1 << field.rawValue
      if let code = try take(field, &slots) { return Self.error(code, field) }
    }
    try scanner.finish()
    for field in [Message.Field.process, .rid] where seen & 1 << field.rawValue == 0 {
      return Self.error(.missing, field)
    }
    return nil
  }

  private static func error(_ code: MessageError.Code, _ field: Message.Field) -> MessageError {
    MessageError(code, "\(field.name)")
  }

  private static func field(_ key: JSONToken, in bytes: UnsafeRawBufferPointer) -> Message.Field? {
    guard key.isEscaped else { return Message.Field(key.content(in: bytes)) }
    var name = key.string(in: bytes)
    return name.withUTF8 { Message.Field(UnsafeRawBufferPointer($0)) }
  }

  /// Reads the value of a field; the rule it breaks, if it does.
  private mutating func take(
    _ field: Message.Field, _ slots: inout Message.Slots
  ) throws(JSONError) -> MessageError.Code? {
    switch field {
    case .process, .rid:
      let token = try scanner.value()
      guard token.kind != .null else { return .missing }
      guard token.kind == .string else { return .wrongType }
      Self.keep(token, field, &slots)
      if token.isEscaped {
        var text = token.string(in: scanner.bytes)
        return text.withUTF8 { Self.fault(field, UnsafeRawBufferPointer($0)) }
      }
      return Self.fault(field, token.content(in: scanner.bytes))
    case .isValid, .internalError:
      switch try scanner.value().kind {
      case .true: slots[field.rawValue].kind = .true
      case .false: slots[field.rawValue].kind = .false
      case .null: break
      default: return .wrongType
      }
      return nil
    case .retryCount, .iteration:
      let token = try scanner.value()
      if token.kind == .null { return nil }
      guard token.kind == .integer else { return .wrongType }
      guard let value = token.int(in: scanner.bytes), let value = Int32(exactly: value) else { return .outOfRange }
      slots[field.rawValue] = Message.Slot(kind: .int, start: value)
      return nil
    case .messageBusAddress: return try address(&slots)
    case .tags: return try tags(&slots)
    case .lastHopTimestamp, .source, .workflowInstanceId:
      let token = try scanner.value()
      if token.kind == .null { return nil }
      guard token.kind == .string else { return .wrongType }
      Self.keep(token, field, &slots)
      return nil
    }
  }

  private static func keep(_ token: JSONToken, _ field: Message.Field, _ slots: inout Message.Slots) {
    slots[field.rawValue] = Message.Slot(
      kind: .received, isEscaped: token.isEscaped, start: Int32(token.start), count: Int32(token.end - token.start))
  }

  private mutating func address(_ slots: inout Message.Slots) throws(JSONError) -> MessageError.Code? {
    switch try scanner.peek() {
    case .null:
      _ = try scanner.value()
      return nil
    case .object: break
    default: return .wrongType
    }
    var seen = false
    try scanner.enterObject()
    while let key = try scanner.nextKey() {
      let value = try scanner.value()
      guard key.equals("address", in: scanner.bytes) else { continue }
      if seen { return .duplicateField }
      seen = true
      if value.kind == .null { continue }
      guard value.kind == .string else { return .wrongType }
      Self.keep(value, .messageBusAddress, &slots)
    }
    return nil
  }

  private mutating func tags(_ slots: inout Message.Slots) throws(JSONError) -> MessageError.Code? {
    switch try scanner.peek() {
    case .null:
      _ = try scanner.value()
      return nil
    case .object: break
    default: return .wrongType
    }
    let start = scanner.offset
    try scanner.enterObject()
    while try scanner.nextKey() != nil {
      // A Java map may hold a null.
      switch try scanner.value().kind {
      case .string, .null: break
      default: return .wrongType
      }
    }
    Self.keep(JSONToken(kind: .object, start: start, end: scanner.offset), .tags, &slots)
    return nil
  }

  private static func fault(_ field: Message.Field, _ text: UnsafeRawBufferPointer) -> MessageError.Code? {
    field == .rid ? fault(rid: text) : fault(process: text)
  }

  /// A process becomes a part of topic names: letters, digits, `.`, `_` and `-` are what Kafka allows there.
  static func fault(process text: UnsafeRawBufferPointer) -> MessageError.Code? {
    fault(text) { byte in
      switch byte {
      case 48...57, 65...90, 97...122, UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
      default: false
      }
    }
  }

  /// A rid becomes a record's key and header: visible ASCII.
  static func fault(rid text: UnsafeRawBufferPointer) -> MessageError.Code? {
    fault(text) { (0x21...0x7E).contains($0) }
  }

  private static func fault(_ text: UnsafeRawBufferPointer, _ allowed: (UInt8) -> Bool) -> MessageError.Code? {
    if text.isEmpty { return .missing }
    if text.count > Message.maximumKeyLength { return .tooLong }
    return text.allSatisfy(allowed) ? nil : .invalidCharacter
  }
}
