import Postgres

/// A callback of a stage that takes the place of the stage's others: what was not delivered to them goes to it, in order, and once.
///
/// A stage has one subscription to a topic, which all its processes share (`callback-url`). A process that comes back under another
/// address would otherwise leave one behind to which nobody listens.
struct HubSuccession {
  /// What came of it.
  struct Taken: Sendable {
    /// The stage's other callbacks, also of long ago: what was delivered there it has had.
    var callbacks: [String] = []
    /// How many subscriptions ended by this.
    var ended = 0
    /// How many deliveries passed on.
    var owed = 0
  }

  /// What stands as refusal in a delivery that was closed because the successor has one of the same message.
  private static let passedOn = Value.text("passed on to another callback")

  private let topic: Value
  private let callback: Value
  private let stage: Value

  init(_ topic: String, _ callback: String, _ stage: String) {
    (self.topic, self.callback, self.stage) = (.text(topic), .text(callback), .text(stage))
  }

  /// In the transaction that makes the subscription, under the lock of its topic. Subscriptions are locked before their deliveries, as
  /// claims do.
  func take(_ connection: Connection) throws -> Taken {
    let callbacks = try connection.execute(
      "SELECT callback FROM platform.hub_subscription WHERE topic = $1 AND stage = $2 AND callback <> $3 ORDER BY number FOR UPDATE",
      [topic, stage, callback]
    ).map { try $0.text(0) }
    guard !callbacks.isEmpty else { return Taken() }
    let ended = try connection.execute(
      """
      UPDATE platform.hub_subscription SET ended_at = now(), lease_until = now(), suspended_at = NULL, suspended_for = NULL
      WHERE topic = $1 AND callback = ANY ($2::text[]) AND ended_at IS NULL
      """, [topic, .textArray(callbacks)]
    ).affected
    try closeWhatItHasHad(callbacks, connection)
    var owed = 0
    for former in callbacks { owed += try inherit(.text(former), connection) }
    return Taken(callbacks: callbacks, ended: ended, owed: owed)
  }

  /// What one of the callbacks took, the stage has had: no other one of them needs it.
  private func closeWhatItHasHad(_ callbacks: [String], _ connection: Connection) throws {
    _ = try connection.execute(
      """
      UPDATE platform.hub_delivery AS d SET is_open = false
      WHERE d.topic = $1 AND d.callback = ANY ($2::text[] || $3::text) AND d.is_open AND EXISTS (
        SELECT FROM platform.hub_delivery AS o
        WHERE o.message_id = d.message_id AND o.callback = ANY ($2::text[] || $3::text) AND o.callback <> d.callback
          AND NOT o.is_open AND o.given_up_at IS NULL AND o.refusal IS DISTINCT FROM $4)
      """, [topic, .textArray(callbacks), callback, Self.passedOn])
  }

  /// Takes over the deliveries of one callback, and those it refused, which a person may have delivered again. Their numbers are their
  /// order. One that is in hand stays so until its end or the end of its lease.
  private func inherit(_ former: Value, _ connection: Connection) throws -> Int {
    let owed = try connection.execute(
      """
      UPDATE platform.hub_delivery AS d SET callback = $3, attempt = 1, not_before = now(), refused_since = NULL, unanswered_since = NULL
      WHERE d.topic = $1 AND d.callback = $2 AND d.is_open
        AND NOT EXISTS (SELECT FROM platform.hub_delivery AS o WHERE o.message_id = d.message_id AND o.callback = $3)
      """, [topic, former, callback]
    ).affected
    _ = try connection.execute(
      """
      UPDATE platform.hub_delivery AS d SET callback = $3 WHERE d.topic = $1 AND d.callback = $2 AND d.given_up_at IS NOT NULL
        AND NOT EXISTS (SELECT FROM platform.hub_delivery AS o WHERE o.message_id = d.message_id AND o.callback = $3)
      """, [topic, former, callback])
    return try owed + merge(former, connection)
  }

  /// Of a message that both callbacks have, the successor's delivery stands for both.
  private func merge(_ former: Value, _ connection: Connection) throws -> Int {
    let reopened = try connection.execute(
      """
      UPDATE platform.hub_delivery AS s SET is_open = true, attempt = 1, not_before = now(), refusal = NULL, unanswered_since = NULL
      FROM platform.hub_delivery AS d
      WHERE d.topic = $1 AND d.callback = $2 AND d.is_open AND s.message_id = d.message_id AND s.callback = $3
        AND NOT s.is_open AND s.refusal = $4
      """, [topic, former, callback, Self.passedOn]
    ).affected
    _ = try connection.execute(
      "UPDATE platform.hub_delivery SET is_open = false, refusal = $3 WHERE topic = $1 AND callback = $2 AND is_open",
      [topic, former, Self.passedOn])
    return reopened
  }
}
