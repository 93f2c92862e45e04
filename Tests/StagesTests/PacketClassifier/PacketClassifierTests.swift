import StageTesting
import StageKit
import Stages
import System
import Testing

@Suite(.timeLimit(.minutes(10))) struct PacketClassifierTests {
  private static let none = "--TAG_VALUE_NOT_AVAILABLE--"

  private func world(_ change: @Sendable (isolated TestPlatform) -> Void = { _ in }) async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.schema = Sample.schema
      $0.announcements = [Sample.announcement()]
      $0.fields = [
        "IDSchemaVersion": "0.1", "dateOfBirth": "2024/02/29",
        "gender": #"[{"language":"fra","value":"Féminin"},{"language":"eng","value":"Female"}]"#,
      ]
      $0.metaInfo["operationsData"] = #"[{"label":"officerId","value":"110011"},{"label":"supervisorId","value":null}]"#
      $0.metaInfo["metaData"] = #"[{"label":"centerId","value":"45451"}]"#
    }
    await world.set(change)
    return world
  }

  private func tags(_ world: TestPlatform, _ settings: [String: SettingValue] = [:], now: Instant = Sample.now) async throws
    -> [String: String]
  {
    let verdict = try await world.judge(PacketClassifier.self, settings, now: now)
    #expect(verdict.kind == .passed, "\(verdict.comment)")
    return verdict.tags
  }

  @Test func `a birth gets all tags in MOSIPs names and the same ones again`() async throws {
    let world = await world()
    for _ in 1...2 {
      let verdict = try await world.judge(PacketClassifier.self)
      #expect(verdict.subStatusCode == "RPR-PKCSUCCESS-001" && verdict.comment == "Packet Classification is Successful")
      #expect(
        verdict.tags == [
          "AGE_GROUP": "INFANT", "INTRODUCER_AVAILABILITY": "false", "EXCEPTION_BIOMETRICS": Self.none,
          "SUPERVISOR_APPROVAL_STATUS": "APPROVED", "ID_OBJECT-gender": "Female",
          "ID_OBJECT-residenceStatus": Self.none,
          "META_INFO-OPERATIONS_DATA-officerId": "110011", "META_INFO-OPERATIONS_DATA-supervisorId": Self.none,
          "META_INFO-META_DATA-centerId": "45451", "META_INFO-CAPTURED_REGISTERED_DEVICES-Face": Self.none,
          "META_INFO-CAPTURED_REGISTERED_DEVICES-Finger": Self.none,
        ])
    }
    // The engine sets them; the stage itself changes nothing.
    #expect(await world.changes.isEmpty)
  }

  // MARK: Age

  @Test(arguments: [
    ("2024/03/01", "INFANT"), ("2018/03/02", "INFANT"), ("2018/03/01", "MINOR"), ("2006/03/02", "MINOR"),
    ("2006/03/01", "ADULT"), ("1880/01/01", "ADULT"),
  ])
  func `age groups change on the birthday`(_ dateOfBirth: String, _ group: String) async throws {
    let world = await world { $0.fields["dateOfBirth"] = dateOfBirth }
    #expect(try await tags(world)["AGE_GROUP"] == group)
  }

  @Test func `a child of a leap day is a year older on the first of march`() async throws {
    let world = await world { $0.fields["dateOfBirth"] = "2018/02/28" }
    await world.set { $0.fields["dateOfBirth"] = "2020/02/29" }
    let settings: [String: SettingValue] = ["age-groups": ["FIVE=0-5", "SIX=6-6"]]
    #expect(try await tags(world, settings, now: Instant(iso: "2026-02-28T23:59:59.000Z")!)["AGE_GROUP"] == "FIVE")
    #expect(try await tags(world, settings, now: Instant(iso: "2026-03-01T00:00:00.000Z")!)["AGE_GROUP"] == "SIX")
  }

  @Test func `a child who is born where it is tomorrow already is an infant`() async throws {
    let world = await world { $0.fields["dateOfBirth"] = "2024/03/01" }
    #expect(try await tags(world, now: Instant(iso: "2024-02-29T10:00:00.000Z")!)["AGE_GROUP"] == "INFANT")
    let verdict = try await world.judge(PacketClassifier.self, now: Instant(iso: "2024-02-28T23:59:59.000Z")!)
    #expect(verdict.kind == .error)
  }

  @Test func `without a date of birth the age counts`() async throws {
    let world = await world {
      $0.fields["dateOfBirth"] = nil
      $0.fields["age"] = "17"
    }
    #expect(try await tags(world)["AGE_GROUP"] == "MINOR")
    await world.set { $0.fields["age"] = "seventeen" }
    #expect(try await world.judge(PacketClassifier.self).kind == .error)
  }

  @Test func `without both the identity of the packets UIN counts`() async throws {
    let world = await world {
      $0.fields["dateOfBirth"] = nil
      $0.fields["UIN"] = "5075291708"
      $0.identities["5075291708"] = Sample.identity(fields: ["dateOfBirth": "1980/05/05"])
    }
    #expect(try await tags(world)["AGE_GROUP"] == "ADULT")
  }

  @Test func `an unknown age is not available`() async throws {
    let world = await world { $0.fields["dateOfBirth"] = nil }
    #expect(try await tags(world)["AGE_GROUP"] == Self.none)
  }

  @Test(arguments: ["2024/13/01", "2023/02/29", "29.02.2024", "2024/02", "1700/01/01", "2024/03/03"])
  func `a date of birth that fits no group ends in an error`(_ dateOfBirth: String) async throws {
    let world = await world { $0.fields["dateOfBirth"] = dateOfBirth }
    let verdict = try await world.judge(PacketClassifier.self)
    #expect(verdict.kind == .error && verdict.statusCode == .error && verdict.subStatusCode == "RPR-SYS-EXCEPTION-001")
    #expect(!verdict.comment.contains(dateOfBirth))
  }

  // MARK: The other generators

  @Test(arguments: [
    ("introducerUIN", "1", "true"), ("introducerRID", "1", "true"), ("introducerVID", "1", "true"),
    ("introducerUIN", "  ", "false"), ("introducerUIN", none, "false"),
  ])
  func `an introducer is available by any of three fields`(_ field: String, _ value: String, _ expected: String) async throws {
    let world = await world { $0.fields[field] = value }
    #expect(try await tags(world)["INTRODUCER_AVAILABILITY"] == expected)
  }

  @Test(arguments: [
    (#"{"applicant":{"rightEye":{},"leftLittle":{},"leftThumb":null}}"#, "", "LL,LT,RE"),
    (#"{"applicant":{}}"#, "", ""),
    (#"{"individualBiometrics":{"leftIndex":{}}}"#, "", none),
    (#"{"individualBiometrics":{"leftIndex":{}}}"#, "1.2.0", "LI"),
    (#"{"applicant":{"leftIndex":{}}}"#, "1.1.5.5", "LI"),
    ("{}", "1.2.0", none), ("{}", "", none), (#"{"individualBiometrics":{}}"#, "1.2.0", ""),
    (
      #"{"applicant":{"rightEye":{},"rightThumb":{},"rightIndex":{},"rightMiddle":{},"rightRing":{},"rightLittle":{},"leftThumb":{},"leftIndex":{},"leftMiddle":{},"leftRing":{},"leftLittle":{},"leftEye":{}}}"#,
      "1.1.4", "LL,LR,LM,LI,LT,RL,RR,RM,RI,RT,LE,RE"
    ),
  ])
  func `exceptions are listed by the clients version`(_ exceptions: String, _ version: String, _ expected: String) async throws {
    let world = await world {
      $0.metaInfo["exceptionBiometrics"] = exceptions
      if !version.isEmpty {
        $0.metaInfo["metaData"] = #"[{"label":"Registration Client Version Number","value":"\#(version)"}]"#
      }
    }
    #expect(try await tags(world)["EXCEPTION_BIOMETRICS"] == expected)
  }

  @Test(arguments: [
    ("exceptionBiometrics", "no JSON"), ("exceptionBiometrics", "[]"), ("exceptionBiometrics", #"{"applicant":[]}"#),
    ("capturedRegisteredDevices", "{}"), ("capturedRegisteredDevices", "[{}]"),
    ("capturedRegisteredDevices", #"[{"digitalId":{"make":"M"}}]"#),
    ("capturedRegisteredDevices", #"[{"digitalId":{"type":"Face","make":"M","model":"X1"}}]"#),
    ("operationsData", "x"), ("metaData", "{}"),
  ])
  func `meta information that cannot be read ends in an error`(_ name: String, _ value: String) async throws {
    let world = await world { $0.metaInfo[name] = value }
    let verdict = try await world.judge(PacketClassifier.self)
    #expect(verdict.kind == .error && verdict.statusCode == .error && verdict.subStatusCode == "RPR-SYS-EXCEPTION-001")
  }

  @Test(arguments: [
    ("gender", "no JSON"), ("gender", "{}"), ("gender", "[]"), ("proofOfIdentity", "no JSON"), ("proofOfIdentity", "{}"),
  ])
  func `fields that are not what the schema says end in an error`(_ field: String, _ value: String) async throws {
    let world = await world { $0.fields[field] = value }
    let verdict = try await world.judge(PacketClassifier.self, ["id-object-fields": ["gender", "poi"]])
    #expect(verdict.kind == .error && verdict.subStatusCode == "RPR-SYS-EXCEPTION-001")
  }

  @Test func `a schema that is not there ends in an error`() async throws {
    let world = await world { $0.schema = nil }
    #expect(try await world.judge(PacketClassifier.self).kind == .error)
    await world.set { $0.fields["IDSchemaVersion"] = nil }
    #expect(try await world.judge(PacketClassifier.self).kind == .error)
  }

  @Test func `a country may ask for other fields availability`() async throws {
    let world = await world { $0.fields["introducerVID"] = "1" }
    let tags = try await tags(world, ["availability": ["HAS_INTRODUCER=introducerRID|introducerUIN", "HAS_BIRTHDAY=dob|age"]])
    #expect(tags["HAS_INTRODUCER"] == "false" && tags["HAS_BIRTHDAY"] == "true" && tags["INTRODUCER_AVAILABILITY"] == nil)
  }

  @Test func `a rejected packet is tagged so and one that was not announced is not`() async throws {
    let world = await world { $0.announcements = [Sample.announcement(supervisorStatus: "REJECTED")] }
    #expect(try await tags(world)["SUPERVISOR_APPROVAL_STATUS"] == "REJECTED")
    await world.set { $0.announcements = [] }
    #expect(try await tags(world)["SUPERVISOR_APPROVAL_STATUS"] == Self.none)
  }

  @Test func `fields become tags by their type`() async throws {
    let world = await world {
      $0.fields["phone"] = "9898989898"
      $0.fields["proofOfIdentity"] = #"{"value":"proofOfIdentity","type":"DOC001"}"#
    }
    let tags = try await tags(world, ["id-object-fields": ["phone", "poi", "IDSchemaVersion"]])
    #expect(tags["ID_OBJECT-phone"] == "9898989898" && tags["ID_OBJECT-poi"] == "proofOfIdentity")
    #expect(tags["ID_OBJECT-IDSchemaVersion"] == "0.1")
  }

  @Test func `an optional language serves when no mandatory one has a value`() async throws {
    let world = await world()
    let tags = try await tags(world, ["mandatory-languages": ["ara"], "optional-languages": ["fra"]])
    #expect(tags["ID_OBJECT-gender"] == "Féminin")
    #expect(try await world.judge(PacketClassifier.self, ["mandatory-languages": ["ara"]]).kind == .error)
  }

  @Test func `a field of another type ends in an error`() async throws {
    let world = await world { $0.fields["isTwin"] = "true" }
    let verdict = try await world.judge(
      PacketClassifier.self, ["id-object-fields": ["twin"], "identity-mapping": ["twin=isTwin"]])
    #expect(verdict.kind == .error)
  }

  @Test func `devices are named by make model and serial number`() async throws {
    let world = await world {
      $0.metaInfo["capturedRegisteredDevices"] =
        #"[{"digitalId":{"type":"Face","make":"M","model":"X1","serialNo":"77"}}]"#
    }
    let tags = try await tags(world)
    #expect(tags["META_INFO-CAPTURED_REGISTERED_DEVICES-Face"] == "M-X1-77")
    #expect(tags["META_INFO-CAPTURED_REGISTERED_DEVICES-Finger"] == Self.none)
  }

  @Test(arguments: ["operationsData", "metaData", "capturedRegisteredDevices"])
  func `meta information that must be there is missed`(_ name: String) async throws {
    let world = await world { $0.metaInfo[name] = nil }
    let verdict = try await world.judge(PacketClassifier.self)
    #expect(
      verdict.kind == .error && verdict.subStatusCode == "RPR-SYS-EXCEPTION-001" && verdict.comment.contains(name))
  }

  @Test func `only the generators that are asked for run`() async throws {
    let world = await world { $0.metaInfo = [:] }
    #expect(try await tags(world, ["tag-generators": ["supervisor"]]) == ["SUPERVISOR_APPROVAL_STATUS": "APPROVED"])
  }

  @Test func `a packet manager that refuses or is away is tried again`() async throws {
    let world = await world()
    await world.fail("fields", with: Broken.refused("KER-PUT-001"))
    #expect(try await world.judge(PacketClassifier.self).subStatusCode == "RPR-PKV-FAILED-014")
    await world.fail("metaInfo", with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(PacketClassifier.self) }
  }

  @Test(arguments: [
    ("tag-generators", "weather"), ("age-groups", "INFANT"), ("age-groups", "INFANT=5-0"), ("age-groups", "INFANT=a-b"),
    ("id-object-fields", "shoeSize"), ("availability", "X=shoeSize"), ("availability", "X"), ("identity-mapping", "=x"),
  ])
  func `wrong settings are refused at start`(_ setting: String, _ value: String) {
    #expect(throws: SettingError.self) { try make(PacketClassifier.self, [setting: .texts([value])]) }
  }
}
