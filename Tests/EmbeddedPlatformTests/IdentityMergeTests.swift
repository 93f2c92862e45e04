import JSON
import Testing

@testable import EmbeddedPlatform

@Suite(.timeLimit(.minutes(30))) struct IdentityMergeTests {
  private static let stored: JSONObject = [
    "UIN": "1", "fullName": [["language": "eng", "value": "Zoë"], ["language": "fra", "value": "Zoé"]], "phone": "1",
    "proofOfIdentity": ["value": "a", "type": "DOC"], "selectedHandles": ["phone", "email"],
  ]

  private func merged(_ change: JSONObject) -> JSONObject { IdentityMerge.merged(change, over: Self.stored) }

  @Test func `texts merge by language`() {
    #expect(
      merged(["fullName": [["language": "fra", "value": "Zoée"], ["language": "ara", "value": "زوي"]]])["fullName"] == [
        ["language": "eng", "value": "Zoë"], ["language": "fra", "value": "Zoée"], ["language": "ara", "value": "زوي"],
      ])
  }

  @Test func `null and absent and empty take nothing away`() {
    #expect(merged([:]) == Self.stored)
    #expect(merged(["fullName": .null, "phone": .null, "none": .null]) == Self.stored)
    #expect(merged(["fullName": []]) == Self.stored)
  }

  @Test func `everything else is replaced whole and new fields are added`() {
    let out = merged([
      "phone": "2", "proofOfIdentity": ["value": "b"], "selectedHandles": ["phone"], "email": "a@b.cd",
      "gender": [["language": "eng", "value": "Female"]],
    ])
    #expect(out["phone"] == "2" && out["proofOfIdentity"] == ["value": "b"] && out["selectedHandles"] == ["phone"])
    #expect(out["email"] == "a@b.cd" && out["gender"] == [["language": "eng", "value": "Female"]])
    #expect(out["fullName"] == Self.stored["fullName"] && out["UIN"] == "1")
  }

  @Test func `only fields that differ count as changed`() {
    let change: JSONObject = ["fullName": [["language": "eng", "value": "Zoë"]], "phone": "2", "email": "a@b.cd"]
    #expect(IdentityMerge.changed(from: Self.stored, to: merged(change)) == ["phone", "email"])
    #expect(IdentityMerge.changed(from: Self.stored, to: Self.stored).isEmpty)
  }
}
