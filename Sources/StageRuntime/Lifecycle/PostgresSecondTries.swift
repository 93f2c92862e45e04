import JSON
import Postgres
import Registration
import Routing
import StageKit
import System

/// Second tries at stages that something else runs, by the journal and MOSIP's tables.
///
/// A try is a hop of the journal, of type PACKET_REPROCESS, at the stage where the registration stands; with it go the registration's row, the end
/// of what was sent before, and what is to be sent now, all in one SQL transaction under the RID's lock. The message has an id, and so a key,
/// of its own: a Java stage, which drops a key that it has seen within 15 minutes, takes it. Of two answers the first one ends the hop.
struct PostgresSecondTries: SecondTries {
  static let transactionType = "PACKET_REPROCESS"
  private static let page = 200
  /// So many registrations one after the other that cannot be tried: then it is not theirs.
  private static let mostFailures = 5

  let pool: Pool
  let routes: RouteTable
  let directory: [String: StageDefinition]
  let takesMessages: Set<String>
  let worker: String
  let services: Services
  /// By which registrations are due.
  let clock: any WallClock
  let wake: WakeUp
  private let log = Log("reprocessor")

  init(
    pool: Pool, routes: RouteTable, directory: [String: StageDefinition], takesMessages: Set<String>, worker: String,
    services: Services, clock: (any WallClock)? = nil, wake: WakeUp
  ) {
    (self.pool, self.routes, self.directory, self.takesMessages) = (pool, routes, directory, takesMessages)
    (self.worker, self.services, self.wake) = (worker, services, wake)
    self.clock = clock ?? services.clock
  }

  func look(by rules: SecondTryRules, slice: Int, of slices: Int) async throws -> SecondTryTally {
    var tally = SecondTryTally()
    let most = max(1, rules.fetchSize / slices)
    try await database { try await pool.with { try SecondTryNotice.write(rules, routes.routes, directory, on: $0) } }
    var place: Candidate?
    var failures = 0
    while tally.total < most, !Task.isCancelled {
      let (after, now) = (place, clock.now)
      let found = try await database {
        try await pool.with { try candidates(rules, now: now, slice: slice, of: slices, after: after, $0) }
      }
      for candidate in found where tally.total < most {
        do {
          try await consider(candidate.instance, rules, &tally)
          failures = 0
        } catch {
          log.warning("a registration cannot be tried again", ["rid": candidate.rid, "error": Self.comment(on: error)])
          // What is refused for its own sake holds up no other.
          if (error as? ServiceError)?.kind == .unavailable { failures += 1 }
          if failures == Self.mostFailures { throw error }
        }
      }
      guard found.count == Self.page else { break }
      place = found.last
    }
    return tally
  }

  private static func comment(on error: any Error) -> String {
    (error as? LifecycleError)?.message ?? Judge.comment(on: error)
  }

  // MARK: finding

  /// A registration that may be due, with its place in the order in which they are looked at.
  private struct Candidate: Sendable {
    var rank: Int
    var at: String
    var instance: String
    var rid: String
  }

