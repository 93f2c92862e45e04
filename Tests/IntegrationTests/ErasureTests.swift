import TestSupport
import Foundation
import HTTP
import JSON
import Operations
import EmbeddedPlatform
import Postgres
import Registration
import StageKit
import StageRuntime
import Synchronization
import Testing

/// What is left of a person whose registration was erased: nothing that names her, and everything that keeps her from a second UIN.
@Suite(.serialized, .timeLimit(.minutes(30))) struct ErasureTests {
  private static let who = Operator("anna", reason: "asked for by letter", mayReveal: true)

  private func erasure(_ stand: Stand, _ objects: (any ObjectStore)? = nil) throws -> Erasure {
    Erasure(ErasureAccounts(try Stand.stageFiles()), objects: objects ?? stand.platform.services.objects)
  }

  /// The code of a refusal; nil when it was done.
  private func refusal(_ stand: Stand, _ body: @escaping @Sendable (Connection) throws -> Void) async throws -> String? {
    do {
      try await stand.pool.with { try body($0) }
      return nil
    } catch let refusal as OperationError {
      return refusal.code
    } catch let refusal as LifecycleError { return refusal.code }
  }

  /// All texts and bytes of all tables; bytes in hex digits and as they are.
  private func dump(_ stand: Stand) async throws -> [(table: String, text: String)] {
    try await stand.pool.with { connection in
      let tables = try connection.execute(
        """
        SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE c.relkind = 'r' AND n.nspname IN ('regproc', 'regprc', 'opencrvs', 'platform', 'audit') ORDER BY 1
        """
      ).map { try $0.text(0) }
      return try tables.map { table in
        let rows = try connection.execute("SELECT to_jsonb(t)::text FROM \(table) AS t").map { try $0.text(0) }
        return (table: table, text: rows.joined(separator: "\n"))
      }
    }
  }

  private func places(of secret: String, _ stand: Stand) async throws -> [String] {
    let hex = secret.utf8.map { String(format: "%02x", $0) }.joined()
    let base64 = Data(secret.utf8).base64EncodedString().prefix(secret.utf8.count / 3 * 4)
    var out = try await dump(stand).filter { $0.text.contains(secret) || $0.text.contains(hex) || $0.text.contains(base64) }
      .map(\.table)
    for path in files(stand) {
      guard let data = FileManager.default.contents(atPath: path) else { continue }
      if data.range(of: Data(secret.utf8)) != nil { out.append(path) }
    }
    return out
  }

  /// Files below the folders of objects and uploads; the database's own are asked through it.
  private func files(_ stand: Stand) -> [String] {
    (FileManager.default.enumerator(atPath: stand.folder)?.compactMap { $0 as? String } ?? [])
      .filter { !$0.hasPrefix("postgres") }.map { stand.folder + "/" + $0 }
      .filter { path in
        var isFolder: ObjCBool = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && !isFolder.boolValue
      }
  }

  private func objects(_ stand: Stand) -> [String] { files(stand).filter { $0.contains("/objects/") } }

  /// Waits until nothing of it happens any more, by asking what an erasure would do.
  private func hasEnded(_ rid: String, _ stand: Stand) async throws -> Bool {
    let erasure = try erasure(stand)
    return try await eventually {
      try await refusal(stand) { _ = try erasure.erase(rid, by: Self.who, isDryRun: true, on: $0) } == nil
    }
  }

  /// A birth that has its token, with a dead letter that names the person.
  private func bornWithALetter(_ stand: Stand, _ number: String) async throws -> String {
    let answer = try await stand.send(birth(number, given: "Zuleika", family: "Quartermain"))
    #expect(answer.status == 200)
    #expect(try await eventually { stand.openCRVS.returned(number).token != nil })
    let rid = try #require(stand.openCRVS.returned(number).rid)
    _ = try await stand.pool.with { connection in
      try connection.execute(
        """
        INSERT INTO regproc.dead_letter (stage, code, reason, topic, partition, record_offset, record_key, value, headers)
        VALUES ('uin-generator', 'RPR-MSG-001', 'no message', 'uin-generator-bus-in', 0, 7, $1, $2, '{"RID": "x"}'),
          ('uin-generator', 'RPR-MSG-001', 'no message', 'uin-generator-bus-in', 0, 7, $1, $3, '{"RID": "x"}')
        """, [.bytes(Array(rid.utf8)), .bytes(Array("<Zuleika".utf8)), .bytes(Array("<Quartermain".utf8))])
    }
    #expect(try await hasEnded(rid, stand))
    return rid
  }

  @Test
  func `an erased birth leaves no name behind, and the same event makes no second birth, UIN or token`() async throws {
    let stand = try await Stand()
    let number = "2024B000071"
    let rid = try await bornWithALetter(stand, number)
    let token = stand.openCRVS.returned(number).token
    let uin = try await stand.platform.services.identities.identity(.rid(rid))?.uin
    #expect(uin != nil)
    #expect(try await places(of: "Zuleika", stand) == ["regproc.dead_letter"])
    let before = objects(stand)
    #expect(!before.isEmpty)

    // Looking changes nothing.
    let erasure = try erasure(stand)
    let rows = try await dump(stand).filter { !$0.table.hasPrefix("regproc.route_report") }.map(\.text)
    let shown = try await stand.pool.with { try erasure.erase(number, by: Self.who, isDryRun: true, on: $0) }
    #expect(try await dump(stand).filter { !$0.table.hasPrefix("regproc.route_report") }.map(\.text) == rows)
    #expect(objects(stand) == before && shown.subject == rid && shown.isDryRun)
    #expect(shown.removed.contains { $0.what.hasPrefix("keyed hashes") && $0.count == 1 })
    #expect(shown.removed.contains { $0.place == "regproc.dead_letter" && $0.count == 2 })
    #expect(shown.removed.contains { $0.place.hasPrefix("object store") })
    #expect(try await refusal(stand) { _ = try erasure.erase(rid, by: Operator("anna"), on: $0) } == "no-reason")

    let report = try await stand.pool.with { try erasure.erase(rid, by: Self.who, on: $0) }
    #expect(report.removed == shown.removed && report.objectsLeft == nil)
    for secret in ["Zuleika", "Quartermain", "Grace"] { #expect(try await places(of: secret, stand) == []) }
    #expect(objects(stand) == [])
    let sealed = try await stand.pool.with {
      try $0.execute(
        """
        SELECT (SELECT count(*) FROM regproc.stage_record WHERE document::text LIKE '%sealedToken%'),
          (SELECT count(*) FROM platform.draft_document), (SELECT count(*) FROM platform.tag),
          (SELECT count(*) FROM regproc.erased_objects), (SELECT count(*) FROM regproc.hop WHERE message IS NOT NULL),
          (SELECT count(*) FROM regproc.stage_record WHERE document ?| '{likeness,motherLikeness}')
        """
      ).only()
    }
    #expect(try (0..<6).map { try sealed.int(Column($0)) } == [0, 0, 0, 0, 0, 0])

    // The journey, and what is refused.
    let view = try #require(try await stand.pool.with { try RegistrationView.read(number, on: $0) })
    #expect(view.erased?.author == "anna" && view.erasedReason == "asked for by letter")
    #expect(view.record.journey?.hops.isEmpty == false && view.record.journey?.status == "PROCESSED")
    try await expectRefused(stand, rid, number)

    // The same event again: answered as before, and nothing comes of it.
    #expect(try await stand.send(birth(number, given: "Zuleika", family: "Quartermain")).status == 200)
    #expect(stand.openCRVS.returned(number).token == token)
    #expect(try await stand.platform.services.identities.identity(.rid(rid))?.uin == uin)
    #expect(try await places(of: "Zuleika", stand) == [])
    let births = try await stand.pool.with {
      try $0.execute("SELECT count(*) FROM regproc.stage_record WHERE collection IN ('birth_transactions', 'events')").only().int(0)
    }
    #expect(births == 2)
    await stand.stop()
  }

  private func expectRefused(_ stand: Stand, _ rid: String, _ number: String) async throws {
    let erasure = try erasure(stand)
    let replay = Replay(
      routes: stand.engine.routes, stages: try Stand.stageFiles(), takesMessages: ["uin-generator", "packet-validator"])
    let replays = Replays(replay, limits: ReplayLimits())
    #expect(
      try await refusal(stand) { _ = try replays.start(rid, from: nil, by: Self.who, isForced: true, on: $0) } == "erased")
    #expect(try await refusal(stand) { _ = try replays.start(number, from: nil, by: Self.who, on: $0) } == "erased")
    let letters = try await stand.pool.with {
      try $0.execute("SELECT id, value IS NULL AND record_key IS NULL AND headers IS NULL FROM regproc.dead_letter").map {
        (id: String(try $0.int(0)), isEmpty: try $0.bool(1))
      }
    }
    #expect(letters.count == 2 && letters.allSatisfy(\.isEmpty))
    for letter in letters {
      #expect(
        try await refusal(stand) { _ = try DeadLetters.replay(letter.id, edited: [1], by: Self.who, with: replay, on: $0) }
          == "erased")
    }
    let work = try await stand.pool.with {
      try $0.execute("SELECT stage || '/' || kind || '/' || key FROM regproc.work WHERE state = 1 AND kind <> 'subscription'").map {
        try $0.text(0)
      }
    }
    #expect(!work.isEmpty)
    for name in work {
      #expect(try await refusal(stand) { _ = try Work.retry([name], by: Self.who, on: $0) } == "erased", "\(name)")
    }
    #expect(try await refusal(stand) { _ = try erasure.erase(rid, by: Self.who, on: $0) } == "already-erased")
    #expect(try await refusal(stand) { _ = try erasure.erase("nobody", by: Self.who, on: $0) } == "unknown-rid")
  }

  /// An object store that is away.
  private struct AwayObjects: ObjectStore {
    private var away: ServiceError { ServiceError(.unavailable, service: "object store", code: "RPR-OBJ-001", "is away") }
    func put(_ bytes: [UInt8], account: String, container: String, key: String) async throws { throw away }
    func get(account: String, container: String, key: String) async throws -> [UInt8]? { throw away }
    func exists(account: String, container: String, key: String) async throws -> Bool { throw away }
    func keys(account: String, container: String, prefix: String) async throws -> [String] { throw away }
    func delete(account: String, container: String, key: String) async throws { throw away }
    func setMetadata(_ metadata: [String: String], account: String, container: String, key: String) async throws { throw away }
    func metadata(account: String, container: String, key: String) async throws -> [String: String]? { throw away }
  }

  @Test
  func `what an interruption between database and objects left, the same call again removes`() async throws {
    let stand = try await Stand()
    let rid = try await bornWithALetter(stand, "2024B000072")
    let before = objects(stand)
    let interrupted = try erasure(stand, AwayObjects())
    let report = try await stand.pool.with { try interrupted.erase(rid, by: Self.who, on: $0) }
    #expect(report.objectsLeft == "RPR-OBJ-001" && objects(stand) == before && !before.isEmpty)
    let erasure = try erasure(stand)
    // Two at once: whatever each of them does, all of it is gone at the end.
    let codes = try await withThrowingTaskGroup(of: String?.self) { group in
      for _ in 0..<2 {
        group.addTask { try await refusal(stand) { _ = try erasure.erase("2024B000072", by: Self.who, on: $0) } }
      }
      return try await group.reduce(into: [String?]()) { $0.append($1) }
    }
    #expect(codes.contains(nil) && codes.allSatisfy { $0 == nil || $0 == "already-erased" })
    #expect(objects(stand) == [])
    #expect(try await refusal(stand) { _ = try erasure.erase(rid, by: Self.who, on: $0) } == "already-erased")
    await stand.stop()
  }

  @Test
  func `a birth and its correction are erased together, by either's name, and over HTTP by those who may operate`() async throws {
    let stand = try await Stand()
    let row = try Row(stand, "era1")
    let born = try await row.end("g1-new-birth-registered", ScenarioTests.places)
    let corrected = try await row.end("g1-birth-corrected", ScenarioTests.places)
    #expect(corrected.word == "corrected", "\(corrected)")
    let (rid, aid) = (try #require(born.aid), try #require(corrected.aid))
    #expect(try await hasEnded(aid, stand))
    let url = stand.admin + "/regproc/v1/registrations/\(aid)/erase"
    func post(_ body: JSONValue) async throws -> (status: Int, json: JSONValue) {
      var request = ClientRequest(method: "POST", url: url, body: .bytes(body.encoded()))
      request.headers.set("Content-Type", "application/json")
      let answer = try await Client().send(request)
      return (answer.status, try JSONValue.parse(answer.body))
    }
    #expect(try await post(["author": "anna"]).json["error"] == "no-reason")
    let done = try await post(["author": "anna", "reason": "asked for by letter"])
    #expect(done.status == 200 && done.json["subject"]?.string == rid && done.json["objectsLeft"]?.isNull == true, "\(done.json)")
    let names = done.json["names"]?.array?.compactMap(\.string) ?? []
    #expect(names.contains(rid) && names.contains(aid))
    let again = try await post(["author": "anna", "reason": "asked for by letter"])
    #expect(again.status == 409 && again.json["error"] == "already-erased")
    for secret in ["Amina", "Banda"] { #expect(try await places(of: secret, stand) == []) }
    #expect(objects(stand) == [])
    let replays = Replays(
      Replay(routes: stand.engine.routes, stages: try Stand.stageFiles(), takesMessages: ["uin-generator"]), limits: ReplayLimits())
    #expect(
      try await refusal(stand) { _ = try replays.start(aid, from: nil, by: Self.who, isForced: true, on: $0) } == "erased")
    let view = try #require(try await stand.pool.with { try RegistrationView.read(aid, on: $0) })
    #expect(view.erased?.author == "anna" && view.record.changes.map(\.status) == ["Told"])
    // The same correction again.
    #expect(try await stand.send(row.body("g1-birth-corrected", ScenarioTests.places)).status == 200)
    #expect(objects(stand) == [])
    await stand.stop()
  }

  @Test
  func `what is under way is not erased`() async throws {
    let stand = try await Stand()
    let number = "2024B000073"
    let rid = try await bornWithALetter(stand, number)
    let erasure = try erasure(stand)
    let state =
      "UPDATE regproc.hop SET state = $1 WHERE hop_id = (SELECT hop_id FROM regproc.hop WHERE rid = $2 ORDER BY hop_id LIMIT 1)"
    for (change, undo) in [
      ("UPDATE regprc.registration SET status_code = 'PAUSED'", "UPDATE regprc.registration SET status_code = 'PROCESSED'"),
      (
        "UPDATE regproc.work SET state = 0, not_before = now() + interval '1 day' WHERE kind = 'packet'",
        "UPDATE regproc.work SET state = 1 WHERE kind = 'packet'"
      ),
    ] {
      try await stand.pool.with { _ = try $0.execute(change) }
      #expect(try await refusal(stand) { _ = try erasure.erase(rid, by: Self.who, on: $0) } == "under-way", "\(change)")
      try await stand.pool.with { _ = try $0.execute(undo) }
    }
    // Taken by nobody, for its time is far off.
    try await stand.pool.with {
      _ = try $0.execute("UPDATE regproc.hop SET not_before = now() + interval '1 day'")
      _ = try $0.execute(state, [.int(0), .text(rid)])
    }
    #expect(try await refusal(stand) { _ = try erasure.erase(rid, by: Self.who, on: $0) } == "under-way")
    try await stand.pool.with { _ = try $0.execute(state, [.int(2), .text(rid)]) }
    #expect(try await refusal(stand) { _ = try erasure.erase(rid, by: Self.who, on: $0) } == nil)
    await stand.stop()
  }
}
