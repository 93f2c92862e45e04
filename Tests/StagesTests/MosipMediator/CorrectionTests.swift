import StageTesting
import TestEvents
import JSON
import Registration
import StageKit
import System
import Testing

@testable import OpenCRVS
@testable import Stages

@Suite("A correction of a birth, on the MOSIP side", .timeLimit(.minutes(10)))
struct CorrectionTests {
  static let later = "2022-10-01T08:00:00.000Z"
  static func corrected(_ given: String = "Amina Rose", _ moment: String = later) -> JSONValue {
    ChangeBench.birth(.birthCorrection, given: given, lastModified: moment)
  }

  @Test
  func `goes by a packet of its own process with the difference alone, and ends when the registration does`() async throws {
    let bench = try ChangeBench()
    let birth = try await bench.born()
    try await bench.take(Self.corrected())
    let change = try bench.change(Self.corrected())
    #expect(change?["status"] == "Uploaded")
    let aid = try #require(change?["rid"]?.string)
    #expect(aid != birth)
    let uploads = bench.world.state.withLock { $0.uploads }
    #expect(uploads.map(\.fileName) == [birth + ".zip", aid + ".zip"])
    let packet = try await PacketReader(keys: bench.world.keys.packets).read(uploads[1].bytes, refId: "45451_45452")
    #expect(packet.process == "OPENCRVS_UPDATE")
    #expect(packet.metaData("correctionOf") == birth)
    #expect(packet.metaData("opencrvsBRN") == "2022BTEST01")
    let identity = Set(packet.subPackets.values.flatMap { $0.identity.map(\.key) })
    #expect(identity == ["IDSchemaVersion", "UIN", "fullName"])
    #expect(try bench.told().isEmpty)
    try await bench.ended(aid, "PROCESSED")
    let told = try bench.told()
    #expect(told.count == 1)
    #expect(told.first?["type"] == "birth-correction")
    #expect(told.first?["what"] == "corrected")
    #expect(told.first?["changed"] == ["fullName"])
    #expect(told.first?["opencrvsBRN"] == "2022BTEST01")
    #expect(bench.world.openWork("change") == 0)
    #expect(bench.world.state.withLock { $0.objects.keys.allSatisfy { !$0.hasPrefix("PACKET_MANAGER_ACCOUNT") } })
  }

  @Test
  func `is found to have ended when nobody tells so`() async throws {
    let bench = try ChangeBench()
    _ = try await bench.born()
    try await bench.take(Self.corrected())
    let aid = try #require(try bench.change(Self.corrected())?["rid"]?.string)
    bench.world.state.withLock { $0.registrations = [aid: FakeRegister.row(aid, "PROCESSED", at: "FINALIZATION")] }
    try await bench.run()
    #expect(try bench.told().map { $0["what"]?.string } == ["corrected"])
  }

  @Test
  func `that the id repository refuses is told by the repository's code, any other end by stage and status`() async throws {
    for (comment, code, text) in [
      ("id repository: IDR-IDC-013: Update count limit", "OPN-CRVS-018", "IDR-IDC-013"),
      ("something", "PACKET_FAILED", "UIN_GENERATOR"),
    ] {
      let bench = try ChangeBench()
      _ = try await bench.born()
      try await bench.take(Self.corrected())
      let aid = try #require(try bench.change(Self.corrected())?["rid"]?.string)
      bench.world.state.withLock {
        $0.registrations = [aid: FakeRegister.row(aid, "FAILED", at: "UIN_GENERATOR", comment: comment)]
      }
      try await bench.ended(aid, "FAILED")
      let error = try bench.told().first?["errors"]?[0]
      #expect(error?["errorCode"]?.string == code)
      #expect(error?["errorMessage"]?.string?.contains(text) == true)
    }
  }

  @Test
  func `by patch changes the identity itself`() async throws {
    let bench = try ChangeBench(["correction-by": "patch"])
    _ = try await bench.born()
    try await bench.take(Self.corrected())
    let person = bench.person("5075291708")
    #expect(person?.patches.count == 1)
    #expect(person?.patches.first?.status == nil)
    #expect(person?.patches.first.map { $0.fields.map(\.key) } == ["fullName"])
    #expect(person?.fields["fullName"] == [["language": "eng", "value": "Amina Rose Banda"]])
    #expect(try bench.told().map { $0["what"]?.string } == ["corrected"])
  }

  @Test
  func `that changes nothing for MOSIP, or comes late, is a success without a change`() async throws {
    let bench = try ChangeBench(["correction-by": "patch"])
    _ = try await bench.born()
    try await bench.take(ChangeBench.birth(.birthCorrection, lastModified: Self.later))
    try await bench.take(Self.corrected("Amina Rose", "2022-11-01T08:00:00.000Z"))
    try await bench.take(Self.corrected("Late", "2022-10-15T08:00:00.000Z"))
    #expect(try bench.told().map { $0["what"]?.string } == ["unchanged", "corrected", "unchanged"])
    #expect(bench.person("5075291708")?.fields["fullName"] == [["language": "eng", "value": "Amina Rose Banda"]])
    #expect(bench.stage.counts["stale_corrections"] == 1)
    #expect(Set(bench.stage.counts.keys) == Set(MosipMediator.spec.counts.map(\.name)), "what is not declared is not told")
  }

