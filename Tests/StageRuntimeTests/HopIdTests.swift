import Kafka
import Testing

@testable import StageRuntime

/// The expected ids were made with Python's hashlib: SHA-256 of the parts, a zero byte behind each, the first 16 bytes.
@Suite(.timeLimit(.minutes(30))) struct HopIdTests {
  private let first = HopId.first(
    rid: "10001100010000120260101000000", process: "OPENCRVS_NEW", iteration: 1, run: 1, stage: "packet-receiver")

  @Test
  func `an id is the same wherever and whenever it is derived`() {
    #expect(first.text == "169b8fa1-4f17-2ffc-424e-7e6f047a9ee9")
    #expect(first.next("securezone-notification").text == "dc958e02-9c09-cc99-866e-de0f8ea0ed0a")
    #expect(first.nextTry.text == "12459b3d-3ef4-e0a3-f8dc-4c54576f3b62")
    #expect(
      HopId.foreign(stage: "print", value: Array(#"{"rid":"1"}"#.utf8)).text == "c129a8ce-60be-ed59-e8a7-b6444a77552f")
  }

  @Test
  func `an id is read from its own text alone`() {
    #expect(HopId(text: first.text) == first)
    for bad in [
      "", "169b8fa1-4f17-2ffc-424e-7e6f047a9ee", "169b8fa1-4f17-2ffc-424e-7e6f047a9ee99", "169b8fa1+4f17-2ffc-424e-7e6f047a9ee9",
      "169B8fa1-4f17-2ffc-424e-7e6f047a9ee9", "169b8fa1-4f17-2ffc-424e-7e6f047a9eeg", "169b8fa14f17-2ffc-424e-7e6f047a9-ee9",
      "169b8fa1-4f17-2ffc-424e-7e6f047a9ee\u{e9}",
    ] {
      #expect(HopId(text: bad) == nil, "\(bad)")
    }
  }

  @Test(arguments: [(1, 1), (12, 3), (Int.max, 20)])
  func `a hop's header says id, run and try, and only such a header is read`(run: Int, attempt: Int) {
    let header = HopHeader(id: first, run: run, attempt: attempt)
    #expect(header.text == "169b8fa1-4f17-2ffc-424e-7e6f047a9ee9.\(run).\(attempt)")
    if run < Int.max { #expect(read(header.text) == header) }
    for bad in [
      "\(first.text)", "\(first.text).1", "\(first.text).1.", "\(first.text)..1", "\(first.text).0.1", "\(first.text).1.-1",
      "\(first.text).1.1.", "\(first.text).1.1x", "\(first.text).1.99999999999999999999", "x.1.1",
    ] {
      #expect(read(bad) == nil, "\(bad)")
    }
  }

  private func read(_ text: String) -> HopHeader? { Array(text.utf8).withUnsafeBytes { HopHeader($0) } }
}
