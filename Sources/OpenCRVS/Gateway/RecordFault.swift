import JSON

/// What OpenCRVS' GraphQL refuses, by its `errors` or by the status of the whole answer. Its texts are read and never passed on.
struct RecordFault: Sendable {
  private let status: Int
  private let codes: [String]
  private let messages: [String]

  /// Nil for an answer without an error.
  init?(_ answer: GatewayConnection.Answer) {
    let errors = answer.body?["errors"]?.array ?? []
    // A 401 that is no JSON is that of something in front of OpenCRVS: a person puts it right.
    guard !errors.isEmpty || (answer.status == 401 && answer.body != nil) else { return nil }
    status = answer.status
    codes = errors.compactMap { $0["extensions"]?["code"]?.string }
    messages = errors.compactMap { $0["message"]?.string }
  }

  /// What follows from it.
  var outcome: TellingOutcome {
    if status == 401 || codes.contains("UNAUTHENTICATED") || says("Authentication failed") {
      return .undeliverable("401: the token is over, or its user is gone")
    }
    if codes.contains("FORBIDDEN") || says("access to the record") || says("Registration scope") {
      return .undeliverable("403: the token is not for this record")
    }
    if codes.contains("GRAPHQL_VALIDATION_FAILED") || codes.contains("BAD_USER_INPUT") {
      return .undeliverable("400: OpenCRVS takes no such request")
    }
    return .later("refuses with \(status)")
  }

  private func says(_ text: String) -> Bool { messages.contains { $0.contains(text) } }
}
