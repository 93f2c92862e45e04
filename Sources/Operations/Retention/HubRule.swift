import Postgres

/// Messages of the embedded hub that every subscriber has taken, with their deliveries. What is still owed stays, and what was given up, which
/// is a dead letter. Topic after topic, each from its oldest message on, by index hub_message_topic.
struct HubRule: RetentionRule {
  let what = RetentionSettings.What.hubMessages
  /// Seconds.
  let keep: Double

  func isThere(_ connection: Connection) throws -> Bool { try Self.isTable("platform.hub_message", connection) }

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    var place = position.map(Place.init)
    if place?.moment == nil { place = try next(after: place?.topic ?? "", connection) }
    guard let place else { return RetentionStep() }
    return try connection.transaction { try remove(place, connection) }
  }

  /// How far it is: a topic, and the moment of the last message that was looked at; none where the topic is through.
  private struct Place {
    var topic: String
    var moment: String?

    init(topic: String, moment: String?) { (self.topic, self.moment) = (topic, moment) }
    init(_ text: String) {
      let parts = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      (topic, moment) = (parts[0], parts.count > 1 ? parts[1] : nil)
    }
    var text: String { moment.map { "\(topic)\n\($0)" } ?? topic }
  }

  private func next(after topic: String, _ connection: Connection) throws -> Place? {
    try connection.execute(
      "SELECT topic FROM platform.hub_message WHERE topic > $1 ORDER BY topic LIMIT 1", [.text(topic)]
    ).first.map { Place(topic: try $0.text(0), moment: "-infinity") }
  }

  private func remove(_ place: Place, _ connection: Connection) throws -> RetentionStep {
    // As publishers do: who subscribes meanwhile is owed no message that goes.
    _ = try connection.execute(
      "SELECT pg_advisory_xact_lock_shared(hashtextextended('hub:' || $1, 0))", [.text(place.topic)])
    let seen = try connection.execute(
      """
      SELECT id::text, published_at::text FROM platform.hub_message
      WHERE topic = $1 AND published_at > $2::timestamptz AND published_at <= now() - make_interval(secs => $3)
      ORDER BY published_at LIMIT $4
      """, [.text(place.topic), Value(place.moment), .double(keep), .int(RowRule.batch)])
    let removed = try connection.execute(
      """
      DELETE FROM platform.hub_message AS m WHERE id = ANY($1::uuid[]) AND NOT EXISTS (
        SELECT FROM platform.hub_delivery AS d WHERE d.message_id = m.id AND (d.is_open OR d.given_up_at IS NOT NULL))
      """, [.textArray(try seen.map { try $0.text(0) })]
    ).affected
    let isThrough = seen.count < RowRule.batch
    let next = Place(topic: place.topic, moment: try isThrough ? nil : seen.last?.text(1))
    return RetentionStep(removed: removed, position: next.text, isLast: false)
  }
}
