import Postgres
import Registration
import StageKit

/// Packets in the landing zone whose registration has ended and that the packet store has. The uploader passes such a packet on, should it
/// come again or be replayed. Of registrations that failed also packets that the store lacks: a replay says so, RPR-PKU-FAILED-004. Only that of
/// an OpenCRVS event stays then, since OpenCRVS sends the event again and the same registration is run again. The registrations by the moment at
/// which they ended, each once, by the indexes registration_status_moved and registration_not_through.
struct LandingZoneRule: RetentionRule {
  /// How registrations have ended.
  enum End: Sendable {
    case through, failed

    /// A condition on `regprc.registration AS r`, in words by which the planner finds the index.
    var condition: String {
      switch self {
      case .through: "r.status_code = 'PROCESSED'"
      case .failed: "r.status_code <> 'PROCESSED' AND r.status_code IN ('FAILED', 'REJECTED')"
      }
    }
  }

  let what: RetentionSettings.What
  let end: End
  let keepsPosition = true
  /// Seconds.
  let keep: Double
  let accounts: ErasureAccounts
  let objects: any ObjectStore
  static let batch = 100
  /// Clocks of processes differ, and a transaction takes its time: what comes into the order behind the position would be left out.
  static let lag = 600.0

  init(
    _ what: RetentionSettings.What, of end: End, keep: Double, accounts: ErasureAccounts, objects: any ObjectStore
  ) {
    (self.what, self.end, self.keep, self.accounts, self.objects) = (what, end, keep, accounts, objects)
  }

  private struct Packet: Sendable {
    var reference: PacketReference
    var id: String
    /// Whether it stays where the packet store lacks it.
    var mustBeStored: Bool
  }

  func step(from position: String?, on connection: Connection) throws -> RetentionStep {
    let from = position?.split(separator: "|", maxSplits: 1).map(String.init) ?? ["-infinity", ""]
    let moved = "coalesce(r.latest_trn_dtimes, r.cr_dtimes)"
    let seen = try connection.execute(
      """
      SELECT r.reg_id, r.source, r.process, coalesce(r.iteration, 1), l.packet_id, \(moved)::text, r.workflow_instance_id,
        EXISTS (SELECT FROM regproc.stage_record AS o WHERE o.stage = 'mosip-mediator' AND o.collection = 'rids' AND o.key = r.reg_id)
      FROM regprc.registration AS r LEFT JOIN regprc.registration_list AS l ON l.workflow_instance_id = r.workflow_instance_id
      WHERE \(end.condition) AND (\(moved), r.workflow_instance_id) > ($1::timestamp, $2)
        AND \(moved) <= (now() AT TIME ZONE 'UTC') - make_interval(secs => $3)
      ORDER BY \(moved), r.workflow_instance_id LIMIT $4
      """, [.text(from[0]), .text(from.count > 1 ? from[1] : ""), .double(max(keep, Self.lag)), .int(Self.batch)])
    var removed = 0
    for row in seen {
      let reference = PacketReference(
        rid: try row.text(0), source: try row.textOrNull(1), process: try row.text(2), iteration: try row.int(3))
      let mustBeStored = try end == .through || row.bool(7)
      removed += try remove(
        Packet(reference: reference, id: try row.textOrNull(4) ?? reference.rid, mustBeStored: mustBeStored))
    }
    return RetentionStep(
      removed: removed, position: try seen.last.map { "\(try $0.text(5))|\(try $0.text(6))" } ?? position,
      isLast: seen.count < Self.batch)
  }

  private func remove(_ packet: Packet) throws -> Int {
    try blockingAwait { [objects, accounts] in
      let rid = packet.reference.rid
      var removed = 0
      for account in accounts.landingZones {
        guard try await objects.exists(account: account, container: rid, key: packet.id) else { continue }
        if packet.mustBeStored, try await !Self.isStored(packet.reference, accounts.packetStores, objects) { continue }
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
