import Registration
import StageKit
import System

/// Telling the applicant of the verdict, once at most (docs/upstream/stages.md#4-packet-validator): whom to tell is taken away from the
/// announcement first, so a message that is delivered again finds nobody. What cannot be sent is lost, as upstream has it, and changes no
/// verdict.
extension PacketValidator {
  /// How people are told.
  enum Channel: String, CaseIterable { case sms, email }

  static let notificationSettings = [
    SettingField(
      "notifications", .texts, default: .texts([]),
      "how the applicant is told of the verdict: sms, email; none: not at all"),
    SettingField(
      "notification-templates", .texts,
      default: [
        "NEW=RPR_RPV_SUC", "LOST=RPR_LPV_SUC", "UPDATE=RPR_UPV_SUC", "RES_UPDATE=RPR_RUPV_SUC", "RES_REPRINT=RPR_PPV_SUC",
        "ACTIVATED=RPR_APV_SUC", "DEACTIVATED=RPR_DPV_SUC", "failed=RPR_TEC_ISSUE",
      ],
      "templates of MOSIP's master data by process, and `failed` for packets that are not valid: `NEW=RPR_RPV_SUC` are RPR_RPV_SUC_SMS, "
        + "RPR_RPV_SUC_EMAIL and RPR_RPV_SUC_EMAIL_SUB"),
    SettingField(
      "notification-passed", .text, default: "Your registration $RID was received and checked. It is being processed.",
      "the text where there is no template; $RID and $name are filled in; empty: nothing is sent"),
    SettingField(
      "notification-failed", .text,
      default: "Your registration $RID cannot be processed. Please visit a registration center.",
      "the text for packets that are not valid"),
    SettingField("notification-subject", .text, default: "Registration $RID", "the subject of mails where there is no template"),
  ]

  /// The channels of the setting, each once.
  /// - Throws: `SettingError` for a name that is none.
  static func channels(_ settings: StageSettings) throws -> [Channel] {
    let names = settings.texts("notifications")
    for name in names where Channel(rawValue: name) == nil {
      throw SettingError(stage: settings.stage, setting: "notifications", "names `\(name)`, which is neither sms nor email")
    }
    return Channel.allCases.filter { names.contains($0.rawValue) }
  }

  /// Tells the applicant of a verdict that is passed or failed. Nothing of the applicant gets into the log.
  func notify(_ message: Message, _ verdict: Verdict, _ context: StageContext) async {
    guard verdict.kind == .passed || verdict.kind == .failed, let id = message.workflowInstanceId else { return }
    let contact: Contact
    do {
      let registrations = context.services.registrations
      // Also when nobody is to be told: after the verdict nothing needs it any more.
      guard let sealed = try await registrations.takeAdditionalInfo(workflowInstanceId: id), !channels.isEmpty,
        let announced = try await registrations.synced(workflowInstanceId: id)
      else { return }
      let clear = try await context.services.keys.decryptPacket(sealed, referenceId: announced.referenceId)
      guard let read = Contact(json: clear, language: announced.languageCode) else {
        return context.log.warning("whom to notify cannot be read", ["rid": message.rid])
      }
      contact = read
    } catch {
      return context.log.warning("whom to notify cannot be learnt", ["rid": message.rid, "error": Self.code(error)])
    }
    for channel in channels {
      do {
        try await send(by: channel, to: contact, message, isValid: verdict.kind == .passed, context.services.notifier)
      } catch {
        context.log.warning(
          "a notification was not sent", ["rid": message.rid, "by": channel.rawValue, "error": Self.code(error)])
      }
    }
  }

  private func send(
    by channel: Channel, to contact: Contact, _ message: Message, isValid: Bool, _ notifier: any Notifier
  ) async throws {
    let code = templates[isValid ? message.process : "failed"]
    func text(_ suffix: String, else own: String) async throws -> String {
      var template: String?
      if let code { template = try await notifier.template(code + suffix, language: contact.language) }
      return Self.filled(template ?? settings.text(own), rid: message.rid, name: contact.name ?? "")
    }
    let own = isValid ? "notification-passed" : "notification-failed"
    switch channel {
    case .sms:
      guard let phone = contact.phone else { return }
      let words = try await text("_SMS", else: own)
      if !words.isEmpty { try await notifier.sendSMS(words, to: phone) }
    case .email:
      guard let email = contact.email else { return }
      let words = try await text("_EMAIL", else: own)
      if words.isEmpty { return }
      try await notifier.sendEmail(words, subject: text("_EMAIL_SUB", else: "notification-subject"), to: email)
    }
  }

  /// The template with `$RID` and `$name` filled in, which MOSIP's own templates also write as `$!name`, `${name}` or `$name_eng`.
  static func filled(_ template: String, rid: String, name: String) -> String {
    template.replacing(#/\$!?(?:(RID|name(?:_[a-z]{3})?)(?![A-Za-z0-9_])|\{(RID|name(?:_[a-z]{3})?)\})/#) { match in
      (match.1 ?? match.2) == "RID" ? rid : name
    }
  }

  /// A service's code; of another error its text, where that may be told.
  private static func code(_ error: any Error) -> String { (error as? ServiceError)?.code ?? ErrorText.of(error) }
}
