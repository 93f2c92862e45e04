import Registration
import StageKit
import System

/// Checks the packet as a whole (docs/upstream/stages.md#4-packet-validator): the supervisor's word, the packet manager's checks of
/// signature, hashes and id schema, the applicant's consent, the identity that an update changes, documents, biometrics, languages and
/// master data. Afterwards the applicant is told.
public struct PacketValidator: StagePlugin {
  public static let spec = PluginSpec(
    name: "packet-validator",
    summary: "checks approval, integrity, schema, consent, documents, biometrics and master data; hands on the packet's audits",
    settings: [
      SettingField(
        "validate-applicant-document", .boolean, default: true,
        "whether documents and biometrics that the identity names must be there, for the processes of document-processes"),
      SettingField(
        "document-processes", .texts,
        default: ["NEW", "UPDATE", "LOST", "BIOMETRIC_CORRECTION", "CRVS_NEW", "CRVS_DEATH"],
        "processes whose packets must have the documents they name"),
      SettingField(
        "documents", .texts, default: .texts(IdentityMapping.documents),
        "the fields that are documents, by their names in identity-mapping"),
      SettingField(
        "update-processes", .texts, default: ["UPDATE", "RES_UPDATE", "OPENCRVS_UPDATE"],
        "processes whose packets must name an identity that exists"),
      SettingField(
        "languages", .texts, default: .texts([]),
        "the languages that texts of an identity may be in: the mandatory and the optional ones; none: any language"),
      SettingField(
        "master-data", .boolean, default: true,
        "whether fields with a `subType` in the id schema must have values of the master data"),
      SettingField(
        "unsigned-client-versions", .texts, default: .texts([]),
        "registration clients from before captures were signed: theirs are not asked for a signature"),
      IdentityMapping.setting,
    ] + notificationSettings)

  let mapping: IdentityMapping
  let settings: StageSettings
  let channels: [Channel]
  /// The beginnings of templates' codes by process.
  let templates: [String: String]

  public init(settings: StageSettings) throws {
    self.settings = settings
    mapping = try IdentityMapping(settings)
    channels = try Self.channels(settings)
    templates = try Pairs(settings, "notification-templates").values
    for name in settings.texts("documents") where mapping.field(name) == nil {
      throw SettingError(stage: settings.stage, setting: "documents", "names `\(name)`, which identity-mapping lacks")
    }
  }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    var createdAt: Instant?
    var verdict = try await ServiceVerdict.judged {
      let metaInfo = try await context.services.packets.metaInfo(of: PacketReference(message))
      createdAt = metaInfo["creationDate"].flatMap { Instant(iso: $0) }
      if createdAt == nil { context.log.warning("the packet has no creation date", ["rid": message.rid]) }
      return try await validate(message, metaInfo, context)
    }
    // Upstream keeps the date and counts the failure whatever the checks say.
    verdict.packetCreatedAt = createdAt
    verdict.countsAsPacketTry = verdict.kind != .passed
    await notify(message, verdict, context)
    return verdict
  }

  /// The checks in upstream's order; the first that is not passed ends it.
  private func validate(
    _ message: Message, _ metaInfo: [String: String], _ context: StageContext
  ) async throws -> Verdict {
    let packets = context.services.packets
    let packet = PacketReference(message)
    guard let id = message.workflowInstanceId,
      let announced = try await context.services.registrations.synced(workflowInstanceId: id)
    else { return ServiceVerdict.system("the tables know no such registration") }
    guard announced.supervisorStatus == SupervisorStatus.approved.rawValue else {
      return .failed("RPR-PKV-FAILED-011", "Rejected by Supervisor", status: .rejected)
    }

    let faults = try await packets.validate(packet)
    if let first = faults.first {
      let rest = faults.count > 1 ? " (and \(faults.count - 1) more)" : ""
      return .failed(
        "RPR-PKV-FAILED-012", "Packet validation failed in packet manager: \(first.code): \(first.message)\(rest)")
    }

    let field = mapping["consent"]
    if let consent = try await packets.fields([field], of: packet)[field], consent.lowercased() == "n" {
      return .failed("RPR-PKV-FAILED-017", "Consent is not agreed for the packet to process further")
    }

    if let verdict = try await updatedIdentity(message, context) { return verdict }
    if let verdict = try await documents(message, context) { return verdict }
    if let verdict = try await biometrics(packet, metaInfo, context) { return verdict }
    if let verdict = try await references(packet, context) { return verdict }

    await handOnAudits(of: packet, message, context)
    try await tellPreRegistration(metaInfo, message, context)
    return .passed("RPR-PKV-SUCCESS-001", "Packet Validation is Successful")
  }

  // MARK: The identity that is changed

  /// What is wrong with the identity that an update names; nil when nothing is, or when the process is no update.
  private func updatedIdentity(_ message: Message, _ context: StageContext) async throws -> Verdict? {
    guard settings.texts("update-processes").contains(message.process) else { return nil }
    let field = mapping["uin"]
    guard let uin = try await context.services.packets.fields([field], of: PacketReference(message))[field], !uin.isEmpty
    else { return ServiceVerdict.system("the packet of this process names no UIN") }
    guard let identity = try await context.services.identities.identity(.uin(uin)) else {
      return .failed("RPR-PKV-FAILED-008", "UIN is Not Found in ID Repository")
    }
    // A resident's update may be what activates the identity again.
    if message.process == "UPDATE", identity.status == "DEACTIVATED" { return ServiceVerdict.system("UIN is Deactivated") }
    return nil
  }

  // MARK: After the checks

  /// Records the audits that the packet carries. The packet does not fail for them (upstream ignores errors too).
  private func handOnAudits(of packet: PacketReference, _ message: Message, _ context: StageContext) async {
    do {
      let audits = try await context.services.packets.audits(of: packet)
      let entries = audits.enumerated().map { index, audit in
        var entry = AuditEntry(
          eventId: audit["eventId"] ?? "", eventName: audit["eventName"] ?? "", eventType: audit["eventType"] ?? "",
          module: audit["moduleName"] ?? audit["applicationName"] ?? context.stage, id: audit["id"] ?? message.rid,
          idType: audit["idType"] ?? "REGISTRATION_ID", description: audit["description"] ?? "")
        // Unlike upstream, which posts them again on every retry.
        entry.idempotencyKey = "\(context.idempotencyKey(message)):\(audit["uuid"] ?? String(index))"
        return entry
      }
      if !entries.isEmpty { try await context.services.audit.record(entries) }
    } catch {
      context.log.warning("the packet's audits were not recorded", ["rid": message.rid])
    }
  }

  /// Tells pre-registration that its application is here. What it refuses does not fail the packet; out of reach, it is tried again.
  private func tellPreRegistration(
    _ metaInfo: [String: String], _ message: Message, _ context: StageContext
  ) async throws {
    guard let id = metaInfo["metaData"].flatMap({ Labels($0) })?["preRegistrationId"], !id.isEmpty else { return }
    do {
      try await context.services.preRegistration.registered([id])
    } catch let error as ServiceError where !error.isRetriable {
      context.log.warning("pre-registration refused an application's registration", ["rid": message.rid, "error": error.code])
    }
  }
}
