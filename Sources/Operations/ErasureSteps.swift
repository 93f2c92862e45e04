import Postgres
import StageRuntime

/// What an erasure does with one table.
struct ErasureStep: Sendable {
  /// The table with its schema.
  var table: String
  /// What of its rows.
  var what: String
  /// Why it goes, or stays.
  var why: String
  /// The rows, as a condition; nil where nobody looks at them.
  var rows: String?
  /// What is done with them: `SET ...`, or `DELETE`; nil where they stay as they are.
  var change: String?
  /// The parameters of both.
  var values: [Value] = []
  /// Further ones of the change alone, behind these.
  var further: [Value] = []
  /// Where the change needs it: the operator's name and reason behind the parameters.
  var needsAuthor = false

  /// Whether the table is in this database: a database may be one side's, and the platform's services a MOSIP deployment's own.
  func isThere(_ connection: Connection) throws -> Bool {
    let parts = table.split(separator: ".").map(String.init)
    return try connection.execute(
      """
      SELECT EXISTS (SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = $2)
      """, [.text(parts[0]), .text(parts[1])]
    ).only().bool(0)
  }

  /// Does it, or counts what it would be done to.
  func count(isDryRun: Bool, by who: Operator, _ connection: Connection) throws -> Int? {
    guard let rows else { return nil }
    guard let change, !isDryRun else {
      return try connection.execute("SELECT count(*) FROM \(table) AS t WHERE \(rows)", values).only().int(0)
    }
    let all = values + further + (needsAuthor ? [.text(who.name), Value(who.reason)] : [])
    let verb = change == "DELETE" ? "DELETE FROM \(table) AS t" : "UPDATE \(table) AS t \(change)"
    return try connection.execute("\(verb) WHERE \(rows)", all).affected
  }
}

/// What an erasure does with each table, in its order. The table in docs/operations.md tells the same.
enum ErasureSteps {
  /// All of them, for one scope.
  static func all(_ scope: ErasureScope) -> [ErasureStep] {
    journal(scope) + letters(scope) + mediators(scope) + mosip(scope) + platform(scope) + kept(scope)
  }

  private static func journal(_ scope: ErasureScope) -> [ErasureStep] {
    [
      ErasureStep(
        table: "regproc.hop", what: "messages", why: "they carry tags of the packet",
        rows: "rid = ANY($1::text[]) AND message IS NOT NULL", change: "SET message = NULL", values: [scope.sortedRids]),
      ErasureStep(
        table: "regproc.work", what: "sentences of failures", why: "other systems may have said in them what they did not like",
        rows: """
          (stage, kind, key) IN (SELECT stage, kind, key FROM (\(RegistrationView.workFound)) AS f)
            AND (failure IS NOT NULL OR payload ? 'errorMessage')
          """, change: "SET failure = NULL, payload = payload - 'errorMessage'", values: scope.work),
      ErasureStep(
        table: "regproc.transaction_of_others", what: "comments of other programs", why: "nobody knows what they say",
        rows: "reg_id = ANY($1::text[]) AND status_comment IS NOT NULL", change: "SET status_comment = NULL",
        values: [scope.sortedRids]),
      ErasureStep(
        table: "regproc.held", what: "holds", why: "nobody runs it again anyway",
        rows: "rid = ANY($1::text[]) AND released_at IS NULL",
        change: "SET released_at = clock_timestamp(), released_by = $2, release_reason = $3", values: [scope.sortedRids],
        needsAuthor: true),
    ]
  }

  /// Letters of hops by their hop, letters of records that nobody could read by any name of the registration in them. Of two that differed by
  /// their bytes alone the second one gets an offset that no broker gives.
  private static func letters(_ scope: ErasureScope) -> [ErasureStep] {
    let found = """
      (rid = ANY($1::text[]) OR hop_id IN (SELECT hop_id FROM regproc.hop WHERE rid = ANY($1::text[]))
        OR rid IS NULL AND EXISTS (SELECT FROM unnest($2::text[]) AS n(name) WHERE position(convert_to(name, 'UTF8') IN value) > 0
          OR position(convert_to(name, 'UTF8') IN record_key) > 0 OR position(name IN headers::text) > 0))
      """
    return [
      ErasureStep(
        table: "regproc.dead_letter", what: "bytes, keys and headers", why: "a record as it was read",
        rows: "\(found) AND (value IS NOT NULL OR record_key IS NOT NULL OR headers IS NOT NULL OR edited IS NOT NULL)",
        change: """
          SET value = NULL, record_key = NULL, headers = NULL, edited = NULL, rid = coalesce(rid, $3),
            record_offset = CASE WHEN EXISTS (SELECT FROM regproc.dead_letter AS o WHERE o.id < t.id AND o.stage = t.stage
              AND o.topic = t.topic AND o.partition IS NOT DISTINCT FROM t.partition AND o.record_offset IS NOT DISTINCT FROM t.record_offset
              AND o.hop_id IS NOT DISTINCT FROM t.hop_id) THEN -t.id ELSE record_offset END,
            dropped_at = CASE WHEN replayed_at IS NULL THEN coalesce(dropped_at, now()) END,
            ended_by = coalesce(ended_by, $4), ended_reason = coalesce(ended_reason, 'erased: ' || $5)
          """,
        values: [scope.sortedRids, .textArray(scope.names.filter { $0.utf8.count >= 8 })], further: [.text(scope.subject)],
        needsAuthor: true)
    ]
  }

