import OpenCRVS
import StageKit

/// What a country has decided about deaths, corrections and reversals: the settings of the changes that this mediator makes to identities.
struct ChangePolicy: Sendable {
  /// What a death does to the identity.
  enum DeathAction: String, Sendable, CaseIterable {
    /// The status becomes DEACTIVATED: nobody can authenticate by this identity any more.
    case deactivate
    /// The status stays, and the identity says that the person is deceased.
    case flag
    /// Both.
    case deactivateAndFlag = "deactivate-and-flag"

    var deactivates: Bool { self != .flag }
    var flags: Bool { self != .deactivate }
  }

  let deathAction: DeathAction
  /// Whether name, date of birth and gender of an event are compared with the identity before it is deactivated or activated.
  let verifiesDeaths: Bool
  let nameRule: PersonComparison.NameRule
  /// Whether a correction goes by a packet through the route; else the mediator changes the identity itself.
  let correctsByPacket: Bool
  let correctsWithBiometrics: Bool
  let createsByCorrection: Bool
  /// The identity fields that a correction of a death may change.
  let deathCorrectionFields: Set<String>
  let allowsReversals: Bool
  /// Days.
  let reversalWithin: Int
  let reversalsPerPerson: Int
  let allowsRevocations: Bool
  /// Days.
  let revocationWithin: Int

  static let settings: [SettingField] = [
    SettingField(
      "death-action", .choice(DeathAction.allCases.map(\.rawValue)), default: "deactivate",
      "what a death does to the identity: its status becomes DEACTIVATED, or it says declaredAsDeceased, or both"),
    SettingField(
      "death-verify", .choice(["off", "repository"]), default: "repository",
      "whether name, date of birth and gender of the event must be those of the identity before its status changes"),
    SettingField(
      "match-name", .choice(PersonComparison.NameRule.allCases.map(\.rawValue)), default: "words",
      "when two names are one person's: the same words in any order or two of them in common (words), or letter by letter (exact)"),
    SettingField(
      "correction-by", .choice(["packet", "patch"]), default: "packet",
      "how a correction reaches the identity: by a packet of update-process through its route, or by the mediator itself"),
    SettingField(
      "correction-with-biometrics", .boolean, default: false,
      "also correct identities that have biometrics: MOSIP has them corrected at a registration center"),
    SettingField(
      "correction-create", .boolean, default: true,
      "a correction of a birth that never got a UIN makes one, with the corrected data; otherwise it ends with OPN-CRVS-017"),
    SettingField(
      "death-correction-fields", .texts, default: .texts([]),
      "identity fields that a correction of a death may change, e.g. fullName: a death's record is a copy of the identity, not its source"
    ),
    SettingField(
      "reversal-allow", .boolean, default: false,
      "reverse deaths at once; otherwise each is held until a person releases it (regproc release)"),
    SettingField(
      "reversal-within", .integer, default: 730, unit: "days", "how long after the date of death it may be reversed"),
    SettingField("reversal-per-person", .integer, default: 1, "how often deaths of one person may be reversed"),
    SettingField(
      "revocation-allow", .boolean, default: false,
      "revoke and reinstate births at once; otherwise each is held until a person releases it (regproc release)"),
    SettingField(
      "revocation-within", .integer, default: 60, unit: "days", "how long after its registration a birth may be revoked"),
    SettingField(
      "update-process", .text, default: "OPENCRVS_UPDATE", "the process of the packets that correct an identity"),
  ]

  init(_ settings: StageSettings) throws {
    deathAction = DeathAction(rawValue: settings.text("death-action")) ?? .deactivate
    verifiesDeaths = settings.text("death-verify") == "repository"
    nameRule = PersonComparison.NameRule(rawValue: settings.text("match-name")) ?? .words
    correctsByPacket = settings.text("correction-by") == "packet"
    correctsWithBiometrics = settings.boolean("correction-with-biometrics")
    createsByCorrection = settings.boolean("correction-create")
    deathCorrectionFields = Set(settings.texts("death-correction-fields"))
    allowsReversals = settings.boolean("reversal-allow")
    reversalWithin = settings.integer("reversal-within")
    reversalsPerPerson = settings.integer("reversal-per-person")
    allowsRevocations = settings.boolean("revocation-allow")
    revocationWithin = settings.integer("revocation-within")
    for name in ["reversal-within", "reversal-per-person", "revocation-within"] where settings.integer(name) < 0 {
      throw SettingError(stage: settings.stage, setting: name, "must not be negative")
    }
  }
}
