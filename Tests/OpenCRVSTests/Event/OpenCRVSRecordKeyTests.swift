import Cryptography
import TestEvents
import Testing

@testable import OpenCRVS

@Suite("Keys of records", .timeLimit(.minutes(10)))
struct OpenCRVSRecordKeyTests {
  @Test
  func `are a birth's own record id, and hashed when they would not fit or not be plain`() throws {
    func key(_ record: String) throws -> String {
      OpenCRVSRecordKey.of(try OpenCRVSEvent(Births.usual(record: record).encoded()))
    }
    #expect(try key(Births.record) == Births.record)
    #expect(try key(String(repeating: "x", count: 64)).count == 64)
    #expect(try key(String(repeating: "x", count: 65)) == Hash.sha256Hex(Array(repeating: 120, count: 65)))
    #expect(try key("ähm") != "ähm")
    #expect(try key("'; DROP") != "'; DROP")
    #expect(OpenCRVSRecordKey.container("../../etc") == Hash.sha256Hex(Array("../../etc".utf8)))
  }

  @Test
  func `are one for all deliveries of a death, and tell its changes apart`() throws {
    func key(_ moment: String, _ kind: EventKind) throws -> String {
      OpenCRVSRecordKey.of(
        try OpenCRVSEvent(
          Births.event([Births.task("DEATH", record: "r1", lastModified: moment), Births.child()], topic: kind.topic).encoded()))
    }
    let (first, second) = ("2024-01-01T00:00:00.000Z", "2024-01-02T00:00:00.000Z")
    #expect(try key(first, .death) == "r1:death")
    #expect(try key(second, .death) == "r1:death")
    #expect(try key(first, .deathCorrection) == "r1:death-correction:\(first)")
    #expect(try key(first, .deathCorrection) != key(second, .deathCorrection))
    #expect(try key(first, .deathReversal).count <= 64)
  }
}
