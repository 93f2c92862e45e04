extension BinaryInteger {
  /// The number's digits, in lower case, with zeros in front of them up to a width. A number that has more keeps them all; none may be below zero.
  public func digits(_ width: Int, radix: Int = 10) -> String {
    let text = String(self, radix: radix)
    return String(repeating: "0", count: Swift.max(0, width - text.utf8.count)) + text
  }
}
