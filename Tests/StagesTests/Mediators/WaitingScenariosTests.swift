import JSON
import Registration
import StageKit
import TestEvents
import Testing

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

@Suite("Both mediators, for the samples of OpenCRVS 1.7 and later", .timeLimit(.minutes(5)))
struct WaitingScenariosTests {
  func sample(_ name: String) throws -> JSONValue { try ScenarioSample.read(name) }

  // MARK: births

  @Test(arguments: ["g3-19-birth-register", "g3-2x-birth-register"])
  func `a birth is a packet with its guardian's token, and is accepted with number and token`(_ name: String) async throws {
    let both = try BothMediators()
    #expect(try await both.trigger(name) == 202)
    let uploads = both.world.state.withLock { $0.uploads }
    #expect(uploads.count == 1)
    let packet = try await PacketReader(keys: both.world.keys.packets).read(uploads[0].bytes, refId: "45451_45452")
    #expect(packet.process == "OPENCRVS_NEW")
    #expect(try both.events().map(\.bundle.guardianToken) == ["341500000000000000000000000000000039"])
    #expect(both.crvs.names == [])
    try await both.isBorn()
    let call = try #require(both.crvs.told.last)
    let expected = try sample("g3-out-register-accept")["0"]?["json"]
    #expect(both.crvs.names == ["register.accept"])
    for member in ["transactionId", "eventId", "actionId"] { #expect(call.body[member] == expected?[member]) }
    #expect(call.body["declaration"] == ["child.nid": "t-36"])
    #expect(call.body["registrationNumber"]?.string?.hasSuffix("BTEST01") == true)
  }

  @Test(arguments: [true, false])
  func `a birth that failed is rejected, and the next action is a new try: other content has a new application id`(
    _ isOther: Bool
  ) async throws {
    let both = try BothMediators()
    #expect(try await both.trigger("g3-2x-birth-register") == 202)
    let first = try #require(both.world.event("e0000000-0000-4000-8000-0000000000b1")?["aid"]?.string)
    try await both.ended(first, "FAILED")
    let reject = try #require(both.crvs.told.last)
    #expect(try both.crvs.names == ["register.reject"] && reject.body == sample("g3-out-register-reject")["0"]?["json"])
    #expect(both.crvs.reportedCodes == ["PACKET_FAILED"])
    let again = try WaitingWorld.sample("g3-birth-register-again-after-reject", "Amina", with: isOther ? "Halima" : "Amina")
    #expect(try await both.crvs.trigger(again).status == 202)
    try await both.run()
    let second = try #require(both.world.event("e0000000-0000-4000-8000-0000000000b1")?["aid"]?.string)
    // The same content runs again as the registration that it is.
    #expect((first != second) == isOther && both.world.state.withLock { $0.ranAgain } == (isOther ? [] : [first]))
    #expect(both.world.state.withLock { $0.uploads.count } == (isOther ? 2 : 1))
    try await both.isBorn()
    #expect(both.crvs.names == ["register.reject", "register.accept"] && both.crvs.states == ["Told", "Told"])
  }

  @Test
  func `a birth that MOSIP has is not sent again for another action, which the same token answers`() async throws {
    let both = try BothMediators()
    #expect(try await both.trigger("g3-2x-birth-register") == 202)
    #expect(try await both.trigger("g3-birth-register-again-after-reject") == 202)
    try await both.isBorn()
    #expect(both.crvs.names == ["register.accept", "register.accept"])
    #expect(try both.world.state.withLock { $0.uploads.count } == 1 && Set(both.events().map(\.digest)).count == 1)
  }

  @Test
  func `a birth of 1.8 is a packet, and is confirmed with number and token`() async throws {
    let both = try BothMediators()
    #expect(try await both.crvs.register(try sample("g2-event-registration-birth"), WaitingCourse.birth).status == 202)
    try await both.run()
    #expect(both.world.state.withLock { $0.uploads.count } == 1)
    try await both.isBorn()
    #expect(both.crvs.names == ["upsertRegistrationIdentifier", "confirmRegistration"])
    let details = both.crvs.told.last?.body["details"]
    let expected = try sample("g2-out-confirm-birth")["variables"]?["details"]
    #expect(details?["comment"] == expected?["comment"] && details?["registrationNumber"]?.string?.hasSuffix("BTEST01") == true)
    #expect(details?["identifiers"] == [["type": "MOSIP_PSUT_TOKEN_ID", "value": "t-36"]])
  }

  @Test
  func `a birth of 1.8 that failed is registered with the reason in its history`() async throws {
    let both = try BothMediators()
    #expect(try await both.crvs.register(try sample("g2-event-registration-birth"), WaitingCourse.birth).status == 202)
    try await both.run()
    try await both.ended(try #require(both.world.event(WaitingCourse.birth)?["aid"]?.string), "FAILED")
    let details = both.crvs.told.last?.body["details"]
    #expect(both.crvs.names.last == "confirmRegistration" && details?["identifiers"] == nil)
    #expect(details?["comment"]?.string?.hasPrefix("MOSIP: PACKET_FAILED ") == true)
  }

  // MARK: corrections of births

  @Test
  func `a correction takes the values that were asked for, by an update packet`() async throws {
    let both = try BothMediators()
    #expect(try await both.trigger("g3-2x-birth-register") == 202)
    try await both.isBorn()
    #expect(try await both.trigger("g3-birth-approve-correction") == 200)
    let packet = try await update(both)
    #expect(packet.process == "OPENCRVS_UPDATE")
    #expect(
      Set(packet.subPackets.values.flatMap { $0.identity.map(\.key) }) == ["IDSchemaVersion", "UIN", "fullName", "dateOfBirth"])
    let child = try #require(try both.events().last?.bundle.subject)
    #expect(child.names.first?.given == ["Amina Rose"] && child.birthDate == "2026-02-19")
    try await both.ended(try aid(both), "PROCESSED")
    #expect(try both.outcomes() == ["corrected"])
    #expect(both.crvs.names == ["register.accept", "correction.approve.accept"] && both.crvs.states == ["Told", "Told"])
  }

  @Test(arguments: ["PROCESSED", "FAILED"])
  func `a correction that waits is accepted, whatever became of it`(_ end: String) async throws {
    let both = try BothMediators(["correction-waits-for-mosip": true])
    #expect(try await both.trigger("g3-2x-birth-register") == 202)
    try await both.isBorn()
    #expect(try await both.trigger("g3-birth-approve-correction") == 202)
    #expect(both.crvs.names == ["register.accept"])
    try await both.ended(try aid(both), end)
    let call = try #require(both.crvs.told.last)
    #expect(try call.name == "correction.approve.accept" && call.body == sample("g3-out-correction-accept")["0"]?["json"])
    #expect(both.crvs.reported.isEmpty == (end == "PROCESSED"))
  }

  @Test
  func `a correction of a child without a number is the birth that MOSIP never had, and brings its token`() async throws {
    let both = try BothMediators()
    #expect(try await both.trigger("g3-birth-approve-correction-without-nid") == 202)
    let rid = try aid(both)
    #expect(both.world.state.withLock { $0.uploads.map(\.fileName) } == [rid + ".zip"])
    let event = try #require(try both.events().last)
    let fields = try await both.mosip.mapped(event, both.context)
    both.world.state.withLock { $0.people[BothMediators.child] = FakeIdentities.Person(fields: fields, rids: [rid]) }
    try await both.ended(rid, "PROCESSED")
    #expect(try both.outcomes() == ["created"])
    #expect(both.crvs.names == ["correction.approve.accept"])
    let token = both.crvs.told.last?.body["declaration"]?["child.nid"]?.string
    #expect(token?.contains(BothMediators.child) == true, "the fake token is made of the UIN")
  }

  @Test
  func `a notice's new values are the correction, whatever its Task says, and the path's letters and the host do not count`()
    async throws
  {
    let both = try BothMediators()
    #expect(try await both.crvs.register(try sample("g2-event-registration-birth"), WaitingCourse.birth).status == 202)
    try await both.run()
    try await both.isBorn()
    let line = try sample("g2-notice-request-line")
    let parts = (line["url"]?.string ?? "").split(separator: "/").map(String.init)
    #expect(parts[0] == "events" && parts[2] == "actions")
    let notice = try sample("g2-notice-approve-correction-birth")
    let host = line["headers"]?["host"]?.string ?? ""
    for _ in 0..<2 {
      #expect(try await both.crvs.notice(notice, WaitingCourse.birth, parts[1], parts[3], host: host).status == 200)
      try await both.run()
    }
    #expect(
      Set(try await update(both).subPackets.values.flatMap { $0.identity.map(\.key) }).isSuperset(of: ["fullName", "dateOfBirth"]))
    try await both.ended(try aid(both), "PROCESSED")
    #expect(try both.outcomes() == ["corrected"])
    #expect(both.world.state.withLock { $0.uploads.count } == 2, "one birth, one correction")
  }

