/// Who tells people by phone and mail how far their registration is: MOSIP's notifier (docs/upstream/stages.md#4-packet-validator).
///
/// What was sent cannot be called back, so an implementation never repeats a call that may have had its effect.
public protocol Notifier: Sendable {
  /// Sends a short message to a phone number, as the announcement has it.
  /// - Throws: `ServiceError` without number and text.
  func sendSMS(_ text: String, to number: String) async throws

  /// Sends a mail to an address.
  /// - Throws: `ServiceError` without address, subject and text.
  func sendEmail(_ text: String, subject: String, to address: String) async throws

  /// The text of a template, e.g. `RPR_RPV_SUC_SMS`, in a language of three letters; nil where nobody keeps such a template.
  func template(_ code: String, language: String) async throws -> String?
}

extension Notifier {
  /// None, for a notifier that keeps no templates.
  public func template(_ code: String, language: String) async throws -> String? { nil }
}

/// No notifier: whatever is to be sent is refused.
public struct NoNotifier: Notifier {
  /// No notifier.
  public init() {}
  public func sendSMS(_ text: String, to number: String) async throws { throw Self.refusal }
  public func sendEmail(_ text: String, subject: String, to address: String) async throws { throw Self.refusal }

  private static let refusal = ServiceError(.refused, service: "notifier", code: "RPR-NTF-001", "there is none")
}
