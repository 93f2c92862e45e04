import Registration

/// What route conditions see of a message.
extension Message: Routable {
  /// The value of a field by its name on the wire.
  public func field(_ name: String) -> FieldValue {
    guard let path = Path(name) else { return .absent }
    return switch value(at: path) {
    case .absent: .absent
    case .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .text(let value): .text(value)
    }
  }
}
