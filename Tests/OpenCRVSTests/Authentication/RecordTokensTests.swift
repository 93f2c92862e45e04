import Cryptography
import JSON
import StageKit
import StageTesting
import System
import TestSupport
import Testing

@testable import HTTP
@testable import OpenCRVS

@Suite("Tokens for one record or action", .timeLimit(.minutes(10)))
struct RecordTokensTests {
  static let keys = Result { (try RSAPrivateKey.generate(), try RSAPrivateKey.generate()) }
  static let now = Sample.now
  static let record = "c0ffee00-0000-4000-8000-0000000000b1"
  static let event = "e0000000-0000-4000-8000-0000000000b1"
  static let action = "a0000000-0000-4000-8000-000000000005"
  static let url = "http://auth/.well-known"

  let ours: RSAPrivateKey
  let other: RSAPrivateKey
  let waits = Waits()
  let http: ScriptedHTTP
  let tokens: RecordTokens
  let context: StageContext

  init() throws {
    (ours, other) = try Self.keys.get()
    http = ScriptedHTTP(.answer(200, Array(ours.publicKey.pem.utf8)))
    tokens = RecordTokens(keysURL: Self.url, timing: waits.timing)
    context = Self.context(http)
  }

  static func context(_ http: any HTTPExchange) -> StageContext {
    let world = TestPlatform().context("opencrvs-mediator", now: now)
    var services = world.services
    services.http = http
    return StageContext(stage: world.stage, services: services, store: world.store, pipeline: world.pipeline)
  }

  /// What OpenCRVS claims, changed as a test likes.
  static func claims(_ change: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
    var claims: JSONValue = [
      "scope": ["record.confirm-registration", "record.reject-registration"], "eventId": .string(event),
      "actionId": .string(action), "userType": "user", "iat": .number(JSONNumber(Int(now.milliseconds / 1000))),
      "exp": seconds(604_800), "aud": ["opencrvs:gateway-user", "opencrvs:countryconfig-user"],
      "iss": "opencrvs:auth-service", "sub": "6650000000000000000000a1",
    ]
    change(&claims)
    return claims
  }

  /// A moment so many seconds from now, as a claim.
  static func seconds(_ from: Int) -> JSONValue { .number(JSONNumber(Int(now.milliseconds / 1000) + from)) }

  func sign(_ claims: JSONValue, _ key: RSAPrivateKey? = nil) throws -> String {
    try JWS.sign(claims.encoded(), with: key ?? ours, type: "JWT")
  }

