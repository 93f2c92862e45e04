import JSON
import Postgres
import Registration
import StageRuntime
import System

/// Registrations that a selection means: how many stand where, and the rows themselves, page by page.
public struct RegistrationList: Sendable {
  /// One registration.
  public struct Row: Sendable {
    /// The RID.
    public var rid: String
    /// The number that OpenCRVS knows it by, where a mediator told it.
    public var registrationNumber: String?
    /// The process.
    public var process: String
    /// `birth`, `death`, ...; nil for what no mediator knows, e.g. a packet of a registration client.
    public var kind: String?
    /// Where it stands: the stage that has it, or that stopped it; nil when it went through.
    public var stage: String?
    /// `waiting`, `sent`, or nil when nothing of it is under way.
    public var state: String?
    /// MOSIP's registration status.
    public var status: String
    /// The sub-status or error code of its last verdict.
    public var code: String?
    /// When it got its last verdict, or else came.
    public var since: Instant
    /// The try that waits or is on the bus.
    public var attempt: Int?
    /// When what waits may begin: the next try, the reprocessor's at a stage that runs elsewhere too, or the end of a pause.
    public var dueAt: Instant?

    /// For how long it has waited, in seconds; nil when it has ended.
    public func waits(at now: Instant) -> Int? {
      if RegistrationStatus(rawValue: status).hasEnded, state == nil { return nil }
      return max(0, Int(saturating: now.seconds(since: since)))
    }

    /// The row as JSON.
    public func json(at now: Instant) -> JSONValue {
      [
        "rid": .string(rid), "registrationNumber": JSONValue(registrationNumber), "process": .string(process),
        "kind": JSONValue(kind), "stage": JSONValue(stage), "state": JSONValue(state), "status": .string(status),
        "code": JSONValue(code), "since": .string(since.iso), "waitingSeconds": JSONValue(optional: waits(at: now)),
        "try": JSONValue(optional: attempt), "dueAt": JSONValue(dueAt?.iso),
      ]
    }
  }

  /// How many stand at one place.
  public struct Count: Sendable {
    /// The stage; nil for what went through.
    public var stage: String?
    /// MOSIP's registration status.
    public var status: String
    /// The code of the last verdict.
    public var code: String?
    /// How many.
    public var count: Int
    /// Whether there are more, which were not counted.
    public var isBounded: Bool

    /// The number as a person reads it, e.g. `10,000+`.
    public var words: String { Self.words(count, isBounded) }

    static func words(_ number: Int, _ isBounded: Bool) -> String {
      var (digits, out) = (String(number), "")
      while digits.count > 3 {
        out = "," + digits.suffix(3) + out
        digits = String(digits.dropLast(3))
      }
      return digits + out + (isBounded ? "+" : "")
    }
  }

  /// Where they stand.
  public struct Counts: Sendable {
    /// The most frequent first.
    public var places: [Count]
    /// How many were counted.
    public var total: Int
    /// Whether there are more, which were not counted.
    public var isBounded: Bool

    /// Counts.
    public init(places: [Count], total: Int, isBounded: Bool) {
      self.places = places
      self.total = total
      self.isBounded = isBounded
    }

    /// The total as a person reads it, e.g. `10,000+`.
    public var words: String { Count.words(total, isBounded) }

    /// The counts as JSON.
    public var json: JSONValue {
      [
        "total": JSONValue(total), "isBounded": .bool(isBounded),
        "places": .array(
          places.map {
            [
              "stage": JSONValue($0.stage), "status": .string($0.status), "code": JSONValue($0.code), "count": JSONValue($0.count),
              "isBounded": .bool($0.isBounded),
            ]
          }),
      ]
    }
  }

  /// So many that did not go through are counted by where they stand, the newest or the longest waiting of them; ten times as many that did,
  /// of changes a quarter.
  public static let countedAtMost = 1000
  /// The most rows of a page.
  public static let largestPage = 1000

  /// The counts; nil on pages behind the first.
  public var counts: Counts?
  /// The rows, newest first, or longest waiting first where the selection is of what waits.
  public var rows: [Row]
  /// What the next page is asked for with; nil on the last.
  public var next: String?
  /// When it was asked.
  public var at: Instant

