import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit

/// The OpenCRVS-side mediator: takes OpenCRVS' webhooks, sends events sealed and signed to the MOSIP-side mediator, and
/// brings UIN tokens, results and errors back to OpenCRVS.
///
/// Delivery: what was answered with 200 is in the database and the object store before the answer, or in the spool while these are
/// away, and is handed on at least once. Ordering: events of one record are handed on one after another, in the order taken; none between records.
/// The same event is taken once, however often it is delivered.
public struct OpenCRVSMediator: StagePlugin {
  /// What it is, does and is set by.
  public static let spec = PluginSpec(
    name: "opencrvs-mediator",
    summary: "takes OpenCRVS events, sends them sealed to the MOSIP side and brings UIN tokens, results and errors back",
    takesMessages: false, spools: true,
    work: [
      WorkKind(forward, concurrencySetting: "forwarded-at-once", isIntake: true), WorkKind(tell, concurrency: 16),
      WorkKind(subscription, concurrency: 1), WorkKind(answer, concurrency: 4), WorkKind(takeUp, concurrency: 1),
      WorkKind(confirm, concurrency: 16), WorkKind(report, concurrency: 4), WorkKind(forget, concurrency: 4),
    ],
    counts: [ForeignText.count],
    settings: [
      SettingField(
        "sha-secret", .secret, default: "",
        "the system client's SHA secret, by which OpenCRVS signs webhooks (SHA_SECRET); without it every webhook is refused"
      ),
      SettingField(
        "accept-raw-body-signature", .boolean, default: false,
        "also take X-Hub-Signature over the body itself, as OpenCRVS' public page has it instead of its code"),
      SettingField(
        "webhook-patience", .integer, default: 300, unit: "seconds",
        "how long a webhook waits that neither the database nor the spool can have, before its connection is closed"),
      SettingField(
        "topics", .texts, default: .texts(standardTopics),
        "the topics that are subscribed to at OpenCRVS"),
      SettingField(
        "subscribe-at-start", .boolean, default: false,
        "subscribe to OpenCRVS' webhooks at start, and again when they were removed"),
      SettingField(
        "resubscribe-every", .integer, default: 21600, unit: "seconds",
        "how often it is checked that the webhooks are still subscribed"),
      SettingField(
        "webhooks-url", .text, default: "",
        "base URL of OpenCRVS' webhooks service, e.g. https://webhooks.opencrvs.example"),
      SettingField(
        "webhook-url", .text, default: "", "the URL at which OpenCRVS reaches this mediator's /webhooks (WEBHOOK_URL)"),
      SettingField(
        "opencrvs-url", .text, default: nil,
        "where OpenCRVS takes application ids, UIN tokens and errors as {\"BRN\",…} (OPENHIM_MEDIATOR_URL)"),
      SettingField("mosip-url", .text, default: nil, "base URL of the MOSIP-side mediator, before /opencrvs/v1"),
      SettingField(
        "forwarded-at-once", .integer, default: 32,
        "how many events one process sends to the MOSIP side at the same time; 1, in one process, before upstream's mediator, which two requests at once break until it is restarted"
      ),
      SettingField(
        "answer-within", .integer, default: 24, unit: "hours",
        "how long MOSIP may take for an event before OpenCRVS is told OPN-CRVS-019, once; what comes later is told all the same; 0 for ever"
      ),
      SettingField(
        "fields-file", .file, default: "",
        "what the country calls sections, identifiers and fields in its events; without it, the names of OpenCRVS' reference country"
      ),
      SettingField(
        "opencrvs-client", .text, default: "opencrvs", "the client whose token is shown to OpenCRVS (CLIENT_ID)"),
      SettingField(
        "mosip-client", .text, default: "opencrvs-mediator",
        "the client whose token is shown to MOSIP (MOSIP_AUTH_CLIENT_ID)"),
      SettingField(
        "required-role", .text, default: "",
        "the role (with opencrvs-auth-url: the scope, which only MOSIP's client has, and without which all are refused) that a caller of the returning endpoints and of /subscribe needs; empty for the clients in callers"
      ), MediatorAccess.callersField,
    ] + OpenCRVSAuth.fields + ActionPolicy.fields)

  static let forward = "forward"
  static let tell = "tell"
  static let subscription = "subscription"
  static let answer = "answer"
  static let takeUp = "take-up"
  static let confirm = "confirm"
  static let report = "report"
  static let forget = "forget"

