import StageTesting
import Registration
import StageKit
import Stages
import Testing

@Suite(.timeLimit(.minutes(10))) struct IntroducerValidatorTests {
  private static let parent = "10001100020000120240101000000"
  private let success = Verdict.passed("RPR-IVM-SUCCESS-001", "INTRODUCER Validation is Successful")

  private func world(
    naming field: String? = nil, _ value: String = "", status: String = "ACTIVATED", rows: [RegistrationRecord] = []
  ) async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      if let field { $0.fields[field] = value }
      $0.identities["5075291708"] = Sample.identity(rid: Self.parent, status: status)
      $0.vids["5075291708"] = [
        VirtualId(vid: "2541892807463570", type: "PERPETUAL", status: "ACTIVE", expiresAt: nil)
      ]
      $0.rows = rows
    }
    return world
  }
  private func row(_ status: String, process: String = "NEW") -> RegistrationRecord {
    Sample.row(workflowInstanceId: "parent", rid: Self.parent, process: process, status: RegistrationStatus(rawValue: status))
  }

  @Test(arguments: [("introducerUIN", "5075291708"), ("introducerVID", "2541892807463570")])
  func `an active introducer passes and does so again`(_ field: String, _ value: String) async throws {
    let world = await world(naming: field, value)
    for _ in 1...2 { #expect(try await world.judge(IntroducerValidator.self) == success) }
    #expect(await world.changes.isEmpty)
  }

  @Test func `an introducer named by a processed RID passes`() async throws {
    let world = await world(naming: "introducerRID", Self.parent, rows: [row("PROCESSED")])
    #expect(try await world.judge(IntroducerValidator.self) == success)
  }

  @Test(arguments: ["PROCESSING", "REPROCESS", "PAUSED", "RESUMABLE"])
  func `an introducer who is still processed holds the packet`(_ status: String) async throws {
    let world = await world(naming: "introducerRID", Self.parent, rows: [row(status)])
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .retry && verdict.statusCode == .reprocess && verdict.subStatusCode == "RPR-IVM-FAILED-005")
  }

  @Test func `an introducer who is not known yet holds the packet`() async throws {
    let world = await world(naming: "introducerRID", Self.parent)
    #expect(try await world.judge(IntroducerValidator.self).subStatusCode == "RPR-IVM-FAILED-005")
  }

  @Test(arguments: [
    ("REJECTED", "NEW", "RPR-IVM-FAILED-006"), ("FAILED", "NEW", "RPR-IVM-FAILED-006"),
    ("PROCESSED", "LOST", "RPR-IVM-FAILED-003"),
  ])
  func `an introducer who was not registered ends the packet`(_ status: String, _ process: String, _ code: String) async throws {
    let world = await world(naming: "introducerRID", Self.parent, rows: [row(status, process: process)])
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .error && verdict.subStatusCode == code)
  }

  @Test func `an introducer without an identity ends the packet`() async throws {
    let world = await world(naming: "introducerUIN", "3645074956")
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .error && verdict.subStatusCode == "RPR-IVM-FAILED-003")
    #expect(!verdict.comment.contains("3645074956"))
  }

  @Test func `an introducer whose VID is spent is not found`() async throws {
    let world = await world(naming: "introducerVID", "2541892807463570")
    await world.set { $0.vids["5075291708"]?[0].status = "REVOKED" }
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .error && verdict.subStatusCode == "RPR-IVM-FAILED-003")
  }

  @Test(
    arguments: ["DEACTIVATED", "BLOCKED"], [("introducerUIN", "5075291708"), ("introducerVID", "2541892807463570")])
  func `an introducer who is not active fails`(_ status: String, _ named: (String, String)) async throws {
    let world = await world(naming: named.0, named.1, status: status)
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .failed && verdict.statusCode == .failed && verdict.subStatusCode == "RPR-IVM-FAILED-001")
  }

  @Test(arguments: [nil, "introducerUIN"])
  func `a packet without an introducer passes by setting and says so`(_ blank: String?) async throws {
    let verdict = try await world(naming: blank).judge(IntroducerValidator.self)
    #expect(verdict.kind == .passed && verdict.subStatusCode == "RPR-IVM-SUCCESS-002")
  }

  @Test func `a packet without an introducer may end as upstream has it`() async throws {
    let verdict = try await world().judge(IntroducerValidator.self, ["absent-introducer": "fail"])
    #expect(verdict.kind == .error && verdict.statusCode == .error && verdict.subStatusCode == "RPR-SYS-EXCEPTION-001")
    #expect(verdict.comment.hasPrefix("Packet validation failed UIN or RID of Introducer Not Found in Packet"))
  }

  // MARK: Captures

  /// A world whose introducer is active, with captures in the packet and in the repository as asked.
  private func captures(
    inPacket: [String]?, kept: Bool = true, match: BiometricMatch = .notCompared("no matcher is configured")
  ) async -> TestPlatform {
    let world = await world(naming: "introducerUIN", "5075291708")
    await world.set {
      if let inPacket {
        $0.fields["introducerBiometrics"] = #"{"value":"introducerBiometrics_bio_CBEFF"}"#
        $0.packetDocuments["introducerBiometrics"] = Captures.file(inPacket.map { Captures.segment($0) })
      }
      if kept { $0.kept["5075291708"] = BiometricRecord(segments: [BiometricSegment(type: "Finger", data: [1])]) }
      $0.match = match
    }
    return world
  }
  private func word(_ verdict: Verdict) -> String { "\(verdict.kind) \(verdict.statusCode.rawValue) \(verdict.subStatusCode)" }

  static let rows: [(rule: String, inPacket: [String]?, kept: Bool, match: BiometricMatch, expected: String, comment: String)] = [
    ("if-present", nil, true, .matched, "passed SUCCESS RPR-IVM-SUCCESS-001", "Successful"),
    ("required", nil, true, .matched, "error ERROR RPR-IVM-FAILED-004", "Not Found"),
    ("if-present", ["Finger"], true, .matched, "passed SUCCESS RPR-IVM-SUCCESS-001", "Successful"),
    ("required", ["Finger"], true, .matched, "passed SUCCESS RPR-IVM-SUCCESS-001", "Successful"),
    ("if-present", ["Finger"], true, .differs("Finger"), "failed FAILED RPR-IVM-FAILED-001", "Failed - Finger"),
    ("required", ["Finger"], true, .differs("Iris"), "failed FAILED RPR-IVM-FAILED-001", "Failed - Iris"),
    ("off", ["Finger"], true, .differs("Finger"), "passed SUCCESS RPR-IVM-SUCCESS-001", "Successful"),
    ("if-present", ["Finger"], false, .matched, "passed SUCCESS RPR-IVM-SUCCESS-001", "not compared: the identity has none"),
    ("required", ["Finger"], false, .matched, "error ERROR RPR-SYS-EXCEPTION-001", "the identity has none"),
    (
      "if-present", ["Finger exception", "ExceptionPhoto"], true, .matched, "passed SUCCESS RPR-IVM-SUCCESS-001",
      "all captures are exceptions"
    ),
    ("required", ["ExceptionPhoto"], true, .matched, "error ERROR RPR-SYS-EXCEPTION-001", "all captures are exceptions"),
  ]
  @Test(arguments: rows.indices) func `captures are compared by the rule`(_ index: Int) async throws {
    let row = Self.rows[index]
    let world = await captures(inPacket: row.inPacket, kept: row.kept, match: row.match)
    let verdict = try await world.judge(IntroducerValidator.self, ["biometrics": .text(row.rule)])
    #expect(word(verdict) == row.expected && verdict.comment.contains(row.comment), "\(verdict)")
  }

  @Test func `exceptions and their photo are not compared`() async throws {
    let world = await captures(inPacket: ["Finger", "Finger exception", "ExceptionPhoto", "Face"], match: .matched)
    #expect(try await world.judge(IntroducerValidator.self) == success)
    #expect(await world.compared == [["Finger", "Face"]])
  }

  @Test func `the embedded matcher says openly that it compares nothing`() async throws {
    #expect(
      try await NoBiometricMatcher().match(BiometricRecord(segments: []), with: BiometricRecord(segments: []))
        == .notCompared("no matcher is configured"))
    let world = await captures(inPacket: ["Finger"])
    let verdict = try await world.judge(IntroducerValidator.self)
    #expect(verdict.kind == .passed && verdict.comment.hasSuffix("biometrics were not compared: no matcher is configured"))
    let required = try await world.judge(IntroducerValidator.self, ["biometrics": "required"])
    #expect(required.kind == .error && required.statusCode == .error, "what was not compared is never taken for a match")
  }

  @Test func `a matcher out of reach is tried again and one that refuses ends the packet`() async throws {
    let world = await captures(inPacket: ["Finger"], match: .matched)
    await world.fail("match", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(IntroducerValidator.self) }
    await world.fail("match", with: Broken.refused("BIO-001"))
    #expect(try await world.judge(IntroducerValidator.self).kind == .error)
    await world.set { $0.packetDocuments["introducerBiometrics"] = PacketDocument(content: [1], type: "", format: "cbeff") }
    #expect(try await world.judge(IntroducerValidator.self).kind == .error)
  }

  // MARK: ID authentication

  static let outcomes: [(rule: String, outcome: IdentityMatch, expected: String, comment: String)] = [
    ("if-present", .belongs, "passed SUCCESS RPR-IVM-SUCCESS-001", "Successful"),
    ("required", .belongs, "passed SUCCESS RPR-IVM-SUCCESS-001", "Successful"),
    ("if-present", .differs("IDA-BIA-001"), "failed FAILED RPR-IVM-FAILED-001", "Failed - IDA-BIA-001"),
    ("required", .differs("IDA-BIA-001"), "failed FAILED RPR-IVM-FAILED-001", "Failed - IDA-BIA-001"),
    ("if-present", .notPossible("none kept"), "passed SUCCESS RPR-IVM-SUCCESS-001", "not compared: none kept"),
    ("required", .notPossible("none kept"), "error ERROR RPR-SYS-EXCEPTION-001", "cannot be compared: none kept"),
  ]
  @Test(arguments: outcomes.indices) func `id authentication decides by the rule`(_ index: Int) async throws {
    let row = Self.outcomes[index]
    // The repository keeps no captures, and the matcher would say no: neither is asked.
    let world = await captures(inPacket: ["Finger", "Finger exception", "ExceptionPhoto"], kept: false, match: .differs("Finger"))
    await world.set { $0.authenticated = row.outcome }
    let verdict = try await world.judge(
      IntroducerValidator.self, ["biometrics": .text(row.rule), "biometrics-by": "id-authentication"])
    #expect(word(verdict) == row.expected && verdict.comment.contains(row.comment), "\(verdict)")
    #expect(!verdict.comment.contains("5075291708"))
    #expect(await world.askedOf == ["5075291708"])
    #expect(await world.compared == [["Finger"]])
  }

  @Test func `id authentication is asked only where there are captures to compare`() async throws {
    for (inPacket, rule) in [(nil, "if-present"), (nil, "required"), (["ExceptionPhoto"], "if-present"), (["Finger"], "off")] {
      let world = await captures(inPacket: inPacket)
      _ = try await world.judge(IntroducerValidator.self, ["biometrics": .text(rule), "biometrics-by": "id-authentication"])
      #expect(await world.askedOf.isEmpty)
    }
    let world = await captures(inPacket: ["Finger"], match: .matched)
    #expect(try await world.judge(IntroducerValidator.self) == success)
    #expect(await world.askedOf.isEmpty, "the matcher is the default")
  }

  @Test func `id authentication that is not configured says so`() async throws {
    #expect(
      try await NoIdentityAuthentication().authenticate(BiometricRecord(segments: []), uin: "5075291708")
        == .notPossible("ID authentication is not configured"))
    let world = await captures(inPacket: ["Finger"])
    let verdict = try await world.judge(IntroducerValidator.self, ["biometrics-by": "id-authentication"])
    #expect(verdict.kind == .passed && verdict.comment.hasSuffix("not compared: ID authentication is not configured"))
  }

  @Test func `id authentication out of reach is tried again and a refusal ends the packet`() async throws {
    let world = await captures(inPacket: ["Finger"])
    await world.set { $0.authenticated = .belongs }
    await world.fail("authenticate", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) {
      try await world.judge(IntroducerValidator.self, ["biometrics-by": "id-authentication"])
    }
    #expect(try await world.judge(IntroducerValidator.self, ["biometrics-by": "id-authentication"]) == success)
    await world.fail("authenticate", with: Broken.refused("IDA-MLC-009"))
    let verdict = try await world.judge(IntroducerValidator.self, ["biometrics-by": "id-authentication"])
    #expect(word(verdict) == "error ERROR RPR-SYS-EXCEPTION-001" && verdict.comment.contains("IDA-MLC-009"))
  }

  @Test func `the countrys own field names are read`() async throws {
    let world = await world(naming: "motherUIN", "5075291708")
    #expect(
      try await world.judge(IntroducerValidator.self, ["identity-mapping": ["introducerUIN=motherUIN"]]) == success)
  }

  @Test func `a repository out of reach is tried again`() async throws {
    let world = await world(naming: "introducerUIN", "5075291708")
    await world.fail("identity", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(IntroducerValidator.self) }
    #expect(try await world.judge(IntroducerValidator.self) == success)
  }
}
