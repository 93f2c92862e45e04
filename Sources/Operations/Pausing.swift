import JSON
import Postgres
import StageRuntime
import System

/// Holding a stage, or the intake, and letting it go on. Every process notices within two seconds.
public enum Pausing {
  /// What is held.
  public static func list(on connection: Connection) throws -> [JSONValue] { try Pause.all(on: connection).map(\.json) }

  /// Holds a stage or the intake. Of one that is held the reason is replaced.
  /// - Parameter stages: the stages that are known; others are known by what processes report.
  public static func pause(_ what: String, stages: Set<String>, by who: Operator, on connection: Connection) throws -> Pause {
    try who.needsReason()
    return try connection.transaction {
      try check(what, stages, connection)
      let row = try connection.execute(
        """
        INSERT INTO regproc.pause (what, author, reason) VALUES ($1, $2, $3)
        ON CONFLICT (what) DO UPDATE SET author = excluded.author, reason = excluded.reason RETURNING since
        """, [.text(what), .text(String(who.name.prefix(256))), .text(String((who.reason ?? "").prefix(2000)))]
      ).only()
      try AuditTrail.note("pause", of: what, by: who, on: connection)
      return Pause(what: what, author: who.name, reason: who.reason ?? "", since: try row.instant(0))
    }
  }

  /// Lets it go on.
  public static func resume(_ what: String, by who: Operator, on connection: Connection) throws -> Pause {
    try connection.transaction {
      let rows = try connection.execute(
        "DELETE FROM regproc.pause WHERE what = $1 RETURNING author, reason, since", [.text(what)])
      guard let row = rows.first else {
        throw OperationError(.notFound, "not-paused", "this is not paused (regproc pause lists what is)")
      }
      let pause = Pause(what: what, author: try row.text(0), reason: try row.text(1), since: try row.instant(2))
      try AuditTrail.note("resume", of: what, by: who, details: ["paused": pause.json], on: connection)
      return pause
    }
  }

  private static func check(_ what: String, _ stages: Set<String>, _ connection: Connection) throws {
    if what == Pause.intake || stages.contains(what) { return }
    // The stages of a process stand in its report as one text with blanks.
    let isReported = try connection.execute(
      "SELECT EXISTS (SELECT 1 FROM regproc.route_report WHERE $1 = ANY (string_to_array(stages, ' ')))", [.text(what)]
    ).only().bool(0)
    guard isReported else {
      throw OperationError(
        .notFound, "unknown-stage",
        "there is no stage of this name; there are \(stages.sorted().joined(separator: ", ")), and \(Pause.intake)")
    }
  }
}
