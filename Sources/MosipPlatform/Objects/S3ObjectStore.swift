import Cryptography
import HTTP
import StageKit
import Synchronization
import System

/// The object store on S3, with MOSIP's names for buckets and keys (docs/upstream/packet-and-crypto.md#110-names-in-the-object-store).
/// libcurl signs the requests.
///
/// A put is there in full or not at all, and an object comes with its metadata in one request. Buckets that are missing are made by the first put.
public struct S3ObjectStore: ObjectStore {
  private let settings: S3Settings
  private let exchange: ServiceConnection
  private let base: String
  private static let service = S3Outcome.service
  /// What S3 keeps of metadata: names and values together.
  private static let metadataLimit = 2048
  /// What the signature says of the body.
  private static let hashField = "x-amz-content-sha256"
  /// Most bytes of an object that goes into a file: more than any packet has.
  private static let largest = 1 << 30

  /// A store.
  public init(_ settings: S3Settings, http: any HTTPExchange, timing: Timing = .system) {
    self.settings = settings
    var base = settings.url
    while base.hasSuffix("/") { base.removeLast() }
    self.base = base
    exchange = ServiceConnection(service: Self.service, http: http, calling: settings.calling, timing: timing)
  }

  // MARK: ObjectStore

  public func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws {
    try await put(bytes, metadata: [:], try place(account, container, key))
  }

  public func put(_ objects: [StoredObject], account: String, container: String) async throws {
    for object in objects {
      try await put(object.bytes, metadata: object.metadata, try place(account, container, object.key))
    }
  }

  public func get(account: String, container: String, key: String) async throws -> [UInt8]? {
    let place = try place(account, container, key)
    let answer = try await send("reading an object", "GET", place.path)
    switch try S3Outcome(answer, "reading an object") {
    case .done: return answer.body
    case .noKey, .noBucket: return nil
    }
  }

  public func put(
    _ source: any ByteSource, metadata: [String: String], account: String, container: String, key: String
  ) async throws {
    let place = try place(account, container, key)
    if source.isSmall { return try await put(source.bytes(), metadata: metadata, place) }
    var hash = HashStream()
    try source.forEachPiece { hash.update($0) }
    try await put(.source(source), hash: hash.finish(), metadata: metadata, place)
  }

  public func source(account: String, container: String, key: String) async throws -> (any ByteSource)? {
    let place = try place(account, container, key)
    let answer = try await send("reading an object", "GET", place.path, spools: true)
    switch try S3Outcome(answer, "reading an object") {
    case .done: return answer.content ?? MemorySource(answer.body)
    case .noKey, .noBucket: return nil
    }
  }

  public func exists(account: String, container: String, key: String) async throws -> Bool {
    try await head(try place(account, container, key)) != nil
  }

  public func keys(account: String, container: String, prefix: String) async throws -> [String] {
    let bucket = try bucket(account, container)
    let within = settings.accountIsBucket ? container + "/" : ""
    var found: [String] = []
    var token: String?
    repeat {
      // By name, as the signature wants them.
      var query: [(name: String, value: String)] = []
      if let token { query.append((name: "continuation-token", value: token)) }
      query += [
        (name: "encoding-type", value: "url"), (name: "list-type", value: "2"), (name: "prefix", value: within + prefix),
      ]
      let answer = try await send("listing objects", "GET", "/" + bucket, query: query)
      if case .done = try S3Outcome(answer, "listing objects") {
        guard let page = S3Listing(answer.body) else {
          throw CallError.unreadable(Self.service, "listing objects", "is no list of objects")
        }
        found += page.keys.compactMap { $0.hasPrefix(within) ? String($0.dropFirst(within.count)) : nil }
        // A server that does not get on would be asked for ever.
        if let next = page.next, next == token {
          throw CallError.unreadable(Self.service, "listing objects", "says to go on where it is")
        }
        token = page.next
      } else {
        token = nil
      }
    } while token != nil
    return found.sorted()
  }

  public func delete(account: String, container: String, key: String) async throws {
    let answer = try await send("removing an object", "DELETE", try place(account, container, key).path)
    _ = try S3Outcome(answer, "removing an object")
  }

  public func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws {
    // Metadata of an object cannot be changed: it is copied onto itself with others.
    let place = try place(account, container, key)
    var headers = try Self.fields(of: metadata)
    headers.set("x-amz-copy-source", place.path)
    headers.set("x-amz-metadata-directive", "REPLACE")
    headers.set("Content-Type", "application/octet-stream")
    let answer = try await send("setting metadata", "PUT", place.path, headers: headers, body: .bytes([]))
    if case .done = try S3Outcome(answer, "setting metadata") {
      // A copy can begin with 200 and end in an error; an answer of that size is none.
      if answer.body.count <= S3Error.limit, S3Error(answer.body) == nil { return }
      throw ServiceError(.unavailable, service: Self.service, code: "RPR-OBJ-001", "setting metadata: the copy failed")
    }
    throw ServiceError(.notFound, service: Self.service, code: "RPR-OBJ-006", "setting metadata: there is no such object")
  }

  public func metadata(account: String, container: String, key: String) async throws -> [String: String]? {
    guard let headers = try await head(try place(account, container, key)) else { return nil }
    return S3Metadata.read(headers)
  }

  /// Whether the service can be reached and takes our keys, in words for a person.
  public func reachability() async -> (isGood: Bool, words: String) {
    do {
      let answer = try await send("listing buckets", "GET", "/")
      _ = try S3Outcome(answer, "listing buckets")
      return (true, "answers and takes our keys")
    } catch {
      return (false, (error as? ServiceError)?.description ?? "does not answer")
    }
  }

