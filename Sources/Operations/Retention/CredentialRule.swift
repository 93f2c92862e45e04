import Postgres

/// Requests for credentials. In the place of each stays the hash of its key, with its id and how far it was: a registration that is run again
/// gets no second credential of what its partner has taken, and under the same id what it has not. While its hop, or the mark that it follows
/// from, is not done, none goes.
struct CredentialRule: RetentionRule {
  let what = RetentionSettings.What.credentialRequests
  /// Seconds.
  let keep: Double
  /// What requests begin with that follow from the change of an identity: their mark is gone, and nobody asks by it again.
  private static let followUp = "identity-follow-up:"

  func isThere(_ connection: Connection) throws -> Bool { try Self.isTable("platform.credential_request", connection) }

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    // By the primary key, a few at a time: their moments have no index.
    let seen = try connection.execute(
      """
      SELECT idempotency_key, changed_at <= now() - make_interval(secs => $2) FROM platform.credential_request
      WHERE idempotency_key > $1 ORDER BY idempotency_key LIMIT $3
      """, [.text(position ?? ""), .double(keep), .int(RowRule.batch)])
    let old = try seen.filter { try $0.bool(1) }.map { try $0.text(0) }
    let removed = old.isEmpty ? 0 : try remove(old, connection)
    return RetentionStep(removed: removed, position: try seen.last?.text(0), isLast: seen.count < RowRule.batch)
  }

  /// Row and hash change places in one statement: whoever asks sees one of them.
  private func remove(_ keys: [String], _ connection: Connection) throws -> Int {
    try connection.execute(
      """
      WITH gone AS (
        DELETE FROM platform.credential_request AS c
        WHERE c.idempotency_key = ANY($1::text[]) AND c.changed_at <= now() - make_interval(secs => $2)
          AND NOT EXISTS (SELECT FROM regproc.hop AS h WHERE h.rid = split_part(c.idempotency_key, ':', 1)
            AND h.stage = split_part(c.idempotency_key, ':', 2) AND h.state < 2)
          AND NOT EXISTS (SELECT FROM platform.identity_follow_up AS f
            WHERE c.idempotency_key LIKE '\(Self.followUp)%' AND f.number::text = split_part(c.idempotency_key, ':', 2))
        RETURNING c.idempotency_key, c.request_id, c.published, c.status),
      kept AS (
        INSERT INTO platform.credential_done AS d (key_digest, request_id, published, status)
        SELECT sha256(convert_to(idempotency_key, 'UTF8')), request_id, published, status FROM gone
        WHERE idempotency_key NOT LIKE '\(Self.followUp)%'
        ON CONFLICT (key_digest) DO UPDATE SET published = excluded.published, status = excluded.status)
      SELECT count(*) FROM gone
      """, [.textArray(keys), .double(keep)]
    ).only().int(0)
  }
}
