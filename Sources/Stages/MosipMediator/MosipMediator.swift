import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import System

/// The MOSIP-side mediator: takes events from the OpenCRVS side, makes registration packets of births and corrections, announces and
/// uploads these, deactivates and activates identities, and sends back UIN tokens, results and errors.
///
/// Delivery: what was answered with 2xx is in the database and the object store before the answer, deliveries of the hub in the spool while
/// these are away, and is worked on until it ends in a result or in one named error. Ordering: none between records; the events of one record one after another in the order in which they were
/// taken, and one change of a person at a time. The same event is taken once, and its packet is made once.
public struct MosipMediator: StagePlugin {
  /// What it is, does and is set by.
  public static let spec = PluginSpec(
    name: "mosip-mediator",
    summary: "takes events from the OpenCRVS side, makes packets of births and corrections, changes identities, sends results back",
    takesMessages: false, spools: true, topics: ["{birth-topic}"],
    work: [
      WorkKind(packet, concurrency: 32, isIntake: true), WorkKind(credential, concurrency: 32),
      WorkKind(credentialStatus, concurrency: 16),
      WorkKind(change, concurrency: 16, isIntake: true), WorkKind(ended, concurrency: 8),
      WorkKind(status, concurrency: 4), WorkKind(notify, concurrency: 4, tries: 5, backoff: Backoff(first: 5, longest: 300)),
      WorkKind(subscription, concurrency: 1),
    ],
    counts: [
      ForeignText.count,
      CountField("stale_corrections", "Corrections that came after a later one was done, and changed nothing."),
      CountField("credentials_of_strangers", "Credentials of registrations that nobody sent here."),
      CountField("notices_unsent", "Messages to people that were given up."),
    ] + RefusedCredentials.fields,
    settings: BirthMapping.settings + ChangePolicy.settings + noticeSettings + [
      SettingField(
        "birth-topic", .text, default: "OPENCRVS_BIRTH_RECORDS",
        "the topic that carries references to births (mosip.opencrvs.kafka.topic)"),
      SettingField("center-id", .text, default: "45451", "the center of RIDs and packets (opencrvs.center.id)"),
      SettingField("machine-id", .text, default: "45452", "the machine of RIDs and packets (opencrvs.machine.id)"),
      SettingField("source", .text, default: "OPENCRVS", "the packets' source"),
      SettingField(
        "birth-process", .text, default: "OPENCRVS_NEW", "the packets' process (opencrvs.birth.process.type)"),
      SettingField(
        "app-id", .text, default: "opencrvs", "application id in the packet's audit (opencrvs.audit.app.id)"),
      SettingField(
        "app-name", .text, default: "OPENCRVS", "application name in the packet's audit (opencrvs.audit.app.name)"),
      SettingField(
        "registration-status-url", .text, default: nil,
        "base URL of the registration status service, before /registrationprocessor (SYNCSERVICE)"),
      SettingField(
        "packet-receiver-url", .text, default: nil,
        "base URL of the packet receiver, before /registrationprocessor (PACKETRECEIVER)"),
      SettingField(
        "opencrvs-mediator-url", .text, default: nil,
        "base URL of the OpenCRVS-side mediator (opencrvs.receive.credential.url)"),
      SettingField(
        "mosip-client", .text, default: "mosip-mediator",
        "the client whose token is shown to MOSIP (mosip.opencrvs.client.id)"),
      SettingField(
        "opencrvs-client", .text, default: "opencrvs",
        "the client whose token is shown to the OpenCRVS side (opencrvs.client.id)"),
      SettingField("required-role", .text, default: "", "the role a caller needs; empty for the clients in callers"),
      MediatorAccess.callersField,
      SettingField(
        "partner-id", .text, default: "opencrvs-partner",
        "the partner that credentials are issued to (mosip.opencrvs.partner.client.id)"),
      SettingField(
        "hub-secret", .secret, default: "",
        "what the WebSub hub signs its deliveries with (mosip.opencrvs.partner.client.sha.secret); without it every delivery is refused"
      ),
      SettingField(
        "credential-proof", .choice(["required", "when-present", "off"]), default: "required",
        "whether a credential must be signed by the service that issues it (event.data.proof.signature); MOSIP's credential service always signs its default format"
      ),
      SettingField(
        "credential-signer", .text, default: "CREDENTIAL_SERVICE",
        "the application of the key manager whose key signs credentials; by default the credential service's own, with MOSIP's services KERNEL (mosip.sign.applicationid)"
      ),
      SettingField(
        "callback-url", .text, default: "",
        "base URL at which the hub reaches this mediator; empty to subscribe to nothing"),
      SettingField(
        "lease", .integer, default: 86400, unit: "seconds",
        "lease of subscriptions; they are renewed when half of it is over"),
      SettingField(
        "workflow-completed-topic", .text, default: "REGISTRATION_PROCESSOR_WORKFLOW_COMPLETED_EVENT",
        "the topic that tells how registrations ended"),
      SettingField(
        "token-intermediary", .text, default: "mpartner-default-auth",
        "the partner of the first of two chained tokens of a UIN"),
      SettingField(
        "uin-token-partner", .text, default: "opencrvs-partner",
        "the partner of the UIN token (mosip.opencrvs.uin.token.partner)"),
    ] + OpenCRVSAuth.fields)

