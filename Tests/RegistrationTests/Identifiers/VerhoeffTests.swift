import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct VerhoeffTests {
  @Test func `the known check digit of 236 is 3`() {
    #expect(Verhoeff.checkDigit(of: [2, 3, 6]) == 3)
    #expect(Verhoeff.isValid([2, 3, 6, 3]))
    #expect(!Verhoeff.isValid([UInt8]()))
  }

  @Test func `every wrong digit and every swap of neighbours is found`() {
    for _ in 0..<50 {
      var digits = (0..<15).map { _ in UInt8.random(in: 0...9) }
      digits.append(Verhoeff.checkDigit(of: digits))
      #expect(Verhoeff.isValid(digits))
      for place in digits.indices {
        for other in 0...9 where UInt8(other) != digits[place] {
          var wrong = digits
          wrong[place] = UInt8(other)
          #expect(!Verhoeff.isValid(wrong))
        }
        if place > 0, digits[place] != digits[place - 1] {
          var swapped = digits
          swapped.swapAt(place, place - 1)
          #expect(!Verhoeff.isValid(swapped))
        }
      }
    }
  }
}
