import System
import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct RIDTests {
  @Test(arguments: ["10001100020000120240229235959", "10001100020004220210315103020", "45451454529999920231231000000"])
  func `a good RID is read and made again from its parts`(text: String) throws {
    let rid = try RID(text)
    #expect(rid.text == text)
    let again = try RID(center: rid.center, machine: rid.machine, sequence: rid.sequence, at: rid.timestamp)
    #expect(again == rid)
    #expect(try RID(text, center: rid.center, machine: rid.machine) == rid)
  }

  @Test func `a RID has its parts`() throws {
    let rid = try RID("10001100020004220210315103020")
    #expect(rid.center == "10001")
    #expect(rid.machine == "10002")
    #expect(rid.sequence == 42)
    #expect(rid.timestampISO == "2021-03-15T10:30:20.000Z")
    #expect(try RID("10001100020000120240101000000").timestampISO == "2024-01-01T00:00:00.000Z")
  }

  @Test(arguments: [
    ("", "KER-IDV-304"), ("1000110002000012024010112000", "KER-IDV-304"),
    ("100011000200001202401011200000", "KER-IDV-304"),
    ("1000A100020000120240101120000", "KER-IDV-301"), ("1000110002000012024010112000é", "KER-IDV-304"),
    ("-0001100020000120240101120000", "KER-IDV-301"), ("10001100020000120230229120000", "KER-IDV-305"),
    ("10001100020000120240101240000", "KER-IDV-305"), ("10001100020000120240101126000", "KER-IDV-305"),
    ("10001100020000120240101120060", "KER-IDV-305"), ("10001100020000120240001120000", "KER-IDV-305"),
    ("10001100020000120241301120000", "KER-IDV-305"), ("10001100020000120240200120000", "KER-IDV-305"),
    ("10001100020000120240431120000", "KER-IDV-305"), ("10001100020000119000229120000", "KER-IDV-305"),
  ])
  func `a bad RID is refused with MOSIP's code`(text: String, code: String) {
    #expect(#expect(throws: IdentifierError.self) { try RID(text) }?.code == code)
  }

  @Test func `Arabic digits are no digits`() {
    // 15 ASCII digits and 7 Arabic ones of two bytes each: 29 bytes.
    let text = "100011000200001" + String(repeating: "\u{661}", count: 7)
    #expect(#expect(throws: IdentifierError.self) { try RID(text) }?.code == "KER-IDV-301")
  }

  @Test func `a RID of another centre or machine is refused where one is expected`() {
    let text = "10001100020000120240229235959"
    #expect(#expect(throws: IdentifierError.self) { try RID(text, center: "10003") }?.code == "KER-IDV-302")
    #expect(#expect(throws: IdentifierError.self) { try RID(text, machine: "10003") }?.code == "KER-IDV-303")
  }

  @Test func `parts that make no RID are refused`() {
    func code(_ center: String, _ machine: String, _ sequence: Int, _ moment: Instant) -> String? {
      #expect(throws: IdentifierError.self) {
        try RID(center: center, machine: machine, sequence: sequence, at: moment)
      }?.code
    }
    let now = Instant(milliseconds: 1_700_000_000_000)
    #expect(code("", "10002", 1, now) == "KER-RIG-002")
    #expect(code("10001", "1002", 1, now) == "KER-RIG-003")
    #expect(code("1000A", "10002", 1, now) == "KER-IDV-301")
    #expect(code("10001", "10002", 0, now) == "KER-IDV-307")
    #expect(code("10001", "10002", 100_000, now) == "KER-IDV-307")
    #expect(code("10001", "10002", 1, Instant(milliseconds: 253_402_300_800_000)) == "KER-IDV-304")
  }

  @Test func `the count of a machine begins at 1 and begins again behind 99999`() {
    let rules = RIDRules()
    #expect(rules.sequence(after: nil) == 1)
    #expect(rules.sequence(after: 1) == 2)
    #expect(rules.sequence(after: 99_998) == 99_999)
    #expect(rules.sequence(after: 99_999) == 1)
  }

  @Test func `the count begins where a deployment says, also when it stood before that`() {
    let rules = RIDRules(sequenceStart: 500)
    #expect(rules.sequence(after: nil) == 500)
    #expect(rules.sequence(after: 7) == 500)
    #expect(rules.sequence(after: 500) == 501)
    #expect(rules.sequence(after: 99_999) == 500)
  }
}
