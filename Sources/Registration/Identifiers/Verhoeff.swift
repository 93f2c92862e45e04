/// The Verhoeff check digit of UIN, VID and PRID (docs/upstream/packet-and-crypto.md#41-verhoeff-check-digit; J. Verhoeff, 1969): it finds
/// every single wrong digit and every swap of neighbours. Digits are values from 0 to 9.
public enum Verhoeff {
  /// The product table of the dihedral group of the pentagon: 0...4 are turns, 5...9 are mirrors.
  private static let product: [UInt8] = (0..<100).map { index in
    let (a, b) = (index / 10, index % 10)
    let turn = a < 5 ? a + b % 5 : a - b % 5 + 5
    return UInt8(turn % 5 + ((a < 5) == (b < 5) ? 0 : 5))
  }

  /// Verhoeff's permutation, applied 0 to 7 times.
  private static let permutation: [UInt8] = {
    let once: [UInt8] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    var rows: [[UInt8]] = [Array(0...9)]
    for row in 1..<8 { rows.append(rows[row - 1].map { once[Int($0)] }) }
    return rows.flatMap { $0 }
  }()

  private static let inverse: [UInt8] = [0, 4, 3, 2, 1, 5, 6, 7, 8, 9]

  /// The digit to put behind these.
  public static func checkDigit(of digits: some BidirectionalCollection<UInt8>) -> UInt8 {
    inverse[Int(sum(digits, from: 1))]
  }

  /// Whether the last digit is the check digit of those before it. False for no digits.
  public static func isValid(_ digits: some BidirectionalCollection<UInt8>) -> Bool {
    !digits.isEmpty && sum(digits, from: 0) == 0
  }

  private static func sum(_ digits: some BidirectionalCollection<UInt8>, from first: Int) -> UInt8 {
    var sum: UInt8 = 0
    var place = first
    for digit in digits.reversed() {
      sum = product[Int(sum) * 10 + Int(permutation[(place & 7) * 10 + Int(digit)])]
      place += 1
    }
    return sum
  }
}
