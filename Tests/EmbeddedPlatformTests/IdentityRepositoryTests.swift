import JSON
import Postgres
import Registration
import StageKit
import System
import Testing

@testable import EmbeddedPlatform

@Suite(.serialized, .timeLimit(.minutes(30))) struct IdentityRepositoryTests {
  private static let fields: JSONValue = ["fullName": "Zoë Rao", "IDSchemaVersion": 0.1]

  private func birth(_ repository: EmbeddedIdentityRepository, _ rid: String) async throws -> String? {
    try await repository.createDraft(rid: rid, uin: nil, idempotencyKey: "\(rid):uin-generator")
    try await repository.updateDraft(
      rid: rid, fields: Self.fields, documents: [], idempotencyKey: "\(rid):uin-generator")
    return try await repository.publishDraft(rid: rid, idempotencyKey: "\(rid):finalization")
  }

  private func uin(_ repository: EmbeddedIdentityRepository, _ rid: String) async throws -> String {
    try #require(try await repository.identity(.rid(rid))).uin
  }

  @Test func `a birth becomes an active identity with one perpetual VID`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      #expect(try await birth(repository, "1") == "ACTIVATED")
      let identity = try #require(try await repository.identity(.rid("1")))
      #expect(identity.status == "ACTIVATED" && identity.fields["fullName"]?.string == "Zoë Rao")
      #expect(identity.fields["UIN"]?.string == identity.uin)
      let vids = try await repository.vids(uin: identity.uin)
      #expect(vids.map(\.type) == ["PERPETUAL"] && vids.map(\.status) == ["ACTIVE"] && vids[0].expiresAt == nil)
      for reference in [IdentityReference.uin(identity.uin), .vid(vids[0].vid)] {
        #expect(try await repository.identity(reference)?.rid == "1")
      }
    }
  }

  @Test func `a draft in a state of a later version is not published`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "k")
      try await repository.updateDraft(rid: "1", fields: Self.fields, documents: [], idempotencyKey: "k")
      try await world.run("UPDATE platform.draft SET state = 'LATER'")
      await #expect(throws: (any Error).self) { _ = try await repository.publishDraft(rid: "1", idempotencyKey: "k") }
      #expect(try await world.number("SELECT count(*) FROM platform.identity") == 0)
    }
  }

  @Test func `captures of an identity are kept sealed and read again`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      let file =
        #"<BIR xmlns="\#(CBEFF.namespace)"><BIR><BIRInfo/><BDBInfo><Format/><Type>Face</Type></BDBInfo><BDB>AQID</BDB></BIR></BIR>"#
      try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "k")
      try await repository.updateDraft(
        rid: "1", fields: Self.fields, documents: [IdentityDocument(category: "individualBiometrics", bytes: Array(file.utf8))],
        idempotencyKey: "k")
      _ = try await repository.publishDraft(rid: "1", idempotencyKey: "k")
      let record = try #require(try await repository.biometrics(uin: try await uin(repository, "1")))
      #expect(record.segments.map(\.type) == ["Face"] && record.segments[0].data == [1, 2, 3])
      #expect(
        try await world.number("SELECT count(*) FROM platform.identity_document WHERE position('BIR'::bytea in content) > 0") == 0)
      _ = try await birth(repository, "2")
      #expect(try await repository.biometrics(uin: try await uin(repository, "2")) == nil)
    }
  }

  @Test func `every step may be repeated and the RID keeps its UIN`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      let first = try await uin(repository, "1")
      for _ in 1...3 { #expect(try await birth(repository, "1") == "ACTIVATED") }
      #expect(try await uin(repository, "1") == first)
      #expect(try await repository.vids(uin: first).count == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 1)
      #expect(try await repository.hasDraft(rid: "1") == false)
    }
  }

  @Test func `a discarded draft begins anew with the same UIN`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "k")
      let before = try await world.pool.with { try $0.execute("SELECT uin_hash FROM platform.draft").only().bytes(0) }
      try await repository.discardDraft(rid: "1")
      #expect(try await repository.hasDraft(rid: "1") == false)
      #expect(try await repository.publishDraft(rid: "1", idempotencyKey: "k") == nil)
      #expect(
        await code {
          try await repository.updateDraft(rid: "1", fields: Self.fields, documents: [], idempotencyKey: "k")
        }
          == "IDR-IDC-007")
      #expect(try await birth(repository, "1") == "ACTIVATED")
      #expect(world.sealer.hash(try await uin(repository, "1")) == before)
    }
  }

  @Test func `discarding a published draft takes nothing back`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      try await repository.discardDraft(rid: "1")
      try await repository.discardDraft(rid: "unknown")
      #expect(try await repository.identity(.rid("1"))?.status == "ACTIVATED")
      #expect(try await repository.publishDraft(rid: "1", idempotencyKey: "k") == "ACTIVATED")
    }
  }

  @Test func `many at once for one RID make one identity`() async throws {
    try await World.run { world async throws in
      let other = world.anotherPool()
      defer { other.close() }
      let repositories = [try world.repository(), try world.repository(other)]
      let answers = try await withThrowingTaskGroup(of: String?.self) { group in
        for task in 0..<8 { group.addTask { try await birth(repositories[task % 2], "1") } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers == Array(repeating: "ACTIVATED", count: 8))
      #expect(try await world.number("SELECT count(*) FROM platform.identity") == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.vid WHERE NOT is_free") == 1)
    }
  }

  @Test func `what is cut off within a step has happened in full or not at all`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      // The connection dies in the middle of the step: a trigger ends its own server process.
      try await world.pool.with { connection in
        try connection.script(
          """
          CREATE TABLE killing (tag text);
          CREATE FUNCTION kill_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT 1 FROM killing WHERE tag = TG_TABLE_NAME) THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
            RETURN NEW; END $$;
          CREATE TRIGGER k AFTER INSERT OR UPDATE ON platform.draft FOR EACH ROW EXECUTE FUNCTION kill_once();
          CREATE TRIGGER k AFTER INSERT OR UPDATE ON platform.identity FOR EACH ROW EXECUTE FUNCTION kill_once();
          CREATE TRIGGER k AFTER INSERT OR UPDATE ON platform.vid FOR EACH ROW EXECUTE FUNCTION kill_once();
          """)
      }
      try await repository.prepare()
      for table in ["draft", "identity", "vid"] {
        try await world.run("INSERT INTO killing VALUES ($1)", [.text(table)])
        #expect(await code { try await birth(repository, "1") } == "RPR-SYS-012")
        try await world.run("DELETE FROM killing")
        #expect(try await world.number("SELECT count(*) FROM platform.identity") == 0)
      }
      #expect(try await birth(repository, "1") == "ACTIVATED")
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 1)
      #expect(try await world.number("SELECT count(*) FROM platform.vid WHERE NOT is_free") == 1)
    }
  }

  @Test func `documents of a draft stay when a later update brings none`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      try await repository.createDraft(rid: "1", uin: nil, idempotencyKey: "k")
      let document = IdentityDocument(category: "POI", bytes: Array("%PDF-1.4".utf8))
      try await repository.updateDraft(rid: "1", fields: Self.fields, documents: [document], idempotencyKey: "k")
      try await repository.updateDraft(rid: "1", fields: Self.fields, documents: [], idempotencyKey: "k")
      _ = try await repository.publishDraft(rid: "1", idempotencyKey: "k")
      let stored = try await world.pool.with {
        try $0.execute("SELECT category, content, uin_hash FROM platform.identity_document").map {
          (try $0.text(0), try $0.bytes(1), try $0.bytes(2))
        }
      }
      #expect(stored.map(\.0) == ["POI"])
      #expect(
        try world.sealer.open(stored[0].1, in: SealedColumn.identityDocument.row(stored[0].2, Array("POI".utf8))) == document.bytes)
    }
  }

  @Test func `an identity is deactivated and activated and a repeat answers the same`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      let uin = try await uin(repository, "1")
      for (rid, status) in [("2", "DEACTIVATED"), ("3", "ACTIVATED")] {
        for _ in 1...2 {
          try await repository.update(uin: uin, rid: rid, status: status, fields: nil, idempotencyKey: rid)
        }
        let identity = try await repository.identity(.rid(rid))
        #expect(identity?.status == status && identity?.uin == uin && identity?.rid == rid)
      }
      try await repository.update(uin: uin, rid: "4", status: nil, fields: ["phone": "1"], idempotencyKey: "4")
      let identity = try await repository.identity(.uin(uin))
      #expect(identity?.fields["fullName"]?.string == "Zoë Rao" && identity?.fields["phone"]?.string == "1")
      #expect(try await repository.identity(.rid("1"))?.uin == uin, "the first registration still names it")
    }
  }

  @Test func `what cannot be is refused with MOSIPs code`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      _ = try await birth(repository, "2")
      let (one, two) = (try await uin(repository, "1"), try await uin(repository, "2"))
      #expect(
        await code { try await repository.update(uin: one, rid: "9", status: "GONE", fields: nil, idempotencyKey: "k") }
          == "IDR-IDC-002")
      #expect(
        await code { try await repository.update(uin: "123", rid: "9", status: nil, fields: nil, idempotencyKey: "k") }
          == "IDR-IDC-007")
      #expect(
        await code { try await repository.createDraft(rid: "9", uin: "123", idempotencyKey: "k") } == "IDR-IDC-007")
      #expect(await code { try await repository.createDraft(rid: "1", uin: two, idempotencyKey: "k") } == "IDR-IDC-012")
      #expect(
        await code { try await repository.update(uin: two, rid: "1", status: nil, fields: nil, idempotencyKey: "k") }
          == "IDR-IDC-012")
      #expect(
        await code { try await repository.updateDraft(rid: "9", fields: [:], documents: [], idempotencyKey: "k") }
          == "IDR-IDC-007")
      #expect(try await repository.publishDraft(rid: "9", idempotencyKey: "k") == nil)
      try await repository.createDraft(rid: "8", uin: nil, idempotencyKey: "k")
      #expect(await code { try await repository.publishDraft(rid: "8", idempotencyKey: "k") } == "IDR-IDC-002")
      #expect(try await repository.identity(.uin("123")) == nil)
    }
  }

  @Test func `a change whose time is not the databases is refused for now`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      let uin = try await uin(repository, "1")
      for (seconds, isTaken) in [(-70.0, false), (70, false), (-50, true), (50, true)] {
        let clock = ShiftedClock(seconds: seconds)
        let repository = try world.repository(clock: clock)
        var refused: ServiceError?
        do {
          try await repository.update(
            uin: uin, rid: "at \(seconds)", status: nil, fields: ["phone": "1"], idempotencyKey: "k")
        } catch let error as ServiceError { refused = error }
        if isTaken {
          #expect(refused == nil)
        } else {
          #expect(refused?.code == "IDR-IDC-002" && refused?.kind == .unavailable)
          #expect(refused?.message.contains("requesttime") == true)
        }
      }
    }
  }

  @Test func `a new identity must have what the schema and the list demand together`() async throws {
    try await World.run { world async throws in
      let schema =
        #"{"properties":{"identity":{"required":["IDSchemaVersion","province","zone","phone"],"properties":{"province":{"type":"string"}}}}}"#
      for (list, missing) in [
        (IdentityRules.mosipMandatory, "identity/province, identity/zone"), (["zone", "city"], "identity/zone"), ([], nil),
      ] {
        let rid = "\(list.count)"
        let repository = try world.repository(schema: schema, rules: IdentityRules(mandatoryForNew: list))
        var refused: ServiceError?
        do { _ = try await birth(repository, rid) } catch let error as ServiceError { refused = error }
        #expect(refused?.message == missing.map { "Missing Input Parameter - \($0)" })
        #expect(refused?.code == missing.map { _ in "IDR-IDC-001" })
        #expect(try await repository.hasDraft(rid: rid) == (missing != nil))
      }
    }
  }

  @Test func `an unknown version of the schema is waited for`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      let uin = try await uin(repository, "1")
      let refused = await code {
        try await repository.update(uin: uin, rid: "2", status: nil, fields: ["IDSchemaVersion": 7], idempotencyKey: "k")
      }
      #expect(refused == "IDR-IDS-008")
      #expect(try await repository.identity(.uin(uin))?.fields["IDSchemaVersion"] == 0.1)
    }
  }

  @Test func `a change that an older program made is its own repeat`() async throws {
    try await World.run(PlatformSchema.migrations.filter { $0.version < 1012 }) { world async throws in
      let uin = "5075291708"
      let uinHash = world.sealer.hash(uin)
      let hash = Value.bytes(uinHash)
      let fields: JSONValue = ["IDSchemaVersion": 0.1, "UIN": .string(uin)]
      try await world.run(
        "INSERT INTO platform.identity (uin_hash, sealed_uin, rid, status, fields) VALUES ($1, $2, '2', 'ACTIVATED', $3)",
        [
          hash, .bytes(try world.sealer.seal(Array(uin.utf8), in: SealedColumn.identityUIN.row(uinHash))),
          .bytes(try world.sealer.seal(fields.encoded(), in: SealedColumn.identityFields.row(uinHash))),
        ])
      try await world.run("INSERT INTO platform.draft (rid, uin_hash, sealed_uin, state) VALUES ('1', $1, $1, 'PUBLISHED')", [hash])
      try await world.run("INSERT INTO platform.identity_rid (rid, uin_hash) VALUES ('1', $1), ('2', $1)", [hash])
      _ = try await world.pool.with { try Migrator.apply(PlatformSchema.migrations, on: $0) }
      let repository = try world.repository()
      try await repository.update(uin: uin, rid: "2", status: "DEACTIVATED", fields: nil, idempotencyKey: "k")
      #expect(try await repository.identity(.uin(uin))?.status == "ACTIVATED")
      #expect(
        await code { try await repository.update(uin: uin, rid: "1", status: "DEACTIVATED", fields: nil, idempotencyKey: "k") }
          == "IDR-IDC-012")
    }
  }

  @Test func `a RID that changed an identity never gets AUIN of its own`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      _ = try await birth(repository, "2")
      let (one, two) = (try await uin(repository, "1"), try await uin(repository, "2"))
      try await repository.update(uin: one, rid: "3", status: nil, fields: nil, idempotencyKey: "3")
      _ = try await birth(repository, "3")
      #expect(try await uin(repository, "3") == one)
      // Nor does a drafted RID pass to another identity before it is published.
      try await repository.createDraft(rid: "4", uin: nil, idempotencyKey: "4")
      #expect(
        await code { try await repository.update(uin: two, rid: "4", status: nil, fields: nil, idempotencyKey: "4") }
          == "IDR-IDC-012")
      #expect(try await world.number("SELECT count(*) FROM platform.uin WHERE NOT is_free") == 3)
    }
  }

  @Test func `a draft over an identity changes the fields it names and no others`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      let uin = try await uin(repository, "1")
      try await repository.createDraft(rid: "2", uin: uin, idempotencyKey: "2")
      try await repository.updateDraft(rid: "2", fields: ["phone": "1"], documents: [], idempotencyKey: "2")
      #expect(try await repository.publishDraft(rid: "2", idempotencyKey: "2") == "ACTIVATED")
      let identity = try await repository.identity(.rid("2"))
      #expect(
        identity?.uin == uin && identity?.fields["fullName"]?.string == "Zoë Rao"
          && identity?.fields["phone"]?.string == "1")
      #expect(try await repository.vids(uin: uin).count == 1)
    }
  }

  @Test func `nothing of an identity stands in the database in the clear`() async throws {
    try await World.run { world async throws in
      let repository = try world.repository()
      _ = try await birth(repository, "1")
      let uin = try await uin(repository, "1")
      let texts = try await world.pool.with { connection in
        try connection.execute(
          "SELECT (SELECT string_agg(i::text, ' ') FROM platform.identity i) || (SELECT string_agg(d::text, ' ') FROM platform.draft d)"
        ).only().text(0)
      }
      let hex = { (text: String) in Encoding.hex(Array(text.utf8)) }
      #expect(!texts.contains(hex("Zoë Rao")) && !texts.contains(hex(uin)) && !texts.contains(uin))
    }
  }
}

/// The machine's clock, so many seconds off.
private struct ShiftedClock: WallClock {
  var seconds: Double
  var now: Instant { Instant.now.advanced(bySeconds: seconds) }
}
