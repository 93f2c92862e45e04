import HTTP
import JSON
import Operations
import Postgres
import StageKit
import StageRuntime
import System

/// Operations over HTTP, on the admin listener: `GET` for whoever may read, the rest for whoever may operate. What an endpoint answers is what
/// the command of the same words prints with `--json`; a refusal is `{"error": code, "message": words}`.
public struct OperationsAPI: Sendable {
  let access: OperatorAccess
  let log = Log("operations")

  /// Why this process makes no jobs that read the topics; nil when it does.
  let withoutTopics: OperationError?

  private init(_ access: OperatorAccess, withoutTopics: OperationError?) {
    (self.access, self.withoutTopics) = (access, withoutTopics)
  }

  /// The endpoints, for `Engine`, of a process whose broker is its own.
  public static func endpoints(_ access: OperatorAccess) -> [Endpoint] { endpoints(access, withoutTopics: LogTopics.missing) }

  /// The endpoints, for `Engine`.
  /// - Parameter withoutTopics: why jobs that read the topics are refused; nil when they are made.
  public static func endpoints(_ access: OperatorAccess, withoutTopics: OperationError?) -> [Endpoint] {
    // Each file of this target adds its own.
    let api = OperationsAPI(access, withoutTopics: withoutTopics)
    return api.audit + api.registrations + api.deadLetters + api.work + api.waiting + api.pauses + api.replays + api.logJobs
      + api.outcomes
  }

  /// Something to look at.
  /// - Parameters:
  ///   - summary: what it tells, in one line.
  ///   - query: what is taken from the query, by name with its meaning.
  ///   - shape: a JSON Schema of the answer.
  func read(
    _ path: String, _ summary: String = "", query: KeyValuePairs<String, String> = [:], shape: JSONValue = JSONShape.anything,
    _ answer: @escaping @Sendable (Request, Connection) throws -> JSONValue
  ) -> Endpoint {
    Endpoint("GET", path, admission: access.read) { request in
      await reply(request) { connection in try answer(request, connection) }
    }.described(Self.description(summary, query: query, body: nil, shape: shape))
  }

  /// Something to look at that does not fit into a query: `POST`, for whoever may read, and nothing is changed.
  func ask(
    _ path: String, _ summary: String, body: KeyValuePairs<String, JSONValue>, shape: JSONValue, maxBody: Int = 1 << 20,
    _ answer: @escaping @Sendable (JSONValue, Connection) throws -> JSONValue
  ) -> Endpoint {
    Endpoint("POST", path, maxBody: maxBody, admission: access.read) { request in
      guard Self.isJSON(request) else { return Self.refuse(415, "not-json", "send the body as Content-Type: application/json") }
      return await reply(request) { connection in try answer(try Self.body(request), connection) }
    }.described(Self.description(summary, query: [:], body: body, shape: shape))
  }

  /// Something to do. `author` and `reason` stand in the JSON body; with a token the author is its subject.
  /// - Parameters:
  ///   - summary: what it does, in one line.
  ///   - body: members of the body beside these two.
  ///   - shape: a JSON Schema of the answer.
  ///   - admission: who may; nil for whoever may operate.
  func change(
    _ method: String, _ path: String, _ summary: String = "", body: KeyValuePairs<String, JSONValue> = [:],
    shape: JSONValue = JSONShape.anything, maxBody: Int = 1 << 20, admission: Admission? = nil,
    _ answer: @escaping @Sendable (Request, JSONValue, Operator, Connection) throws -> JSONValue
  ) -> Endpoint {
    Endpoint(method, path, maxBody: maxBody, admission: admission ?? access.operate) { request in
      // A page in the browser of somebody on this machine can send other types here without being asked first.
      guard Self.isJSON(request) else {
        return Self.refuse(415, "not-json", "send the body as Content-Type: application/json")
      }
      return await reply(request) { connection in
        let body = try Self.body(request)
        let out = try answer(request, body, try Self.author(request, body), connection)
        access.wakeUp()
        return out
      }
    }.described(Self.description(summary, query: [:], body: body, shape: shape))
  }

