import StageTesting
import JSON
import StageKit
import Stages
import System
import Testing

/// Who is told of a packet validator's verdict, and how often.
@Suite(.timeLimit(.minutes(10))) struct NotificationTests {
  private static let both: [String: SettingValue] = ["notifications": ["sms", "email"]]
  private static let contact: JSONValue = [
    "name": "Asha $RID Rao", "phone": "9876543210", "email": "asha@example.org", "langCode": "eng",
  ]

  private static func world(
    _ contact: JSONValue? = contact, _ change: @Sendable (isolated TestPlatform) -> Void = { _ in }
  ) async throws -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.schema = Sample.schema
      $0.fields = ["IDSchemaVersion": "0.1"]
      $0.announcements = [Sample.announcement()]
    }
    if let contact {
      let sealed = try await world.encryptPacket(contact.encoded(), referenceId: Sample.referenceId)
      await world.set { $0.additionalInfo[Sample.instance] = sealed }
    }
    await world.set(change)
    return world
  }

  @Test func `the applicant is told once however often the message comes`() async throws {
    let world = try await Self.world()
    let settings: [String: SettingValue] = ["notifications": ["email", "sms", "email"]]
    for _ in 1...3 { #expect(try await world.judge(PacketValidator.self, settings).kind == .passed) }
    let text = "Your registration \(Sample.rid) was received and checked. It is being processed."
    #expect(
      await world.messages == ["9876543210: \(text)", "asha@example.org: Registration \(Sample.rid): \(text)"])
    #expect(await world.additionalInfo.isEmpty)
  }

  @Test func `two workers tell the applicant once`() async throws {
    let world = try await Self.world()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 1...8 { group.addTask { _ = try await world.judge(PacketValidator.self, ["notifications": ["sms"]]) } }
      try await group.waitForAll()
    }
    #expect(await world.messages.count == 1)
  }

  @Test func `a failure is told and what is tried again is not`() async throws {
    let world = try await Self.world { $0.announcements = [Sample.announcement(supervisorStatus: "REJECTED")] }
    await world.fail("metaInfo", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(PacketValidator.self, Self.both) }
    await world.fail("metaInfo", with: Broken.refused("KER-PUT-027", service: "packet manager"))
    #expect(try await world.judge(PacketValidator.self, Self.both).kind == .error)
    #expect(await world.messages.isEmpty)
    #expect(await world.additionalInfo.count == 1)
    #expect(try await world.judge(PacketValidator.self, Self.both).kind == .failed)
    let messages = await world.messages
    #expect(messages.count == 2 && messages.allSatisfy { $0.contains("cannot be processed") })
  }

  @Test func `nobody is told unless it is wanted and the contact is gone all the same`() async throws {
    let world = try await Self.world()
    #expect(try await world.judge(PacketValidator.self).kind == .passed)
    #expect(await world.messages.isEmpty)
    #expect(await world.additionalInfo.isEmpty)
  }

  @Test func `without a contact nothing is sent`() async throws {
    let world = try await Self.world(nil)
    #expect(try await world.judge(PacketValidator.self, Self.both).kind == .passed)
    #expect(await world.messages.isEmpty)
    let half = try await Self.world(["name": "A", "phone": nil, "email": "a@b", "langCode": "eng"])
    #expect(try await half.judge(PacketValidator.self, Self.both).kind == .passed)
    #expect(await half.messages.map { $0.prefix(5) } == ["a@b: "])
  }

  @Test func `texts are those of the templates and else of the settings`() async throws {
    let settings = Self.both.merging(
      ["notification-templates": ["OPENCRVS_NEW=BIRTH"], "notification-subject": "for $name: $RIDS"]
    ) { $1 }
    let world = try await Self.world {
      $0.templates = [
        "eng/BIRTH_SMS": "Hi $name, $!name_eng and ${name}: $RID.Yes", "eng/BIRTH_EMAIL": "Mail $RID", "fra/BIRTH_SMS": "non",
      ]
    }
    #expect(try await world.judge(PacketValidator.self, settings).kind == .passed)
    let name = "Asha $RID Rao"
    #expect(
      await world.messages == [
        "9876543210: Hi \(name), \(name) and \(name): \(Sample.rid).Yes",
        "asha@example.org: for \(name): $RIDS: Mail \(Sample.rid)",
      ])
    let silent = try await Self.world()
    #expect(try await silent.judge(PacketValidator.self, ["notifications": ["sms"], "notification-passed": ""]).kind == .passed)
    #expect(await silent.messages.isEmpty)
  }

  @Test func `a row of MOSIPs own services has the language of its announcement`() async throws {
    let world = try await Self.world(["name": nil, "phone": "9876543210", "email": nil]) {
      $0.templates = ["eng/RPR_TEC_ISSUE_SMS": "Hi $name,"]
      $0.fields["consent"] = "N"
    }
    #expect(try await world.judge(PacketValidator.self, Self.both).kind == .failed)
    #expect(await world.messages == ["9876543210: Hi ,"])
  }

  @Test(arguments: ["takeAdditionalInfo", "decryptPacket", "template", "sendSMS", "sendEmail"])
  func `what cannot be sent changes no verdict`(_ call: String) async throws {
    let world = try await Self.world()
    await world.fail(call, with: Broken.unavailable)
    let settings = Self.both.merging(["notification-templates": ["OPENCRVS_NEW=BIRTH"]]) { $1 }
    #expect(try await world.judge(PacketValidator.self, settings).subStatusCode == "RPR-PKV-SUCCESS-001")
    #expect(await world.messages.count == (call == "takeAdditionalInfo" || call == "decryptPacket" ? 0 : 1))
    let sent = await world.messages
    _ = try await world.judge(PacketValidator.self, settings)
    // Only where it could not be taken away it is still there.
    #expect(await world.messages.count == (call == "takeAdditionalInfo" ? 2 : sent.count))
  }

  @Test func `a send that was in doubt is not repeated`() async throws {
    let world = try await Self.world()
    await world.fail("sendSMS", .after, with: Broken.unavailable)
    for _ in 1...2 { #expect(try await world.judge(PacketValidator.self, ["notifications": ["sms"]]).kind == .passed) }
    #expect(await world.messages.count == 1)
  }

  @Test func `the log has nothing of the applicant`() async throws {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      struct Unlike: Error { let number = "9876543210" }
      let world = try await Self.world()
      await world.fail("sendSMS", with: Unlike())
      await world.fail("sendEmail", with: Broken.unavailable)
      _ = try await world.judge(PacketValidator.self, Self.both)
      // MOSIP's own services also keep that there is nobody; that is no fault.
      let nobody = try await world.encryptPacket(Array("{}".utf8), referenceId: Sample.referenceId)
      await world.set { $0.additionalInfo[Sample.instance] = nobody }
      _ = try await world.judge(PacketValidator.self, Self.both)
      for bytes in [Array("Asha 9876543210".utf8), try await world.encryptPacket([65], referenceId: Sample.referenceId)] {
        await world.set { $0.additionalInfo[Sample.instance] = bytes }
        _ = try await world.judge(PacketValidator.self, Self.both)
      }
    }
    let log = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    for words in ["not sent\"", "\"by\":\"sms\"", "\"by\":\"email\"", "X-503", "cannot be learnt", "cannot be read"] {
      #expect(log.contains(words), "\(words) in \(log)")
    }
    #expect(log.split(separator: "\n").filter { $0.contains("cannot be") }.count == 2, "\(log)")
    for secret in ["Asha", "9876543210", "example.org"] { #expect(!log.contains(secret), "\(log)") }
  }

  @Test func `wrong settings are refused at start`() {
    #expect(throws: SettingError.self) { try make(PacketValidator.self, ["notifications": ["SMS"]]) }
    #expect(throws: SettingError.self) { try make(PacketValidator.self, ["notification-templates": ["NEW"]]) }
  }
}
