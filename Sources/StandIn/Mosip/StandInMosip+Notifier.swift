import HTTP
import JSON
import StageKit

/// A short message or a mail that the stand-in was asked to send.
public struct SentMessage: Sendable, Equatable {
  /// The phone number or the mail address.
  public var to: String
  /// The subject of a mail; nil for a short message.
  public var subject: String?
  /// The text.
  public var text: String

  /// A message.
  public init(to: String, subject: String? = nil, text: String) {
    self.to = to
    self.subject = subject
    self.text = text
  }
}

/// The endpoints of the notifier, and master data's templates. Nothing is sent; tests ask what would have been.
extension StandInMosip {
  var notifierEndpoints: [Endpoint] {
    let state = self
    return [
      endpoint("POST", "/v1/notifier/sms/send") { request in
        let content = try Self.content(request)
        guard let number = content["number"]?.string, let text = content["message"]?.string, !number.isEmpty, !text.isEmpty else {
          return Self.failed("KER-NOS-001", "Number and message can't be empty, null")
        }
        guard number.utf8.allSatisfy({ (48...57).contains($0) }) else {
          return Self.failed("KER-NOS-002", "not a contact number: \(number)")
        }
        state.keep(SentMessage(to: number, text: text))
        return Self.done(["status": "success", "message": "Sms Request Sent"])
      },
      endpoint("POST", "/v1/notifier/email/send", multipart: MultipartPolicy()) { request in
        // Spring takes them from the query as well; ours must not be there.
        func field(_ name: String) -> String { request.part(name).map { String(decoding: $0.bytes, as: UTF8.self) } ?? "" }
        guard field("mailTo").contains("@") else { return Self.failed("KER-NOE-001", "not an address: \(field("mailTo"))") }
        guard !field("mailSubject").isEmpty else { return Self.failed("KER-NOE-002", "Subject must be valid") }
        guard !field("mailContent").isEmpty else { return Self.failed("KER-NOE-003", "Content must be valid") }
        state.keep(SentMessage(to: field("mailTo"), subject: field("mailSubject"), text: field("mailContent")))
        return Self.done(["status": "success", "message": "Email Request submitted"])
      },
      endpoint("GET", "/v1/masterdata/templates/{language}/{code}") { request in
        let (language, code) = (request.parameters["language"] ?? "", request.parameters["code"] ?? "")
        guard let text = state.template("\(language)/\(code)") else { return Self.failed("KER-MSD-046", "Template not found.") }
        return Self.done([
          "templates": [
            [
              "id": "1101", "name": .string(code), "fileFormatCode": "txt", "fileText": .string(text),
              "langCode": .string(language),
              "templateTypeCode": .string(code), "isActive": true,
            ]
          ]
        ])
      },
    ]
  }

  private func keep(_ message: SentMessage) { state.withLock { $0.messages.append(message) } }
  private func template(_ place: String) -> String? { state.withLock { $0.templates[place] } }

  /// What it was asked to send, in order.
  public var messages: [SentMessage] { state.withLock { $0.messages } }

  /// Puts a template into master data.
  public func setTemplate(_ code: String, language: String, _ text: String) {
    state.withLock { $0.templates["\(language)/\(code)"] = text }
  }
}
