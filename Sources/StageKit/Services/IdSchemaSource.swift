import Registration

/// Where id schemas come from.
public protocol IdSchemaSource: Sendable {
  /// The schema of a version such as `0.1`; nil when there is none.
  func schema(version: String) async throws -> IdSchema?
}