  private static func mediators(_ scope: ErasureScope) -> [ErasureStep] {
    let isOfKeys = "collection IN ('events', 'birth_transactions', 'change_transactions') AND key = ANY($1::text[])"
    let isOfNames =
      """
      stage = 'opencrvs-mediator' AND (collection = 'tokens' AND (document->>'aid' = ANY($1::text[]) OR key IN
        (SELECT unnest(ARRAY[number, encode(sha256(convert_to(number, 'UTF8')), 'hex')]) FROM unnest($3::text[]) AS number))
        OR collection = 'statuses' AND (document->>'txnId' = ANY($2::text[]) OR document->>'aid' = ANY($1::text[])))
      """
    let rest = """
      CASE WHEN jsonb_typeof(document->'errors') = 'array' THEN jsonb_set(document, '{errors}',
        (SELECT coalesce(jsonb_agg(e - 'errorMessage'), '[]') FROM jsonb_array_elements(document->'errors') AS e)) ELSE document END
      """
    func sentences(_ what: String, where rows: String, _ values: [Value]) -> ErasureStep {
      ErasureStep(
        table: "regproc.stage_record", what: what,
        why: "other systems may have said in them what they did not like; the codes stay",
        rows: "\(rows) AND (document ? 'errorMessage' OR jsonb_path_exists(document, '$.errors[*].errorMessage'))",
        change: "SET version = version + 1, document = (\(rest)) - 'errorMessage'", values: values)
    }
    let names: [Value] = [scope.sortedRids, scope.sortedKeys, .textArray(scope.births)]
    return [
      ErasureStep(
        table: "regproc.stage_record", what: "UIN tokens, sealed", why: "they name a person; their hashes stay",
        rows: "\(isOfNames) AND (document ? 'sealedToken' OR document ? 'uinToken')",
        change: """
          SET version = version + 1, changed_at = now(), document = (document - 'sealedToken' - 'uinToken')
            || CASE WHEN document ? 'uinToken' THEN jsonb_build_object('tokenDigest', encode(sha256(convert_to(document->>'uinToken',
              'UTF8')), 'hex')) ELSE '{}' END
          """, values: names),
      ErasureStep(
        table: "regproc.stage_record", what: "tokens of OpenCRVS for the record",
        why: "with them somebody could speak in the registrar's name",
        rows: """
          stage = 'opencrvs-mediator' AND collection = 'awaited' AND document->>'event' = ANY($1::text[]) AND document ? 'sealedToken'
          """,
        change: """
          SET version = version + 1, changed_at = now(),
            document = document - 'sealedToken' - 'tokenDigest' || '{"status": "Told"}'
          """, values: [scope.sortedKeys]),
      ErasureStep(
        table: "regproc.work", what: "errors as they were posted to error-url", why: "they are for transport",
        rows: """
          stage = 'opencrvs-mediator' AND kind = 'report' AND state <> 0 AND payload->>'eventId' = ANY($1::text[])
          """,
        change: "SET payload = '{}'", values: [scope.sortedKeys]),
      ErasureStep(
        table: "regproc.stage_record", what: "keyed hashes of names and day of birth",
        why: "births that look like one child are found by them",
        rows: "stage = 'mosip-mediator' AND collection = 'birth_likenesses' AND key = ANY($1::text[]) AND document ? 'likeness'",
        change: "SET version = version + 1, changed_at = now(), document = document - 'likeness' - 'motherLikeness'",
        values: [scope.sortedKeys]),
      sentences("sentences of errors", where: isOfKeys, [scope.sortedKeys]),
      sentences("sentences of errors in results", where: isOfNames, names),
    ]
  }

