import HTTP
import Testing

@Suite(.timeLimit(.minutes(10))) struct RouterTests {
  private func endpoint(_ method: String, _ pattern: String) -> Endpoint {
    Endpoint(method, pattern) { request in .text(pattern + (request.parameters["a"] ?? "")) }
  }

  @Test(arguments: [
    [("GET", "/a"), ("get", "/a")], [("GET", "/a"), ("GET", "/a/")],
    [("GET", "/a/{x}"), ("GET", "/a/{y}")], [("GET", "/{x}/b"), ("GET", "/a/{y}")],
    [("GET", "a")], [("GET", "/{x}/{x}")], [("GET", "/a{x}")], [("GET", "/{}")],
  ])
  func `endpoints that are there twice, contradict each other or cannot be read are refused`(_ list: [(String, String)]) {
    #expect(throws: HTTPError.self) { try Server(endpoints: list.map { endpoint($0.0, $0.1) }) }
  }

  @Test func `the more special pattern wins in whatever order they are given`() async throws {
    let endpoints = [
      endpoint("GET", "/p/{a}"), endpoint("GET", "/p/new"), endpoint("POST", "/p/{a}"), endpoint("GET", "/"),
    ]
    for list in [endpoints, endpoints.reversed()] {
      try await withServer(list) { port in
        let client = Client()
        for (path, body) in [("/p/new", "/p/new"), ("/p/1", "/p/{a}1"), ("/", "/")] {
          let answer = try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)\(path)"))
          #expect(String(decoding: answer.body, as: UTF8.self) == body)
        }
        let post = try await client.send(ClientRequest(method: "POST", url: "http://127.0.0.1:\(port)/p/new"))
        #expect(String(decoding: post.body, as: UTF8.self) == "/p/{a}new")
        let empty = try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/p/"))
        #expect(empty.status == 404)
      }
    }
  }

  @Test func `a slash at the end of a path says nothing, and no empty segment stands for a parameter`() async throws {
    let endpoints = [
      endpoint("GET", "/"), endpoint("POST", "/callback"), endpoint("PATCH", "/identity/"), endpoint("GET", "/p/{a}"),
      endpoint("GET", "/q/{a}/r"),
    ]
    try await withServer(endpoints) { port async throws in
      let client = Client()
      func answer(_ method: String, _ path: String) async throws -> (Int, String) {
        let answer = try await client.send(ClientRequest(method: method, url: "http://127.0.0.1:\(port)\(path)"))
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
      }
      #expect(try await answer("POST", "/callback") == (200, "/callback"))
      #expect(try await answer("POST", "/callback/") == (200, "/callback"))
      #expect(try await answer("POST", "/callback/?a=1") == (200, "/callback"))
      #expect(try await answer("PATCH", "/identity") == (200, "/identity/"))
      #expect(try await answer("PATCH", "/identity/") == (200, "/identity/"))
      #expect(try await answer("GET", "/p/1/") == (200, "/p/{a}1"))
      #expect(try await answer("GET", "/") == (200, "/"))
      #expect(try await answer("GET", "/callback/").0 == 405)
      for path in ["/p/", "/p//", "/callback//", "/q//r", "/q//r/", "/x/"] {
        #expect(try await answer("GET", path).0 == 404, "\(path)")
      }
    }
  }

  @Test func `what answers unknown paths below a path answers those alone, whatever the method`() async throws {
    let unknown = ["/a", "/a/b"].map { prefix in
      Endpoint(anythingBelow: prefix) { .text("nothing at \($0.path) below \(prefix)", status: 404) }
    }
    try await withServer(unknown + [endpoint("POST", "/a/b/c")]) { port in
      let client = Client()
      for (method, path, expected) in [
        ("POST", "/a/b/c", "200 /a/b/c"), ("PUT", "/a/b/d/e", "404 nothing at /a/b/d/e below /a/b"),
        ("GET", "/a/x", "404 nothing at /a/x below /a"),
      ] {
        let answer = try await client.send(ClientRequest(method: method, url: "http://127.0.0.1:\(port)\(path)"))
        #expect("\(answer.status) \(String(decoding: answer.body, as: UTF8.self))" == expected)
      }
      for (path, status) in [("/a/b/c", 405), ("/a", 404), ("/b/x", 404)] {
        let answer = try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)\(path)"))
        #expect(answer.status == status)
        #expect(!String(decoding: answer.body, as: UTF8.self).contains("nothing at"))
      }
    }
    #expect(throws: HTTPError.self) { try Server(endpoints: unknown + unknown) }
  }
}