  /// The code that a token is refused with; nil when it is taken.
  func refusal(_ token: String?) async throws -> String? {
    do {
      _ = try await tokens.verify(token, context)
      return nil
    } catch let error as MediatorError {
      #expect(error.code.rawValue.hasPrefix("OPN-AUT"))
      if let token, token.utf8.count > 40 { #expect(!"\(error)".contains(token)) }
      return error.code.rawValue
    }
  }

  @Test
  func `a token for an action is taken and says whose it is`() async throws {
    let text = try sign(Self.claims())
    let token = try await tokens.verify(text, context)
    #expect(token.isOf(event: Self.event, action: Self.action))
    #expect(!token.isOf(event: Self.event, action: "a0000000-0000-4000-8000-000000000006"))
    #expect(!token.isOf(event: "e0000000-0000-4000-8000-0000000000b2", action: Self.action))
    #expect(!token.isOf(record: Self.event))
    #expect(token.scopes == ["record.confirm-registration", "record.reject-registration"])
    #expect(token.expires == Self.now.advanced(bySeconds: 604_800))
    #expect(token.text == text)
    #expect(!"\(token)".contains(text))
  }

  @Test
  func `a token for a record of another record or of an action is 401`() async throws {
    let text = try sign(
      Self.claims { claims in
        (claims["eventId"], claims["actionId"], claims["recordId"]) = (nil, nil, .string(Self.record))
      })
    let token = try await tokens.verify(text, context)
    try token.require(record: Self.record)
    let other = #expect(throws: MediatorError.self) { try token.require(record: "c0ffee00-0000-4000-8000-0000000000d1") }
    let action = #expect(throws: MediatorError.self) { try token.require(event: Self.event, action: Self.action) }
    #expect(other?.code.status == 401 && action?.code.status == 401)
  }

  @Test
  func `a token for an action of another event or action is 401`() async throws {
    let token = try await tokens.verify(sign(Self.claims()), context)
    try token.require(event: Self.event, action: Self.action)
    for (event, action) in [(Self.event, "a1"), ("e1", Self.action), (Self.action, Self.event)] {
      let refusal = #expect(throws: MediatorError.self) { try token.require(event: event, action: action) }
      #expect(refusal?.code == .tokenInvalid)
    }
    #expect(throws: MediatorError.self) { try token.require(record: Self.event) }
  }

  @Test
  func `no token is OPN-AUT-003, and what is none OPN-AUT-002, without asking for keys`() async throws {
    #expect(try await refusal(nil) == "OPN-AUT-003")
    #expect(try await refusal("") == "OPN-AUT-003")
    for text in ["a", "a.b.c", "..", "e30.e30.e30", "ü.ü.ü"] { #expect(try await refusal(text) == "OPN-AUT-002") }
    #expect(http.requests.isEmpty)
  }

  @Test
  func `a token without signature is refused, whatever its header says`() async throws {
    let claims = Encoding.base64URL(Self.claims().encoded())
    for algorithm in ["none", "None", "", "RS256"] {
      let header = Encoding.base64URL(Array(#"{"alg":"\#(algorithm)"}"#.utf8))
      #expect(try await refusal("\(header).\(claims).") == "OPN-AUT-002")
      #expect(try await refusal("\(header).\(claims).AAAA") == "OPN-AUT-002")
    }
  }

  @Test
  func `a token signed with the public key as a secret is refused`() async throws {
    let header = Encoding.base64URL(Array(#"{"alg":"HS256","typ":"JWT"}"#.utf8))
    let input = "\(header).\(Encoding.base64URL(Self.claims().encoded()))"
    for secret in [ours.publicKey.pem, String(ours.publicKey.pem.dropLast())] {
      let signature = HMAC.code(Array(input.utf8), key: Array(secret.utf8))
      #expect(try await refusal("\(input).\(Encoding.base64URL(signature))") == "OPN-AUT-002")
    }
  }

  @Test
  func `another algorithm in the header is refused even with a right signature`() async throws {
    for algorithm in ["RS384", "PS256", "rs256", "HS256"] {
      let header = Encoding.base64URL(Array(#"{"alg":"\#(algorithm)"}"#.utf8))
      let input = "\(header).\(Encoding.base64URL(Self.claims().encoded()))"
      let signature = Encoding.base64URL(try ours.sign(Array(input.utf8), .sha256))
      #expect(try await refusal("\(input).\(signature)") == "OPN-AUT-002")
    }
  }

  @Test
  func `a token of another key, or changed after it was signed, is refused`() async throws {
    #expect(try await refusal(sign(Self.claims(), other)) == "OPN-AUT-002")
    let parts = try sign(Self.claims()).split(separator: ".")
    let changed = Encoding.base64URL(Self.claims { $0["actionId"] = "a1" }.encoded())
    #expect(try await refusal("\(parts[0]).\(changed).\(parts[2])") == "OPN-AUT-002")
  }

  @Test
  func `a token counts from its beginning to its end, with a minute for the clocks`() async throws {
    for (name, from, counts) in [
      ("exp", 1, true), ("exp", -59, true), ("exp", -60, false), ("exp", -604_800, false), ("nbf", 60, true),
      ("nbf", 61, false),
    ] {
      let refusal = try await refusal(sign(Self.claims { $0[name] = Self.seconds(from) }))
      #expect(refusal == (counts ? nil : "OPN-AUT-002"), "\(name) \(from)")
    }
  }

  @Test
  func `another issuer, another audience, and claims that are missing or of another kind are refused`() async throws {
    let wrong: [(String, JSONValue?)] = [
      ("iss", "opencrvs:auth"), ("iss", nil), ("iss", ["opencrvs:auth-service"]), ("exp", nil), ("exp", "never"),
      ("aud", ["opencrvs:gateway-user"]), ("aud", nil), ("eventId", nil), ("eventId", ""), ("eventId", 1), ("actionId", nil),
      ("actionId", .string(String(repeating: "a", count: 129))), ("actionId", ["a1"]),
    ]
    for (name, value) in wrong {
      #expect(try await refusal(sign(Self.claims { $0[name] = value })) == "OPN-AUT-002", "\(name)")
    }
    for claims: JSONValue in [[], nil, "claims", 1] { #expect(try await refusal(sign(claims)) == "OPN-AUT-002") }
  }

  @Test
  func `a site may ask for another issuer and no audience`() async throws {
    let tokens = RecordTokens(keysURL: Self.url, issuer: "https://crvs.example", audience: nil, timing: waits.timing)
    let text = try sign(Self.claims { ($0["iss"], $0["aud"]) = ("https://crvs.example", nil) })
    #expect(try await tokens.verify(text, context).actionId == Self.action)
    await #expect(throws: MediatorError.self) { try await tokens.verify(try self.sign(Self.claims()), self.context) }
  }

  @Test
  func `a token of a megabyte is refused without asking for keys`() async throws {
    let large = Self.claims { $0["scope"] = .array(Array(repeating: "record.read", count: 90_000)) }
    let text = try sign(large)
    #expect(text.utf8.count > 1 << 20)
    #expect(try await refusal(text) == "OPN-AUT-002")
    #expect(try await refusal(String(repeating: "a", count: 1 << 20)) == "OPN-AUT-002")
    #expect(http.requests.isEmpty)
  }

  @Test
  func `the token of 2.1, which has no scopes, is taken`() async throws {
    let text = try sign(
      Self.claims { ($0["scope"], $0["userType"], $0["aud"]) = ([], "system", ["opencrvs:countryconfig-user"]) })
    #expect(try await tokens.verify(text, context).scopes == [])
  }
}
