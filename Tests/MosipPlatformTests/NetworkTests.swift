import TestSupport
import HTTP
import StageKit
import System
import Testing

@testable import MosipPlatform
@testable import EmbeddedPlatform

/// Connections that are cut, silent, slow or endless.
@Suite(.timeLimit(.minutes(30))) struct NetworkTests {
  private static let token = ClientCredentials(id: "us", secret: "our-secret")

  /// Services whose token endpoint works and whose RID generator is the peer.
  private func rids(_ url: String, _ calling: CallSettings) async throws -> (any RIDGenerator, any AuditTrail) {
    let client = Client()
    let http = Answering { request in
      if request.url.contains("/token") {
        return ClientResponse(status: 200, body: Array(#"{"access_token":"t","expires_in":600}"#.utf8))
      }
      return try await client.send(request)
    }
    var settings = World.settings("http://mosip.invalid", calling)
    settings.urls[.rids] = url
    settings.urls[.audit] = url
    let services = MosipPlatform(
      settings, register: NoRegister(), envelopeKeys: NoEnvelopes(), objects: NoObjects(), virusScanner: NoVirusScanner(),
      http: http,
      clock: SystemClock(), timing: Waits().timing
    ).services
    return (services.rids, services.audit)
  }

  private func ends(_ pieces: [String], _ calling: CallSettings, milliseconds: UInt32 = 0, repeating: String? = nil) async throws
    -> (code: String?, isRetriable: Bool?, connections: Int)
  {
    let peer = try RawPeer(pieces, milliseconds: milliseconds, repeating: repeating)
    defer { peer.stop() }
    let rids = try await rids(peer.url, calling).0
    let fault = await fault { try await rids.next(centerId: "45451", machineId: "45452") }
    return (fault?.code, fault?.isRetriable, peer.connections)
  }

  @Test func `a connection that is cut in the middle of an answer is tried again`() async throws {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"response\":"
    let end = try await ends([cut], CallSettings())
    #expect(end.code == "RPR-SVC-003" && end.isRetriable == true && end.connections == 3)
  }

  @Test func `a service that is silent or too slow ends in a time-out`() async throws {
    let calling = CallSettings(timeoutSeconds: 0.3, retry: RetryPolicy(attempts: 2))
    let silent = try await ends([], calling)
    #expect(silent.code == "RPR-SVC-002" && silent.isRetriable == true && silent.connections == 2)
    // Byte by byte is no way to be in time.
    let slow = try await ends(["HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"], calling, milliseconds: 20, repeating: " ")
    #expect(slow.code == "RPR-SVC-002" && slow.isRetriable == true)
  }

  @Test func `an endless answer ends at the limit, and is not asked for again`() async throws {
    let calling = CallSettings(maxAnswerBytes: 100_000)
    let end = try await ends(["HTTP/1.1 200 OK\r\n\r\n"], calling, repeating: String(repeating: " ", count: 10_000))
    #expect(end.code == "RPR-SVC-007" && end.isRetriable == false && end.connections == 1)
  }

  @Test func `a peer that does not speak HTTP is a named error`() async throws {
    let end = try await ends(["SSH-2.0-x\r\n"], CallSettings())
    #expect(end.code == "RPR-SVC-006")
  }

  @Test func `on a kept connection that died an audit entry is not sent a second time, and a RID is asked for again`() async throws
  {
    let peer = try DyingPeer(answer: #"{"response":{"rid":"45451454529999920231231000000"},"errors":null}"#)
    defer { peer.stop() }
    let (rids, audit) = try await rids(peer.url, CallSettings())
    // Each second one meets a dead connection.
    for _ in 1...4 { _ = try await rids.next(centerId: "45451", machineId: "45452") }
    let entry = AuditEntry(eventId: "E", eventName: "n", eventType: "SYSTEM", module: "m", id: "1", description: "d")
    #expect(await fault { try await audit.record([entry]) }?.code == "RPR-SVC-003")
    #expect(peer.audits == 1)
  }

  @Test func `an audit entry whose answer was cut is not sent again, and one that reached nobody is`() async throws {
    let entry = AuditEntry(eventId: "E", eventName: "n", eventType: "SYSTEM", module: "m", id: "1", description: "d")
    let peer = try RawPeer(["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"])
    let audit = try await rids(peer.url, CallSettings()).1
    #expect(await fault { try await audit.record([entry]) }?.code == "RPR-SVC-003")
    #expect(peer.connections == 1)
    peer.stop()
    let waits = Waits()
    var settings = World.settings("http://127.0.0.1:1")
    settings.urls[.iam] = "http://mosip.invalid"
    let client = Client()
    let http = Answering { request in
      request.url.contains("/token")
        ? ClientResponse(status: 200, body: Array(#"{"access_token":"t"}"#.utf8)) : try await client.send(request)
    }
    let unreachable = MosipPlatform(
      settings, register: NoRegister(), envelopeKeys: NoEnvelopes(), objects: NoObjects(), virusScanner: NoVirusScanner(),
      http: http,
      clock: SystemClock(), timing: waits.timing
    ).services.audit
    #expect(await fault { try await unreachable.record([entry]) }?.code == "RPR-SVC-001")
    #expect(waits.all.count == 2)
  }
}
