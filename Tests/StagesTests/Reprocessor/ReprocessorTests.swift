import StageTesting
import StageKit
import Stages
import Testing

/// What the reprocessor's settings mean.
@Suite(.timeLimit(.minutes(10))) struct ReprocessorTests {
  private func make(_ given: [String: SettingValue]) throws {
    _ = try Reprocessor(settings: StageSettings(stage: "reprocessor", declared: Reprocessor.spec.settings, given: given))
  }

  @Test func `what cannot be meant is refused by the settings name`() throws {
    try make([:])
    try make(["restart-trigger-filter": [], "exclude-stage-names": []])
    let wrong: [(String, SettingValue)] = [
      ("attempt-count", 0), ("attempt-count", 40_000), ("fetch-size", 3), ("every", 0), ("elapse-time", 0),
      ("restart-trigger-filter", ["BioDedupeStage"]), ("restart-trigger-filter", ["BioDedupeStage:FAILED"]),
    ]
    for (name, value) in wrong {
      let error = #expect(throws: SettingError.self) { try make([name: value]) }
      #expect(error?.setting == name)
    }
  }

  @Test func `it judges nothing and belongs where stages run elsewhere`() {
    #expect(!Reprocessor.spec.takesMessages && Reprocessor.spec.servesElsewhere && Reprocessor.spec.topics.isEmpty)
  }
}
