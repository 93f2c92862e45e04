import Glibc
import HTTP
import Testing

@Suite struct TLSTests {
  private func openssl(_ arguments: [String]) async throws -> Int32 {
    try await sockets.run {
      var pid = pid_t()
      var words: [UnsafeMutablePointer<CChar>?] = (["openssl"] + arguments).map { strdup($0) }
      words.append(nil)
      defer { for word in words { free(word) } }
      var actions = posix_spawn_file_actions_t()
      posix_spawn_file_actions_init(&actions)
      defer { posix_spawn_file_actions_destroy(&actions) }
      posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
      guard posix_spawnp(&pid, "openssl", &actions, nil, words, environ) == 0 else { return -1 }
      var status: Int32 = 0
      while waitpid(pid, &status, 0) < 0, errno == EINTR {}
      return status
    }
  }

  private func withIdentity<T>(_ body: (_ certificate: String, _ key: String) async throws -> T) async throws -> T {
    try await withFolder { folder in
      let (certificate, key) = ("\(folder)/certificate.pem", "\(folder)/key.pem")
      let status = try await openssl([
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate,
      ])
      try #require(status == 0)
      return try await body(certificate, key)
    }
  }

  @Test func `who may call is judged before the body over TLS too`() async throws {
    try await withIdentity { certificate, key in
      let endpoint = Endpoint(
        "POST", "/in", maxBody: 1 << 20,
        admission: Admission("whoever shows a token") { request in
          try? await Task.sleep(for: .milliseconds(5))
          return request.bearerToken == nil ? Response(status: 401) : nil
        }
      ) { .text(String($0.body.count)) }
      let identity = try TLSIdentity(certificateFile: certificate, keyFile: key)
      try await withServer([endpoint], ServerSettings(tls: identity)) { port in
        let client = Client(ClientSettings(caFile: certificate))
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

  @Test func `a client that trusts the certificate is served over TLS, one that does not refuses`() async throws {
    try await withIdentity { certificate, key in
      let identity = try TLSIdentity(certificateFile: certificate, keyFile: key)
      try await withServer([hello, echo], ServerSettings(tls: identity)) { port in
        let trusting = Client(ClientSettings(caFile: certificate))
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

  @Test func `a certificate for another host is refused`() async throws {
    try await withIdentity { certificate, key in
      let identity = try TLSIdentity(certificateFile: certificate, keyFile: key)
      try await withServer([hello], ServerSettings(host: "127.0.0.2", tls: identity)) { port in
        let error = await #expect(throws: HTTPError.self) {
          try await Client(ClientSettings(caFile: certificate)).send(
            ClientRequest(url: "https://127.0.0.2:\(port)/hello"))
        }
        #expect(error?.code == .tls && error?.isRetriable == false)
      }
    }
  }
}