  /// What waits in the spool: events of OpenCRVS, and tokens, which upstream's mediator sends once.
  static let webhook = "webhook"
  static let token = "token"
  /// And what OpenCRVS 1.7 and later asks.
  static let registration = "registration"
  static let notice = "notice"
  static let action = "action"
  static let handedRegistration = "handed-registration"
  static let handedCorrection = "handed-correction"

  /// What every release of OpenCRVS lets a system subscribe to and what has a way to MOSIP. The first two are all that it sends by itself.
  static let standardTopics = ["BIRTH_REGISTERED", "DEATH_REGISTERED", "BIRTH_CORRECTED", "DEATH_CORRECTED"]

  /// The account of the object store that keeps the events, sealed.
  static let eventAccount = ObjectAccounts.openCRVSEvents

  let settings: StageSettings
  let secret: [UInt8]
  /// OpenCRVS' own auth service, when tokens of the OpenCRVS side are not those of the realm.
  let auth: OpenCRVSAuth?
  /// What the country calls things in its events.
  let names: FieldNames
  let foreignText = ForeignText()
  /// How an OpenCRVS is answered that asks before it registers; nil for one that does not.
  let policy: ActionPolicy?
  /// What the country calls the fields of its forms.
  let declarationFields: DeclarationFields
  let recordTokens: RecordTokens?

  /// Makes the mediator of one stage.
  /// - Throws: `SettingError` when webhooks-url and webhook-url are needed to subscribe at start, or a client secret, and for a fault in
  ///   the file of the country's names.
  public init(settings: StageSettings) throws {
    self.settings = settings
    secret = Array(settings.text("sha-secret").utf8)
    auth = try OpenCRVSAuth(settings)
    names = try FieldNames(settings, "fields-file")
    policy = try ActionPolicy(settings)
    declarationFields = try DeclarationFields(settings, "declaration-file")
    recordTokens = policy.map { RecordTokens(keysURL: $0.keysURL, issuer: $0.issuer) }
    guard settings.integer("answer-within") >= 0 else {
      throw SettingError(stage: settings.stage, setting: "answer-within", "must be at least 0")
    }
    guard settings.integer("forwarded-at-once") >= 1 else {
      throw SettingError(stage: settings.stage, setting: "forwarded-at-once", "must be at least 1")
    }
    if settings.boolean("subscribe-at-start") {
      for name in ["webhooks-url", "webhook-url"] where settings.text(name).isEmpty {
        throw SettingError(stage: settings.stage, setting: name, "must be given when subscribe-at-start is true")
      }
    }
  }

  /// Says what is wrong with the file of the country's names.
  public static func check(_ bytes: [UInt8], of setting: String, file: String) -> FileCheck? {
    switch setting {
    case "fields-file": FieldNames.read(bytes, file: file).check
    case "declaration-file": DeclarationFields.read(bytes, file: file).check
    default: nil
    }
  }

  /// Says when nobody can come in.
  public static func warnings(_ given: [String: SettingValue]) -> [String] { OpenCRVSAuth.warnings(given) }

  /// Its endpoints; every error has the answer shape of both mediators.
  public func endpoints(_ context: StageContext) -> [Endpoint] {
    let answer = answer(context)
    let clients = access(context).admission(answer, by: .bearer) { $0.bearerToken }
    return [
      Endpoint("GET", "/ping", admission: .everybody(limits: "tells that something runs")) { _ in .json("{\"success\":true}") }
        .early.described(MediatorDescriptions.ping),
      Endpoint(
        "GET", "/webhooks", admission: .everybody(limits: "answers a challenge for a topic of ours"),
        handler: answer.handling { try challenge($0) }
      ).early.described(MediatorDescriptions.webhookChallenge),
      Endpoint(
        "POST", "/webhooks", maxBody: EventLimits.event, hangsUp: true, admission: answer.signers("OpenCRVS"),
        handler: answer.handling { request in try await patiently(context) { try await takeWebhook(request, context) } }
      ).early.answeringTooLarge(answer.tooLarge("the event", above: EventLimits.event)).described(MediatorDescriptions.webhook),
      Endpoint("POST", "/subscribe", admission: clients, handler: answer.handling { _ in try await takeSubscribe(context) })
        .described(MediatorDescriptions.subscribe("OpenCRVS", isMosip: false)),
      Endpoint(
        "POST", "/birthReceiveNid", maxBody: EventLimits.result, admission: clients,
        handler: answer.handling { try await takeToken($0, context) }
      ).early.answeringTooLarge(answer.tooLarge("the request", above: EventLimits.result)).described(MediatorDescriptions.token),
      Endpoint(
        "POST", "/receiveStatus", maxBody: EventLimits.result, admission: clients,
        handler: answer.handling { try await takeStatus($0, context) }
      ).answeringTooLarge(answer.tooLarge("the request", above: EventLimits.result)).described(MediatorDescriptions.status),
    ] + questions(context)
  }

