import TestSupport
import Glibc
import HTTP
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct LoadTests {
  /// In a process of its own, where nobody else opens files.
  @Test func `thousands of requests on 16 connections are all answered and leave no file descriptor open`() async {
    await #expect(processExitsWith: .success) {
      // The runtime begins to wait for its timers with the first sleep.
      try await Task.sleep(for: .milliseconds(1))
      let before = descriptors()
      let server = try Server(ServerSettings(), endpoints: [echo, hello])
      let port = try server.start()
      let client = Client(ClientSettings(maxConnectionsPerHost: 16))
      let right = await withTaskGroup(of: Int.self) { group in
        for worker in 0..<16 {
          group.addTask {
            var right = 0
            for number in 0..<500 {
              let body = Array("\(worker) \(number)".utf8)
              let answer = try? await client.send(
                ClientRequest(method: "POST", url: "http://127.0.0.1:\(port)/echo", body: .bytes(body)))
              if answer?.status == 200, answer?.body == body { right += 1 }
            }
            return right
          }
        }
        return await group.reduce(0, +)
      }
      precondition(right == 16 * 500)
      // Clients that come and go, half of them in the middle of a request.
      for number in 0..<300 {
        try await RawSocket.with(port) { socket in
          socket.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\(number % 2 == 0 ? "ab" : "a")")
          if number % 2 == 0 { _ = socket.response() }
        }
      }
      client.close()
      await server.stop(graceSeconds: 5)
      // The client's thread ends by itself.
      try await eventually("the end of the client's thread") { descriptors() <= before }
    }
  }

  @Test func `servers and clients can be made and stopped many times, with requests under way`() async throws {
    for _ in 0..<30 {
      let arrived = Gate()
      let greeting = Endpoint("GET", "/hello") { _ in
        arrived.open()
        return .text("hello")
      }
      let server = try Server(ServerSettings(), endpoints: [greeting])
      let port = try server.start()
      let client = Client()
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask {
            for _ in 0..<20 {
              do {
                let answer = try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/hello"))
                #expect(answer.status == 503 || answer.status == 200 && answer.body == Array("hello".utf8))
              } catch is HTTPError {}
            }
          }
        }
        await arrived.wait()
        await server.stop(graceSeconds: 0)
        try await group.waitForAll()
      }
      await #expect(throws: HTTPError.self) { try await client.send(ClientRequest(url: "http://127.0.0.1:\(port)/hello")) }
    }
  }
}
