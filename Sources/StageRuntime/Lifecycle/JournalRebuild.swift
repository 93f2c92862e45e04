import Postgres
import Registration
import Routing
import StageKit
import System

/// Fills a journal that was lost with what the topics of the stages tell.
///
/// Every message that we sent carries the id of its hop, and the id of the next hop is made from it. So it is known which message led to which:
/// a hop that one follows is done, with the verdict that the following message says; a hop that none follows is open, and goes on: the
/// message that still stands on the topic finds it by its id, and one that nobody takes is sent again under the same id. Nothing is sent by
/// the rebuilding itself.
///
/// Done at least once, with an effect once: a row has the hop's id, and what is there stays as it is. The hops of a RID are written under its lock
/// in one transaction, so that a stage which works meanwhile has either done it before, or finds them. Of a RID that the journal knows
/// already, as out of a backup, messages without an id of ours say nothing new.
public struct JournalRebuild: Sendable {
  /// What came of it.
  public struct Summary: Sendable {
    /// What was read, by topic.
    public var topics: [LogScan.Topic] = []
    /// RIDs that were found with something that the journal did not know.
    public var registrations = 0
    /// Hops with their verdict, and those that go on.
    public var (done, open) = (0, 0)
    /// Hops whose place a newer run took.
    public var superseded = 0
    /// Rows of `regprc.registration`.
    public var rows = 0
    /// What could not be told, and how often.
    public var untold: [String: Int] = [:]
  }

  /// How far it is.
  public enum Progress: Sendable {
    /// The topics are read.
    case reading(LogScan.Progress)
    /// Registrations are written.
    case writing(Int)
  }

  /// The author that rebuilt rows name.
  public static let author = "journal rebuild"

  private let routes: RouteFile
  private let directory: [String: StageDefinition]
  private let isStopping: @Sendable () -> Bool
  private let tell: @Sendable (Progress) -> Void
  /// RIDs of one transaction: as many locks are held together.
  private static let batch = 200
  /// The most records of one RID that are looked at; one that has more goes round somewhere.
  private static let mostOfOne = 2000
  private static let lock = Journal.lockKey("regproc journal rebuild")

  /// Rebuilds by a route file and the stages that are known.
  public init(
    routes: RouteFile, stages: [StageDefinition], isStopping: @escaping @Sendable () -> Bool = { false },
    tell: @escaping @Sendable (Progress) -> Void = { _ in }
  ) {
    self.routes = routes
    directory = Dictionary(stages.map { ($0.name, $0) }) { first, _ in first }
    (self.isStopping, self.tell) = (isStopping, tell)
  }

  /// Reads the topics and writes what the journal lacks. Nil when another one does so now.
  /// - Throws: `KafkaError`, `LogScan.Failure`, `PostgresError`. What was written stays; begun again, it goes on.
  public func run(_ scan: LogScan, reason: String?, isDryRun: Bool, on connection: Connection) throws -> Summary? {
    let isOurs = try connection.execute("SELECT pg_try_advisory_lock($1)", [.int(Int(Self.lock))]).only().bool(0)
    guard isOurs else { return nil }
    defer {
      _ = try? connection.execute("DROP TABLE IF EXISTS pg_temp.found_on_topics")
      _ = try? connection.execute("SELECT pg_advisory_unlock($1)", [.int(Int(Self.lock))])
    }
    var summary = Summary()
    try Found.make(connection)
    var waiting: [LogRecord] = []
    var bytes = 0
    summary.topics = try scan.run { record in
      waiting.append(record)
      bytes += record.value.count
      guard waiting.count >= 1000 || bytes > 8 << 20 else { return }
      try Found.keep(waiting, connection)
      (waiting, bytes) = ([], 0)
    }
    try Found.keep(waiting, connection)
    try Found.finish(connection)
    var last = ""
    while true {
      if isStopping() { throw LogScan.Failure(description: "interrupted: begun again, it goes on") }
      let rids = try Found.rids(after: last, limit: Self.batch, connection)
      guard let end = rids.last else { break }
      try connection.transaction { try write(rids, reason, isDryRun, &summary, connection) }
      last = end
      tell(.writing(summary.registrations))
    }
    return summary
  }

  // MARK: what the topics said, in a table of the session