  static let packet = "packet"
  static let credential = "credential"
  static let credentialStatus = "credential-status"
  /// What becomes of a death, a correction or a reversal.
  static let change = "change"
  /// The end of a registration that a change made.
  static let ended = "ended"
  static let status = "status"
  /// One message to one person by one channel.
  static let notify = "notify"
  static let subscription = "subscription"

  /// Accounts of the object store.
  enum Accounts {
    /// Births, changes and credential events as they came in, sealed.
    static let events = ObjectAccounts.mosipEvents
    /// Packets between creation and upload, under upstream's name of the account.
    static let packets = ObjectAccounts.packetsBeforeUpload
  }

  static let credentialPath = "/opencrvs/v1/internal/receiveCredentialBirth"
  static let workflowPath = "/opencrvs/v1/internal/receiveWorkflowCompleted"

  let settings: StageSettings
  let mapping: BirthMapping
  let policy: ChangePolicy
  let notices: NoticePolicy
  let hubSecret: [UInt8]
  /// OpenCRVS' own auth service, when the OpenCRVS side takes no tokens of the realm.
  let auth: OpenCRVSAuth?
  let foreignText = ForeignText()
  /// Credentials of registrations that nobody sent here.
  let strangers = Tally()
  /// Credentials that are not believed.
  let refusals = RefusedCredentials()
  /// Corrections that came after a later one was done.
  let stale = Tally()
  /// Messages to people that were given up.
  let unsent = Tally()

  /// Makes the mediator of one stage.
  /// - Throws: `SettingError` when a mapping cannot be read, the lease is too short or a client secret is missing.
  public init(settings: StageSettings) throws {
    self.settings = settings
    mapping = try BirthMapping(settings)
    policy = try ChangePolicy(settings)
    notices = try NoticePolicy(settings)
    hubSecret = Array(settings.text("hub-secret").utf8)
    auth = try OpenCRVSAuth(settings)
    guard settings.integer("lease") >= 60 else {
      throw SettingError(stage: settings.stage, setting: "lease", "must be at least 60 seconds")
    }
  }

  /// Its endpoints; every error has the answer shape of docs/upstream/opencrvs-and-websub.md#31-endpoints.
  public func endpoints(_ context: StageContext) -> [Endpoint] {
    let answer = answer(context)
    let clients = access(context).admission(answer, by: .cookie) { $0.cookie("Authorization") }
    let hub = answer.signers("MOSIP's hub, for our subscription")
    let challenges = Admission.everybody(limits: "answers a challenge for a topic of ours")
    return EventKind.allCases.map { kind in
      Endpoint(
        "POST", "/opencrvs/v1" + kind.path, maxBody: EventLimits.sealed, admission: clients,
        handler: answer.handling { request in
          kind == .birth ? try await takeBirth(request, context) : try await takeChange(kind, request, context)
        }
      ).takingIn.answeringTooLarge(answer.tooLarge("the request", above: EventLimits.sealed)).described(
        MediatorDescriptions.event(kind))
    } + [
      Endpoint(
        "GET", "/opencrvs/v1/generateAid", admission: clients,
        handler: answer.handling { try await giveApplicationId($0, context) }
      ).described(MediatorDescriptions.applicationId),
      Endpoint(
        "POST", "/opencrvs/v1/internal/subscribe", admission: clients,
        handler: answer.handling { _ in try await takeSubscribe(context) }
      )
      .described(MediatorDescriptions.subscribe("MOSIP's hub", isMosip: true)),
      Endpoint(
        "GET", Self.credentialPath, admission: challenges,
        handler: answer.handling { try intent($0, credentialTopic, context) }
      )
      .early.described(MediatorDescriptions.challenge("credentials")),
      Endpoint(
        "POST", Self.credentialPath, admission: hub, handler: answer.handling { try await takeCredential($0, context) }
      )
      .early.described(MediatorDescriptions.delivered("a credential")),
      Endpoint(
        "GET", Self.workflowPath, admission: challenges,
        handler: answer.handling { try intent($0, workflowTopic, context) }
      )
      .early.described(MediatorDescriptions.challenge("ends of registrations")),
      Endpoint(
        "POST", Self.workflowPath, admission: hub,
        handler: answer.handling { try await takeWorkflowCompleted($0, context) }
      )
      .early.described(MediatorDescriptions.delivered("the end of a registration")),
      answer.unknownPaths(below: "/opencrvs/v1"),
    ]
  }

