import TestEvents
import Cryptography
import JSON
import Registration
import StageKit
import System
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// The MOSIP side with people in its id repository, sent events as the OpenCRVS side seals them.
struct ChangeBench {
  let world: MediatorWorld
  let stage: MosipMediator
  let context: StageContext

  static let uin = "8215013740"
  static let vid = "7280514271570896"
  static let record = "c0ffee00-0000-4000-8000-0000000000d1"
  static let number = "2026DTEST01"

  init(_ settings: [String: SettingValue] = [:], hasNotifier: Bool = false) throws {
    world = try MediatorWorld()
    world.state.withLock { $0.hasNotifier = hasNotifier }
    var given: [String: SettingValue] = ["reversal-within": 100_000, "revocation-within": 100_000]
    given.merge(settings) { $1 }
    (stage, context) = try world.mosip(given)
    world.state.withLock { state in
      state.registrations = [:]
      state.people[Self.uin] = Self.person("Peter Phiri", "1950/01/02", "Male", vid: Self.vid)
    }
  }

  static func person(
    _ name: String, _ born: String, _ gender: String, vid: String? = nil, rid: String = "10000000010000120200101000000"
  )
    -> FakeIdentities.Person
  {
    FakeIdentities.Person(
      fields: [
        "fullName": [["language": "eng", "value": .string(name)]], "dateOfBirth": .string(born),
        "gender": [["language": "eng", "value": .string(gender)]], "IDSchemaVersion": 0.1,
      ], rids: [rid], vid: vid)
  }

  // MARK: events

  /// A death as OpenCRVS 1.5 and later send it: spouse and informant stand before the deceased.
  static func death(
    _ kind: EventKind = .death, record: String = record, number: String = number, id: String? = vid, brn: String? = nil,
    given: String = "Peter", family: String = "Phiri", born: String? = "1950-01-02", gender: String = "male",
    died: String = "2026-02-27", lastModified: String = "2026-03-02T09:00:00.000Z"
  ) -> JSONValue {
    var identifiers = [Births.identifier("DEATH_REGISTRATION_NUMBER", number)]
    if let id { identifiers.append(Births.identifier("NATIONAL_ID", id)) }
    if let brn { identifiers.append(Births.identifier("BIRTH_REGISTRATION_NUMBER", brn)) }
    func person(_ id: String, _ given: String, _ family: String, _ born: String?, _ gender: String, _ identifiers: [JSONValue])
      -> JSONValue
    {
      [
        "resourceType": "Patient", "id": .string(id), "active": true, "gender": .string(gender), "birthDate": JSONValue(born),
        "name": [["use": "en", "given": [.string(given)], "family": .string(family)]], "identifier": .array(identifiers),
      ]
    }
    var deceased = person("d1", given, family, born, gender, identifiers)
    deceased["deceasedBoolean"] = true
    deceased["deceasedDateTime"] = .string(died)
    var composition = Births.composition([("spouse-details", "Patient/s1"), ("deceased-details", "Patient/d1")])
    composition["id"] = .string(record)
    return Births.event(
      [
        composition, Births.task("DEATH", record: record, number: number, lastModified: lastModified),
        person("s1", "Ruth", "Phiri", "1955-03-04", "female", [Births.identifier("NATIONAL_ID", "2671597019")]), deceased,
        [
          "resourceType": "Observation", "code": ["coding": [["code": "uncertified-manner-of-death"]]],
          "valueCodeableConcept": ["coding": [["code": "NATURAL_CAUSES"]]],
        ],
      ], topic: kind.topic)
  }

  /// An event of a birth's record.
  static func birth(
    _ kind: EventKind = .birth, given: String = "Amina", record: String = Births.record, number: String = "2022BTEST01",
    lastModified: String = "2022-09-01T08:00:00.000Z"
  ) -> JSONValue {
    var child = Births.child(given: given, number: number)
    child["birthDate"] = "2022-08-30"
    return Births.event(
      [Births.task(record: record, number: number, lastModified: lastModified), child, Births.mother()], topic: kind.topic)
  }

  // MARK: what is done

