import TestSupport
import Cryptography
import HTTP
import JSON
import StageKit
import Synchronization
import System
import TestSupport
import Testing

@testable import MosipPlatform
@testable import EmbeddedPlatform

/// A token endpoint that counts, with tokens `t1`, `t2` ... of a given life.
final class TokenEndpoint: Sendable {
  let count = Atomic<Int>(0)
  let isBroken = Atomic<Bool>(false)
  let held = Mutex<[CheckedContinuation<Void, Never>]>([])
  let isHolding = Atomic<Bool>(false)

  func answer(_ request: ClientRequest) async -> ClientResponse {
    let number = count.add(1, ordering: .sequentiallyConsistent).newValue
    if isHolding.load(ordering: .sequentiallyConsistent) {
      await withCheckedContinuation { continuation in held.withLock { $0.append(continuation) } }
    }
    if isBroken.load(ordering: .sequentiallyConsistent) { return ClientResponse(status: 400) }
    return ClientResponse(status: 200, body: Array(#"{"access_token":"t\#(number)","expires_in":300}"#.utf8))
  }

  func letGo() {
    isHolding.store(false, ordering: .sequentiallyConsistent)
    for continuation in held.withLock({ $0 }) { continuation.resume() }
  }
}

@Suite(.timeLimit(.minutes(30))) struct TokenTests {
  private func tokens(_ endpoint: TokenEndpoint, _ waits: Waits, clients: [String: ClientCredentials] = [:]) -> ClientTokens {
    var settings = World.settings("http://mosip.invalid")
    settings.clients = clients
    return ClientTokens(settings, http: Answering { await endpoint.answer($0) }, clock: SystemClock(), timing: waits.timing)
  }

  @Test func `however many wait for a token, it is asked for once`() async throws {
    let (endpoint, waits) = (TokenEndpoint(), Waits())
    let tokens = tokens(endpoint, waits)
    endpoint.isHolding.store(true, ordering: .sequentiallyConsistent)
    let all = Task {
      try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<50 { group.addTask { try await tokens.token(of: nil) } }
        return try await group.reduce(into: Set<String>()) { $0.insert($1) }
      }
    }
    try await eventually("a question for a token") { endpoint.held.withLock { !$0.isEmpty } }
    endpoint.letGo()
    #expect(try await all.value == ["t1"])
    #expect(endpoint.count.load(ordering: .sequentiallyConsistent) == 1)
  }

  @Test func `a token is renewed before it ends while the old one is given out`() async throws {
    let (endpoint, waits) = (TokenEndpoint(), Waits())
    let tokens = tokens(endpoint, waits)
    #expect(try await tokens.token(of: nil) == "t1")
    waits.advance(260)
    #expect(try await tokens.token(of: nil) == "t1")
    #expect(endpoint.count.load(ordering: .sequentiallyConsistent) == 1)
    // Within the last tenth of its life.
    waits.advance(15)
    endpoint.isHolding.store(true, ordering: .sequentiallyConsistent)
    for _ in 1...3 { #expect(try await tokens.token(of: nil) == "t1") }
    try await eventually("a question for a token") { endpoint.held.withLock { !$0.isEmpty } }
    endpoint.letGo()
    try await eventually("the new token") { try await tokens.token(of: nil) == "t2" }
    #expect(endpoint.count.load(ordering: .sequentiallyConsistent) == 2)
    waits.advance(1000)
    #expect(try await tokens.token(of: nil) == "t3")
  }

  @Test func `while the token endpoint is broken the old token serves to its end`() async throws {
    let (endpoint, waits) = (TokenEndpoint(), Waits())
    let tokens = tokens(endpoint, waits)
    _ = try await tokens.token(of: nil)
    endpoint.isBroken.store(true, ordering: .sequentiallyConsistent)
    waits.advance(280)
    #expect(try await tokens.token(of: nil) == "t1")
    waits.advance(30)
    let error = await fault { try await tokens.token(of: nil) }
    #expect(error?.code == "RPR-SVC-009" && error?.isRetriable == true && error?.description.contains("our-secret") == false)
  }

  @Test func `no client gets the token of another one for want of its own`() async throws {
    let (endpoint, waits) = (TokenEndpoint(), Waits())
    let tokens = tokens(endpoint, waits, clients: ["opencrvs": ClientCredentials(id: "o", secret: "s")])
    let own = try await tokens.token(of: nil)
    #expect(try await tokens.token(of: "opencrvs") != own)
    #expect(await fault { try await tokens.token(of: "somebody") }?.code == "RPR-SVC-009")
  }

  @Test func `a token endpoint that wants id and secret in the query gets them there`() async throws {
    let asked = Mutex<[ClientRequest]>([])
    var settings = World.settings("http://mosip.invalid")
    settings.clients["opencrvs"] = ClientCredentials(id: "o", secret: "s&s", tokenURL: "http://auth.invalid/token", style: .query)
    let http = Answering { request in
      asked.withLock { $0.append(request) }
      return ClientResponse(status: 200, body: Array(#"{"access_token":"t"}"#.utf8))
    }
    let tokens = ClientTokens(settings, http: http, clock: SystemClock(), timing: Waits().timing)
    _ = try await tokens.token(of: "opencrvs")
    let url = asked.withLock { $0[0].url }
    #expect(url == "http://auth.invalid/token?grant_type=client_credentials&client_id=o&client_secret=s%26s")
  }

  // MARK: callers

  @Test func `only tokens of the realm's keys, issuer and time belong to somebody`() async throws {
    try await World.run { world async throws in
      let tokens = world.mosip.tokens
      let caller = try await tokens.caller(of: try world.standIn.token(client: "c"))
      #expect(caller?.name == "c" && caller?.roles.contains("REGISTRATION_PROCESSOR") == true)
      #expect(try await tokens.caller(of: try world.standIn.token(client: "c", issuer: "http://other/realms/mosip")) == nil)
      #expect(try await tokens.caller(of: try world.standIn.token(client: "c", life: -1)) == nil)
      #expect(try await tokens.caller(of: try world.standIn.token(client: "c", keyId: "unknown")) == nil)
      let key = try RSAPrivateKey.generate()
      let parts = try world.standIn.token(client: "c").split(separator: ".")
      let payload = try #require(Encoding.bytes(base64: String(parts[1])))
      #expect(try await tokens.caller(of: try JWS.sign(payload, with: key, keyId: "stand-in-1")) == nil)
      let none = Encoding.base64URL(Array(#"{"alg":"none","kid":"stand-in-1"}"#.utf8))
      #expect(try await tokens.caller(of: "\(none).\(parts[1]).") == nil)
      // Unknown keys do not make the realm answer for each.
      for _ in 1...5 { _ = try await tokens.caller(of: try world.standIn.token(client: "c", keyId: "unknown")) }
      #expect(world.standIn.count("/certs") == 1)
    }
  }

  @Test func `a key that the realm revoked stops counting by time, and an outage of the realm is bridged for a while`() async throws
  {
    let key = try RSAPrivateKey.generate()
    let state = Mutex((isShown: true, isDown: false, asked: 0))
    // The numbers of a key of 2048 bits stand at fixed places of its DER.
    let (n, e) = (Encoding.base64URL(Array(key.publicKey.spki[33..<289])), Encoding.base64URL([1, 0, 1]))
    let http = Answering { _ in
      let (isShown, isDown) = state.withLock { state in
        state.asked += 1
        return (state.isShown, state.isDown)
      }
      if isDown { return ClientResponse(status: 400) }
      let keys = isShown ? #"{"kty":"RSA","kid":"k","n":"\#(n)","e":"\#(e)"}"# : ""
      return ClientResponse(status: 200, body: Array(#"{"keys":[\#(keys)]}"#.utf8))
    }
    let waits = Waits()
    var settings = World.settings("http://mosip.invalid")
    settings.realmKeySeconds = 100
    let tokens = MosipTokens(
      settings, tokens: ClientTokens(settings, http: http, clock: SystemClock(), timing: waits.timing), http: http,
      clock: SystemClock(), timing: waits.timing)
    func isTaken() async throws -> Bool {
      let claims: JSONValue = ["iss": .string(settings.issuer ?? settings.url(.iam)), "exp": JSONValue(Int.max), "azp": "c"]
      return try await tokens.caller(of: try JWS.sign(claims.encoded(), with: key, keyId: "k"), for: .mosip) != nil
    }
    #expect(try await isTaken())
    waits.advance(90)
    #expect(try await isTaken())
    #expect(state.withLock { $0.asked } == 1)
    state.withLock { $0.isDown = true }
    waits.advance(20)
    #expect(try await isTaken())
    let count = state.withLock { $0.asked }
    #expect(count > 1)
    #expect(try await isTaken())
    #expect(state.withLock { $0.asked } == count, "not asked for each token while it is down")
    waits.advance(200)
    #expect(await fault { try await isTaken() } != nil, "nobody is believed for ever without the realm")
    state.withLock { $0.isDown = false }
    waits.advance(60)
    #expect(try await isTaken())
    state.withLock { $0.isShown = false }
    waits.advance(101)
    #expect(try await isTaken() == false)
  }

  @Test func `the client of a token says where it is taken`() async throws {
    try await World.run { world async throws in
      var settings = World.settings(world.base)
      settings.clients = [
        "opencrvs": ClientCredentials(id: "shown", secret: "s"), "opencrvs-mediator": ClientCredentials(id: "side", secret: "s"),
      ]
      func caller(_ client: String, _ audience: TokenAudience, asking: String? = nil) async throws -> Caller? {
        settings.audience = asking
        let http = CurlExchange(world.client)
        let clock = SystemClock()
        let own = ClientTokens(settings, http: http, clock: clock, timing: Waits().timing)
        let tokens = MosipTokens(settings, tokens: own, http: http, clock: clock, timing: Waits().timing)
        return try await tokens.caller(of: try world.standIn.token(client: client), for: audience)
      }
      for (client, configured) in [("side", true), (settings.client.id, true), ("somebody", false)] {
        for audience in [TokenAudience.mosip, .opencrvsMediator] {
          let caller = try await caller(client, audience)
          #expect(caller?.client == client && caller?.isConfigured == configured, "\(client)")
        }
      }
      #expect(try await caller("shown", .mosip) == nil)
      #expect(try await caller("shown", .opencrvsMediator)?.isConfigured == true)
      #expect(try await caller("side", .mosip, asking: "regproc") == nil, "the realm sets no audience")
    }
  }

  @Test func `a realm that cannot be asked is no verdict about a token`() async throws {
    let http = Answering { _ in ClientResponse(status: 503) }
    let services = FaultTests.services(http)
    let key = try RSAPrivateKey.generate()
    let claims: JSONValue = [
      "iss": "http://mosip.invalid/auth/realms/mosip", "exp": JSONValue(Int(Instant.now.milliseconds / 1000) + 60), "azp": "c",
    ]
    let token = try JWS.sign(claims.encoded(), with: key, keyId: "k")
    #expect(await fault { try await services.tokens.caller(of: token) }?.isRetriable == true)
  }
}