  private static func mosip(_ scope: ErasureScope) -> [ErasureStep] {
    [
      ErasureStep(
        table: "regprc.registration_list", what: "names, phones, mail addresses, places, comments",
        why: "what clients announced of the person",
        rows: """
          reg_id = ANY($1::text[]) AND num_nonnulls(additional_info, name, phone, email, location_code, ref_id,
            client_status_comment, status_comment) > 0
          """,
        change: """
          SET additional_info = NULL, name = NULL, phone = NULL, email = NULL, location_code = NULL, ref_id = NULL,
            client_status_comment = NULL, status_comment = NULL
          """, values: [scope.sortedRids]),
      ErasureStep(
        table: "regprc.anonymous_profile", what: "age group and gender", why: "its key leads to the registration",
        rows: "id = ANY($1::text[]) OR id IN (SELECT workflow_instance_id FROM regprc.registration WHERE reg_id = ANY($1::text[]))",
        change: "DELETE", values: [scope.sortedRids]),
    ]
  }

  private static func platform(_ scope: ErasureScope) -> [ErasureStep] {
    let requests = Value.textArray(scope.requests.sorted())
    return [
      ErasureStep(
        table: "platform.tag", what: "tags of the packet", why: "they say what sort of person it is of",
        rows: "rid = ANY($1::text[])",
        change: "DELETE", values: [scope.sortedRids]),
      ErasureStep(
        table: "platform.draft_document", what: "documents of drafts, sealed", why: "a draft is for transport",
        rows: "rid = ANY($1::text[])", change: "DELETE", values: [scope.sortedRids]),
      ErasureStep(
        table: "platform.draft", what: "fields of drafts, sealed", why: "a draft is for transport; which UIN the RID has stays",
        rows: "rid = ANY($1::text[]) AND state = 'DRAFTED'", change: "SET fields = NULL", values: [scope.sortedRids]),
      ErasureStep(
        table: "platform.credential_request", what: "credentials, sealed for partners", why: "they are for transport",
        rows: "request_id = ANY($1::text[])", change: "SET event = ''::bytea", values: [requests]),
      ErasureStep(
        table: "platform.hub_message", what: "messages of the hub", why: "they are for transport; their keys stay",
        rows: "\(isTold) AND body <> ''::bytea", change: "SET body = ''::bytea", values: [scope.told]),
    ]
  }

  /// Messages of the hub that name one of $1.
  static let isTold = """
    EXISTS (SELECT FROM unnest($1::text[]) AS n(name) WHERE position(name IN dedupe_key) > 0
      OR position(convert_to(name, 'UTF8') IN body) > 0)
    """

  private static func kept(_ scope: ErasureScope) -> [ErasureStep] {
    func kept(_ table: String, _ what: String, _ why: String, _ rows: String?, _ values: [Value] = []) -> ErasureStep {
      ErasureStep(table: table, what: what, why: why, rows: rows, change: nil, values: rows == nil ? [] : values)
    }
    let rids = [scope.sortedRids]
    return [
      kept("regproc.hop", "stages, codes, times", "who did what when, by law", "rid = ANY($1::text[])", rids),
      kept("regproc.run", "runs with author and reason", "the same", "rid = ANY($1::text[])", rids),
      kept("regprc.registration", "statuses and times", "the same, and no packet is taken twice", "reg_id = ANY($1::text[])", rids),
      kept(
        "regprc.registration_list", "packet ids, hashes, sizes", "no packet is taken twice", "reg_id = ANY($1::text[])", rids),
      kept("regprc.additional_info_request", "ids of requests", "no packet is taken twice", "reg_id = ANY($1::text[])", rids),
      kept("regproc.transaction_of_others", "codes and times", "who did what when, by law", "reg_id = ANY($1::text[])", rids),
      kept("regproc.dead_letter", "stages, codes, times", "the same", "rid = ANY($1::text[])", rids),
      kept(
        "regproc.work", "keys, codes, times", "no work is done twice",
        "(stage, kind, key) IN (SELECT stage, kind, key FROM (\(RegistrationView.workFound)) AS f)", scope.work),
      kept(
        "regproc.stage_record", "registration numbers, application ids, hashes, statuses",
        "the same event makes no second birth, UIN or token",
        """
        stage IN ('mosip-mediator', 'opencrvs-mediator') AND (key = ANY($1::text[]) OR collection = 'rids' AND key = ANY($2::text[])
          OR collection = 'awaited' AND document->>'event' = ANY($1::text[])
          OR collection = 'numbers' AND document->>'recordId' = ANY($1::text[])
          OR collection IN ('registration_numbers', 'tokens') AND key = ANY($3::text[])
          OR collection = 'credentials' AND key = ANY($4::text[]))
        """, [scope.sortedKeys, scope.sortedRids, .textArray(scope.births), .textArray(scope.credentials.sorted())]),
      kept("regproc.operation", "who did what, and why", "by law", "subject = ANY($1::text[])", [.textArray(scope.names)]),
      kept("regproc.replay_item", "RIDs of replay jobs", "who did what when, by law", "rid = ANY($1::text[])", rids),
      kept("regproc.log_job", "RIDs of jobs on the topics", "who did what when, by law", "rid = ANY($1::text[])", rids),
      kept("platform.identity", "the identity, its UIN, VIDs and documents, sealed", "it is the registry's own record", nil),
      kept("audit.app_audit_log", "what stages did", "by law", "ref_id = ANY($1::text[])", rids),
    ]
  }
}

