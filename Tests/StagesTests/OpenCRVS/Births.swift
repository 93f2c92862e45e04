import JSON
import Registration
import System

@testable import HTTP
@testable import Stages

/// Events as OpenCRVS sends them, made for tests.
enum Births {
  static let record = "c0ffee00-0000-4000-8000-000000000001"
  static let district = "d0000000-0000-4000-8000-000000000001"
  static let state = "50000000-0000-4000-8000-000000000001"

  static func task(
    _ kind: String = "BIRTH", record: String = record, number: String? = "2022BTEST01", phone: String? = "+1234567890",
    lastModified: String = "2022-09-01T08:00:00.000Z"
  ) -> JSONValue {
    var identifiers: [JSONValue] = [["system": "http://opencrvs.org/specs/id/draft-id", "value": "x"]]
    if let number {
      let system = "http://opencrvs.org/specs/id/\(kind.lowercased())-registration-number"
      identifiers.append(["system": .string(system), "value": .string(number)])
    }
    var extensions: [JSONValue] = [
      ["url": "http://opencrvs.org/specs/extension/contact-person", "valueString": "MOTHER"],
      ["url": "http://opencrvs.org/specs/extension/contact-person-email", "valueString": "grace@example.org"],
    ]
    if let phone {
      extensions.append([
        "url": "http://opencrvs.org/specs/extension/contact-person-phone-number", "valueString": .string(phone),
      ])
    }
    return [
      "resourceType": "Task",
      "code": ["coding": [["system": "http://opencrvs.org/specs/types", "code": .string(kind)]]],
      "focus": ["reference": .string("Composition/\(record)")], "identifier": .array(identifiers),
      "extension": .array(extensions),
      "lastModified": .string(lastModified),
    ]
  }

  static func identifier(_ type: String, _ value: String, coded: Bool = true) -> JSONValue {
    let coding: JSONValue = [
      "coding": [["system": "http://opencrvs.org/specs/identifier-type", "code": .string(type)]]
    ]
    return ["type": coded ? coding : .string(type), "value": .string(value)]
  }

  static func child(
    given: String = "Amina", family: String = "Banda", number: String? = "2022BTEST01", aid: String? = nil,
    coded: Bool = true,
    id: String = "k1"
  ) -> JSONValue {
    var identifiers: [JSONValue] = []
    if let number { identifiers.append(identifier("BIRTH_REGISTRATION_NUMBER", number, coded: coded)) }
    if let aid { identifiers.append(identifier("MOSIP_AID", aid, coded: coded)) }
    return [
      "resourceType": "Patient", "id": .string(id), "active": true,
      "name": [["use": "en", "given": [.string(given), ""], "family": coded ? .string(family) : [.string(family)]]],
      "gender": "female", "birthDate": "2022-08-30", "identifier": .array(identifiers),
    ]
  }

  static func mother(line: [String] = ["12", "Hill Road", "East", "", "", "URBAN"], id: String = "m1") -> JSONValue {
    [
      "resourceType": "Patient", "id": .string(id), "name": [["use": "en", "given": ["Grace"], "family": ["Banda"]]],
      "birthDate": "1995-02-03", "identifier": [identifier("NATIONAL_ID", "4826157309")],
      "address": [
        [
          "type": "PRIMARY_ADDRESS", "line": .array(line.map { .string($0) }), "city": "Lakeside",
          "district": .string(district),
          "state": .string(state), "postalCode": "10101", "country": "FAR",
        ]
      ],
    ]
  }

  static func composition(_ sections: [(String, String)]) -> JSONValue {
    [
      "resourceType": "Composition", "id": .string(record),
      "section": .array(
        sections.map { code, reference in
          [
            "code": ["coding": [["system": "http://opencrvs.org/specs/sections", "code": .string(code)]]],
            "entry": [["reference": .string(reference)]],
          ]
        }),
    ]
  }

  static func bundle(_ resources: [JSONValue]) -> JSONValue {
    ["resourceType": "Bundle", "entry": .array(resources.map { ["resource": $0] })]
  }

  static func event(_ resources: [JSONValue], topic: String = "BIRTH_REGISTERED", id: String = "w1") -> JSONValue {
    [
      "timestamp": "2022-09-01T08:00:00.000Z", "id": .string(id),
      "event": ["hub": ["topic": .string(topic)], "context": [bundle(resources)]],
    ]
  }

  /// The birth that most tests are about.
  static func usual(
    record: String = record, number: String = "2022BTEST01", given: String = "Amina", aid: String? = nil
  ) -> JSONValue {
    event([task(record: record, number: number), child(given: given, number: number, aid: aid), mother()])
  }

  static func read(_ resources: [JSONValue], topic: String = "BIRTH_REGISTERED") throws -> CRVSBundle {
    try CRVSEvent(event(resources, topic: topic).encoded()).bundle
  }

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
