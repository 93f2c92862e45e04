import JSON
import Postgres
import Registration
import StageKit
import System

/// Events of OpenCRVS that were answered, and credential events that were worked on. The record with the event's digest stays: the same event
/// begins nothing. Events as MOSIP's side keeps them stay as long as their registration, for corrections compare with them. By index
/// stage_record_with_object.
struct EventRule: RetentionRule {
  let what = RetentionSettings.What.events
  /// Seconds, since the record last changed.
  let keep: Double
  let accounts: ErasureAccounts
  let objects: any ObjectStore
  static let batch = 200

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    let seen = try connection.execute(
      """
      SELECT stage, collection, key, coalesce(document->>'container', \(ErasureScope.container)), document->>'object',
        \(Self.isOver), created_at::text, document ? 'take'
      FROM regproc.stage_record AS e
      WHERE emptied_at IS NULL AND collection IN ('events', 'credentials') AND created_at > $1::timestamptz
        AND created_at <= now() - make_interval(secs => $2) ORDER BY created_at LIMIT $3
      """, [.text(position ?? "-infinity"), .double(keep), .int(Self.batch)])
    let old = try seen.filter { try $0.bool(5) }
    for row in old { try remove(row) }
    _ = try connection.execute(
      """
      UPDATE regproc.stage_record AS e SET emptied_at = now() FROM unnest($1::text[], $2::text[], $3::text[]) AS o(stage, collection, key)
      WHERE e.stage = o.stage AND e.collection = o.collection AND e.key = o.key
      """,
      [
        .textArray(try old.map { try $0.text(0) }), .textArray(try old.map { try $0.text(1) }),
        .textArray(try old.map { try $0.text(2) }),
      ])
    return RetentionStep(removed: old.count, position: try seen.last?.text(6), isLast: seen.count < Self.batch)
  }

  private func remove(_ row: Row) throws {
    let isCredential = try row.text(1) == "credentials"
    let account = isCredential ? accounts.mosipEvents : accounts.openCRVSEvents
    let container = (isCredential ? ObjectAccounts.credentials : "") + (try row.text(3))
    guard let key = try isCredential ? "event.json" : row.textOrNull(4) else { return }
    let wasSentAgain = try row.bool(7)
    try blockingAwait { [objects] in
      // What it said before OpenCRVS sent it again lies beside it.
      let keys = try await wasSentAgain ? objects.keys(account: account, container: container, prefix: "") : []
      for key in Set(keys + [key]) { try await objects.delete(account: account, container: container, key: key) }
    }
  }

  private static func keyed(_ text: String) -> String {
    "ARRAY[\(text), encode(sha256(convert_to(\(text), 'UTF8')), 'hex')]"
  }

  /// Whether nobody needs the event any more: a credential that came to an end; an event that failed, or whose token or result came.
  private static let isOver = """
    e.changed_at <= now() - make_interval(secs => $2) AND CASE e.collection
      WHEN 'credentials' THEN e.stage = 'mosip-mediator' AND e.document->>'status' <> 'Received'
      ELSE e.stage = 'opencrvs-mediator' AND (e.document->>'status' = 'Failed' OR e.document->>'status' = 'Forwarded' AND CASE
        -- What came of a go before is no answer to this one.
        WHEN (e.document->>'take')::int > 1 THEN e.document->>'latest' IS NOT NULL
        ELSE EXISTS (SELECT FROM regproc.stage_record AS r WHERE r.stage = e.stage AND r.changed_at <= now() - make_interval(secs => $2) AND (
          r.collection = 'statuses' AND (r.key = ANY (\(keyed("(e.document->>'kind') || ':success:' || e.key")))
            OR r.key = ANY (\(keyed("(e.document->>'kind') || ':error:' || e.key"))))
          OR r.collection = 'tokens' AND e.document->>'kind' = 'birth'
            AND r.key = ANY (\(keyed("(e.document->>'registrationNumber')"))))) END)
      END
    """
}

/// Folders of the object store in which nothing is left.
struct FolderRule: RetentionRule {
  let what = RetentionSettings.What.emptyFolders
  /// Seconds.
  let keep: Double
  let objects: any ObjectStore

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    RetentionStep(removed: try blockingAwait { [objects, keep] in try await objects.removeEmptyFolders(olderThan: keep) })
  }
}