  /// Reads a page: the first, or the one behind a place that `next` of the page before named.
  public static func read(
    _ selection: Selection, limit: Int = 50, after: String? = nil, countingAtMost bound: Int = countedAtMost,
    now: Instant? = nil, on connection: Connection
  ) throws -> RegistrationList {
    guard (1...largestPage).contains(limit) else {
      throw OperationError(.badInput, "bad-limit", "limit is a whole number from 1 to \(largestPage)")
    }
    return try Selection.planned(on: connection) {
      let now = try now ?? connection.now()
      let conditions = selection.conditions(now: now, hasCommonKind: try selection.hasCommonKind(connection))
      let page = try page(selection, conditions, limit: limit, after: after, connection)
      let counts = after == nil ? try counts(selection, conditions, bound: bound, connection) : nil
      return RegistrationList(counts: counts, rows: page.rows, next: page.next, at: now)
    }
  }

  /// The list as JSON.
  public var json: JSONValue {
    ["counts": counts?.json ?? .null, "rows": .array(rows.map { $0.json(at: at) }), "next": JSONValue(next)]
  }

  // MARK: SQL

  private static func isAscending(_ selection: Selection) -> Bool {
    selection.waitingLongerThan != nil || selection.status == "waiting"
  }

  /// The rows that are meant, in their order, as `r`: an index gives both. Where hops are looked at, that ends with the last row that is asked
  /// for, since the candidates are put in order before it (OFFSET 0 keeps the planner from doing it the other way round).
  private static func chosen(_ selection: Selection, _ conditions: Selection.Conditions, limit: String) -> String {
    let way = isAscending(selection) ? "ASC" : "DESC"
    let candidates = """
      SELECT r.*, \(Selection.moved) AS moved FROM regprc.registration AS r WHERE \(conditions.candidates)
        ORDER BY \(Selection.moved) \(way), r.workflow_instance_id \(way)
      """
    let rows = conditions.look.map { "SELECT * FROM (\(candidates) OFFSET 0) AS r WHERE \($0)" } ?? candidates
    return """
      (\(rows) LIMIT \(limit)) AS r
      LEFT JOIN LATERAL (\(Selection.here)) AS here ON true
      LEFT JOIN LATERAL (SELECT * FROM (\(Selection.last)) AS last WHERE here.state < 2) AS last ON true
      """
  }

  private static let code = "CASE WHEN here.state = 2 THEN here.sub_status_code ELSE last.sub_status_code END"

  /// What did not go through is counted by where it stands, which takes a look at the hops of each; what did, by the index alone.
  private static func counts(
    _ selection: Selection, _ conditions: Selection.Conditions, bound: Int, _ connection: Connection
  ) throws -> Counts {
    let through = Selection.through
    let isSplit = selection.stage == nil && selection.code == nil && [nil, through].contains(selection.status)
    // These conditions look at the hops of each themselves.
    let isLookedAt = selection.stage != nil || selection.code != nil
    let rest = "r.status_code <> '\(through)'"
    var counts =
      selection.status == through && isSplit
      ? Counts(places: [], total: 0, isBounded: false)
      : try standing(selection, conditions, isSplit ? rest : nil, bound: isLookedAt ? (bound + 1) / 2 : bound, connection)
    guard isSplit else { return counts }
    // An entry of an index is all that each costs, but for changes, which are looked for among all registrations.
    let most = selection.kind == nil || selection.kind == "birth" ? bound * 10 : bound / 4
    let found = try connection.execute(
      """
      SELECT count(*) FROM (SELECT FROM regprc.registration AS r WHERE r.status_code = '\(through)' AND \(conditions.all)
        LIMIT $\(conditions.parameters.count + 1)) AS found
      """, conditions.parameters + [.int(most + 1)]
    ).only().int(0)
    guard found > 0 else { return counts }
    let count = Count(stage: nil, status: through, code: selection.code, count: min(found, most), isBounded: found > most)
    counts.places.insert(count, at: 0)
    counts.total += count.count
    counts.isBounded = counts.isBounded || count.isBounded
    return counts
  }

  private static func standing(
    _ selection: Selection, _ conditions: Selection.Conditions, _ further: String?, bound: Int, _ connection: Connection
  ) throws -> Counts {
    var conditions = conditions
    if let further { conditions.candidates = "\(further) AND \(conditions.candidates)" }
    let rows = try connection.execute(
      """
      SELECT \(Selection.standing), r.status_code, \(code), count(*), sum(count(*)) OVER ()
      FROM \(chosen(selection, conditions, limit: "$\(conditions.parameters.count + 1)"))
      GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1 NULLS FIRST, 2, 3 LIMIT 200
      """, conditions.parameters + [.int(bound + 1)])
    let total = try rows.first.map { Int(try $0.text(4)) ?? 0 } ?? 0
    let isBounded = total > bound
    let places = try rows.map { row in
      Count(
        stage: try row.textOrNull(0), status: try row.text(1), code: try row.textOrNull(2), count: try row.int(3),
        isBounded: isBounded)
    }
    return Counts(places: places, total: min(total, bound), isBounded: isBounded)
  }

