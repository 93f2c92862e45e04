/// Changes inputs at random, always in the same way for one seed: the short fuzzing of `make test` that needs no instrumented build.
public struct Mutation: Sendable {
  private var state: UInt64

  /// Changes that follow from a seed.
  public init(seed: UInt64) { state = seed &+ 0x9e37_79b9_7f4a_7c15 }

  /// Another input of one that a reader knows, with a few of its bytes flipped, set, left out, doubled or taken from elsewhere.
  public mutating func callAsFunction(_ input: [UInt8], _ other: [UInt8]) -> [UInt8] {
    var out = input
    for _ in 0...below(4) {
      let at = below(out.count + 1)
      switch below(8) {
      case 0 where at < out.count: out[at] ^= 1 << UInt8(below(8))
      case 1 where at < out.count: out[at] = UInt8(below(256))
      case 2 where at < out.count: out[at] = Self.telling[below(Self.telling.count)]
      case 3: out.removeSubrange(at..<min(out.count, at + below(9)))
      case 4: out.insert(contentsOf: out[at..<min(out.count, at + below(40))], at: at)
      case 5: out.removeSubrange(at...)
      case 6 where !other.isEmpty:
        let from = below(other.count)
        out.insert(contentsOf: other[from..<min(other.count, from + below(60))], at: at)
      // Numbers of two or four bytes: sizes, offsets, counts.
      default:
        let value = Self.numbers[below(Self.numbers.count)]
        for shift in 0..<(below(2) == 0 ? 2 : 4) where at + shift < out.count {
          out[at + shift] = UInt8(truncatingIfNeeded: value >> (8 * shift))
        }
      }
    }
    return out
  }

  private static let telling = Array("\"\\{}[],:0-.eE+=/_\n\u{0}\u{7f}".utf8) + [0x80, 0xc2, 0xe0, 0xf4, 0xff]
  private static let numbers: [UInt32] = [
    0, 1, 2, 22, 30, 46, 127, 128, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff,
  ]

  /// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, 2014), reduced to a range.
  private mutating func below(_ limit: Int) -> Int {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    z ^= z >> 31
    return Int(z % UInt64(limit))
  }
}