  @Test
  func `waits behind its birth, and behind the correction before it`() async throws {
    let bench = try ChangeBench(["correction-by": "patch"])
    let birth = ChangeBench.birth()
    let rid = try #require(try await bench.send(birth).value["response"]?["aid"]?.string)
    try await bench.take(Self.corrected("Second"))
    try await bench.take(Self.corrected("Third", "2022-11-01T08:00:00.000Z"))
    #expect(try bench.told().isEmpty)
    #expect(bench.world.document("mosip-mediator", "records", Births.record)?["queue"]?.array?.count == 2)
    let fields = try await bench.stage.mapped(try OpenCRVSEvent(birth.encoded()), bench.context)
    bench.world.state.withLock { $0.people["5075291708"] = FakeIdentities.Person(fields: fields, rids: [rid]) }
    try await bench.run()
    #expect(bench.person("5075291708")?.patches.count == 2)
    #expect(bench.person("5075291708")?.fields["fullName"] == [["language": "eng", "value": "Third Banda"]])
  }

  @Test
  func `of an identity with biometrics is refused by name, unless it is allowed`() async throws {
    for allowed in [false, true] {
      let bench = try ChangeBench(["correction-by": "patch", "correction-with-biometrics": .boolean(allowed)])
      _ = try await bench.born()
      bench.world.state.withLock { $0.people["5075291708"]?.captures = true }
      try await bench.take(Self.corrected())
      #expect(try bench.told().first?["errors"]?[0]?["errorCode"]?.string == (allowed ? nil : "OPN-CRVS-009"))
      #expect(bench.person("5075291708")?.patches.count == (allowed ? 1 : 0))
    }
  }

  @Test
  func `of a birth that failed makes the UIN with the corrected data, under its own application id`() async throws {
    let bench = try ChangeBench()
    let rid = try #require(try await bench.send(ChangeBench.birth()).value["response"]?["aid"]?.string)
    try await bench.run()
    try await bench.ended(rid, "FAILED")
    try await bench.take(Self.corrected())
    let aid = try #require(try bench.change(Self.corrected())?["rid"]?.string)
    #expect(bench.world.document("mosip-mediator", "birth_transactions", Births.record)?["rid"]?.string == aid)
    #expect(bench.world.document("mosip-mediator", "rids", rid)?["supersededBy"]?.string == aid)
    #expect(bench.world.state.withLock { $0.uploads.map(\.fileName) } == [rid + ".zip", aid + ".zip"])
    bench.world.state.withLock { $0.people["5075291708"] = FakeIdentities.Person(fields: [:], rids: [aid]) }
    try await bench.ended(aid, "PROCESSED")
    let told = try bench.told()
    #expect(told.map { $0["type"]?.string } == ["birth", "birth-correction"])
    #expect(told.last?["what"] == "created")
    #expect(told.last?["aid"]?.string == aid)
  }

  @Test
  func `of a birth that failed is refused where it may not make one; of an unknown one it makes one`() async throws {
    let bench = try ChangeBench(["correction-create": false])
    try await bench.take(Self.corrected())
    #expect(try bench.told().map { $0["errors"]?[0]?["errorCode"]?.string } == ["OPN-CRVS-017"])
    let other = try ChangeBench()
    try await other.take(Self.corrected())
    #expect(other.world.state.withLock { $0.uploads.count } == 1)
  }

  @Test
  func `that came before its birth leaves the birth nothing to do`() async throws {
    let bench = try ChangeBench()
    try await bench.take(Self.corrected())
    let aid = try bench.change(Self.corrected())?["rid"]
    let response = try await bench.send(ChangeBench.birth())
    #expect(response.status == 200)
    #expect(response.value["response"]?["aid"] == aid)
    try await bench.run()
    #expect(bench.world.state.withLock { $0.uploads.count } == 1)
  }

  @Test
  func `of a record that was never sent here, whose child has a UIN, differs from what the identity says`() async throws {
    let bench = try ChangeBench(["correction-by": "patch"])
    bench.world.state.withLock {
      $0.people["5075291708"] = ChangeBench.person("Amina Banda", "2022/08/30", "Female", rid: "10000000010000220200101000000")
      $0.people["5075291708"]?.fields["addressLine1"] = nil
    }
    var event = Self.corrected()
    var entries = event["event"]?["context"]?[0]?["entry"]?.array ?? []
    let identifiers = entries[1]["resource"]?["identifier"]?.array ?? []
    entries[1]["resource"] = entries[1]["resource"].map { child in
      var child = child
      child["identifier"] = .array(identifiers + [Births.identifier("NATIONAL_ID", "5075291708")])
      return child
    }
    event = Births.event(entries.compactMap { $0["resource"] }, topic: "BIRTH_CORRECTED")
    try await bench.take(event)
    let patched = bench.person("5075291708")?.patches.first.map { Set($0.fields.map(\.key)) }
    #expect(patched?.contains("fullName") == true)
    #expect(patched?.contains("dateOfBirth") == false)
    #expect(patched?.contains("addressLine1") == true)
  }
}
