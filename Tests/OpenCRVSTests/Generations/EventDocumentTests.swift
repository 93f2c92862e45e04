import JSON
import TestEvents
import Testing

@testable import OpenCRVS

/// Made-up bodies, as triggers and notices bring them.
enum GenerationSamples {
  static func bytes(_ name: String) throws -> [UInt8] { try FieldNamesTests.file("Tests/Samples/scenarios/\(name).json") }

  static func document(_ name: String, _ change: (inout JSONValue) -> Void = { _ in }) throws -> EventDocument {
    var value = try JSONValue.parse(bytes(name))
    change(&value)
    return try EventDocument(value.encoded())
  }

  /// The event that the mediators read of a sample.
  static func event(
    _ name: String, _ kind: EventKind, number: String = "2026BTEST01", _ change: (inout JSONValue) -> Void = { _ in }
  ) throws -> OpenCRVSEvent {
    try OpenCRVSEvent(document(name, change).event(kind, number: number, fields: .standard))
  }

  static func action(_ value: inout JSONValue, _ place: Int, _ change: (inout JSONValue) -> Void) {
    var actions = value["actions"]?.array ?? []
    change(&actions[place < 0 ? actions.count + place : place])
    value["actions"] = .array(actions)
  }
}

@Suite("Events of OpenCRVS 1.9 and 2.x", .timeLimit(.minutes(10)))
struct EventDocumentTests {
  typealias Samples = GenerationSamples
  static let birth = "e0000000-0000-4000-8000-0000000000b1"
  static let death = "e0000000-0000-4000-8000-0000000000d1"

  @Test(arguments: [
    ("g3-19-birth-register", "REGISTER", "a0000000-0000-4000-8000-000000000005", nil),
    ("g3-2x-birth-register", "REGISTER", "a0000000-0000-4000-8000-000000000005", nil),
    ("g3-birth-register-again-after-reject", "REGISTER", "a0000000-0000-4000-8000-000000000007", nil),
    ("g3-birth-approve-correction", "APPROVE_CORRECTION", "a0000000-0000-4000-8000-000000000012", "2026BTEST01"),
    ("g3-2x-birth-revoke", "CUSTOM", "a0000000-0000-4000-8000-000000000020", "2026BTEST01"),
    ("g3-2x-death-reinstate", "CUSTOM", "a0000000-0000-4000-8000-000000000022", "2026DTEST01"),
  ])
  func `say which action waits for an answer, and the number that the record has`(
    sample: String, type: String, action: String, number: String?
  ) throws {
    let document = try Samples.document(sample)
    #expect(document.pending.type == type && document.pending.id == action)
    #expect(document.registrationNumber == number)
    #expect(document.id == (document.type == "birth" ? Self.birth : Self.death))
    #expect(document.trackingId == (document.type == "birth" ? "BTEST01" : "DTEST01"))
    #expect(document.pending.transactionId?.hasPrefix("t-") == true && document.pending.createdAt != nil)
  }

  @Test
  func `say what an action is about`() throws {
    let revoked = try Samples.document("g3-2x-birth-revoke").pending
    #expect(revoked.customActionType == "REVOKE_REGISTRATION" && revoked.annotation["reason"]?.string == "Registered twice")
    let approved = try Samples.document("g3-birth-approve-correction") { value in
      Samples.action(&value, -1) { $0["content"] = ["immediateCorrection": true] }
    }
    #expect(approved.pending.requestId == "a0000000-0000-4000-8000-000000000011" && approved.pending.isImmediateCorrection)
    #expect(try !Samples.document("g3-birth-approve-correction").pending.isImmediateCorrection)
  }

