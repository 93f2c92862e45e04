import JSON
import Postgres
import StageRuntime
import System

/// Making, cancelling and looking into replay jobs.
extension Replays {
  /// How many of a selection stand at a stage with a code.
  public struct Standing: Sendable, Hashable {
    /// The stage of the latest hop.
    public var stage: String
    /// Its sub status, else its status; of one that is on its way: `on its way`.
    public var code: String
    /// How many.
    public var count: Int

    /// So many at a stage.
    public init(stage: String, code: String, count: Int) {
      self.stage = stage
      self.code = code
      self.count = count
    }

    /// As JSON.
    public var json: JSONValue { ["stage": .string(stage), "code": .string(code), "count": JSONValue(count)] }
  }

  /// What a job would have, or has.
  public struct Made: Sendable {
    /// Its number; nil when nothing was made.
    public var id: Int?
    /// How many RIDs.
    public var count: Int
    /// Where they stand.
    public var standing: [Standing]
    /// Names that were left out because `skipsBad` says so.
    public var leftOut: Int

    /// As JSON.
    public var json: JSONValue {
      [
        "job": id.map { JSONValue($0) } ?? .null, "count": JSONValue(count), "standing": .array(standing.map(\.json)),
        "leftOut": JSONValue(leftOut),
      ]
    }
  }

  /// What is rolled back after it was looked at.
  private struct Preview: Error { var made: Made }

  /// Makes a job: its RIDs are written down by the database itself, in one transaction with the audit entry. Nothing is run yet.
  ///
  /// - Parameters:
  ///   - isDryRun: find out what it would have, and make nothing.
  ///   - worker: who works on it next; nil for whichever engine comes first.
  /// - Throws: `OperationError`, `PostgresError`: nothing was made.
  public func make(
    _ request: ReplayRequest, by who: Operator, isDryRun: Bool = false, for worker: String? = nil, on connection: Connection
  ) throws -> Made {
    try check(request)
    do {
      return try connection.transaction {
        let id = try insert(request, by: who, for: worker, on: connection)
        let leftOut = try fill(id, request, on: connection)
        let count = try connection.execute(
          """
          UPDATE regproc.replay_job SET total = (SELECT count(*) FROM regproc.replay_item WHERE job = $1) WHERE id = $1 RETURNING total
          """, [.int(id)]
        ).only().int(0)
        guard count > 0 else {
          throw OperationError(.badInput, "empty-selection", "nothing is selected (\(request.words)), so nothing is run again")
        }
        try checkStage(id, request, on: connection)
        var made = Made(id: id, count: count, standing: try standing(id, on: connection), leftOut: leftOut)
        if isDryRun {
          made.id = nil
          throw Preview(made: made)
        }
        try AuditTrail.note(
          "replay", of: nil, by: who,
          details: [
            "job": JSONValue(id), "selection": .string(request.words), "count": JSONValue(count), "from": JSONValue(request.from),
            "force": .bool(request.isForced),
          ], on: connection)
        return made
      }
    } catch let preview as Preview {
      return preview.made
    }
  }

  private func check(_ request: ReplayRequest) throws {
    if let rate = request.rate, !(rate > 0 && rate.isFinite) {
      throw OperationError(.badInput, "bad-rate", "the rate must be more than 0: nothing would ever be run")
    }
    if let limit = request.limit, limit < 1 {
      throw OperationError(.badInput, "bad-limit", "the limit must be 1 or more")
    }
    switch request.what {
    case .names(let names):
      guard !names.isEmpty else { throw OperationError(.badInput, "empty-selection", "no RID is named, so nothing is run again") }
      let bad = names.filter { !$0.isPlausible }
      if !bad.isEmpty, !request.skipsBad { throw Self.unusable(bad.map { String($0.line) }, count: bad.count, "cannot be a name") }
    case .selection(let selection):
      if selection.isEverything, !request.meansEverything {
        throw OperationError(
          .badInput, "selects-everything", "no condition is given, so every registration would be run again; say yes if so meant")
      }
    }
  }

