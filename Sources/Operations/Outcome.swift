import JSON
import Postgres
import System

/// What came of one event of a civil registry: a birth, a death, or a change of either.
public struct Outcome: Sendable, Hashable {
  /// In a word.
  public enum Word: String, Sendable, CaseIterable {
    /// Nobody here has ever seen it.
    case neverArrived = "never-arrived"
    /// It is worked on.
    case onItsWay = "on-its-way"
    /// A person must decide.
    case held
    /// It is kept because this version has no way for it yet.
    case parked
    /// It ended as it should; `result` says how.
    case done
    /// It ended in an error that has a name.
    case error
  }

  /// The registration number.
  public var number: String?
  /// `birth`, `death`, `birth-correction` ...; nil for one that never arrived.
  public var kind: String?
  /// The RID of a birth, the AID of a change.
  public var rid: String?
  /// When it arrived.
  public var at: Instant?
  /// What came of it.
  public var word: Word
  /// `uin-token`, `processed` (a token that OpenCRVS was not told yet, or whose mediator keeps its records elsewhere), `deactivated`,
  /// `corrected` and so on; of an error its code; of one on its way the step it is at.
  public var result: String?

  /// As JSON.
  public var json: JSONValue {
    [
      "registrationNumber": JSONValue(number), "kind": JSONValue(kind), "rid": JSONValue(rid), "arrivedAt": JSONValue(at?.iso),
      "outcome": .string(word.rawValue), "result": JSONValue(result),
    ]
  }

  /// An index by which a day's events are found; what it is on never changes.
  static let index = """
    CREATE INDEX stage_record_taken ON regproc.stage_record (created_at)
      WHERE collection IN ('events', 'birth_transactions', 'change_transactions');
    """

  /// One row for each event: `key`, `at`, `number`, `kind`, `rid`, `word`, `result`. Either mediator's records may be missing, where the two sides
  /// have a database each.
  ///
  /// - Parameter condition: on `seen`, a row of either mediator.
  static func select(where condition: String) -> String {
    """
    SELECT k.key, k.at, n.number, coalesce(c.document->>'kind', e.document->>'kind', 'birth') AS kind,
      coalesce(c.document->>'rid', b.document->>'rid', e.document->>'aid') AS rid,
      CASE
        WHEN c.document->>'status' IN ('Changed', 'Told') THEN 'done'
        WHEN c.document->>'status' = 'Held' THEN 'held'
        WHEN c.document->>'status' = 'Failed' OR b.document->>'status' = 'Failed' THEN 'error'
        WHEN c.key IS NOT NULL THEN 'on-its-way'
        WHEN r.status_code = 'PROCESSED' OR b.key IS NULL AND t.key IS NOT NULL THEN 'done'
        WHEN r.status_code IN ('FAILED', 'REJECTED') THEN 'error'
        WHEN b.key IS NOT NULL THEN 'on-its-way'
        WHEN e.document->>'status' = 'Failed' OR s.status = 'error' THEN 'error'
        WHEN e.document->>'status' = 'Parked' THEN 'parked'
        WHEN s.status = 'success' THEN 'done'
        ELSE 'on-its-way'
      END AS word,
      CASE
        WHEN c.document->>'status' IN ('Changed', 'Told') THEN c.document->>'what'
        WHEN c.document->>'status' = 'Held' OR c.document->>'status' = 'Failed' THEN c.document->>'errorCode'
        WHEN c.key IS NOT NULL THEN c.document->>'status'
        WHEN b.document->>'status' = 'Failed' THEN b.document->>'errorCode'
        WHEN t.key IS NOT NULL THEN 'uin-token'
        WHEN r.status_code = 'PROCESSED' THEN 'processed'
        WHEN r.status_code IN ('FAILED', 'REJECTED') THEN coalesce(s.code, r.status_code)
        WHEN r.status_code IS NOT NULL THEN r.status_code || coalesce(' at ' || r.reg_stage_name, '')
        WHEN b.key IS NOT NULL THEN b.document->>'status'
        ELSE coalesce(s.code, s.what, e.document->>'status')
      END AS result
    FROM (
      SELECT seen.key, min(seen.created_at) AS at FROM regproc.stage_record AS seen
      WHERE seen.collection IN ('events', 'birth_transactions', 'change_transactions')
        AND seen.stage IN ('opencrvs-mediator', 'mosip-mediator') AND \(condition)
      GROUP BY seen.key) AS k
    LEFT JOIN regproc.stage_record AS e ON e.stage = 'opencrvs-mediator' AND e.collection = 'events' AND e.key = k.key
    LEFT JOIN regproc.stage_record AS b ON b.stage = 'mosip-mediator' AND b.collection = 'birth_transactions' AND b.key = k.key
    LEFT JOIN regproc.stage_record AS c ON c.stage = 'mosip-mediator' AND c.collection = 'change_transactions' AND c.key = k.key
    CROSS JOIN LATERAL (SELECT coalesce(
      c.document->>'registrationNumber', b.document->>'registrationNumber', e.document->>'registrationNumber') AS number) AS n
    LEFT JOIN LATERAL (
      SELECT status_code, reg_stage_name FROM regprc.registration WHERE reg_id = b.document->>'rid' ORDER BY cr_dtimes DESC LIMIT 1
    ) AS r ON true
    LEFT JOIN regproc.stage_record AS t ON t.stage = 'opencrvs-mediator' AND t.collection = 'tokens' AND c.key IS NULL
      AND coalesce(e.document->>'kind', 'birth') = 'birth' AND t.key IN (n.number, encode(sha256(convert_to(n.number, 'UTF8')), 'hex'))
    LEFT JOIN LATERAL (
      SELECT document->>'status' AS status, document->'errors'->0->>'errorCode' AS code, document->>'what' AS what
      FROM regproc.stage_record AS told WHERE told.stage = 'opencrvs-mediator' AND told.collection = 'statuses'
        AND told.document->>'registrationNumber' = n.number AND told.document->>'txnId' = k.key
      ORDER BY told.created_at DESC LIMIT 1) AS s ON true
    """
  }

