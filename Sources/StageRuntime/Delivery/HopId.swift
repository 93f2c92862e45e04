import Cryptography
import System

/// The id of one hop: 128 bits that both sides of a redelivery derive alike, so that what was judged once is never judged again.
///
/// The id of a hop that follows another is made from that one and the stage it goes to; the first of a run from the RID, the process, the
/// iteration, the run and the stage; that of a record which a foreign (Java) stage sent from the record itself.
public struct HopId: Hashable, Sendable, CustomStringConvertible {
  private let high: UInt64
  private let low: UInt64

  /// Each part is followed by a zero byte, so that no two lists of parts are the same bytes.
  private init(hashing parts: [[UInt8]]) {
    var bytes: [UInt8] = []
    for part in parts {
      bytes.append(contentsOf: part)
      bytes.append(0)
    }
    self = bytes.withUnsafeBytes { HopId(digestOf: $0) }
  }

  private init(digestOf bytes: UnsafeRawBufferPointer) {
    let digest = Hash.sha256(words: bytes)
    high = digest.0
    low = digest.1
  }

  /// As `hashing` with a word, this id and a stage's name: made for every hop, so without arrays.
  private func derived(_ word: StaticString, _ stage: String? = nil) -> HopId {
    var stage = stage
    let size = word.utf8CodeUnitCount + 1 + 17 + (stage.map { $0.utf8.count + 1 } ?? 0)
    return withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { bytes in
      var at = bytes.baseAddress!
      func put(_ source: UnsafeRawPointer, _ count: Int) {
        at.copyMemory(from: source, byteCount: count)
        at.storeBytes(of: 0, toByteOffset: count, as: UInt8.self)
        at += count + 1
      }
      put(word.utf8Start, word.utf8CodeUnitCount)
      var id = (high.bigEndian, low.bigEndian)
      put(&id, 16)
      stage?.withUTF8 { put($0.baseAddress!, $0.count) }
      return HopId(digestOf: UnsafeRawBufferPointer(bytes))
    }
  }

  /// An id that was read as a UUID in lower case; nil when the text is none.
  public init?(text: String) {
    var text = text
    guard let id = text.withUTF8({ HopId(utf8: UnsafeRawBufferPointer($0)) }) else { return nil }
    self = id
  }

  init?(utf8 bytes: UnsafeRawBufferPointer) {
    guard bytes.count == 36 else { return nil }
    let hyphen = UInt8(ascii: "-")
    guard bytes[8] == hyphen, bytes[13] == hyphen, bytes[18] == hyphen, bytes[23] == hyphen else { return nil }
    // Of a byte that is no digit, bits stay set above the lowest four.
    var faults: UInt64 = 0
    func digits(_ range: Range<Int>) -> UInt64 {
      var value: UInt64 = 0
      for i in range {
        let byte = bytes[i]
        let digit = byte &- 48
        let letter = byte &- 97
        let nibble = digit < 10 ? digit : letter < 6 ? letter &+ 10 : 255
        faults |= UInt64(nibble)
        value = value << 4 | UInt64(nibble & 15)
      }
      return value
    }
    high = digits(0..<8) << 32 | digits(9..<13) << 16 | digits(14..<18)
    low = digits(19..<23) << 48 | digits(24..<36)
    guard faults < 16 else { return nil }
  }

  /// The first hop of a run.
  public static func first(rid: String, process: String, iteration: Int, run: Int, stage: String) -> HopId {
    HopId(hashing: ["first", rid, process, String(iteration), String(run), stage].map { Array($0.utf8) })
  }

  /// By what the end of a run is known, whichever hop it came by: a registration ends once in a run.
  static func completion(rid: String, process: String, iteration: Int, run: Int) -> HopId {
    HopId(hashing: ["completed", rid, process, String(iteration), String(run)].map { Array($0.utf8) })
  }

  /// The hop that this one sends to a stage.
  public func next(_ stage: String) -> HopId { derived("next", stage) }

