import ObjectStores
import HTTP
import JSON
import Registration
import StageKit
import StandIn
import Synchronization
import System
import TestSupport
import Testing

@testable import MosipPlatform
@testable import EmbeddedPlatform

/// What changes of identities promise, and what is refused, of both implementations.
@Suite(.serialized, .timeLimit(.minutes(30))) struct IdentityContractTests {
  private static let unknown = "5075291708"

  private func rid(_ number: Int) -> String { "100011000200\(number)0120240229235959" }

  private static let fields: JSONValue = [
    "IDSchemaVersion": 0.1, "fullName": [["language": "eng", "value": "Zoë Rao"], ["language": "fra", "value": "Zoé"]],
    "gender": [["language": "eng", "value": "Female"]], "dateOfBirth": "2026/02/19",
  ]

  /// Runs a test with an active identity of the RID 1.
  private func run(
    _ kind: Kind, _ body: (_ repository: any IdentityRepository, _ uin: String, _ world: World) async throws -> Void
  ) async throws {
    try await World.run { world async throws in
      let repository = world.services(kind).identities
      try await body(repository, try await birth(repository, rid(1)), world)
    }
  }

  private func birth(_ repository: any IdentityRepository, _ rid: String) async throws -> String {
    try await repository.createDraft(rid: rid, uin: nil, idempotencyKey: rid)
    try await repository.updateDraft(rid: rid, fields: Self.fields, documents: [], idempotencyKey: rid)
    _ = try await repository.publishDraft(rid: rid, idempotencyKey: rid)
    return try #require(try await repository.identity(.rid(rid))).uin
  }

  @Test(arguments: Kind.allCases) func `a repeat of a change sets nothing back, whatever happened since`(_ kind: Kind) async throws
  {
    try await run(kind) { repository, uin, _ in
      let changes: [(Int, String?, JSONValue?)] = [
        (2, "DEACTIVATED", nil), (3, "ACTIVATED", ["dateOfBirth": "2026/02/20"]), (4, nil, ["dateOfBirth": "2026/02/21"]),
      ]
      for (number, status, fields) in changes {
        try await repository.update(uin: uin, rid: rid(number), status: status, fields: fields, idempotencyKey: "k")
      }
      for (number, status, fields) in changes + changes.reversed() {
        try await repository.update(uin: uin, rid: rid(number), status: status, fields: fields, idempotencyKey: "k")
      }
      let identity = try #require(try await repository.identity(.uin(uin)))
      #expect(identity.status == "ACTIVATED" && identity.rid == rid(4))
      #expect(identity.fields["dateOfBirth"] == "2026/02/21")
    }
  }

  @Test(arguments: Kind.allCases) func `a RID makes one change of one identity`(_ kind: Kind) async throws {
    try await run(kind) { repository, uin, _ in
      let other = try await birth(repository, rid(2))
      try await repository.update(uin: uin, rid: rid(3), status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      for (person, number, status) in [
        (uin, 3, "ACTIVATED"), (other, 3, "DEACTIVATED"), (uin, 2, "DEACTIVATED"), (other, 1, "ACTIVATED"),
      ] {
        let refused = await fault {
          try await repository.update(uin: person, rid: rid(number), status: status, fields: nil, idempotencyKey: "k")
        }
        #expect(refused?.code == "IDR-IDC-012" && refused?.kind == .conflict, "\(number) \(status)")
      }
      #expect(try await repository.identity(.uin(uin))?.status == "DEACTIVATED")
      #expect(try await repository.identity(.uin(other))?.status == "ACTIVATED")
    }
  }

  @Test(arguments: Kind.allCases) func `an identity is found by every RID of its history`(_ kind: Kind) async throws {
    try await run(kind) { repository, uin, _ in
      try await repository.update(uin: uin, rid: rid(2), status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      try await repository.update(uin: uin, rid: rid(3), status: "BLOCKED", fields: nil, idempotencyKey: "k")
      for number in 1...3 {
        let found = try #require(try await repository.identity(.rid(rid(number))))
        #expect(found.uin == uin && found.status == "BLOCKED")
      }
    }
  }

  @Test(arguments: Kind.allCases) func `an unknown UIN is no record, with and without fields`(_ kind: Kind) async throws {
    try await run(kind) { repository, _, _ in
      for fields: JSONValue? in [nil, ["IDSchemaVersion": 0.1, "phone": "1"]] {
        let missing = await fault {
          try await repository.update(uin: Self.unknown, rid: rid(2), status: "DEACTIVATED", fields: fields, idempotencyKey: "k")
        }
        #expect(missing?.code == "IDR-IDC-007" && missing?.kind == .notFound)
        #expect(missing?.description.contains(Self.unknown) == false)
      }
    }
  }

  @Test(arguments: Kind.allCases) func `a field may be changed so often, and then never again`(_ kind: Kind) async throws {
    try await run(kind) { repository, uin, _ in
      func change(_ number: Int, _ day: Int) async throws {
        try await repository.update(
          uin: uin, rid: rid(number), status: nil, fields: ["dateOfBirth": .string("2026/01/1\(day)")], idempotencyKey: "k")
      }
      // What changes nothing does not count.
      for (number, day) in [(2, 1), (3, 1), (4, 2)] { try await change(number, day) }
      // A draft that is published counts.
      try await repository.createDraft(rid: rid(5), uin: uin, idempotencyKey: "k")
      try await repository.updateDraft(
        rid: rid(5), fields: ["IDSchemaVersion": 0.1, "dateOfBirth": "2026/01/13"], documents: [], idempotencyKey: "k")
      _ = try await repository.publishDraft(rid: rid(5), idempotencyKey: "k")
      let refused = await fault { try await change(6, 4) }
      #expect(refused?.code == "IDR-IDC-013" && refused?.kind == .refused)
      #expect(refused?.message == "Update count limit for the attributes exceeded:- dateOfBirth")
      #expect(try await repository.identity(.uin(uin))?.fields["dateOfBirth"] == "2026/01/13")
      #expect(try await repository.identity(.rid(rid(6))) == nil)
      try await repository.update(uin: uin, rid: rid(7), status: "DEACTIVATED", fields: ["phone": "1"], idempotencyKey: "k")
    }
  }

  @Test(arguments: Kind.allCases) func `fields that the schema does not know or refuses change nothing`(_ kind: Kind) async throws {
    try await run(kind) { repository, uin, _ in
      let wrong: [JSONValue] = [
        ["favourite": "secret value"], ["phone": 7], ["dateOfBirth": "secret value"], ["fullName": "secret value"],
      ]
      for (fields, name) in zip(wrong, ["favourite", "phone", "dateOfBirth", "fullName"]) {
        let refused = await fault {
          try await repository.update(uin: uin, rid: rid(2), status: "DEACTIVATED", fields: fields, idempotencyKey: "k")
        }
        #expect(refused?.code == "IDR-IDC-002" && refused?.kind == .refused, "\(name)")
        #expect(refused?.message.contains("identity/\(name)") == true && refused?.message.contains("secret") == false)
      }
      let identity = try #require(try await repository.identity(.uin(uin)))
      #expect(identity.status == "ACTIVATED" && identity.fields["favourite"] == nil && identity.rid == rid(1))
      let gone = await fault {
        try await repository.update(uin: uin, rid: rid(2), status: "GONE", fields: nil, idempotencyKey: "k")
      }
      #expect(gone?.code == "IDR-IDC-002")
    }
  }

  @Test(arguments: Kind.allCases) func `texts are merged by language, and nothing is ever taken away`(_ kind: Kind) async throws {
    try await run(kind) { repository, uin, _ in
      try await repository.update(
        uin: uin, rid: rid(2), status: nil,
        fields: ["fullName": [["language": "eng", "value": "Zoë Banda"]], "gender": .null, "phone": "1"], idempotencyKey: "k")
      let fields = try #require(try await repository.identity(.uin(uin))).fields
      #expect(fields["fullName"] == [["language": "eng", "value": "Zoë Banda"], ["language": "fra", "value": "Zoé"]])
      #expect(fields["gender"] == [["language": "eng", "value": "Female"]] && fields["phone"] == "1")
    }
  }

  @Test(arguments: Kind.allCases) func `a draft over an identity is merged as a change is`(_ kind: Kind) async throws {
    try await run(kind) { repository, uin, _ in
      try await repository.update(uin: uin, rid: rid(2), status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      try await repository.createDraft(rid: rid(3), uin: uin, idempotencyKey: "k")
      try await repository.updateDraft(
        rid: rid(3), fields: ["IDSchemaVersion": 0.1, "fullName": [["language": "ara", "value": "زوي"]]], documents: [],
        idempotencyKey: "k")
      for _ in 1...2 { #expect(try await repository.publishDraft(rid: rid(3), idempotencyKey: "k") == "DEACTIVATED") }
      let identity = try #require(try await repository.identity(.rid(rid(3))))
      #expect(identity.uin == uin && identity.fields["fullName"]?.array?.count == 3)
      #expect(identity.fields["dateOfBirth"] == "2026/02/19")
    }
  }

  @Test(arguments: Kind.allCases) func `a change of fields leaves the status`(_ kind: Kind) async throws {
    try await run(kind) { repository, uin, _ in
      try await repository.update(uin: uin, rid: rid(2), status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      try await repository.update(uin: uin, rid: rid(3), status: nil, fields: ["phone": "1"], idempotencyKey: "k")
      #expect(try await repository.identity(.uin(uin))?.status == "DEACTIVATED")
      // Upstream takes a status that is there already as well.
      try await repository.update(uin: uin, rid: rid(4), status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      try await repository.update(uin: uin, rid: rid(5), status: "ACTIVATED", fields: nil, idempotencyKey: "k")
      #expect(try await repository.identity(.uin(uin))?.status == "ACTIVATED")
    }
  }

  @Test(arguments: Kind.allCases) func `a VID finds nobody while its UIN is not active`(_ kind: Kind) async throws {
    try await run(kind) { repository, uin, world in
      let vid = try #require(try await repository.vids(uin: uin).first).vid
      for (number, status) in [(2, "DEACTIVATED"), (3, "BLOCKED")] {
        try await repository.update(uin: uin, rid: rid(number), status: status, fields: nil, idempotencyKey: "k")
        let refused = await fault { try await repository.identity(.vid(vid)) }
        #expect(refused?.code == "IDR-VID-004" && refused?.kind == .refused && refused?.message == "\(status) UIN")
        #expect(try await repository.identity(.uin(uin))?.status == status)
        #expect(try await repository.vids(uin: uin).map(\.vid) == [vid])
      }
      try await repository.update(uin: uin, rid: rid(4), status: "ACTIVATED", fields: nil, idempotencyKey: "k")
      #expect(try await repository.identity(.vid(vid))?.uin == uin)
      _ = try await world.number("UPDATE platform.vid SET status = 'REVOKED' WHERE NOT is_free RETURNING 1")
      let spent = await fault { try await repository.identity(.vid(vid)) }
      #expect(spent?.code == "IDR-VID-001" && spent?.kind == .refused && spent?.message == "VID is REVOKED")
      #expect(try await repository.identity(.vid("5847602319485716")) == nil)
    }
  }

  @Test(arguments: Kind.allCases) func `the verification partner hears of a change of status without being asked for it`(
    _ kind: Kind
  ) async throws {
    try await run(kind) { repository, uin, world in
      func published(_ topic: String) async throws -> Int? {
        try await world.number("SELECT count(*) FROM platform.hub_message WHERE topic = '\(topic)'")
      }
      try await repository.update(uin: uin, rid: rid(2), status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      #expect(try await eventually { try await published("mpartner-default-auth/REMOVE_ID") == 2 })
      try await repository.update(uin: uin, rid: rid(3), status: "ACTIVATED", fields: nil, idempotencyKey: "k")
      #expect(try await eventually { try await published("IDENTITY_UPDATED") == 1 })
      #expect(try await published("mpartner-default-auth/CREDENTIAL_ISSUED") == 1)
      #expect(try await published("mpartner-default-auth/REMOVE_ID") == 2)
    }
  }

  @Test(arguments: Kind.allCases) func `what a new identity lacks is named, and the draft stays`(_ kind: Kind) async throws {
    try await run(kind) { repository, _, _ in
      var fields = try #require(Self.fields.object)
      fields["gender"] = nil
      try await repository.createDraft(rid: rid(2), uin: nil, idempotencyKey: "k")
      try await repository.updateDraft(rid: rid(2), fields: .object(fields), documents: [], idempotencyKey: "k")
      for _ in 1...2 {
        let refused = await fault { try await repository.publishDraft(rid: rid(2), idempotencyKey: "k") }
        #expect(refused?.code == "IDR-IDC-001" && refused?.kind == .refused)
        #expect(refused?.message.contains("identity/gender") == true && refused?.message.contains("Zo") == false)
        #expect(try await repository.hasDraft(rid: rid(2)))
      }
      try await repository.updateDraft(rid: rid(2), fields: Self.fields, documents: [], idempotencyKey: "k")
      #expect(try await repository.publishDraft(rid: rid(2), idempotencyKey: "k") == "ACTIVATED")
    }
  }
}

/// The time that requests carry.
@Suite(.timeLimit(.minutes(30))) struct RequestTimeTests {
  /// A clock that runs while somebody waits.
  private final class RunningClock: WallClock {
    private let moment = Mutex(Instant(milliseconds: 1_772_000_000_000))
    var now: Instant { moment.withLock { $0 } }
    func pass(_ seconds: Double) { moment.withLock { $0 = $0.advanced(bySeconds: seconds) } }
  }

  private struct Seen: Sendable {
    var times: [String] = []
    var ages: [Double] = []
  }

  @Test func `every try has the time of now, after a wait and after a token as well`() async throws {
    let clock = RunningClock()
    let seen = Mutex(Seen())
    let http = Answering { request in
      if request.url.contains("/token") {
        // A slow Keycloak.
        clock.pass(90)
        return ClientResponse(status: 200, body: Array(#"{"access_token":"a.b.c","expires_in":86400}"#.utf8))
      }
      guard request.method == "PATCH", case .bytes(let bytes) = request.body else {
        return ClientResponse(
          status: 200,
          body: Array(#"{"response":{"status":"ACTIVATED","identity":{"UIN":"5075291708","IDSchemaVersion":0.1}}}"#.utf8))
      }
      let time = try JSONValue.parse(bytes)["requesttime"]?.string.flatMap { Instant(iso: $0) }
      let tries = seen.withLock { seen in
        seen.ages.append(Double(clock.now.milliseconds - (time?.milliseconds ?? 0)) / 1000)
        return seen.ages.count
      }
      let answers: [(Int, String)] = [(503, ""), (401, ""), (200, #"{"response":{"status":"ACTIVATED"},"errors":null}"#)]
      let (status, body) = answers[min(tries, 3) - 1]
      return ClientResponse(status: status, body: Array(body.utf8))
    }
    let timing = Timing(now: { Double(clock.now.milliseconds) / 1000 }, wait: { _ in clock.pass(120) }, chance: { 0.5 })
    let folder = TemporaryFolder.make()
    defer { TemporaryFolder.remove(folder) }
    let blocking = BlockingPool(name: "test", threads: 1)
    defer { blocking.close() }
    let services = MosipPlatform(
      World.settings("http://mosip.invalid"), register: NoRegister(),
      envelopeKeys: EmbeddedEnvelopeKeys(keys: try KeyFolder(folder: folder), blocking: blocking),
      objects: FileObjectStore(folder: folder, blocking: blocking), virusScanner: NoVirusScanner(), http: http, clock: clock,
      timing: timing
    ).services
    try await services.identities.update(
      uin: "5075291708", rid: "10001100020000120240229235959", status: "ACTIVATED", fields: nil, idempotencyKey: "k")
    #expect(seen.withLock { $0.ages } == [0, 0, 0])
  }

  @Test func `a time that MOSIP's clock refuses may be taken the next time, another refusal never`() async throws {
    try await World.run { world async throws in
      for (text, kind) in [
        ("Invalid Input Parameter - requesttime", ServiceError.Kind.unavailable),
        ("Invalid Input Parameter - identity/phone", .refused),
      ] {
        let known = #"{"response":{"status":"ACTIVATED","identity":{"UIN":"5075291708","IDSchemaVersion":0.1}},"errors":null}"#
        world.standIn.next("/idvid/", .answer(.json(known)))
        world.standIn.next("/idrepository/v1/identity/", .answer(StandInMosip.failed("IDR-IDC-002", text)))
        let refused = await fault {
          try await world.mosip.identities.update(
            uin: "5075291708", rid: "10001100020000120240229235959", status: "ACTIVATED", fields: nil, idempotencyKey: "k")
        }
        #expect(refused?.code == "IDR-IDC-002" && refused?.kind == kind)
      }
    }
  }
}
