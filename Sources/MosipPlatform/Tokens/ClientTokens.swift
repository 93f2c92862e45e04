import HTTP
import StageKit
import Synchronization
import System

/// Access tokens of our clients by client credentials (RFC 6749, 4.4), kept until shortly before they end. However many wait for a token, one
/// renewal is under way; while the old one is good it is given out.
final class ClientTokens: Sendable {
  private struct Held {
    var token: String
    var renewAt: Double
    var endsAt: Double
  }
  private struct Entry {
    var held: Held?
    var renewal: Task<String, any Error>?
  }

  private let entries = Mutex<[String: Entry]>([:])
  private let settings: MosipSettings
  private let exchange: ServiceConnection
  private let timing: Timing
  private let clock: any WallClock
  private let realm: String

  init(_ settings: MosipSettings, http: any HTTPExchange, clock: any WallClock, timing: Timing) {
    self.settings = settings
    self.timing = timing
    self.clock = clock
    realm = settings.url(.iam)
    exchange = ServiceConnection(service: MosipService.iam.name, http: http, calling: settings.calling, timing: timing)
  }

  /// The name of our own client.
  static let own = ""

  /// A token of a client; nil for our own.
  /// - Throws: `ServiceError` RPR-SVC-009 when none can be had.
  func token(of client: String?) async throws -> String {
    let name = client ?? Self.own
    let credentials = try credentials(name)
    let now = timing.now()
    let (good, renewal): (String?, Task<String, any Error>?) = entries.withLock { entries in
      var entry = entries[name] ?? Entry()
      if let held = entry.held, now < held.renewAt { return (held.token, nil) }
      if entry.renewal == nil {
        entry.renewal = Task { try await self.renew(name, credentials) }
        entries[name] = entry
      }
      if let held = entry.held, now < held.endsAt { return (held.token, nil) }
      return (nil, entry.renewal)
    }
    if let good { return good }
    guard let renewal else { fatalError("there is a token or a renewal") }
    return try await renewal.value
  }

  /// Throws a token away that a service did not take; one that was renewed meanwhile stays.
  func forget(_ token: String, of client: String?) {
    entries.withLock { entries in
      if entries[client ?? Self.own]?.held?.token == token { entries[client ?? Self.own]?.held = nil }
    }
  }

  /// Whether a client of this name is configured.
  func knows(_ client: String) -> Bool { settings.clients[client] != nil }

  /// Whether an id in the realm is that of a client that is configured.
  func isConfigured(_ id: String) -> Bool { id == settings.client.id || settings.clients.values.contains { $0.id == id } }

  /// Whether an id is that of the client alone whose token is shown to OpenCRVS: who sees it there could show it here.
  func isShownOnly(_ id: String) -> Bool {
    guard settings.clients[Self.shown]?.id == id, settings.client.id != id else { return false }
    return !settings.clients.contains { $0.key != Self.shown && $0.value.id == id }
  }
  private static let shown = "opencrvs"

  private func credentials(_ name: String) throws -> ClientCredentials {
    if name == Self.own { return settings.client }
    if let credentials = settings.clients[name] { return credentials }
    // Our own part inside MOSIP. A token of ours is never shown to others for want of theirs.
    if name == "mosip-mediator" { return settings.client }
    throw ServiceError(
      .refused, service: MosipService.iam.name, code: CallError.noToken, "no client \(name) is configured (mosip.clients-file)")
  }

  private func renew(_ name: String, _ credentials: ClientCredentials) async throws -> String {
    do {
      let held = try await fetch(credentials)
      entries.withLock { $0[name] = Entry(held: held, renewal: nil) }
      return held.token
    } catch {
      entries.withLock { $0[name]?.renewal = nil }
      throw error
    }
  }

  private func fetch(_ credentials: ClientCredentials) async throws -> Held {
    let pairs = [
      (name: "grant_type", value: "client_credentials"), (name: "client_id", value: credentials.id),
      (name: "client_secret", value: credentials.secret),
    ]
    let endpoint = credentials.tokenURL ?? realm + "/protocol/openid-connect/token"
    var request = ClientRequest(
      method: "POST", url: endpoint, timeoutSeconds: settings.calling.timeoutSeconds, maxResponseBytes: 1 << 16)
    switch credentials.style {
    case .form:
      request.headers.set("Content-Type", "application/x-www-form-urlencoded")
      request.body = .bytes(Array(URLText.query(pairs).utf8))
    case .query: request.url += "?" + URLText.query(pairs)
    }
    let ready = request
    let asked = timing.now()
    let answer: ClientResponse
    do {
      answer = try await exchange.send("a token", .always) { ready }
    } catch let error as ServiceError {
      throw ServiceError(.unavailable, service: error.service, code: CallError.noToken, "\(error.code): \(error.message)")
    }
    let read = try TokenAnswer(answer, now: clock.now)
    let life = read.life
    // A tenth of its life and at least half a minute before its end, but never before half of it.
    return Held(
      token: read.token, renewAt: asked + max(life / 2, life - max(30, life / 10)), endsAt: asked + life - min(5, life / 10))
  }
}