  private static func unusable(_ lines: [String], count: Int, _ what: String) -> OperationError {
    let more = count > lines.count ? " and \(count - lines.count) more" : ""
    return OperationError(
      .badInput, "bad-names",
      "\(count == 1 ? "line" : "lines") \(lines.prefix(50).joined(separator: ", "))\(more): \(what); nothing was sent "
        + "(--skip-bad sends the rest)")
  }

  private func insert(
    _ request: ReplayRequest, by who: Operator, for worker: String?, on connection: Connection
  ) throws -> Int {
    try connection.execute(
      """
      INSERT INTO regproc.replay_job (author, reason, selection, from_stage, force, rate, worker, leased_until)
      VALUES ($1, $2, $3, $4, $5, $6, $7::text, CASE WHEN $7::text IS NOT NULL THEN clock_timestamp() + \(JobLease.time) END)
      RETURNING id
      """,
      [
        .text(String(who.name.prefix(256))), Value(who.reason.map { String($0.prefix(2000)) }), .text(request.words),
        Value(request.from),
        .bool(request.isForced), Value(request.rate), Value(worker),
      ]
    ).only().int(0)
  }

  /// Writes down the RIDs.
  /// - Returns: how many names were left out.
  private func fill(_ id: Int, _ request: ReplayRequest, on connection: Connection) throws -> Int {
    switch request.what {
    case .selection(let selection):
      var statement = selection.rids(limit: request.limit)
      let parameter = statement.parameters.count + 1
      statement.parameters.append(.int(id))
      _ = try connection.execute(
        """
        INSERT INTO regproc.replay_item (job, position, rid)
        SELECT $\(parameter)::bigint, row_number() OVER (), rid FROM (\(statement.sql)) AS selected(rid)
        ON CONFLICT DO NOTHING
        """, statement.parameters)
      return 0
    case .names(let names):
      let usable = names.filter(\.isPlausible)
      for start in stride(from: 0, to: usable.count, by: 1000) {
        try put(id, usable[start..<min(start + 1000, usable.count)], on: connection)
      }
      let strangers = try leaveOut(id, request, on: connection)
      if let limit = request.limit {
        _ = try connection.execute(
          """
          DELETE FROM regproc.replay_item WHERE job = $1 AND position > (
            SELECT max(position) FROM (SELECT position FROM regproc.replay_item WHERE job = $1 ORDER BY position LIMIT $2) AS first)
          """, [.int(id), .int(limit)])
      }
      return names.count - usable.count + strangers
    }
  }

