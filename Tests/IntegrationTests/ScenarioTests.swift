import TestSupport
import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit
import StageRuntime
import Testing

/// The samples of deaths, corrections and reversals on the whole pipeline, each with the end that their table names. Rows have records and
/// people of their own, and go at the same time.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ScenarioTests {
  typealias Check = @Sendable (Stand, _ name: String) async throws -> Void

  /// Runs rows on a stand, each under a name of its own.
  private func run(_ stand: Stand, _ rows: [Check]) async throws {
    var failure: (any Error)?
    do {
      try await withThrowingTaskGroup(of: Void.self) { group in
        for (place, row) in rows.enumerated() { group.addTask { try await row(stand, "ab\(10 + place)") } }
        try await group.waitForAll()
      }
    } catch { failure = error }
    await stand.stop()
    if let failure { throw failure }
  }

  @Test func `with the shipped settings each sample ends as its row of the table says`() async throws {
    try await run(
      Stand(),
      [
        Self.deathByUIN, Self.deathByVIDAgainAndReversed, Self.deathsThatNameNobody, Self.deathByBirthNumber, Self.otherPerson,
        Self.dateOfDeathOnlyDeactivated, Self.otherPersonDied, Self.blocked, Self.datesOfTheFuture, Self.reversalOfNothingReleased,
        Self.unreadable, Self.deathByToken, Self.births, { try await Self.corrections($0, $1, by: "packet") },
        { try await Self.nothingForMOSIP($0, $1) }, { try await Self.birthThatFailed($0, $1) }, Self.captures, Self.revocationHeld,
        Self.motherNotInBundle, { try await Self.countLimit($0, $1) },
      ])
  }

  /// Settings of a country that has decided otherwise: corrections without packets, flags as well, nothing is held, nothing is made up.
  static let decided = [
    "CORRECTION_BY": "patch", "DEATH_ACTION": "deactivate-and-flag", "REVERSAL_ALLOW": "true", "REVOCATION_ALLOW": "true",
    "STRICT": "true", "LOCATION_MAPPING": "region:state:id|province:district:id|zone:district:id|city:city:direct",
  ]
  private static func environment(_ settings: [String: String]) -> [String: String] {
    Dictionary(uniqueKeysWithValues: settings.map { ("REGPROC_STAGE_MOSIP_MEDIATOR_" + $0.key, $0.value) })
  }

  @Test func `with corrections by patch and nothing held they end by those settings`() async throws {
    try await run(
      Stand(settings: Self.environment(Self.decided)),
      [
        { try await Self.corrections($0, $1, by: "patch") }, { try await Self.nothingForMOSIP($0, $1) },
        { try await Self.birthThatFailed($0, $1) }, { try await Self.countLimit($0, $1) }, Self.flaggedCorrectedAndReversedOnce,
        Self.reversalOfNothing, Self.deathOfLongAgo, Self.revokedCorrectedAndReinstated, Self.strict,
      ])
  }

  @Test func `on MOSIPs services they end the same`() async throws {
    try await run(
      Stand(onMosip: true, settings: Self.environment(["CORRECTION_BY": "patch"])),
      [
        Self.deathByUIN, Self.deathByVIDAgainAndReversed, Self.deathsThatNameNobody, Self.blocked, Self.otherPersonDied,
        { try await Self.corrections($0, $1, by: "patch") }, { try await Self.countLimit($0, $1) },
      ])
  }

  // MARK: deaths

  static func deathByUIN(_ stand: Stand, _ name: String) async throws {
    // As the table names them: this row has the samples' own numbers.
    let row = try Row(stand, nil)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid)
    let end = try await row.end("g1-old-death-registered")
    #expect(end.word == "deactivated", "\(end)")
    let identity = try await row.identity(.uin(row.uin))
    #expect(identity.status == "DEACTIVATED" && identity.rid == end.aid)
    #expect(identity.fields["declaredAsDeceased"] == nil)
    #expect(try await eventually { row.heard("2026DTEST01").token != nil })
    #expect(row.heard("2026DTEST01").token == end.token && row.heard("2026DTEST01").rid == end.aid)
    #expect(row.heard("2026DTEST01").errors.isEmpty)
    #expect(try await eventually { try await row.doings("2026DTEST01") == ["death Told deactivated"] })
    // For the UIN and for its VID; a subscriber of data hears nothing of somebody who is not active.
    try await row.expectPublished(row.uin, ["REMOVE_ID", "REMOVE_ID"])
  }

  static func deathByVIDAgainAndReversed(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid)
    try await row.seed(row.beside, "Ruth Phiri", "1955/03/04", "Female")
    let spouse = try await row.identity(.uin(row.beside))
    let death = try await row.end("g1-new-death-registered")
    #expect(death.word == "deactivated", "\(death)")
    let again = try await row.end("g1-new-death-registered-again")
    #expect(again == death)
    #expect(try await row.identity(.uin(row.uin)).rid == death.aid)
    // Another record of the same death: the VID finds nobody any more, and that is no error.
    let second = try await row.end("g1-new-death-registered", ["0000000000d1": "0000000000d8", "2026DTEST01": "2026DTEST08"])
    #expect(second.word == "unchanged", "\(second)")
    #expect(try await row.identity(.uin(row.uin)).rid == death.aid)

    let reversal = try row.body("g1-death-reversed")
    #expect(try await row.end("g1-death-reversed").word == "OPN-CRVS-009")
    #expect(try await row.status(row.uin) == "DEACTIVATED")
    #expect(try await row.doings("2026DTEST01").last == "death-reversal Held OPN-CRVS-009")
    #expect(try await eventually { row.heard("2026DTEST01").error?.hasPrefix("OPN-CRVS-009") == true })
    let released = try await row.release("2026DTEST01", reversal)
    #expect(released.word == "activated", "\(released)")
    let identity = try await row.identity(.uin(row.uin))
    #expect(identity.status == "ACTIVATED" && identity.rid == released.aid && released.aid != death.aid)
    #expect(
      try await eventually {
        try await row.doings("2026DTEST01") == ["death Told deactivated", "death-reversal Told activated"]
      })
    #expect(row.heard("2026DTEST01").tokens == [death.token])
    try await row.expectPublished(row.uin, ["REMOVE_ID", "REMOVE_ID", "IDENTITY_UPDATED", "CREDENTIAL_ISSUED"])
    let untouched = try await row.identity(.uin(row.beside))
    #expect(untouched.rid == spouse.rid && untouched.status == "ACTIVATED" && untouched.fields == spouse.fields)
    #expect(try await row.published(row.beside).isEmpty)
  }

  static func deathsThatNameNobody(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let nobody = try await row.end("g1-new-death-no-identifier")
    #expect(nobody.word == "OPN-CRVS-029", "\(nobody)")
    #expect(try await eventually { row.heard("2026DTEST02").error?.hasPrefix("OPN-CRVS-029") == true })
    #expect(row.heard("2026DTEST02").token == nil)
    #expect(try await row.doings("2026DTEST02") == ["death Failed OPN-CRVS-029"])
    #expect(try await row.end("g1-new-death-by-brn").word == "OPN-CRVS-029")
    #expect(try await row.end("g1-old-death-registered").word == "OPN-CRVS-028")
    let wrong = row.uin.dropLast() + (row.uin.hasSuffix("0") ? "1" : "0")
    let checked = try await row.end(
      "g1-old-death-registered", ["8215013740": String(wrong), "0000000000d1": "0000000000d7", "2026DTEST01": "2026DTEST07"])
    #expect(checked.word == "OPN-CRVS-028")
    // A death that failed is made good by its correction, which names somebody who is there.
    try await row.seed(row.other, "Paul Phiri", "1961/07/08", "Male")
    #expect(try await row.end("g1-death-corrected-other-person").word == "deactivated")
    #expect(try await row.status(row.other) == "DEACTIVATED")
  }

  static func deathByBirthNumber(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let birth = try await row.end("g1-new-birth-registered")
    #expect(birth.word == "created", "\(birth)")
    let uin = try await row.identity(.rid(try #require(birth.aid))).uin
    // The sample's deceased is called otherwise than the sample's child: it is not the same person.
    #expect(try await row.end("g1-new-death-by-brn").word == "OPN-CRVS-008")
    #expect(try await row.status(uin) == "ACTIVATED")
    let death = try await row.end(
      "g1-new-death-by-brn",
      [
        #""given":["Amina"],"family":"Phiri"}],"gender":"male""#: #""given":["Amina"],"family":"Banda"}],"gender":"female""#,
        "0000000000d3": "0000000000d5", "2026DTEST03": "2026DTEST05",
      ])
    #expect(death.word == "deactivated", "\(death)")
    #expect(death.token == birth.token)
    #expect(try await row.status(uin) == "DEACTIVATED")
  }

  static func deathByToken(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let birth = try await row.end("g1-old-birth-registered")
    let token = try #require(birth.token)
    func death(_ token: String, _ number: String) -> [String: String] {
      [
        #""given":["Peter"],"family":"Phiri"}],"gender":"male","birthDate":"1950-01-02","identifier":["#:
          #""given":["Amina"],"family":"Banda"}],"gender":"female","birthDate":"2026-02-20","identifier":[{"value":"\#(token)","type":{"coding":[{"system":"http://opencrvs.org/specs/identifier-type","code":"MOSIP_PSUT_TOKEN_ID"}]}},"#,
        "0000000000d2": "0000000000\(number)", "2026DTEST02": "2026DTEST\(number)",
      ]
    }
    #expect(try await row.end("g1-new-death-no-identifier", death(String(token.reversed()), "e1")).word == "OPN-CRVS-029")
    let end = try await row.end("g1-new-death-no-identifier", death(token, "e2"))
    #expect(end.word == "deactivated" && end.token == token, "\(end)")
  }

  static func otherPerson(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.other, "Grace Banda", "1995/02/03", "Female")
    let before = try await row.identity(.uin(row.other))
    let end = try await row.end("g1-new-death-other-person")
    #expect(end.word == "OPN-CRVS-008", "\(end)")
    #expect(!end.text.contains("Grace") && !end.text.contains("Paul"))
    let after = try await row.identity(.uin(row.other))
    #expect(after.rid == before.rid && after.status == "ACTIVATED" && after.fields == before.fields)
  }

  static func blocked(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid, status: "BLOCKED")
    #expect(try await row.end("g1-new-death-registered").word == "OPN-CRVS-017")
    let byUIN = try await row.end("g1-old-death-registered", ["0000000000d1": "0000000000d7", "2026DTEST01": "2026DTEST07"])
    #expect(byUIN.word == "OPN-CRVS-017")
    #expect(try await row.status(row.uin) == "BLOCKED")
  }

  static func datesOfTheFuture(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid)
    let death = try await row.end("g1-new-death-registered", ["2026-02-27": "2096-02-27"])
    #expect(death.word == "OPN-CRVS-006", "\(death)")
    #expect(try await row.status(row.uin) == "ACTIVATED")
    let birth = try await row.end("g1-new-birth-registered")
    let correction = try await row.end("g1-birth-corrected", ["2026-02-19": "2096-02-19"])
    #expect(correction.word == "OPN-CRVS-006", "\(correction)")
    #expect(try await row.identity(.rid(try #require(birth.aid))).fields["dateOfBirth"] == "2026/02/20")
  }

  // MARK: what follows a death

  static func dateOfDeathOnlyDeactivated(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid)
    let death = try await row.end("g1-new-death-registered")
    #expect(try await row.end("g1-death-corrected-date").word == "unchanged")
    let identity = try await row.identity(.uin(row.uin))
    #expect(identity.rid == death.aid && identity.fields["deceasedDeclarationDate"] == nil)
  }

  static func otherPersonDied(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid)
    try await row.seed(row.other, "Paul Phiri", "1961/07/08", "Male")
    try await row.end("g1-new-death-registered")
    let correction = try row.body("g1-death-corrected-other-person")
    #expect(try await row.end("g1-death-corrected-other-person").word == "OPN-CRVS-009")
    #expect(try await row.status(row.uin) == "DEACTIVATED")
    #expect(try await row.status(row.other) == "ACTIVATED")
    let end = try await row.release("2026DTEST01", correction)
    #expect(end.word == "corrected" && end.changed == ["UIN"], "\(end)")
    #expect(try await row.status(row.uin) == "ACTIVATED")
    #expect(try await row.status(row.other) == "DEACTIVATED")
    try await row.expectPublished(row.uin, ["REMOVE_ID", "REMOVE_ID", "IDENTITY_UPDATED", "CREDENTIAL_ISSUED"])
    try await row.expectPublished(row.other, ["REMOVE_ID"])
  }

  static func reversalOfNothingReleased(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", status: "DEACTIVATED")
    let reversal = ["7280514271570896": "8215013740"]
    #expect(try await row.end("g1-death-reversed", reversal).word == "OPN-CRVS-009")
    let end = try await row.release("2026DTEST01", try row.body("g1-death-reversed", reversal))
    #expect(end.word == "OPN-CRVS-017", "\(end)")
    #expect(try await row.status(row.uin) == "DEACTIVATED")
  }

  static func reversalOfNothing(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid)
    #expect(try await row.end("g1-death-reversed", ["7280514271570896": "8215013740"]).word == "OPN-CRVS-017")
    // A VID is no key of what follows a death.
    let byVID = try await row.end("g1-death-reversed", ["0000000000d1": "0000000000d7", "2026DTEST01": "2026DTEST07"])
    #expect(byVID.word == "OPN-CRVS-029", "\(byVID)")
  }

  static func flaggedCorrectedAndReversedOnce(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid)
    #expect(try await row.end("g1-new-death-registered").word == "deactivated")
    let flagged = try await row.identity(.uin(row.uin))
    #expect(flagged.status == "DEACTIVATED" && flagged.fields["declaredAsDeceased"] == "Y")
    #expect(flagged.fields["deceasedDeclarationDate"] == "2026/02/27" && flagged.fields["typeOfDeath"] == "natural")
    #expect(try await row.end("g1-death-corrected-date").word == "corrected")
    #expect(try await row.identity(.uin(row.uin)).fields["deceasedDeclarationDate"] == "2026/02/26")
    #expect(try await row.end("g1-death-reversed").word == "activated")
    let back = try await row.identity(.uin(row.uin))
    #expect(back.status == "ACTIVATED" && back.fields["declaredAsDeceased"] == "N")
    // A second death of the same person may stand; its reversal is one too many.
    let other = ["0000000000d1": "0000000000d6", "2026DTEST01": "2026DTEST06"]
    #expect(try await row.end("g1-new-death-registered", other).word == "deactivated")
    let second = try await row.end("g1-death-reversed", other)
    #expect(second.word == "OPN-CRVS-009", "\(second)")
    #expect(try await row.doings("2026DTEST06").last == "death-reversal Failed OPN-CRVS-009")
    #expect(try await row.status(row.uin) == "DEACTIVATED")
  }

  static func deathOfLongAgo(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Peter Phiri", "1950/01/02", "Male", vid: row.vid)
    #expect(try await row.end("g1-new-death-registered", ["2026-02-27": "2019-02-27"]).word == "deactivated")
    #expect(try await row.end("g1-death-reversed", ["2026-02-27": "2019-02-27"]).word == "OPN-CRVS-009")
    #expect(try await row.status(row.uin) == "DEACTIVATED")
  }

  // MARK: births and their corrections

  /// The address by names: ids of places are looked up where a country has them.
  static let places = [
    "d0000000-0000-4000-8000-000000000001": "East", "50000000-0000-4000-8000-000000000001": "North",
  ]

  static func births(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    async let old = row.end("g1-old-birth-registered")
    async let filtered = row.end("g1-16-birth-registered-filtered")
    for end in [try await old, try await filtered] {
      #expect(end.word == "created", "\(end)")
      let identity = try await row.identity(.rid(try #require(end.aid)))
      #expect(identity.fields["fullName"] == [["language": "eng", "value": "Amina Banda"]])
      #expect(identity.fields["dateOfBirth"] == "2026/02/20" && identity.status == "ACTIVATED")
    }
  }

  static func motherNotInBundle(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let end = try await row.end("birth-mother-not-in-bundle")
    #expect(end.word == "created", "\(end)")
    #expect(try await row.identity(.rid(try #require(end.aid))).fields["addressLine1"]?[0]?["value"] == "NA")
  }

  static func strict(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let end = try await row.end("birth-mother-not-in-bundle")
    #expect(end.word == "OPN-CRVS-006", "\(end)")
    #expect(try await eventually { row.heard("2024BCASE20").error?.hasPrefix("OPN-CRVS-006") == true })
  }

  static func corrections(_ stand: Stand, _ name: String, by way: String) async throws {
    let row = try Row(stand, name)
    let birth = try await row.end("g1-new-birth-registered", places)
    #expect(birth.word == "created", "\(birth)")
    let rid = try #require(birth.aid)
    let uin = try await row.identity(.rid(rid)).uin
    let end = try await row.end("g1-birth-corrected", places)
    #expect(end.word == "corrected" && Set(end.changed) == ["fullName", "dateOfBirth"] && end.aid != rid, "\(end)")
    let late = try await row.end("g1-birth-corrected-late", places)
    #expect(late.word == "unchanged", "\(late)")
    let identity = try await row.identity(.uin(uin))
    #expect(identity.fields["fullName"] == [["language": "eng", "value": "Amina Rose Banda"]])
    #expect(identity.fields["dateOfBirth"] == "2026/02/19" && identity.status == "ACTIVATED" && identity.rid == end.aid)
    let key = OpenCRVSRecordKey.of(try OpenCRVSEvent(try row.body("g1-birth-corrected-late", places)))
    #expect(try await row.change(key)?["stale"] == true)
    #expect(
      try await eventually {
        try await row.doings("2026BTEST01") == ["birth-correction Told corrected", "birth-correction Told unchanged"]
      })
    // A packet of its own process or none; either way subscribers of data hear of it once.
    let journey = try await stand.journey(end.aid ?? "")
    #expect(journey?.process == (way == "packet" ? "OPENCRVS_UPDATE" : nil))
    try await row.expectPublished(uin, ["IDENTITY_UPDATED"])
    // OpenCRVS has no place for what came of a correction.
    #expect(row.heard("2026BTEST01").rids == [rid] && row.heard("2026BTEST01").tokens == [birth.token])
    #expect(row.heard("2026BTEST01").errors.isEmpty)
  }

  static func nothingForMOSIP(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let birth = try await row.end("g1-new-birth-registered", places)
    let end = try await row.end("g1-birth-corrected-nothing-for-mosip", places)
    #expect(end.word == "unchanged" && end.changed.isEmpty, "\(end)")
    #expect(try await row.identity(.rid(try #require(birth.aid))).rid == birth.aid)
    #expect(try await stand.journey(end.aid ?? "") == nil)
  }

  static func birthThatFailed(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let birth = try await row.end("g1-new-birth-registered", places.merging(["2026-02-20": "2026-02-31"]) { $1 })
    #expect(birth.word == "OPN-CRVS-006", "\(birth)")
    let end = try await row.end("g1-birth-corrected", places)
    #expect(end.word == "created" && end.aid != birth.aid, "\(end)")
    let identity = try await row.identity(.rid(try #require(end.aid)))
    #expect(identity.fields["dateOfBirth"] == "2026/02/19")
    #expect(try await eventually { row.heard("2026BTEST01").token != nil })
    #expect(row.heard("2026BTEST01").tokens == [end.token])
  }

  static func countLimit(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let birth = try await row.end("g1-new-birth-registered", places)
    var end: Row.End?
    for day in 10...13 {
      let changes = [
        "2026-02-19": "2026-02-\(day)", "Amina Rose": "Amina", "2026-03-09T10:00:00.000Z": "2026-03-\(day)T10:00:00.000Z",
      ]
      end = try await row.end("g1-birth-corrected", places.merging(changes) { $1 })
      #expect(end?.word == (day < 13 ? "corrected" : "OPN-CRVS-018"), "\(String(describing: end))")
    }
    #expect(end?.text.contains("IDR-IDC-013") == true, "\(String(describing: end))")
    #expect(try await row.identity(.rid(try #require(birth.aid))).fields["dateOfBirth"] == "2026/02/12")
    #expect(try await eventually { row.heard("2026BTEST01").error?.hasPrefix("OPN-CRVS-018") == true })
  }

  static func captures(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    try await row.seed(row.uin, "Amina Banda", "2026/02/20", "Female", captures: true)
    let end = try await row.end(
      "g1-birth-corrected",
      [
        #""birthDate":"2026-02-19","identifier":["#:
          #""birthDate":"2026-02-19","identifier":[{"value":"8215013740","type":{"coding":[{"system":"http://opencrvs.org/specs/identifier-type","code":"NATIONAL_ID"}]}},"#
      ])
    #expect(end.word == "OPN-CRVS-009", "\(end)")
    #expect(try await row.identity(.uin(row.uin)).fields["dateOfBirth"] == "2026/02/20")
  }

  static func revocationHeld(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let birth = try await row.end("g1-old-birth-registered")
    let revocation = ["BIRTH_REGISTERED": "BIRTH_REVOKED", "2026-03-02T08:10:00": "2026-03-08T08:10:00"]
    #expect(try await row.end("g1-old-birth-registered", revocation).word == "OPN-CRVS-009")
    let uin = try await row.identity(.rid(try #require(birth.aid))).uin
    #expect(try await row.status(uin) == "ACTIVATED")
    let end = try await row.release("2026BTEST01", try row.body("g1-old-birth-registered", revocation))
    #expect(end.word == "deactivated", "\(end)")
    #expect(try await row.status(uin) == "DEACTIVATED")
  }

  static func revokedCorrectedAndReinstated(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let birth = try await row.end("g1-new-birth-registered", places)
    let uin = try await row.identity(.rid(try #require(birth.aid))).uin
    func event(_ topic: String, _ moment: String) -> [String: String] {
      places.merging(["BIRTH_REGISTERED": topic, "2026-03-02T08:10:00.000Z": moment]) { $1 }
    }
    #expect(try await row.end("g1-new-birth-registered", event("BIRTH_REVOKED", "2026-03-08T08:10:00.000Z")).word == "deactivated")
    // What is corrected meanwhile stays inactive, and nobody hears of it.
    #expect(try await row.end("g1-birth-corrected", places).word == "corrected")
    #expect(try await row.identity(.uin(uin)).fields["dateOfBirth"] == "2026/02/19")
    try await row.expectPublished(uin, ["REMOVE_ID", "REMOVE_ID"])
    let back = try await row.end(
      "g1-new-birth-registered", event("BIRTH_REINSTATED", "2026-03-12T08:10:00.000Z").merging(["2026-02-20": "2026-02-19"]) { $1 })
    #expect(back.word == "activated", "\(back)")
    #expect(try await row.status(uin) == "ACTIVATED")
    try await row.expectPublished(uin, ["REMOVE_ID", "REMOVE_ID", "IDENTITY_UPDATED", "CREDENTIAL_ISSUED"])
  }

  // MARK: what is none

  static func unreadable(_ stand: Stand, _ name: String) async throws {
    let row = try Row(stand, name)
    let death = try row.body("g1-new-death-registered")
    func code(_ body: [UInt8], signature: String? = nil) async throws -> String {
      let answer = try await stand.send(body, signature: signature)
      let error = (try? JSONValue.parse(answer.body))?["errors"]?[0]?["errorCode"]?.string
      return "\(answer.status) \(error ?? "-")"
    }
    #expect(try await code(Array("{}".utf8)) == "400 OPN-CRVS-001")
    #expect(try await code(Array("no json".utf8)) == "400 OPN-CRVS-001")
    #expect(try await code(Array(death.dropLast(3))) == "400 OPN-CRVS-001")
    #expect(try await code(try row.body("g1-new-death-registered", ["DEATH_REGISTERED": "DEATH_INVENTED"])) == "400 OPN-CRVS-001")
    let numberless = try row.body(
      "g1-new-death-registered", ["death-registration-number": "another-number", "DEATH_REGISTRATION_NUMBER": "OTHER"])
    #expect(try await code(numberless) == "400 OPN-CRVS-001")
    #expect(try await code(death, signature: "sha1=00") == "401 OPN-AUT-002")
    #expect(try await code(try row.body("g1-new-death-registered", ["DEATH_REGISTERED": "DEATH_CERTIFIED"])) == "200 OPN-CRVS-016")
    // The same record with other content is refused, and what is there stays.
    #expect(try await code(death) == "200 -")
    let other = try row.body("g1-new-death-registered", ["1950-01-02": "1950-01-03"])
    #expect(try await code(other) == "409 OPN-CRVS-015")
  }
}
