import JSON
import StageKit
import System

/// Tries registrations again that stand at a stage which something else runs, by MOSIP's rules, in place of its reprocessor. The engine knows
/// how; this says when, by which rules, and shares the registrations out: any number of instances may run.
public struct Reprocessor: StagePlugin {
  /// In so many parts registrations are shared out; each is one instance's at a time.
  static let slices = 4
  private static let work = WorkKind("look", concurrency: 1, backoff: Backoff(first: 2, longest: 60))

  public static let spec = PluginSpec(
    name: "reprocessor", summary: "tries registrations again that stand at a stage which runs elsewhere, in place of MOSIP's",
    takesMessages: false, isReprocessor: true, work: [work],
    settings: [
      SettingField("every", .integer, default: 180, unit: "seconds", "time between two looks"),
      SettingField("fetch-size", .integer, default: 2500, "the most registrations of one look"),
      SettingField(
        "elapse-time", .integer, default: 900, unit: "seconds", "for how long nothing must have happened to a registration"),
      SettingField(
        "attempt-count", .integer, default: 20,
        "tries of a registration, all stages together; after them its status is REPROCESS_FAILED, with a dead letter"),
      SettingField(
        "exclude-stage-names", .texts, default: ["PacketReceiverStage"], "class names of stages elsewhere that are left alone"),
      SettingField(
        "restart-from-stage", .text, default: "SecurezoneNotificationStage", "class name of the stage that a restart begins at"),
      SettingField(
        "restart-trigger-filter", .texts, default: ["DemoDedupeStage:SUCCESS", "BioDedupeStage:*", "UinGeneratorStage:REPROCESS"],
        "STAGE:STATUS of the latest transaction that makes a registration begin again at restart-from-stage, if the stage runs "
          + "elsewhere; * for SUCCESS, REPROCESS and IN_PROGRESS"),
      SettingField(
        "end-pauses", .boolean, default: true,
        "carry out the default action of a pause that MOSIP's workflow engine noted at a stage elsewhere, when its time is over"),
    ])

  private let rules: SecondTryRules

  public init(settings: StageSettings) throws {
    func number(_ name: String, from least: Int, to most: Int) throws -> Int {
      let value = settings.integer(name)
      guard (least...most).contains(value) else {
        throw SettingError(stage: settings.stage, setting: name, "must be from \(least) to \(most)")
      }
      return value
    }
    var rules = SecondTryRules()
    rules.everySeconds = try number("every", from: 1, to: 86_400)
    rules.fetchSize = try number("fetch-size", from: Self.slices, to: 100_000)
    rules.elapsedSeconds = try number("elapse-time", from: 1, to: 31_536_000)
    // The column counts to 32,767.
    rules.attempts = try number("attempt-count", from: 1, to: 32_000)
    rules.excludedClasses = Set(settings.texts("exclude-stage-names"))
    rules.restartFrom = settings.text("restart-from-stage")
    rules.triggers = try settings.texts("restart-trigger-filter").map { text in
      guard let trigger = SecondTryRules.Trigger(text) else {
        throw SettingError(
          stage: settings.stage, setting: "restart-trigger-filter",
          "is a list of STAGE:STATUS, STATUS one of SUCCESS, REPROCESS, IN_PROGRESS and *")
      }
      return trigger
    }
    rules.endsPauses = settings.boolean("end-pauses")
    self.rules = rules
  }

  public func start(_ context: StageContext) async throws {
    try await context.store.commit(
      (0..<Self.slices).map { .schedule(WorkItem(kind: Self.work.name, key: String($0))) })
  }

  public func perform(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let slice = Int(work.key), (0..<Self.slices).contains(slice), let tries = context.secondTries else { return .done }
    let tally = try await tries.look(by: rules, slice: slice, of: Self.slices)
    if tally.total > 0 {
      context.log.info(
        "registrations at stages that run elsewhere were tried again",
        [
          "redone": tally.redone, "routed": tally.routed, "restarted": tally.restarted,
          "givenUp": tally.givenUp, "rejected": tally.rejected,
        ])
    }
    return .again(afterSeconds: Double(rules.everySeconds))
  }
}
