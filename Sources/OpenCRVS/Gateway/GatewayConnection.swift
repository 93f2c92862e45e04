import HTTP
import JSON
import Registration
import StageKit

/// Calls of OpenCRVS' gateway, and what it answers as JSON. Nothing of a body or a token gets into an error.
struct GatewayConnection: Sendable {
  /// Its base URL.
  let url: String
  let http: any HTTPExchange
  /// The trace that goes on there; nil for none.
  let trace: TraceId?

  static let service = "OpenCRVS"
  /// A record with a long history, or the forms of a country, may have megabytes.
  static let largest = 16 << 20

  /// An answer of whatever status.
  struct Answer: Sendable {
    let status: Int
    /// Nil for what is no JSON, such as a proxy's page.
    let body: JSONValue?

    var isSuccess: Bool { (200..<300).contains(status) }
    /// What to say of an answer of which nothing can be made.
    var unexpected: ServiceError {
      GatewayConnection.unavailable("answers \(status) with \(body == nil ? "what is no JSON" : "JSON of another shape")")
    }
  }

  /// Sends JSON.
  /// - Parameter once: whether it must not go out a second time by itself.
  /// - Throws: `ServiceError` without an answer.
  func post(_ body: JSONValue, _ path: String, token: String, once: Bool = false) async throws(ServiceError) -> Answer {
    var headers = self.headers(token)
    headers["Content-Type"] = "application/json"
    return try await send(
      ClientRequest(
        method: "POST", url: url.appending(path: path), headers: headers, body: .bytes(body.encoded()),
        maxResponseBytes: Self.largest, isSentOnce: once))
  }

  /// Asks for something.
  /// - Throws: `ServiceError` without an answer.
  func get(_ path: String, token: String) async throws(ServiceError) -> Answer {
    try await send(
      ClientRequest(
        url: url.appending(path: path), headers: headers(token), maxResponseBytes: Self.largest))
  }

  private func headers(_ token: String) -> Headers {
    var headers: Headers = ["Authorization": "Bearer \(token)"]
    headers["b3"] = TraceContext.header(continuing: trace)
    return headers
  }

  private func send(_ request: ClientRequest) async throws(ServiceError) -> Answer {
    do {
      let response = try await http.send(request)
      guard response.body.count <= Self.largest else { throw Self.unavailable("answers more than can be taken") }
      return Answer(status: response.status, body: try? JSONValue.parse(response.body))
    } catch let error as ServiceError {
      throw error
    } catch let error as HTTPError {
      throw Self.unavailable("no answer (\(error.reason))")
    } catch {
      throw Self.unavailable("no answer")
    }
  }

  static func unavailable(_ text: String) -> ServiceError {
    ServiceError(.unavailable, service: service, code: MediatorError.Code.serviceUnreachable.rawValue, text)
  }
}