  @Test(arguments: ["g3-19-birth-register", "g3-2x-birth-register", "g3-birth-register-again-after-reject"])
  func `are births with child, mother, informant and the guardian's token, and an unknown father`(sample: String) throws {
    let event = try Samples.event(sample, .birth)
    let bundle = event.bundle
    #expect(event.topic == "BIRTH_REGISTERED" && bundle.kind == .birth && bundle.compositionId == Self.birth)
    #expect(bundle.subject.names.map(\.value) == ["Amina Banda"] && bundle.subject.names.first?.family == ["Banda"])
    #expect(bundle.subject.birthDate == "2026-02-20" && bundle.subject.gender == "female" && bundle.nationalId == nil)
    #expect(bundle.registrationNumber == "2026BTEST01" && bundle.task.registrationNumber(.birth) == "2026BTEST01")
    #expect(bundle.task.trackingId(.birth) == "BTEST01")
    #expect(bundle.mother?.names.map(\.value) == ["Grace Banda"] && bundle.mother?.birthDate == "1995-02-03")
    #expect(bundle.mother?.nationalId == nil && bundle.mother?.token == "341500000000000000000000000000000039")
    #expect(bundle.guardianToken == "341500000000000000000000000000000039")
    #expect(bundle.informant?.entry == bundle.mother?.entry && bundle.father == nil)
    #expect(bundle.task.contactPhone == "0700000001" && bundle.task.contactEmail == "grace.banda@example.org")
    let address = try #require(bundle.homeAddress)
    #expect(address.lines == ["12", "Hill Road", ""] && address.city == "Lakeside" && address.postalCode == "10101")
    #expect(address.district == "d0000000-0000-4000-8000-000000000001" && address.state == nil)
  }

  @Test
  func `are deaths with deceased, spouse, date and manner of death`() throws {
    let bundle = try Samples.event("g3-death-register", .death, number: "2026DTEST01").bundle
    #expect(bundle.kind == .death && bundle.compositionId == Self.death && bundle.registrationNumber == "2026DTEST01")
    #expect(bundle.subject.names.map(\.value) == ["Peter Phiri"] && bundle.subject.gender == "male")
    #expect(bundle.subject.birthDate == "1950-01-02" && bundle.subject.isDeceased && bundle.dateOfDeath == "2026-02-27")
    #expect(bundle.nationalId == "8215013740" && bundle.token == nil && bundle.birthNumber == nil)
    #expect(bundle.spouse?.names.map(\.value) == ["Ruth Phiri"] && bundle.informant?.entry == bundle.spouse?.entry)
    #expect(bundle.spouse?.token == "278900000000000000000000000000000042" && bundle.mannerOfDeath == "MANNER_NATURAL")
  }

  @Test
  func `know a deceased by token alone, by a birth's number alone, and one whose date of birth nobody knows`() throws {
    let authenticated = try Samples.event("g3-death-register-authenticated", .death).bundle
    #expect(authenticated.token == "412600000000000000000000000000000017" && authenticated.nationalId == nil)
    #expect(authenticated.subject.names.map(\.value) == ["Joseph Mwale"] && authenticated.birthNumber == nil)
    func declaring(_ more: JSONObject) throws -> OpenCRVSBundle {
      try Samples.event("g3-death-register-age-only", .death) { value in
        Samples.action(&value, 1) { action in for member in more { action["declaration"]?[member.key] = member.value } }
      }.bundle
    }
    let old = try declaring(["deceased.dob": "1950-01-02"])
    #expect(old.subject.birthDate == nil && old.nationalId == "8215013740" && old.dateOfDeath == "2026-02-27")
    let child = try declaring(["deceased.nid": nil, "deceased.brn": "2024BCASE20", "deceased.verified": "failed"])
    #expect(child.nationalId == nil && child.birthNumber == "2024BCASE20")
  }

  @Test
  func `prove nobody by the token of a check that failed`() throws {
    for (state, token) in [("failed", nil), ("pending", nil), ("verified", "341500000000000000000000000000000039")] {
      let event = try Samples.event("g3-2x-birth-register", .birth) { value in
        Samples.action(&value, 1) { $0["declaration"]?["mother.verified"] = .string(state) }
      }
      #expect(event.bundle.guardianToken == token, "\(state)")
    }
  }

  @Test
  func `of a corrected birth have the corrected values, with and without the child's number`() throws {
    for (sample, number) in [
      ("g3-birth-approve-correction", "8571569542140812"), ("g3-birth-approve-correction-without-nid", nil),
    ] {
      let event = try Samples.event(sample, .birthCorrection)
      #expect(event.topic == "BIRTH_CORRECTED" && event.bundle.nationalId == number)
      #expect(event.bundle.subject.names.first?.given == ["Amina Rose"] && event.bundle.subject.birthDate == "2026-02-19")
      #expect(event.bundle.subject.gender == "female" && event.bundle.guardianToken != nil)
      let former = try Samples.document(sample).formerValues()
      #expect(former["child.name"]?["firstname"]?.string == "Amina" && former["child.dob"]?.string == "2026-02-20")
    }
  }