  func send(_ event: JSONValue, aid: String? = nil) async throws -> Response {
    let read = try OpenCRVSEvent(event.encoded())
    let kind = try #require(EventKind(topic: read.topic))
    let bytes = aid.map { read.carrying(applicationId: $0) } ?? read.encoded
    let envelope = try Envelope.seal(bytes, for: world.keys.owners["mosip-mediator"]!.certificate)
    let message = SealedMessage(
      id: OpenCRVSRecordKey.of(read), envelope: envelope,
      signature: try world.keys.owners["opencrvs-mediator"]!.key.sign(envelope, .sha512))
    return try await world.call(
      stage, context,
      Request(
        method: "POST", path: "/opencrvs/v1" + kind.path, headers: ["Cookie": "Authorization=good"],
        body: message.encoded(.standard, at: .now)))
  }

  /// Sends and does the work that follows.
  func take(_ event: JSONValue) async throws {
    let response = try await send(event)
    #expect(response.status == 200, "\(response.value)")
    try await run()
  }

  func run() async throws {
    for _ in 0..<4 { try await world.run([(stage, context)], after: 60) }
  }

  func change(_ event: JSONValue) throws -> JSONValue? {
    world.document("mosip-mediator", "change_transactions", OpenCRVSRecordKey.of(try OpenCRVSEvent(event.encoded())))
  }

  func person(_ uin: String = uin) -> FakeIdentities.Person? { world.state.withLock { $0.people[uin] } }

  /// A person releases a change that is held.
  func release(_ event: JSONValue, reason: String = "looked into by hand") async throws {
    let key = OpenCRVSRecordKey.of(try OpenCRVSEvent(event.encoded()))
    world.state.withLock { state in
      guard var record = state.records["mosip-mediator|change_transactions|\(key)"],
        var line = state.records["mosip-mediator|records|\(record.document["recordId"]?.string ?? "")"]
      else { return }
      let take = (record.document["take"]?.int ?? 1) + 1
      record.document["take"] = JSONValue(take)
      record.document["status"] = "RID Generated"
      record.document["release"] = ["author": "somebody", "reason": .string(reason), "at": "2026-04-02T10:00:00.000Z"]
      record.version += 1
      let queue = (line.document["queue"]?.array ?? []) + [.string(key)]
      line.document["queue"] = .array(queue)
      line.version += 1
      state.records["mosip-mediator|change_transactions|\(key)"] = record
      state.records["mosip-mediator|records|\(line.key)"] = line
      if queue.count == 1 {
        state.work.append(("mosip-mediator", WorkItem(kind: "change", key: "\(key)#\(take)", payload: ["key": .string(key)]), 0))
      }
    }
    try await run()
  }

  /// What the OpenCRVS side was told, opened.
  func told() throws -> [JSONValue] {
    try world.state.withLock { $0.requests }.filter { $0.url.hasSuffix("/receiveStatus") }.map { request in
      guard case .bytes(let body) = request.body else { return .null }
      let message = try SealedMessage(body, largest: 1 << 20)
      return try JSONValue.parse(Envelope.open(message.envelope, with: world.keys.owners["opencrvs-mediator"]!.key))
    }
  }

  /// A birth that went the whole way: its identity is in the repository.
  func born(_ event: JSONValue = ChangeBench.birth(), uin: String = "5075291708") async throws -> String {
    let response = try await send(event)
    let rid = try #require(response.value["response"]?["aid"]?.string)
    try await run()
    let read = try OpenCRVSEvent(event.encoded())
    let fields = try await stage.mapped(read, context)
    world.state.withLock { $0.people[uin] = FakeIdentities.Person(fields: fields, rids: [rid]) }
    return rid
  }

  /// The hub tells how a registration ended.
  func ended(_ rid: String, _ result: String) async throws {
    let body = JSONValue.object([
      "instanceId": .string(rid), "resultCode": .string(result), "workflowType": "x", "errorCode": .null,
    ])
    .encoded()
    let response = try await world.call(
      stage, context,
      Request(
        method: "POST", path: MosipMediator.workflowPath,
        headers: ["X-Hub-Signature": HubSignature.webSub(body: body, secret: Array(MediatorWorld.hubSecret.utf8))], body: body))
    #expect(response.status == 200)
    try await run()
  }
}