  private enum Found {
    static func make(_ connection: Connection) throws {
      _ = try connection.execute("DROP TABLE IF EXISTS pg_temp.found_on_topics")
      _ = try connection.execute(
        """
        CREATE TEMPORARY TABLE found_on_topics (rid text COLLATE "C" NOT NULL, stage text NOT NULL, is_answer boolean NOT NULL,
          process text NOT NULL, hop text NOT NULL, run int, try int, at timestamptz NOT NULL, topic text NOT NULL, partition int NOT NULL,
          record_offset bigint NOT NULL, record_key text, value bytea NOT NULL, trace uuid)
        """)
    }

    /// Keeps what the journal does not have. A record without a hop id says nothing new of a RID that the journal knows.
    static func keep(_ records: [LogRecord], _ connection: Connection) throws {
      guard !records.isEmpty else { return }
      let hops = records.map { $0.hop?.id ?? HopId.foreign(stage: $0.stage, value: $0.value) }
      _ = try connection.execute(
        """
        INSERT INTO pg_temp.found_on_topics
        SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::text[], $6::int[], $7::int[], $8::timestamptz[],
          $9::text[], $10::int[], $11::bigint[], $12::text[], $13::bytea[], $14::uuid[])
          AS d(rid, stage, is_answer, process, hop, run, try, at, topic, partition, record_offset, record_key, value, trace)
        WHERE NOT EXISTS (SELECT 1 FROM regproc.hop AS h WHERE h.hop_id = d.hop::uuid)
          AND NOT EXISTS (SELECT 1 FROM regproc.hop AS h WHERE h.sent_as = d.hop::uuid)
          AND (d.run IS NOT NULL OR NOT EXISTS (SELECT 1 FROM regproc.hop AS h WHERE h.rid = d.rid))
        """,
        [
          .textArray(records.map(\.rid)), .textArray(records.map(\.stage)), .boolArray(records.map(\.isAnswer)),
          .textArray(records.map(\.process)), .textArray(hops.map(\.text)), .intArray(records.map { $0.hop.map(\.run) }),
          .intArray(records.map { $0.hop.map(\.attempt) }), .textArray(records.map(\.at.iso)), .textArray(records.map(\.topic)),
          .intArray(records.map { Int($0.partition) }), .intArray(records.map { Int($0.offset) }), .textArray(records.map(\.key)),
          .bytesArray(records.map(\.value)), .textArray(records.map { $0.trace?.uuid }),
        ])
    }

    static func finish(_ connection: Connection) throws {
      _ = try connection.execute("CREATE INDEX ON pg_temp.found_on_topics (rid, at)")
      _ = try connection.execute("ANALYZE pg_temp.found_on_topics")
    }

    static func rids(after last: String, limit: Int, _ connection: Connection) throws -> [String] {
      try connection.execute(
        "SELECT DISTINCT rid FROM pg_temp.found_on_topics WHERE rid > $1 ORDER BY rid LIMIT $2", [.text(last), .int(limit)]
      ).map { try $0.text(0) }
    }

    /// The records of one RID in the order of their times.
    static func records(of rid: String, limit: Int, _ connection: Connection) throws -> [Record] {
      try connection.execute(
        """
        SELECT stage, is_answer, process, hop, run, try, at, topic, partition, record_offset, record_key, value, trace::text
        FROM pg_temp.found_on_topics WHERE rid = $1 ORDER BY at, topic, partition, record_offset LIMIT $2
        """, [.text(rid), .int(limit)]
      ).compactMap { row in
        let value = try row.bytes(11)
        guard let hop = HopId(text: try row.text(3)), let message = try? Message(decoding: value) else { return nil }
        return Record(
          stage: try row.text(0), isAnswer: try row.bool(1), process: try row.text(2), id: hop, isOurs: try row.intOrNull(4) != nil,
          run: try row.intOrNull(4) ?? 1, attempt: try row.intOrNull(5) ?? 1, at: try row.instant(6), topic: try row.text(7),
          partition: try row.int(8), offset: try row.int(9), key: try row.textOrNull(10), message: message, value: value,
          trace: try row.textOrNull(12).flatMap { TraceId(uuid: $0) })
      }
    }
  }

  struct Record {
    var stage: String
    var isAnswer: Bool
    var process: String
    var id: HopId
    /// It carries a hop id of ours.
    var isOurs: Bool
    var run: Int
    var attempt: Int
    var at: Instant
    var topic: String
    var partition: Int
    var offset: Int
    var key: String?
    var message: Message
    var value: [UInt8]
    var trace: TraceId?
  }

  // MARK: what is written

