import Operations
import Postgres
import StageRuntime
import System

/// How long an operator waits: one registration looked up, and lists of them, with many hops in the journal.
struct OperationsBench {
  private let hops: Int
  private let rounds: Int
  /// The folder of a cluster that another run has filled and still has.
  private let filled: String?
  /// Hops of a registration, as one that goes through all ten stages.
  private static let each = 10

  init(_ options: Options) throws {
    hops = try options.number("hops", 1_000_000)
    rounds = try options.number("rounds", 20)
    filled = options.has("filled") ? try options.text("filled") : nil
  }

  func run() throws {
    if let filled {
      guard let settings = PrivateCluster.running(in: filled + "/postgres") else { throw BenchError("nothing runs in \(filled)") }
      let connection = try Connection(settings.unhurried)
      defer { connection.close() }
      return try measure(connection)
    }
    let folder = try Machine.makeFolder()
    defer { Machine.remove(folder) }
    let cluster = PrivateCluster(folder: folder + "/postgres")
    defer { cluster.stop() }
    let connection = try Connection(try cluster.start().unhurried)
    defer { connection.close() }
    try Migrator.apply(EngineSchema.migrations + OperationsSchema.migrations, on: connection)
    let began = Machine.wall
    try fill(connection)
    say("\(hops) hops of \(hops / Self.each) registrations, filled in \(fixed(Machine.wall - began, 0)) s")
    try sizes(connection)
    try measure(connection)
  }

  private func fill(_ connection: Connection) throws {
    let count = hops / Self.each
    // In pieces, oldest first, one registration a second: what stands in a table together came together.
    for first in stride(from: 1, through: count, by: 100_000) {
      let range: [Value] = [.int(first), .int(min(first + 99_999, count)), .int(count)]
      _ = try connection.execute(Self.hops, range)
      _ = try connection.execute(Self.registrations, range)
      for sql in Self.records { _ = try connection.execute(sql, Array(range.prefix(2))) }
    }
    for table in ["regproc.hop", "regprc.registration", "regproc.stage_record", "regproc.work", "regproc.dead_letter"] {
      _ = try connection.execute("VACUUM ANALYZE \(table)")
    }
  }

  // Of 1,000 registrations 980 went through, 10 failed at one of the stages, 4 wait for their next try, 4 are on the bus, 2 are paused.
  private static let fate = """
    CASE WHEN n % 1000 < 980 THEN 'through' WHEN n % 1000 < 990 THEN 'failed' WHEN n % 1000 < 994 THEN 'waiting'
      WHEN n % 1000 < 998 THEN 'sent' ELSE 'paused' END
    """

  private static let hops = """
    INSERT INTO regproc.hop (hop_id, workflow_instance_id, rid, process, iteration, run, try, stage, state, topic, partition, record_offset,
      record_key, decided_at, not_before, sent_at, taken_at, done_at, milliseconds, verdict, transaction_type, status_code, sub_status_code,
      comment, reference_id, worker, route_digest)
    SELECT md5(n || '-' || h)::uuid, md5('w' || n), '4' || lpad(n::text, 28, '0'), 'OPENCRVS_NEW', 1, 1, CASE WHEN open THEN 2 ELSE 1 END,
      (ARRAY['packet-receiver', 'packet-uploader', 'securezone-notification', 'packet-validator', 'packet-classifier', 'cmd-validator',
        'introducer-validator', 'uin-generator', 'credential-requestor', 'finalization'])[h],
      CASE WHEN open THEN CASE fate WHEN 'waiting' THEN 0 ELSE 1 END ELSE 2 END, 'packet-validator-bus-in', n % 4, n, '4' || lpad(n::text, 28, '0'),
      at, CASE WHEN open AND fate = 'waiting' THEN now() + interval '5 minutes' END, at, CASE WHEN NOT open THEN at END,
      CASE WHEN NOT open THEN at END, 12.5, CASE WHEN open THEN NULL WHEN failed THEN 'failed' ELSE 'passed' END, 'STAGE_' || h,
      CASE WHEN open THEN NULL WHEN failed THEN 'FAILED' ELSE 'SUCCESS' END,
      CASE WHEN open THEN NULL WHEN failed THEN 'RPR-ST' || h || '-FAILED-00' || n % 7 ELSE 'RPR-ST' || h || '-SUCCESS-001' END,
      'what the stage says of it in a sentence', md5('r' || n), 'worker-1', 'digest'
    FROM (
      SELECT n, h, fate, fate IN ('waiting', 'sent') AND h = last AS open, fate = 'failed' AND h = last AS failed,
        now() - ($3 - n) * interval '1 second' - (last - h) * interval '100 milliseconds' AS at
      FROM (SELECT n, \(fate) AS fate, CASE WHEN n % 1000 < 980 THEN \(each) ELSE 2 + n % 8 END::int AS last
        FROM generate_series($1::int, $2::int) AS n) AS each
      CROSS JOIN LATERAL generate_series(1, last) AS h) AS made
    """