extension ErasureScope {
  /// The parameters of `RegistrationView.workFound`.
  var work: [Value] {
    [.textArray(RegistrationView.workNames(of: keys.sorted() + credentials.sorted(), numbers: births)), sortedRids]
  }

  /// What messages of the hub may name: RIDs, credential requests and their events.
  var told: Value { .textArray(rids.union(requests).union(credentials).filter { $0.utf8.count >= 8 }.sorted()) }

  /// - Throws: `OperationError` `under-way` where anything of it is still going to happen by itself.
  func checkEnded(_ connection: Connection) throws {
    guard let what = try underWay(connection) else { return }
    throw OperationError(
      .conflict, "under-way", "\(subject) is under way: \(what). Erase it when it has ended (regproc journey \(subject))")
  }

  private func underWay(_ connection: Connection) throws -> String? {
    func first(_ sql: String, _ values: [Value]) throws -> String? { try connection.execute(sql, values).first?.text(0) }
    if let stage = try first("SELECT stage FROM regproc.hop WHERE rid = ANY($1::text[]) AND state + 0 < 2 LIMIT 1", [sortedRids]) {
      return "it is at \(stage)"
    }
    if let status = try first(
      """
      SELECT status_code FROM regprc.registration WHERE reg_id = ANY($1::text[]) AND status_code NOT IN \(Selection.ended)
        AND status_code <> 'REPROCESS_FAILED' LIMIT 1
      """, [sortedRids])
    {
      return "its status is \(status)"
    }
    if let status = try first(
      """
      SELECT document->>'status' FROM regproc.stage_record WHERE key = ANY($1::text[]) AND (
        stage = 'mosip-mediator' AND collection = 'birth_transactions' AND document->>'status' NOT IN ('Uploaded', 'Failed')
        OR stage = 'mosip-mediator' AND collection = 'change_transactions'
          AND document->>'status' NOT IN ('Changed', 'Told', 'Held', 'Failed')
        OR stage = 'opencrvs-mediator' AND collection = 'events' AND document->>'status' NOT IN ('Forwarded', 'Failed', 'Parked'))
      UNION ALL SELECT 'OpenCRVS waits for an answer' FROM regproc.stage_record
      WHERE stage = 'opencrvs-mediator' AND collection = 'awaited' AND document->>'event' = ANY($1::text[])
        AND document->>'status' = 'Waiting' AND (document->>'until')::bigint > extract(epoch FROM now()) * 1000
      LIMIT 1
      """, [sortedKeys])
    {
      return "an event of it is at \"\(status)\""
    }
    if let work = try first(
      """
      SELECT kind || ' by ' || stage FROM (\(RegistrationView.workFound)) AS f WHERE state = 0 AND NOT \(RegistrationView.Work.isDeadline)
      LIMIT 1
      """, work)
    {
      return "work is open: \(work)"
    }
    if let topic = try first(
      "SELECT topic FROM regproc.outbox WHERE record_key = ANY($1::text[]) LIMIT 1", [.textArray(names)])
    {
      return "a record for \(topic) is not taken yet"
    }
    let hub = ErasureStep(table: "platform.hub_delivery", what: "", why: "")
    guard try hub.isThere(connection) else { return nil }
    return try first(
      """
      SELECT 'the hub has not told ' || d.topic FROM platform.hub_delivery AS d JOIN platform.hub_message AS m ON m.id = d.message_id
      WHERE d.is_open AND \(ErasureSteps.isTold) LIMIT 1
      """, [told])
  }
}