  /// The RIDs of names; a registration number leads to that of its birth. The same one twice is one.
  private func put(_ id: Int, _ names: ArraySlice<ReplayRequest.Name>, on connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO regproc.replay_item (job, position, rid)
      SELECT $1, given.line, CASE WHEN EXISTS (SELECT 1 FROM regproc.hop WHERE rid = given.name) THEN given.name ELSE coalesce((
        SELECT birth.document->>'rid' FROM regproc.stage_record AS number
        JOIN regproc.stage_record AS birth ON birth.stage = number.stage AND birth.collection = 'birth_transactions'
          AND birth.key = number.document->>'txnId'
        WHERE number.stage = 'mosip-mediator' AND number.collection = 'registration_numbers'
          AND number.key IN (given.name, encode(sha256(convert_to(given.name, 'UTF8')), 'hex')) LIMIT 1), given.name) END
      FROM unnest($2::int[], $3::text[]) AS given(line, name) ON CONFLICT DO NOTHING
      """, [.int(id), .intArray(names.map(\.line)), .textArray(names.map(\.text))])
  }

  /// Names that nobody knows, or of another process: refuses all of it, or leaves them out.
  private func leaveOut(_ id: Int, _ request: ReplayRequest, on connection: Connection) throws -> Int {
    let isUnknown = """
      job = $1 AND NOT EXISTS (SELECT 1 FROM regproc.hop AS h WHERE h.rid = i.rid) AND NOT EXISTS (
        SELECT 1 FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'change_transactions'
          AND (key IN (i.rid, encode(sha256(convert_to(i.rid, 'UTF8')), 'hex')) OR document->>'rid' = i.rid))
      """
    let isElsewhere = """
      job = $1 AND (SELECT h.process FROM regproc.hop AS h WHERE h.rid = i.rid ORDER BY h.decided_at DESC LIMIT 1) IS DISTINCT FROM $2
      """
    var left = try leaveOut(isUnknown, [.int(id)], "known to no stage and no mediator", request, on: connection)
    if let process = request.process {
      left += try leaveOut(
        isElsewhere, [.int(id), .text(process)], "of another process than \(process)", request, on: connection)
    }
    return left
  }

  private func leaveOut(
    _ condition: String, _ parameters: [Value], _ what: String, _ request: ReplayRequest, on connection: Connection
  ) throws -> Int {
    if request.skipsBad {
      return try connection.execute(
        """
        WITH gone AS (DELETE FROM regproc.replay_item AS i WHERE \(condition) RETURNING 1) SELECT count(*) FROM gone
        """, parameters
      ).only().int(0)
    }
    let bad = try connection.execute(
      "SELECT position, count(*) OVER () FROM regproc.replay_item AS i WHERE \(condition) ORDER BY position LIMIT 50", parameters)
    guard let first = bad.first else { return 0 }
    throw Self.unusable(try bad.map { String(try $0.int(0)) }, count: try first.int(1), what)
  }

  /// Refuses a stage that one of the flows does not have, or that takes no messages.
  private func checkStage(_ id: Int, _ request: ReplayRequest, on connection: Connection) throws {
    guard let stage = request.from else { return }
    let processes = try connection.execute(
      """
      SELECT DISTINCT last.process FROM regproc.replay_item AS i CROSS JOIN LATERAL (
        SELECT h.process FROM regproc.hop AS h WHERE h.rid = i.rid ORDER BY h.decided_at DESC LIMIT 1) AS last
      WHERE i.job = $1 ORDER BY 1
      """, [.int(id)])
    for row in processes {
      do { try registrations.check(stage, of: try row.text(0)) } catch let refusal as LifecycleError {
        throw OperationError(.badInput, refusal.code, refusal.message + "; nothing was sent")
      }
    }
  }

  /// Where the RIDs of a job stand, most first.
  private func standing(_ id: Int, on connection: Connection) throws -> [Standing] {
    try connection.execute(
      """
      SELECT coalesce(last.stage, '-'), coalesce(last.code, '-'), count(*) FROM regproc.replay_item AS i LEFT JOIN LATERAL (
        SELECT h.stage, CASE WHEN h.state < 2 THEN 'on its way' ELSE coalesce(h.sub_status_code, h.status_code, h.verdict) END AS code
        FROM regproc.hop AS h WHERE h.rid = i.rid ORDER BY h.run DESC, h.decided_at DESC LIMIT 1) AS last ON true
      WHERE i.job = $1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100
      """, [.int(id)]
    ).map { Standing(stage: try $0.text(0), code: try $0.text(1), count: try $0.int(2)) }
  }
}

extension ReplayJob {
  /// Ends a job: what is not done of it is not done any more. What was started goes on.
  /// - Returns: how many are not done.
  /// - Throws: `OperationError` when there is none, or it has ended.
  @discardableResult
  public static func cancel(_ id: Int, by who: Operator, on connection: Connection) throws -> Int {
    try connection.transaction {
      let rows = try connection.execute(
        """
        UPDATE regproc.replay_job SET state = 'cancelled', worker = NULL, leased_until = NULL, ended_at = clock_timestamp(), ended_by = $2
        WHERE id = $1 AND state = 'open' RETURNING id
        """, [.int(id), .text(String(who.name.prefix(256)))])
      guard !rows.isEmpty else {
        let state = try connection.execute("SELECT state FROM regproc.replay_job WHERE id = $1", [.int(id)]).first?.text(0)
        guard let state else { throw unknown(id) }
        throw OperationError(.conflict, "ended", "replay job \(id) is \(state) already")
      }
      // One that is being run is waited for, and then it is not open.
      let left = try connection.execute(
        """
        WITH ended AS (
          UPDATE regproc.replay_item SET state = 'cancelled', done_at = clock_timestamp() WHERE job = $1 AND state = 'open' RETURNING 1)
        SELECT count(*) FROM ended
        """, [.int(id)]
      ).only().int(0)
      try AuditTrail.note(
        "replay cancel", of: nil, by: who, details: ["job": JSONValue(id), "notDone": JSONValue(left)], on: connection)
      return left
    }
  }
}
