import TestSupport
import Glibc
@testable import HTTP
import Synchronization
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct MultipartParserTests {
  private func parse(_ text: String, boundary: String = "B", chunk: Int = .max) throws -> [(
    MultipartParser.Head, [UInt8]
  )]? {
    var parser = MultipartParser(contentType: "multipart/form-data; boundary=\(boundary)")!
    var parts: [(MultipartParser.Head, [UInt8])] = []
    let bytes = Array(text.utf8)
    var at = 0
    while at < bytes.count {
      let end = min(bytes.count, at + min(chunk, bytes.count))
      for event in try parser.feed(bytes[at..<end]) {
        switch event {
        case .began(let head): parts.append((head, []))
        case .data(let data): parts[parts.count - 1].1 += data
        case .ended: break
        }
      }
      at = end
    }
    return parser.isComplete ? parts : nil
  }

  private let form =
    "preamble\r\n--B  \r\nContent-Disposition: form-data; name=\"plain\"\r\n\r\na\r\n--\r\n-B\r\n\r\n--B\r\n"
    + "content-type: image/png\r\ncontent-disposition: form-data; filename=\"..\\a/..;\\\"x.png\"; name=\"file\"\r\n\r\n\r\n--B\r\n"
    + "Content-Disposition: form-data; name=e; filename*=UTF-8''na%C3%AFve\r\n\r\n\r\r\n\n\r\n--B--\r\nepilogue\r\n--B\r\n"

  @Test(arguments: [1, 2, 3, 5, 7, 11, 64, .max])
  func `parts are the same however the bytes are cut`(_ chunk: Int) throws {
    let parts = try #require(try parse(form, chunk: chunk))
    #expect(parts.map(\.0.name) == ["plain", "file", "e"])
    #expect(parts.map(\.0.fileName) == [nil, "..\\a/..;\"x.png", "naïve"])
    #expect(parts.map(\.0.contentType) == [nil, "image/png", nil])
    #expect(parts.map(\.1) == ["a\r\n--\r\n-B\r\n", "", "\r\r\n\n"].map { Array($0.utf8) })
  }

  @Test func `a quoted boundary with special characters is understood`() throws {
    let parts = try parse(
      "--a;b c\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--a;b c--\r\n", boundary: "\"a;b c\"")
    #expect(parts?.first?.1 == Array("1".utf8))
  }

  @Test func `a body without its final boundary is not complete`() throws {
    #expect(try parse("--B\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--B\r\n") == nil)
    #expect(try parse("") == nil)
  }

  @Test(arguments: [
    "--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--", "--B\r\n\r\n1\r\n--B--",
    "--B\r\nno colon\r\n\r\n1\r\n--B--", "--Bx\r\n", "--B\r\nX: \(String(repeating: "a", count: 9000))",
    "--B\r\nContent-Disposition: attachment; name=\"x\"\r\n\r\n1\r\n--B--", "--B\(String(repeating: " ", count: 9000))",
  ])
  func `what is no form is malformed`(_ text: String) {
    #expect(throws: MultipartParser.Malformed.self) { try parse(text) }
  }

  @Test(arguments: [
    "application/json", "multipart/form-data", "multipart/mixed; boundary=B", "multipart/form-data; boundary=",
    "multipart/form-data; boundary=\(String(repeating: "b", count: 71))",
  ])
  func `a content type without a usable boundary is refused`(_ type: String) {
    #expect(MultipartParser(contentType: type) == nil)
  }

  @Test func `a file name loses folders, control characters and dots that mean folders`() {
    let names = ["a.txt", "../../etc/passwd", "C:\\dir\\b.txt", "a/b\\c", "x\0y\n.txt", "..", "dir/", "", "é/ü.zip"]
    #expect(
      names.map(Part.baseName)
        == ["a.txt", "passwd", "b.txt", "c", "xy.txt", "unnamed", "unnamed", "unnamed", "ü.zip"])
  }
}

