import JSON
import Registration

/// What a hub may know of the messages that it carries.
enum HubBody {
  /// The registration that a message is of: that whose end it tells (docs/upstream/opencrvs-and-websub.md#44-completed-registrations), or for
  /// which its credential was asked (docs/upstream/opencrvs-and-websub.md#42-credential_issued). Nil where it names none: nothing else of a
  /// message is fit for a log.
  static func rid(in body: [UInt8]) -> String? {
    guard let message = try? JSONValue.parse(body) else { return nil }
    let event = message["event"]
    let named = [
      message["instanceId"], event?["instanceId"], event?["data"]?["instanceId"], event?["data"]?["registrationId"],
    ]
    return named.lazy.compactMap { $0?.string }.first { (try? RID($0)) != nil }
  }
}
