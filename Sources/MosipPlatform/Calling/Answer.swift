import HTTP
import JSON
import StageKit

/// MOSIP's envelope around every answer: `response` or `errors`, mostly with status 200 either way
/// (docs/upstream/stages.md#04-calls-shared-by-stages).
package struct Answer: Sendable {
  /// What was asked for; null when the service has nothing to say.
  package let response: JSONValue
  /// `metadata`, where a service has it.
  let metadata: JSONValue
  /// The error codes with their texts, in their order.
  let errors: [(code: String, text: String)]

  /// Nil when the body is no envelope.
  init?(_ body: [UInt8], limit: Int) {
    let limits = JSONLimits(maximumBytes: limit, duplicateKeys: .keepLast)
    guard let value = try? JSONValue.parse(body, limits: limits), let object = value.object else { return nil }
    guard object["response"] != nil || object["errors"] != nil || object["responsetime"] != nil else { return nil }
    response = object["response"] ?? .null
    metadata = object["metadata"] ?? .null
    switch object["errors"] ?? .null {
    case .null: errors = []
    case .array(let list):
      var errors: [(code: String, text: String)] = []
      for entry in list {
        guard let code = entry["errorCode"]?.string else { return nil }
        errors.append((code, entry["message"]?.string ?? entry["errorMessage"]?.string ?? ""))
      }
      self.errors = errors
    default: return nil
    }
  }

  /// What MOSIP's own filter says of a token that is missing, expired or not taken.
  var isUnauthorised: Bool { errors.first?.code == "KER-ATH-401" }

  /// The error as a stage gets it: the service's code, and of its text only what can be nothing personal.
  func error(_ service: String, _ operation: String, _ kinds: ErrorKinds) -> ServiceError? {
    guard let first = errors.first else { return nil }
    // A list may begin with a warning that is not the point: the one that tells most about what to do counts.
    let chosen = errors.first { kinds.kind($0.code) != .refused } ?? first
    let code = Self.isCode(chosen.code) ? chosen.code : CallError.unreadable
    if let said = Self.plainText(chosen.code, chosen.text) {
      return ServiceError(kinds.kind(code), service: service, code: code, said)
    }
    if Self.isAboutTime(chosen.code, chosen.text) {
      return ServiceError(.unavailable, service: service, code: code, "\(operation), about requesttime: the clocks differ")
    }
    let fields = errors.compactMap { Self.fieldPath($0.text) }
    var message = operation
    if errors.count > 1 { message += ", \(errors.count) errors" }
    if !fields.isEmpty { message += ", about \(Array(Set(fields)).sorted().prefix(10).joined(separator: ", "))" }
    return ServiceError(kinds.kind(chosen.code), service: service, code: code, message)
  }

  /// Codes are like `IDR-IDC-012`; anything else might be anything.
  private static func isCode(_ text: String) -> Bool {
    (1...40).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 95
      }
  }

  /// Texts of the identity repository that are MOSIP's own words from end to end, which say what a caller must know.
  private static func plainText(_ code: String, _ text: String) -> String? {
    let isKnown: Bool
    switch code {
    case "IDR-VID-004": isKnown = text == "DEACTIVATED UIN" || text == "BLOCKED UIN"
    case "IDR-VID-001":
      isKnown = text.hasPrefix("VID is ") && text.utf8.count < 30 && text.utf8.dropFirst(7).allSatisfy { (65...90).contains($0) }
    case "IDR-IDC-013":
      let start = "Update count limit for the attributes exceeded:- "
      isKnown =
        text.hasPrefix(start) && text.utf8.count < 300
        && text.dropFirst(start.count).allSatisfy { $0.isASCII && ($0.isLetter || $0 == "," || $0 == " ") }
    default: isKnown = false
    }
    return isKnown ? text : nil
  }

  /// The identity repository refuses a request whose time is not its own: the next one, with another time, may be taken.
  private static func isAboutTime(_ code: String, _ text: String) -> Bool {
    code == "IDR-IDC-002" && text.lowercased().split { !$0.isLetter }.contains("requesttime")
  }

  /// The path of a field that a text is about, e.g. `identity/phone`: a name of the schema, never a value.
  private static func fieldPath(_ text: String) -> String? {
    for word in text.split(whereSeparator: { !($0.isASCII && ($0.isLetter || $0.isNumber)) && !"/_-.".contains($0) }) {
      let parts = word.split(separator: "/", omittingEmptySubsequences: false)
      guard parts.count >= 2, parts.count <= 6, ["identity", "documents", "request"].contains(parts[0]) else { continue }
      // Two digits are a place in a list; more could be anybody's number.
      let isPath = parts.dropFirst().allSatisfy { part in
        !part.isEmpty && part.count <= 40 && (part.allSatisfy(\.isLetter) || part.count <= 2 && part.allSatisfy(\.isNumber))
      }
      if isPath { return String(word) }
    }
    return nil
  }
}

/// What the codes of a service mean for a caller; what is not named is refused.
struct ErrorKinds: Sendable {
  private let kinds: [String: ServiceError.Kind]
  private let others: ServiceError.Kind

  init(
    unavailable: [String] = [], notFound: [String] = [], conflict: [String] = [], refused: [String] = [],
    others: ServiceError.Kind = .refused
  ) {
    var kinds: [String: ServiceError.Kind] = [:]
    for code in unavailable { kinds[code] = .unavailable }
    for code in notFound { kinds[code] = .notFound }
    for code in conflict { kinds[code] = .conflict }
    for code in refused { kinds[code] = .refused }
    self.kinds = kinds
    self.others = others
  }

  func kind(_ code: String) -> ServiceError.Kind { kinds[code] ?? others }
}
