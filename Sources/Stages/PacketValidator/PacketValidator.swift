import Registration
import StageKit
import System

/// Checks the packet as a whole: the supervisor's word, the packet manager's checks, the applicant's consent (facts/stages 4,
/// steps 1 to 4). Documents and biometrics (steps 5 to 8) are not looked at: the OpenCRVS processes are not on upstream's list either.
public struct PacketValidator: Stage {
  public static let spec = PluginSpec(
    name: "packet-validator",
    summary: "checks approval, integrity, schema and consent of a packet and hands on its audits",
    settings: [IdentityMapping.setting])

  private let mapping: IdentityMapping

  public init(settings: StageSettings) throws { mapping = try IdentityMapping(settings) }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    var createdAt: Instant?
    var verdict = try await Refusal.judged {
      createdAt = try await context.services.packets.metaInfo(of: PacketReference(message))["creationDate"].flatMap {
        Instant(iso: $0)
      }
      if createdAt == nil { context.log.warning("the packet has no creation date", ["rid": message.rid]) }
      return try await validate(message, context)
    }
    // Upstream keeps the date and counts the failure whatever the checks say.
    verdict.packetCreatedAt = createdAt
    verdict.countsAsPacketTry = verdict.kind != .passed
    return verdict
  }

  private func validate(_ message: Message, _ context: StageContext) async throws -> Verdict {
    let packets = context.services.packets
    let packet = PacketReference(message)
    guard let id = message.workflowInstanceId,
      let announced = try await context.services.registrations.synced(workflowInstanceId: id)
    else { return Refusal.system("the tables know no such registration") }
    guard announced.supervisorStatus == "APPROVED" else {
      return .failed("RPR-PKV-FAILED-011", "Rejected by Supervisor", status: .rejected)
    }

    let faults = try await packets.validate(packet)
    if let first = faults.first {
      let rest = faults.count > 1 ? " (and \(faults.count - 1) more)" : ""
      return .failed(
        "RPR-PKV-FAILED-012", "Packet validation failed in packet manager: \(first.code): \(first.message)\(rest)")
    }

    let field = mapping["consent"]
    if let consent = try await packets.fields([field], of: packet)[field], consent.lowercased() == "n" {
      return .failed("RPR-PKV-FAILED-017", "Consent is not agreed for the packet to process further")
    }

    await handOnAudits(of: packet, message, context)
    return .passed("RPR-PKV-SUCCESS-001", "Packet Validation is Successful")
  }

  /// Records the audits that the packet carries. The packet does not fail for them (upstream ignores errors too).
  private func handOnAudits(of packet: PacketReference, _ message: Message, _ context: StageContext) async {
    do {
      let audits = try await context.services.packets.audits(of: packet)
      let entries = audits.enumerated().map { index, audit in
        var entry = AuditEntry(
          eventId: audit["eventId"] ?? "", eventName: audit["eventName"] ?? "", eventType: audit["eventType"] ?? "",
          module: audit["moduleName"] ?? audit["applicationName"] ?? context.stage, id: audit["id"] ?? message.rid,
          idType: audit["idType"] ?? "REGISTRATION_ID", description: audit["description"] ?? "")
        // Unlike upstream, which posts them again on every retry.
        entry.idempotencyKey = "\(context.idempotencyKey(message)):\(audit["uuid"] ?? String(index))"
        return entry
      }
      if !entries.isEmpty { try await context.services.audit.record(entries) }
    } catch {
      context.log.warning("the packet's audits were not recorded", ["rid": message.rid])
    }
  }
}
