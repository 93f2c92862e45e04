import Postgres
import StageKit
import System

/// Who is subscribed to what, in Postgres: a subscription belongs to the client that made it, and nobody else renews it, replaces its
/// secret or ends it.
struct HubSubscriptions: Sendable {
  /// Who subscribes.
  enum Owner: Sendable {
    /// A stage in a process of ours, which has the database anyway: it needs no client, and nobody keeps it from its own callback.
    case own
    /// A caller over HTTP.
    case client(String)

    /// As it stands in the table. No client of a realm is named so.
    var name: String {
      switch self {
      case .own: "(regproc)"
      case .client(let name): name
      }
    }
    var isOwn: Bool { if case .own = self { true } else { false } }
  }

  private struct Known {
    var owner: String?
    var hasEnded: Bool
    var number: Int
    var isSuspended: Bool
  }

  /// A subscription that somebody asks for.
  struct Wanted: Sendable {
    var topic: String
    var callback: String
    var sealedSecret: [UInt8]
    var leaseSeconds: Int
    /// The stage of ours that it is for: it has one subscription to a topic, under whatever callback.
    var stage: String?
  }

  let pool: Pool
  private let log = Log("hub")
  /// The code of a subscription that belongs to another client.
  static let notTheirs = "RPR-HUB-004"
  /// For so long what was published before a stage of ours first subscribed is kept for it.
  private static let keepDays = 7

  init(pool: Pool) { self.pool = pool }

  /// Whether somebody may subscribe, or renew.
  /// - Throws: RPR-HUB-004 when it belongs to another client.
  func check(_ topic: String, _ callback: String, by owner: Owner) async throws {
    let known = try await database { try await pool.with { try Self.known(topic, callback, $0, locked: false) } }
    try Self.check(known, owner)
  }

  /// Whether somebody may end a subscription. One of before, which is nobody's, must be renewed first.
  /// - Throws: RPR-HUB-004 when it belongs to another client.
  func checkEnd(_ topic: String, _ callback: String, by owner: Owner) async throws {
    let known = try await database { try await pool.with { try Self.known(topic, callback, $0, locked: false) } }
    try Self.checkEnd(known, owner)
  }