  private static let registrations = """
    INSERT INTO regprc.registration (workflow_instance_id, reg_id, process, status_code, lang_code, latest_trn_id, latest_trn_dtimes,
      reg_stage_name, is_active, cr_by, cr_dtimes, source, iteration)
    SELECT md5('w' || n), '4' || lpad(n::text, 28, '0'), 'OPENCRVS_NEW',
      CASE \(fate) WHEN 'through' THEN 'PROCESSED' WHEN 'failed' THEN 'FAILED' WHEN 'waiting' THEN 'REPROCESS' WHEN 'sent' THEN 'PROCESSING'
        ELSE 'PAUSED' END, 'eng', md5(n || '-10')::uuid::text, (now() - ($3 - n) * interval '1 second') AT TIME ZONE 'UTC', 'Stage', true,
      'MOSIP_SYSTEM', (now() - ($3 - n + 60) * interval '1 second') AT TIME ZONE 'UTC', 'OPENCRVS', 1
    FROM generate_series($1::int, $2::int) AS n
    """

  /// Every hundredth is a death; the others are births.
  private static let records = [
    """
    INSERT INTO regproc.stage_record (stage, collection, key, version, document)
    SELECT 'mosip-mediator', 'rids', '4' || lpad(n::text, 28, '0'), 1,
      CASE WHEN n % 100 = 0 THEN jsonb_build_object('txnId', md5('t' || n) || ':death', 'change', true)
        ELSE jsonb_build_object('txnId', md5('t' || n)) END
    FROM generate_series($1::int, $2::int) AS n
    """,
    """
    INSERT INTO regproc.stage_record (stage, collection, key, version, document)
    SELECT 'mosip-mediator', CASE WHEN n % 100 = 0 THEN 'change_transactions' ELSE 'birth_transactions' END,
      md5('t' || n) || CASE WHEN n % 100 = 0 THEN ':death' ELSE '' END, 1,
      jsonb_build_object('rid', '4' || lpad(n::text, 28, '0'), 'registrationNumber', 'R' || n, 'kind', CASE WHEN n % 100 = 0 THEN 'death' END,
        'status', CASE WHEN n % 10000 = 0 THEN 'Held' ELSE 'Told' END)
    FROM generate_series($1::int, $2::int) AS n
    """,
    """
    INSERT INTO regproc.stage_record (stage, collection, key, version, document)
    SELECT 'mosip-mediator', 'registration_numbers', 'R' || n, 1, jsonb_build_object('txnId', md5('t' || n))
    FROM generate_series($1::int, $2::int) AS n WHERE n % 100 > 0
    """,
    """
    INSERT INTO regproc.work (stage, kind, key, payload, state, done_at)
    SELECT 'mosip-mediator', kind, md5('t' || n), '{}', 1, now() FROM generate_series($1::int, $2::int) AS n
    CROSS JOIN unnest(ARRAY['packet', 'status']) AS kind
    """,
    """
    INSERT INTO regproc.work (stage, kind, key, payload, state, done_at)
    SELECT 'workflow', 'completed', md5('c' || n), jsonb_build_object('rid', '4' || lpad(n::text, 28, '0')), 1, now()
    FROM generate_series($1::int, $2::int) AS n
    """,
  ]

