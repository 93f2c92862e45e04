import TestSupport
import HTTP
import JSON
import StageKit
import StandIn
import Testing

@testable import MosipPlatform

/// Short messages and mails over MOSIP's notifier: sent once at most, whatever goes wrong.
@Suite(.serialized, .timeLimit(.minutes(30))) struct NotifierTests {
  /// A way to send.
  enum Way: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case sms
    case email
    var testDescription: String { rawValue }
    var path: String { "/v1/notifier/\(rawValue)/send" }
    var sent: SentMessage {
      self == .sms
        ? SentMessage(to: "9876543210", text: "Zoë, é & =\n--x")
        : SentMessage(to: "zoë@example.org", subject: "Zoë & é", text: "a\r\nb=c&d")
    }

    func send(_ notifier: any Notifier, to: String? = nil, text: String? = nil) async throws {
      switch self {
      case .sms: try await notifier.sendSMS(text ?? sent.text, to: to ?? sent.to)
      case .email: try await notifier.sendEmail(text ?? sent.text, subject: sent.subject ?? "", to: to ?? sent.to)
      }
    }
  }

  @Test(arguments: Way.allCases) func `a message arrives as it was written, and nothing of it is in the URL`(_ way: Way)
    async throws
  {
    try await World.run { world async throws in
      try await way.send(world.mosip.notifier)
      #expect(world.standIn.messages == [way.sent])
      #expect(world.standIn.count(way.path) == 1)
    }
    let http = Answering { request in
      if request.url.contains("/token") {
        return ClientResponse(status: 200, body: Array(#"{"access_token":"t","expires_in":60}"#.utf8))
      }
      guard request.url == "http://mosip.invalid" + way.path, request.isSentOnce else { return ClientResponse(status: 400) }
      return ClientResponse(status: 200, body: Array(#"{"response":{"status":"success"},"errors":null}"#.utf8))
    }
    try await way.send(FaultTests.services(http, CallSettings()).notifier)
  }

  @Test func `the envelope is MOSIP's`() async throws {
    try await World.run { world async throws in
      try await Way.sms.send(world.mosip.notifier)
      let body = try JSONValue.parse(world.standIn.lastBody("/sms/send") ?? [])
      #expect(body["id"]?.string == "mosip.sms.send" && body["version"]?.string == "1.0")
      #expect(body["request"] == ["number": "9876543210", "message": .string(Way.sms.sent.text)])
    }
  }

  @Test(arguments: Way.allCases) func `an error within a 200 is final and shows nobody`(_ way: Way) async throws {
    try await World.run { world async throws in
      let secret = way == .sms ? "98x7654" : "nobody at example"
      let refused = await fault { try await way.send(world.mosip.notifier, to: secret) }
      #expect(refused?.code == (way == .sms ? "KER-NOS-002" : "KER-NOE-001") && refused?.isRetriable == false)
      #expect(refused?.description.contains(secret) == false)
      #expect(world.standIn.count(way.path) == 1 && world.standIn.messages.isEmpty)
      let empty = await fault { try await way.send(world.mosip.notifier, text: "") }
      #expect(empty?.code == (way == .sms ? "KER-NOS-001" : "KER-NOE-003"))
    }
  }

  @Test(arguments: Way.allCases) func `a token that is not taken is renewed once, and the message sent once`(_ way: Way)
    async throws
  {
    try await World.run { world async throws in
      world.standIn.next(way.path, .answer(.text("", status: 401)))
      try await way.send(world.mosip.notifier)
      #expect(world.standIn.messages == [way.sent] && world.standIn.count(way.path) == 2 && world.standIn.count("/token") == 2)
      for _ in 1...2 { world.standIn.next(way.path, .answer(StandInMosip.failed("KER-ATH-401", "Authentication Failed"))) }
      #expect(await fault { try await way.send(world.mosip.notifier) }?.code == "RPR-SVC-008")
      #expect(world.standIn.messages.count == 1)
    }
  }

  @Test(arguments: Way.allCases) func `what may have been sent is not sent again`(_ way: Way) async throws {
    try await World.run { world async throws in
      for (count, status) in [500, 503, 504].enumerated() {
        world.standIn.next(way.path, .lose(.text("", status: status)))
        let fault = await fault { try await way.send(world.mosip.notifier) }
        #expect(fault?.code == "RPR-SVC-004" && fault?.isRetriable == true)
        #expect(world.standIn.messages.count == count + 1 && world.standIn.count(way.path) == count + 1 && world.waits.all.isEmpty)
      }
    }
  }

  @Test(arguments: Way.allCases) func `a time-out ends it`(_ way: Way) async throws {
    try await World.run(calling: CallSettings(timeoutSeconds: 1)) { world async throws in
      try await way.send(world.mosip.notifier)
      world.standIn.next(way.path, .wait(3))
      #expect(await fault { try await way.send(world.mosip.notifier) }?.code == "RPR-SVC-002")
      #expect(world.standIn.count(way.path) == 2)
    }
  }

  @Test(arguments: Way.allCases) func `a notifier that fails again and again is left alone`(_ way: Way) async throws {
    try await World.run(calling: CallSettings(breakerFailures: 2, breakerSeconds: 10)) { world async throws in
      for _ in 1...2 {
        world.standIn.next(way.path, .answer(.text("", status: 503)))
        _ = await fault { try await way.send(world.mosip.notifier) }
      }
      #expect(await fault { try await way.send(world.mosip.notifier) }?.code == "RPR-SVC-005")
      #expect(world.standIn.count(way.path) == 2)
    }
  }

  @Test(arguments: Way.allCases) func `an answer that does not say success is none`(_ way: Way) async throws {
    let answers = [
      (#"{"response":{"status":"failed","message":"9876543210"},"errors":null}"#, false),
      (#"{"response":null,"errors":null}"#, true),
      (#"{"response":{"status":7},"errors":[]}"#, true), ("accepted", true),
    ]
    try await World.run { world async throws in
      for (count, (body, isRetriable)) in answers.enumerated() {
        world.standIn.next(way.path, .answer(.json(body)))
        let fault = await fault { try await way.send(world.mosip.notifier) }
        #expect(fault?.code == "RPR-SVC-006" && fault?.isRetriable == isRetriable)
        #expect(fault?.description.contains("9876543210") == false && world.standIn.count(way.path) == count + 1)
      }
    }
  }

  @Test func `templates are master data's; one that is not there is none`() async throws {
    try await World.run { world async throws in
      world.standIn.setTemplate("RPR_RPV_SUC_SMS", language: "eng", "Hi $name")
      let notifier = world.mosip.notifier
      #expect(try await notifier.template("RPR_RPV_SUC_SMS", language: "eng") == "Hi $name")
      #expect(try await notifier.template("RPR_RPV_SUC_SMS", language: "fra") == nil)
      #expect(try await notifier.template("a/b ?&c", language: "eng") == nil)
      world.standIn.next("/templates/", .answer(StandInMosip.failed("KER-MSD-045", "Error occurred while fetching Templates")))
      #expect(await fault { try await notifier.template("X", language: "eng") }?.isRetriable == true)
      world.standIn.next("/templates/", .answer(.json(#"{"response":{"templates":[{"fileText":"x","isActive":false}]}}"#)))
      #expect(try await notifier.template("X", language: "eng") == nil)
      world.standIn.next("/templates/", .answer(.json(#"{"response":{"templates":[{"isActive":true}]}}"#)))
      #expect(await fault { try await notifier.template("X", language: "eng") }?.code == "RPR-SVC-006")
    }
  }

  @Test(arguments: Way.allCases) func `without a notifier everything is refused`(_ way: Way) async throws {
    let fault = await fault { try await way.send(NoNotifier()) }
    #expect(fault?.code == "RPR-NTF-001" && fault?.isRetriable == false)
    #expect(try await NoNotifier().template("X", language: "eng") == nil)
  }
}
