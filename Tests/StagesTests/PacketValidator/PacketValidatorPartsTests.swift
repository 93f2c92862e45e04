import StageTesting
import Registration
import StageKit
import Stages
import Testing

/// Documents, captures and references of a packet (docs/upstream/stages.md#4-packet-validator, steps 6 to 8).
@Suite(.timeLimit(.minutes(10))) struct PacketValidatorPartsTests {
  private static let passed = "passed SUCCESS RPR-PKV-SUCCESS-001"
  private static let missing = "failed FAILED RPR-PKV-FAILED-005"
  private static let malformed = "failed FAILED RPR-PKV-FAILED-015"
  private static let unsigned = "failed FAILED RPR-PKV-FAILED-016"
  private static let unknownValue = "failed FAILED RPR-PKV-FAILED-006"

  private func world(_ change: @Sendable (isolated TestPlatform) -> Void = { _ in }) async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.schema = Sample.schema
      $0.fields = ["IDSchemaVersion": "0.1"]
      $0.announcements = [Sample.announcement()]
      $0.kinds = [
        "gender": [MasterDataValue(code: "FLE", names: ["eng": "Female", "fra": "Féminin"])],
        "POI": [MasterDataValue(code: "DOC001", names: [:])],
      ]
    }
    await world.set(change)
    return world
  }
  private func word(_ world: TestPlatform, _ settings: [String: SettingValue] = [:], process: String = "NEW") async throws -> String
  {
    let verdict = try await world.judge(PacketValidator.self, settings, process: process)
    return "\(verdict.kind) \(verdict.statusCode.rawValue) \(verdict.subStatusCode)"
  }

  // MARK: Documents

  @Test(arguments: [
    ("NEW", missing), ("UPDATE", missing), ("LOST", missing), ("BIOMETRIC_CORRECTION", missing), ("CRVS_NEW", missing),
    ("CRVS_DEATH", missing),
    ("OPENCRVS_NEW", passed), ("RES_UPDATE", passed), ("OPENCRVS", passed), ("EW", passed),
  ])
  func `documents that the identity names must be there in the listed processes`(_ process: String, _ expected: String) async throws
  {
    let world = await world {
      $0.fields["proofOfAddress"] = #"{"value":"proofOfAddress"}"#
      $0.fields["UIN"] = "5075291708"
      $0.identities["5075291708"] = Sample.identity()
    }
    #expect(try await word(world, process: process) == expected)
    await world.set { $0.packetDocuments["proofOfAddress"] = PacketDocument(content: [1], type: "DOC001", format: "pdf") }
    #expect(try await word(world, process: process) == Self.passed)
  }

  @Test(arguments: ["proofOfAddress", "proofOfIdentity", "proofOfRelationship", "proofOfDateOfBirth", "proofOfException"])
  func `every mapped document is asked for`(_ field: String) async throws {
    let world = await world { $0.fields[field] = "{}" }
    #expect(try await word(world) == Self.missing)
    #expect(try await word(world, ["validate-applicant-document": false]) == Self.passed)
    #expect(try await word(world, ["document-processes": ["LOST"]]) == Self.passed)
  }

  @Test func `a country may have other documents`() async throws {
    let world = await world { $0.fields["passportCopy"] = "{}" }
    #expect(try await word(world) == Self.passed)
    #expect(try await word(world, ["documents": ["passport"], "identity-mapping": ["passport=passportCopy"]]) == Self.missing)
  }

  // MARK: Captures

  private func world(_ field: String, _ segments: [BiometricSegment]?, metaInfo: [String: String] = [:]) async -> TestPlatform {
    await world {
      if field.hasSuffix("iometrics") { $0.fields[field] = #"{"value":"x"}"# }
      if let segments { $0.packetDocuments[field] = Captures.file(segments) }
      $0.metaInfo.merge(metaInfo) { $1 }
    }
  }

  @Test(arguments: ["individualBiometrics", "introducerBiometrics"])
  func `captures that the identity names must be there`(_ field: String) async throws {
    #expect(try await word(await world(field, nil)) == Self.missing)
    #expect(try await word(await world(field, [])) == Self.missing)
    #expect(try await word(await world(field, [Captures.segment("Face")])) == Self.passed)
  }

  /// The persons whose captures a packet may carry, each with what names them.
  private static let persons: [(field: String, metaInfo: [String: String])] = [
    ("individualBiometrics", [:]), ("individualAuthBiometrics", [:]), ("introducerBiometrics", [:]),
    ("officer_bio_cbeff", ["operationsData": #"[{"label":"officerBiometricFileName","value":"officer_bio_cbeff.xml"}]"#]),
    ("supervisor_bio_cbeff", ["operationsData": #"[{"label":"supervisorBiometricFileName","value":"supervisor_bio_cbeff.xml"}]"#]),
  ]
  @Test(arguments: persons.indices) func `captures of every person must be whole and signed`(_ index: Int) async throws {
    let (field, metaInfo) = Self.persons[index]
    func check(_ segments: [BiometricSegment]) async throws -> String {
      try await word(await world(field, segments, metaInfo: metaInfo), process: "OPENCRVS_NEW")
    }
    #expect(
      try await check([Captures.segment("Finger"), Captures.segment("Face"), Captures.segment("Iris exception")]) == Self.passed)
    var changed = Captures.segment("Finger")
    changed.data[0] ^= 1
    #expect(try await check([Captures.segment("Face"), changed]) == Self.unsigned)
    var without = Captures.segment("Finger")
    without.signature = []
    #expect(try await check([without]) == Self.unsigned)
    without.others = nil
    #expect(try await check([without]) == Self.unsigned)
    #expect(try await check([Captures.segment("Tail")]) == Self.malformed)
    let broken = await world(field, [], metaInfo: metaInfo)
    await broken.set { $0.packetDocuments[field] = PacketDocument(content: Array("<BIR>".utf8), type: "", format: "cbeff") }
    #expect(try await word(broken, process: "OPENCRVS_NEW") == Self.malformed)
    #expect(try await word(broken) == Self.malformed)
  }

  @Test func `capture and digital id must be of one device`() async throws {
    let other = Captures.Device()
    let world = await world("individualBiometrics", [Captures.segment("Face", digitalIdOf: other)])
    #expect(try await word(world) == Self.unsigned)
  }

  @Test func `clients from before signatures are not asked for them`() async throws {
    var segment = Captures.segment("Face")
    segment.others = nil
    let metaData = #"[{"label":"Registration Client Version Number","value":"1.1.3"}]"#
    let world = await world("individualBiometrics", [segment], metaInfo: ["metaData": metaData])
    #expect(try await word(world) == Self.unsigned)
    #expect(try await word(world, ["unsigned-client-versions": ["1.1.3"]]) == Self.passed)
  }

  @Test func `packets without captures are not asked for them`() async throws {
    let world = await world { $0.fields["individualBiometrics"] = "" }
    #expect(try await word(world, process: "OPENCRVS_NEW") == Self.passed)
  }

  // MARK: Languages and master data

  @Test(arguments: [
    ("gender", #"[{"language":"eng","value":"Female"}]"#, passed), ("gender", #"[{"language":"eng","value":"FLE"}]"#, passed),
    ("gender", #"[{"language":"fra","value":"Féminin"},{"language":"eng","value":"Female"}]"#, passed),
    ("gender", #"[{"language":"eng","value":"NA"}]"#, passed), ("gender", "[]", passed),
    ("gender", #"[{"language":"fra","value":"Female"}]"#, unknownValue),
    ("gender", #"[{"language":"eng","value":"female"}]"#, unknownValue),
    ("gender", #"[{"language":"eng","value":"Female"},{"language":"eng","value":"Other"}]"#, unknownValue),
    ("gender", #"[{"language":"hin","value":"FLE"}]"#, unknownValue),
    ("fullName", #"[{"language":"ara","value":"x"}]"#, passed), ("fullName", #"[{"language":"en","value":"x"}]"#, unknownValue),
    ("proofOfIdentity", #"{"type":"DOC001","value":"x"}"#, passed),
    ("proofOfIdentity", #"{"type":"DOC002","value":"x"}"#, unknownValue),
    ("bloodGroup", "A", unknownValue), ("phone", "9898989898", passed), ("unknownToTheSchema", "x", passed),
  ])
  func `texts must be in a configured language and values in the master data`(_ field: String, _ value: String, _ expected: String)
    async throws
  {
    let world = await world { $0.fields[field] = value }
    #expect(try await word(world, ["languages": ["eng", "fra", "ara"]], process: "OPENCRVS_NEW") == expected)
  }

  @Test func `languages and master data may be left unchecked`() async throws {
    let world = await world { $0.fields["gender"] = #"[{"language":"hin","value":"x"}]"# }
    #expect(try await word(world) == Self.unknownValue)
    #expect(try await word(world, ["master-data": false, "languages": ["eng"]]) == Self.unknownValue)
    #expect(try await word(world, ["master-data": false]) == Self.passed)
  }

  @Test func `master data out of reach is tried again and a schema that is missing ends the packet`() async throws {
    let world = await world { $0.fields["gender"] = #"[{"language":"eng","value":"FLE"}]"# }
    await world.fail("masterData", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await word(world) }
    #expect(try await word(world) == Self.passed)
    await world.set { $0.schema = nil }
    #expect(try await word(world) == "error ERROR RPR-SYS-EXCEPTION-001")
  }

  @Test func `no value of the identity is in any comment`() async throws {
    let world = await world { $0.fields["gender"] = #"[{"language":"hin","value":"SECRET"}]"# }
    #expect(try await !world.judge(PacketValidator.self, ["languages": ["eng"]]).comment.contains("SECRET"))
    await world.set { $0.fields["gender"] = #"[{"language":"eng","value":"SECRET"}]"# }
    #expect(try await !world.judge(PacketValidator.self).comment.contains("SECRET"))
  }
}
