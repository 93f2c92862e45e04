import JSON
import OpenCRVS

/// Events as OpenCRVS sends them, made for tests.
package enum Births {
  /// The record of the usual birth.
  package static let record = "c0ffee00-0000-4000-8000-000000000001"
  /// Ids of the two locations of its address.
  package static let district = "d0000000-0000-4000-8000-000000000001"
  package static let state = "50000000-0000-4000-8000-000000000001"

  /// The Task of a bundle.
  package static func task(
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

  /// An identifier of a person, of the newer or the older form.
  package static func identifier(_ type: String, _ value: String, coded: Bool = true) -> JSONValue {
    let coding: JSONValue = [
      "coding": [["system": "http://opencrvs.org/specs/identifier-type", "code": .string(type)]]
    ]
    return ["type": coded ? coding : .string(type), "value": .string(value)]
  }

  /// The child of the usual birth.
  package static func child(
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

  /// Its mother.
  package static func mother(line: [String] = ["12", "Hill Road", "East", "", "", "URBAN"], id: String = "m1") -> JSONValue {
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

  /// A Composition that says who is who, by codes and references.
  package static func composition(_ sections: [(String, String)]) -> JSONValue {
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

  /// A bundle of resources.
  package static func bundle(_ resources: [JSONValue]) -> JSONValue {
    ["resourceType": "Bundle", "entry": .array(resources.map { ["resource": $0] })]
  }

  /// An event with a bundle of resources.
  package static func event(_ resources: [JSONValue], topic: String = "BIRTH_REGISTERED", id: String = "w1") -> JSONValue {
    [
      "timestamp": "2022-09-01T08:00:00.000Z", "id": .string(id),
      "event": ["hub": ["topic": .string(topic)], "context": [bundle(resources)]],
    ]
  }

  /// The birth that most tests are about.
  package static func usual(
    record: String = record, number: String = "2022BTEST01", given: String = "Amina", aid: String? = nil
  ) -> JSONValue {
    event([task(record: record, number: number), child(given: given, number: number, aid: aid), mother()])
  }

  /// What the mediators read of such an event.
  package static func read(_ resources: [JSONValue], topic: String = "BIRTH_REGISTERED") throws -> OpenCRVSBundle {
    try OpenCRVSEvent(event(resources, topic: topic).encoded()).bundle
  }

  /// The RID of this number, of a center and a machine.
  package static func rid(_ number: Int, _ center: String = "45451", _ machine: String = "45452") -> String {
    let sequence = String(String(100_000 + number).dropFirst())
    return center + machine + sequence + "20240901081500"
  }
}
