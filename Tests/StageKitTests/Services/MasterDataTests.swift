import Testing

@testable import StageKit

@Suite(.timeLimit(.minutes(10))) struct MasterDataTests {
  private let text = #"{"gender":[{"code":"FLE","eng":"Female","fra":"Féminin"},{"code":"MLE","eng":"Male"}],"region":[]}"#

  @Test func `a value is meant by its code or its name in the texts language`() async throws {
    let data = try BundledMasterData(json: Array(text.utf8))
    let gender = try #require(try await data.values(of: "gender"))
    func isKnown(_ text: String, _ language: String?) -> Bool { gender.contains { $0.isMeant(by: text, language: language) } }
    #expect(isKnown("FLE", "eng") && isKnown("FLE", nil) && isKnown("Female", "eng") && isKnown("Féminin", "fra"))
    #expect(isKnown("Male", nil))
    #expect(!isKnown("Female", "fra") && !isKnown("Male", "fra") && !isKnown("female", "eng") && !isKnown("", nil))
    #expect(try await data.values(of: "region") == [])
    #expect(try await data.values(of: "city") == nil)
    #expect(try await NoMasterData().values(of: "gender") == nil)
  }

  @Test(arguments: [
    "", "[]", #"{"gender":{}}"#, #"{"gender":[{"eng":"Female"}]}"#, #"{"gender":[{"code":"F","eng":1}]}"#, #"{"gender":["F"]}"#,
  ])
  func `a file that is no master data is refused`(_ text: String) {
    #expect(throws: ServiceError.self) { try BundledMasterData(json: Array(text.utf8)) }
  }
}
