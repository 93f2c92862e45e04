import Cryptography
import JSON
import Registration
import StageKit
import System

@testable import HTTP
@testable import Stages

/// Events of all kinds beside births, as OpenCRVS sends them or would.
enum Events {
  static let death = "c0ffee00-0000-4000-8000-0000000000d1"

  static func deceased(nationalId: String? = "8215013740", number: String = "2026DTEST01", more: [JSONValue] = []) -> JSONValue {
    let ids = nationalId.map { [Births.identifier("NATIONAL_ID", $0)] } ?? []
    return [
      "resourceType": "Patient", "id": "d1", "deceasedBoolean": true, "deceasedDateTime": "2026-02-27", "gender": "male",
      "birthDate": "1950-01-02", "name": [["use": "en", "given": ["Peter"], "family": ["Phiri"]]],
      "identifier": .array(ids + more + [Births.identifier("DEATH_REGISTRATION_NUMBER", number)]),
    ]
  }

  /// An event of a kind about its usual record, changed at a moment.
  static func of(
    _ kind: EventKind, at moment: String = "2026-03-02T09:00:00.000Z", given: String = "Amina", record: String? = nil
  ) -> JSONValue {
    if kind.subject == .death {
      let task = Births.task("DEATH", record: record ?? death, number: "2026DTEST01", lastModified: moment)
      var spouse = Births.mother(id: "s1")
      spouse["identifier"] = [Births.identifier("NATIONAL_ID", "2671597019")]
      let sections = Births.composition([("spouse-details", "Patient/s1"), ("deceased-details", "Patient/d1")])
      return Births.event([sections, task, spouse, deceased()], topic: kind.topic)
    }
    let task = Births.task(record: record ?? Births.record, lastModified: moment)
    return Births.event([task, Births.child(given: given), Births.mother()], topic: kind.topic)
  }
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
      return (String(request.url[place.upperBound...]), (try? JSONValue.parse(body))?["id"]?.string ?? "")
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
