import System

/// Makes a tree that was not read. Every node gets a line of its own, by which comments find it.
public struct YAMLBuilder {
  private var line = 0

  /// A builder.
  public init() {}

  /// A scalar that is a number, a truth value or null, as it is written.
  public mutating func plain(_ value: String) -> YAMLNode { node(.scalar(text: value, isQuoted: false)) }
  /// Text, whatever it looks like.
  public mutating func text(_ value: String) -> YAMLNode { node(.scalar(text: value, isQuoted: true)) }
  /// A list.
  public mutating func sequence(_ nodes: [YAMLNode]) -> YAMLNode { node(.sequence(nodes)) }
  /// A mapping; no key may be twice.
  public mutating func mapping(_ entries: [YAMLEntry]) -> YAMLNode { node(.mapping(entries)) }
  /// A pair of a mapping.
  public mutating func entry(_ key: String, _ value: YAMLNode) -> YAMLEntry {
    YAMLEntry(key: key, keyNode: text(key), value: value)
  }

  private mutating func node(_ content: YAMLNode.Content) -> YAMLNode {
    line += 1
    let place = Position(line: line, column: 1)
    return YAMLNode(content, start: place, end: place)
  }
}