  /// Registrations that were sent to a stage elsewhere long ago, and those whose row names one while nothing is under way. First what another
  /// engine lets go on, then the longest waiting. The open hops are found by `hop_open`, the rows by `registration_not_through`.
  private func candidates(
    _ rules: SecondTryRules, now: Instant, slice: Int, of slices: Int, after: Candidate?, _ connection: Connection
  ) throws -> [Candidate] {
    let elsewhere = Elsewhere(routes.routes, directory)
    guard !elsewhere.places.isEmpty else { return [] }
    let before = now.advanced(bySeconds: -Double(rules.elapsedSeconds))
    return try connection.execute(
      """
      WITH e AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS e(process, stage, class))
      SELECT rank, at::text, instance, rid FROM (
        SELECT CASE WHEN r.status_code = 'RESUMABLE' THEN 0 ELSE 1 END AS rank, min(h.sent_at) AS at, r.workflow_instance_id AS instance,
          min(r.reg_id) AS rid
        FROM regproc.hop AS h JOIN e ON e.process = h.process AND e.stage = h.stage
          JOIN regprc.registration AS r ON r.workflow_instance_id = h.workflow_instance_id
        WHERE h.state = 1 AND (r.status_code = 'RESUMABLE'
            OR r.status_code = 'PAUSED' AND r.resume_timestamp <= $8::timestamptz AT TIME ZONE 'UTC'
            OR r.status_code <> 'PAUSED' AND h.sent_at < $4::timestamptz
              AND coalesce(r.latest_trn_dtimes, r.cr_dtimes) < $4::timestamptz AT TIME ZONE 'UTC')
          AND r.status_code NOT IN ('PROCESSED', 'FAILED', 'REJECTED', 'PAUSED_FOR_ADDITIONAL_INFO')
        GROUP BY r.workflow_instance_id
        UNION ALL
        SELECT CASE WHEN r.status_code = 'RESUMABLE' THEN 0 ELSE 1 END, coalesce(r.latest_trn_dtimes, r.cr_dtimes) AT TIME ZONE 'UTC',
          r.workflow_instance_id, r.reg_id
        FROM regprc.registration AS r JOIN e ON e.process = r.process AND e.class = r.reg_stage_name
        WHERE r.status_code <> 'PROCESSED' AND r.status_code NOT IN ('FAILED', 'REJECTED', 'PAUSED_FOR_ADDITIONAL_INFO')
          AND (r.status_code = 'RESUMABLE' OR r.status_code = 'PAUSED' AND r.resume_timestamp <= $8::timestamptz AT TIME ZONE 'UTC'
            OR r.status_code <> 'PAUSED' AND r.latest_trn_status_code IN ('SUCCESS', 'REPROCESS', 'IN_PROGRESS')
              AND coalesce(r.latest_trn_dtimes, r.cr_dtimes) < $4::timestamptz AT TIME ZONE 'UTC')
          AND NOT EXISTS (SELECT 1 FROM regproc.hop AS o WHERE o.rid = r.reg_id AND o.process = r.process AND o.state + 0 < 2)
      ) AS found
      WHERE abs(hashtext(instance)::bigint) % $5 = $6 AND ($9::int IS NULL OR (rank, at, instance) > ($9, $10::timestamptz, $11))
      ORDER BY rank, at, instance LIMIT $7
      """,
      [
        .textArray(elsewhere.places.map(\.process)), .textArray(elsewhere.places.map(\.stage)),
        .textArray(elsewhere.places.map(\.className)), .text(before.iso), .int(slices), .int(slice), .int(Self.page),
        .text(now.iso), after.map { .int($0.rank) } ?? .null, Value(after?.at), Value(after?.instance),
      ]
    ).map { Candidate(rank: try $0.int(0), at: try $0.text(1), instance: try $0.text(2), rid: try $0.text(3)) }
  }

  // MARK: one registration

  /// Decides, and does it under the lock if the decision is still the same there.
  private func consider(_ instance: String, _ rules: SecondTryRules, _ tally: inout SecondTryTally) async throws {
    let now = clock.now
    guard let seen = try await database({ try await pool.with { try read(instance, isLocking: false, $0) } }) else { return }
    if !seen.standing.status.isKnown {
      let status = VisibleText.of(seen.standing.status.rawValue)
      log.warning("a registration has a status that MOSIP does not name; it is left alone", ["rid": seen.rid, "status": status])
    }
    let decision = rules.decide(seen.standing, now: now)
    guard decision.isDue else { return }
    let tags = try await tags(for: decision, seen)
    let isDone = try await database {
      try await pool.with { connection in
        try connection.transaction {
          // Whoever has the RID in hand goes first, a person as well: the registration is looked at again next time.
          let lock = "SELECT pg_try_advisory_xact_lock($1)"
          guard try connection.execute(lock, [.int(Int(Journal.lockKey(seen.rid)))]).only().bool(0) else { return false }
          guard let registration = try read(instance, isLocking: true, connection), registration.rid == seen.rid,
            rules.decide(registration.standing, now: now) == decision
          else { return false }
          try carryOut(decision, registration, rules, tags: tags, now: now, connection)
          return true
        }
      }
    }
    guard isDone else { return }
    wake.signal()
    switch decision {
    case .redo: tally.redone += 1
    case .routeAgain: tally.routed += 1
    case .restart: tally.restarted += 1
    case .giveUp: tally.givenUp += 1
    case .reject: tally.rejected += 1
    case .leave, .later: break
    }
  }