  /// Makes a subscription, or renews it; a suspended one goes on. Of a stage it takes the place of those under other callbacks.
  /// - Throws: RPR-HUB-004 when it belongs to another client.
  func take(_ wanted: Wanted, by owner: Owner) async throws {
    let (topic, callback) = (wanted.topic, wanted.callback)
    let (before, heirOf) = try await database {
      try await pool.with { connection in
        try connection.transaction { () -> (Known?, HubSuccession.Taken) in
          _ = try connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('hub:' || $1, 0))", [.text(topic)])
          let known = try Self.known(topic, callback, connection, locked: true)
          try Self.check(known, owner)
          let isNew = known == nil || known?.hasEnded == true
          // What others were owed is not for a newcomer.
          if !owner.isOwn, isNew, known?.owner != owner.name { try Self.forget(topic, callback, connection) }
          try Self.write(wanted, owner, connection)
          let heirOf = try wanted.stage.map { try HubSuccession(topic, callback, $0).take(connection) } ?? .init()
          if owner.isOwn, isNew || known?.owner != owner.name {
            try Self.owe(topic, callback, except: heirOf.callbacks, connection)
          }
          try Self.hurry(topic, callback, connection)
          return (known, heirOf)
        }
      }
    }
    tell(before, topic, owner)
    if heirOf.ended > 0 {
      log.info(
        "a subscription of a stage has a new callback: what is owed to it goes there",
        ["topic": topic, "stage": wanted.stage ?? "", "owed": heirOf.owed])
    }
  }

  private static func write(_ wanted: Wanted, _ owner: Owner, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO platform.hub_subscription AS s (topic, callback, sealed_secret, lease_until, client, stage)
      VALUES ($1, $2, $3, now() + make_interval(secs => $4), $5, $6)
      ON CONFLICT (topic, callback) DO UPDATE
      SET sealed_secret = excluded.sealed_secret, lease_until = excluded.lease_until, client = excluded.client, stage = excluded.stage,
        ended_at = NULL, suspended_at = NULL, suspended_for = NULL
      """,
      [
        .text(wanted.topic), .text(wanted.callback), .bytes(wanted.sealedSecret), .double(Double(wanted.leaseSeconds)),
        .text(owner.name), Value(wanted.stage),
      ])
  }

  /// Who has just answered is there again: what was put off need not wait any longer.
  private static func hurry(_ topic: String, _ callback: String, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      UPDATE platform.hub_delivery SET not_before = now(), unanswered_since = NULL
      WHERE topic = $1 AND callback = $2 AND is_open AND (not_before > now() OR unanswered_since IS NOT NULL)
      """, [.text(topic), .text(callback)])
  }

  /// Ends a subscription. What was not taken is kept for its client.
  /// - Throws: RPR-HUB-004 when it belongs to another client.
  func end(_ topic: String, _ callback: String, by owner: Owner) async throws {
    try await database {
      try await pool.with { connection in
        try connection.transaction {
          try Self.checkEnd(try Self.known(topic, callback, connection, locked: true), owner)
          _ = try connection.execute(
            "UPDATE platform.hub_subscription SET ended_at = now(), lease_until = now() WHERE topic = $1 AND callback = $2",
            [.text(topic), .text(callback)])
        }
      }
    }
  }

  private static func known(_ topic: String, _ callback: String, _ connection: Connection, locked: Bool) throws -> Known? {
    let rows = try connection.execute(
      """
      SELECT client, ended_at IS NOT NULL, number, suspended_at IS NOT NULL FROM platform.hub_subscription
      WHERE topic = $1 AND callback = $2
      """ + (locked ? " FOR UPDATE" : ""), [.text(topic), .text(callback)])
    return try rows.first.map {
      Known(owner: try $0.textOrNull(0), hasEnded: try $0.bool(1), number: try $0.int(2), isSuspended: try $0.bool(3))
    }
  }

  private static func check(_ known: Known?, _ owner: Owner) throws(ServiceError) {
    guard let known, !known.hasEnded, let other = known.owner else { return }
    if other != owner.name && !owner.isOwn { throw refusal }
  }

  private static func checkEnd(_ known: Known?, _ owner: Owner) throws(ServiceError) {
    guard let known, !known.hasEnded else { return }
    if known.owner != owner.name && !owner.isOwn { throw refusal }
  }

  private static var refusal: ServiceError {
    ServiceError(.refused, service: "WebSub hub", code: notTheirs, "the subscription belongs to another client")
  }

  private static func forget(_ topic: String, _ callback: String, _ connection: Connection) throws {
    _ = try connection.execute(
      "UPDATE platform.hub_delivery SET is_open = false WHERE topic = $1 AND callback = $2 AND is_open",
      [.text(topic), .text(callback)])
  }

  /// - Parameter others: the callbacks whose messages the same stage has had or has inherited.
  private static func owe(_ topic: String, _ callback: String, except others: [String], _ connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO platform.hub_delivery (message_id, callback, topic)
      SELECT m.id, $2, m.topic FROM platform.hub_message AS m
      WHERE m.topic = $1 AND m.published_at > now() - make_interval(days => $3)
        AND NOT EXISTS (SELECT FROM platform.hub_delivery AS d WHERE d.message_id = m.id AND d.callback = ANY ($4::text[]))
      ORDER BY m.published_at ON CONFLICT DO NOTHING
      """, [.text(topic), .text(callback), .int(keepDays), .textArray(others)])
  }

  private func tell(_ before: Known?, _ topic: String, _ owner: Owner) {
    guard let before else { return }
    if before.isSuspended, !before.hasEnded {
      log.info(
        "a subscriber is there again: its subscription goes on",
        ["topic": topic, "subscription": HubQueue.name(before.number)])
    }
    guard before.owner != owner.name else { return }
    if let other = before.owner, !before.hasEnded {
      log.warning("a subscription to a callback of ours is taken from another client", ["topic": topic, "client": other])
    } else {
      log.info("a subscription belongs to a client from now on", ["topic": topic, "client": owner.name])
    }
  }
}
