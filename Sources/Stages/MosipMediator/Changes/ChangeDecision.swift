import OpenCRVS
import JSON
import System

/// What is known when it is decided what a change does.
struct ChangeFacts: Sendable {
  var kind: EventKind
  /// The identity's status; nil for one that MOSIP does not have by itself.
  var status: IdentityStatus?
  /// Whether the identity says that the person is deceased.
  var isFlagged = false
  /// The names of the fields in which event and identity differ, of those that this change may touch.
  var differences: [String] = []
  /// Whether date or type of death differ from what the identity says.
  var deathDataDiffer = false
  var hasBiometrics = false
  /// Whether a person has released it.
  var isReleased = false
  /// Whether the event names another person as deceased than the one whose death was registered.
  var isAboutAnother = false
  /// Whether a change of ours made the identity inactive.
  var isOurs = false
  /// Whether this record's death (or revocation) stands: it was made here, and not reversed.
  var stands = false
  /// Whether this record's death was reversed before.
  var wasReversed = false
  /// Whether something else holds the identity inactive: another death, or a revocation beside the death.
  var othersDeactivate = false
  /// Whether another death says that the person is deceased.
  var othersFlag = false
  /// Days since the death, or since the registration of the birth; nil when that is not known.
  var daysSince: Int?
  /// How often deaths of this person were reversed.
  var reversals = 0
}

/// What a change does.
enum ChangeDecision: Sendable, Equatable {
  case unchanged
  /// The identity gets a status (nil: it keeps its own), and says of the person's death Y or N (nil: nothing).
  case status(IdentityStatus?, deceased: Deceased?, what: ChangeResult)
  /// Data of the death are written anew.
  case deathData
  /// These fields get the event's values.
  case fields([String])
  /// Another person died: that one is treated as deceased, the one of before as not.
  case exchange
  /// Kept until a person releases it.
  case hold(String)
  case refuse(MediatorError)

  /// Decides. Policy comes before everything that a reversal would be looked at for.
  static func make(_ facts: ChangeFacts, _ policy: ChangePolicy) -> ChangeDecision {
    if facts.status == .blocked { return .refuse(MediatorError(.state, "the identity is BLOCKED and is left alone")) }
    switch facts.kind {
    case .birth, .birthCorrection: return correction(facts, policy)
    case .death: return death(facts, policy)
    case .deathCorrection: return deathCorrection(facts, policy)
    case .deathReversal: return reversal(facts, policy)
    case .birthRevocation: return revocation(facts, policy)
    case .birthReinstatement: return reinstatement(facts, policy)
    }
  }

  /// Why policy holds a kind back that nobody has released; nil when it does not.
  static func hold(_ kind: EventKind, isReleased: Bool, _ policy: ChangePolicy) -> String? {
    switch kind {
    case .deathReversal where !policy.allowsReversals && !isReleased: "reversals of deaths need a person to release them"
    case .birthRevocation where !policy.allowsRevocations && !isReleased: "revocations of births need a person to release them"
    case .birthReinstatement where !policy.allowsRevocations && !isReleased:
      "reinstatements of births need a person to release them"
    default: nil
    }
  }

  private static func correction(_ facts: ChangeFacts, _ policy: ChangePolicy) -> ChangeDecision {
    if facts.differences.isEmpty { return .unchanged }
    if facts.hasBiometrics, !policy.correctsWithBiometrics {
      return .refuse(MediatorError(.notAllowed, "the identity has biometrics: it is corrected at a registration center"))
    }
    return .fields(facts.differences)
  }

  private static func death(_ facts: ChangeFacts, _ policy: ChangePolicy) -> ChangeDecision {
    let deactivates = policy.deathAction.deactivates && facts.status != .deactivated
    let flags = policy.deathAction.flags && !facts.isFlagged
    guard deactivates || flags else { return .unchanged }
    return .status(
      deactivates ? .deactivated : nil, deceased: policy.deathAction.flags ? .yes : nil,
      what: deactivates ? .deactivated : .flagged)
  }

  private static func deathCorrection(_ facts: ChangeFacts, _ policy: ChangePolicy) -> ChangeDecision {
    guard facts.stands else { return .refuse(MediatorError(.state, "no death of this record stands")) }
    if facts.isAboutAnother {
      guard policy.allowsReversals || facts.isReleased else {
        return .hold("another person died than the one who was registered: that needs a person to release it")
      }
      if facts.status == .deactivated, !facts.isOurs, !facts.othersDeactivate {
        return .refuse(MediatorError(.state, "the identity was not deactivated by a death of ours"))
      }
      return limits(facts, policy).map { .refuse($0) } ?? .exchange
    }
    if !facts.differences.isEmpty { return .fields(facts.differences) }
    return policy.deathAction.flags && facts.deathDataDiffer ? .deathData : .unchanged
  }

  private static func reversal(_ facts: ChangeFacts, _ policy: ChangePolicy) -> ChangeDecision {
    guard facts.stands else {
      if facts.wasReversed { return .unchanged }
      return .refuse(MediatorError(.state, "no death of this record stands that could be reversed"))
    }
    if facts.status == .activated, !facts.isFlagged { return .unchanged }
    if let fault = limits(facts, policy) { return .refuse(fault) }
    // Another death, or a revocation, keeps it as it is.
    let activates = facts.status == .deactivated && !facts.othersDeactivate
    let unflags = facts.isFlagged && !facts.othersFlag
    guard activates || unflags else { return .unchanged }
    if activates, !facts.isOurs {
      return .refuse(MediatorError(.state, "the identity was not deactivated by a death of ours"))
    }
    return .status(activates ? .activated : nil, deceased: unflags ? .no : nil, what: .activated)
  }

  private static func limits(_ facts: ChangeFacts, _ policy: ChangePolicy) -> MediatorError? {
    if let days = facts.daysSince, days > policy.reversalWithin {
      return MediatorError(.notAllowed, "the death lies more than \(policy.reversalWithin) days back")
    }
    if facts.reversals >= policy.reversalsPerPerson {
      return MediatorError(.notAllowed, "deaths of this person were reversed as often as is allowed (\(policy.reversalsPerPerson))")
    }
    return nil
  }

  private static func revocation(_ facts: ChangeFacts, _ policy: ChangePolicy) -> ChangeDecision {
    if let days = facts.daysSince, days > policy.revocationWithin {
      return .refuse(MediatorError(.notAllowed, "the birth was registered more than \(policy.revocationWithin) days ago"))
    }
    return facts.status == .deactivated ? .unchanged : .status(.deactivated, deceased: nil, what: .deactivated)
  }

  private static func reinstatement(_ facts: ChangeFacts, _ policy: ChangePolicy) -> ChangeDecision {
    if facts.status == .activated || facts.othersDeactivate { return .unchanged }
    guard facts.stands, facts.isOurs else {
      return .refuse(MediatorError(.state, "the identity was not deactivated by a revocation of this birth"))
    }
    return .status(.activated, deceased: nil, what: .activated)
  }
}
