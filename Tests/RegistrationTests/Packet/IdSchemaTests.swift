import JSON
import Testing

@testable import Registration

@Suite("Id schema", .timeLimit(.minutes(10))) struct IdSchemaTests {
  let schema = try! PacketSamples.schema()

  func violations(_ identity: JSONObject, _ mandatory: Set<String> = ["IDSchemaVersion"]) -> [String] {
    schema.violations(of: identity, mandatory: mandatory).map(\.description)
  }

  @Test
  func `The shipped schema says for every field its type and its sub-packet`() {
    #expect(schema.fields.count == 35)
    #expect(schema.required.count == 16)
    #expect(schema.field("fullName")?.type == .simple)
    #expect(schema.field("phone")?.type == .plain("string"))
    #expect(schema.field("proofOfIdentity")?.type == .document)
    #expect(schema.field("individualBiometrics")?.type == .biometrics)
    #expect(schema.subPackets(of: "fullName") == [.id])
    #expect(schema.subPackets(of: "residenceStatus") == [.id])
    #expect(schema.subPackets(of: "introducerRID") == [.evidence])
    #expect(schema.subPackets(of: "UIN") == [.id, .evidence, .optional])
    #expect(schema.subPackets(of: "unknown") == [])
    #expect(schema.field("phone")?.validators.count == 1)
    #expect(schema.field("fullName")?.validators == [])
  }

  @Test
  func `A required field is missed only if the process makes it mandatory`() {
    #expect(violations([:]) == ["KER-IOV-005 missing: identity/IDSchemaVersion"])
    #expect(violations(["IDSchemaVersion": "0.1"]) == [])
    #expect(violations(["IDSchemaVersion": 0.1]) == [])
    #expect(
      violations(["IDSchemaVersion": 0.1], ["IDSchemaVersion", "UIN", "fullName"]) == [
        "KER-IOV-005 missing: identity/fullName"
      ])
  }

  @Test
  func `Unwanted fields and wrong types are found, inside lists too`() {
    #expect(violations(["IDSchemaVersion": "x"]) == ["KER-IOV-004 type: identity/IDSchemaVersion"])
    #expect(violations(["IDSchemaVersion": 1, "odd": 1]) == ["KER-IOV-004 unwanted: identity/odd"])
    #expect(violations(["IDSchemaVersion": 1, "fullName": "Zoë"]) == ["KER-IOV-004 type: identity/fullName"])
    #expect(violations(["IDSchemaVersion": 1, "phone": 9_898_989_898]) == ["KER-IOV-004 type: identity/phone"])
    #expect(
      violations(["IDSchemaVersion": 1, "gender": [["language": "eng"], ["language": 1, "value": "F", "x": "y"]]]) == [
        "KER-IOV-005 missing: identity/gender/0/value", "KER-IOV-004 type: identity/gender/1/language",
        "KER-IOV-004 unwanted: identity/gender/1/x",
      ])
    #expect(
      violations(["IDSchemaVersion": 1, "proofOfIdentity": ["value": "a", "refNumber": nil, "type": "b"]]) == [])
  }

  @Test
  func `Two names that look alike are no schema, and no crash`() {
    let text = #"{"properties":{"identity":{"properties":{"pr\u00e9nom":{"type":"string"},"pre\u0301nom":{"type":"string"}}}}}"#
    #expect { try IdSchema(json: Array(text.utf8)) } throws: { ($0 as? PacketError)?.code == .badSchema }
  }

  @Test
  func `What other keywords ask for is ignored, as MOSIP does`() {
    #expect(violations(["IDSchemaVersion": -1]) == [])
    let twice: JSONValue = ["language": "eng", "value": "x"]
    #expect(violations(["IDSchemaVersion": 1, "fullName": [twice, twice]]) == [])
  }

  @Test
  func `Validators of plain texts match whole, those beside a reference are inert`() {
    func holds(_ field: String, _ value: String) -> Bool {
      violations(["IDSchemaVersion": 1]).isEmpty
        && schema.violations(of: ["IDSchemaVersion": 1, "\(field)": .string(value)], mandatory: []).isEmpty
    }
    #expect(holds("dateOfBirth", "2024/02/29"))
    for bad in ["2024-02-29", "2024/13/01", "1868/01/01", " 2024/02/29", "2024/02/29\n", "2024/2/9", ""] {
      #expect(!holds("dateOfBirth", bad))
    }
    #expect(holds("phone", "9898989898"))
    #expect(holds("phone", "+9898989898"))
    for bad in ["989898989", "98989898989", "989898989x", "٩٨٩٨٩٨٩٨٩٨"] { #expect(!holds("phone", bad)) }
    #expect(holds("email", "asha.rao.123@gmail.com"))
    for bad in ["asha", "asha@", "@gmail.com", "a b@gmail.com", "asha@gmail"] { #expect(!holds("email", bad)) }
    #expect(holds("postalCode", "A1234"))
    #expect(holds("postalCode", "NA"))
    #expect(!holds("postalCode", "123456"))
    #expect(!holds("phone", String(repeating: "+", count: 5000) + "9898989898"))
    #expect(violations(["IDSchemaVersion": 1, "fullName": [["language": "eng", "value": "x"]]]) == [])
  }

  @Test
  func `A text that is no schema is refused`() {
    for text in ["", "{}", "[]", #"{"properties":{"identity":{}}}"#] {
      #expect(code { try IdSchema(json: Array(text.utf8)) } == .badSchema)
    }
    let bad = #"{"properties":{"identity":{"properties":{"a":{"type":"string","validators":[{"validator":"("}]}}}}}"#
    #expect(code { try IdSchema(json: Array(bad.utf8)) } == .badSchema)
  }
}
