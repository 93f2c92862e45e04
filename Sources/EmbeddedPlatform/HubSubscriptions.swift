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

  /// Makes a subscription, or renews it.
  /// - Throws: RPR-HUB-004 when it belongs to another client.
  func take(_ topic: String, _ callback: String, sealedSecret: [UInt8], _ leaseSeconds: Int, by owner: Owner) async throws {
    let before: Known? = try await database {
      try await pool.with { connection in
        try connection.transaction {
          _ = try connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('hub:' || $1, 0))", [.text(topic)])
          let known = try Self.known(topic, callback, connection, locked: true)
          try Self.check(known, owner)
          // What others were owed is not for a newcomer.
          if !owner.isOwn, known == nil || known?.hasEnded == true && known?.owner != owner.name {
            try Self.forget(topic, callback, connection)
          }
          _ = try connection.execute(
            """
            INSERT INTO platform.hub_subscription AS s (topic, callback, sealed_secret, lease_until, client)
            VALUES ($1, $2, $3, now() + make_interval(secs => $4), $5)
            ON CONFLICT (topic, callback) DO UPDATE
            SET sealed_secret = excluded.sealed_secret, lease_until = excluded.lease_until, client = excluded.client, ended_at = NULL
            """, [.text(topic), .text(callback), .bytes(sealedSecret), .double(Double(leaseSeconds)), .text(owner.name)])
          if owner.isOwn { try Self.owe(topic, callback, connection) }
          // Who has just answered is there again: what was put off need not wait any longer.
          _ = try connection.execute(
            """
            UPDATE platform.hub_delivery SET not_before = now()
            WHERE topic = $1 AND callback = $2 AND is_open AND not_before > now()
            """, [.text(topic), .text(callback)])
          return known
        }
      }
    }
    tell(before, topic, owner)
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
      "SELECT client, ended_at IS NOT NULL FROM platform.hub_subscription WHERE topic = $1 AND callback = $2"
        + (locked ? " FOR UPDATE" : ""), [.text(topic), .text(callback)])
    return try rows.first.map { Known(owner: try $0.textOrNull(0), hasEnded: try $0.bool(1)) }
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

  private static func owe(_ topic: String, _ callback: String, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO platform.hub_delivery (message_id, callback, topic)
      SELECT id, $2, topic FROM platform.hub_message
      WHERE topic = $1 AND published_at > now() - make_interval(days => $3) ORDER BY published_at ON CONFLICT DO NOTHING
      """, [.text(topic), .text(callback), .int(keepDays)])
  }

  private func tell(_ before: Known?, _ topic: String, _ owner: Owner) {
    guard let before, before.owner != owner.name else { return }
    if let other = before.owner, !before.hasEnded {
      log.warning("a subscription to a callback of ours is taken from another client", ["topic": topic, "client": other])
    } else {
      log.info("a subscription belongs to a client from now on", ["topic": topic, "client": owner.name])
    }
  }
}