  // MARK: deaths

  @Test(arguments: ["g3-death-register", "g3-death-register-age-only"])
  func `a death is registered at once, and the deceased deactivated, never the spouse`(_ name: String) async throws {
    let both = try BothMediators()
    let response = try await both.crvs.trigger(try sample(name))
    let number = try #require(response.value["registrationNumber"]?.string)
    #expect(response.status == 200)
    try await both.run()
    #expect(both.person()?.status == "DEACTIVATED" && both.person()?.patches.count == 1)
    #expect(try both.outcomes() == ["deactivated"])
    #expect(both.crvs.told.map { $0.body["registrationNumber"]?.string } == [number])
  }

  @Test
  func `a deceased who is authenticated is found by the token that is kept, and by no other`() async throws {
    let both = try BothMediators()
    both.knowsToken("412600000000000000000000000000000017")
    #expect(try await both.trigger("g3-death-register-authenticated") == 200)
    #expect(both.person(BothMediators.authenticated)?.status == "DEACTIVATED")
    let other = try BothMediators()
    #expect(try await other.trigger("g3-death-register-authenticated") == 200)
    #expect(try other.outcomes() == ["OPN-CRVS-029"] && other.person(BothMediators.authenticated)?.status == "ACTIVATED")
    #expect(other.crvs.reportedCodes == ["OPN-CRVS-029"] && other.crvs.names == ["register.accept"])
  }

