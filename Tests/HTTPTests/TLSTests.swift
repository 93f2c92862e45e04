import Glibc
@testable import HTTP
import Synchronization
import System
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(10))) struct TLSTests {
  /// Puts what is in a file where another is, at once.
  private func put(_ from: String, at to: String) throws {
    let bytes = try #require(fileBytes(from))
    try write(bytes, to: to + ".new")
    try #require(rename(to + ".new", to) == 0)
  }

  /// Writes a file in its place, as a program does that knows no better.
  private func write(_ bytes: [UInt8], to path: String) throws {
    let file = try #require(fopen(path, "we"))
    defer { fclose(file) }
    try #require(fwrite(bytes, 1, bytes.count, file) == bytes.count)
  }

  @Test func `a client that trusts the authority is served over TLS, one that does not refuses`() async throws {
    try await withFolder { folder in
      let authority = try await TestAuthority("authority", in: folder)
      let identity = try TLSIdentity(try await authority.issue("server"))
      let facts = try identity.check()
      #expect(facts.covers("localhost") && facts.covers("127.0.0.1") && !facts.covers("127.0.0.2") && facts.notAfter > .now)
      try await withServer([hello, echo], ServerSettings(tls: identity)) { port in
        let trusting = Client(ClientSettings(caFile: authority.certificate))
        for host in ["localhost", "127.0.0.1"] {
          let answer = try await trusting.send(ClientRequest(url: "https://\(host):\(port)/hello"))
          #expect(answer.status == 200 && answer.body == Array("hello".utf8))
        }
        let large = try await trusting.send(
          ClientRequest(
            method: "POST", url: "https://127.0.0.1:\(port)/echo", body: .bytes([UInt8](repeating: 7, count: 1000))))
        #expect(large.body.count == 1000)
        let error = await #expect(throws: HTTPError.self) {
          try await Client().send(ClientRequest(url: "https://127.0.0.1:\(port)/hello"))
        }
        #expect(error?.code == .tls && error?.requestMayHaveBeenSent == false)
        // A client of its own: curl 8.14 takes an open connection of TLS for http: to the same port, too.
        let plain = await #expect(throws: HTTPError.self) {
          try await Client().send(ClientRequest(url: "http://127.0.0.1:\(port)/hello"))
        }
        #expect(plain?.code == .closed || plain?.code == .protocol)
      }
    }
  }

  @Test func `who may call is judged before the body over TLS too`() async throws {
    try await withFolder { folder in
      let authority = try await TestAuthority("authority", in: folder)
      let endpoint = Endpoint(
        "POST", "/in", maxBody: 1 << 20,
        admission: Admission("whoever shows a token") { request in
          try? await Task.sleep(for: .milliseconds(5))
          return request.bearerToken == nil ? Response(status: 401) : nil
        }
      ) { .text(String($0.body.count)) }
      let identity = try TLSIdentity(try await authority.issue("server"))
      try await withServer([endpoint], ServerSettings(tls: identity)) { port in
        let client = Client(ClientSettings(caFile: authority.certificate))
        for size in [0, 10, 15_000, 900_000] {
          for headers: Headers in [[:], ["Authorization": "Bearer T"]] {
            let answer = try await client.send(
              ClientRequest(
                method: "POST", url: "https://localhost:\(port)/in", headers: headers,
                body: .bytes([UInt8](repeating: 65, count: size))))
            #expect(answer.status == (headers.count == 0 ? 401 : 200))
            if headers.count > 0 { #expect(answer.body == Array(String(size).utf8)) }
          }
        }
        client.close()
      }
    }
  }

  @Test func `a certificate for another host is refused`() async throws {
    try await withFolder { folder in
      let authority = try await TestAuthority("authority", in: folder)
      let identity = try TLSIdentity(try await authority.issue("server"))
      try await withServer([hello], ServerSettings(host: "127.0.0.2", tls: identity)) { port in
        let error = await #expect(throws: HTTPError.self) {
          try await Client(ClientSettings(caFile: authority.certificate)).send(
            ClientRequest(url: "https://127.0.0.2:\(port)/hello"))
        }
        #expect(error?.code == .tls && error?.isRetriable == false)
      }
    }
  }

  @Test func `parts that do not fit each other start no server`() async throws {
    try await withFolder { folder in
      let authority = try await TestAuthority("authority", in: folder)
      let (one, other) = (try await authority.issue("one"), try await authority.issue("other"))
      let empty = "\(folder)/empty"
      try write([], to: empty)
      var faults: [TLSIdentity.Files] = []
      faults.append(TLSIdentity.Files(certificate: one.certificate, key: other.key))
      faults.append(TLSIdentity.Files(certificate: empty, key: one.key))
      faults.append(TLSIdentity.Files(certificate: one.certificate, key: empty))
      // No authority is not every authority.
      faults.append(TLSIdentity.Files(certificate: one.certificate, key: one.key, clientCA: empty))
      faults.append(TLSIdentity.Files(certificate: one.certificate, key: one.key, clientCA: one.key))
      for files in faults {
        let identity = try TLSIdentity(files)
        let error = #expect(throws: HTTPError.self) { _ = try Server(ServerSettings(tls: identity), endpoints: [hello]).start() }
        #expect(error?.code == .invalidSettings, "\(files)")
      }
      #expect(throws: HTTPError.self) { try TLSIdentity(.init(certificate: folder + "/none", key: one.key)) }
    }
  }

  @Test func `with authorities of clients nobody else gets an answer, and no handler runs`() async throws {
    try await withFolder { folder in
      let (ours, foreign) = (try await TestAuthority("ours", in: folder), try await TestAuthority("foreign", in: folder))
      var files = try await ours.issue("server")
      files.clientCA = ours.certificate
      let right = try await ours.issue("right")
      let expired = try await ours.issue("expired", days: -1)
      let stranger = try await foreign.issue("stranger")
      let calls = Atomic(0)
      let reasons = Mutex<[String]>([])
      var settings = ServerSettings(tls: try TLSIdentity(files))
      settings.refusedClient = { reason in reasons.withLock { $0.append(reason) } }
      settings.judge = { _ in
        calls.add(1, ordering: .relaxed)
        return nil
      }
      try await withServer([hello], settings) { port in
        let request = ClientRequest(url: "https://127.0.0.1:\(port)/hello")
        func client(_ identity: TLSIdentity.Files?) -> Client {
          Client(ClientSettings(caFile: ours.certificate, identity: identity))
        }
        let first = try await client(right).send(request)
        #expect(first.status == 200)
        #expect(calls.load(ordering: .relaxed) == 1)
        for (identity, reason) in [(nil, "no-certificate"), (expired, "expired"), (stranger, "foreign")] {
          let error = await #expect(throws: HTTPError.self, "\(reason)") { try await client(identity).send(request) }
          // In TLS 1.3 a client learns of it only after it thinks that the handshake is over.
          #expect([.tls, .closed, .protocol].contains(error?.code), "\(reason): \(String(describing: error))")
          #expect(try await eventually { reasons.withLock { $0.last } == reason }, "\(reasons.withLock { $0 })")
        }
        #expect(calls.load(ordering: .relaxed) == 1 && reasons.withLock { $0.count } == 3)
        #expect(try await client(right).send(request).status == 200)
      }
    }
  }

  @Test func `a renewed certificate is taken for new connections while old ones go on, and a bad one is not`() async throws {
    try await withFolder { folder in
      let (old, new) = (try await TestAuthority("old", in: folder), try await TestAuthority("new", in: folder))
      let files = try await old.issue("server")
      let (renewed, over) = (try await new.issue("renewed"), try await new.issue("over", days: -1))
      let (slowBegan, slowGate) = (Gate(), Gate())
      let slow = Endpoint("GET", "/slow") { _ in
        slowBegan.open()
        await slowGate.wait()
        return .empty()
      }
      var settings = ServerSettings(tls: try TLSIdentity(files))
      settings.tlsLookSeconds = 0.5
      let server = try Server(settings, endpoints: [slow, hello])
      let port = try server.start()
      let url = "https://127.0.0.1:\(port)"
      func isServed(_ authority: TestAuthority, path: String = "/hello") async throws -> Bool {
        // Each client begins with a connection of its own.
        let client = Client(ClientSettings(caFile: authority.certificate))
        defer { client.close() }
        return (try? await client.send(ClientRequest(url: url + path)).status).map { $0 < 300 } == true
      }
      let before = try #require(server.tls?.notAfter)
      async let underWay = isServed(old, path: "/slow")
      await slowBegan.wait()

      try put(renewed.certificate, at: files.certificate)
      try put(renewed.key, at: files.key)
      #expect(try await eventually { try await isServed(new) })
      #expect(try await !isServed(old))
      #expect(server.tls?.refused == nil && server.tls?.failures == 0)
      slowGate.open()
      #expect(try await underWay, "what was under way when the certificate changed is answered")

      // What is no certificate, one whose key is another's, and one that is over, leave it in force and are told once each.
      let half = Array(try #require(fileBytes(renewed.certificate)).prefix(200))
      try write(half, to: files.certificate)
      #expect(try await eventually { server.tls?.failures == 1 })
      try put(over.certificate, at: files.certificate)
      #expect(try await eventually { server.tls?.failures == 2 })
      #expect(server.tls?.refused == "the key is not the certificate's")
      try put(over.key, at: files.key)
      #expect(try await eventually { server.tls?.failures == 3 })
      #expect(server.tls?.refused == "the certificate is over")
      unlink(files.key)
      #expect(try await eventually { server.tls?.failures == 4 })
      #expect(try await isServed(new), "what was good stays")
      let after = try #require(server.tls?.notAfter)
      #expect(after >= before)

      let again = try await old.issue("again")
      try put(again.key, at: files.key)
      try put(again.certificate, at: files.certificate)
      #expect(try await eventually { try await isServed(old) })
      #expect(server.tls?.refused == nil)
      await server.stop(graceSeconds: 1)
    }
  }

  @Test func `a certificate whose key is not there yet is refused only when the next look finds it alone, too`() async throws {
    try await withFolder { folder in
      let (old, new) = (try await TestAuthority("old", in: folder), try await TestAuthority("new", in: folder))
      let (files, renewed, again) = (try await old.issue("server"), try await new.issue("renewed"), try await old.issue("again"))
      let watch = try TLSWatch(try TLSIdentity(files), log: Log("test"))
      try put(renewed.certificate, at: files.certificate)
      watch.look()
      #expect(watch.state.failures == 0 && watch.state.refused == nil)
      try put(renewed.key, at: files.key)
      watch.look()
      #expect(watch.state.failures == 0 && watch.state.refused == nil)
      try put(again.certificate, at: files.certificate)
      for failures in [0, 1, 1] {
        watch.look()
        #expect(watch.state.failures == failures)
      }
      #expect(watch.state.refused == "the key is not the certificate's")
    }
  }

  @Test func `the authorities of clients are renewed with the certificate`() async throws {
    try await withFolder { folder in
      let (old, new) = (try await TestAuthority("old", in: folder), try await TestAuthority("new", in: folder))
      var files = try await old.issue("server")
      files.clientCA = "\(folder)/clients.pem"
      try put(old.certificate, at: "\(folder)/clients.pem")
      let (before, after) = (try await old.issue("before"), try await new.issue("after"))
      var settings = ServerSettings(tls: try TLSIdentity(files))
      settings.tlsLookSeconds = 0.5
      try await withServer([hello], settings) { port in
        func isServed(_ identity: TLSIdentity.Files) async throws -> Bool {
          let client = Client(ClientSettings(caFile: old.certificate, identity: identity))
          defer { client.close() }
          return (try? await client.send(ClientRequest(url: "https://127.0.0.1:\(port)/hello")).status) == 200
        }
        let (first, stranger) = (try await isServed(before), try await isServed(after))
        #expect(first && !stranger)
        try put(new.certificate, at: "\(folder)/clients.pem")
        #expect(try await eventually { try await isServed(after) })
        #expect(try await !isServed(before))
      }
    }
  }
}