  private func sizes(_ connection: Connection) throws {
    let rows = try connection.execute(
      """
      SELECT c.relname, pg_size_pretty(pg_relation_size(c.oid)) FROM pg_class AS c
      WHERE c.relname IN ('hop', 'registration', 'hop_standing', 'hop_code', 'registration_moved', 'registration_status_moved',
        'registration_not_through', 'work_key') ORDER BY pg_relation_size(c.oid) DESC
      """)
    say("sizes: " + (try rows.map { "\(try $0.text(0)) \(try $0.text(1))" }.joined(separator: ", ")))
  }

  private func measure(_ connection: Connection) throws {
    let count = hops / Self.each
    var number = 0
    // Another registration each time.
    func rid() -> String {
      number += 7919
      return "4" + (number % count + 1).digits(28)
    }
    try time("journey by RID", aim: 5) {
      guard try RegistrationView.read(rid(), on: connection) != nil else { throw BenchError("a registration is missing") }
    }
    try time("journey by number", aim: 5) {
      number += 7919
      let place = number % count / 100 * 100 + 1
      guard try RegistrationView.read("R\(place)", on: connection) != nil else { throw BenchError("a number is missing") }
    }
    try time("transactions of a RID, for MOSIP's reports", aim: 10) {
      let rows = try connection.execute(
        "SELECT id, trn_type_code, status_code FROM regprc.registration_transaction WHERE reg_id = $1", [.text(rid())])
      guard !rows.isEmpty else { throw BenchError("a registration has no transaction") }
    }
    // The index that docs/mixed-pipelines.md has for those who run Java stages.
    try connection.script("CREATE INDEX hop_transaction ON regproc.hop USING hash ((hop_id::text)) WHERE state = 2")
    let transaction = try connection.execute("SELECT hop_id::text FROM regproc.hop WHERE state = 2 LIMIT 1").only().text(0)
    try time("one transaction by its id", aim: 10) {
      _ = try connection.execute("SELECT status_code FROM regprc.registration_transaction WHERE id = $1", [.text(transaction)])
        .only()
    }
    let lists: [(String, (inout Selection) -> Void)] = [
      ("everything", { _ in }), ("status FAILED", { $0.status = "FAILED" }), ("status PROCESSED", { $0.status = "PROCESSED" }),
      ("status waiting", { $0.status = "waiting" }), ("status sent", { $0.status = "sent" }),
      ("status held", { $0.status = "held" }),
      ("stage packet-validator", { $0.stage = "packet-validator" }),
      ("status FAILED at uin-generator", { ($0.status, $0.stage) = ("FAILED", "uin-generator") }),
      ("code of failures", { $0.code = "RPR-ST4-FAILED-002" }), ("code of successes", { $0.code = "RPR-ST3-SUCCESS-001" }),
      ("code of what went through", { ($0.code, $0.status) = ("RPR-ST10-SUCCESS-001", "PROCESSED") }),
      ("code that nobody has", { $0.code = "RPR-NONE-001" }), ("kind death", { $0.kind = "death" }),
      ("kind birth", { $0.kind = "birth" }),
      ("since 1h", { $0.since = Instant.now.advanced(bySeconds: -3600) }),
      ("status FAILED since 1d", { ($0.status, $0.since) = ("FAILED", Instant.now.advanced(bySeconds: -86400)) }),
      ("waiting longer than 1h", { $0.waitingLongerThan = 3600 }), ("process that nobody has", { $0.process = "NONE" }),
    ]
    for (name, set) in lists {
      var selection = Selection()
      set(&selection)
      let list = try RegistrationList.read(selection, on: connection)
      try time("list, \(name), \(list.counts?.words ?? "")", aim: 100) {
        _ = try RegistrationList.read(selection, on: connection)
      }
      if let next = list.next {
        try time("list, \(name), second page", aim: 100) { _ = try RegistrationList.read(selection, after: next, on: connection) }
      }
    }
  }

  private func time(_ name: String, aim: Double, _ body: () throws -> Void) throws {
    var milliseconds: [Double] = []
    for _ in 0..<rounds {
      let began = Machine.wall
      try body()
      milliseconds.append((Machine.wall - began) * 1000)
    }
    let sorted = milliseconds.sorted()
    say(
      "\(name): median \(fixed(median(sorted), 1)) ms, worst \(fixed(sorted[sorted.count - 1], 1)) ms"
        + (median(sorted) > aim ? "  above the aim of \(fixed(aim, 0)) ms" : ""))
  }
}
