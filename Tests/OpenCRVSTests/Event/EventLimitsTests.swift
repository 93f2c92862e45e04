import StandIn
import TestEvents
import Testing

@testable import OpenCRVS

/// How large an event may be, wherever it is.
@Suite(.timeLimit(.minutes(10))) struct EventLimitsTests {
  private func code(_ body: () throws -> Void) -> String? {
    do {
      try body()
      return nil
    } catch { return (error as? MediatorError)?.code.rawValue ?? "\(error)" }
  }

  @Test func `an event of the largest size is read and one with a byte more is OPN-CRVS-035`() throws {
    let event = Births.usual().encoded()
    let padding = [UInt8](repeating: 32, count: EventLimits.forwarded - event.count)
    #expect(try OpenCRVSEvent(event + padding).digest == OpenCRVSEvent(event).digest)
    #expect(code { _ = try OpenCRVSEvent(event + padding + [32]) } == "OPN-CRVS-035")
  }

  @Test func `a body above its limit is OPN-CRVS-035 and one within it is judged by its content`() {
    let body = Array(#"{"data":"AA==","signature":"AA=="}"#.utf8)
    #expect(code { _ = try SealedMessage(body, largest: body.count) } == nil)
    #expect(code { _ = try SealedMessage(body, largest: body.count - 1) } == "OPN-CRVS-035")
    #expect(code { _ = try SealedMessage(Array("{".utf8), largest: body.count) } == "OPN-CRVS-001")
  }

  @Test func `the largest event fits sealed into the body that takes it to the other side`() {
    // Thumbprint, sealed key, splitter, nonce and tag are less than a KiB; base64 makes four bytes of three.
    let envelope = EventLimits.forwarded + 1024
    #expect((envelope + 2) / 3 * 4 + 4096 < EventLimits.sealed)
    #expect(EventLimits.event < EventLimits.forwarded)
  }
}
