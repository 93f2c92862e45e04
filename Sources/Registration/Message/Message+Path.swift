import JSON

extension Message {
  /// What a condition of a route finds at a place of a message.
  public enum Value: Sendable, Equatable {
    /// There is no such place: an unknown name, a tag that is not there, an address without its object.
    case absent
    /// `null`
    case null
    /// A truth value.
    case bool(Bool)
    /// A whole number.
    case int(Int)
    /// A text.
    case text(String)
  }

  /// A place in a message that a condition names: `isValid`, `tags.AGE_GROUP`, `messageBusAddress.address`. Made once, asked
  /// for every message.
  public struct Path: Sendable, Hashable {
    enum Place: Sendable, Hashable {
      case field(Field)
      case tag(String)
    }
    let place: Place

    /// The place of a name; nil for a name that no message has. What follows `tags.` is the tag, dots included.
    public init?(_ name: String) {
      if name.utf8.starts(with: "tags.".utf8) {
        place = .tag(String(name.utf8.dropFirst(5)) ?? "")
        return
      }
      if name == "messageBusAddress.address" {
        place = .field(.messageBusAddress)
        return
      }
      var name = name
      guard let field = name.withUTF8({ Field(UnsafeRawBufferPointer($0)) }), field != .tags,
        field != .messageBusAddress
      else { return nil }
      place = .field(field)
    }
  }

  /// The value at a place.
  public func value(at path: Path) -> Value {
    switch path.place {
    case .tag(let name): return tagValue(name)
    case .field(let field):
      switch slot(field).kind {
      case .null where field == .messageBusAddress: return .absent
      case .null where field == .iteration: return .int(0)
      case .null: return .null
      case .true: return .bool(true)
      case .false: return .bool(false)
      case .int: return .int(int(field) ?? 0)
      case .received, .written: return .text(text(field) ?? "")
      }
    }
  }

  /// Whether a text equal to another, byte by byte, is at a place; no text is made for it unless it has escapes.
  public func text(at path: Path, equals other: [UInt8]) -> Bool {
    other.withUnsafeBytes { other in
      switch path.place {
      case .field(let field):
        return withJSON(field) { bytes, isEscaped in
          JSONToken(kind: .string, isEscaped: isEscaped, start: 0, end: bytes.count).equals(other, in: bytes)
        } ?? false
      case .tag(let name):
        return withTag(name) { value, bytes in value.kind == .string && value.equals(other, in: bytes) } ?? false
      }
    }
  }

  func tagValue(_ name: String) -> Value {
    withTag(name) { value, bytes in value.kind == .null ? .null : .text(value.string(in: bytes)) } ?? .absent
  }

  private func withTag<R>(_ name: String, _ body: (JSONToken, UnsafeRawBufferPointer) -> R) -> R? {
    var name = name
    return name.withUTF8 { name in
      // The last of two tags of one name counts, as for the Java reader of the same record.
      var found: JSONToken?
      withTags { key, value, bytes in
        if key.equals(UnsafeRawBufferPointer(name), in: bytes) { found = value }
      }
      guard let found else { return nil }
      return withJSON(.tags) { bytes, _ in body(found, bytes) }
    }
  }

  /// Walks over the tags: name, value (text or null) and the bytes both stand in.
  func withTags(_ body: (JSONToken, JSONToken, UnsafeRawBufferPointer) -> Void) {
    _ = withJSON(.tags) { bytes, _ in
      do throws(JSONError) {
        var scanner = try JSONScanner(bytes, limits: JSONLimits(maximumBytes: .max))
        try scanner.enterObject()
        while let key = try scanner.nextKey() { body(key, try scanner.value(), bytes) }
      } catch {
        preconditionFailure("the tags were read when the message was")
      }
    }
  }
}
