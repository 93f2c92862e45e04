import Postgres
import StageKit

/// What is kept of registrations whose place another one of the same record took: the event, and the packet in the landing zone. Nobody can run
/// them again (`superseded`), and a birth's record names the object of the one that took their place. The event of a change stays, since who
/// sends it again or has it done again needs it. Each once, by index rid_superseded.
struct SupersededRule: RetentionRule {
  let what = RetentionSettings.What.supersededEvents
  let keepsPosition = true
  /// Seconds.
  let keep: Double
  let accounts: ErasureAccounts
  let objects: any ObjectStore
  static let batch = 100

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    let from = position?.split(separator: "|", maxSplits: 1).map(String.init) ?? ["-infinity", ""]
    let seen = try connection.execute(
      """
      SELECT key, changed_at::text, EXISTS (SELECT FROM regproc.stage_record AS b WHERE b.stage = o.stage
        AND b.collection = 'birth_transactions' AND b.key = o.document->>'txnId' AND b.document->>'rid' = o.key),
        EXISTS (SELECT FROM regproc.stage_record AS c WHERE c.stage = 'mosip-mediator' AND c.collection = 'change_transactions'
          AND c.document->>'rid' = o.key)
      FROM regproc.stage_record AS o
      WHERE stage = 'mosip-mediator' AND collection = 'rids' AND document ? 'supersededBy' AND (changed_at, key) > ($1::timestamptz, $2)
        AND changed_at <= now() - make_interval(secs => $3) ORDER BY changed_at, key LIMIT $4
      """, [.text(from[0]), .text(from.count > 1 ? from[1] : ""), .double(max(keep, LandingZoneRule.lag)), .int(Self.batch)])
    let over = try seen.filter { try !$0.bool(2) }
    let removed = try over.reduce(0) { try $0 + remove(try $1.text(0), withEvent: try !$1.bool(3)) }
    return RetentionStep(
      removed: removed, position: try seen.last.map { "\(try $0.text(1))|\(try $0.text(0))" } ?? position,
      isLast: seen.count < Self.batch)
  }

  /// - Returns: how many objects there were.
  private func remove(_ rid: String, withEvent: Bool) throws -> Int {
    let places = (withEvent ? [accounts.mosipEvents] : []) + accounts.landingZones
    return try blockingAwait { [objects] in
      var removed = 0
      for account in places {
        for key in try await objects.keys(account: account, container: rid, prefix: "") {
          try await objects.delete(account: account, container: rid, key: key)
          removed += 1
        }
      }
      return removed
    }
  }
}
