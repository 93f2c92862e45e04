import Postgres
import StageKit
import System

/// What the hub owes its subscribers, in Postgres. Of one subscription one delivery is in hand at a time, among all processes, and each
/// waits for the one that was published before it: a subscriber may be unable to bear two at once, or to put them in order.
struct HubQueue: Sendable {
  /// One message for one callback, held until the end of a lease.
  struct Delivery: Sendable {
    var number: Int
    var callback: String
    var topic: String
    var attempt: Int
    var body: [UInt8]
    var secret: [UInt8]
    /// The end of the lease, which tells it from the lease of another that took over.
    var lease: String
  }

  /// For leases and ends of deliveries: forgotten ones are repeated.
  let pool: Pool
  let sealer: Sealer
  /// For how many seconds a delivery is refused before it is given up.
  let giveUpAfter: Double

  /// Renewed while a delivery is in hand, so that what a killed process had is another's within seconds: it holds up all that follows it.
  private static let leaseSeconds = 8.0
  private static let backoff = Backoff(first: 0.5, longest: 300)

  /// No delivery of a subscription, named by the alias, is in hand.
  private static func isFree(_ alias: String) -> String {
    """
    NOT EXISTS (SELECT 1 FROM platform.hub_delivery AS l
      WHERE l.topic = \(alias).topic AND l.callback = \(alias).callback AND l.leased_until > now())
    """
  }

  /// The oldest open delivery of a subscription, named by the alias: the others wait for it, also while it is put off.
  private static func head(_ alias: String) -> String {
    """
    CROSS JOIN LATERAL (SELECT o.number, o.not_before FROM platform.hub_delivery AS o
      WHERE o.topic = \(alias).topic AND o.callback = \(alias).callback AND o.is_open ORDER BY o.number LIMIT 1) AS head
    """
  }

  /// Takes the next delivery of up to so many subscriptions.
  func claim(_ room: Int) async throws -> [Delivery] {
    try await pool.with { connection in
      try connection.transaction {
        // What nobody is subscribed to any more waits for a renewal and must not take the place of what can be delivered.
        let subscriptions = try connection.execute(
          """
          SELECT s.topic, s.callback, s.sealed_secret FROM platform.hub_subscription AS s \(Self.head("s"))
          WHERE s.lease_until > now() AND head.not_before <= now() AND \(Self.isFree("s"))
          ORDER BY head.not_before LIMIT $1 FOR UPDATE OF s SKIP LOCKED
          """, [.int(room)])
        if subscriptions.isEmpty { return [] }
        var secrets: [[String]: [UInt8]] = [:]
        for row in subscriptions {
          let (topic, callback) = (try row.text(0), try row.text(1))
          secrets[[topic, callback]] = try sealer.open(try row.bytes(2), in: SealedColumn.hubSecret.row(topic, callback))
        }
        // A statement of its own sees what another process claimed before this one got the subscription.
        let claimed = try connection.execute(
          """
          UPDATE platform.hub_delivery AS d SET leased_until = now() + make_interval(secs => $3)
          FROM unnest($1::text[], $2::text[]) AS c(topic, callback) \(Self.head("c")), platform.hub_message AS m
          WHERE d.number = head.number AND head.not_before <= now() AND m.id = d.message_id AND \(Self.isFree("c"))
          RETURNING d.number, d.callback, d.topic, d.attempt, m.body, d.leased_until::text
          """,
          [
            .textArray(try subscriptions.map { try $0.text(0) }), .textArray(try subscriptions.map { try $0.text(1) }),
            .double(Self.leaseSeconds),
          ])
        return try claimed.map { row in
          let (callback, topic) = (try row.text(1), try row.text(2))
          return Delivery(
            number: try row.int(0), callback: callback, topic: topic, attempt: try row.int(3), body: try row.bytes(4),
            secret: secrets[[topic, callback]] ?? [], lease: try row.text(5))
        }
      }
    }
  }

  /// Holds deliveries further that are in hand.
  /// - Parameter held: their leases by their numbers.
  /// - Returns: the new leases of those that are still held.
  func renew(_ held: [Int: String]) async throws -> [Int: String] {
    let held = held.sorted { $0.key < $1.key }
    return try await pool.with { connection in
      let rows = try connection.execute(
        """
        UPDATE platform.hub_delivery AS d SET leased_until = now() + make_interval(secs => $3)
        FROM unnest($1::bigint[], $2::text[]) AS h(number, lease)
        WHERE d.number = h.number AND d.leased_until = h.lease::timestamptz AND d.is_open RETURNING d.number, d.leased_until::text
        """, [.intArray(held.map(\.key)), .textArray(held.map(\.value)), .double(Self.leaseSeconds)])
      var renewed: [Int: String] = [:]
      for row in rows { renewed[try row.int(0)] = try row.text(1) }
      return renewed
    }
  }

  /// It was taken.
  func taken(_ delivery: Delivery) async throws {
    try await pool.with { connection in
      _ = try connection.execute(
        """
        UPDATE platform.hub_delivery SET is_open = false,
          leased_until = CASE WHEN leased_until = $2::timestamptz THEN NULL ELSE leased_until END
        WHERE number = $1
        """, [.int(delivery.number), .text(delivery.lease)])
    }
  }

  /// The callback wants nothing any more: the subscription ends. What was not taken is still owed if its client ever subscribes again.
  func ended(_ delivery: Delivery) async throws {
    try await pool.with { connection in
      try connection.transaction {
        _ = try connection.execute(
          "UPDATE platform.hub_subscription SET ended_at = now(), lease_until = now() WHERE topic = $1 AND callback = $2",
          [.text(delivery.topic), .text(delivery.callback)])
        _ = try connection.execute(
          "UPDATE platform.hub_delivery SET leased_until = NULL WHERE number = $1 AND leased_until = $2::timestamptz",
          [.int(delivery.number), .text(delivery.lease)])
      }
    }
  }

  /// It was not taken, and is tried again; what was refused for too long is given up and kept with the reason.
  /// - Parameter refusal: what the subscriber answered; nil when it was not there to answer.
  /// - Returns: whether it is given up.
  func putOff(_ delivery: Delivery, refusal: String?) async throws -> Bool {
    try await pool.with { connection in
      let rows = try connection.execute(
        """
        UPDATE platform.hub_delivery SET attempt = attempt + 1, leased_until = NULL, not_before = now() + make_interval(secs => $3),
          refusal = coalesce($4, refusal),
          refused_since = CASE WHEN $4::text IS NULL THEN refused_since ELSE coalesce(refused_since, now()) END,
          is_open = is_open AND ($4::text IS NULL OR coalesce(refused_since, now()) > now() - make_interval(secs => $5)),
          given_up_at = CASE WHEN $4::text IS NOT NULL AND coalesce(refused_since, now()) <= now() - make_interval(secs => $5)
            THEN now() ELSE given_up_at END
        WHERE number = $1 AND leased_until = $2::timestamptz AND is_open RETURNING given_up_at IS NOT NULL
        """,
        [
          .int(delivery.number), .text(delivery.lease), .double(Self.backoff.pause(after: delivery.attempt)),
          refusal.map { .text($0) } ?? .null, .double(giveUpAfter),
        ])
      return try rows.first?.bool(0) ?? false
    }
  }
}
