import JSON
import Testing

@testable import Registration

@Suite(.timeLimit(.minutes(10))) struct IdObjectRulesTests {
  private static let person = [
    "IDSchemaVersion", "UIN", "addressLine1", "age", "city", "dateOfBirth", "fullName", "gender", "province", "region", "zone",
  ]

  /// The lists of docs/upstream/packet-and-crypto.md#53-mandatory-fields-by-process.
  static let rows: [(String, [String]?)] = [
    ("NEW", person + ["postalCode", "referenceIdentityNumber", "residenceStatus"]), ("CRVS_NEW", person),
    ("UPDATE", ["IDSchemaVersion", "UIN"]), ("RES_UPDATE", ["IDSchemaVersion", "UIN"]), ("ACTIVATED", ["IDSchemaVersion", "UIN"]),
    ("DEACTIVATED", ["IDSchemaVersion", "UIN"]), ("CRVS_DEATH", ["IDSchemaVersion", "UIN"]), ("LOST", ["IDSchemaVersion"]),
    ("BIOMETRIC_CORRECTION", ["IDSchemaVersion"]), ("OPENCRVS_NEW", ["IDSchemaVersion"]),
    ("BIOMETRIC_CORRECTION-2", ["IDSchemaVersion"]),
    ("CRVS_BIRTHDAY", nil), ("", nil), ("NEW-", nil), ("NEW-x", nil), ("new", nil),
  ]
  @Test(arguments: rows) func `every process has its list and others have none`(_ process: String, _ fields: [String]?) {
    #expect(IdObjectRules.mosip.mandatory(process)?.sorted() == fields?.sorted())
  }

  @Test func `a country may have its own lists`() throws {
    let rules = try IdObjectRules(
      json: Array(#"{"strictness":"all","mandatory-attributes":{"OPENCRVS_NEW":["fullName","dateOfBirth|age"],"X":[]}}"#.utf8))
    #expect(rules.strictness == .all && rules.mandatory("X") == [])
    #expect(rules.mandatory("OPENCRVS_NEW") == ["fullName", "dateOfBirth", "age"])
    #expect(rules.mandatory("LOST") == ["IDSchemaVersion"])
    #expect(try IdObjectRules(json: Array("{}".utf8)).strictness == .mosip)
  }

  @Test(arguments: [
    "", "[]", #"{"strictness":"some"}"#, #"{"mandatory-attributes":[]}"#, #"{"mandatory-attributes":{"X":"fullName"}}"#,
    #"{"mandatory-attributes":{"X":[1]}}"#, #"{"mandatory":{}}"#,
  ])
  func `wrong rules are refused`(_ text: String) {
    #expect(throws: PacketError.self) { try IdObjectRules(json: Array(text.utf8)) }
  }

  @Test func `a strict country gets every keyword of its schema`() throws {
    let schema = try PacketSamples.schema()
    let twice: JSONValue = [["language": "eng", "value": "x"], ["language": "eng", "value": "x"]]
    let identity: JSONObject = ["IDSchemaVersion": -1, "fullName": twice]
    #expect(schema.violations(of: identity, mandatory: []).isEmpty)
    #expect(
      schema.violations(of: identity, mandatory: [], strictness: .all).map(\.description) == [
        "KER-IOV-004 minimum: identity/IDSchemaVersion", "KER-IOV-004 uniqueItems: identity/fullName",
      ])
  }

  @Test func `what does not count hides nothing that does`() throws {
    let schema = try IdSchema(
      json: Array(
        #"{"properties":{"identity":{"additionalProperties":false,"properties":{"a":{"type":"array","items":{"minLength":2}}}}}}"#
          .utf8))
    let many = JSONValue.array(Array(repeating: "x", count: 1000))
    #expect(schema.violations(of: ["a": many, "odd": 1], mandatory: []).map(\.path) == ["identity/odd"])
    #expect(schema.violations(of: ["a": many, "odd": 1], mandatory: [], strictness: .all).count == 200)
  }
}
