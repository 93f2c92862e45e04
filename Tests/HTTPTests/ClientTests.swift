import Glibc
@testable import HTTP
import Synchronization
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct ClientTests {
  private func failure(_ client: Client, _ request: ClientRequest) async -> HTTPError? {
    do {
      _ = try await client.send(request)
      return nil
    } catch { return error as? HTTPError }
  }

  /// A listening socket that answers each connection with the given bytes after it has read something, and then closes it.
  private func withPeer<T>(
    _ answer: String?, arrived: Gate? = nil, _ body: (Int) async throws -> T
  ) async throws -> T {
    let listener = try Listener.open(host: "127.0.0.1", port: 0)
    sockets.submit {
      var item = pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)
      while poll(&item, 1, 60_000) > 0 {
        let peer = accept(listener.descriptor, nil, nil)
        guard peer >= 0 else { break }
        var buffer = [UInt8](repeating: 0, count: 4096)
        _ = recv(peer, &buffer, buffer.count, 0)
        arrived?.open()
        guard let answer else {
          // Stay silent until the client gives up.
          _ = recv(peer, &buffer, buffer.count, 0)
          close(peer)
          continue
        }
        _ = answer.withCString { Glibc.send(peer, $0, strlen($0), Int32(MSG_NOSIGNAL)) }
        close(peer)
      }
      close(listener.descriptor)
    }
    defer { shutdown(listener.descriptor, Int32(SHUT_RDWR)) }
    return try await body(listener.port)
  }

  @Test func `status, header fields and body come back as they were sent`() async throws {
    let endpoint = Endpoint("PUT", "/x") { request in
      var response = Response(status: 418, body: request.body)
      response.headers.append("X-Twice", request.headers["X-In"] ?? "-")
      response.headers.append("X-Twice", request.headers["Content-Type"] ?? "none")
      response.headers.append("X-Empty", request.headers["X-None"].map { "<\($0)>" } ?? "-")
      return response
    }
    try await withServer([endpoint]) { port in
      let client = Client()
      let bytes = SecureRandom.bytes(5000)
      let answer = try await client.send(
        ClientRequest(
          method: "PUT", url: "http://127.0.0.1:\(port)/x", headers: ["X-In": "1", "X-None": ""], body: .bytes(bytes)))
      #expect(answer.status == 418 && answer.body == bytes)
      #expect(answer.headers.all("x-twice") == ["1", "none"])
      #expect(answer.headers["X-Empty"] == "<>")
    }
  }

  @Test func `a source is sent piece by piece, and an answer may go into a file`() async throws {
    let bytes = SecureRandom.bytes((9 << 20) + 17)
    let endpoint = Endpoint("PUT", "/x", maxBody: 16 << 20) { request in Response(status: 200, body: request.body) }
    let missing = Endpoint("GET", "/none") { _ in Response(status: 404, body: Array("not here".utf8)) }
    try await withServer([endpoint, missing]) { port in
      let client = Client()
      var request = ClientRequest(
        method: "PUT", url: "http://127.0.0.1:\(port)/x", body: .source(MemorySource(bytes)), maxResponseBytes: 16 << 20)
      #expect(try await client.send(request).body == bytes)
      request.spoolsAnswer = true
      // On the connection that was kept, too.
      for _ in 0..<2 {
        let answer = try await client.send(request)
        #expect(answer.body.isEmpty && answer.content is FileSource)
        #expect(try answer.content?.bytes() == bytes)
      }
      var small = request
      small.body = .source(MemorySource([1, 2]))
      #expect(try await client.send(small).content?.bytes() == [1, 2])
      small.body = .source(MemorySource([]))
      #expect(try await client.send(small).content?.count == 0)
      // What says why there is no answer is read like any other.
      var none = ClientRequest(url: "http://127.0.0.1:\(port)/none")
      none.spoolsAnswer = true
      let answer = try await client.send(none)
      #expect(answer.status == 404 && answer.content == nil && answer.body == Array("not here".utf8))
      request.maxResponseBytes = 1 << 20
      #expect(await failure(client, request)?.code == .tooLarge)
    }
  }

  /// A source that fails in its middle.
  private final class Broken: ByteSource {
    let count = 4 << 20
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
      if offset > 1 << 20 { throw ByteSourceError("gone") }
      buffer.initializeMemory(as: UInt8.self, repeating: 7)
    }
  }

  @Test func `a source that cannot be read to its end sends no whole request`() async throws {
    let taken = Counter()
    let endpoint = Endpoint("PUT", "/x", maxBody: 16 << 20) { _ in
      taken.add()
      return Response(status: 200)
    }
    try await withServer([endpoint]) { port in
      let request = ClientRequest(method: "PUT", url: "http://127.0.0.1:\(port)/x", body: .source(Broken()))
      #expect(await failure(Client(), request)?.code == .unreadableFile)
    }
    #expect(taken.value == 0)
  }

  @Test func `connections are used again`() async throws {
    let endpoint = Endpoint("GET", "/") { _ in .empty() }
    try await withServer([endpoint], ServerSettings(maxConnections: 1)) { port in
      // The server has room for one connection only: a client that opened a second one would wait.
      let client = Client()
      for _ in 0..<50 {
        let answer = try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/"))
        #expect(answer.status == 204)
      }
    }
  }

  @Test(arguments: [
    "file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pw@127.0.0.1/", "127.0.0.1", "", "gopher://x",
  ])
  func `only http and https without user are spoken`(_ url: String) async {
    let error = await failure(Client(), ClientRequest(url: url))
    #expect(error?.code == .protocol && error?.requestMayHaveBeenSent == false && error?.isRetriable == false)
    #expect(error?.description.contains("pw") == false)
  }

  @Test func `a redirect is an answer like any other`() async throws {
    let endpoint = Endpoint("GET", "/a") { _ in Response(status: 302, headers: ["Location": "/b"]) }
    try await withServer([endpoint, Endpoint("GET", "/b") { _ in .text("b") }]) { port in
      let request = ClientRequest(url: "http://127.0.0.1:\(port)/a")
      let answer = try await Client().send(request)
      #expect(answer.status == 302 && answer.headers["Location"] == "/b")
      let followed = try await Client(ClientSettings(followsRedirects: true)).send(request)
      #expect(followed.status == 200 && followed.headers["Location"] == nil)
    }
  }

  @Test func `a peer that never answers ends in a time-out that tells the request was sent, without its query`()
    async throws
  {
    try await withPeer(nil) { port in
      let request = ClientRequest(
        method: "POST", url: "http://127.0.0.1:\(port)/path?token=s3cret", body: .bytes(Array("personal".utf8)),
        timeoutSeconds: 0.3)
      let error = await failure(Client(), request)
      #expect(error?.code == .timedOut && error?.requestMayHaveBeenSent == true && error?.isRetriable == true)
      #expect(error?.target == "http://127.0.0.1:\(port)/path")
      #expect(error?.description.contains("s3cret") == false && error?.description.contains("personal") == false)
    }
  }

  @Test func `a port where nobody listens is a refused connection and nothing was sent`() async throws {
    let listener = try Listener.open(host: "127.0.0.1", port: 0)
    close(listener.descriptor)
    let error = await failure(Client(), ClientRequest(url: "http://127.0.0.1:\(listener.port)/"))
    #expect(error?.code == .connectionRefused && error?.requestMayHaveBeenSent == false && error?.isRetriable == true)
  }

  @Test func `a name without an address is a failed look-up`() async throws {
    let error = await failure(Client(), ClientRequest(url: "http://no-such-host.invalid/"))
    #expect(error?.code == .resolve && error?.requestMayHaveBeenSent == false)
  }

  @Test func `a peer that closes too early or speaks something else is an error`() async throws {
    let cases: [(String, HTTPError.Code)] = [
      ("", .closed), ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", .closed), ("SSH-2.0-x\r\n", .protocol),
    ]
    for (answer, code) in cases {
      try await withPeer(answer) { port in
        let error = await failure(Client(), ClientRequest(url: "http://127.0.0.1:\(port)/"))
        #expect(error?.code == code && error?.requestMayHaveBeenSent == true)
      }
    }
  }

  @Test func `a response above the limit is an error`() async throws {
    let endpoint = Endpoint("GET", "/") { _ in Response(body: [UInt8](repeating: 1, count: 1000)) }
    try await withServer([endpoint]) { port in
      let url = "http://127.0.0.1:\(port)/"
      let error = await failure(Client(), ClientRequest(url: url, maxResponseBytes: 999))
      #expect(error?.code == .tooLarge)
      let answer = try await Client().send(ClientRequest(url: url, maxResponseBytes: 1000))
      #expect(answer.body.count == 1000)
    }
  }

  @Test func `a body that the server finds too large ends in its 413, whatever the size`() async throws {
    try await withServer([echo]) { port in
      let client = Client()
      for size in [1001, 3 << 20, 20 << 20] {
        let answer = try await client.send(
          ClientRequest(
            method: "POST", url: "http://127.0.0.1:\(port)/echo", body: .bytes([UInt8](repeating: 1, count: size))))
        #expect(answer.status == 413)
      }
    }
  }

  @Test func `cancelling the task aborts the transfer, also before it began`() async throws {
    let (arrived, release) = (Gate(), Gate())
    let endpoint = Endpoint("GET", "/") { _ in
      arrived.open()
      await release.wait()
      return .empty()
    }
    try await withServer([endpoint]) { port in
      let client = Client()
      let task = Task { await failure(client, ClientRequest(url: "http://127.0.0.1:\(port)/")) }
      await arrived.wait()
      task.cancel()
      let error = await task.value
      #expect(error?.code == .cancelled && error?.requestMayHaveBeenSent == true && error?.isRetriable == false)
      release.open()
      let early = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        return await failure(client, ClientRequest(url: "http://127.0.0.1:\(port)/"))
      }
      let before = await early.value
      #expect(before?.code == .cancelled && before?.requestMayHaveBeenSent == false)
    }
  }

  @Test func `closing the client ends what is under way and what comes later`() async throws {
    let arrived = Gate()
    try await withPeer(nil, arrived: arrived) { port in
      let client = Client()
      let url = "http://127.0.0.1:\(port)/"
      let task = Task { await failure(client, ClientRequest(url: url)) }
      await arrived.wait()
      client.close()
      #expect(await task.value?.code == .closed)
      #expect(await failure(client, ClientRequest(url: url))?.code == .closed)
    }
  }

  @Test func `a file is sent from disk, and a missing one is an error of its own`() async throws {
    try await withFolder { folder in
      let path = "\(folder)/source"
      let content = SecureRandom.bytes(100_000)
      let file = fopen(path, "we")
      content.withUnsafeBytes { _ = fwrite($0.baseAddress, 1, $0.count, file) }
      fclose(file)
      let endpoint = Endpoint("POST", "/", multipart: MultipartPolicy()) { request in
        Response(headers: ["X-Name": request.parts[0].fileName ?? ""], body: fileBytes(request.parts[0].file!) ?? [])
      }
      try await withServer([endpoint], ServerSettings(uploadFolder: folder)) { port in
        var request = ClientRequest(
          method: "POST", url: "http://127.0.0.1:\(port)/",
          body: .multipartFile(field: "f", fileName: "name.zip", content: .file(path: path)))
        let answer = try await Client().send(request)
        #expect(answer.body == content && answer.headers["X-Name"] == "name.zip")
        request.body = .multipartFile(field: "f", fileName: "name.zip", content: .file(path: "\(folder)/missing"))
        let error = await failure(Client(), request)
        #expect(error?.code == .unreadableFile && error?.requestMayHaveBeenSent == false)
      }
    }
  }

  @Test func `a URL text keeps only unreserved characters`() {
    #expect(URLText.encode("a b/ü?&=~") == "a%20b%2F%C3%BC%3F%26%3D~")
    #expect(URLText.query([(name: "q", value: "1 2"), (name: "r", value: "")]) == "q=1%202&r=")
  }
}
