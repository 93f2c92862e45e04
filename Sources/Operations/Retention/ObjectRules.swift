import Postgres
import Registration
import StageKit
import System

/// What is asked of the object store, from a thread of ours.
private func awaited<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) throws -> T {
  try blockingAwait { () -> Result<T, any Error> in
    do { return .success(try await body()) } catch { return .failure(error) }
  }.get()
}

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
        \(Self.isOver), created_at::text
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
    try awaited { [objects] in try await objects.delete(account: account, container: container, key: key) }
  }

  private static func keyed(_ text: String) -> String {
    "ARRAY[\(text), encode(sha256(convert_to(\(text), 'UTF8')), 'hex')]"
  }

  /// Whether nobody needs the event any more: a credential that came to an end; an event that failed, or whose token or result came.
  private static let isOver = """
    e.changed_at <= now() - make_interval(secs => $2) AND CASE e.collection
      WHEN 'credentials' THEN e.stage = 'mosip-mediator' AND e.document->>'status' <> 'Received'
      ELSE e.stage = 'opencrvs-mediator' AND (e.document->>'status' = 'Failed' OR e.document->>'status' = 'Forwarded' AND EXISTS (
        SELECT FROM regproc.stage_record AS r WHERE r.stage = e.stage AND r.changed_at <= now() - make_interval(secs => $2) AND (
          r.collection = 'statuses' AND (r.key = ANY (\(keyed("(e.document->>'kind') || ':success:' || e.key")))
            OR r.key = ANY (\(keyed("(e.document->>'kind') || ':error:' || e.key"))))
          OR r.collection = 'tokens' AND e.document->>'kind' = 'birth'
            AND r.key = ANY (\(keyed("(e.document->>'registrationNumber')"))))))
      END
    """
}

/// Packets in the landing zone whose registration is through and that the packet store has. The uploader passes such a packet on, should it
/// come again. The registrations by the moment at which they were through, each once, by index registration_status_moved.
struct LandingZoneRule: RetentionRule {
  let what = RetentionSettings.What.landingZone
  let keepsPosition = true
  /// Seconds.
  let keep: Double
  let accounts: ErasureAccounts
  let objects: any ObjectStore
  static let batch = 100
  /// Clocks of processes differ, and a transaction takes its time: what comes into the order behind the position would be left out.
  static let lag = 600.0

  private struct Packet: Sendable {
    var reference: PacketReference
    var id: String
  }

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    let from = position?.split(separator: "|", maxSplits: 1).map(String.init) ?? ["-infinity", ""]
    let moved = "coalesce(r.latest_trn_dtimes, r.cr_dtimes)"
    let seen = try connection.execute(
      """
      SELECT r.reg_id, r.source, r.process, coalesce(r.iteration, 1), l.packet_id, \(moved)::text, r.workflow_instance_id
      FROM regprc.registration AS r LEFT JOIN regprc.registration_list AS l ON l.workflow_instance_id = r.workflow_instance_id
      WHERE r.status_code = 'PROCESSED' AND (\(moved), r.workflow_instance_id) > ($1::timestamp, $2)
        AND \(moved) <= (now() AT TIME ZONE 'UTC') - make_interval(secs => $3)
      ORDER BY \(moved), r.workflow_instance_id LIMIT $4
      """, [.text(from[0]), .text(from.count > 1 ? from[1] : ""), .double(max(keep, Self.lag)), .int(Self.batch)])
    var removed = 0
    for row in seen {
      let reference = PacketReference(
        rid: try row.text(0), source: try row.textOrNull(1), process: try row.text(2), iteration: try row.int(3))
      removed += try remove(Packet(reference: reference, id: try row.textOrNull(4) ?? reference.rid))
    }
    return RetentionStep(
      removed: removed, position: try seen.last.map { "\(try $0.text(5))|\(try $0.text(6))" } ?? position,
      isLast: seen.count < Self.batch)
  }

  private func remove(_ packet: Packet) throws -> Int {
    try awaited { [objects, accounts] in
      let rid = packet.reference.rid
      var removed = 0
      for account in accounts.landingZones {
        guard try await objects.exists(account: account, container: rid, key: packet.id) else { continue }
        guard try await Self.isStored(packet.reference, accounts.packetStores, objects) else { continue }
        try await objects.delete(account: account, container: rid, key: packet.id)
        removed += 1
      }
      return removed
    }
  }

  /// Whether a packet store has all three sub-packets of the process.
  private static func isStored(_ packet: PacketReference, _ stores: [String], _ objects: any ObjectStore) async throws -> Bool {
    for account in stores {
      let keys = Set(try await objects.keys(account: account, container: packet.rid, prefix: ""))
      let isThere = keys.contains { key in
        let path = key.split(separator: "/")
        guard path.count == 3, packet.processNames.contains(String(path[1])) else { return false }
        return SubPacketName.allCases.allSatisfy { keys.contains("\(path[0])/\(path[1])/\(packet.rid)_\($0.rawValue)") }
      }
      if isThere { return true }
    }
    return false
  }
}

/// Folders of the object store in which nothing is left.
struct FolderRule: RetentionRule {
  let what = RetentionSettings.What.emptyFolders
  /// Seconds.
  let keep: Double
  let objects: any ObjectStore

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    RetentionStep(removed: try awaited { [objects, keep] in try await objects.removeEmptyFolders(olderThan: keep) })
  }
}
