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

    /// What a line of the log says of it: which it is, and whose where its body names a registration. Made for a line that is written.
    /// - Parameters:
    ///   - answer: what the subscriber answered; nil when it is not there.
    ///   - leftOut: how many lines like it were left out before.
    func facts(answer: String?, leftOut: Int? = nil, code: String? = nil) -> [(String, any LogField)] {
      var facts: [(String, any LogField)] = [("delivery", "hub-\(number)"), ("topic", topic), ("try", attempt)]
      if let rid = HubBody.rid(in: body) { facts.insert(("rid", rid), at: 0) }
      if let code { facts.append(("code", code)) }
      if let answer { facts.append(("answer", answer)) }
      if let leftOut { facts.append(("leftOut", leftOut)) }
      return facts
    }
  }

  /// A subscription whose secret does not open, so that nothing can be signed for it.
  struct Unsigned: Sendable {
    var subscription: Int
    var topic: String
    var fault: Unopened
  }

  /// What was claimed, and what could not be.
  struct Claimed: Sendable {
    var deliveries: [Delivery] = []
    var unsigned: [Unsigned] = []
  }

  /// What becomes of a delivery that was not taken.
  enum PutOff: Sendable {
    /// It is tried again.
    case waits
    /// It was refused for too long.
    case givenUp
    /// Nobody answered for too long: the subscription of this number is suspended.
    case suspended(Int)

    /// Says what a person must know.
    func tell(_ delivery: Delivery, _ refusal: String?, _ log: Log) {
      switch self {
      case .waits: break
      case .givenUp:
        log.write(
          .error, "a delivery is given up: its subscriber refuses it (regproc dead-letters list)",
          delivery.facts(answer: refusal, code: "RPR-HUB-003"))
      case .suspended(let number):
        log.warning(
          "a subscriber gives no answer: its subscription is suspended until it subscribes again (regproc held list)",
          [
            "code": HubQueue.unanswered, "topic": delivery.topic, "subscription": HubQueue.name(number),
            "host": OutgoingHosts.host(of: delivery.callback) ?? "-",
          ])
      }
    }
  }

  /// For leases and ends of deliveries: forgotten ones are repeated.
  let pool: Pool
  let sealer: Sealer
  /// For how many seconds a delivery is refused before it is given up.
  let giveUpAfter: Double
  /// For how many seconds a subscriber may give no answer before its subscription is suspended.
  let suspendAfter: Double

  /// The code of a subscription whose subscriber gave no answer for too long.
  static let unanswered = "RPR-HUB-005"

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

  /// Takes the next delivery of up to so many subscriptions. One whose secret opens nowhere is suspended, and stands in nobody's way.
  /// - Parameter others: numbers of subscriptions that are left to other processes.
  func claim(_ room: Int, leaving others: [Int] = []) async throws -> Claimed {
    try await pool.with { connection in
      try connection.transaction {
        // What nobody is subscribed to any more waits for a renewal and must not take the place of what can be delivered.
        let subscriptions = try connection.execute(
          """
          SELECT s.topic, s.callback, s.sealed_secret, s.number FROM platform.hub_subscription AS s \(Self.head("s"))
          WHERE s.lease_until > now() AND s.suspended_at IS NULL AND head.not_before <= now() AND \(Self.isFree("s"))
            AND s.number <> ALL ($2::bigint[])
          ORDER BY head.not_before LIMIT $1 FOR UPDATE OF s SKIP LOCKED
          """, [.int(room), .intArray(others)])
        if subscriptions.isEmpty { return Claimed() }
        let (secrets, unsigned) = try open(subscriptions, connection)
        for one in unsigned where one.fault.isForAll { try suspend(one, connection) }
        return Claimed(deliveries: try take(secrets, connection), unsigned: unsigned)
      }
    }
  }

  /// The secrets of subscriptions by topic and callback, and those that do not open.
  private func open(_ subscriptions: Rows, _ connection: Connection) throws -> ([[String]: [UInt8]], [Unsigned]) {
    var secrets: [[String]: [UInt8]] = [:]
    var unsigned: [Unsigned] = []
    for row in subscriptions {
      let (topic, callback) = (try row.text(0), try row.text(1))
      do {
        let place = SealedColumn.hubSecret.row(topic, callback)
        secrets[[topic, callback]] = try sealer.open(try row.bytes(2), in: place, of: connection)
      } catch let fault as Unopened {
        unsigned.append(Unsigned(subscription: try row.int(3), topic: topic, fault: fault))
      }
    }
    return (secrets, unsigned)
  }

  private func suspend(_ one: Unsigned, _ connection: Connection) throws {
    _ = try connection.execute(
      "UPDATE platform.hub_subscription SET suspended_at = now(), suspended_for = $2 WHERE number = $1",
      [.int(one.subscription), .text(one.fault.code)])
  }

  /// A statement of its own sees what another process claimed before this one got the subscriptions.
  private func take(_ secrets: [[String]: [UInt8]], _ connection: Connection) throws -> [Delivery] {
    let places = Array(secrets.keys)
    return try connection.execute(
      """
      UPDATE platform.hub_delivery AS d SET leased_until = now() + make_interval(secs => $3)
      FROM unnest($1::text[], $2::text[]) AS c(topic, callback) \(Self.head("c")), platform.hub_message AS m
      WHERE d.number = head.number AND head.not_before <= now() AND m.id = d.message_id AND \(Self.isFree("c"))
      RETURNING d.number, d.callback, d.topic, d.attempt, m.body, d.leased_until::text
      """, [.textArray(places.map { $0[0] }), .textArray(places.map { $0[1] }), .double(Self.leaseSeconds)]
    ).map { row in
      let (callback, topic) = (try row.text(1), try row.text(2))
      return Delivery(
        number: try row.int(0), callback: callback, topic: topic, attempt: try row.int(3), body: try row.bytes(4),
        secret: secrets[[topic, callback]] ?? [], lease: try row.text(5))
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
  func putOff(_ delivery: Delivery, refusal: String?) async throws -> PutOff {
    let row = try await pool.with { connection in
      try connection.execute(
        """
        UPDATE platform.hub_delivery SET attempt = attempt + 1, leased_until = NULL, not_before = now() + make_interval(secs => $3),
          refusal = coalesce($4, refusal),
          refused_since = CASE WHEN $4::text IS NULL THEN refused_since ELSE coalesce(refused_since, now()) END,
          unanswered_since = CASE WHEN $4::text IS NULL THEN coalesce(unanswered_since, now()) END,
          is_open = is_open AND ($4::text IS NULL OR coalesce(refused_since, now()) > now() - make_interval(secs => $5)),
          given_up_at = CASE WHEN $4::text IS NOT NULL AND coalesce(refused_since, now()) <= now() - make_interval(secs => $5)
            THEN now() ELSE given_up_at END
        WHERE number = $1 AND leased_until = $2::timestamptz AND is_open AND callback = $6
        RETURNING given_up_at IS NOT NULL, coalesce(unanswered_since <= now() - make_interval(secs => $7), false)
        """,
        [
          .int(delivery.number), .text(delivery.lease), .double(Self.backoff.pause(after: delivery.attempt)),
          refusal.map { .text($0) } ?? .null, .double(giveUpAfter), .text(delivery.callback), .double(suspendAfter),
        ]
      ).first.map { (isGivenUp: try $0.bool(0), isLate: try $0.bool(1)) }
    }
    guard let row else {
      try await handOver(delivery)
      return .waits
    }
    if row.isGivenUp { return .givenUp }
    if row.isLate, let number = try await suspend(delivery) { return .suspended(number) }
    return .waits
  }

  /// It has passed to another callback meanwhile, which gets it at once.
  private func handOver(_ delivery: Delivery) async throws {
    try await pool.with { connection in
      _ = try connection.execute(
        """
        UPDATE platform.hub_delivery SET leased_until = NULL, not_before = now(), attempt = 1
        WHERE number = $1 AND leased_until = $2::timestamptz AND callback <> $3
        """, [.int(delivery.number), .text(delivery.lease), .text(delivery.callback)])
    }
  }

  /// Suspends the subscription of a delivery that nobody answers, unless it was renewed or given a successor in this moment.
  /// - Returns: its number; nil when it is suspended or renewed already.
  private func suspend(_ delivery: Delivery) async throws -> Int? {
    try await pool.with { connection in
      try connection.transaction {
        // The lock first: what is asked behind it sees what a renewal did.
        _ = try connection.execute(
          "SELECT 1 FROM platform.hub_subscription WHERE topic = $1 AND callback = $2 FOR UPDATE",
          [.text(delivery.topic), .text(delivery.callback)])
        return try connection.execute(
          """
          UPDATE platform.hub_subscription SET suspended_at = now(), suspended_for = $4
          WHERE topic = $1 AND callback = $2 AND suspended_at IS NULL AND ended_at IS NULL AND EXISTS (
            SELECT FROM platform.hub_delivery
            WHERE number = $3 AND callback = $2 AND is_open AND unanswered_since <= now() - make_interval(secs => $5))
          RETURNING number
          """,
          [
            .text(delivery.topic), .text(delivery.callback), .int(delivery.number), .text(Self.unanswered), .double(suspendAfter),
          ]
        ).first?.int(0)
      }
    }
  }

  /// The subscriptions that are suspended, the longest first.
  func suspended() async throws -> [SuspendedSubscription] {
    try await pool.with { connection in
      try connection.execute(
        """
        SELECT number, topic, coalesce(suspended_for, ''), suspended_at FROM platform.hub_subscription
        WHERE suspended_at IS NOT NULL AND ended_at IS NULL ORDER BY suspended_at, number LIMIT 100
        """
      ).map {
        SuspendedSubscription(
          name: Self.name(try $0.int(0)), topic: try $0.text(1), code: try $0.text(2), since: try $0.instant(3))
      }
    }
  }

  /// What operators call the subscription of this number.
  static func name(_ number: Int) -> String { "subscription-\(number)" }
}
