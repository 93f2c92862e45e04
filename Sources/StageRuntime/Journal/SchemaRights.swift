import Postgres
import StageKit

extension EngineSchema {
  /// What the engine of a process does with its tables. A process whose stages are all of OpenCRVS' side has no packets: it reads and
  /// writes none of MOSIP's tables.
  public static func rights(_ side: Side) -> [TableRights] { own + (side == .mosip ? registrations : []) }

  /// What commands of operators read: all of it, and upstream's views.
  public static var readable: [TableRights] {
    (own + registrations).map(\.reading)
      + ["regprc.registration_transaction", "opencrvs.birth_transactions", "opencrvs.change_transactions"].map {
        TableRights($0, [.select])
      }
  }

  /// The table whose rows belong to one stage each, named by the column `stage`.
  public static let rowsOfStages = "regproc.stage_record"

  private static let own = [
    TableRights("regproc.migration", [.select]),
    TableRights("regproc.hop", [.select, .insert, .update]),
    TableRights("regproc.run", [.select, .insert]),
    TableRights("regproc.dead_letter", [.select, .insert]),
    TableRights("regproc.stage_record", [.select, .insert, .update, .delete]),
    TableRights("regproc.work", [.select, .insert, .update]),
    TableRights("regproc.outbox", [.select, .insert, .update, .delete]),
    TableRights("regproc.route_version", [.select, .insert]),
    TableRights("regproc.route_report", [.select, .insert, .update, .delete]),
    TableRights("regproc.instance_name", [.select, .insert, .update, .delete]),
    TableRights("regproc.transaction_of_others", [.select]),
    TableRights("regproc.pause", [.select]),
  ]

  private static let registrations = [
    // Whoever begins a registration again looks whether there is anything left of it.
    TableRights("regproc.erased", [], readableColumns: ["name", "erased_at", "author"]),
    TableRights("regprc.registration", [.select, .insert, .update]),
    TableRights("regprc.registration_list", [.select, .insert, .update]),
    TableRights("regprc.additional_info_request", [.select, .insert]),
    TableRights("regprc.anonymous_profile", [.select, .insert, .update]),
  ]
}
