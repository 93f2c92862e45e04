import StageKit
import System
import Testing

/// Which registrations get a second try, when, and which: the rules alone.
@Suite(.timeLimit(.minutes(10))) struct SecondTryTests {
  private static let now = Instant(milliseconds: 1_790_000_000_000)
  private static let long = now.advanced(bySeconds: -1000)
  private static let soon = now.advanced(bySeconds: -100)

  private static func standing(
    _ status: String = "PROCESSING", _ latest: String? = "SUCCESS", at stage: String? = "BioDedupeStage",
    present: String? = "bio-dedupe", moved: Instant = long, tries: Int = 0, open: [SecondTryStanding.OpenHop] = []
  ) -> SecondTryStanding {
    var standing = SecondTryStanding(
      status: RegistrationStatus(rawValue: status), latest: latest, stageClass: stage, movedAt: moved, tries: tries)
    (standing.present, standing.open) = (present, open)
    return standing
  }

  private static func sent(
    _ stage: String, _ name: String, elsewhere: Bool = true, at moment: Instant? = long
  ) -> SecondTryStanding.OpenHop {
    .init(stage: stage, className: name, runsElsewhere: elsewhere, sentAt: moment)
  }

  private func decide(_ standing: SecondTryStanding, _ rules: SecondTryRules = SecondTryRules()) -> SecondTryDecision {
    rules.decide(standing, now: Self.now)
  }

  @Test func `the latest status says whether the stage is redone or its output routed again`() {
    #expect(decide(Self.standing()) == .routeAgain("bio-dedupe"))
    #expect(decide(Self.standing("REPROCESS", "REPROCESS")) == .redo("bio-dedupe"))
    #expect(decide(Self.standing("PROCESSING", "IN_PROGRESS")) == .redo("bio-dedupe"))
    for latest in ["ERROR", "FAILED", "REJECTED", "PROCESSED", "PROCESSING", "REPROCESS_FAILED", nil] {
      #expect(decide(Self.standing("PROCESSING", latest)) == .leave, "\(latest ?? "none")")
    }
    for status in ["PROCESSED", "FAILED", "REJECTED", "PAUSED_FOR_ADDITIONAL_INFO", "PAUSED", "RETIRED"] {
      #expect(decide(Self.standing(status)) == .leave, "\(status)")
    }
  }

  @Test func `nothing happens before its time whichever of row and message is the later`() {
    #expect(decide(Self.standing(moved: Self.soon)) == .later(Self.soon.advanced(bySeconds: 900)))
    let hop = Self.sent("bio-dedupe", "BioDedupeStage", at: Self.soon)
    #expect(decide(Self.standing(open: [hop])) == .later(Self.soon.advanced(bySeconds: 900)))
    #expect(decide(Self.standing(moved: Self.now.advanced(bySeconds: -900))) == .routeAgain("bio-dedupe"), "at the second")
  }

  @Test func `what is of ours or waits for its moment is left alone`() {
    #expect(decide(Self.standing(at: "PacketValidatorStage", present: nil)) == .leave)
    let ours = Self.sent("packet-validator", "PacketValidatorStage", elsewhere: false)
    #expect(decide(Self.standing(open: [ours])) == .leave)
    #expect(decide(Self.standing(open: [Self.sent("bio-dedupe", "BioDedupeStage"), ours])) == .leave)
    #expect(decide(Self.standing(open: [Self.sent("bio-dedupe", "BioDedupeStage", at: nil)])) == .leave)
    #expect(decide(Self.standing("RESUMABLE", open: [ours])) == .leave)
    var rules = SecondTryRules()
    rules.excludedClasses = ["BioDedupeStage"]
    #expect(decide(Self.standing(), rules) == .leave)
  }

  @Test func `a stage that was asked and said nothing is asked again whatever the stage before it said`() {
    let hop = Self.sent("bio-dedupe", "BioDedupeStage")
    #expect(decide(Self.standing(at: "PacketValidatorStage", present: nil, open: [hop])) == .redo("bio-dedupe"))
    var before = Self.standing(at: "DemoDedupeStage", present: "demo-dedupe", open: [hop])
    before.presentIsThrough = true
    #expect(decide(before) == .redo("bio-dedupe"))
    // Another bridge has routed it on since: the journal has not seen that stage.
    before.presentIsThrough = false
    before.movedAt = Self.long.advanced(bySeconds: 50)
    #expect(decide(before) == .routeAgain("demo-dedupe"))
    // It had done its work, and its answer was lost.
    #expect(decide(Self.standing(moved: Self.long.advanced(bySeconds: 50), open: [hop])) == .routeAgain("bio-dedupe"))
    let earlier = Self.long.advanced(bySeconds: -50)
    #expect(decide(Self.standing(moved: earlier, open: [hop])) == .redo("bio-dedupe"), "of an earlier try")
  }

  @Test func `the tries are counted up to the limit`() {
    #expect(decide(Self.standing(tries: 19)) == .routeAgain("bio-dedupe"))
    #expect(decide(Self.standing(tries: 20)) == .giveUp("bio-dedupe"))
    #expect(decide(Self.standing(tries: 21)) == .giveUp("bio-dedupe"))
    #expect(decide(Self.standing("RESUMABLE", tries: 20)) == .routeAgain("bio-dedupe"), "somebody lets it go on")
    #expect(decide(Self.standing("RESUMABLE", "REPROCESS", moved: Self.soon)) == .redo("bio-dedupe"), "at once")
  }

  @Test func `a trigger makes it begin again at an earlier stage`() {
    var rules = SecondTryRules()
    rules.triggers = ["DemoDedupeStage:SUCCESS", " BioDedupeStage:* "].compactMap(SecondTryRules.Trigger.init)
    #expect(rules.triggers.count == 2)
    let again = SecondTryDecision.restart(fromClass: "SecurezoneNotificationStage", because: "bio-dedupe")
    #expect(decide(Self.standing("PROCESSING", "REPROCESS"), rules) == again)
    #expect(decide(Self.standing(tries: 20), rules) == .giveUp("bio-dedupe"))
    let other = Self.standing("PROCESSING", "REPROCESS", at: "DemoDedupeStage", present: "demo-dedupe")
    #expect(decide(other, rules) == .redo("demo-dedupe"))
    // That stage of ours is none that the reprocessor restarts, though the stage behind it is elsewhere.
    let hop = Self.sent("abis-handler", "AbisHandlerStage")
    #expect(decide(Self.standing(present: nil, open: [hop]), rules) == .redo("abis-handler"))
    for text in ["", "BioDedupeStage", "BioDedupeStage:FAILED", ":SUCCESS", "A:SUCCESS:B"] {
      #expect(SecondTryRules.Trigger(text) == nil)
    }
  }

  @Test func `a pause ends by its default action unless the journal ends it`() {
    func paused(_ action: String?, until moment: Instant = Self.soon) -> SecondTryStanding {
      var standing = Self.standing("PAUSED", moved: Self.soon)
      (standing.resumeAt, standing.resumeAction) = (moment, action)
      return standing
    }
    #expect(decide(paused("RESUME_PROCESSING")) == .routeAgain("bio-dedupe"))
    #expect(decide(paused("STOP_PROCESSING")) == .reject("bio-dedupe"))
    #expect(decide(paused("RESUME_FROM_BEGINNING")) == .restart(fromClass: "PacketUploaderStage", because: "bio-dedupe"))
    #expect(decide(paused(nil)) == .leave && decide(paused("ANOTHER")) == .leave)
    let later = Self.now.advanced(bySeconds: 5)
    #expect(decide(paused("STOP_PROCESSING", until: later)) == .later(later))
    var ours = paused("STOP_PROCESSING")
    ours.isResumedHere = true
    #expect(decide(ours) == .leave)
    var rules = SecondTryRules()
    rules.endsPauses = false
    #expect(decide(paused("STOP_PROCESSING"), rules) == .leave)
  }
}