  /// How often text came that is not UTF-8.
  public var counts: [String: Int] { [ForeignText.count.name: foreignText.count] }

  /// Schedules its subscriptions, and takes up what an earlier version parked.
  public func start(_ context: StageContext) async throws {
    let parked = try await context.store.records(
      EventRecord.collection, where: "status", is: EventRecord.Status.parked.rawValue, after: nil, limit: 1)
    if !parked.isEmpty {
      try await context.store.commit([
        .schedule(WorkItem(kind: Self.takeUp, key: "start-\(context.services.clock.now.iso)"))
      ])
    }
    guard settings.boolean("subscribe-at-start") else { return }
    // The standing piece may not be due for hours; the other one is of this start.
    try await context.store.commit([
      .schedule(WorkItem(kind: Self.subscription, key: "standing")),
      .schedule(WorkItem(kind: Self.subscription, key: "start-\(context.services.clock.now.iso)")),
    ])
  }

  /// Does one piece of its durable work; each may be done again from any step.
  public func perform(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    switch work.kind {
    case Self.forward: return try await forward(work, context)
    case Self.tell: return try await tell(work, context)
    case Self.answer: return try await checkAnswer(work, context)
    case Self.confirm, Self.report, Self.forget: return try await performAnswering(work, context)
    case Self.takeUp:
      try await takeUpParked(context)
      return .done
    case Self.subscription:
      try await subscribe(context)
      return work.key == "standing" ? .again(afterSeconds: Double(settings.integer("resubscribe-every"))) : .done
    default: throw WorkFailure(code: MediatorError.Code.unknown.rawValue, "work of an unknown kind")
    }
  }

  /// Tells who must know that a piece of work has no way on.
  public func gaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    switch work.kind {
    case Self.forward: try await forwardGaveUp(work, failure, context)
    default: break
    }
  }

  /// The application id of the event or result, once it has one, and the trace of the event.
  public func subject(of work: WorkItem, _ context: StageContext) async -> WorkSubject? {
    if [Self.confirm, Self.forget].contains(work.kind) {
      guard let awaited = try? await context.store.record(AwaitedAnswer.self, work.key) else { return nil }
      let event = try? await context.store.record(EventRecord.self, awaited.event)
      return WorkSubject(rid: event?.aid, trace: awaited.trace)
    }
    let event = try? await context.store.record(EventRecord.self, Self.event(of: work))
    guard let collection = work.payload["collection"]?.string, let key = work.payload["record"]?.string,
      let told = try? await told(collection, key, context)
    else { return event.map { WorkSubject(rid: $0.aid, trace: $0.trace) } }
    return WorkSubject(rid: told.takenAid ?? event?.aid, trace: event?.trace ?? (told as? EventRecord)?.trace)
  }

  func event(_ bytes: [UInt8]) throws(MediatorError) -> OpenCRVSEvent { try OpenCRVSEvent(bytes, names: names) }

  func contents(_ context: StageContext) -> SealedObjects {
    SealedObjects(context.services, account: Self.eventAccount, owner: MediatorOwner.opencrvs)
  }

  func answer(_ context: StageContext) -> MediatorAnswer {
    MediatorAnswer(
      id: "opencrvs-mediator", clock: context.services.clock, log: context.log, foreignText: foreignText)
  }

  func access(_ context: StageContext) -> MediatorAccess {
    MediatorAccess(settings, tokens: auth?.checking(context) ?? context.services.tokens, audience: .opencrvsMediator)
  }

  func bearer(_ context: StageContext) async throws -> Headers {
    let tokens = auth?.checking(context) ?? context.services.tokens
    return ["Authorization": "Bearer \(try await tokens.token(client: settings.text("opencrvs-client"), for: .opencrvs))"]
  }

  /// The cookie, and the event's trace as a new span.
  func mosipHeaders(_ trace: TraceId?, _ context: StageContext) async throws -> Headers {
    var headers = try await mosipCookie(context)
    headers["b3"] = TraceContext.header(continuing: trace)
    return headers
  }

  func mosipCookie(_ context: StageContext) async throws -> Headers {
    let token = try await context.services.tokens.token(client: settings.text("mosip-client"), for: .mosip)
    return ["Cookie": "Authorization=\(token)"]
  }
}
