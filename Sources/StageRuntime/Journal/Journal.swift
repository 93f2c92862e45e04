import JSON
import Postgres
import Registration
import StageKit
import System

/// The table of all hops, and what changes together with it. Every method runs on a connection whose transaction the caller began: a worker's
/// claim, its records and their commit are one transaction.
struct Journal: Sendable {
  /// What a claim found out.
  struct Claim: Sendable {
    /// Hops of the batch that have their verdict already.
    var known: Set<HopId> = []
    /// What those hops sent and nobody has taken: to be sent again under the same ids.
    var outstanding: [OutgoingHop] = []
    /// Where the foreign records of the batch belong, in their order.
    var places: [ForeignRecord.Place] = []
  }

  /// The lock of a RID: two workers never process the same RID at once, whatever the keys of their records are.
  static func lockKey(_ rid: String) -> Int64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in rid.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Int64(bitPattern: hash)
  }

  /// How long a claim waits for a lock, in milliseconds: other workers hold theirs for as long as they judge a batch, mostly far below a second.
  private static let lockWait = 5000

  /// Locks the RIDs of a batch until the transaction ends and finds out which of its hops are known.
  ///
  /// The locks are taken in one order by everybody, so claims wait for each other but never in a circle. They end with the transaction or
  /// with the connection, so a killed process leaves none. One that is frozen keeps them until the server ends its transaction
  /// (`idle_in_transaction_session_timeout`, a minute), so that is how long its RIDs stand at the most. The others of its partition stand
  /// with them, since a partition's offset moves past all of them or none.
  ///
  /// Throws `LockedRID` when a lock was not to be had in time. The transaction is over then.
  static func claim(
    _ connection: Connection, rids: [String], hops: [HopId], foreign: [ForeignRecord] = [], lockWait: Int = Journal.lockWait
  ) throws -> Claim {
    let answers: [Rows]
    do {
      var statements = [
        lockLimit(milliseconds: lockWait),
        Statement(
          "SELECT count(pg_advisory_xact_lock(k)) FROM (SELECT DISTINCT k FROM unnest($1::bigint[]) AS k ORDER BY k OFFSET 0) AS s",
          [.intArray(rids.map { Int(lockKey($0)) })]),
        Statement(
          """
          SELECT hop_id::text FROM regproc.hop WHERE hop_id = ANY($1::uuid[]) AND state >= 2
          UNION ALL SELECT sent_as::text FROM regproc.hop WHERE sent_as = ANY($1::uuid[]) AND state >= 2
          """,
          [.textArray(hops.map(\.text))]),
        // What the batch records next are rows that few others touch, and none of them for long.
        lockLimit(milliseconds: 30_000),
      ]
      if !foreign.isEmpty { statements.append(places(of: foreign)) }
      answers = try connection.pipeline(statements)
    } catch let error as PostgresError where error.isLockTimeout {
      _ = try connection.execute("ROLLBACK")
      throw try LockedRID.find(rids, connection)
    }
    let rows = answers[2]
    var claim = Claim()
    for row in rows { if let id = HopId(text: try row.text(0)) { claim.known.insert(id) } }
    claim.outstanding = try outstanding(of: claim.known, connection)
    if !foreign.isEmpty { claim.places = try answers[4].map(place) }
    return claim
  }

  /// Bounds the waiting for locks up to the end of the transaction.
  private static func lockLimit(milliseconds: Int) -> Statement {
    Statement("SELECT set_config('lock_timeout', $1, true)", [.text(String(milliseconds))])
  }

  static func outgoing(_ row: Row) throws -> OutgoingHop {
    guard let id = HopId(text: try row.text(0)) else {
      throw ServiceError(.refused, service: "journal", code: "RPR-JRN-001", "a hop id in the journal cannot be read")
    }
    return OutgoingHop(
      id: id, parent: try row.textOrNull(1).flatMap { HopId(text: $0) }, run: try row.int(2), attempt: try row.int(3),
      stage: try row.text(4), topic: try row.text(5), key: try row.text(6), message: try row.bytes(7),
      trace: try row.textOrNull(8).flatMap { TraceId(uuid: $0) })
  }

  /// Records the verdicts of a batch with everything that follows from them, and the changes that their stages want committed with them.
  ///
  /// Throws `StoreConflict`, or `ServiceError` for a record that no broker would take. The caller rolls back then.
  static func record(_ connection: Connection, _ hops: [ConcludedHop], lines: OutcomeLines = .shared) throws {
    guard !hops.isEmpty else { return }
    for hop in hops where !hop.verdict.changes.isEmpty {
      try PostgresStageStore.apply(hop.verdict.changes, stage: hop.stage, connection)
    }
    let (hops, pauses) = try AdditionalInfo.settle(try traced(hops, connection), connection)
    var statements: [Statement] = [upsert(hops)]
    let outgoing = hops.flatMap(\.outgoing)
    if !outgoing.isEmpty { statements.append(insert(outgoing, hops)) }
    statements.append(contentsOf: registrations(hops))
    let completed = hops.filter { $0.completion != nil }
    if !completed.isEmpty { statements.append(completions(completed)) }
    let profiles = hops.filter { $0.anonymousProfile != nil }
    if !profiles.isEmpty { statements.append(anonymousProfiles(profiles)) }
    statements.append(contentsOf: pauses)
    let dead = hops.compactMap(\.deadLetter)
    if !dead.isEmpty { statements.append(deadLetters(dead)) }
    _ = try connection.pipeline(statements)
    lines.tell(hops)
  }

  /// What began outside the bus belongs to the trace that its registration came with.
  private static func traced(_ hops: [ConcludedHop], _ connection: Connection) throws -> [ConcludedHop] {
    let strangers = hops.indices.filter { hops[$0].trace == nil && hops[$0].origin == nil }
    let traces = try traces(of: strangers.map { hops[$0].rid }, connection)
    guard !traces.isEmpty else { return hops }
    var hops = hops
    for index in strangers { hops[index].follow(traces[hops[index].rid]) }
    return hops
  }

  /// The traces that registrations came with, by RID; none for those that came without. Of several the newest.
  static func traces(of rids: [String], _ connection: Connection) throws -> [String: TraceId] {
    guard !rids.isEmpty else { return [:] }
    let rows = try connection.execute(
      """
      SELECT DISTINCT ON (rid) rid, trace::text FROM regproc.hop WHERE rid = ANY($1::text[]) AND trace IS NOT NULL
      ORDER BY rid, decided_at DESC
      """, [.textArray(rids)])
    return try rows.reduce(into: [:]) { $0[try $1.text(0)] = TraceId(uuid: try $1.text(1)) }
  }

  /// Keeps what no stage can read or use, and tells of it.
  static func keep(_ letters: [DeadLetter], hops: [HopId: HopHeader] = [:], _ connection: Connection) throws {
    let statement = deadLetters(letters)
    _ = try connection.execute(statement.sql, statement.parameters)
    OutcomeLines.shared.tell(letters, hops: hops)
  }

  private static func upsert(_ hops: [ConcludedHop]) -> Statement {
    // One parameter a line: as one literal this is too much for the type checker.
    var values: [Value] = []
    values.append(.textArray(hops.map(\.id.text)))
    values.append(.textArray(hops.map { $0.parent?.text }))
    values.append(.textArray(hops.map(\.workflowInstanceId)))
    values.append(.textArray(hops.map(\.rid)))
    values.append(.textArray(hops.map(\.process)))
    values.append(.intArray(hops.map(\.iteration)))
    values.append(.intArray(hops.map(\.run)))
    values.append(.intArray(hops.map(\.attempt)))
    values.append(.textArray(hops.map(\.stage)))
    values.append(.textArray(hops.map(\.takenAt.iso)))
    values.append(.textArray(hops.map(\.doneAt.iso)))
    values.append(.textArray(hops.map { String($0.milliseconds) }))
    values.append(.textArray(hops.map(\.verdict.kind.rawValue)))
    values.append(.textArray(hops.map(\.transactionType)))
    values.append(.textArray(hops.map(\.verdict.statusCode.rawValue)))
    values.append(.textArray(hops.map(\.verdict.subStatusCode)))
    values.append(.textArray(hops.map(\.verdict.comment)))
    values.append(.textArray(hops.map(\.verdict.referenceId)))
    values.append(.textArray(hops.map(\.destinations)))
    values.append(.textArray(hops.map { $0.origin?.topic }))
    values.append(.intArray(hops.map { $0.origin.map { Int($0.partition) } }))
    values.append(.intArray(hops.map { $0.origin.map { Int($0.offset) } }))
    values.append(.textArray(hops.map(\.worker)))
    values.append(.textArray(hops.map(\.routeDigest)))
    values.append(.textArray(hops.map { $0.trace?.uuid }))
    return Statement(
      """
      INSERT INTO regproc.hop AS h (hop_id, parent, workflow_instance_id, rid, process, iteration, run, try, stage, state, taken_at, done_at,
        milliseconds, verdict, transaction_type, status_code, sub_status_code, comment, reference_id, destinations, topic, partition,
        record_offset, worker, route_digest, trace)
      SELECT hop_id, parent, wid, rid, process, iteration, run, try, stage, 2, taken_at, done_at, milliseconds, verdict, type, status, sub,
        comment, reference, destinations, topic, partition, record_offset, worker, digest, trace
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $9::text[],
        $10::timestamptz[], $11::timestamptz[], $12::float8[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
        $19::text[], $20::text[], $21::int[], $22::bigint[], $23::text[], $24::text[], $25::uuid[])
        AS d(hop_id, parent, wid, rid, process, iteration, run, try, stage, taken_at, done_at, milliseconds, verdict, type, status, sub, comment,
          reference, destinations, topic, partition, record_offset, worker, digest, trace)
      ON CONFLICT (hop_id) DO UPDATE SET state = 2, message = NULL, taken_at = excluded.taken_at, done_at = excluded.done_at,
        milliseconds = excluded.milliseconds, verdict = excluded.verdict, transaction_type = excluded.transaction_type,
        status_code = excluded.status_code, sub_status_code = excluded.sub_status_code, comment = excluded.comment,
        reference_id = excluded.reference_id, destinations = excluded.destinations, topic = excluded.topic,
        partition = excluded.partition, record_offset = excluded.record_offset, worker = excluded.worker,
        route_digest = excluded.route_digest, trace = coalesce(excluded.trace, h.trace)
      WHERE h.state < 2
      """, values)
  }

  private static func insert(_ outgoing: [OutgoingHop], _ hops: [ConcludedHop]) -> Statement {
    var owners: [String: ConcludedHop] = [:]
    for hop in hops { owners[hop.id.text] = hop }
    let parents = outgoing.map { owners[$0.parent?.text ?? ""] }
    return insertOutgoing(
      outgoing, workflowInstanceIds: parents.map { $0?.workflowInstanceId }, rids: parents.map { $0?.rid ?? "" },
      processes: parents.map { $0?.process ?? "" }, iterations: parents.map { $0?.iteration ?? 1 })
  }

  /// Rows for messages on their way: sent (1) with the batch when they have no moment to wait for, else waiting (0).
  static func insertOutgoing(
    _ outgoing: [OutgoingHop], workflowInstanceIds: [String?], rids: [String], processes: [String], iterations: [Int]
  ) -> Statement {
    Statement(
      """
      INSERT INTO regproc.hop (hop_id, parent, workflow_instance_id, rid, process, iteration, run, try, stage, state, topic, record_key, message,
        not_before, sent_at, sent_count, trace)
      SELECT hop_id, parent, wid, rid, process, iteration, run, try, stage, CASE WHEN not_before IS NULL THEN 1 ELSE 0 END, topic, record_key,
        message, not_before, CASE WHEN not_before IS NULL THEN now() END, CASE WHEN not_before IS NULL THEN 1 ELSE 0 END,
        trace
      FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $9::text[], $10::text[],
        $11::text[], $12::bytea[], $13::timestamptz[], $14::uuid[])
        AS d(hop_id, parent, wid, rid, process, iteration, run, try, stage, topic, record_key, message, not_before, trace)
      ON CONFLICT (hop_id) DO NOTHING
      """,
      [
        .textArray(outgoing.map(\.id.text)), .textArray(outgoing.map { $0.parent?.text }),
        .textArray(workflowInstanceIds),
        .textArray(rids), .textArray(processes), .intArray(iterations), .intArray(outgoing.map(\.run)),
        .intArray(outgoing.map(\.attempt)), .textArray(outgoing.map(\.stage)), .textArray(outgoing.map(\.topic)),
        .textArray(outgoing.map(\.key)), .bytesArray(outgoing.map(\.message)),
        .textArray(outgoing.map { $0.notBefore?.iso }), .textArray(outgoing.map { $0.trace?.uuid }),
      ]
    )
  }

  private static func registrations(_ hops: [ConcludedHop]) -> [Statement] {
    var latest: [String: ConcludedHop] = [:]
    // Several hops of one batch may be of one registration: the last one speaks, and all of them count.
    var (reprocesses, tries, created): ([String: Int], [String: Int], [String: Instant]) = ([:], [:], [:])
    for hop in hops {
      guard let id = hop.workflowInstanceId else { continue }
      latest[id] = hop
      if hop.verdict.statusCode == .reprocess { reprocesses[id, default: 0] += 1 }
      if hop.verdict.countsAsPacketTry { tries[id, default: 0] += 1 }
      if let moment = hop.verdict.packetCreatedAt { created[id] = moment }
    }
    guard !latest.isEmpty else { return [] }
    let (ids, rows) = (latest.keys.sorted(), latest.sorted { $0.key < $1.key }.map(\.value))
    return [
      Statement(
        """
        UPDATE regprc.registration AS r SET latest_trn_id = d.id, latest_trn_type_code = left(d.type, 36),
          latest_trn_status_code = d.status, latest_trn_dtimes = d.at::timestamptz AT TIME ZONE 'UTC',
          reg_stage_name = left(d.class, 36), status_comment = d.comment,
          last_success_stage_name = CASE WHEN d.status IN ('SUCCESS', 'PROCESSED') THEN left(d.class, 50)
            ELSE r.last_success_stage_name END,
          reg_process_retry_count = coalesce(r.reg_process_retry_count, 0) + d.reprocesses,
          trn_retry_count = coalesce(r.trn_retry_count, 0) + d.tries,
          pkt_cr_dtimes = coalesce(d.created::timestamptz AT TIME ZONE 'UTC', r.pkt_cr_dtimes),
          status_code = coalesce(d.new_status, r.status_code), upd_by = 'MOSIP_SYSTEM',
          upd_dtimes = d.at::timestamptz AT TIME ZONE 'UTC'
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::int[], $10::int[],
          $11::text[]) AS d(wid, id, type, status, at, class, comment, new_status, reprocesses, tries, created)
        WHERE r.workflow_instance_id = d.wid
        """,
        [
          .textArray(rows.map(\.workflowInstanceId)), .textArray(rows.map(\.id.text)),
          .textArray(rows.map(\.transactionType)), .textArray(rows.map(\.verdict.statusCode.rawValue)),
          .textArray(rows.map(\.doneAt.iso)), .textArray(rows.map(\.className)),
          .textArray(rows.map(\.verdict.comment)), .textArray(rows.map { $0.registrationStatus?.rawValue }),
          .intArray(ids.map { reprocesses[$0] ?? 0 }), .intArray(ids.map { tries[$0] ?? 0 }),
          .textArray(ids.map { created[$0]?.iso }),
        ]
      )
    ]
  }

  /// Ends what a RID has under way, because a newer run takes its place: what waits is not sent, and what is on the bus is
  /// known to the worker that takes it. The caller holds the RID's lock. Found by the RID, never by the index of all open hops.
  static func supersede(rid: String, by run: Int, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      UPDATE regproc.hop SET state = 3, message = NULL, done_at = now(), comment = 'superseded by run ' || $2
      WHERE rid = $1 AND state + 0 < 2
      """, [.text(rid), .text(String(run))])
  }

  /// The number of the run that would follow; 1 for a RID that nobody has seen. The caller holds the RID's lock.
  static func nextRun(rid: String, _ connection: Connection) throws -> Int {
    try connection.execute("SELECT coalesce(max(run), 0) + 1 FROM regproc.hop WHERE rid = $1", [.text(rid)]).only().int(
      0)
  }

  static func noteRun(
    rid: String, run: Int, from stage: String, author: String, reason: String?, _ connection: Connection
  ) throws {
    _ = try connection.execute(
      "INSERT INTO regproc.run (rid, run, from_stage, author, reason) VALUES ($1, $2, $3, $4, $5)",
      [.text(rid), .int(run), .text(stage), .text(author), Value(reason)])
  }

  private static func completions(_ hops: [ConcludedHop]) -> Statement {
    let payloads = hops.map { hop -> String in
      let value: JSONValue = .object([
        "rid": .string(hop.rid), "process": .string(hop.process),
        "resultCode": .string(hop.completion?.resultCode.rawValue ?? ""),
      ])
      return String(decoding: value.encoded(), as: UTF8.self)
    }
    return Statement(
      """
      INSERT INTO regproc.work (stage, kind, key, payload)
      SELECT $3, $4, key, payload::jsonb FROM unnest($1::text[], $2::text[]) AS d(key, payload) ON CONFLICT DO NOTHING
      """,
      [
        .textArray(
          hops.map { HopId.completion(rid: $0.rid, process: $0.process, iteration: $0.iteration, run: $0.run).text }),
        .textArray(payloads), .text(WorkflowEvents.stage), .text(WorkflowEvents.completed),
      ]
    )
  }

  private static func anonymousProfiles(_ hops: [ConcludedHop]) -> Statement {
    Statement(
      """
      INSERT INTO regprc.anonymous_profile (id, process_stage, profile, cr_by, cr_dtimes)
      SELECT DISTINCT ON (id) id, stage, profile, 'MOSIP_SYSTEM', now() AT TIME ZONE 'UTC'
      FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS d(id, stage, profile, n) ORDER BY id, n DESC
      ON CONFLICT (id) DO UPDATE SET process_stage = excluded.process_stage, profile = excluded.profile, upd_by = 'MOSIP_SYSTEM',
        upd_dtimes = now() AT TIME ZONE 'UTC'
      """,
      [
        .textArray(hops.map { $0.workflowInstanceId ?? $0.rid }), .textArray(hops.map(\.className)),
        .textArray(hops.map { String(decoding: $0.anonymousProfile ?? [], as: UTF8.self) }),
      ]
    )
  }

  private static func deadLetters(_ letters: [DeadLetter]) -> Statement {
    Statement(
      """
      INSERT INTO regproc.dead_letter (stage, code, reason, rid, hop_id, topic, partition, record_offset, record_key, value,
        headers)
      SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::int[], $8::bigint[], $9::bytea[],
        $10::bytea[], $11::jsonb[]) ON CONFLICT DO NOTHING
      """,
      [
        .textArray(letters.map(\.stage)), .textArray(letters.map(\.code)), .textArray(letters.map(\.reason)),
        .textArray(letters.map(\.rid)), .textArray(letters.map { $0.hop?.text }),
        .textArray(letters.map(\.origin.topic)),
        .intArray(letters.map { Int($0.origin.partition) }), .intArray(letters.map { Int($0.origin.offset) }),
        .bytesArray(letters.map(\.key)), .bytesArray(letters.map(\.value)), .textArray(letters.map(\.headers)),
      ]
    )
  }
}
