import StageKit

/// What callers may do at the hub by their roles, as MOSIP's hub has it: a topic `P/T` belongs to the client `P`.
struct HubRights: Sendable {
  /// One thing that is done with a topic.
  enum Action: String, Sendable {
    case publish = "PUBLISH"
    case subscribe = "SUBSCRIBE"
  }

  /// A right that a caller lacks.
  struct Lacking: Error {
    /// The role, or the client that the topic belongs to.
    var reason: String
    var message: String
  }

  /// The role that a topic asks for.
  static func role(for action: Action, topic: String) -> String {
    guard let slash = topic.firstIndex(of: "/") else { return "\(action.rawValue)_\(topic)_GENERAL" }
    let name = topic[topic.index(after: slash)...]
    return action == .publish ? "PUBLISH_\(name)_ALL_INDIVIDUAL" : "SUBSCRIBE_\(name)_INDIVIDUAL"
  }

  /// - Throws: what the caller lacks.
  static func check(_ caller: Caller, may action: Action, topic: String) throws(Lacking) {
    let role = role(for: action, topic: topic)
    guard caller.roles.contains(role) else { throw Lacking(reason: "role", message: "the caller lacks the role \(role)") }
    if action == .subscribe, let slash = topic.firstIndex(of: "/"), caller.client != topic[..<slash] {
      throw Lacking(reason: "client", message: "the topic belongs to another client")
    }
  }
}
