import Registration
import System

/// MOSIP's automatic second try, for registrations whose present stage something else runs. What our own stages have in hand is healed by
/// the journal and left alone.
public protocol SecondTries: Sendable {
  /// Looks once for registrations that are due, and does for each what the rules say.
  ///
  /// Registrations are shared out by number: `slice` of `slices`. Whoever looks at one holds its lock, looks again, and writes what follows in
  /// one SQL transaction; the bus follows by itself. So two that look at once, or one that is killed, do nothing twice.
  /// - Throws: `ServiceError` when the database or the packet manager is out of reach.
  func look(by rules: SecondTryRules, slice: Int, of slices: Int) async throws -> SecondTryTally
}

/// What was done at one look.
public struct SecondTryTally: Sendable, Equatable {
  /// Sent to their stage again.
  public var redone = 0
  /// Whose stage had done its work: its answer was put on its output again.
  public var routed = 0
  /// Begun again at an earlier stage, as a new run.
  public var restarted = 0
  /// Given up because their tries are used up.
  public var givenUp = 0
  /// Rejected, because that was to be done at the end of their pause.
  public var rejected = 0

  /// Nothing.
  public init() {}
  /// How many registrations.
  public var total: Int { redone + routed + restarted + givenUp + rejected }
}

/// When a registration is tried again, and how: upstream's settings.
public struct SecondTryRules: Sendable, Equatable {
  /// A stage and the status of its latest transaction that make a registration begin at an earlier stage.
  public struct Trigger: Sendable, Equatable {
    /// Upstream's class name of the stage.
    public var stageClass: String
    /// The status; nil for each that is tried again.
    public var status: String?

    /// `DemoDedupeStage:SUCCESS` or `BioDedupeStage:*`; nil when the text is neither.
    public init?(_ text: String) {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        .map { String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()) }
      guard parts.count == 2, !parts[0].isEmpty, parts[1] == "*" || SecondTryRules.statuses.contains(parts[1]) else { return nil }
      (stageClass, status) = (parts[0], parts[1] == "*" ? nil : parts[1])
    }
  }

  /// The statuses of a latest transaction that are tried again.
  public static let statuses = Set([TransactionStatus.success, .reprocess, .inProgress].map(\.rawValue))

  /// The most registrations of one look.
  public var fetchSize = 2500
  /// Seconds for which nothing must have happened.
  public var elapsedSeconds = 900
  /// Tries of a registration, all stages together.
  public var attempts = 20
  /// Class names of stages that are left alone.
  public var excludedClasses: Set<String> = ["PacketReceiverStage"]
  /// The class name of the stage that a restart begins at.
  public var restartFrom = "SecurezoneNotificationStage"
  /// What makes a restart.
  public var triggers: [Trigger] = []
  /// Whether the end of a pause that another engine noted is carried out.
  public var endsPauses = true
  /// Seconds between two looks.
  public var everySeconds = 180

  /// Upstream's values, without triggers.
  public init() {}
}

/// Where a registration stands, as far as a second try has to know.
public struct SecondTryStanding: Sendable, Equatable {
  /// A hop that is under way.
  public struct OpenHop: Sendable, Equatable {
    /// The stage.
    public var stage: String
    /// Upstream's class name of it.
    public var className: String
    /// Whether something else runs it.
    public var runsElsewhere: Bool
    /// When it was put on the bus; nil while it waits for its moment.
    public var sentAt: Instant?

    /// A hop.
    public init(stage: String, className: String, runsElsewhere: Bool, sentAt: Instant?) {
      (self.stage, self.className, self.runsElsewhere, self.sentAt) = (stage, className, runsElsewhere, sentAt)
    }
  }

  /// `status_code` of the registration.
  public var status: RegistrationStatus
  /// `latest_trn_status_code`.
  public var latest: String?
  /// `reg_stage_name`.
  public var stageClass: String?
  /// `latest_trn_dtimes`, or when the registration was made.
  public var movedAt: Instant
  /// `reg_process_retry_count`.
  public var tries: Int
  /// What is under way in the newest run.
  public var open: [OpenHop] = []
  /// The stage that the row names, where something else runs it.
  public var present: String?
  /// Whether the journal knows that this stage is through: then what is under way comes behind it.
  public var presentIsThrough = false
  /// The end of a pause.
  public var resumeAt: Instant?
  /// What is to be done at the end of the pause.
  public var resumeAction: String?
  /// Whether this engine ends the pause by itself.
  public var isResumedHere = false

