import TestEvents
import JSON
import StageKit
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("The likeness of births", .timeLimit(.minutes(10)))
struct BirthLikenessTests {
  let world: MediatorWorld
  let mapping: BirthMapping
  let keys: any EnvelopeKeys

  init() throws {
    world = try MediatorWorld()
    let (stage, context) = try world.mosip()
    (mapping, keys) = (stage.mapping, context.services.envelopeKeys)
  }

  private func likeness(_ child: JSONValue, _ mother: JSONValue? = Births.mother(), number: String = "N") async throws
    -> BirthLikeness?
  {
    let bundle = try Births.read([Births.task(number: number), child] + (mother.map { [$0] } ?? []))
    return try await BirthLikeness(of: bundle, mapping, keys)
  }

  private static func with(_ person: JSONValue, _ members: JSONObject) -> JSONValue {
    var out = person
    for member in members { out[member.key] = member.value }
    return out
  }

  @Test
  func `is that of the name in the default language, whatever stands before it`() async throws {
    let stranger: JSONValue = ["use": "sw", "given": ["Neema"], "family": "Banda"]
    let child = Births.child()
    let more = Self.with(child, ["name": .array([stranger] + (child["name"]?.array ?? []))])
    #expect(try await likeness(more)?.likeness == likeness(child)?.likeness)
  }

  @Test
  func `is the same for one child under two numbers, in another spelling and form`() async throws {
    let one = try #require(try await likeness(Births.child(given: "Amína", family: "Banda", number: "N1")))
    let other = try #require(
      try await likeness(Births.child(given: "AMINA ", family: "banda.", number: "N2", coded: false, id: "k2")))
    #expect(one.likeness == other.likeness && one.motherLikeness == other.motherLikeness && one.motherLikeness != nil)
    #expect(one.likeness.count == 64 && one.likeness != one.motherLikeness)
  }

  @Test
  func `is another for a twin of another name, another day and another gender`() async throws {
    let usual = Births.child()
    let children = [
      usual, Births.child(given: "Chipo"), Self.with(usual, ["birthDate": "2022-08-31"]), Self.with(usual, ["gender": "male"]),
    ]
    var seen: Set<String> = []
    for child in children { seen.insert(try #require(try await likeness(child)).likeness) }
    #expect(seen.count == children.count)
  }

  @Test
  func `goes by the name in the default language, and by the first where none is in it`() async throws {
    let english: JSONValue = ["use": "en", "given": ["Amina"], "family": "Banda"]
    let french: JSONValue = ["use": "fr", "given": ["Aminata"], "family": "Banda"]
    func of(_ names: [JSONValue]) async throws -> String? {
      try await likeness(Self.with(Births.child(), ["name": .array(names)]))?.likeness
    }
    let usual = try await likeness(Births.child())?.likeness
    #expect(try await of([french, english]) == usual)
    #expect(try await of([french]) != usual)
  }

  @Test
  func `has no mother where none is known or she has no name, and is none of a child without a name or a day of birth`()
    async throws
  {
    let usual = try await likeness(Births.child())
    for mother in [nil, Self.with(Births.mother(), ["name": []])] {
      let found = try #require(try await likeness(Births.child(), mother))
      #expect(found.motherLikeness == nil && found.likeness == usual?.likeness)
    }
    #expect(try await likeness(Self.with(Births.child(), ["birthDate": "unknown"])) == nil)
    #expect(try await likeness(Self.with(Births.child(), ["name": [["use": "en", "given": ["-"]]]])) == nil)
  }

  @Test
  func `depends on the mediator's key, and is no plain digest of what the event says`() async throws {
    let message = Array("x".utf8)
    let code = try await keys.code(message, label: "a", as: MediatorOwner.mosip)
    #expect(code.count == 32)
    #expect(try await keys.code(message, label: "a", as: MediatorOwner.mosip) == code)
    #expect(try await keys.code(message, label: "b", as: MediatorOwner.mosip) != code)
    #expect(try await keys.code(message, label: "a", as: MediatorOwner.opencrvs) != code)
  }
}

extension MosipMediatorTests {
  private func likeness(_ key: String = Births.record) -> JSONValue? {
    world.document("mosip-mediator", "birth_likenesses", key)
  }

  @Test
  func `keeps with each birth that it takes by what its like is found, and nothing of a birth that it refuses`() async throws {
    _ = try await call(birth())
    _ = try await call(birth())
    _ = try await call(birth(Births.usual(record: "r2", number: "N2"), id: "r2"))
    #expect(try await call(birth(Births.usual(record: "r3"), id: "r3")).status == 409)
    #expect(world.count("mosip-mediator", "birth_likenesses") == 2)
    let kept = try #require(likeness())
    #expect(kept == likeness("r2") && kept["likeness"]?.string?.count == 64 && kept["motherLikeness"]?.string?.count == 64)
    // The birth itself goes its way.
    try await run()
    #expect(transaction()?["status"] == "Uploaded" && likeness() == kept)
    #expect(
      !world.state.withLock { state in state.outbox.contains { String(decoding: $0.value, as: UTF8.self).contains("ikeness") } })
  }
}

extension CorrectionTests {
  @Test
  func `leaves one likeness of its record: of the birth, or of what it made instead`() async throws {
    func kept(_ bench: ChangeBench) -> JSONValue? { bench.world.document("mosip-mediator", "birth_likenesses", Births.record) }
    let bench = try ChangeBench()
    _ = try await bench.born()
    let before = try #require(kept(bench))
    try await bench.take(Self.corrected())
    #expect(kept(bench) == before && bench.world.count("mosip-mediator", "birth_likenesses") == 1)
    let alone = try ChangeBench()
    try await alone.take(Self.corrected())
    let made = try #require(kept(alone))
    #expect(made["likeness"] != before["likeness"] && made["motherLikeness"] == before["motherLikeness"])
  }
}