  // MARK: names

  /// Where an object is: its bucket, and its path with it.
  private struct Place {
    var bucket: String
    var path: String
  }

  private func bucket(_ account: String, _ container: String) throws -> String {
    // The mediator's account PACKET_MANAGER_ACCOUNT could be no bucket's name otherwise.
    let name = (settings.bucketPrefix + (settings.accountIsBucket ? account : container)).lowercased().replacing("_", with: "-")
    let isName =
      (3...63).contains(name.utf8.count)
      && name.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 46 } && !name.contains("..")
    guard isName else { throw refused("RPR-OBJ-002", "a name that cannot be a bucket's") }
    return name
  }

  private func place(_ account: String, _ container: String, _ key: String) throws -> Place {
    let bucket = try bucket(account, container)
    let full = settings.accountIsBucket ? container + "/" + key : key
    let parts = full.split(separator: "/", omittingEmptySubsequences: false)
    // Servers differ in what they make of these; 1024 bytes is S3's limit.
    guard full.utf8.count <= 1024, parts.allSatisfy({ !$0.isEmpty && $0 != "." && $0 != ".." && !$0.utf8.contains(0) }) else {
      throw refused("RPR-OBJ-002", "a name that cannot be an object's")
    }
    return Place(bucket: bucket, path: "/\(bucket)/" + parts.map { URLText.encode(String($0)) }.joined(separator: "/"))
  }

  /// Header fields of metadata. Empty values are left out: they read as absent everywhere.
  private static func fields(of metadata: [String: String]) throws -> Headers {
    var headers = Headers()
    let sorted = metadata.filter { !$0.value.isEmpty }.sorted { $0.key < $1.key }
    var size = 0
    for (place, (name, value)) in sorted.enumerated() {
      let isName = name.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || $0 == 45 || $0 == 95 }
      let isValue =
        value.utf8.allSatisfy { (32...126).contains($0) } && value.first != " " && value.last != " " && !value.contains("  ")
      guard !name.isEmpty, isName, isValue else { throw refused("RPR-OBJ-004", "metadata that no header field can carry") }
      // libcurl 7.88 signs fields in a wrong order when one name is the beginning of another.
      if place > 0, name.hasPrefix(sorted[place - 1].key) {
        throw refused("RPR-OBJ-004", "metadata of which one name is the beginning of another")
      }
      size += name.utf8.count + value.utf8.count
      headers.set(S3Metadata.prefix + name, value)
    }
    guard size <= metadataLimit else { throw refused("RPR-OBJ-004", "more than \(metadataLimit) bytes of metadata") }
    return headers
  }

  private static func refused(_ code: String, _ what: String) -> ServiceError {
    ServiceError(.refused, service: service, code: code, what)
  }
  private func refused(_ code: String, _ what: String) -> ServiceError { Self.refused(code, what) }

  // MARK: requests

  private func put(_ bytes: [UInt8], metadata: [String: String], _ place: Place) async throws {
    try await put(.bytes(bytes), hash: nil, metadata: metadata, place)
  }

  /// - Parameter hash: of a source, which is read for it once.
  private func put(_ body: ClientRequest.Body, hash: [UInt8]?, metadata: [String: String], _ place: Place) async throws {
    var headers = try Self.fields(of: metadata)
    headers.set("Content-Type", "application/octet-stream")
    if let hash { headers.set(Self.hashField, Encoding.hex(hash)) }
    let answer = try await send("storing an object", "PUT", place.path, headers: headers, body: body)
    if case .done = try S3Outcome(answer, "storing an object") { return }
    try await make(bucket: place.bucket)
    let again = try await send("storing an object", "PUT", place.path, headers: headers, body: body)
    guard case .done = try S3Outcome(again, "storing an object") else {
      throw ServiceError(.unavailable, service: Self.service, code: "RPR-OBJ-001", "storing an object: the bucket is gone again")
    }
  }

  private func make(bucket: String) async throws {
    let answer = try await send("making a bucket", "PUT", "/" + bucket, body: .bytes([]))
    // Another one made it meanwhile.
    if answer.status == 409, let code = S3Error(answer.body)?.code, code.hasPrefix("BucketAlready") { return }
    _ = try S3Outcome(answer, "making a bucket")
  }

  private func head(_ place: Place) async throws -> Headers? {
    let answer = try await send("looking for an object", "HEAD", place.path)
    switch try S3Outcome(answer, "looking for an object") {
    case .done: return answer.headers
    case .noKey, .noBucket: return nil
    }
  }

  private func send(
    _ operation: String, _ method: String, _ path: String, query: [(name: String, value: String)] = [], headers: Headers = [:],
    body: ClientRequest.Body = .none, spools: Bool = false
  ) async throws -> ClientResponse {
    var request = ClientRequest(
      method: method, url: base + path + (query.isEmpty ? "" : "?" + URLText.query(query)), headers: headers, body: body,
      timeoutSeconds: settings.calling.timeoutSeconds,
      maxResponseBytes: spools ? Self.largest : settings.calling.maxAnswerBytes)
    request.signature = AWSSignature(region: settings.region, accessKey: settings.accessKey, secretKey: settings.secretKey)
    request.spoolsAnswer = spools
    if case .bytes(let bytes) = body { request.headers.set(Self.hashField, Encoding.hex(Hash.sha256(bytes))) }
    let ready = request
    // Every request of a store may be made twice.
    return try await exchange.send(operation, .always, troubleIsAnswer: true) { ready }
  }
}
