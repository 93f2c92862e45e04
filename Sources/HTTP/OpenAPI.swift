import JSON

/// Describes endpoints by OpenAPI 3.1 (spec.openapis.org/oas/v3.1.1), from what they declare of themselves.
public enum OpenAPI {
  /// A listener with its endpoints.
  public struct Listener: Sendable {
    /// Where it is; `/` for "where this description came from".
    public var url: String
    /// What it is, in a few words.
    public var meaning: String
    /// What it serves.
    public var endpoints: [Endpoint]

    /// A listener.
    public init(url: String, _ meaning: String, _ endpoints: [Endpoint]) {
      self.url = url
      self.meaning = meaning
      self.endpoints = endpoints
    }
  }

  /// The path at which a listener tells its description.
  public static let path = "/openapi.json"

  /// The description of listeners.
  public static func document(title: String, version: String, details: String, _ listeners: [Listener]) -> JSONValue {
    var paths = JSONObject()
    var tags: [String] = []
    for listener in listeners {
      for endpoint in listener.endpoints where endpoint.method != "*" {
        var item = paths[endpoint.pathPattern]?.object ?? JSONObject()
        if listeners.count > 1, item["servers"] == nil {
          item["servers"] = [["url": .string(listener.url), "description": .string(listener.meaning)]]
        }
        item[endpoint.method.lowercased()] = operation(endpoint)
        paths[endpoint.pathPattern] = .object(item)
        if let tag = endpoint.description?.tag, !tags.contains(tag) { tags.append(tag) }
      }
    }
    var sorted = JSONObject()
    for path in paths.map(\.key).sorted() { sorted[path] = paths[path] }
    var out: JSONObject = [
      "openapi": "3.1.1",
      "info": [
        "title": .string(title), "version": .string(version), "description": .string(details),
        "license": ["name": "MPL-2.0", "identifier": "MPL-2.0"],
      ],
    ]
    if listeners.count == 1 {
      out["servers"] = [["url": .string(listeners[0].url), "description": .string(listeners[0].meaning)]]
    }
    out["tags"] = .array(tags.map { ["name": .string($0)] })
    out["paths"] = .object(sorted)
    out["components"] = [
      "schemas": schemas(listeners),
      "securitySchemes": [
        "bearer": ["type": "http", "scheme": "bearer", "description": "an access token, in `Authorization: Bearer`"],
        "cookie": [
          "type": "apiKey", "in": "cookie", "name": "Authorization", "description": "the same token as MOSIP's clients send it",
        ],
        "signature": [
          "type": "apiKey", "in": "header", "name": "X-Hub-Signature",
          "description": "`sha1=` or `sha256=` and the HMAC of the body, in hexadecimal, by a secret that both sides know",
        ],
      ],
    ]
    return .object(out)
  }

  /// What serves a listener's description, itself included.
  public static func endpoint(title: String, version: String, details: String, _ meaning: String, _ endpoints: [Endpoint])
    -> Endpoint
  {
    func serving(_ bytes: [UInt8]) -> Endpoint {
      Endpoint("GET", path, admission: .everybody(limits: "says what there is, nothing of what is in it")) { _ in .json(bytes) }
        .described(
          EndpointDescription(
            "this description", tag: "About", answers: [EndpointDescription.Answer(200, "OpenAPI 3.1", .json(["type": "object"]))]))
    }
    let described = document(
      title: title, version: version, details: details, [Listener(url: "/", meaning, endpoints + [serving([])])])
    return serving(described.encoded())
  }

  private static func operation(_ endpoint: Endpoint) -> JSONValue {
    let description = endpoint.description
    var out: JSONObject = [
      "operationId": .string(identifier(endpoint)),
      "summary": .string(description?.summary ?? endpoint.method + " " + endpoint.pathPattern),
    ]
    if let tag = description?.tag { out["tags"] = [.string(tag)] }
    out["description"] = .string(details(endpoint))
    let parameters =
      segments(endpoint)
      + (description?.parameters ?? []).map { parameter in
        [
          "name": .string(parameter.name), "in": .string(parameter.place.rawValue), "description": .string(parameter.meaning),
          "required": .bool(parameter.isRequired), "schema": parameter.schema,
        ]
      }
    if !parameters.isEmpty { out["parameters"] = .array(parameters) }
    if let body = description?.body {
      out["requestBody"] = ["required": .bool(description?.needsBody ?? true), "content": content(body)]
    }
    out["responses"] = answers(endpoint)
    out["security"] = .array((endpoint.admission?.schemes ?? []).map { .object([$0.rawValue: []]) })
    return .object(out)
  }

