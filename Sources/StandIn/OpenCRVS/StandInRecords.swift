import HTTP
import JSON
import Synchronization
import System

/// A stand-in for OpenCRVS 1.7 and 1.8, for the demo and for tests: it holds records, asks a taker for registration numbers by
/// `/event-registration`, sends notices of corrections, and is confirmed by GraphQL, with the habits and the faults of OpenCRVS' own programs
/// (docs/upstream/scenarios.md#32-g2-17-and-18). It is no part of a deployment. Nothing in it waits: callers look at `state(of:)`.
public final class StandInRecords: Sendable {
  /// Which OpenCRVS it is.
  public enum Release: Sendable { case v1_7, v1_8 }

  /// How a registrar corrects.
  public enum Correction: Sendable {
    /// At once: one notice, `make-correction`.
    case made
    /// Asked for and approved: the notices `request-correction`, with the old values, and `approve-correction`.
    case approved
  }

  /// What cannot be done with a record in this state.
  public struct Refusal: Error, Sendable { init() {} }

  struct Kept {
    var record: SampleRecord
    var status: SampleRecord.Status
    var standing = RecordState.Standing.waiting
    var error: String?
    var fields = JSONObject()
  }
  struct State {
    var server: Server?
    var records: [String: Kept] = [:]
    var checksSchema = true
    var noticeAnswers: [Int] = []
  }

  let state = Mutex(State())
  let doors = StandInDoors()
  let tokens: StandInTokens
  let release: Release
  private let client: Client
  /// The registrar's request names OpenCRVS' own service, and its headers are passed on as they came.
  static let host = "workflow.opencrvs.internal:5050"
  static let registrar = "6650000000000000000000a1"

  /// One whose endpoints are closed.
  /// - Parameters:
  ///   - clients: secrets of system clients by their ids.
  ///   - calling: what its calls trust and show.
  /// - Throws: `CryptographyError` when no key can be made.
  public init(
    release: Release = .v1_8, clients: [String: String] = ["stand-in": "stand-in"], calling: ClientSettings = ClientSettings()
  ) throws {
    self.release = release
    tokens = try StandInTokens(clients: clients)
    var calling = calling
    calling.timeoutSeconds = 60
    client = Client(calling)
  }

  /// Opens its endpoints: the gateway's and those of the authentication service, under one base URL.
  /// - Throws: `HTTPError` when the address cannot be had.
  public func start(host: String = "127.0.0.1", port: Int = 0) throws -> String {
    let gateway = Endpoint("POST", "/graphql", maxBody: 4 << 20) { [self] in graphQL($0) }
    let server = try Server(
      ServerSettings(host: host, port: port), endpoints: tokens.endpoints(doors.guarded) + [doors.guarded(gateway)])
    let opened = try server.start()
    state.withLock { $0.server = server }
    return "http://\(host.contains(":") ? "[\(host)]" : host):\(opened)"
  }

  /// Closes its endpoints.
  public func stop() async {
    client.close()
    await state.withLock { $0.server }?.stop(graceSeconds: 1)
  }

  // MARK: what a test says and asks

  /// The base URL of whoever is asked for numbers and gets notices: the country configuration's place.
  public var taker: String {
    get { doors.taker }
    set { doors.taker = newValue }
  }
  /// Seconds that a token of a record lives: seven days.
  public var tokenLife: Int {
    get { tokens.life }
    set { tokens.life = newValue }
  }
  /// Whether nobody is behind the proxy: everything is answered with 502.
  public var isDown: Bool {
    get { doors.isDown }
    set { doors.isDown = newValue }
  }
  /// Whether the gateway's schema stands before the service that confirms; without it a missing number becomes the text `undefined`.
  public var checksSchema: Bool {
    get { state.withLock { $0.checksSchema } }
    set { state.withLock { $0.checksSchema = newValue } }
  }
  /// How often what was called: a door of the taker (`event-registration`, `make-correction`), or a field of GraphQL.
  public var calls: [String: Int] { doors.calls }
  /// The statuses that notices were answered with; OpenCRVS does nothing with them. 0 is none.
  public var noticeAnswers: [Int] { state.withLock { $0.noticeAnswers } }
  /// Every token so far is over.
  public func endTokens() { tokens.end() }
  /// The next answer of a field of GraphQL is lost after its work.
  public func loseNextAnswer(of field: String) { doors.loseNext(field) }
  /// A token of the registrar's own, which is for no record.
  public func registrarToken() throws -> String {
    try tokens.sign(scope: ["record.register", "record.registration-correct"], subject: Self.registrar, [:])
  }