  private static func page(
    _ selection: Selection, _ conditions: Selection.Conditions, limit: Int, after: String?, _ connection: Connection
  ) throws -> (rows: [Row], next: String?) {
    var conditions = conditions
    let count = conditions.parameters.count
    if let after {
      let place = try Place(after)
      conditions.candidates += """
         AND (\(Selection.moved), r.workflow_instance_id) \(isAscending(selection) ? ">" : "<")
        (timestamp 'epoch' + $\(count + 1)::bigint * interval '1 microsecond', $\(count + 2))
        """
      conditions.parameters += [.int(place.microseconds), .text(place.instance)]
    }
    let way = isAscending(selection) ? "ASC" : "DESC"
    let found = try connection.execute(
      """
      SELECT r.reg_id, coalesce(birth.document->>'registrationNumber', change.document->>'registrationNumber'), r.process,
        CASE WHEN change.key IS NOT NULL THEN change.document->>'kind' WHEN owner.key IS NOT NULL THEN 'birth' END,
        \(Selection.standing), here.state, r.status_code, \(code), r.moved, here.try, here.not_before, r.resume_timestamp,
        (extract(epoch FROM r.moved) * 1000000)::bigint, r.workflow_instance_id, here.sent_at, r.latest_trn_status_code, r.reg_stage_name,
        coalesce(r.reg_process_retry_count, 0)
      FROM \(chosen(selection, conditions, limit: "$\(conditions.parameters.count + 1)"))
      LEFT JOIN regproc.stage_record AS owner
        ON owner.stage = 'mosip-mediator' AND owner.collection = 'rids' AND owner.key = r.reg_id
      LEFT JOIN regproc.stage_record AS birth ON birth.stage = 'mosip-mediator' AND birth.collection = 'birth_transactions'
        AND birth.key = owner.document->>'txnId'
      LEFT JOIN regproc.stage_record AS change ON change.stage = 'mosip-mediator' AND change.collection = 'change_transactions'
        AND change.key = owner.document->>'txnId' AND owner.document->>'change' = 'true'
      ORDER BY r.moved \(way), r.workflow_instance_id \(way)
      """, conditions.parameters + [.int(limit + 1)])
    let notice = try SecondTryNotice.read(on: connection)
    let rows = try found.prefix(limit).map { try row($0, notice) }
    guard found.count > limit else { return (rows, nil) }
    let last = found[limit - 1]
    return (rows, Place(microseconds: try last.int(12), instance: try last.text(13)).text)
  }

  private static func row(_ row: Postgres.Row, _ notice: SecondTryNotice?) throws -> Row {
    let state = try row.intOrNull(5)
    let isOpen = state == 0 || state == 1
    // Of what stands at a stage elsewhere: when the reprocessor tries it again.
    let open = isOpen ? try (stage: row.text(4), sentAt: row.instantOrNull(14)) : nil
    let secondTry = notice?.dueAt(
      SecondTryNotice.Registration(
        process: try row.text(2), status: RegistrationStatus(rawValue: try row.text(6)), latest: try row.textOrNull(15),
        stageClass: try row.textOrNull(16),
        movedAt: try row.instant(8), tries: try row.int(17), open: open))
    return Row(
      rid: try row.text(0), registrationNumber: try row.textOrNull(1), process: try row.text(2), kind: try row.textOrNull(3),
      stage: try row.textOrNull(4), state: state == 0 ? "waiting" : state == 1 ? "sent" : nil, status: try row.text(6),
      code: try row.textOrNull(7), since: try row.instant(8), attempt: isOpen ? try row.intOrNull(9) : nil,
      dueAt: state == 0 ? try row.instantOrNull(10) : isOpen ? secondTry : try row.instantOrNull(11) ?? secondTry)
  }

  /// A place in the order of rows.
  private struct Place {
    var microseconds: Int
    var instance: String

    init(microseconds: Int, instance: String) {
      self.microseconds = microseconds
      self.instance = instance
    }

    init(_ text: String) throws {
      let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, let microseconds = Int(parts[0]), (-(1 << 60)...1 << 60).contains(microseconds),
        (1...64).contains(parts[1].utf8.count), !parts[1].utf8.contains(0)
      else { throw Selection.refusal("after", "after: \(Selection.quote(text)) is no place; it is what `next` of a page says") }
      self.init(microseconds: microseconds, instance: String(parts[1]))
    }

    var text: String { "\(microseconds).\(instance)" }
  }
}