  /// The tags of today. A rule that made it pause does not hold it up again.
  private func tags(for decision: SecondTryDecision, _ registration: Standing) async throws -> [String: String] {
    switch decision {
    case .redo, .routeAgain, .restart: break
    case .giveUp, .reject, .leave, .later: return [:]
    }
    var tags = try await services.packets.tags(of: registration.rid, named: nil)
    guard registration.standing.status == .paused, !registration.pauseRules.isEmpty else { return tags }
    let known = tags["PAUSE_IMMUNITY_RULE_IDS"].map { Standing.rules($0) } ?? []
    let immune = (known + registration.pauseRules.filter { !known.contains($0) }).joined(separator: ", ")
    try await services.packets.addOrUpdateTags(of: registration.rid, ["PAUSE_IMMUNITY_RULE_IDS": immune])
    tags["PAUSE_IMMUNITY_RULE_IDS"] = immune
    return tags
  }

  private func carryOut(
    _ decision: SecondTryDecision, _ registration: Standing, _ rules: SecondTryRules, tags: [String: String], now: Instant,
    _ connection: Connection
  ) throws {
    let number = registration.standing.tries + 1
    switch decision {
    case .redo(let stage): try redo(stage, registration, "try \(number) of \(rules.attempts)", tags: tags, now: now, connection)
    case .routeAgain(let stage):
      let verdict = Verdict.retry("RPR-RPS-SUCCESS-001", "sent on its way again behind the stage, by the reprocessor")
      var hop = concluded(stage, registration, verdict, now)
      let topic = Registration.Topic.busOut(routes.routes.stages.topicPrefix(of: stage), process: registration.process)
      hop.destinations = topic
      try Journal.record(connection, [hop])
      let message = try registration.message(internalError: nil, tags: tags, now: now)
      _ = try connection.execute(
        "INSERT INTO regproc.outbox (id, topic, record_key, value, once, trace) VALUES (gen_random_uuid(), $1, $2, $3, true, $4::uuid)",
        [
          .text(topic), .text(registration.rid), .bytes(message.encoded()),
          Value(try Journal.traces(of: [registration.rid], connection)[registration.rid]?.uuid),
        ])
    case .restart(let className, let stage):
      let names = routes.routes.flow(registration.process)?.stages.map(\.name.value) ?? []
      let replay = Replay(routes: routes.routes, stages: Array(directory.values), takesMessages: takesMessages)
      guard let start = names.first(where: { StageDefinition($0, in: directory, or: routes.routes).className == className }),
        (try? replay.check(start, of: registration.process)) != nil
      else { return try redo(stage, registration, "try \(number) of \(rules.attempts)", tags: tags, now: now, connection) }
      var hop = concluded(stage, registration, .retry("RPR-RPS-SUCCESS-002", "begun again from \(start) by the reprocessor"), now)
      hop.destinations = start
      try Journal.record(connection, [hop])
      let reason = "second try at \(stage), \(number) of \(rules.attempts)"
      _ = try replay.begin(
        rid: registration.rid, from: start, author: "reprocessor", reason: reason, isForced: true, isDryRun: false, on: connection)
    case .giveUp(let stage): try giveUp(stage, registration, rules, now, connection)
    case .reject(let stage):
      let verdict = Verdict.failed("RPR-WAS-001", "the pause is over: the registration is rejected", status: .rejected)
      var hop = concluded(stage, registration, verdict, now)
      hop.destinations = "complete-as-rejected"
      hop.registrationStatus = .rejected
      hop.completion = Completion(resultCode: .rejected)
      try end(registration.open(stage), "the registration is rejected", connection)
      try Journal.record(connection, [hop])
    case .leave, .later: break
    }
    guard [.paused, .resumable].contains(registration.standing.status) else { return }
    _ = try connection.execute(
      """
      UPDATE regprc.registration SET resume_timestamp = NULL, default_resume_action = NULL, pause_rule_ids = NULL
      WHERE workflow_instance_id = $1
      """, [.text(registration.instance)])
  }

