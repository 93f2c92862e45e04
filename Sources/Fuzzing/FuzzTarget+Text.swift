import StageRuntime
import OpenCRVS
import Cryptography
import HTTP
import Registration
import Routing
import StageKit
import System
import YAML

/// Readers of files that people write and of bodies that others send.
extension FuzzTarget {
  private static let stages = StageDirectory(
    ["packet-receiver", "packet-uploader", "packet-validator", "packet-classifier", "uin-generator", "opencrvs"].map {
      StageDirectory.Entry($0)
    })

  static func yaml(_ input: [UInt8]) {
    let reading = RouteFile.read(input, name: "routes.yaml", stages: stages)
    guard reading.file != nil || reading.problems.contains(where: { $0.severity == .error }) else {
      fatalError("no flows and no error")
    }
    // What a person is shown must be makeable of any problem: places lie inside the text.
    _ = reading.report(colours: true)
    _ = RouteCases.read(input, name: "cases.yaml")
    _ = StageDefinition.read(input, name: "packet-validator", file: "stage.yaml").report()
    guard case .formatted(let text) = RouteFormat.format(input, name: "routes.yaml") else { return }
    guard case .formatted(let again) = RouteFormat.format(Array(text.utf8), name: "routes.yaml"), again == text else {
      fatalError("a canonical form that is none")
    }
    let formatted = RouteFile.read(Array(text.utf8), name: "routes.yaml", stages: stages)
    guard (formatted.file == nil) == (reading.file == nil) else { fatalError("formatting makes another file") }
  }

  static func camel(_ input: [UInt8]) {
    let found = CamelImport.read([CamelImport.Source(name: "routes.xml", bytes: input)], stages: stages)
    _ = found.report(colours: false)
    guard found.file != nil || found.problems.contains(where: { $0.severity == .error }) else {
      fatalError("no flows and no error")
    }
  }

  static func multipart(_ input: [UInt8]) {
    let head = input.prefix { $0 != 10 }
    guard let parser = MultipartParser(contentType: String(decoding: head, as: UTF8.self)) else { return }
    let body = Array(input.dropFirst(head.count + 1))
    // In one piece or byte by byte: the same parts or the same refusal.
    let whole = parts(parser, [body])
    guard whole == parts(parser, body.map { [$0] }) else { fatalError("parts that depend on how they arrive") }
    let size = whole?.reduce(0) { $0 + $1.bytes.count } ?? 0
    guard size <= body.count else { fatalError("more than was sent") }
  }

  private struct Part: Equatable {
    var head: MultipartParser.Head
    var bytes: [UInt8] = []
  }

  /// The parts; nil when the body is refused.
  private static func parts(_ parser: MultipartParser, _ pieces: [[UInt8]]) -> [Part]? {
    var parser = parser
    var parts: [Part] = []
    for piece in pieces {
      guard let events = try? parser.feed(piece) else { return nil }
      for event in events {
        switch event {
        case .began(let head): parts.append(Part(head: head))
        case .data(let bytes): parts[parts.count - 1].bytes += bytes
        case .ended: break
        }
      }
    }
    return parser.isComplete ? parts : nil
  }

  private static let secret = SecureRandom.bytes(32)
  private static let rid = "10001100020000120240229235959"

  static func webhook(_ input: [UInt8]) {
    let header = String(decoding: input.prefix { $0 != 10 }, as: UTF8.self)
    let body = Array(input.dropFirst(header.utf8.count + 1))
    for raw in [false, true] {
      guard !HubSignature.isOpenCRVS(header, body: body, secret: secret, acceptingRawBody: raw) else {
        fatalError("a signature that nobody made")
      }
    }
    guard !HubSignature.isWebSub(header, body: body, secret: secret) else { fatalError("a signature that nobody made") }
    // A hub's forms, a token in a header, a cookie.
    let request = Request(method: "POST", path: "/", headers: ["Cookie": header], body: body)
    _ = (request.form(), request.cookie("Authorization"))
    if let token = try? JWS(compact: header), token.isSigned(by: key.publicKey) { fatalError("a token that nobody signed") }
    if case .read(let event) = MediatorBodies.webhook(body, applicationId: rid) {
      // The other mediator reads what this one sends on, and so does it itself.
      guard MediatorBodies.webhook(event, applicationId: rid) == .read(event) else { fatalError("an event that changes") }
    }
    if case .read(let sealed) = MediatorBodies.sealed(body) {
      guard MediatorBodies.sealed(sealed) == .read(sealed) else { fatalError("a body that changes") }
    }
  }
}