  /// The words of the endpoint, and who may call it.
  private static func details(_ endpoint: Endpoint) -> String {
    let admission = endpoint.admission.map { "For \($0.who)" + ($0.limits.isEmpty ? "." : "; \($0.limits).") }
    return [endpoint.description?.details ?? "", admission ?? ""].filter { !$0.isEmpty }.joined(separator: "\n\n")
  }

  private static func segments(_ endpoint: Endpoint) -> [JSONValue] {
    endpoint.pathPattern.split(separator: "/").compactMap { segment -> JSONValue? in
      guard segment.hasPrefix("{"), segment.hasSuffix("}") else { return nil }
      let name = String(segment.dropFirst().dropLast())
      return [
        "name": .string(name), "in": "path", "required": true, "description": .string(endpoint.description?.segments[name] ?? name),
        "schema": ["type": "string", "minLength": 1],
      ]
    }
  }

  private static func content(_ content: EndpointDescription.Content) -> JSONValue {
    let schema = content.name.map { ["$ref": .string("#/components/schemas/\($0)")] } ?? content.schema
    return .object([content.mediaType: ["schema": schema]])
  }

  /// The schemas that have names.
  private static func schemas(_ listeners: [Listener]) -> JSONValue {
    var named = ["ServerError": JSONShape.object(["error": JSONShape.text()], required: ["error"], "what the server itself says")]
    for description in listeners.flatMap(\.endpoints).compactMap(\.description) {
      for content in [description.body].compactMap({ $0 }) + description.answers.compactMap(\.content) {
        if let name = content.name { named[name] = content.schema }
      }
    }
    var out = JSONObject()
    for (name, schema) in named.sorted(by: { $0.key < $1.key }) { out[name] = schema }
    return .object(out)
  }

  private static func answers(_ endpoint: Endpoint) -> JSONValue {
    var out = JSONObject()
    let own = endpoint.description?.answers ?? [EndpointDescription.Answer(200, "it was done")]
    let server = Dictionary(uniqueKeysWithValues: serverAnswers(endpoint))
    for answer in own {
      var entry: JSONObject = ["description": .string(answer.meaning)]
      if let body = answer.content { entry["content"] = server[answer.status] == nil ? content(body) : either(body) }
      out[String(answer.status)] = .object(entry)
    }
    // What the server itself answers, or an admission.
    for (status, meaning) in server where out[String(status)] == nil { out[String(status)] = ["description": .string(meaning)] }
    var sorted = JSONObject()
    for status in out.map(\.key).sorted() { sorted[status] = out[status] }
    return .object(sorted)
  }

  /// A body of the endpoint, or the server's own where the request does not come so far.
  private static func either(_ body: EndpointDescription.Content) -> JSONValue {
    let server: JSONValue = ["$ref": "#/components/schemas/ServerError"]
    guard case .object(var media) = content(body) else { return .null }
    let own = media["application/json"]?["schema"]
    media["application/json"] = ["schema": own.map { ["anyOf": [$0, server]] } ?? server]
    return .object(media)
  }

  private static func serverAnswers(_ endpoint: Endpoint) -> [(Int, String)] {
    var out = [(400, "the request cannot be read"), (503, "not now: the process stops, or is busy; try again")]
    if endpoint.admission?.judge != nil { out += [(401, "who calls is not known"), (403, "who calls may not")] }
    if endpoint.description?.body != nil { out.append((413, "the body has more than \(endpoint.maxBody) bytes")) }
    if endpoint.multipart != nil {
      out += [(415, "the body is not multipart/form-data"), (507, "there is no room for the upload")]
    }
    out += [(414, "the path is too long"), (431, "the head is too large")]
    return out
  }

  /// E.g. `postRegproc_v1_replays`.
  private static func identifier(_ endpoint: Endpoint) -> String {
    endpoint.method.lowercased()
      + endpoint.pathPattern.split(separator: "/").map { part in
        "_" + part.filter { $0.isLetter || $0.isNumber }
      }.joined()
  }
}