  @Test
  func `of a corrected death have the corrected date`() throws {
    let event = try Samples.event("g3-death-approve-correction-date", .deathCorrection, number: "2026DTEST01")
    #expect(event.bundle.dateOfDeath == "2026-02-26" && event.bundle.nationalId == "8215013740")
    #expect(event.bundle.registrationNumber == "2026DTEST01" && event.bundle.task.lastModified == "2026-03-12T10:00:00.000Z")
  }

  @Test(arguments: [
    ("g3-2x-birth-revoke", EventKind.birthRevocation, "Amina Banda"), ("g3-2x-death-revoke", .deathReversal, "Peter Phiri"),
    ("g3-2x-death-reinstate", .death, "Peter Phiri"),
  ])
  func `of a reversal have the record's values`(sample: String, kind: EventKind, name: String) throws {
    let event = try Samples.event(sample, kind)
    #expect(event.topic == kind.topic && event.bundle.subject.names.map(\.value) == [name])
    let document = try Samples.document(sample)
    #expect(document.values() == document.formerValues())
    if kind == .birthRevocation { #expect(event.bundle.nationalId == "8571569542140812") }
  }

  @Test
  func `change nothing by an approval that names the request before it was accepted, or none`() throws {
    for named in ["a0000000-0000-4000-8000-000000000010", "a0000000-0000-4000-8000-000000000002", "nobody"] {
      let document = try Samples.document("g3-birth-approve-correction") { value in
        Samples.action(&value, -1) { $0["requestId"] = .string(named) }
      }
      #expect(document.values() == document.formerValues(), "\(named)")
      #expect(document.values()["child.dob"]?.string == "2026-02-20")
    }
  }

  @Test
  func `change nothing by a request that nobody has approved`() throws {
    let document = try Samples.document("g3-birth-approve-correction") { value in
      value["actions"] = .array(Array((value["actions"]?.array ?? []).dropLast(2)))
    }
    #expect(document.pending.type == "REQUEST_CORRECTION" && document.values() == document.formerValues())
  }

  @Test
  func `lose a field by null, and of a value the members that are null`() throws {
    let document = try Samples.document("g3-birth-approve-correction") { value in
      Samples.action(&value, 1) {
        $0["declaration"]?["child.name"] = ["firstname": "Amina", "middlename": "May", "surname": "Banda"]
      }
      Samples.action(&value, -3) { action in
        action["declaration"] = ["child.nid": nil, "mother.address": nil, "child.name": ["middlename": nil, "firstname": "Rose"]]
      }
    }
    #expect(document.formerValues()["child.name"]?["middlename"]?.string == "May")
    let values = document.values()
    #expect(values["child.nid"] == nil && values["mother.address"] == nil && values["child.dob"]?.string == "2026-02-20")
    #expect(values["child.name"] == ["firstname": "Rose", "surname": "Banda"])
    let bundle = try OpenCRVSEvent(document.event(.birthCorrection, number: "1", fields: .standard)).bundle
    #expect(bundle.nationalId == nil && bundle.homeAddress == nil && bundle.subject.names.map(\.value) == ["Rose Banda"])
  }

  @Test
  func `are made of accepted actions in the order of their moments, and of what their answers add`() throws {
    let document = try Samples.document("g3-2x-birth-revoke") { value in
      var actions = value["actions"]?.array ?? []
      let edit: JSONValue = [
        "id": "a9", "type": "EDIT", "status": "Accepted", "createdAt": "2026-03-02T08:04:00.000Z",
        "declaration": ["child.nid": "0", "child.gender": "male"],
      ]
      let rejected: JSONValue = [
        "id": "a8", "type": "EDIT", "status": "Rejected", "createdAt": "2026-03-03T08:04:00.000Z",
        "declaration": ["child.gender": "unknown"],
      ]
      actions.insert(contentsOf: [edit, rejected], at: actions.count - 1)
      value["actions"] = .array(actions)
    }
    #expect(document.values()["child.nid"]?.string == "8571569542140812", "the answer to REGISTER came later")
    #expect(document.values()["child.gender"]?.string == "male")
  }

  @Test
  func `have names without blanks at their ends, and people whom the form asks for nowhere else`() throws {
    let event = try Samples.event("g3-2x-birth-register", .birth) { value in
      Samples.action(&value, 1) { action in
        action["declaration"]?["child.name"] = ["firstname": " Amina ", "middlename": "", "surname": "Banda\t"]
        for (field, text) in [
          ("informant.relation", "AUNT"), ("informant.nid", "2671597019"), ("informant.verified", "verified"),
        ] { action["declaration"]?[field] = .string(text) }
        action["declaration"]?["informant.name"] = ["firstname": "Ruth", "surname": "Phiri"]
        action["declaration"]?["father.detailsNotAvailable"] = false
        action["declaration"]?["father.name"] = "John Banda"
        action["declaration"]?["father.nid"] = 6_513_480_385
      }
    }
    #expect(event.bundle.subject.names.map(\.value) == ["Amina Banda"])
    #expect(event.bundle.informant?.names.map(\.value) == ["Ruth Phiri"] && event.bundle.informant?.nationalId == "2671597019")
    #expect(event.bundle.informant?.entry != event.bundle.mother?.entry)
    #expect(event.bundle.father?.names.map(\.value) == ["John Banda"] && event.bundle.father?.nationalId == "6513480385")
  }

  @Test
  func `have an address abroad in its own parts`() throws {
    let event = try Samples.event("g3-2x-birth-register", .birth) { value in
      Samples.action(&value, 1) { action in
        action["declaration"]?["mother.address"] = [
          "country": "NOR", "addressType": "INTERNATIONAL", "administrativeArea": nil,
          "streetLevelDetails": [
            "addressLine1": "3", "addressLine2": "Storgata", "cityOrTown": "Bodo", "district2": "Salten", "state": "Nordland",
            "postcodeOrZip": "8000",
          ],
        ]
      }
    }
    let address = try #require(event.bundle.homeAddress)
    #expect(address.lines == ["3", "Storgata", ""] && address.city == "Bodo" && address.district == "Salten")
    #expect(address.state == "Nordland" && address.postalCode == "8000")
  }

  @Test
  func `have the action in their key and not in their content`() throws {
    let first = try Samples.event("g3-birth-approve-correction", .birthCorrection)
    let second = try Samples.event("g3-birth-approve-correction", .birthCorrection) { value in
      Samples.action(&value, -1) {
        $0["id"] = "another"; $0["createdAt"] = "2026-03-10T10:00:00.000Z"
      }
    }
    #expect(first.digest == second.digest && second.bundle.task.version == "another")
    #expect(OpenCRVSRecordKey.of(second) == OpenCRVSRecordKey.of("\(Self.birth):birth-correction:another"))
    #expect(OpenCRVSRecordKey.of(first) != OpenCRVSRecordKey.of(second))
    let (birth, death) = (
      try Samples.event("g3-2x-birth-register", .birth), try Samples.event("g3-death-register", .death)
    )
    #expect(OpenCRVSRecordKey.of(birth) == Self.birth && OpenCRVSRecordKey.of(death) == Self.death + ":death")
    // Else a death that is one again would be the one before its revocation.
    let reinstated = try Samples.event("g3-2x-death-reinstate", .death)
    let version = try #require(reinstated.bundle.task.version)
    #expect(OpenCRVSRecordKey.of(reinstated) == OpenCRVSRecordKey.of("\(Self.death):death:\(version)"))
    let again = try Samples.event("g3-birth-register-again-after-reject", .birth)
    #expect(again.digest == birth.digest && OpenCRVSRecordKey.of(again) == OpenCRVSRecordKey.of(birth))
  }

  @Test
  func `are in the standard names, whatever the country's are`() throws {
    let names = try #require(
      FieldNames.read(Array("version: 1\nidentifiers: {national-id: FNR, token: NATIONAL_ID}\n".utf8), file: "f").names)
    let body = try Samples.document("g3-death-register").event(.death, number: "2026DTEST01", fields: .standard)
    let event = try OpenCRVSEvent(body, names: names)
    #expect(event.bundle.nationalId == "8215013740")
    #expect(try OpenCRVSEvent(event.carrying(applicationId: Births.rid(1)), names: names).bundle.nationalId == "8215013740")
  }

