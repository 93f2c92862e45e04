import HTTP
import JSON
import StageKit

/// MOSIP's notifier over REST, with the templates of its master data (docs/upstream/stages.md#4-packet-validator). It knows no message
/// again, so nothing is sent a second time unless it surely was not taken.
struct MosipNotifier: Notifier {
  /// KER-NOS are its codes for short messages, KER-NOE those for mails.
  static let kinds = ErrorKinds(unavailable: ["KER-NOS-500", "KER-NOE-500"])
  /// What master data's codes mean for a template.
  static let templateKinds = ErrorKinds(notFound: ["KER-MSD-046"], others: .unavailable)

  private let client: ServiceClient
  private let masterData: ServiceClient

  /// - Parameter masterData: where templates are.
  init(_ client: ServiceClient, masterData: ServiceClient) {
    self.client = client
    self.masterData = masterData
  }

  func sendSMS(_ text: String, to number: String) async throws {
    let client = client
    let answer = try await client.call(
      "a short message", "POST", "/v1/notifier/sms/send",
      body: {
        client.envelope(id: "mosip.sms.send", version: "1.0", request: ["number": .string(number), "message": .string(text)])
      }, .onlyUnsent
    ).response
    try client.reader.messageTaken(answer, "a short message")
  }

  func sendEmail(_ text: String, subject: String, to address: String) async throws {
    // Unlike upstream, which writes address and text into the URL, where logs of proxies have them.
    let form = ServiceClient.Body.form([
      (name: "mailTo", value: address), (name: "mailSubject", value: subject), (name: "mailContent", value: text),
    ])
    let response = try await client.send("a mail", "POST", "/v1/notifier/email/send", body: form, .onlyUnsent)
    try client.reader.messageTaken(client.reader.envelope(response, "a mail").response, "a mail")
  }

  func template(_ code: String, language: String) async throws -> String? {
    do {
      let answer = try await masterData.call(
        "a template", "GET", "/v1/masterdata/templates/\(URLText.encode(language))/\(URLText.encode(code))", .always
      ).response
      return try masterData.reader.template(answer)
    } catch let error as ServiceError where error.kind == .notFound {
      return nil
    }
  }
}

/// The notifier's answers, and master data's templates.
extension AnswerReader {
  /// Makes sure that a message was taken: `{"status": "success", "message": "Sms Request Sent"}`.
  package func messageTaken(_ answer: JSONValue, _ operation: String) throws(ServiceError) {
    guard let status = answer["status"]?.string else { throw unreadable(operation) }
    guard status.lowercased() == "success" else {
      throw ServiceError(.refused, service: service.name, code: CallError.unreadable, "\(operation): not taken")
    }
  }

  /// The text of the first template that is in force: `{"templates": [{"fileText": "...", "isActive": true}]}`; nil when none is.
  package func template(_ answer: JSONValue) throws(ServiceError) -> String? {
    if answer.isNull { return nil }
    guard let templates = answer["templates"]?.array else { throw unreadable("a template") }
    guard let template = templates.first(where: { $0["isActive"]?.bool != false }) else { return nil }
    guard let text = template["fileText"]?.string else { throw unreadable("a template") }
    return text
  }
}
