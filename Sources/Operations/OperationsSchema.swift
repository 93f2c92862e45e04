import Postgres
import StageRuntime

/// The tables of operations. Their migrations have the numbers 60 to 79.
public enum OperationsSchema {
  /// The migrations, in order.
  public static let migrations = [
    Migration(version: 60, name: "audit trail of operations", sql: AuditTrail.table)
  ]

  /// What a process or command that operates may do with them.
  public static let rights = [
    TableRights("regproc.operation", [.select, .insert]),
    TableRights("regproc.dead_letter", [.select, .update]),
    TableRights("regproc.hub_letter_dropped", [.select, .insert, .update]),
    TableRights("regproc.pause", [.select, .insert, .update, .delete]),
  ]

  /// What one that only looks may.
  public static var readable: [TableRights] { rights.map(\.reading) }
}
