import JSON

/// A list of labels of a packet's meta information, `[{"label": .., "value": ..}]`, as `metaData` and `operationsData` are
/// (docs/upstream/packet-and-crypto.md#23-meta-information).
struct Labels: Sendable {
  /// The label in `metaData` by which a registration client says its version.
  static let clientVersion = "Registration Client Version Number"

  private let values: [(label: String, value: String?)]

  /// Reads the text of such a list; nil when it is none.
  init?(_ text: String) {
    guard let list = (try? JSONValue.parse(text))?.array else { return nil }
    values = list.compactMap { entry in
      guard let label = entry["label"]?.string else { return nil }
      return (label, entry["value"]?.string ?? entry["value"].flatMap { $0.isNull ? nil : $0.description })
    }
  }

  /// The value of a label, case ignored as upstream does; nil when it is absent, null or the text `null`.
  subscript(label: String) -> String? {
    let wanted = label.lowercased()
    guard let value = values.first(where: { $0.label.lowercased() == wanted })?.value, value != "null" else {
      return nil
    }
    return value
  }
}
