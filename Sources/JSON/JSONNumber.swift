/// A number as it was written: no digit is lost on the way through. Two are equal if they are written alike.
public struct JSONNumber: Sendable, Hashable, CustomStringConvertible {
  /// The number as RFC 8259 writes it.
  public let text: String

  init(checked text: String) { self.text = text }

  /// A whole number.
  public init(_ value: some BinaryInteger) { text = String(value) }

  /// A number of the shortest text that reads back as the same; nil for infinity and not-a-number, which JSON lacks.
  public init?(_ value: Double) {
    guard value.isFinite else { return nil }
    // 3.0 and 3 are the same number, and a whole one reads better.
    text = value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
  }

  /// The whole number, if it is written as one and fits.
  public var int: Int? { Int(text) }

  /// The nearest Double; nil if it is beyond what a Double holds.
  public var double: Double? { Double(text).flatMap { $0.isFinite ? $0 : nil } }

  /// The number as it is written.
  public var description: String { text }
}