  private static func description(
    _ summary: String, query: KeyValuePairs<String, String>, body: KeyValuePairs<String, JSONValue>?, shape: JSONValue
  ) -> EndpointDescription {
    let refused = EndpointDescription.Content.json(
      JSONShape.object(["error": JSONShape.text("a code"), "message": JSONShape.text()], required: ["error", "message"]),
      named: "Refusal")
    var answers: [EndpointDescription.Answer] = [
      .init(200, "what the command of the same words prints with --json", .json(shape)),
      .init(400, "what was given cannot be used", refused), .init(403, "the caller, or this process' database role, may not"),
      .init(404, "what was named is not there", refused), .init(409, "it is not in a state in which this can be done", refused),
      .init(503, "not now; nothing was changed", refused),
    ]
    guard let body else {
      return EndpointDescription(
        summary, tag: "Operations", parameters: query.map { .init($0.key, $0.value) }, answers: answers)
    }
    answers.append(.init(415, "the body is not application/json", refused))
    var members: JSONObject = [
      "author": JSONShape.text("who does this; with a token it is the token's subject"), "reason": JSONShape.text("why"),
    ]
    for (name, shape) in body { members[name] = shape }
    return EndpointDescription(
      summary, tag: "Operations", body: .json(["type": "object", "properties": .object(members)]), needsBody: false,
      answers: answers)
  }

  private func reply(_ request: Request, _ answer: @escaping @Sendable (Connection) throws -> JSONValue) async -> Response {
    do {
      let found = try await access.pool.with { connection in try answer(connection) }
      return .json(found.encoded())
    } catch let refusal as OperationError {
      return Self.refuse(Self.status(refusal.kind), refusal.code, refusal.message)
    } catch let refusal as LifecycleError {
      return Self.refuse(refusal.code.hasPrefix("unknown") ? 404 : 409, refusal.code, refusal.message)
    } catch let error as PostgresError where error.sqlState == "42501" {
      return Self.refuse(
        403, "no-right",
        "the database role of this process may not do this; ask where the role for operators is in use (docs/rights.md)")
    } catch {
      log.warning("an operation failed", ["endpoint": "\(request.method) \(request.path)", "error": "\(error)"])
      return Self.refuse(503, "not-now", "the database is out of reach or did not take it; nothing was changed")
    }
  }

  private static func status(_ kind: OperationError.Kind) -> Int {
    switch kind {
    case .badInput: 400
    case .notAllowed: 403
    case .notFound: 404
    case .conflict: 409
    }
  }

  private static func refuse(_ status: Int, _ code: String, _ message: String) -> Response {
    .json(JSONValue.object(["error": .string(code), "message": .string(message)]).encoded(), status: status)
  }

  private static func isJSON(_ request: Request) -> Bool {
    let type = request.headers["Content-Type"] ?? ""
    return type.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased() == "application/json"
  }

  private static func body(_ request: Request) throws -> JSONValue {
    if request.body.isEmpty { return [:] }
    guard let body = try? JSONValue.parse(request.body), case .object = body else {
      throw OperationError(.badInput, "bad-body", "the body must be a JSON object")
    }
    return body
  }

  private static func author(_ request: Request, _ body: JSONValue) throws -> Operator {
    let reason = body["reason"]?.string
    // A token says who it is; on this machine the caller does.
    let name = (request.caller as? Caller)?.name ?? body["author"]?.string ?? ""
    guard name.contains(where: { !$0.isWhitespace }) else {
      throw OperationError(.badInput, "no-author", "say who does this: \"author\" in the body")
    }
    return Operator(name, reason: reason)
  }

  /// A text of the query; nil when it is absent or empty.
  static func query(_ request: Request, _ name: String) -> String? {
    request.query(name).flatMap { $0.isEmpty ? nil : $0 }
  }

  /// How many rows are asked for.
  static func limit(_ request: Request) throws(OperationError) -> Int {
    guard let text = query(request, "limit") else { return 50 }
    guard let number = Int(text), (1...100_000).contains(number) else {
      throw OperationError(.badInput, "bad-limit", "limit must be a whole number from 1 to 100000")
    }
    return number
  }

  /// The filters of a list of registrations, for its description.
  static let filters: KeyValuePairs = [
    "status": "MOSIP's registration status, or waiting, sent, held", "stage": "where it stands", "code": "of its last verdict",
    "kind": "birth, death, birth-correction ...", "process": "its flow",
    "since": "moved since then: a moment, a day, or a span such as 2h",
    "waiting-longer-than": "a span such as 30m", "limit": "how many rows (default: 50)", "after": "the `next` of the page before",
  ]

  /// Counts, then rows.
  static let counted = JSONShape.object(
    ["counts": JSONShape.anything, "rows": JSONShape.list(JSONShape.object([:]))], required: ["rows"])
  static let rows = JSONShape.list(JSONShape.object([:]))
  static let object = JSONShape.object([:])

  // MARK: who did what

  private var audit: [Endpoint] {
    [
      read("/regproc/v1/operations/{subject}", "tells who did what to a registration, a letter, a piece of work and so on, and why")
      { request, connection in
        .array(try AuditTrail.entries(of: request.parameters["subject"] ?? "", on: connection).map(\.json))
      }
    ]
  }
}