  /// The next try of this hop at the same stage.
  public var nextTry: HopId { derived("try") }

  /// The hop by which a registration that waits after this one goes on.
  public var resumed: HopId { derived("resume") }

  /// The hop by which the reprocessor tries again what stands at this one; numbered by the registration's tries.
  func secondTry(_ number: Int) -> HopId { derived("second try", String(number)) }

  /// The hop of a record that a foreign stage sent: such a record carries no id, and the same bytes are the same record. Others may be a
  /// repeat all the same (`ForeignRecord`).
  public static func foreign(stage: String, value: [UInt8]) -> HopId {
    HopId(hashing: [Array("foreign".utf8), Array(stage.utf8), value])
  }

  /// The id as a UUID in lower case, as Postgres prints it.
  public var text: String {
    String(unsafeUninitializedCapacity: 36) { out in
      write(into: out.baseAddress!)
      return 36
    }
  }

  public var description: String { text }

  /// Writes the 36 bytes of `text`.
  func write(into out: UnsafeMutablePointer<UInt8>) {
    var at = 0
    for digit in 0..<32 {
      if digit == 8 || digit == 12 || digit == 16 || digit == 20 {
        out[at] = UInt8(ascii: "-")
        at += 1
      }
      out[at] = hexDigit((digit < 16 ? high : low) >> UInt64(60 - 4 * (digit & 15)))
      at += 1
    }
  }

  /// Writes the low half in 16 hex digits: the span id of the trace header.
  func writeSpan(into out: UnsafeMutablePointer<UInt8>) { writeHex(low, into: out) }
}

/// Writes a number in 16 hex digits of lower case.
func writeHex(_ value: UInt64, into out: UnsafeMutablePointer<UInt8>) {
  for i in 0..<16 { out[i] = hexDigit(value >> UInt64(60 - 4 * i)) }
}

private func hexDigit(_ value: UInt64) -> UInt8 {
  let value = UInt8(truncatingIfNeeded: value & 15)
  return value < 10 ? 48 + value : 87 + value
}

/// What the header `regproc-hop` carries beside a message: `<hop id>.<run>.<try>`. Foreign stages ignore it.
struct HopHeader: Sendable, Equatable {
  static let name: StaticString = "regproc-hop"
  /// The most bytes it has: the id, two points and two numbers.
  static let maximumCount = 36 + 2 * 21
  var id: HopId
  var run: Int
  var attempt: Int

  init(id: HopId, run: Int, attempt: Int) {
    self.id = id
    self.run = run
    self.attempt = attempt
  }

  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count > 38, bytes[36] == UInt8(ascii: "."), let id = HopId(utf8: UnsafeRawBufferPointer(rebasing: bytes[..<36]))
    else { return nil }
    var at = 37
    guard let run = Self.number(bytes, &at), at < bytes.count, bytes[at] == UInt8(ascii: ".") else { return nil }
    at += 1
    guard let attempt = Self.number(bytes, &at), at == bytes.count else { return nil }
    self.init(id: id, run: run, attempt: attempt)
  }

  /// A number above zero of at most 18 digits.
  private static func number(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) -> Int? {
    let start = at
    var value = 0
    while at < bytes.count, (48...57).contains(bytes[at]), at - start < 18 {
      value = value * 10 + Int(bytes[at] - 48)
      at += 1
    }
    return value > 0 ? value : nil
  }

  /// Writes the header's bytes; the number of them.
  func write(into out: UnsafeMutablePointer<UInt8>) -> Int {
    id.write(into: out)
    var at = 36
    for i in 0..<2 {
      let number = i == 0 ? run : attempt
      out[at] = UInt8(ascii: ".")
      at += 1
      if (0...9).contains(number) {
        out[at] = 48 + UInt8(number)
        at += 1
      } else {
        for byte in String(number).utf8 {
          out[at] = byte
          at += 1
        }
      }
    }
    return at
  }

  var text: String { String(unsafeUninitializedCapacity: Self.maximumCount) { write(into: $0.baseAddress!) } }
}
