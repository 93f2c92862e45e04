import HTTP
import JSON
import Registration
import StageKit
import Synchronization

/// Id schemas of MOSIP's master data (docs/upstream/packet-and-crypto.md#52-what-validation-really-enforces). A schema that is published
/// under a version does not change, so each is fetched once in a while at most.
final class MosipIdSchemas: IdSchemaSource {
  static let kinds = ErrorKinds(unavailable: ["KER-SCH-004"], notFound: ["KER-SCH-007"])

  private let client: ServiceClient
  private let timing: Timing
  private let known = Mutex<[String: (schema: IdSchema, fetchedAt: Double)]>([:])
  private static let keepSeconds = 600.0

  init(_ client: ServiceClient, timing: Timing) {
    self.client = client
    self.timing = timing
  }

  func schema(version: String) async throws -> IdSchema? {
    let now = timing.now()
    let kept = known.withLock { $0[version] }
    if let kept, now < kept.fetchedAt + Self.keepSeconds { return kept.schema }
    let answer: JSONValue
    do {
      answer = try await client.call(
        "an id schema", "GET", "/v1/masterdata/idschema/latest", query: [(name: "schemaVersion", value: version)], .always
      ).response
    } catch let error as ServiceError where error.kind == .notFound {
      return nil
    } catch let error as ServiceError where error.isRetriable && error.code != CallError.unauthorised && kept != nil {
      // What was good a while ago is better than a standstill.
      return kept?.schema
    }
    guard let schema = try client.reader.idSchema(answer) else { return nil }
    known.withLock { known in
      if known.count >= 100 { known = [:] }
      known[version] = (schema, now)
    }
    return schema
  }
}

/// Master data's answers.
extension AnswerReader {
  /// An id schema; nil where there is none of the version.
  package func idSchema(_ answer: JSONValue) throws(ServiceError) -> IdSchema? {
    if answer.isNull { return nil }
    // The schema is a text within the JSON.
    guard let text = answer["schemaJson"]?.string else { throw unreadable("an id schema") }
    guard let schema = try? IdSchema(json: Array(text.utf8)) else {
      throw ServiceError(.refused, service: service.name, code: CallError.unreadable, "an id schema: it is none")
    }
    return schema
  }
}
