import Postgres

/// Messages that a broker refuses for a reason of their own, and those that it lost.
extension Journal {
  /// Hands messages on their way to the outbox relay, which looks into each.
  /// - Returns: those that the journal knows.
  @discardableResult static func setAside(_ refused: [UndeliverableHop], _ connection: Connection) throws -> Set<HopId> {
    guard !refused.isEmpty else { return [] }
    let ids: Value = .textArray(refused.map(\.hop.text))
    _ = try connection.execute(
      """
      UPDATE regproc.hop AS h SET state = 0, not_before = now(), refusal = d.reason FROM unnest($1::uuid[], $2::text[]) AS d(id, reason)
      WHERE h.hop_id = d.id AND h.state = 1
      """, [ids, .textArray(refused.map(\.reason))])
    let rows = try connection.execute("SELECT hop_id::text FROM regproc.hop WHERE hop_id = ANY($1::uuid[])", [ids])
    return Set(try rows.compactMap { HopId(text: try $0.text(0)) })
  }

  /// Has everything sent again that was sent to a topic and that no stage has taken. What is still on it comes twice under the same hop id,
  /// which the journal knows.
  static func resend(_ topic: String, _ connection: Connection) throws {
    _ = try connection.execute(
      "UPDATE regproc.hop SET state = 0, not_before = now() WHERE state = 1 AND topic = $1", [.text(topic)])
  }

  /// Messages that wait because of a refusal, by topic and stage.
  static func refusals(_ connection: Connection) throws -> [WaitingTopic] {
    try connection.execute(
      """
      SELECT topic, stage, count(*), max(refusal), min(coalesce(sent_at, decided_at)) FROM regproc.hop
      WHERE state = 0 AND refusal IS NOT NULL GROUP BY topic, stage
      UNION ALL SELECT topic, '', count(*), max(refusal), min(created_at) FROM regproc.outbox WHERE refusal IS NOT NULL GROUP BY topic
      ORDER BY 1, 2 LIMIT 100
      """
    ).map {
      WaitingTopic(
        topic: try $0.textOrNull(0) ?? "", stage: try $0.text(1), count: try $0.int(2), reason: try $0.text(3),
        since: try $0.instant(4))
    }
  }
}
