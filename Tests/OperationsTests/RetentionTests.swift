import EmbeddedPlatform
import ObjectStores
import Postgres
import StageKit
import StageRuntime
import Synchronization
import System
import TestSupport
import Testing

@testable import Operations

/// What is removed, what stays, and by whom.
@Suite(.serialized, .timeLimit(.minutes(30))) struct RetentionTests {
  /// A database with an object store beside it.
  private struct Stand: Sendable {
    let database: PostgresSettings
    let objects: FileObjectStore
    let counts = RemovedCounts()
    let folder: String

    func retention(
      _ days: Int = 0, every: Double = 1, worker: String = "one", isStopping: @escaping @Sendable () -> Bool = { false },
      pause: @escaping @Sendable (Int) -> Void = { _ in }
    ) -> Retention {
      let all = Dictionary(uniqueKeysWithValues: RetentionSettings.What.allCases.map { ($0, days) })
      return Retention(
        RetentionSettings(days: all, every: every), accounts: ErasureAccounts(), objects: objects, readTopics: ["READ"],
        worker: worker, isStopping: isStopping, pause: pause, counts: counts)
    }

    /// Everything is due, and nobody works on it.
    func expire(_ connection: Connection) throws {
      try Retention.prepare(connection)
      try connection.script("UPDATE regproc.retention SET leased_until = NULL, worker = NULL")
    }
  }

  private func run(_ body: @escaping @Sendable (Stand, Connection) throws -> Void) async throws {
    let database = try await TestDatabase.make(
      EngineSchema.migrations + OperationsSchema.migrations + PlatformSchema.migrations)
    let folder = TemporaryFolder.make()
    let blocking = BlockingPool(name: "retention-objects", threads: 2)
    defer {
      blocking.close()
      TemporaryFolder.remove(folder)
    }
    let stand = Stand(database: database, objects: FileObjectStore(folder: folder, blocking: blocking), folder: folder)
    try await TestDatabase.run(database) { connection in
      try stand.expire(connection)
      try body(stand, connection)
    }
  }

  private func texts(_ sql: String, _ connection: Connection) throws -> [String] {
    try connection.execute(sql).map { try $0.text(0) }
  }

  @Test func `done work goes when it is old and what is open or given up stays`() async throws {
    try await run { stand, connection in
      try connection.script(
        """
        INSERT INTO regproc.work (stage, kind, key, payload, state, done_at) VALUES
          ('a', 'k', 'old', '{}', 1, now() - interval '31 days'), ('a', 'k', 'new', '{}', 1, now()),
          ('a', 'k', 'open', '{}', 0, NULL), ('a', 'k', 'given up', '{}', 2, now() - interval '99 days'),
          ('mosip-mediator', 'status', 'a birth', '{}', 1, now() - interval '99 days'),
          ('mosip-mediator', 'status', 'a change', '{"change": "x"}', 1, now() - interval '99 days');
        """)
      #expect(try stand.retention(30).work(on: connection) == 3)
      let left = "SELECT key FROM regproc.work ORDER BY 1"
      #expect(try texts(left, connection) == ["given up", "new", "open"])
      #expect(stand.counts.all.first { $0.what == "work" }?.count == 3)
      try stand.expire(connection)
      try stand.retention(0).work(on: connection)
      #expect(try texts(left, connection) == ["given up", "open"])
    }
  }

  @Test func `a message of the hub goes when nobody is owed it any more`() async throws {
    try await run { stand, connection in
      try connection.script(
        """
        INSERT INTO platform.hub_message (topic, dedupe_key, body, published_at)
        SELECT CASE WHEN n % 2 = 0 THEN 'T' ELSE 'U' END, 'm' || n, '', now() - n * interval '1 minute' FROM generate_series(1, 1300) AS n;
        INSERT INTO platform.hub_delivery (message_id, callback, topic, is_open)
        SELECT id, 'c', topic, dedupe_key = 'm4' FROM platform.hub_message WHERE dedupe_key <> 'm3';
        UPDATE platform.hub_delivery SET given_up_at = now() WHERE message_id = (SELECT id FROM platform.hub_message WHERE dedupe_key = 'm6');
        """)
      #expect(try stand.retention(0).work(on: connection) == 1298)
      #expect(try texts("SELECT dedupe_key FROM platform.hub_message ORDER BY 1", connection) == ["m4", "m6"])
      #expect(try connection.execute("SELECT count(*) FROM platform.hub_delivery").only().int(0) == 2)
    }
  }

  @Test func `of a credential request the hash stays and none goes before its hop is done`() async throws {
    try await run { stand, connection in
      try connection.script(
        """
        INSERT INTO platform.credential_request (idempotency_key, request_id, credential_type, issuer, event, published, status) VALUES
          ('1:print:p', 'q1', 't', 'p', '', 1, 'served'), ('2:print:p', 'q2', 't', 'p', '', 1, 'served'),
          ('3:print:p', 'q3', 't', 'p', '', 2, 'ISSUED'), ('identity-follow-up:5', 'q5', 't', 'p', '', 1, 'ISSUED');
        INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state)
        VALUES (gen_random_uuid(), '1', 'N', 1, 1, 1, 'print', 2), (gen_random_uuid(), '2', 'N', 1, 1, 1, 'print', 1);
        INSERT INTO platform.identity_follow_up (uin_hash, kind, rid) VALUES ('', 'NEW', '1');
        INSERT INTO platform.credential_request (idempotency_key, request_id, credential_type, issuer)
        SELECT 'identity-follow-up:' || number, 'q', 't', 'p' FROM platform.identity_follow_up;
        """)
      #expect(try stand.retention(0).work(on: connection) == 3)
      #expect(try texts("SELECT request_id FROM platform.credential_request ORDER BY 1", connection) == ["q", "q2"])
      #expect(
        try texts("SELECT request_id || published || status FROM platform.credential_done ORDER BY 1", connection)
          == ["q11served", "q32ISSUED"])
    }
  }

  @Test func `records for others leave the outbox once they are sent and those for a stage stay until it takes them`() async throws
  {
    try await run { stand, connection in
      try connection.script(
        """
        INSERT INTO regproc.outbox (id, topic, record_key, value, sent_at) VALUES (gen_random_uuid(), 'OTHERS', '1', '', now()),
          (gen_random_uuid(), 'OTHERS', '2', '', NULL), (gen_random_uuid(), 'READ', '3', '', now());
        """)
      #expect(try stand.retention(0).work(on: connection) == 1)
      #expect(try texts("SELECT record_key FROM regproc.outbox ORDER BY 1", connection) == ["2", "3"])
    }
  }

  @Test func `a version of the route file stays as long as a process or a packet is on it`() async throws {
    try await run { stand, connection in
      try connection.script(
        """
        INSERT INTO regproc.route_version (digest, name, routes, stages, kept_at)
        SELECT d, d, '', '{}', now() - interval '1 day' * n FROM unnest(ARRAY['newest', 'routed by', 'of a hop', 'of a pause', 'old'])
          WITH ORDINALITY AS v(d, n);
        INSERT INTO regproc.route_report (instance, stages, digest, started_at, taken_at, seen_at)
        VALUES ('i', '', 'routed by', now(), now(), now()), ('gone', '', 'old', now(), now(), now() - interval '2 hours');
        INSERT INTO regproc.hop (hop_id, rid, process, iteration, run, try, stage, state, route_digest) VALUES
          (gen_random_uuid(), '1', 'N', 1, 1, 1, 'a', 2, 'of a hop'), (gen_random_uuid(), '1', 'N', 1, 1, 1, 'b', 1, NULL),
          (gen_random_uuid(), '2', 'N', 1, 1, 1, 'a', 2, 'of a pause'), (gen_random_uuid(), '3', 'N', 1, 1, 1, 'a', 2, 'old');
        INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes)
        VALUES ('2', '2', 'N', 'PAUSED', 'eng', true, 't', now()), ('3', '3', 'N', 'PROCESSED', 'eng', true, 't', now());
        """)
      // The report of the process that is gone keeps the version from going in the same pass.
      try stand.retention(0).work(on: connection)
      #expect(try texts("SELECT instance FROM regproc.route_report", connection) == ["i"])
      try stand.expire(connection)
      try stand.retention(0).work(on: connection)
      let left = try texts("SELECT digest FROM regproc.route_version ORDER BY 1", connection)
      #expect(left == ["newest", "of a hop", "of a pause", "routed by"])
    }
  }

  private func put(_ stand: Stand, _ account: String, _ container: String, _ keys: [String]) {
    blockingAwait {
      for key in keys { try? await stand.objects.put([1], account: account, container: container, key: key) }
    }
  }

  private func has(_ stand: Stand, _ account: String, _ container: String, _ key: String) -> Bool {
    blockingAwait { (try? await stand.objects.exists(account: account, container: container, key: key)) ?? false }
  }

  @Test func `a packet leaves the landing zone when it is stored and its registration is through`() async throws {
    try await run { stand, connection in
      let parts = ["id", "evidence", "optional"]
      for rid in ["stored", "part", "open", "young"] {
        put(stand, ObjectAccounts.landingZone, rid, ["p-" + rid])
        put(
          stand, ObjectAccounts.packetStore, rid,
          (rid == "part" ? Array(parts.dropLast()) : parts).map { "OPENCRVS/NEW/\(rid)_\($0)" })
      }
      try connection.script(
        """
        INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes, iteration)
        SELECT 'w' || r, r, 'NEW', CASE WHEN r = 'open' THEN 'PROCESSING' ELSE 'PROCESSED' END, 'eng', true, 't',
          (now() AT TIME ZONE 'UTC') - CASE WHEN r = 'young' THEN interval '0' ELSE interval '1 hour' END, 1
        FROM unnest(ARRAY['stored', 'part', 'open', 'young']) AS r;
        INSERT INTO regprc.registration_list (workflow_instance_id, reg_id, packet_id, lang_code, cr_by, cr_dtimes)
        SELECT workflow_instance_id, reg_id, 'p-' || reg_id, 'eng', 't', now() FROM regprc.registration;
        """)
      try stand.retention(0).work(on: connection)
      #expect(!has(stand, ObjectAccounts.landingZone, "stored", "p-stored"))
      for rid in ["part", "open", "young"] { #expect(has(stand, ObjectAccounts.landingZone, rid, "p-" + rid)) }
      #expect(has(stand, ObjectAccounts.packetStore, "stored", "OPENCRVS/NEW/stored_id"))
      // What was looked at is not looked at again: the walk goes on behind it.
      let position = try texts("SELECT position FROM regproc.retention WHERE name = 'landing-zone'", connection)
      #expect(position.first?.hasSuffix("|wstored") == true)
    }
  }

  @Test func `the packet of a registration that failed goes unless OpenCRVS may send its event again and the store lacks it`()
    async throws
  {
    try await run { stand, connection in
      let rids = ["stored", "rejected", "client", "birth", "paused", "through"]
      for rid in rids { put(stand, ObjectAccounts.landingZone, rid, [rid]) }
      for rid in ["stored", "rejected"] {
        put(stand, ObjectAccounts.packetStore, rid, ["id", "evidence", "optional"].map { "OPENCRVS/NEW/\(rid)_\($0)" })
      }
      _ = try connection.execute(
        """
        INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, is_active, cr_by, cr_dtimes, iteration)
        SELECT 'w' || r, r, 'NEW', CASE r WHEN 'rejected' THEN 'REJECTED' WHEN 'paused' THEN 'PAUSED' WHEN 'through' THEN 'PROCESSED'
          ELSE 'FAILED' END, 'eng', true, 't', (now() AT TIME ZONE 'UTC') - interval '8 days', 1 FROM unnest($1::text[]) AS r
        """, [.textArray(rids)])
      try connection.script(
        """
        INSERT INTO regproc.stage_record (stage, collection, key, version, document) SELECT 'mosip-mediator', 'rids', k, 1, '{"txnId": "t"}'
        FROM unnest(ARRAY['birth', 'stored']) AS k
        """)
      try stand.retention(9).work(on: connection)
      for rid in rids { #expect(has(stand, ObjectAccounts.landingZone, rid, rid), "it is not old enough") }
      try stand.expire(connection)
      try stand.retention(7).work(on: connection)
      for rid in ["stored", "rejected", "client"] { #expect(!has(stand, ObjectAccounts.landingZone, rid, rid), "\(rid)") }
      for rid in ["birth", "paused", "through"] { #expect(has(stand, ObjectAccounts.landingZone, rid, rid), "\(rid)") }
      #expect(has(stand, ObjectAccounts.packetStore, "stored", "OPENCRVS/NEW/stored_id"), "a replay reads it there")
      #expect(stand.counts.all.first { $0.what == "failed-packets" }?.count == 3)
      // One that failed once more since is looked at again.
      put(stand, ObjectAccounts.landingZone, "client", ["client"])
      try connection.script(
        "UPDATE regprc.registration SET latest_trn_dtimes = (now() AT TIME ZONE 'UTC') - interval '1 hour' WHERE reg_id = 'client'")
      try stand.expire(connection)
      try stand.retention(0).work(on: connection)
      #expect(!has(stand, ObjectAccounts.landingZone, "client", "client"))
    }
  }

  @Test func `of a registration whose place another one took event and packet go and those of the other one stay`() async throws {
    try await run { stand, connection in
      let rids = ["before", "now", "change", "young"]
      for rid in rids {
        put(stand, ObjectAccounts.mosipEvents, rid, ["event-\(rid).json"])
        put(stand, ObjectAccounts.landingZone, rid, [rid])
      }
      try connection.script(
        """
        INSERT INTO regproc.stage_record (stage, collection, key, version, document, changed_at) VALUES
          ('mosip-mediator', 'rids', 'before', 1, '{"txnId": "b", "supersededBy": "now"}', now() - interval '1 hour'),
          ('mosip-mediator', 'rids', 'now', 1, '{"txnId": "b"}', now() - interval '1 hour'),
          ('mosip-mediator', 'rids', 'change', 1, '{"txnId": "b", "supersededBy": "now"}', now() - interval '1 hour'),
          ('mosip-mediator', 'rids', 'young', 1, '{"txnId": "c", "supersededBy": "x"}', now()),
          ('mosip-mediator', 'change_transactions', 'c1', 1, '{"rid": "change"}', now()),
          ('mosip-mediator', 'birth_transactions', 'b', 1, '{"rid": "now", "object": "event-now.json"}', now());
        """)
      try stand.retention(1).work(on: connection)
      #expect(has(stand, ObjectAccounts.mosipEvents, "before", "event-before.json"), "it is not old enough")
      try stand.expire(connection)
      try stand.retention(0).work(on: connection)
      #expect(!has(stand, ObjectAccounts.mosipEvents, "before", "event-before.json"))
      for rid in ["before", "change"] { #expect(!has(stand, ObjectAccounts.landingZone, rid, rid)) }
      #expect(has(stand, ObjectAccounts.mosipEvents, "change", "event-change.json"), "whoever sends the change again needs it")
      for rid in ["now", "young"] {
        #expect(
          has(stand, ObjectAccounts.mosipEvents, rid, "event-\(rid).json") && has(stand, ObjectAccounts.landingZone, rid, rid))
      }
      #expect(stand.counts.all.first { $0.what == "superseded-events" }?.count == 3)
    }
  }

  @Test func `an event goes when it was answered and its record stays`() async throws {
    try await run { stand, connection in
      for key in ["told", "waiting", "parked", "birth"] { put(stand, ObjectAccounts.openCRVSEvents, key, ["e"]) }
      // What the birth said before it was sent again.
      put(stand, ObjectAccounts.openCRVSEvents, "birth", ["former"])
      for key in ["served", "received"] { put(stand, ObjectAccounts.mosipEvents, ObjectAccounts.credentials + key, ["event.json"]) }
      put(stand, ObjectAccounts.mosipEvents, "birth", ["e"])
      try connection.script(
        """
        INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES
          ('opencrvs-mediator', 'events', 'told', 1, '{"status": "Forwarded", "kind": "death", "object": "e"}'),
          ('opencrvs-mediator', 'statuses', 'death:error:told', 1, '{}'),
          ('opencrvs-mediator', 'events', 'waiting', 1, '{"status": "Forwarded", "kind": "birth", "registrationNumber": "N2", "object": "e"}'),
          ('opencrvs-mediator', 'events', 'parked', 1, '{"status": "Parked", "object": "e"}'),
          ('opencrvs-mediator', 'events', 'birth', 1,
            '{"status": "Forwarded", "kind": "birth", "registrationNumber": "N1", "object": "e", "take": 2, "latest": "t"}'),
          ('opencrvs-mediator', 'tokens', 'N1', 1, '{}'),
          ('mosip-mediator', 'birth_transactions', 'birth', 1, '{"rid": "birth", "object": "e"}'),
          ('mosip-mediator', 'credentials', 'served', 1, '{"status": "Served"}'),
          ('mosip-mediator', 'credentials', 'received', 1, '{"status": "Received"}');
        """)
      try stand.retention(1).work(on: connection)
      #expect(has(stand, ObjectAccounts.openCRVSEvents, "told", "e"), "it is not old enough")
      try stand.expire(connection)
      try stand.retention(0).work(on: connection)
      for key in ["told", "birth"] { #expect(!has(stand, ObjectAccounts.openCRVSEvents, key, "e")) }
      #expect(!has(stand, ObjectAccounts.openCRVSEvents, "birth", "former"))
      for key in ["waiting", "parked"] { #expect(has(stand, ObjectAccounts.openCRVSEvents, key, "e")) }
      #expect(!has(stand, ObjectAccounts.mosipEvents, ObjectAccounts.credentials + "served", "event.json"))
      #expect(has(stand, ObjectAccounts.mosipEvents, ObjectAccounts.credentials + "received", "event.json"))
      #expect(has(stand, ObjectAccounts.mosipEvents, "birth", "e"), "corrections compare with it")
      #expect(try connection.execute("SELECT count(*) FROM regproc.stage_record").only().int(0) == 9)
      // A folder of which nothing is left went too.
      #expect(!TemporaryFolder.names(in: stand.folder + "/" + ObjectAccounts.openCRVSEvents).contains("told"))
    }
  }

  @Test func `an event that was sent again goes as well with what came before it and not before its answer`() async throws {
    try await run { stand, connection in
      let account = ObjectAccounts.openCRVSEvents
      for key in ["r", "s"] { put(stand, account, key, ["first"]) }
      try connection.script(
        """
        INSERT INTO regproc.stage_record (stage, collection, key, version, document) VALUES
          ('opencrvs-mediator', 'events', 'r', 1, '{"status": "Failed", "kind": "birth", "object": "first"}'),
          ('opencrvs-mediator', 'events', 's', 1, '{"status": "Forwarded", "kind": "death", "object": "first", "latest": "e"}'),
          ('opencrvs-mediator', 'statuses', 'death:error:s', 1, '{}');
        """)
      try stand.retention(0).work(on: connection)
      for key in ["r", "s"] { #expect(!has(stand, account, key, "first")) }
      // The same content again, and other content while that is still there.
      put(stand, account, "r", ["first"])
      put(stand, account, "s", ["first", "second"])
      try connection.script(
        """
        UPDATE regproc.stage_record SET document = document || '{"take": 2, "status": "Failed"}' WHERE key = 'r';
        UPDATE regproc.stage_record SET document = (document - 'latest')
          || '{"take": 2, "object": "second"}' WHERE key = 's';
        """)
      try stand.expire(connection)
      try stand.retention(0).work(on: connection)
      #expect(!has(stand, account, "r", "first"))
      #expect(has(stand, account, "s", "second"), "it waits for its answer")
      try connection.script("UPDATE regproc.stage_record SET document = document || '{\"latest\": \"e\"}' WHERE key = 's'")
      try stand.expire(connection)
      try stand.retention(0).work(on: connection)
      for object in ["first", "second"] { #expect(!has(stand, account, "s", object)) }
    }
  }

  private func fill(_ count: Int, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO regproc.work (stage, kind, key, payload, state, done_at)
      SELECT 'a', 'k', n::text, '{}', 1, now() - interval '1 hour' FROM generate_series(1, $1::int) AS n
      """, [.int(count)])
  }

  @Test func `a backlog goes in steps with rests and whoever is stopped is gone on from`() async throws {
    try await run { stand, connection in
      try fill(1700, connection)
      let rests = Atomic(0)
      let stopping = stand.retention(
        isStopping: { rests.load(ordering: .relaxed) >= 2 }, pause: { _ in rests.add(1, ordering: .relaxed) })
      #expect(try stopping.work(on: connection) == 1000)
      #expect(rests.load(ordering: .relaxed) == 2)
      try stand.expire(connection)
      #expect(try stand.retention(worker: "two").work(on: connection) == 700)
      #expect(try connection.execute("SELECT removed FROM regproc.retention WHERE name = 'work'").only().int(0) == 1700)
    }
  }

  @Test func `of two at once one works and a dead ones lease runs out`() async throws {
    try await run { stand, connection in
      try fill(1200, connection)
      let other = try Connection(stand.database)
      defer { other.close() }
      let seen = Mutex<[Int]>([])
      let database = stand.database
      let one = stand.retention(pause: { _ in
        // In the midst of it another process looks.
        if let other = try? Connection(database) {
          let removed = (try? stand.retention(worker: "two").work(on: other)) ?? -1
          seen.withLock { $0.append(removed) }
          other.close()
        }
      })
      #expect(try one.work(on: connection) == 1200)
      #expect(seen.withLock { $0 } == [0, 0])
      // Nothing is due until the pause is over.
      try fill(3, connection)
      #expect(try stand.retention(every: 600, worker: "three").work(on: other) == 0)
      _ = try connection.execute(
        "UPDATE regproc.retention SET worker = 'dead', leased_until = clock_timestamp() - interval '1 second'")
      #expect(try stand.retention(worker: "three").work(on: other) == 3)
    }
  }

  @Test func `what one kind fails with keeps the others from nothing`() async throws {
    try await run { stand, connection in
      try fill(1, connection)
      try connection.script("ALTER TABLE platform.hub_message RENAME COLUMN topic TO gone")
      #expect(throws: PostgresError.self) { try stand.retention().work(on: connection) }
      #expect(try texts("SELECT key FROM regproc.work", connection) == [])
    }
  }
}
