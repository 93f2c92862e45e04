import TestSupport
import Glibc
import HTTP
import Synchronization
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct AdmissionTests {
  private static let stranger = Response(status: 401, headers: ["WWW-Authenticate": "Bearer"])

  /// Lets in whoever shows a token; leaves it as the caller.
  private static func token(_ judged: Counter = Counter()) -> Admission {
    Admission("whoever shows a token") { request in
      judged.add()
      request.caller = request.bearerToken
      return request.caller == nil ? stranger : nil
    }
  }

  private static func head(_ path: String, _ length: Int, _ more: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: x\r\nContent-Length: \(length)\r\n\(more)\r\n"
  }

  @Test func `what the admission found out reaches the handler, with the body, and the connection stays usable`() async throws {
    let judged = Counter()
    let endpoints = ["GET", "POST"].map { method in
      Endpoint(method, "/in", maxBody: 100_000, admission: Self.token(judged)) { request in
        Response(status: 200, headers: ["X-Caller": request.caller as? String ?? "-"], body: request.body)
      }
    }
    try await withServer(endpoints) { port in
      let answers = try await RawSocket.with(port) { socket in
        // Without a body, with one in the same piece, with one that comes after the head was judged, in chunks: refused and let in by turns.
        let token = "Authorization: Bearer T\r\n"
        let chunks = "POST /in HTTP/1.1\r\nHost: x\r\n\(token)Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        let requests = [
          "GET /in HTTP/1.1\r\nHost: x\r\n\r\n", "GET /in HTTP/1.1\r\nHost: x\r\n\(token)\r\n", Self.head("/in", 3) + "abc",
          Self.head("/in", 3, token) + "abc", chunks,
        ]
        var answers = requests.map { request in
          socket.send(request)
          return socket.response()
        }
        socket.send(requests.joined())
        answers += requests.map { _ in socket.response() }
        socket.send(Self.head("/in", 70_000, token))
        // The body comes after the head was judged.
        try eventually(blocking: "the judgement of the last head") { judged.value == 11 }
        socket.send([UInt8](repeating: 65, count: 70_000))
        return answers + [socket.response()]
      }
      let once = [401, 200, 401, 200, 200]
      #expect(answers.map { $0?.status } == once + once + [200])
      #expect(answers.map { $0?.headers["X-Caller"] } == [nil, "T", nil, "T", "T", nil, "T", nil, "T", "T", "T"])
      #expect(answers[3]?.body == Array("abc".utf8) && answers[4]?.body == Array("abc".utf8) && answers[10]?.body.count == 70_000)
    }
    #expect(judged.value == 11)
  }

  @Test func `a stranger's large body is refused before a byte of it is read, and nothing goes to the disk`() async throws {
    try await withFolder { folder in
      let (judged, called) = (Counter(), Counter())
      let large = Endpoint("POST", "/large", maxBody: 50 << 20, admission: Self.token(judged)) { _ in
        called.add()
        return .empty()
      }
      let upload = Endpoint("POST", "/upload", maxBody: 50 << 20, multipart: MultipartPolicy(), admission: Self.token(judged)) {
        _ in
        called.add()
        return .empty()
      }
      try await withServer([large, upload], ServerSettings(uploadFolder: folder)) { port in
        let answers = try await withThrowingTaskGroup(of: [ClientResponse?].self) { group in
          for number in 0..<20 {
            group.addTask {
              try await RawSocket.with(port) { socket in
                // Only heads: an answer to them needed no byte of a body.
                let type = "Content-Type: multipart/form-data; boundary=B\r\n"
                socket.send(Self.head(number % 2 == 0 ? "/large" : "/upload", 49_000_000, type))
                return [socket.response(), socket.response()]
              }
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(
          answers.allSatisfy { $0[0]?.status == 401 && $0[0]?.headers["Connection"]?.lowercased() == "close" && $0[1] == nil })
        #expect(judged.value == 20)
        // More than may be read comes before the token: nobody is asked.
        let tooLarge = try await RawSocket.with(port) { socket in
          socket.send(Self.head("/large", 51 << 20))
          return socket.response()?.status
        }
        #expect(tooLarge == 413 && judged.value == 20)
        // Who does not wait, and says no length, is cut off soon.
        let sent = try await RawSocket.with(port) { socket in
          socket.send("POST /large HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
          let chunk = Array("10000\r\n".utf8) + [UInt8](repeating: 65, count: 65536) + [13, 10]
          var sent = 0
          while sent < 700, socket.send(chunk) { sent += 1 }
          return sent
        }
        #expect(sent < 700)
        #expect(entries(folder).isEmpty)
      }
      #expect(called.value == 0)
    }
  }

  @Test func `a client that waits for 100 gets the refusal instead, or 100 once it is let in`() async throws {
    let endpoint = Endpoint("POST", "/in", admission: Self.token()) { request in Response(body: request.body) }
    try await withServer([endpoint]) { port in
      let statuses = try await RawSocket.with(port) { socket in
        socket.send(Self.head("/in", 3, "Expect: 100-continue\r\n"))
        return [socket.response()?.status, socket.response()?.status]
      }
      #expect(statuses == [401, nil])
      let admitted = try await RawSocket.with(port) { socket in
        socket.send(Self.head("/in", 3, "Expect: 100-continue\r\nAuthorization: Bearer T\r\n"))
        let first = socket.response()?.status
        socket.send("abc")
        return [first, socket.response()?.status]
      }
      #expect(admitted == [100, 200])
    }
  }

  @Test func `a client that leaves while it is judged does no harm, and a server that stops meanwhile does not wait`() async throws
  {
    let (judging, released) = (Counter(), Gate())
    let called = Counter()
    let endpoints = [false, true].map { hangsUp in
      Endpoint(
        "POST", hangsUp ? "/silent" : "/in", hangsUp: hangsUp,
        admission: Admission("nobody yet") { request in
          judging.add()
          if request.query("left") != nil { await released.wait() } else { try? await Task.sleep(for: .seconds(3600)) }
          return nil
        }
      ) { _ in
        called.add()
        return .empty()
      }
    }
    let server = try Server(ServerSettings(), endpoints: endpoints + [hello])
    let port = try server.start()
    try await RawSocket.with(port) { socket in
      socket.send(Self.head("/in?left=1", 100) + "abc")
      try eventually(blocking: "the first judgement") { judging.value == 1 }
    }
    released.open()
    let alive = try await RawSocket.with(port) { socket in
      socket.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
      return socket.response()?.status
    }
    #expect(alive == 200)
    let (waiting, silent, small) = (RawSocket(port: port), RawSocket(port: port), RawSocket(port: port))
    waiting.send(Self.head("/in", 900_000, "Expect: 100-continue\r\n"))
    silent.send(Self.head("/silent", 3) + "abc")
    small.send(Self.head("/in", 3) + "abc")
    try await eventually("all judgements") { judging.value == 4 }
    async let stopped: Void = server.stop(graceSeconds: 0)
    let answers = try await sockets.run { [waiting.response()?.status, small.response()?.status] }
    #expect(answers == [503, 503])
    #expect(try await sockets.run { silent.isClosedByPeer() })
    await stopped
    #expect(called.value == 0)
  }

  @Test func `bodies beyond the budget are refused until one is over, by their length or in chunks, on the disk too`() async throws
  {
    try await withFolder { folder in
      let (arrived, release) = (Counter(), Gate())
      let wait: @Sendable (Request) async throws -> Response = { request in
        arrived.add()
        if request.query("wait") != nil { await release.wait() }
        return .empty()
      }
      let endpoints = [
        Endpoint("POST", "/in", maxBody: 10_000, handler: wait),
        Endpoint("POST", "/silent", maxBody: 10_000, hangsUp: true, handler: wait),
        Endpoint("POST", "/upload", maxBody: 10_000, multipart: MultipartPolicy(), handler: wait), hello,
      ]
      let settings = ServerSettings(maxBodyBytesInFlight: 1000, uploadFolder: folder)
      try await withServer(endpoints, settings) { port in
        @Sendable func ask(_ path: String, _ count: Int, _ more: String = "", chunked: Bool = false) async throws -> ClientResponse?
        {
          try await RawSocket.with(port) { socket in
            let body = String(repeating: "x", count: count)
            if chunked {
              socket.send(
                "POST \(path) HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\(String(count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
              )
            } else {
              socket.send(Self.head(path, count, more) + (count > 500 ? "" : body))
            }
            return socket.response()
          }
        }
        // Alone, a body larger than the budget comes in; nobody else does meanwhile.
        let alone = RawSocket(port: port)
        alone.send(Self.head("/in?wait=1", 5000) + String(repeating: "x", count: 5000))
        try await eventually("the large body") { arrived.value == 1 }
        let refused = try await ask("/in", 600)
        #expect(
          refused?.status == 503 && refused?.headers["Retry-After"] == "1"
            && refused?.headers["Connection"]?.lowercased() == "close")
        #expect(try await ask("/in", 1)?.status == 503)
        let chunks = try await ask("/in", 600, chunked: true)
        #expect(chunks?.status == 503 && chunks?.headers["Retry-After"] == "1")
        #expect(try await ask("/upload", 600, "Content-Type: multipart/form-data; boundary=B\r\n")?.status == 503)
        #expect(try await ask("/silent", 600) == nil)
        #expect(try await ask("/silent", 600, chunked: true) == nil)
        #expect(try await ask("/in", 0)?.status == 204)
        #expect(entries(folder).isEmpty)
        release.open()
        #expect(try await sockets.run { alone.response()?.status } == 204)
        // All of it is given back, by those who were refused, who left in the middle, and who were answered.
        for _ in 0..<20 {
          _ = try await RawSocket.with(port) { socket in socket.send(Self.head("/in", 900) + "abc") }
        }
        try await eventually("room for a body") { try await ask("/in", 400)?.status == 204 }
        for _ in 0..<20 {
          #expect(try await ask("/in", 400)?.status == 204)
          #expect(try await ask("/in", 400, chunked: true)?.status == 204)
          #expect(try await ask("/in", 10_001, "Expect: 100-continue\r\n")?.status == 413)
        }
      }
    }
  }

  @Test func `one address has no more connections than it may, and gets them back`() async throws {
    try await withServer([hello], ServerSettings(maxConnectionsPerAddress: 3)) { port in
      @Sendable func ask(_ socket: RawSocket) async throws -> Int? {
        try await sockets.run {
          socket.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
          return socket.response()?.status
        }
      }
      var open: [RawSocket] = []
      for _ in 0..<3 {
        open.append(RawSocket(port: port))
        #expect(try await ask(open[open.count - 1]) == 200)
      }
      #expect(try await ask(RawSocket(port: port)) == nil)
      open.removeLast()
      try await eventually("a connection") { try await ask(RawSocket(port: port)) == 200 }
    }
  }
}