  /// A registration of which nothing is under way.
  public init(status: RegistrationStatus, latest: String?, stageClass: String?, movedAt: Instant, tries: Int) {
    (self.status, self.latest, self.stageClass) = (status, latest, stageClass)
    (self.movedAt, self.tries) = (movedAt, tries)
  }
}

/// What is to be done for a registration.
public enum SecondTryDecision: Sendable, Equatable {
  /// Nothing, now or later: it has ended, waits for somebody, is a stage's of ours, or has a status that MOSIP does not name.
  case leave
  /// Nothing before this moment.
  case later(Instant)
  /// The stage gets its message again.
  case redo(String)
  /// The stage has done its work: its output gets the message again.
  case routeAgain(String)
  /// A new run begins at the stage of this class, because of what this stage said; where the flow has none, the stage gets its message again.
  case restart(fromClass: String, because: String)
  /// The tries of a registration that stands at this stage are used up.
  case giveUp(String)
  /// The pause at this stage is over, and rejecting is what was to be done then.
  case reject(String)
}

extension SecondTryRules {
  private static let uploader = "PacketUploaderStage"

  /// What is to be done for a registration at a moment. Depends on nothing else.
  public func decide(_ standing: SecondTryStanding, now: Instant) -> SecondTryDecision {
    if standing.status.hasEnded || standing.status == .pausedForAdditionalInfo || !standing.status.isKnown { return .leave }
    // What a stage of ours has, or what waits for its moment, the journal carries.
    if standing.open.contains(where: { !$0.runsElsewhere || $0.sentAt == nil }) { return .leave }
    guard let place = place(standing), !excludedClasses.contains(place.className) else { return .leave }
    if standing.status == .paused { return endOfPause(standing, place, now: now) }
    // Another engine has said that it goes on: at once, however often it was tried.
    if standing.status == .resumable { return again(standing, place) }
    if place.isOfRow, !Self.statuses.contains(standing.latest ?? "") { return .leave }
    if standing.latest == TransactionStatus.reprocessFailed.rawValue { return .leave }
    let due = (place.sentAt.map { max($0, standing.movedAt) } ?? standing.movedAt).advanced(bySeconds: Double(elapsedSeconds))
    if now < due { return .later(due) }
    if standing.tries >= attempts { return .giveUp(place.stage) }
    if standing.present != nil, let name = standing.stageClass, isTriggered(name, standing.latest) {
      return .restart(fromClass: restartFrom, because: place.stage)
    }
    return again(standing, place)
  }

  /// The stage elsewhere that a registration stands at.
  private struct Place {
    var stage: String
    var className: String
    /// Whether the registration's row tells of this stage's last work.
    var isOfRow: Bool
    var sentAt: Instant?
  }

  private func place(_ standing: SecondTryStanding) -> Place? {
    let row = standing.present.flatMap { stage in standing.stageClass.map { (stage: stage, className: $0) } }
    guard let hop = standing.open.first else {
      return row.map { Place(stage: $0.stage, className: $0.className, isOfRow: true) }
    }
    // Between stages elsewhere another bridge may route: then the journal has not seen the stage that the row names.
    if let row, row.stage != hop.stage, !standing.presentIsThrough, hop.sentAt.map({ $0 < standing.movedAt }) != false {
      return Place(stage: row.stage, className: row.className, isOfRow: true, sentAt: hop.sentAt)
    }
    let speaks = row?.stage == hop.stage && hop.sentAt.map { $0 < standing.movedAt } != false
    return Place(stage: hop.stage, className: hop.className, isOfRow: speaks, sentAt: hop.sentAt)
  }

  private func again(_ standing: SecondTryStanding, _ place: Place) -> SecondTryDecision {
    place.isOfRow && standing.latest == TransactionStatus.success.rawValue ? .routeAgain(place.stage) : .redo(place.stage)
  }

  private func endOfPause(_ standing: SecondTryStanding, _ place: Place, now: Instant) -> SecondTryDecision {
    guard endsPauses, !standing.isResumedHere, let moment = standing.resumeAt else { return .leave }
    if now < moment { return .later(moment) }
    switch standing.resumeAction {
    case "STOP_PROCESSING": return .reject(place.stage)
    case "RESUME_FROM_BEGINNING": return .restart(fromClass: Self.uploader, because: place.stage)
    case "RESUME_PROCESSING": return again(standing, place)
    default: return .leave
    }
  }

  private func isTriggered(_ stageClass: String, _ latest: String?) -> Bool {
    guard let latest, Self.statuses.contains(latest) else { return false }
    return triggers.contains { $0.stageClass == stageClass && ($0.status == nil || $0.status == latest) }
  }
}
