import HTTP
import JSON
import Registration
import System

/// An OpenCRVS webhook on the wire.
public enum Webhook {
  /// Posts a body with `X-Hub-Signature`, as OpenCRVS does; a server that cannot answer now is asked again a few times.
  /// - Returns: the error codes of the answer's envelope.
  /// - Throws: `WebhookError`; `HTTPError` when nobody answers.
  public static func post(_ body: [UInt8], to url: String, secret: [UInt8], _ client: Client) async throws -> [String] {
    let request = ClientRequest(
      method: "POST", url: url,
      headers: [
        "Content-Type": "application/json", "X-Hub-Signature": HubSignature.openCRVS(body: body, secret: secret),
      ],
      body: .bytes(body))
    let backoff = Backoff(first: 0.2, longest: 4)
    var tries = 0
    while true {
      let answer = try await client.send(request)
      let errors = (try? JSONValue.parse(answer.body))?["errors"]?.array ?? []
      let codes = errors.compactMap { $0["errorCode"]?.string }
      if answer.status >= 500, tries < 5 {
        tries += 1
        try await Task.sleep(for: .seconds(backoff.pause(after: tries)))
        continue
      }
      guard (200..<300).contains(answer.status) else {
        let words = errors.compactMap { $0["message"]?.string ?? $0["errorMessage"]?.string }
        throw WebhookError(url: url, status: answer.status, reasons: codes + words)
      }
      return codes
    }
  }
}

/// The mediator did not take a webhook.
public struct WebhookError: Error, Sendable, CustomStringConvertible {
  /// Where it was sent.
  public var url: String
  /// The HTTP status of the answer.
  public var status: Int
  /// The error codes of the answer, then its sentences.
  public var reasons: [String]

  /// One line that names all of it.
  public var description: String {
    "\(url) answers \(status)" + (reasons.isEmpty ? "" : ": " + reasons.joined(separator: " "))
  }
}
