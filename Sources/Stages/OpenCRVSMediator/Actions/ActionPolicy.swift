import HTTP
import OpenCRVS
import StageKit
import System

/// How OpenCRVS 1.7 and later is answered, which asks before a record is registered and waits: by the settings of a stage.
struct ActionPolicy: Sendable {
  /// What is said where MOSIP's answer is an error.
  enum OnError: String, CaseIterable {
    /// The registration is refused, so that the registrar can put it right. Releases before 1.9 cannot be told so: there it is `register`.
    case reject
    /// It is registered without what MOSIP gives.
    case register
    /// Nothing is said: the record waits until an operator had it done again.
    case wait
  }

  /// Who makes registration numbers.
  enum NumberMaker: String, CaseIterable {
    /// The country's own system, which says the number when it hands a registration on.
    case country
    /// We do, by `registration-number-pattern`.
    case pattern
  }

  let gateway: String
  let keysURL: String
  let issuer: String
  let numbers: NumberMaker
  let pattern: String
  /// Whether a system client answers, and not the registrar's token.
  let answersAsClient: Bool
  let onError: OnError
  let errorURL: String
  /// The field that a number or a token is written into; nil for none.
  let nidField: String?
  let aidField: String?
  /// Kinds whose outcome OpenCRVS waits for; others are answered at once.
  let waitsFor: Set<EventKind>
  /// Names of custom actions, by the kind of event that they are.
  let customActions: [String: Custom]

  /// What a custom action of a birth or a death means.
  enum Custom: String, CaseIterable { case revoke, reinstate }

  /// Nothing when no gateway is set: then OpenCRVS sends webhooks only.
  /// - Throws: `SettingError` for what is needed with a gateway and missing, or not of its form.
  init?(_ settings: StageSettings) throws {
    gateway = settings.text("gateway-url")
    if gateway.isEmpty { return nil }
    let authentication = settings.text("opencrvs-auth-url")
    let given = settings.text("record-token-keys-url")
    keysURL = given.isEmpty && !authentication.isEmpty ? authentication.appending(path: "/.well-known") : given
    guard !keysURL.isEmpty else {
      throw SettingError(
        stage: settings.stage, setting: "record-token-keys-url", "must be given with gateway-url, or opencrvs-auth-url")
    }
    issuer = settings.text("record-token-issuer")
    numbers = NumberMaker(rawValue: settings.text("registration-number")) ?? .pattern
    pattern = settings.text("registration-number-pattern")
    guard pattern.contains("{trackingId}") else {
      throw SettingError(stage: settings.stage, setting: "registration-number-pattern", "must hold {trackingId}")
    }
    let rest = pattern.replacing("{year}", with: "").replacing("{trackingId}", with: "")
    guard rest.utf8.allSatisfy({ $0 > 32 && $0 < 127 }), !rest.contains(where: { "{}".contains($0) }) else {
      throw SettingError(
        stage: settings.stage, setting: "registration-number-pattern",
        "may hold {year}, {trackingId}, and else letters, digits and signs without braces or blanks")
    }
    answersAsClient = settings.text("answer-as") == "client"
    onError = OnError(rawValue: settings.text("on-error")) ?? .reject
    errorURL = settings.text("error-url")
    nidField = Self.field(settings, "nid-field")
    aidField = Self.field(settings, "aid-field")
    var waits: Set<EventKind> = [.birth]
    if settings.boolean("death-waits-for-mosip") { waits.insert(.death) }
    if settings.boolean("correction-waits-for-mosip") { waits.formUnion([.birthCorrection, .deathCorrection]) }
    if settings.boolean("reversal-waits-for-mosip") { waits.formUnion([.deathReversal, .birthRevocation, .birthReinstatement]) }
    waitsFor = waits
    customActions = Dictionary(
      settings.texts("revoke-actions").map { ($0, Custom.revoke) } + settings.texts("reinstate-actions").map { ($0, .reinstate) },
      uniquingKeysWith: { first, _ in first })
  }

