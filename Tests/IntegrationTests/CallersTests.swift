import HTTP
import EmbeddedPlatform
import StageKit
import System
import Testing

/// Who may call each endpoint that a pipeline serves.
@Suite(.serialized, .timeLimit(.minutes(30))) struct CallersTests {
  private enum Callers {
    /// Everybody: it tells no more than that something runs, or answers a challenge.
    case everybody
    /// Whoever signs the body with the secret that is agreed on; no token helps.
    case signers
    /// A token for a side, with a role, or of a configured client where no role is asked for; and what lacking it is answered with.
    case tokens(TokenAudience, role: String?, lacking: Int = 403)
  }

  private static let mosip = Callers.tokens(.mosip, role: nil)
  private static let receiver = Callers.tokens(.mosip, role: "REGISTRATION_PROCESSOR")
  private static let base = "/registrationprocessor/v1"
  private static let declared: [String: Callers] = [
    "GET /ping": .everybody, "GET /webhooks": .everybody, "POST /webhooks": .signers,
    "POST /subscribe": .tokens(.opencrvsMediator, role: nil), "POST /birthReceiveNid": .tokens(.opencrvsMediator, role: nil),
    "POST /receiveStatus": .tokens(.opencrvsMediator, role: nil),
    // Record tokens of OpenCRVS, which nobody has while none is connected.
    "POST /event-registration": .signers, "POST /events/{type}/actions/{action}": .signers,
    "POST /trigger/events/{type}/actions/{action}": .signers, "POST /events/registration": .signers,
    "POST /events/update-biographics": .signers,
    "POST /opencrvs/v1/birth": mosip, "POST /opencrvs/v1/death": mosip, "POST /opencrvs/v1/birthCorrection": mosip,
    "POST /opencrvs/v1/deathCorrection": mosip, "POST /opencrvs/v1/deathReversal": mosip,
    "POST /opencrvs/v1/birthRevocation": mosip, "POST /opencrvs/v1/birthReinstatement": mosip,
    "GET /opencrvs/v1/generateAid": mosip, "POST /opencrvs/v1/internal/subscribe": mosip,
    "GET /opencrvs/v1/internal/receiveCredentialBirth": .everybody, "POST /opencrvs/v1/internal/receiveCredentialBirth": .signers,
    "GET /opencrvs/v1/internal/receiveWorkflowCompleted": .everybody,
    "POST /opencrvs/v1/internal/receiveWorkflowCompleted": .signers, "* /opencrvs/v1": .everybody,
    "POST \(base)/registrationstatus/sync": receiver, "POST \(base)/registrationstatus/syncV2": receiver,
    "POST \(base)/registrationstatus/search": receiver, "POST \(base)/registrationstatus/externalstatus/search": receiver,
    "POST \(base)/registrationstatus/packetexternalstatus": receiver,
    "POST \(base)/packetreceiver/registrationpackets": receiver,
    "POST \(base)/registrationstatus/lostridsearch": .tokens(.mosip, role: "REGISTRATION_OFFICER"),
    "POST \(base)/securezone/notification": receiver, "GET \(base)/registrationtransaction/search/{rid}": receiver,
    "GET \(base)/registrationtransaction/search/{langCode}/{rid}": receiver,
    "POST \(base)/workflowmanager/workflow/search": receiver, "POST \(base)/workflowmanager/workflowaction": receiver,
    "POST \(base)/workflowmanager/workflowinstance": receiver,
    "POST /hub": .tokens(.mosip, role: "PUBLISH_T_GENERAL"), description: .everybody,
  ]

  /// Each listener tells what it serves.
  private static let description = "GET /openapi.json"
  private static let readers = Callers.tokens(.mosip, role: "REGPROC_READ")
  private static let operators = Callers.tokens(.mosip, role: "REGPROC_OPERATE")
  /// What shows personal data: whoever may operate may not for that.
  private static let reveals = "POST /regproc/v1/dead-letters/{id}/reveal"
  private static let revealers = Callers.tokens(.mosip, role: "REGPROC_REVEAL")
  private static let open: Set = ["GET /actuator/health/liveness", "GET /actuator/health/readiness", description]
  /// What is asked by `POST` because it does not fit into a query, and changes nothing.
  private static let questions: Set = ["POST /regproc/v1/reconciliations"]

  /// Where the admin listener is reached from elsewhere: whoever may read looks, whoever may operate changes. On loopback all of them are for
  /// everybody.
  private static func declaredToOperators(_ served: [String]) -> [String: Callers] {
    Dictionary(
      uniqueKeysWithValues: served.map { endpoint in
        (
          endpoint,
          open.contains(endpoint)
            ? .everybody
            : endpoint == reveals ? revealers : endpoint.hasPrefix("GET ") || questions.contains(endpoint) ? readers : operators
        )
      })
  }

  /// A clock of an hour ago.
  private struct Late: WallClock {
    var now: Instant { SystemClock().now.advanced(bySeconds: -3600) }
  }

  private let client = Client()

  private func status(_ endpoint: String, _ token: String?, _ base: String, host: String? = nil) async throws -> Int {
    let parts = endpoint.split(separator: " ")
    var url = "\(base)\(parts[1])".replacing("{langCode}", with: "eng").replacing(/\{[a-z]+\}/, with: "1")
    if parts[1] == "/hub" { url += "?hub.mode=publish&hub.topic=T" }
    var request = ClientRequest(method: parts[0] == "*" ? "GET" : String(parts[0]), url: parts[0] == "*" ? url + "/unknown" : url)
    if request.method == "POST" {
      let isUpload = parts[1].hasSuffix("/registrationpackets")
      let upload = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"1.zip\"\r\n\r\nx\r\n--b--\r\n"
      request.body = .bytes(Array((isUpload ? upload : "{}").utf8))
      request.headers.set("Content-Type", isUpload ? "multipart/form-data; boundary=b" : "application/json")
    }
    if let host { request.headers.set("Host", host) }
    if let token {
      request.headers.set("Cookie", "Authorization=\(token)")
      request.headers.set("Authorization", "Bearer \(token)")
    }
    return try await client.send(request).status
  }

  /// Calls endpoints with tokens of all kinds.
  private func check(_ served: [String], _ declared: [String: Callers], at base: String, _ stand: Stand) async throws {
    let blocking = BlockingPool(name: "callers", threads: 1)
    defer { blocking.close() }
    func tokens(_ roles: [String], keys: KeyFolder? = nil, clock: any WallClock = SystemClock()) -> EmbeddedTokens {
      let clients = ["mosip-mediator": roles, "stranger": roles]
      return EmbeddedTokens(keys: keys ?? stand.platform.keys, blocking: blocking, roles: clients, clock: clock)
    }
    let foreign = try KeyFolder(folder: stand.folder + "/foreign-keys")
    let known = "mosip-mediator"

    for endpoint in served {
      guard let callers = declared[endpoint] else {
        Issue.record("nobody declared who may call \(endpoint)")
        continue
      }
      switch callers {
      case .everybody:
        let plain = try await status(endpoint, nil, base)
        #expect(plain != 401 && plain != 403, "\(endpoint)")
      case .signers:
        for audience in TokenAudience.allCases {
          let token = try await tokens([]).token(client: known, for: audience)
          #expect(try await status(endpoint, token, base) == 401, "\(endpoint)")
        }
        #expect(try await status(endpoint, nil, base) == 401, "\(endpoint)")
      case .tokens(let audience, let role, let lacking):
        let roles = role.map { [$0] } ?? []
        #expect(try await status(endpoint, nil, base) == 401, "\(endpoint)")
        for other in TokenAudience.allCases where other != audience {
          let token = try await tokens(roles).token(client: known, for: other)
          #expect(try await status(endpoint, token, base) == 401, "\(endpoint) for \(other)")
        }
        let expired = try await tokens(roles, clock: Late()).token(client: known, for: audience)
        #expect(try await status(endpoint, expired, base) == 401, "\(endpoint) expired")
        let signed = try await tokens(roles, keys: foreign).token(client: known, for: audience)
        #expect(try await status(endpoint, signed, base) == 401, "\(endpoint) by another key")
        // Where a role is asked for, it counts and not the client; where none is, the client.
        let other = try await tokens(["ANOTHER_ROLE"]).token(client: role == nil ? "stranger" : known, for: audience)
        #expect(try await status(endpoint, other, base) == lacking, "\(endpoint) role or client")
        let right = try await tokens(roles).token(client: role == nil ? known : "stranger", for: audience)
        let answer = try await status(endpoint, right, base)
        #expect(answer != 401 && answer != 403, "\(endpoint): \(answer)")
      }
    }
    #expect(Set(served) == Set(declared.keys), "nothing is declared that is not there")
  }

  @Test func `every endpoint takes whom it declares and nobody else`() async throws {
    let stand = try await Stand()
    for endpoint in stand.engine.endpoints + stand.engine.operatorEndpoints {
      #expect(endpoint.admission?.who.isEmpty == false, "\(endpoint.method) \(endpoint.pathPattern) says nobody who may call it")
    }
    try await check(stand.engine.served, Self.declared, at: "http://127.0.0.1:\(stand.port)", stand)
    let served = stand.engine.servedToOperators
    #expect(served.count > 20 && Self.open.isSubset(of: served) && Self.questions.isSubset(of: served))
    try await check(served, Dictionary(uniqueKeysWithValues: served.map { ($0, .everybody) }), at: stand.admin, stand)
    #expect(try await status("GET /actuator/health", nil, stand.admin) == 200)
    for endpoint in served where endpoint != Self.description {
      #expect(try await status(endpoint, nil, "http://127.0.0.1:\(stand.port)") == 404, "\(endpoint) is not for the public")
    }
    try await checkNames(stand)
    client.close()
    await stand.stop()
  }

  @Test func `who reads the admin listener from elsewhere needs a token with the role`() async throws {
    let stand = try await Stand(adminHost: "0.0.0.0")
    let served = stand.engine.servedToOperators
    try await check(served, Self.declaredToOperators(served), at: stand.admin, stand)
    #expect(RefusedCallers.shared.count("admin", reason: "missing") > 0 && RefusedCallers.shared.count("admin", reason: "role") > 0)
    try await checkNames(stand)
    client.close()
    await stand.stop()
  }

  /// Nothing of the listener answers by a name that is not its own, whatever the path and method.
  private func checkNames(_ stand: Stand) async throws {
    let before = RefusedCallers.shared.count("admin", reason: "host")
    let others = ["POST /actuator/health", "GET /unknown", "GET /", "GET /regproc/v1/journey/1/2"]
    let token = try await EmbeddedTokens(
      keys: stand.platform.keys, blocking: BlockingPool(name: "names", threads: 1), roles: ["a": ["REGPROC_READ"]],
      clock: SystemClock()
    ).token(client: "a", for: .mosip)
    for endpoint in stand.engine.servedToOperators + others {
      for host in ["evil.example", "127.0.0.1.evil.example", "evil.example:8081"] {
        #expect(try await status(endpoint, token, stand.admin, host: host) == 421, "\(endpoint) \(host)")
      }
      // This is no host at all.
      #expect(try await status(endpoint, token, stand.admin, host: "localhost@evil.example") == 400, "\(endpoint)")
      for host in ["localhost", "LOCALHOST.:1", "[::1]:8081"] {
        #expect(try await status(endpoint, token, stand.admin, host: host) != 421, "\(endpoint) \(host)")
      }
    }
    #expect(RefusedCallers.shared.count("admin", reason: "host") > before)
  }
}
