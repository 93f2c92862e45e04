/// Why a text is not a RID, UIN or VID: the rule and MOSIP's code for it, never the text.
public struct IdentifierFault: Error, Sendable, Hashable, CustomStringConvertible {
  /// The rules of all identifiers.
  public enum Rule: String, Sendable, CaseIterable {
    /// Nothing is there.
    case empty
    /// The number of characters is wrong.
    case length
    /// A character is no ASCII digit.
    case digits
    /// The first digit is one that is kept free.
    case leadingDigit
    /// Digits count up or down.
    case sequence
    /// A digit comes again too soon.
    case repeatedDigit
    /// A block of digits comes twice.
    case repeatedBlock
    /// Even digits stand together.
    case evenDigits
    /// A number that is not wanted is inside.
    case restrictedNumber
    /// A cyclic number is inside.
    case cyclicNumber
    /// The check digit is wrong.
    case checksum
    /// The first digits are the last ones in reverse.
    case reversedHalves
    /// The first digits are the last ones.
    case equalHalves
    /// The time in a RID is none.
    case timestamp
    /// The sequence in a RID is none.
    case ridSequence
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
