import HTTP
import JSON
import StageKit

/// Requests of the mediators to other systems, with one reading of the answers: done, later, or never.
package struct MediatorClient: Sendable {
  let http: any HTTPExchange

  /// One that goes by the services of a stage.
  package init(http: any HTTPExchange) { self.http = http }

  /// Sends JSON and reads the answer's status; `final` names statuses that another try will not change, beside the 4xx
  /// below.
  /// - Throws: `ServiceError` that may work later for no answer, 5xx, 408, 425, 429 and for 401, 403, 404, 405: those
  ///   are settled by a person's hand, not by giving the message up. `RefusedError` for the other 4xx: the same request will
  ///   be refused again.
  package func post(
    _ body: [UInt8], to url: String, headers: Headers, service: String, largest: Int = 1 << 20
  ) async throws -> ClientResponse {
    var headers = headers
    headers["Content-Type"] = "application/json"
    return try await send(
      ClientRequest(method: "POST", url: url, headers: headers, body: .bytes(body), maxResponseBytes: largest), service)
  }

  /// Asks for something and reads the status of the answer.
  /// - Throws: as `post`.
  package func get(
    _ url: String, headers: Headers = [:], service: String, final: Set<Int> = [], largest: Int = 1 << 20
  ) async throws -> ClientResponse {
    try await send(
      ClientRequest(method: "GET", url: url, headers: headers, maxResponseBytes: largest), service, final: final)
  }

  /// Sends a request and reads the status of the answer.
  /// - Throws: as `post`.
  package func send(_ request: ClientRequest, _ service: String, final: Set<Int> = []) async throws -> ClientResponse {
    let response: ClientResponse
    do {
      response = try await http.send(request)
    } catch let error as HTTPError {
      throw ServiceError(.unavailable, service: service, code: "OPN-CRVS-004", "no answer (\(error.reason))")
    }
    switch response.status {
    case 200..<300: return response
    case let status where final.contains(status): throw RefusedError(service: service, status: status, body: response.body)
    case 300..<400, 500..., 401, 403, 404, 405, 408, 425, 429:
      throw ServiceError(.unavailable, service: service, code: "OPN-CRVS-004", "answers \(response.status)")
    default: throw RefusedError(service: service, status: response.status, body: response.body)
    }
  }

  /// A 4xx that another try will not change.
  package struct RefusedError: Error, Sendable, CustomStringConvertible {
    let service: String
    /// The HTTP status.
    package let status: Int
    /// The first error of the answer, when it has MOSIP's shape. Only the code is taken: the text may hold what a log
    /// must not.
    package let code: String?
    /// The key of the other record that a conflict is with.
    let otherRecord: String?

    init(service: String, status: Int, body: [UInt8]) {
      self.service = service
      self.status = status
      let error = (try? JSONValue.parse(body))?["errors"]?[0]
      let code = error?["errorCode"]?.string
      self.code = code.flatMap { $0.utf8.count <= 32 && $0.utf8.allSatisfy { $0 > 32 && $0 < 127 } ? $0 : nil }
      otherRecord = error?["otherRecord"]?.string.flatMap { OpenCRVSRecordKey.of($0) == $0 ? $0 : nil }
    }

    /// The refusal as an end or as something to wait for. Only codes that speak of the event itself end it; a mediator
    /// that refuses a signature, a key, a token or a role, or names no reason, is set up wrongly on one side or is not
    /// the one that was meant: a person puts that right, and the person who was registered must not be lost over it.
    package func ending(_ what: String) -> any Error {
      if let code, Self.final.contains(code) {
        return WorkFailure(code: code, "\(what): \(self)" + (otherRecord.map { ", because of record \($0)" } ?? ""))
      }
      return ServiceError(
        .unavailable, service: service, code: code ?? MediatorError.Code.serviceUnreachable.rawValue,
        "refuses with \(status)")
    }
    private static let final = Set(
      [MediatorError.Code.unreadable, .notUTF8, .identity, .conflict, .notYet, .ridUnreadable].map(\.rawValue))

    /// Service, status and code.
    package var description: String { "\(service) refuses with \(status)\(code.map { " \($0)" } ?? "")" }
  }
}

extension String {
  /// The URL of a path under a base that may end in a slash.
  package func appending(path: String) -> String {
    var base = self[...]
    while base.last == "/" { base.removeLast() }
    return base + path
  }
}