  private static func field(_ settings: StageSettings, _ name: String) -> String? {
    let text = settings.text(name)
    return text.isEmpty ? nil : text
  }

  static let fields = [
    SettingField(
      "gateway-url", .text, default: "",
      "base URL of the gateway of an OpenCRVS of 1.7 or later, which asks before it registers and is answered there; empty for webhooks alone"
    ),
    SettingField(
      "record-token-keys-url", .text, default: "",
      "where the public key stands by which OpenCRVS' record tokens are checked; empty for `/.well-known` of opencrvs-auth-url"),
    SettingField(
      "record-token-issuer", .text, default: .text(RecordTokens.issuer), "who must have issued a record token"),
    SettingField(
      "answer-as", .choice(["registrar", "client"]), default: "registrar",
      "whose token accepts or rejects an action: the one that came with it, or, from OpenCRVS 2.1, that of opencrvs-client, which needs the scopes record.action.accept and record.action.reject"
    ),
    SettingField(
      "declaration-file", .file, default: "",
      "what the country calls the fields of its forms in OpenCRVS 1.9 and later; without it, the names of OpenCRVS' reference country"
    ),
    SettingField(
      "registration-number", .choice(NumberMaker.allCases.map(\.rawValue)), default: .text(NumberMaker.pattern.rawValue),
      "who makes the number of a registration where OpenCRVS leaves it to the taker: `pattern` we do, `country` the country's own system does and says it"
    ),
    SettingField(
      "registration-number-pattern", .text, default: "{year}{trackingId}",
      "how we make a registration number: {year} is that of the registration in UTC, {trackingId} the record's; with -2, -3 ... behind it when OpenCRVS says that it is taken"
    ),
    SettingField(
      "nid-field", .text, default: "child.nid",
      "the field of a record of OpenCRVS 1.9 and later that the token of a birth is written into, when the form knows it; empty for none"
    ),
    SettingField(
      "aid-field", .text, default: "", "the same for the application id; empty for none"),
    SettingField(
      "on-error", .choice(OnError.allCases.map(\.rawValue)), default: .text(OnError.reject.rawValue),
      "what a waiting registration is answered when MOSIP's answer is an error: `reject` it (OpenCRVS 1.9 and later; 1.7 and 1.8 cannot be told so and register), `register` it without a token, or `wait` until an operator had it done again"
    ),
    SettingField(
      "error-url", .text, default: "",
      "where errors are posted as {\"eventId\",\"actionId\",\"trackingId\",\"errors\"}, since OpenCRVS 1.9 and later has no place for their text; empty for nowhere"
    ),
    SettingField(
      "death-waits-for-mosip", .boolean, default: false,
      "register a death only when MOSIP has answered; false: at once, whatever MOSIP will say"),
    SettingField(
      "correction-waits-for-mosip", .boolean, default: false,
      "the same for the approval of a correction, which can only be accepted then"),
    SettingField("reversal-waits-for-mosip", .boolean, default: false, "the same for a revocation or a reinstatement"),
    SettingField(
      "revoke-actions", .texts, default: .texts(["REVOKE_REGISTRATION"]),
      "the custom actions of OpenCRVS 2.x that revoke a registration: of a death the person is alive, of a birth the identity is not to be used"
    ),
    SettingField(
      "reinstate-actions", .texts, default: .texts(["REINSTATE_REVOKE_REGISTRATION"]),
      "the custom actions that take a revocation back"),
  ]
}

extension EventKind {
  /// What a custom action of a record is; of a death that is reinstated, a death again.
  init(_ custom: ActionPolicy.Custom, of subject: OpenCRVSTask.Kind) {
    self =
      switch (custom, subject) {
      case (.revoke, .birth): .birthRevocation
      case (.reinstate, .birth): .birthReinstatement
      case (.revoke, .death): .deathReversal
      case (.reinstate, .death): .death
      }
  }
}
