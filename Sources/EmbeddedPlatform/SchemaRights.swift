import Postgres
import StageKit

extension PlatformSchema {
  /// What the embedded platform of a process does with its tables. On OpenCRVS' side nothing of it works but keys, tokens and the audit
  /// trail. Nobody reads the audit trail back, or changes a sealing key once it is written.
  public static func rights(_ side: Side) -> [TableRights] { everywhere + (side == .mosip ? onMosipSide : []) }

  /// What commands of operators read: no identity, no number, no document.
  public static let readable =
    [
      "platform.sealing_key", "platform.hub_delivery", "platform.hub_message", "platform.hub_subscription", "audit.app_audit_log",
    ].map { TableRights($0, [.select]) } + [TableRights("platform.identity_follow_up", [], readableColumns: suspendable)]

  private static let suspendable = ["number", "kind", "suspended_at", "suspended_for"]

  /// What operators change: they have the hub deliver again what it gave up, resume what is suspended, and remove what is kept of a person
  /// for transport. Of drafts and documents they read no more than whose they are.
  public static let operable = [
    TableRights("platform.hub_delivery", [.select, .update]), TableRights("platform.hub_message", [.select, .update, .delete]),
    TableRights("platform.hub_subscription", [.update]), TableRights("platform.identity_follow_up", [.update]),
    TableRights(
      "platform.credential_request", [.update, .delete],
      readableColumns: ["request_id", "idempotency_key", "published", "status", "changed_at"]),
    TableRights("platform.credential_done", [.select, .insert, .update]),
    TableRights("platform.draft", [.update], readableColumns: ["rid", "state"]),
    TableRights("platform.draft_document", [.delete], readableColumns: ["rid"]),
    TableRights("platform.tag", [.delete], readableColumns: ["rid"]),
  ]

  private static let everywhere = [
    TableRights("platform.sealing_key", [.select, .insert]),
    TableRights("audit.app_audit_log", [.insert], readableColumns: ["idempotency_key"]),
  ]

  private static let onMosipSide = [
    TableRights("platform.rid_sequence", [.select, .insert, .update]),
    TableRights("platform.uin", [.select, .insert, .update]),
    TableRights("platform.vid", [.select, .insert, .update]),
    TableRights("platform.draft", [.select, .insert, .update]),
    TableRights("platform.draft_document", [.select, .insert, .update, .delete]),
    TableRights("platform.identity", [.select, .insert, .update]),
    TableRights("platform.identity_rid", [.select, .insert]),
    TableRights("platform.identity_document", [.select, .insert, .update]),
    TableRights("platform.identity_update_count", [.select, .insert, .update]),
    TableRights("platform.identity_follow_up", [.select, .insert, .update, .delete]),
    TableRights("platform.tag", [.select, .insert, .update, .delete]),
    TableRights("platform.credential_request", [.select, .insert, .update]),
    TableRights("platform.credential_done", [.select, .update]),
    TableRights("platform.hub_subscription", [.select, .insert, .update]),
    TableRights("platform.hub_message", [.select, .insert]),
    TableRights("platform.hub_delivery", [.select, .insert, .update]),
  ]
}