  @Test
  func `that are none are refused, never read halfway`() throws {
    let good = try Samples.bytes("g3-birth-approve-correction")
    for length in stride(from: 0, to: good.count, by: 397) {
      #expect(throws: MediatorError.self) { try EventDocument(Array(good[..<length])) }
    }
    func code(_ text: String) -> String? {
      do { _ = try EventDocument(Array(text.utf8)) } catch { return (error as MediatorError).code.rawValue }
      return nil
    }
    for text in [
      "[]", "{}", #"{"id":5,"type":"birth","actions":[]}"#, #"{"id":"e","actions":[]}"#, #"{"id":"e","type":"birth"}"#,
      #"{"id":"e","type":"birth","actions":[]}"#, #"{"id":"e","type":"birth","actions":[5,{"id":"a"}]}"#,
      #"{"id":"e","type":"birth","actions":[{"id":"a","type":"REGISTER","status":"Accepted"}]}"#,
      #"{"id":"e","type":"birth","actions":[{"id":"a","type":"REGISTER","status":"Requested","declaration":[]}]}"#,
      // Answered by itself, and by each other.
      #"{"id":"e","type":"birth","actions":[{"id":"a","type":"REGISTER","status":"Requested","originalActionId":"a"}]}"#,
      // A reference to it would name another record.
      #"{"id":"e/f","type":"birth","actions":[{"id":"a","type":"REGISTER","status":"Requested"}]}"#,
      #"{"id":"e\n","type":"birth","actions":[{"id":"a","type":"REGISTER","status":"Requested"}]}"#,
      String(repeating: #"{"id":"#, count: 100_000),
    ] { #expect(code(text) == "OPN-CRVS-001", "\(text.prefix(100))") }
    #expect(code("{\"id\":\"\u{FFFD}\"}") == "OPN-CRVS-001")
    #expect(code("{\"id\":\"" + String(repeating: "x", count: EventDocument.largest) + "\"}") == "OPN-CRVS-035")
  }

  @Test
  func `of another type, or without a child, make no event`() throws {
    let document = try Samples.document("g3-2x-birth-register")
    #expect { try document.event(.death, number: "1", fields: .standard) } throws: {
      ($0 as? MediatorError)?.code == .unreadable
    }
    for declaration: JSONValue in [
      ["mother.name": ["firstname": "Grace"]], ["child.detailsNotAvailable": true],
      ["child.name": 5, "child.dob": ["x"], "child.gender": nil, "child.nid": [:], "child.address": "here"],
    ] {
      let empty = try Samples.document("g3-2x-birth-register") { value in
        Samples.action(&value, 1) { $0["declaration"] = declaration }
      }
      #expect { try empty.event(.birth, number: "1", fields: .standard) } throws: {
        ($0 as? MediatorError)?.code == .identity && "\($0)".contains("child.name") && "\($0)".contains("declaration-file")
      }
    }
  }