  /// Sends the stage its message again, in place of what was sent before.
  private func redo(
    _ stage: String, _ registration: Standing, _ count: String, tags: [String: String], now: Instant, _ connection: Connection
  ) throws {
    let open = registration.open(stage)
    let verdict = Verdict.retry("RPR-RPS-SUCCESS-001", "sent to the stage again by the reprocessor, \(count)")
    var hop = concluded(stage, registration, verdict, now)
    var message = try registration.message(internalError: false, tags: tags, now: now)
    if let bytes = open?.message, let sent = try? Message(decoding: bytes) {
      message = sent
      message.lastHopTimestamp = now
    }
    let (id, routes) = (hop.id.next(stage), routes.routes)
    let last = registration.last(stage)
    hop.destinations = stage
    hop.outgoing = [
      OutgoingHop(
        id: id, parent: hop.id, run: hop.run, attempt: open?.attempt ?? last.map { $0.attempt + 1 } ?? 1, stage: stage,
        topic: routes.busIn(of: stage),
        key: routes.key(registration.rid, to: stage, of: registration.process, hop: id, isFirst: false), message: message.encoded(),
        notBefore: now)
    ]
    try end(open, "sent again by the reprocessor", connection)
    try Journal.record(connection, [hop])
  }

  /// Ends it as what used up its tries, where a person finds it.
  private func giveUp(
    _ stage: String, _ registration: Standing, _ rules: SecondTryRules, _ now: Instant, _ connection: Connection
  ) throws {
    let reason = "tries used up (\(rules.attempts)): \(stage), which runs elsewhere, has not answered"
    var hop = concluded(stage, registration, .error("RPR-RPS-FAILED-001", reason, status: .reprocessFailed), now)
    let open = registration.open(stage)
    if let open { (hop.id, hop.parent, hop.attempt) = (open.id, open.parent, open.attempt) }
    hop.registrationStatus = .reprocessFailed
    hop.destinations = "dead letter"
    let message = try registration.message(internalError: false, tags: nil, now: now).encoded()
    hop.deadLetter = DeadLetter(
      stage: stage, code: "RPR-RPS-FAILED-001", reason: reason, rid: registration.rid, hop: hop.id,
      origin: RecordOrigin(topic: routes.routes.busIn(of: stage), partition: -1, offset: -1), key: Array(registration.rid.utf8),
      value: open?.message ?? message)
    try Journal.record(connection, [hop])
  }

  /// The hop of a second try, which the journey shows and MOSIP's tables have as a transaction.
  private func concluded(_ stage: String, _ registration: Standing, _ verdict: Verdict, _ now: Instant) -> ConcludedHop {
    let file = StageDefinition(stage, in: directory, or: routes.routes)
    let source = HopSource(
      file, transactionType: Self.transactionType, worker: worker, routeDigest: routes.routes.digest)
    let base =
      registration.open(stage)?.id ?? registration.last(stage)?.id
      ?? .first(
        rid: registration.rid, process: registration.process, iteration: registration.iteration, run: registration.run,
        stage: stage)
    return ConcludedHop(
      source: source, id: base.secondTry(registration.standing.tries), parent: base, run: registration.run,
      attempt: registration.open(stage)?.attempt ?? registration.last(stage)?.attempt ?? 1, rid: registration.rid,
      process: registration.process, iteration: registration.iteration, workflowInstanceId: registration.instance, takenAt: now,
      doneAt: now, milliseconds: 0, verdict: verdict, destinations: "", origin: nil, outgoing: [],
      registrationStatus: [.paused, .resumable].contains(registration.standing.status) ? .processing : nil, completion: nil,
      deadLetter: nil, anonymousProfile: nil)
  }

  private func end(_ hop: Standing.Hop?, _ comment: String, _ connection: Connection) throws {
    guard let hop else { return }
    _ = try connection.execute(
      "UPDATE regproc.hop SET state = 3, message = NULL, done_at = now(), comment = $2 WHERE hop_id = $1::uuid AND state + 0 < 2",
      [.text(hop.id.text), .text(comment)])
  }
}

extension SecondTryDecision {
  fileprivate var isDue: Bool {
    switch self {
    case .leave, .later: false
    case .redo, .routeAgain, .restart, .giveUp, .reject: true
    }
  }
}
