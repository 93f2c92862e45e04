import JSON
import Registration
import StageKit

/// Asks for credentials of an identity that is published: the stages `print` (docs/upstream/stages.md#9-print-or-credential-requestor) and
/// `opencrvs` (docs/upstream/stages.md#10-opencrvs-stage), which differ in their settings alone.
public struct CredentialRequestor: StagePlugin {
  public static let spec = PluginSpec(
    name: "credential-requestor", summary: "asks the credential service for a credential for each partner",
    settings: [
      SettingField("credential-type", .text, default: nil, "the type of credential, e.g. `opencrvs` or `PDFCard`"),
      SettingField("issuers", .texts, default: nil, "the partners it is issued to, each gets its own"),
      SettingField(
        "subject", .choice(["rid", "perpetual-vid"]), default: "rid",
        "how the credential names the person: by RID or by perpetual VID"),
      SettingField(
        "labels", .texts, default: .texts([]),
        "labels of the packet's metaData that go along as additionalData, e.g. `opencrvsBRN`"),
      SettingField(
        "additional-data", .texts, default: .texts([]),
        "fixed additionalData as `name=value`, beside registrationId; `{rid}` stands for the RID"),
      SettingField("success-code", .text, default: nil, "the sub status of success"),
      SettingField("success-comment", .text, default: nil, "the comment of success"),
      SettingField("failure-code", .text, default: nil, "the sub status when the credential service refuses"),
      SettingField(
        "failure-comment", .text, default: nil, "the beginning of the comment when the credential service refuses"),
    ])

  private let settings: StageSettings
  private let issuers: [String]
  private let labels: [String]
  private let fixed: Pairs

  public init(settings: StageSettings) throws {
    self.settings = settings
    issuers = settings.texts("issuers")
    labels = settings.texts("labels")
    fixed = try Pairs(settings, "additional-data")
    guard !issuers.isEmpty else { throw SettingError(stage: settings.stage, setting: "issuers", "must name a partner") }
    guard Set(issuers).count == issuers.count else {
      throw SettingError(stage: settings.stage, setting: "issuers", "names a partner twice")
    }
  }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    try await ServiceVerdict.judged {
      let identities = context.services.identities
      guard let identity = try await identities.identity(.rid(message.rid)) else {
        return .failed("RPR-PPS-FAILED-010", "UIN not found in database")
      }
      let subject: String
      if settings.text("subject") == "rid" {
        subject = message.rid
      } else if let vid = try await identities.vids(uin: identity.uin)
        .first(where: { $0.type == "PERPETUAL" && $0.status == "ACTIVE" })
      {
        subject = vid.vid
      } else {
        return .retry(ServiceVerdict.systemException, "VID not available")
      }
      let data = try await additionalData(message, context)
      var last: String?
      for issuer in issuers {
        let request = CredentialRequest(
          id: subject, credentialType: settings.text("credential-type"), issuer: issuer, additionalData: data)
        do {
          last = try await context.services.credentials.request(
            request, idempotencyKey: "\(context.idempotencyKey(message)):\(issuer)")
        } catch let error as ServiceError where error.kind == .refused || error.kind == .notFound {
          // Unlike upstream, whose REPROCESS beside F/F strands the packet or reports it as processed.
          return .failed(settings.text("failure-code"), "\(settings.text("failure-comment"))::\(error.description)")
        }
      }
      return .passed(
        settings.text("success-code"), settings.text("success-comment"), status: .processed, referenceId: last)
    }
  }

  private func additionalData(_ message: Message, _ context: StageContext) async throws -> JSONValue {
    // Always: a partner that keeps its requests by RID, as mosip-api does, finds them by nothing else.
    var data: JSONObject = ["registrationId": .string(message.rid)]
    for name in fixed.names {
      data[name] = .string(fixed.values[name, default: ""].replacing("{rid}", with: message.rid))
    }
    guard !labels.isEmpty else { return .object(data) }
    // Unlike upstream: a packet manager out of reach is waited for. Without the birth registration number OpenCRVS cannot tell
    // whose token it gets.
    let metaInfo = try await context.services.packets.metaInfo(of: PacketReference(message))
    let values = metaInfo["metaData"].flatMap { Labels($0) }
    for label in labels {
      if let value = values?[label] {
        data[label] = .string(value)
      } else {
        context.log.warning("the packet's metaData lacks a label", ["rid": message.rid, "label": label])
      }
    }
    return .object(data)
  }
}