  /// How often text came that is not UTF-8, corrections that were overtaken, credentials of strangers, messages that were not sent, and
  /// credentials that were refused, by reason.
  public var counts: [String: Int] {
    [
      ForeignText.count.name: foreignText.count, "stale_corrections": stale.count, "credentials_of_strangers": strangers.count,
      "notices_unsent": unsent.count,
    ].merging(refusals.counts) { $1 }
  }

  /// Schedules its subscriptions.
  public func start(_ context: StageContext) async throws {
    guard !settings.text("callback-url").isEmpty else { return }
    // The standing piece may not be due for hours; the other one is of this start.
    try await context.store.commit([
      .schedule(WorkItem(kind: Self.subscription, key: "standing")),
      .schedule(WorkItem(kind: Self.subscription, key: "start-\(context.services.clock.now.iso)")),
    ])
  }

  /// Takes a reference to a birth off the bus: schedules the making of its packet.
  public func receive(_ record: TopicRecord, _ context: StageContext) async throws {
    try await takeReference(record, context)
  }

  /// Takes what waited in the spool. That the hub sent it was looked at when it came.
  public func take(_ spooled: SpooledRequest, _ context: StageContext) async throws {
    do {
      switch spooled.kind {
      case Self.credential: try await takeSpooledCredential(spooled.body, context)
      case Self.ended: try await takeSpooledWorkflowCompleted(spooled.body, context)
      default: throw MediatorError(.unknown, "a request of an unknown kind")
      }
    } catch let refusal as MediatorError {
      throw refusal.workFailure
    }
  }

  /// Does one piece of its durable work; each may be done again from any step.
  public func perform(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    switch work.kind {
    case Self.packet: return try await makeAndUpload(work, context)
    case Self.credential: return try await returnToken(work, context)
    case Self.change: return try await workOnChange(work, context)
    case Self.ended: return try await registrationEnded(work, context)
    case Self.credentialStatus: return try await publishCredentialStatus(work, context)
    case Self.status: return try await returnStatus(work, context)
    case Self.notify: return try await sendNotice(work, context)
    case Self.subscription:
      try await subscribe(context)
      return work.key == "standing" ? .again(afterSeconds: Double(settings.integer("lease")) / 2) : .done
    default: throw WorkFailure(code: MediatorError.Code.unknown.rawValue, "work of an unknown kind")
    }
  }

  /// That of the birth, or of the change of a record.
  public func subject(of work: WorkItem, _ context: StageContext) async -> WorkSubject? {
    if work.kind == Self.credential || work.kind == Self.credentialStatus {
      // The work of a status is named by the credential's key and the status behind a colon; a key may hold colons of its own.
      let key = work.kind == Self.credential ? work.key[...] : work.key[..<(work.key.lastIndex(of: ":") ?? work.key.endIndex)]
      return await subject(ofCredential: String(key), context)
    }
    for key in ["key", "transaction", "change", "birth"].map({ work.payload[$0]?.string }) + [work.key] {
      guard let key else { continue }
      if let birth = try? await context.store.record(BirthRecord.self, key) {
        return WorkSubject(rid: birth.rid, trace: birth.trace)
      }
      if let change = try? await context.store.record(ChangeRecord.self, key) {
        return WorkSubject(rid: change.rid, trace: change.trace)
      }
    }
    return nil
  }

  /// Tells who must know that a piece of work has no way on.
  public func gaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    switch work.kind {
    case Self.packet: try await packetGaveUp(work, failure, context)
    case Self.credential: try await credentialGaveUp(work, failure, context)
    case Self.change, Self.ended: try await changeGaveUp(work, failure, context)
    case Self.notify: noticeGaveUp(work, failure, context)
    default: break
    }
  }

  var credentialTopic: String { settings.text("partner-id") + "/CREDENTIAL_ISSUED" }
  var workflowTopic: String { settings.text("workflow-completed-topic") }
  /// `{center}_{machine}`
  var referenceId: String { settings.text("center-id") + "_" + settings.text("machine-id") }

  func events(_ context: StageContext) -> SealedObjects {
    SealedObjects(context.services, account: Accounts.events, owner: MediatorOwner.mosip)
  }

  func answer(_ context: StageContext) -> MediatorAnswer {
    MediatorAnswer(
      id: "mosip-opencrvs-mediator", clock: context.services.clock, log: context.log, foreignText: foreignText)
  }

  func access(_ context: StageContext) -> MediatorAccess {
    MediatorAccess(settings, tokens: context.services.tokens, audience: .mosip)
  }

  func mosipToken(_ context: StageContext) async throws -> String {
    try await context.services.tokens.token(client: settings.text("mosip-client"), for: .mosip)
  }
}
