import Cryptography
import JSON
import Registration
import StageKit
import System
import TestEvents

@testable import OpenCRVS
@testable import HTTP

extension Births {
  static func webhook(_ event: JSONValue, secret: String = MediatorWorld.webhookSecret) -> Request {
    webhook(event.encoded(), secret: secret)
  }

  static func webhook(_ body: [UInt8], secret: String = MediatorWorld.webhookSecret) -> Request {
    Request(
      method: "POST", path: "/webhooks",
      headers: ["X-Hub-Signature": HubSignature.openCRVS(body: body, secret: Array(secret.utf8))], body: body)
  }
}

extension Response {
  var value: JSONValue { (try? JSONValue.parse(body)) ?? .null }
  var code: String? { value["errors"]?[0]?["errorCode"]?.string }
}

extension MediatorWorld {
  /// Has the MOSIP side take whatever comes, and do nothing.
  func takeAllAtMosip() {
    state.withLock { state in
      for kind in EventKind.allCases {
        state.answers["/opencrvs/v1" + kind.path] = Array(
          repeating: ClientResponse(status: 200, body: Array(#"{"response":{"message":"Received."}}"#.utf8)), count: 200)
      }
    }
  }

  /// What was sent to the MOSIP side, in order: path and the id of the sealed message.
  var forwarded: [(path: String, id: String)] {
    state.withLock { $0.requests }.compactMap { request in
      guard let place = request.url.firstRange(of: "/opencrvs/v1"), request.method == "POST",
        case .bytes(let body) = request.body
      else { return nil }
      return (String(request.url[place.upperBound...].prefix { $0 != "?" }), (try? JSONValue.parse(body))?["id"]?.string ?? "")
    }
  }

  /// The same, without the repeats.
  var forwardedOnce: [String] {
    forwarded.map(\.id).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
  }

  func back(_ path: String, _ message: JSONValue) throws -> Request {
    let plain = message.encoded()
    let (to, from) = (keys.owners["opencrvs-mediator"], keys.owners["mosip-mediator"])
    guard let to, let from else { throw Crash() }
    let sealed = SealedMessage(
      id: "", envelope: try Envelope.seal(plain, for: to.certificate), signature: try from.key.sign(plain, .sha512))
    return Request(
      method: "POST", path: path, headers: ["Authorization": "Bearer good"], body: sealed.encoded(.urlSafe, at: .now))
  }

  func event(_ key: String) -> JSONValue? { document("opencrvs-mediator", "events", key) }
  func queue(_ record: String) -> [String]? {
    document("opencrvs-mediator", "records", record)?["queue"]?.array?.compactMap(\.string)
  }
}