  static func read(_ row: Row) throws -> Outcome {
    Outcome(
      number: try row.textOrNull(2), kind: try row.text(3), rid: try row.textOrNull(4), at: try row.instant(1),
      word: Word(rawValue: try row.text(5)) ?? .onItsWay, result: try row.textOrNull(6))
  }
}

/// Holding what a civil registry says it registered against what arrived here.
public enum Reconciliation {
  /// So many numbers are asked for at once.
  public static let batch = 1000

  /// The numbers of a file, one a line, each once; empty lines and lines that begin with # are none.
  /// - Throws: `bad-numbers` with the lines that cannot be a registration number, `no-numbers`.
  public static func numbers(file bytes: [UInt8]) throws(OperationError) -> [String] {
    let names = ReplayRequest.names(file: bytes)
    let bad = names.filter { name in
      name.text.utf8.count > 128
        || name.text.unicodeScalars.contains { $0.properties.isWhitespace || $0.value < 32 || $0.value == 127 }
    }
    guard bad.isEmpty else {
      let lines = bad.prefix(10).map { String($0.line) }.joined(separator: ", ")
      throw OperationError(
        .badInput, "bad-numbers",
        "\(bad.count) lines hold no registration number: \(lines)\(bad.count > 10 ? " ..." : "") (one number a line)")
    }
    guard !names.isEmpty else { throw OperationError(.badInput, "no-numbers", "there is no registration number in it") }
    var seen: Set<String> = []
    return names.map(\.text).filter { seen.insert($0).inserted }
  }

  /// What came of the events of numbers, in their order; of a number with several (a birth and its corrections) each, the oldest first.
  ///
  /// - Parameter kind: of this kind only, e.g. `birth`: a number that has none of it never arrived.
  public static func outcomes(of numbers: [String], kind: String?, on connection: Connection) throws -> [Outcome] {
    let condition = "seen.document->>'registrationNumber' = ANY($1::text[])"
    let rows = try connection.execute(
      "SELECT * FROM (\(Outcome.select(where: condition))) AS found WHERE $2::text IS NULL OR kind = $2 ORDER BY at, key",
      [.textArray(numbers), Value(kind)])
    let found = Dictionary(grouping: try rows.map(Outcome.read)) { $0.number ?? "" }
    return numbers.flatMap { found[$0] ?? [Outcome(number: $0, kind: nil, rid: nil, at: nil, word: .neverArrived, result: nil)] }
  }
}

/// What came of the events of a day.
public struct DayReport: Sendable {
  /// So many events of a kind ended so.
  public struct Line: Sendable {
    /// The kind.
    public var kind: String
    /// What came of them.
    public var word: Outcome.Word
    /// How, or the error's code; nil for what is on its way.
    public var result: String?
    /// How many.
    public var count: Int
  }

  /// When the day begins, and the next one.
  public var from: Instant
  public var to: Instant
  /// By kind, then by outcome, the most frequent first.
  public var lines: [Line]
  /// Births that look like one child under two numbers, of which at least one arrived on the day.
  public var alike: AlikeBirths

  /// The beginning of a day such as `2026-11-24`, in UTC.
  public static func day(_ text: String) throws(OperationError) -> Instant {
    guard text.utf8.count == 10, let day = Instant(iso: text + "T00:00:00Z"), day.civil.year > 0 else {
      throw OperationError(.badInput, "bad-day", "day: \(Selection.quote(text)) is no day; write 2026-11-24")
    }
    return day
  }

  /// Reads the report of what arrived between two moments, as it stands now.
  public static func read(from: Instant, to: Instant, on connection: Connection) throws -> DayReport {
    let rows = try connection.execute(
      """
      SELECT kind, word, CASE WHEN word = 'on-its-way' THEN NULL ELSE result END AS how, count(*)
      FROM (\(Outcome.select(where: "seen.created_at >= $1 AND seen.created_at < $2"))) AS found
      WHERE at >= $1 AND at < $2 GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3
      """, [.timestamp(from), .timestamp(to)])
    return DayReport(
      from: from, to: to,
      lines: try rows.map { row in
        Line(
          kind: try row.text(0), word: Outcome.Word(rawValue: try row.text(1)) ?? .onItsWay, result: try row.textOrNull(2),
          count: try row.int(3))
      }, alike: try AlikeBirths.read(from: from, to: to, on: connection))
  }

  /// As JSON.
  public var json: JSONValue {
    [
      "from": .string(from.iso), "to": .string(to.iso), "events": JSONValue(lines.reduce(0) { $0 + $1.count }),
      "lines": .array(
        lines.map { line in
          [
            "kind": .string(line.kind), "outcome": .string(line.word.rawValue), "result": JSONValue(line.result),
            "count": JSONValue(line.count),
          ]
        }),
      "alike": alike.json, "alikeIsCut": .bool(alike.isCut),
    ]
  }
}