  private func write(
    _ rids: [String], _ reason: String?, _ isDryRun: Bool, _ summary: inout Summary, _ connection: Connection
  ) throws {
    // In the order of all claims, so that nobody waits in a circle.
    _ = try connection.execute(
      "SELECT count(pg_advisory_xact_lock(k)) FROM (SELECT DISTINCT k FROM unnest($1::bigint[]) AS k ORDER BY k OFFSET 0) AS s",
      [.intArray(rids.map { Int(Journal.lockKey($0)) })])
    let erased = Set(try Erased.among(rids, on: connection).map(\.name))
    if !erased.isEmpty { summary.untold["registrations that were erased", default: 0] += erased.count }
    var known: [String: Set<HopId>] = [:]
    var runs: [String: Int] = [:]
    for row in try connection.execute(
      "SELECT rid, hop_id::text, sent_as::text, run FROM regproc.hop WHERE rid = ANY($1::text[])", [.textArray(rids)])
    {
      runs[try row.text(0)] = max(runs[try row.text(0)] ?? 0, try row.int(3))
      known[try row.text(0), default: []].formUnion(
        [try row.textOrNull(1), try row.textOrNull(2)].compactMap { $0.flatMap { HopId(text: $0) } })
    }
    for rid in rids where !erased.contains(rid) {
      let records = try Found.records(of: rid, limit: Self.mostOfOne, connection)
      if records.count == Self.mostOfOne {
        summary.untold["registrations with more than \(Self.mostOfOne) records", default: 0] += 1
      }
      var lineage = Lineage(records, known: known[rid] ?? [], newestRun: runs[rid] ?? 0, routes: routes)
      lineage.settle()
      for (what, count) in lineage.untold { summary.untold[what, default: 0] += count }
      guard !lineage.hops.isEmpty else { continue }
      try write(rid, lineage, reason, isDryRun, &summary, connection)
    }
  }

  private func write(
    _ rid: String, _ lineage: Lineage, _ reason: String?, _ isDryRun: Bool, _ summary: inout Summary, _ connection: Connection
  ) throws {
    var hops = lineage.hops
    let instances = Set(hops.map(\.instance))
    // One that ended is not worked on again, whatever its last message is.
    let ended = try connection.execute(
      "SELECT workflow_instance_id FROM regprc.registration WHERE workflow_instance_id = ANY($1::text[]) AND status_code = ANY($2::text[])",
      [.textArray(instances.sorted()), .textArray(RegistrationStatus.ended.map(\.rawValue))]
    ).map { try $0.text(0) }
    for index in hops.indices where hops[index].state == .open && ended.contains(hops[index].instance) {
      hops[index].state = .done
      hops[index].comment = "rebuilt from the topics; its registration has ended"
      hops[index].doneAt = hops[index].at
    }
    summary.registrations += 1
    summary.done += hops.count { $0.state == .done }
    summary.open += hops.count { $0.state == .open }
    summary.superseded += hops.count { $0.state == .superseded }
    if isDryRun { return }
    try insert(rid, hops, connection)
    for (instance, of) in Dictionary(grouping: hops, by: \.instance).sorted(by: { $0.key < $1.key }) {
      guard let first = of.min(by: { $0.at < $1.at }) else { continue }
      guard instance.utf8.count <= 36, rid.utf8.count <= 39, first.process.utf8.count <= 36 else {
        summary.untold["registrations whose names are longer than MOSIP's columns", default: 0] += 1
        continue
      }
      let isThere = try connection.execute("SELECT 1 FROM regprc.registration WHERE workflow_instance_id = $1", [.text(instance)])
      guard isThere.isEmpty else { continue }
      summary.rows += 1
      try Journal.open(
        rid: rid, instance: instance, process: first.process, iteration: first.iteration, source: first.source, createdAt: first.at,
        comment: "rebuilt from the topics", author: Self.author, connection)
      try tellLast(rid, instance, connection)
    }
    for (run, of) in Dictionary(grouping: hops, by: \.run) {
      _ = try connection.execute(
        """
        INSERT INTO regproc.run (rid, run, from_stage, author, reason) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
        """, [.text(rid), .int(run), .text(of.first?.stage ?? ""), .text(Self.author), .text(reason ?? "rebuilt from the topics")])
    }
  }