  @Test
  func `with actions that name each other in circles, or one huge request a thousand times, are read all the same`() throws {
    let document = try Samples.document("g3-2x-birth-register") { value in
      var actions = value["actions"]?.array ?? []
      for (id, other) in [("x", "y"), ("y", "x"), ("z", "z")] {
        actions.insert(
          [
            "id": .string(id), "type": "APPROVE_CORRECTION", "status": "Accepted", "requestId": .string(other),
            "originalActionId": .string(other), "declaration": ["child.dob": "2026-01-01"],
          ], at: 0)
      }
      value["actions"] = .array(actions)
    }
    #expect(document.values()["child.dob"]?.string == "2026-02-20")
    let huge = JSONObject.fields(4_000)
    let many = try Samples.document("g3-2x-birth-register") { value in
      var actions: [JSONValue] = [["id": "h", "type": "DECLARE", "status": "Requested", "declaration": .object(huge)]]
      actions += (0..<1_000).map { number in
        [
          "id": .string("n\(number)"), "type": "DECLARE", "status": "Accepted", "originalActionId": "h",
          "declaration": ["f": ["m\(number)": 1]],
        ]
      }
      value["actions"] = .array(actions + (value["actions"]?.array ?? []).suffix(1))
    }
    #expect(many.values().count == 4_001 && many.values()["f"]?.object?.count == 1_000)
  }
}

extension JSONObject {
  fileprivate static func fields(_ count: Int) -> JSONObject {
    var out = JSONObject()
    for number in 0..<count { out["f\(number)"] = 1 }
    return out
  }
}
