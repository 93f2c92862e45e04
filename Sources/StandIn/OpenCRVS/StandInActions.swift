import HTTP
import JSON
import Synchronization
import System

/// A stand-in for OpenCRVS 1.9 and 2.x, for the demo and for tests: it holds records, triggers a taker for each action, and takes its accepts
/// and rejects, with the habits and the faults of OpenCRVS' own programs (docs/upstream/scenarios.md#33-g3-19-and-2x,
/// #34-answers-to-accept-and-reject, #35-what-destroys-or-blocks-a-record). It is no part of a deployment. Nothing in it waits: callers look
/// at `state(of:)`.
public final class StandInActions: Sendable {
  /// Which OpenCRVS it is.
  public enum Release: Sendable {
    /// 1.9.0 to 1.9.10.
    case v1_9
    /// 1.9.11 to 1.9.15, which refuse corrections of a record whose hidden field has a value.
    case v1_9_15
    /// 2.0.
    case v2_0

    var isSecond: Bool { self == .v2_0 }
  }

  /// What the registrar's program is told when it cannot do something.
  public struct Refusal: Error, Sendable, Equatable {
    /// The HTTP status.
    public var status: Int
    /// OpenCRVS' own words.
    public var message: String

    /// What it is told.
    public init(status: Int, message: String) {
      self.status = status
      self.message = message
    }
  }

  struct State {
    var server: Server?
    var records: [String: ActionRecord] = [:]
    var fields: [SampleRecord.Kind: [String]] = [.birth: SampleRecord.fields(.birth), .death: SampleRecord.fields(.death)]

    var known: Set<String> { Set(fields.values.joined()) }
  }

  let state = Mutex(State())
  let doors = StandInDoors()
  let tokens: StandInTokens
  /// Which OpenCRVS it is.
  public let release: Release
  private let client: Client

  static func registrar(_ release: Release) -> String {
    release.isSecond ? "66500000-0000-4000-8000-0000000000a1" : "6650000000000000000000a1"
  }

  /// One whose endpoints are closed.
  /// - Parameters:
  ///   - clients: secrets of system clients by their ids.
  ///   - calling: what its calls trust and show.
  /// - Throws: `CryptographyError` when no key can be made.
  public init(
    release: Release, clients: [String: String] = ["stand-in": "stand-in"], calling: ClientSettings = ClientSettings()
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
    let server = try Server(
      ServerSettings(host: host, port: port), endpoints: tokens.endpoints(doors.guarded) + gatewayEndpoints.map(doors.guarded))
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

  /// The base URL of whoever is triggered: the country configuration's place.
  public var taker: String {
    get { doors.taker }
    set { doors.taker = newValue }
  }
  /// Seconds that a token of an action lives: seven days.
  public var tokenLife: Int {
    get { tokens.life }
    set { tokens.life = newValue }
  }
  /// Whether nobody is behind the proxy: everything is answered with 502.
  public var isDown: Bool {
    get { doors.isDown }
    set { doors.isDown = newValue }
  }
  /// How often what was called: triggers by their action (`REGISTER`), procedures by their name (`event.actions.register.accept`).
  public var calls: [String: Int] { doors.calls }
  /// Every token so far is over.
  public func endTokens() { tokens.end() }
  /// The next answer of a procedure is lost after its work.
  public func loseNextAnswer(of procedure: String) { doors.loseNext(procedure) }
  /// A token of the registrar's own, which is for no action.
  public func registrarToken() throws -> String {
    try tokens.sign(scope: readScopes + ["record.register"], subject: Self.registrar(release), [:])
  }
  /// The form of a kind has another field: an id that is unknown destroys the record that gets it.
  public func addField(_ id: String, to kind: SampleRecord.Kind) { state.withLock { $0.fields[kind]?.append(id) } }
  /// A user has the record in hand, or no longer.
  public func assign(_ id: String, _ isAssigned: Bool) { state.withLock { $0.records[id]?.isAssigned = isAssigned } }

  /// What is known of a record; nil when there is none.
  public func state(of id: String) -> RecordState? {
    let (record, known) = state.withLock { ($0.records[id], $0.known) }
    guard let record else { return nil }
    let unknown = record.unknownField(known)
    return RecordState(
      standing: record.registration != nil ? .registered : record.isRejected ? .rejected : .waiting,
      number: record.registration?.registrationNumber, declaration: record.values(approvalsHaveValues: release.isSecond),
      error: unknown.map(Self.notFound), isReadable: unknown == nil, isRevoked: record.isRevoked,
      isAsked: record.pending != nil, isRefused: record.isRefused, takerAnswer: doors.answer(about: id),
      registrarSaw: record.registrarSaw)
  }

  /// The document of a record as it is now.
  public func document(of id: String) -> JSONValue? { state.withLock { $0.records[id] }?.document(release) }

  static func notFound(_ field: String) -> String { "Field with id \(field) not found in event config" }

  var readScopes: [String] {
    release.isSecond ? ["type=record.read&event=birth,death"] : ["record.read[event=birth|death]"]
  }

  // MARK: triggers

  /// Sends a trigger for the pending action of a record.
  /// - Returns: what was answered; status 0 when nobody answers.
  func trigger(_ action: ActionRecord.Action, of record: ActionRecord) async throws -> (status: Int, body: [UInt8]) {
    let confirm = ["record.confirm-registration", "record.reject-registration"].map { release.isSecond ? "type=\($0)" : $0 }
    let token = try tokens.sign(
      scope: confirm + (release == .v1_9 ? [] : readScopes), subject: Self.registrar(release),
      ["eventId": .string(record.sample.id), "actionId": .string(action.id)])
    doors.count(action.type)
    let path = "/trigger/events/\(record.sample.kind.rawValue)/actions/\(action.type)"
    let request = ClientRequest(
      method: "POST", url: doors.taker + path,
      headers: ["Content-Type": "application/json", "Authorization": "Bearer \(token)"],
      body: .bytes(record.document(release).encoded()), isSentOnce: true)
    do {
      let answer = try await client.send(request)
      doors.keep(answer.body, about: record.sample.id)
      return (answer.status, answer.body)
    } catch is HTTPError {
      return (0, [])
    }
  }
}
