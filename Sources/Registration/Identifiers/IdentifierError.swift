/// Why a text is not a RID, UIN or VID: the rule and MOSIP's code for it, never the text.
public struct IdentifierError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The rules of all identifiers, named after MOSIP's properties where it has one.
  public enum Rule: String, Sendable, CaseIterable {
    /// Nothing is there.
    case empty
    /// The number of characters is wrong.
    case length
    /// A character is no ASCII digit.
    case digits
    /// The first digit is one that is kept free.
    case leadingDigit = "not-start-with"
    /// Digits count up or down.
    case sequence = "sequence-limit"
    /// A digit comes again too soon.
    case repeatedDigit = "repeating-limit"
    /// A block of digits comes twice.
    case repeatedBlock = "repeating-block-limit"
    /// Even digits stand together.
    case evenDigits = "conjugative-even-digits-limit"
    /// A number that is not wanted is inside.
    case restrictedNumber = "restricted-numbers"
    /// A cyclic number is inside.
    case cyclicNumber = "cyclic-numbers"
    /// The check digit is wrong.
    case checksum
    /// The first digits are the last ones in reverse.
    case reversedHalves = "reverse-digits-limit"
    /// The first digits are the last ones.
    case equalHalves = "digits-limit"
    /// The time in a RID is none.
    case timestamp
    /// The sequence in a RID is none.
    case ridSequence = "rid-sequence"
    /// The RID is of another registration centre.
    case center
    /// The RID is of another machine.
    case machine
    /// The rules leave too few numbers to find one.
    case exhausted
  }

  /// The rule that was broken.
  public let rule: Rule
  /// MOSIP's code, such as `KER-IDV-205`.
  public let code: String

  init(_ rule: Rule, _ code: String) {
    self.rule = rule
    self.code = code
  }

  /// Code and rule in one line.
  public var description: String { "\(code) (\(rule.rawValue))" }
}
