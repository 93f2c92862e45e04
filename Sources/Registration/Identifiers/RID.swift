/// A registration id. (Its rules follow with the other identifiers.)
public struct RID: Sendable, Hashable {
  /// The 29 digits.
  public let text: String
}
