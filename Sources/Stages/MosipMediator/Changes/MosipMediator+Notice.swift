import OpenCRVS
import JSON
import Registration
import StageKit

/// Telling people that an identity was deactivated or activated: MOSIP tells them itself of packets alone. Each message is a piece of work of
/// its own. It goes out once at most: what cannot be sent is counted and lost, and the change stays as it is.
extension MosipMediator {
  /// Whom a message goes to.
  enum Recipient: String, Sendable, CaseIterable {
    /// The person whose identity it is, by the phone number or address in it: after a death nobody may answer there.
    case identity
    /// Whoever told the civil registration of it, by the contact that the event has.
    case informant
  }

  /// How a message goes.
  enum Channel: String, Sendable, CaseIterable { case sms, email }

  static let noticeSettings: [SettingField] = [
    SettingField(
      "notify", .choice(Recipient.allCases.map(\.rawValue) + ["both", "none"]), default: "informant",
      "who is told after an identity was deactivated or activated: the contact of the event, that of the identity, both, or nobody"),
    SettingField(
      "notifications", .texts, default: .texts(["email"]),
      "how they are told: sms, email (mosip.registration.processor.notification.types)"),
    SettingField(
      "notification-templates", .texts, default: .texts(["deactivated=RPR_UIN_DEAC", "activated=RPR_UIN_REAC"]),
      "templates of MOSIP's master data: `activated=RPR_UIN_REAC` are RPR_UIN_REAC_SMS, RPR_UIN_REAC_EMAIL and RPR_UIN_REAC_EMAIL_SUB"
    ),
    SettingField(
      "notification-deactivated", .text, default: "By the registration $RID an identity was deactivated.",
      "the text where there is no template; $RID and $name are filled in; empty: nothing is sent"),
    SettingField(
      "notification-activated", .text, default: "By the registration $RID an identity was activated again.",
      "the same for identities that were activated again"),
    SettingField("notification-subject", .text, default: "Registration $RID", "the subject of mails where there is no template"),
  ]

  /// Who is told how, by the settings.
  struct NoticePolicy: Sendable {
    let recipients: [Recipient]
    let channels: [Channel]
    /// By what became of the identity: deactivated, activated.
    let templates: [ChangeResult: String]

    init(_ settings: StageSettings) throws {
      let notify = settings.text("notify")
      recipients = Recipient.allCases.filter { notify == $0.rawValue || notify == "both" }
      let names = settings.texts("notifications")
      for name in names where Channel(rawValue: name) == nil {
        throw SettingError(stage: settings.stage, setting: "notifications", "names `\(name)`, which is neither sms nor email")
      }
      channels = Channel.allCases.filter { names.contains($0.rawValue) }
      var templates: [ChangeResult: String] = [:]
      for line in settings.texts("notification-templates") {
        let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, let what = ChangeResult(rawValue: parts[0]), what == .deactivated || what == .activated else {
          throw SettingError(
            stage: settings.stage, setting: "notification-templates", "`\(line)` is neither deactivated=CODE nor activated=CODE")
        }
        templates[what] = parts[1]
      }
      self.templates = templates
    }
  }

  /// The work of telling people of a change that gave an identity another status; none for any other one.
  func noticeWork(of change: ChangeRecord, _ context: StageContext) -> [StageChange] {
    guard change.plan == .status, change.to != nil, !(context.services.notifier is NoNotifier) else { return [] }
    return notices.recipients.flatMap { recipient in
      notices.channels.map { channel in
        .schedule(
          WorkItem(
            kind: Self.notify, key: "\(change.key):\(recipient.rawValue):\(channel.rawValue)",
            payload: ["change": .string(change.key), "to": .string(recipient.rawValue), "by": .string(channel.rawValue)]))
      }
    }
  }

  func sendNotice(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    guard let change = try await change(work.payload["change"]?.string ?? "", context),
      let recipient = work.payload["to"]?.string.flatMap(Recipient.init),
      let channel = work.payload["by"]?.string.flatMap(Channel.init)
    else { throw MediatorError(.unknown, "there is no change to tell of").workFailure }
    do {
      let event = try await event(of: change, context)
      let identity = try await subject(of: change, context)
      let contact = contact(recipient, event, identity)
      guard let address = address(contact, channel) else { return .done }
      if recipient == .informant, notices.recipients.contains(.identity),
        address == self.address(self.contact(.identity, event, identity), channel)
      {
        return .done
      }
      guard let message = try await message(change, contact, channel, context) else { return .done }
      do {
        try await context.store.commit([NoticeRecord(work, of: change).writing])
      } catch is StoreConflict {
        // It was being sent before, and nobody knows how far that came.
        return .done
      }
      do {
        switch channel {
        case .sms: try await context.services.notifier.sendSMS(message.text, to: address)
        case .email: try await context.services.notifier.sendEmail(message.text, subject: message.subject, to: address)
        }
      } catch let error as ServiceError {
        // Also one that may have gone out: the notifier knows no message again.
        throw WorkFailure(code: error.code, "a message was not sent")
      }
      return .done
    } catch let fault as MediatorError {
      throw fault.workFailure
    } catch let error as ServiceError where !error.isRetriable {
      throw WorkFailure(code: error.code, "a message was not sent")
    }
  }

  func noticeGaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) {
    unsent.add()
    context.log.warning(
      "nobody was told of a change",
      ["by": work.payload["by"]?.string ?? "", "to": work.payload["to"]?.string ?? "", "code": failure.code])
  }

  /// Phone, mail address and name, as far as they are known.
  private func contact(_ recipient: Recipient, _ event: OpenCRVSEvent, _ identity: Identity) -> Contact {
    let names = identity.fields["fullName"]?.array?.first
    let language = names?["language"]?.string ?? "eng"
    let informant = event.bundle.informant.flatMap { mapping.languages.main($0.names)?.value }
    let fields: JSONValue =
      switch recipient {
      case .identity:
        ["name": names?["value"] ?? .null, "phone": identity.fields["phone"] ?? .null, "email": identity.fields["email"] ?? .null]
      case .informant:
        [
          "name": JSONValue(informant), "phone": JSONValue(event.bundle.task.contactPhone),
          "email": JSONValue(event.bundle.task.contactEmail),
        ]
      }
    return Contact(announcement: fields, language: language)
  }

  private func address(_ contact: Contact, _ channel: Channel) -> String? {
    channel == .sms ? contact.phone : contact.email
  }

  /// The text by template, else by setting; nil for an empty one.
  private func message(
    _ change: ChangeRecord, _ contact: Contact, _ channel: Channel, _ context: StageContext
  ) async throws -> (text: String, subject: String)? {
    let what = change.to == .activated ? ChangeResult.activated : .deactivated
    func text(_ suffix: String, else own: String) async throws -> String {
      var template: String?
      if let code = notices.templates[what] {
        template = try await context.services.notifier.template(code + suffix, language: contact.language)
      }
      return MessageTemplate.filled(template ?? settings.text(own), ["RID": change.rid, "name": contact.name ?? ""])
    }
    let words = try await text(channel == .sms ? "_SMS" : "_EMAIL", else: "notification-\(what.rawValue)")
    if words.isEmpty { return nil }
    return (words, channel == .sms ? "" : try await text("_EMAIL_SUB", else: "notification-subject"))
  }
}
