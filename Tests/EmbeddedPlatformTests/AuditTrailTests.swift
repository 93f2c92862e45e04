import TestSupport
import Cryptography
import StageKit
import System
import Testing

@testable import EmbeddedPlatform

@Suite(.serialized, .timeLimit(.minutes(30))) struct AuditTrailTests {
  private func entry(_ id: String, key: String?) -> AuditEntry {
    var entry = AuditEntry(
      eventId: "RPR_405", eventName: "n", eventType: "BUSINESS", module: "packet-validator", id: id, description: "d")
    entry.idempotencyKey = key
    return entry
  }

  @Test func `entries with a key are recorded once and others every time`() async throws {
    try await World.run { world async throws in
      let trail = EmbeddedAuditTrail(pool: world.pool)
      try await trail.record([])
      for _ in 1...3 { try await trail.record([entry("1", key: "1:a"), entry("1", key: "1:b"), entry("1", key: nil)]) }
      // The same key twice in one call as well.
      try await trail.record([entry("2", key: "2:a"), entry("2", key: "2:a")])
      #expect(try await world.number("SELECT count(*) FROM audit.app_audit_log WHERE ref_id = '1'") == 5)
      #expect(try await world.number("SELECT count(*) FROM audit.app_audit_log WHERE ref_id = '2'") == 1)
    }
  }

  @Test func `of two recorders at once one records`() async throws {
    try await World.run { world async throws in
      let trail = EmbeddedAuditTrail(pool: world.pool)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<6 { group.addTask { try await trail.record([entry("1", key: "k")]) } }
        try await group.waitForAll()
      }
      #expect(try await world.number("SELECT count(*) FROM audit.app_audit_log") == 1)
    }
  }
}

@Suite(.timeLimit(.minutes(30))) struct EmbeddedTokensTests {
  private func tokens(_ world: World, folder: String = "keys") throws -> EmbeddedTokens {
    EmbeddedTokens(
      keys: try KeyFolder(folder: "\(world.folder)/\(folder)"), blocking: world.blocking,
      roles: ["mediator": ["A", "B"]],
      clock: world.clock)
  }

  @Test func `a token names its client and roles until it expires`() async throws {
    try await World.run { world async throws in
      let tokens = try tokens(world)
      let token = try await tokens.token(client: "mediator")
      #expect(try await tokens.token(client: "mediator") == token)
      let caller = try await tokens.caller(of: token)
      #expect(caller?.name == "mediator" && caller?.roles == ["A", "B"])
      world.clock.advance(seconds: 1000)
      let renewed = try await tokens.token(client: "mediator")
      #expect(renewed != token)
      world.clock.advance(seconds: 900)
      #expect(try await tokens.caller(of: token) == nil)
      #expect(try await tokens.caller(of: renewed)?.name == "mediator")
    }
  }

  /// Tokens that the right key signed, with times that are computed with at one's peril.
  @Test func `no time in a token ends the process and only one in force counts`() async throws {
    try await World.run { world async throws in
      let tokens = try tokens(world)
      let key = try KeyFolder(folder: "\(world.folder)/keys").pair("tokens").key
      let now = world.clock.now.milliseconds / 1000
      func caller(_ times: String) async throws -> Caller? {
        let payload = #"{"iss":"regproc-embedded","aud":"mosip","azp":"c"\#(times)}"#
        return try await tokens.caller(of: try JWS.sign(Array(payload.utf8), with: key, type: "JWT"))
      }
      for end in ["9223372036854775807", "9223372036854775", "1e308", "\(now + 10).5", "\(now + 1)"] {
        #expect(try await caller(#","exp":\#(end)"#)?.name == "c", "\(end)")
        for start in ["9223372036854775807", "1e308", "1e999", "\(now + 31)", "\"0\"", "null"] {
          #expect(try await caller(#","exp":\#(end),"nbf":\#(start)"#) == nil, "\(start)")
        }
        for start in ["-9223372036854775808", "-1e308", "\(now + 29)", "0"] {
          #expect(try await caller(#","exp":\#(end),"nbf":\#(start)"#)?.name == "c", "\(start)")
        }
      }
      for end in ["-9223372036854775808", "-1e308", "0", "\(now)", "\"\(now + 9)\"", "null", "true", "1e999"] {
        #expect(try await caller(#","exp":\#(end)"#) == nil, "\(end)")
      }
      #expect(try await caller("") == nil)
    }
  }

  @Test func `a token opens nothing but what it is for`() async throws {
    try await World.run { world async throws in
      let tokens = try tokens(world)
      for shown in TokenAudience.allCases {
        let token = try await tokens.token(client: "mediator", for: shown)
        for asking in TokenAudience.allCases {
          let caller = try await tokens.caller(of: token, for: asking)
          let expected = shown == asking
          #expect((caller != nil) == expected, "\(shown) at \(asking)")
          #expect((caller?.client == "mediator" && caller?.isConfigured == true) == expected)
        }
      }
      let stranger = try await tokens.token(client: "stranger", for: .mosip)
      #expect(try await tokens.caller(of: stranger, for: .mosip)?.isConfigured == false)
    }
  }

  @Test func `a token of another folder or with one changed character is nobodys`() async throws {
    try await World.run { world async throws in
      let tokens = try tokens(world)
      let token = try await tokens.token(client: "mediator")
      #expect(try await self.tokens(world, folder: "others").caller(of: token) == nil)
      let other = Array(token.utf8)
      for at in stride(from: 0, to: other.count - 2, by: 37) {
        var broken = other
        broken[at] = broken[at] == 65 ? 66 : 65
        #expect(try await tokens.caller(of: String(decoding: broken, as: UTF8.self)) == nil)
      }
      for text in ["", ".", "a.b.c", String(repeating: "x", count: 10_000)] {
        #expect(try await tokens.caller(of: text) == nil)
      }
    }
  }
}
