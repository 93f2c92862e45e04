import System
import YAML

/// Reads a mapping of the route language: only keys of its list can be asked for, and only they are known.
struct RouteReader<Key: RouteKey> {
  private let reader: KeyedReader

  /// Nil after the problem that `node` is no mapping; `what` names the thing, as in `the flow`.
  init?(_ node: YAMLNode, of what: String, _ problems: Problems, _ keys: Key.Type = Key.self) {
    guard let reader = KeyedReader(node, of: what, problems) else { return nil }
    self.reader = reader
  }

  func entry(_ key: Key) -> YAMLEntry? { reader.entry(key.rawValue) }

  /// The pair of a key that has a value which is not null.
  func given(_ key: Key) -> YAMLEntry? { entry(key).flatMap { $0.value.isNull ? nil : $0 } }

  /// The pair of a key that does not belong here, for a problem that says more than that.
  func stray(_ name: String) -> YAMLEntry? { reader.entry(name) }

  func optional<Value: YAMLReadable>(_ key: Key, _ type: Value.Type = Value.self) -> Value? { reader.optional(key.rawValue) }

  func required<Value: YAMLReadable>(_ key: Key, _ type: Value.Type = Value.self) -> Value? { reader.required(key.rawValue) }

  /// Reports every key that is not in the list.
  func finish() {
    for key in Key.allCases { _ = reader.entry(key.rawValue) }
    reader.finish()
  }
}