  /// What the row of a registration says of its last hop, which may be one that was done while there was no row: then also how it ended.
  private func tellLast(_ rid: String, _ instance: String, _ connection: Connection) throws {
    let rows = try connection.execute(
      """
      SELECT stage, hop_id::text, status_code, done_at, coalesce(destinations, '') FROM regproc.hop
      WHERE rid = $1 AND workflow_instance_id = $2 AND state = 2 ORDER BY done_at DESC, decided_at DESC LIMIT 1
      """, [.text(rid), .text(instance)])
    guard let last = rows.first else { return }
    let file = StageDefinition(try last.text(0), in: directory, or: routes)
    let ends: [(WorkflowActionCode, RegistrationStatus)] = [
      (.completeAsProcessed, .processed), (.completeAsFailed, .failed), (.completeAsRejected, .rejected),
    ]
    let destinations = try last.text(4)
    _ = try connection.execute(
      """
      UPDATE regprc.registration SET latest_trn_id = $2, latest_trn_type_code = left($3, 36), latest_trn_status_code = $4,
        latest_trn_dtimes = $5::timestamptz AT TIME ZONE 'UTC', reg_stage_name = left($6, 36), status_code = coalesce($7, status_code)
      WHERE workflow_instance_id = $1
      """,
      [
        .text(instance), .text(try last.text(1)), .text(file.transactionType), Value(try last.textOrNull(2)),
        .text(try last.instant(3).iso), .text(file.className),
        Value(ends.first { destinations.contains($0.0.rawValue) }?.1.rawValue),
      ])
  }

  private func insert(_ rid: String, _ hops: [Lineage.Hop], _ connection: Connection) throws {
    let types = hops.map { StageDefinition($0.stage, in: directory, or: routes).transactionType }
    let isOpen = hops.map { $0.state == .open }
    var values: [Value] = [.text(rid)]
    values.append(.textArray(hops.map(\.id.text)))
    values.append(.textArray(hops.map { $0.parent?.text }))
    values.append(.textArray(hops.map(\.instance)))
    values.append(.textArray(hops.map(\.process)))
    values.append(.intArray(hops.map(\.iteration)))
    values.append(.intArray(hops.map(\.run)))
    values.append(.intArray(hops.map(\.attempt)))
    values.append(.textArray(hops.map(\.stage)))
    values.append(.intArray(hops.map(\.state.rawValue)))
    values.append(.textArray(hops.map(\.topic)))
    values.append(.textArray(hops.map(\.key)))
    values.append(.bytesArray(zip(hops, isOpen).map { $1 ? $0.message : nil }))
    values.append(.textArray(hops.map(\.at.iso)))
    values.append(.textArray(hops.map { $0.state == .done ? ($0.doneAt ?? $0.at).iso : nil }))
    values.append(.textArray(hops.map { $0.state == .done ? $0.verdict?.rawValue : nil }))
    values.append(.textArray(zip(hops, types).map { $0.state == .done ? $1 : nil }))
    values.append(.textArray(hops.map { $0.state == .done ? $0.statusCode.rawValue : nil }))
    values.append(.textArray(hops.map(\.comment)))
    values.append(.textArray(hops.map { $0.destinations.isEmpty ? nil : $0.destinations.joined(separator: ", ") }))
    values.append(.intArray(hops.map(\.partition)))
    values.append(.intArray(hops.map(\.offset)))
    values.append(.textArray(hops.map { $0.sentAs?.text }))
    values.append(.text(Self.author))
    values.append(.textArray(hops.map { $0.trace?.uuid }))
    // What is open counts as sent now: a stage that runs has its time to take what stands on its topic before anything is sent again.
    _ = try connection.execute(
      """
      INSERT INTO regproc.hop (hop_id, parent, workflow_instance_id, rid, process, iteration, run, try, stage, state, topic, record_key,
        message, decided_at, sent_at, sent_count, taken_at, done_at, verdict, transaction_type, status_code, comment, destinations, partition,
        record_offset, sent_as, worker, trace)
      SELECT hop_id, parent, wid, $1, process, iteration, run, try, stage, state, topic, record_key, message, at,
        CASE WHEN state = 1 THEN now() ELSE at END, 1, done_at, CASE WHEN state = 3 THEN now() ELSE done_at END, verdict, type, status, comment,
        destinations, partition, record_offset, sent_as, CASE WHEN state = 2 THEN $24 END, trace
      FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[], $9::text[], $10::int[], $11::text[],
        $12::text[], $13::bytea[], $14::timestamptz[], $15::timestamptz[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[],
        $21::int[], $22::bigint[], $23::uuid[], $25::uuid[])
        AS d(hop_id, parent, wid, process, iteration, run, try, stage, state, topic, record_key, message, at, done_at, verdict, type, status,
          comment, destinations, partition, record_offset, sent_as, trace)
      ON CONFLICT (hop_id) DO NOTHING
      """, values)
  }
}