  @Test
  func `a death of 1.8 is confirmed at once, or when MOSIP has answered, and found by its VID`() async throws {
    for waits in [false, true] {
      let both = try BothMediators(["death-waits-for-mosip": .boolean(waits)])
      #expect(try await both.crvs.register(try sample("g2-event-registration-death"), WaitingCourse.death).status == 202)
      try await both.run()
      #expect(both.person()?.status == "DEACTIVATED")
      let details = both.crvs.told.last { $0.name == "confirmRegistration" }?.body["details"]
      let expected = try sample("g2-out-confirm-death")["variables"]?["details"]
      #expect(details?["comment"] == (waits ? expected?["comment"] : nil))
      #expect(details?["registrationNumber"]?.string?.hasSuffix("DTEST01") == true && both.crvs.states == ["Told"])
    }
  }

  @Test(arguments: [("deactivate", "unchanged"), ("flag", "corrected")])
  func `another date of a death is none of MOSIP's, unless the identity says it`(_ action: String, _ what: String) async throws {
    for isNotice in [false, true] {
      let both = try BothMediators(mosip: ["death-action": .text(action)])
      if isNotice {
        #expect(try await both.crvs.register(try sample("g2-event-registration-death"), WaitingCourse.death).status == 202)
        try await both.run()
        let notice = try sample("g2-notice-make-correction-death")
        #expect(try await both.crvs.notice(notice, WaitingCourse.death, "DEATH", "make-correction").status == 200)
        try await both.run()
      } else {
        #expect(try await both.trigger("g3-death-register") == 200)
        #expect(try await both.trigger("g3-death-approve-correction-date") == 200)
      }
      #expect(try both.outcomes().last == what, "\(isNotice)")
      #expect(both.person()?.fields["deceasedDeclarationDate"] == (action == "flag" ? "2026/02/26" : nil), "\(isNotice)")
    }
  }

  // MARK: custom actions

  @Test
  func `a death is revoked and reinstated, and revoked again, as often as policy allows`() async throws {
    let both = try BothMediators(["reversal-waits-for-mosip": true], mosip: ["reversal-allow": true])
    #expect(try await both.trigger("g3-death-register") == 200)
    #expect(try await both.trigger("g3-2x-death-revoke") == 202)
    #expect(both.person()?.status == "ACTIVATED")
    #expect(try await both.trigger("g3-2x-death-reinstate") == 202)
    #expect(both.person()?.status == "DEACTIVATED")
    #expect(both.person()?.patches.map(\.status) == ["DEACTIVATED", "ACTIVATED", "DEACTIVATED"])
    #expect(try both.outcomes() == ["deactivated", "activated", "deactivated"])
    #expect(both.crvs.names == ["register.accept", "custom.accept", "custom.accept"] && !both.crvs.hasTokens)
  }

  @Test
  func `a revocation is held by default, and its action stays open where OpenCRVS waits`() async throws {
    for (name, first, waits) in [
      ("g3-2x-death-revoke", "g3-death-register", true), ("g3-2x-death-revoke", "g3-death-register", false),
      ("g3-2x-birth-revoke", "g3-2x-birth-register", true),
    ] {
      let both = try BothMediators(["reversal-waits-for-mosip": .boolean(waits)])
      _ = try await both.trigger(first)
      if name.contains("birth") { try await both.isBorn() }
      #expect(try await both.trigger(name) == (waits ? 202 : 200), "\(name)")
      #expect(try both.outcomes().last == "OPN-CRVS-009", "\(name)")
      #expect(both.crvs.names.last == (waits ? "register.accept" : "custom.accept"), "\(name)")
      #expect(both.crvs.reportedCodes == ["OPN-CRVS-009"], "\(name)")
    }
  }

  @Test
  func `a birth that is revoked with leave deactivates the child`() async throws {
    let both = try BothMediators(mosip: ["revocation-allow": true])
    #expect(try await both.trigger("g3-2x-birth-register") == 202)
    try await both.isBorn()
    #expect(try await both.trigger("g3-2x-birth-revoke") == 200)
    #expect(both.person(BothMediators.child)?.status == "DEACTIVATED")
    #expect(try both.outcomes() == ["deactivated"])
  }

  // MARK: what came last

  /// The application id of the correction.
  private func aid(_ both: BothMediators) throws -> String {
    let kept = both.world.state.withLock { state in
      state.records.first {
        $0.key.hasPrefix("opencrvs-mediator|events|") && $0.value.document["kind"]?.string == EventKind.birthCorrection.rawValue
      }
    }
    return try #require(kept?.value.document["aid"]?.string)
  }

  private func update(_ both: BothMediators) async throws -> PacketContents {
    let upload = try #require(both.world.state.withLock { $0.uploads.last })
    return try await PacketReader(keys: both.world.keys.packets).read(upload.bytes, refId: "45451_45452")
  }
}
