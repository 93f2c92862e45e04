import JSON
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("What doctor says of the connection to an OpenCRVS that waits", .timeLimit(.minutes(10)))
struct OpenCRVSConnectionTests {
  private static func settings(_ more: [String: SettingValue] = [:]) throws -> StageSettings {
    var given: [String: SettingValue] = [
      "opencrvs-url": "", "mosip-url": "", "gateway-url": "http://gateway", "opencrvs-auth-url": "http://auth",
      "opencrvs-client-secret": "s",
    ]
    given.merge(more) { $1 }
    return try StageSettings(stage: "opencrvs-mediator", declared: OpenCRVSMediator.spec.settings, given: given)
  }

  /// Answers by the end of a URL's path; nothing answers elsewhere.
  private struct Site: HTTPExchange {
    var answers: [String: (status: Int, body: String)]

    init(_ more: [String: (status: Int, body: String)] = [:]) throws {
      let key = try #require(try MediatorKeys.shared.get().owners["opencrvs-partner"]).certificate.pem
      let form = #"[{"id":"birth","declaration":{"pages":[{"fields":[{"id":"child.nid"},{"id":"child.aid"}]}]}}]"#
      answers = [
        "http://auth/.well-known": (200, key), "http://gateway": (404, ""), "http://auth/token": (200, #"{"access_token":"t"}"#),
        "http://gateway/events/config": (200, form), "http://country/errors": (405, ""),
      ]
      answers.merge(more) { $1 }
    }

    func send(_ request: ClientRequest) async throws -> ClientResponse {
      let url = String(request.url.prefix { $0 != "?" })
      guard let answer = answers[url] else { throw HTTPError(.closed, "connection refused") }
      return ClientResponse(status: answer.status, body: Array(answer.body.utf8))
    }
  }

  private static func lines(_ settings: StageSettings, _ site: Site) async throws -> [String] {
    let connection = try #require(try OpenCRVSConnection(settings))
    return await connection.findings(site).map { "\($0.kind) \($0.text)" }
  }

  @Test
  func `all is good but the hidden field, which some releases punish`() async throws {
    let lines = try await Self.lines(Self.settings(["error-url": "http://country/errors", "aid-field": "child.aid"]), Site())
    #expect(
      lines.map { $0.split(separator: ":")[0] } == [
        "good record-token-keys-url", "good gateway-url", "good error-url", "good nid-field", "warn nid-field", "good aid-field",
      ], "\(lines)")
    #expect(lines[4].contains("1.9.11 to 1.9.15"))
  }

  @Test
  func `a field that the form does not know is bad, and one of the form that is shown needs no warning`() async throws {
    let lines = try await Self.lines(Self.settings(["nid-field": "child.mosipToken", "aid-field": "child.aid"]), Site())
    #expect(lines.filter { $0.hasPrefix("bad") }.count == 1)
    #expect(lines.contains { $0.hasPrefix("bad nid-field: the form has no field child.mosipToken") })
    let shown = try await Self.lines(Self.settings(["nid-field": "child.aid"]), Site())
    #expect(shown.allSatisfy { $0.hasPrefix("good") }, "\(shown)")
  }

  @Test(arguments: [
    ("http://auth/.well-known", 404, "bad record-token-keys-url"), ("http://auth/.well-known", 200, "bad record-token-keys-url"),
    ("http://gateway", 502, "bad gateway-url"), ("http://country/errors", 503, "bad error-url"),
    ("http://auth/token", 401, "warn the forms of OpenCRVS cannot be read"),
    ("http://gateway/events/config", 500, "warn the forms of OpenCRVS cannot be read"),
    ("http://gateway/events/config", 200, "bad OpenCRVS has no form for events of type birth"),
  ])
  func `what does not answer as it should is told`(_ url: String, _ status: Int, _ line: String) async throws {
    let body = url.hasSuffix("config") ? #"[{"id":"death","declaration":{"pages":[]}}]"# : "<html>"
    let lines = try await Self.lines(Self.settings(["error-url": "http://country/errors"]), Site([url: (status, body)]))
    #expect(lines.contains { $0.hasPrefix(line) }, "\(lines)")
  }

  @Test
  func `what is nowhere is told without what is secret in its address`() async throws {
    let lines = try await Self.lines(
      Self.settings(["gateway-url": "http://user:secret@elsewhere", "nid-field": ""]), Site())
    #expect(lines.contains { $0.hasPrefix("bad gateway-url: ") && $0.contains("connection refused") }, "\(lines)")
    #expect(!lines.joined().contains("secret@"))
  }

  @Test
  func `before 1.9 there are no forms to look at, and without a client nobody can look`() async throws {
    let old = try await Self.lines(Self.settings(), Site(["http://gateway/events/config": (404, #"{"statusCode":404}"#)]))
    #expect(old.last?.hasPrefix("good OpenCRVS has no forms of 1.9 or later") == true)
    let blind = try await Self.lines(
      Self.settings(["opencrvs-auth-url": "", "record-token-keys-url": "http://auth/.well-known"]), Site())
    #expect(blind.last?.hasPrefix("warn the forms of OpenCRVS were not looked at") == true)
  }

  @Test(arguments: [(0, true), (24, false), (167, false), (168, true)])
  func `an answer that may come when the token is over is a warning`(_ hours: Int, _ isTold: Bool) async throws {
    let lines = try await Self.lines(Self.settings(["answer-within": .integer(hours)]), Site())
    #expect(lines.contains { $0.hasPrefix("warn answer-within is ") } == isTold, "\(lines)")
  }

  @Test
  func `a stage that gets webhooks alone is not looked at`() throws {
    #expect(try OpenCRVSConnection(Self.settings(["gateway-url": ""])).map { _ in 1 } == nil)
  }

  @Test(arguments: ["{trackingId}{Year}", "{trackingId} B", "B{year", "{year}"])
  func `a pattern that makes no good numbers stops the start`(_ pattern: String) throws {
    #expect { try OpenCRVSConnection(Self.settings(["registration-number-pattern": .text(pattern)])) } throws: {
      ($0 as? SettingError)?.setting == "registration-number-pattern"
    }
    #expect(try OpenCRVSConnection(Self.settings(["registration-number-pattern": "B/{year}-{trackingId}"])).map { _ in 1 } == 1)
  }
}
