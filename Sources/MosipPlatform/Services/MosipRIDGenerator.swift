import HTTP
import JSON
import Registration
import StageKit

/// MOSIP's RID generator over REST (docs/upstream/packet-and-crypto.md#42-rid). Its sequence is read and written without a lock, so two
/// requests of one second may get one RID; nothing here can undo that.
struct MosipRIDGenerator: RIDGenerator {
  static let kinds = ErrorKinds(unavailable: ["KER-RIG-500"])
  private let client: ServiceClient

  init(_ client: ServiceClient) { self.client = client }

  func next(centerId: String, machineId: String) async throws -> RID {
    // A number whose answer is lost is a number that nobody has: asking again does no harm.
    let answer = try await client.call(
      "a RID", "GET", "/v1/ridgenerator/generate/rid/\(URLText.encode(centerId))/\(URLText.encode(machineId))", .always
    ).response
    return try client.reader.rid(answer, centerId: centerId, machineId: machineId)
  }
}

/// The RID generator's answers.
extension AnswerReader {
  /// A new RID, which must be of the machine it was asked for.
  package func rid(_ answer: JSONValue, centerId: String, machineId: String) throws(ServiceError) -> RID {
    guard let text = answer["rid"]?.string else { throw unreadable("a RID") }
    do {
      return try RID(text, center: centerId, machine: machineId)
    } catch {
      throw ServiceError(.unavailable, service: service.name, code: error.code, "what it gave is no RID of this machine")
    }
  }
}