  /// What is known of a record; nil when there is none.
  public func state(of id: String) -> RecordState? {
    state.withLock { $0.records[id] }.map { kept in
      RecordState(
        standing: kept.standing, number: kept.status.number, identifiers: kept.record.subject.identifiers,
        declaration: kept.fields, comment: kept.status.comment, error: kept.error, takerAnswer: doors.answer(about: id))
    }
  }

  /// The bundle of a record as it is now.
  public func bundle(of id: String) -> JSONValue? { state.withLock { $0.records[id] }.map { $0.record.bundle($0.status) } }

  /// The webhook that follows a registration, for a subscriber of the topic; nil for a record that is not registered.
  public func webhook(of id: String) -> [UInt8]? {
    guard let kept = state.withLock({ $0.records[id] }), kept.standing == .registered else { return nil }
    let topic = "\(kept.record.kind.upper)_REGISTERED"
    let body: JSONValue = [
      "timestamp": .string(kept.status.lastModified.iso), "id": .string(SecureRandom.uuid()),
      "event": ["hub": ["topic": .string(topic)], "context": [kept.record.bundle(kept.status)]],
    ]
    return body.encoded()
  }

  // MARK: what a registrar does

  /// Registers a record: it waits while the taker answers 2xx, and is rejected at once by anything else.
  /// - Returns: its id.
  @discardableResult public func register(_ record: SampleRecord) async throws -> String {
    let status = SampleRecord.Status(word: "WAITING_VALIDATION", lastModified: .now)
    state.withLock { $0.records[record.id] = Kept(record: record, status: status) }
    try await ask(record.id)
    return record.id
  }

  /// Registers a rejected record again, under its id.
  /// - Throws: `Refusal` when it is not rejected.
  public func registerAgain(_ id: String) async throws {
    try state.withLock { state in
      guard var kept = state.records[id], kept.standing == .rejected else { throw Refusal() }
      (kept.standing, kept.error) = (.waiting, nil)
      (kept.status.word, kept.status.lastModified) = ("WAITING_VALIDATION", .now)
      state.records[id] = kept
    }
    try await ask(id)
  }

  private func ask(_ id: String) async throws {
    guard let body = bundle(of: id) else { throw Refusal() }
    doors.count("event-registration")
    let status = try await post("/event-registration", body, of: id, type: "application/json")
    guard !(200..<300).contains(status) else { return }
    state.withLock { state in
      guard state.records[id]?.standing == .waiting else { return }
      state.records[id]?.standing = .rejected
      state.records[id]?.status.word = "REJECTED"
      state.records[id]?.error = "Registration number generation failed"
    }
  }

  /// Corrects a registered record. Its new values are saved before the notice goes, whatever is answered.
  /// - Throws: `Refusal` when it is not registered.
  public func correct(_ id: String, _ changes: SampleRecord.Changes, _ how: Correction = .made) async throws {
    guard var kept = state.withLock({ $0.records[id] }), kept.standing == .registered else { throw Refusal() }
    if how == .approved {
      kept.status.word = "CORRECTION_REQUESTED"
      kept.status.lastModified = .now
      try await notify("request-correction", kept)
    }
    // The persons are new, the Task is the one of before.
    kept.record = kept.record.changed(changes)
    let notice = kept
    (kept.status.word, kept.status.lastModified) = ("REGISTERED", .now)
    state.withLock { $0.records[id] = kept }
    try await notify(how == .approved ? "approve-correction" : "make-correction", notice)
  }

  private func notify(_ action: String, _ kept: Kept) async throws {
    guard release == .v1_8 else { return }
    doors.count(action)
    let path = "/events/\(kept.record.kind.upper)/actions/\(action)"
    let status = try await post(
      path, kept.record.bundle(kept.status), of: kept.record.id, type: "application/fhir+json")
    state.withLock { $0.noticeAnswers.append(status) }
  }

  /// Sends a body with a token for its record.
  /// - Returns: the status; 0 when nobody answers.
  private func post(_ path: String, _ body: JSONValue, of id: String, type: String) async throws -> Int {
    let scope = ["record.confirm-registration", "record.reject-registration"]
    let token = try tokens.sign(scope: scope, subject: Self.registrar, ["recordId": .string(id)])
    let headers: Headers = ["Content-Type": type, "Host": Self.host, "Authorization": "Bearer \(token)", "Accept": "*/*"]
    let request = ClientRequest(
      method: "POST", url: doors.taker + path, headers: headers, body: .bytes(body.encoded()), isSentOnce: true)
    do {
      let answer = try await client.send(request)
      doors.keep(answer.body, about: id)
      return answer.status
    } catch is HTTPError {
      return 0
    }
  }
}