@Suite(.timeLimit(.minutes(10))) struct UploadTests {
  private struct Seen: Sendable {
    var fields: [String: [UInt8]] = [:]
    var files: [Part] = []
    var contents: [[UInt8]?] = []
  }

  @Test func `a file of 10 MB arrives on disk byte for byte and is gone after the handler`() async throws {
    try await withFolder { folder in
      let content = SecureRandom.bytes(10 << 20)
      let seen = Mutex(Seen())
      let keep = "\(folder)/kept"
      let endpoint = Endpoint("POST", "/upload", maxBody: 32 << 20, multipart: MultipartPolicy()) { request in
        seen.withLock { seen in
          for part in request.parts {
            guard let file = part.file else {
              seen.fields[part.name] = part.bytes
              continue
            }
            seen.files.append(part)
            seen.contents.append(fileBytes(file))
            if part.name == "second" { rename(file, keep) }
          }
        }
        return .text(String(request.parts.count))
      }
      try await withServer([endpoint], ServerSettings(uploadFolder: folder)) { port in
        let client = Client()
        let answer = try await client.send(
          ClientRequest(
            method: "POST", url: "http://127.0.0.1:\(port)/upload",
            body: .multipart([
              FormPart("note", content: .bytes(Array("a\r\n--b".utf8))),
              FormPart(
                "first", content: .bytes(content), fileName: "../../x/packet.zip", contentType: "application/zip"),
              FormPart("second", content: .bytes([]), fileName: "C:\\empty.bin"),
            ])))
        #expect(answer.status == 200 && answer.body == Array("3".utf8))
        client.close()
      }
      let result = seen.withLock { $0 }
      #expect(result.fields == ["note": Array("a\r\n--b".utf8)])
      #expect(result.files.map(\.fileName) == ["packet.zip", "empty.bin"])
      #expect(result.files.map(\.contentType).first == "application/zip")
      #expect(result.files.map(\.size) == [content.count, 0])
      #expect(result.contents[0] == content && result.contents[1] == [])
      #expect(entries(folder) == ["kept"])
    }
  }

  @Test func `a refused, broken or abandoned upload leaves no file and reaches no handler`() async throws {
    try await withFolder { folder in
      let called = Counter()
      let policy = MultipartPolicy(maxParts: 2, maxFileBytes: 1000, maxFieldBytes: 100)
      let endpoint = Endpoint("POST", "/upload", maxBody: 10_000, multipart: policy) { _ in
        called.add()
        return .empty()
      }
      @Sendable func part(_ name: String, _ size: Int, file: Bool) -> String {
        "--B\r\nContent-Disposition: form-data; name=\"\(name)\"\(file ? "; filename=\"f\"" : "")\r\n\r\n"
          + String(repeating: "x", count: size) + "\r\n"
      }
      let bodies: [(String, Int)] = [
        (part("a", 10, file: true) + part("b", 1001, file: true) + "--B--", 413),
        (part("a", 10, file: true) + part("b", 101, file: false) + "--B--", 413),
        (part("a", 1, file: true) + part("b", 1, file: true) + part("c", 1, file: true) + "--B--", 413),
        (part("a", 10, file: true), 400), (part("a", 10, file: true) + "--Bad", 400),
        (String(repeating: "x", count: 10_001), 413),
      ]
      try await withServer([endpoint, hello], ServerSettings(uploadFolder: folder)) { port in
        let statuses = try await RawSocket.with(port) { socket in
          bodies.map { body, _ in
            socket.send(
              "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\n"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            return socket.response()?.status
          }
        }
        #expect(statuses == bodies.map(\.1))
        let type = try await RawSocket.with(port) { socket in
          socket.send(
            "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
          return socket.response()?.status
        }
        #expect(type == 415)
        _ = try await RawSocket.with(port) { socket in
          socket.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\n")
          socket.send("Content-Length: 9000\r\n\r\n\(part("a", 10, file: true))")
          try eventually(blocking: "a file of the upload") { !entries(folder).isEmpty }
        }
      }
      #expect(entries(folder).isEmpty)
      #expect(called.value == 0)
    }
  }

  @Test func `an upload folder that is not there is an error at the start`() {
    let endpoint = Endpoint("POST", "/upload", multipart: MultipartPolicy()) { _ in .empty() }
    #expect(throws: HTTPError.self) {
      try Server(ServerSettings(uploadFolder: "/tmp/regproc-not-there"), endpoints: [endpoint])
    }
  }
}
