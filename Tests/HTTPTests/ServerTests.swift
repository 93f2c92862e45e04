import TestSupport
import Glibc
import HTTP
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct ServerTests {
  @Test func `two requests are answered on one connection`() async throws {
    try await withServer([hello, echo]) { port in
      let answers = try await RawSocket.with(port) { socket in
        socket.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        let first = socket.response()
        socket.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na\0b")
        return [first, socket.response()]
      }
      #expect(answers.map { $0?.status } == [200, 200])
      #expect(answers[0]?.body == Array("hello".utf8))
      #expect(answers[1]?.body == [97, 0, 98])
    }
  }

  @Test func `requests sent in one go are answered in their order`() async throws {
    try await withServer([hello, echo]) { port in
      let bodies = try await RawSocket.with(port) { socket in
        let posts = (0..<20).map { "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\($0 + 10)" }
        socket.send(posts.joined())
        return (0..<20).map { _ in socket.response()?.body ?? [] }
      }
      #expect(bodies == (0..<20).map { Array("\($0 + 10)".utf8) })
    }
  }

  @Test func `a request that arrives byte by byte is understood`() async throws {
    try await withServer([echo]) { port in
      let answer = try await RawSocket.with(port) { socket in
        for byte in "POST /echo?x=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nwxyz".utf8 {
          socket.send([byte])
          usleep(500)
        }
        return socket.response()
      }
      #expect(answer?.body == Array("wxyz".utf8))
    }
  }

  @Test func `a handler sees path, parameters, query, header fields, cookies and form decoded`() async throws {
    let endpoint = Endpoint("POST", "/packets/{rid}/files/{name}") { request in
      .text(
        [
          request.path, request.parameters["rid"]!, request.parameters["name"]!, request.query("q") ?? "-",
          request.headers["x-name"] ?? "-", request.headers.all("X-Name").joined(separator: "+"),
          request.cookie("session") ?? "-", request.form().map { "\($0.0)=\($0.1)" }.joined(separator: ","),
          request.remoteAddress, request.bearerToken ?? "-",
        ].joined(separator: "|"))
    }
    try await withServer([endpoint]) { port in
      let answer = try await RawSocket.with(port) { socket in
        socket.send(
          "POST /packets/12%2F3/files/%C3%A9%20a?q=a+b%26c&q=2 HTTP/1.1\r\nHost: x\r\nX-Name: one\r\nx-NAME: two\r\n"
            + "Cookie: a=b; session=\"s1\"\r\nAuthorization: bearer T\r\nContent-Length: 11\r\n\r\na=1&b=x%20+")
        return socket.response()
      }
      let text = String(decoding: answer?.body ?? [], as: UTF8.self)
      #expect(text == "/packets/12/3/files/é a|12/3|é a|a b&c|one|one+two|s1|a=1,b=x  |127.0.0.1|T")
    }
  }

  @Test func `a HEAD request gets the head of the GET answer and no body`() async throws {
    try await withServer([hello]) { port in
      let answers = try await RawSocket.with(port) { socket in
        socket.send("HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        let head = socket.response(toHead: true)
        socket.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        return [head, socket.response()]
      }
      #expect(answers.map { $0?.status } == [200, 200])
      #expect(answers[0]?.headers["Content-Length"] == "5")
      #expect(answers[1]?.body == Array("hello".utf8))
    }
  }

  @Test
  func `an unknown path is 404 and a wrong method is 405 with the methods allowed, and the connection stays usable`()
    async throws
  {
    try await withServer([hello, echo]) { port in
      let answers = try await RawSocket.with(port) { socket in
        socket.send("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        let unknown = socket.response()
        socket.send("PUT /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        let wrong = socket.response()
        socket.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
        return [unknown, wrong, socket.response()]
      }
      #expect(answers.map { $0?.status } == [404, 405, 200])
      #expect(answers[1]?.headers["Allow"] == "GET, HEAD")
    }
  }

  @Test(arguments: [
    "GARBAGE\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /hello HTTP/1.1\r\n\r\n", "GET hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
  ])
  func `a malformed request is 400 or cut off`(_ text: String) async throws {
    try await withServer([hello, echo]) { port in
      let status = try await RawSocket.with(port) { socket in
        socket.send(text)
        socket.finishSending()
        return socket.response()?.status
      }
      #expect(status == nil || status == 400)
    }
  }

  @Test func `a body above the limit is 413 by its length, small or huge, and when it comes in chunks`() async throws {
    let called = Counter()
    let endpoint = Endpoint("POST", "/small", maxBody: 10) { _ in
      called.add()
      return .empty()
    }
    try await withServer([endpoint]) { port in
      let statuses = try await RawSocket.with(port) { socket in
        socket.send("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n01234567890")
        let small = socket.response()?.status
        // The same connection goes on: the small rest was read.
        socket.send("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n8\r\n")
        socket.send("01234567\r\n0\r\n\r\n")
        let chunked = socket.response()?.status
        socket.send("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
        let huge = socket.response()
        return [small, chunked, huge?.status, huge?.headers["Connection"].map { $0.lowercased() == "close" ? 1 : 0 }]
      }
      #expect(statuses == [413, 413, 413, 1])
      let endless = try await RawSocket.with(port) { socket in
        socket.send("POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        let chunk = Array("10000\r\n".utf8) + [UInt8](repeating: 65, count: 65536) + [13, 10]
        var sent = 0
        while sent < 10_000, socket.send(chunk) { sent += 1 }
        return sent
      }
      #expect(endless < 10_000)
    }
    #expect(called.value == 0)
  }

  @Test func `a body above the limit is answered as its endpoint says, and one of just the limit is taken`() async throws {
    let endpoint = Endpoint("POST", "/small", maxBody: 10) { _ in .empty() }
      .answeringTooLarge { .json("{\"code\":\"X\"}", status: 413) }
    try await withServer([endpoint]) { port in
      let bodies = try await RawSocket.with(port) { socket in
        [
          "Content-Length: 10\r\n\r\n0123456789", "Content-Length: 11\r\n\r\n01234567890",
          "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
        ].map { rest in
          socket.send("POST /small HTTP/1.1\r\nHost: x\r\n" + rest)
          let response = socket.response()
          return "\(response?.status ?? 0) \(String(decoding: response?.body ?? [], as: UTF8.self))"
        }
      }
      #expect(bodies == ["204 ", "413 {\"code\":\"X\"}", "413 {\"code\":\"X\"}"])
    }
  }

  @Test func `a head above the limit is 431`() async throws {
    try await withServer([hello], ServerSettings(maxHeaderBytes: 4096)) { port in
      for size in [5000, 200_000] {
        let status = try await RawSocket.with(port) { socket in
          socket.send("GET /hello HTTP/1.1\r\nHost: x\r\nX-Big: \(String(repeating: "a", count: size))\r\n\r\n")
          return socket.response()?.status
        }
        #expect(status == 431)
      }
    }
  }

  @Test func `a handler's own failure is answered as it is, any other error without its details`() async throws {
    struct Secretive: Error { let token = "s3cret" }
    let endpoints = [
      Endpoint("GET", "/failure") { _ in throw HTTPFailure(status: 422, json: "{\"code\":\"A1\"}") },
      Endpoint("GET", "/error") { _ in throw Secretive() },
      Endpoint("GET", "/split") { _ in Response(headers: ["X-A": "b\r\nX-C: d"]) },
    ]
    try await withServer(endpoints) { port in
      let client = Client()
      let failure = try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/failure"))
      #expect(failure.status == 422 && failure.body == Array("{\"code\":\"A1\"}".utf8))
      let error = try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/error"))
      #expect(error.status == 500 && error.body == Array("{\"error\":\"internal error\"}".utf8))
      let split = try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/split"))
      #expect(split.status == 500 && split.headers["X-C"] == nil)
      client.close()
    }
  }

  @Test func `a client that leaves in the middle of its body reaches no handler`() async throws {
    let called = Counter()
    let endpoint = Endpoint("POST", "/in") { _ in
      called.add()
      return .empty()
    }
    try await withServer([endpoint, hello]) { port in
      for coding in ["Content-Length: 100\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"] {
        let answer = try await RawSocket.with(port) { socket in
          socket.send("POST /in HTTP/1.1\r\nHost: x\r\n\(coding)")
          socket.finishSending()
          return socket.response()?.status
        }
        #expect(answer == nil || answer == 400)
      }
    }
    #expect(called.value == 0)
  }

  @Test func `a silent client is closed, and so is one that dribbles its request`() async throws {
    let settings = ServerSettings(idleTimeoutSeconds: 1, requestTimeoutSeconds: 1)
    try await withServer([hello, echo], settings) { port in
      let silent = try await RawSocket.with(port) { socket in
        socket.send("GET /hello HTTP/1.1\r\n")
        return socket.isClosedByPeer()
      }
      #expect(silent)
      for start in [
        "GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: ", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n",
        "GET /",
      ] {
        let sent = try await RawSocket.with(port) { socket in
          socket.send(start)
          var sent = 0
          while sent < 800, socket.send("a") {
            sent += 1
            usleep(100_000)
          }
          return sent
        }
        #expect(sent < 800)
      }
    }
  }

  @Test func `stopping lets a running request finish and accepts no new connection`() async throws {
    let (arrived, release) = (Gate(), Gate())
    let endpoint = Endpoint("GET", "/slow") { _ in
      arrived.open()
      await release.wait()
      return .text("done")
    }
    let server = try Server(ServerSettings(), endpoints: [endpoint])
    let port = try server.start()
    let client = Client()
    async let answer = client.send(ClientRequest(url: "http://127.0.0.1:\(port)/slow"))
    await arrived.wait()
    async let stopped: Void = server.stop(graceSeconds: 60)
    let late = Client()
    try await eventually("the end of new connections") {
      (try? await late.send(ClientRequest(url: "http://127.0.0.1:\(port)/other"))) == nil
    }
    release.open()
    #expect(try await answer.body == Array("done".utf8))
    await stopped
  }

  @Test func `a handler that hangs up closes the connection without a byte`() async throws {
    let server = try Server(
      ServerSettings(), endpoints: [Endpoint("GET", "/hang") { _ in throw HangUp() }, hello])
    let port = try server.start()
    let socket = RawSocket(port: port)
    socket.send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
    #expect(try await sockets.run { socket.isClosedByPeer() })
    let client = Client()
    await #expect(throws: HTTPError.self) {
      try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/hang"))
    }
    #expect(try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/hello")).status == 200)
    await server.stop(graceSeconds: 0)
  }

  @Test func `a server that stops hangs up where no answer may be given, instead of answering 503`() async throws {
    let arrived = Gate()
    let endpoint = Endpoint("GET", "/endless", hangsUp: true) { _ in
      arrived.open()
      try await Task.sleep(for: .seconds(3600))
      return .empty()
    }
    let server = try Server(ServerSettings(), endpoints: [endpoint])
    let socket = RawSocket(port: try server.start())
    socket.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
    await arrived.wait()
    async let stopped: Void = server.stop(graceSeconds: 0)
    #expect(try await sockets.run { socket.isClosedByPeer() })
    await stopped
  }

  /// Stops a server as soon as a handler has begun. The handler waits until it is cancelled.
  private func stopUnderAHandler(_ waiting: @escaping @Sendable () async -> Void) async throws {
    let arrived = Gate()
    let cancelled = Gate()
    let endpoint = Endpoint("GET", "/endless") { _ in
      arrived.open()
      await waiting()
      if Task.isCancelled { cancelled.open() }
      return .empty()
    }
    let server = try Server(ServerSettings(), endpoints: [endpoint])
    let port = try server.start()
    let client = Client()
    async let answer = client.send(ClientRequest(url: "http://127.0.0.1:\(port)/endless"))
    await arrived.wait()
    await server.stop(graceSeconds: 0)
    #expect(try await answer.status == 503)
    await cancelled.wait()
  }

  @Test func `a request that outlasts the grace is answered with 503 and its handler is cancelled`() async throws {
    try await stopUnderAHandler { try? await Task.sleep(for: .seconds(3600)) }
  }

  /// Often, because it looks for a moment: the handler has begun and its connection is only just waiting for it.
  @Test func `a handler is cancelled however early the server stops`() async throws {
    for _ in 0..<50 {
      try await stopUnderAHandler { while !Task.isCancelled { await Task.yield() } }
    }
  }

  @Test func `a server that nobody stops or starts does no harm, and an address in use is an error`() async throws {
    _ = try Server(ServerSettings(), endpoints: [hello])
    let server = try Server(ServerSettings(), endpoints: [hello])
    let port = try server.start()
    #expect(throws: HTTPError.self) { try server.start() }
    #expect(throws: HTTPError.self) { try Server(ServerSettings(port: port), endpoints: []).start() }
    #expect(throws: HTTPError.self) {
      try Server(ServerSettings(tls: TLSIdentity(certificate: "no", key: "no")), endpoints: []).start()
    }
  }
}
