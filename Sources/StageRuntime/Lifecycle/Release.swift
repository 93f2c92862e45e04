import JSON
import Postgres
import System

/// Letting a change go on that policy holds, by a person: this is the manual verification of reversals and revocations.
public enum Release {
  /// What was released.
  public struct Released: Sendable {
    /// The work key.
    public var key: String
    /// e.g. `death-reversal`.
    public var kind: String
    /// The application id of the change.
    public var aid: String?
    /// The number of its next go; the first one was held.
    public var take: Int
    /// Changes of the same record that are worked before it.
    public var before: Int
  }

  /// Gives a change that is held its next go, behind what waits for the same record; all of it, or nothing. The stage writes the audit
  /// entry when it takes it up.
  ///
  /// - Parameters:
  ///   - name: its work key, its AID, or a registration number of which it is the only change that is held.
  ///   - isDryRun: find out what would be done, and change nothing.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public static func start(
    _ name: String, author: String, reason: String, at moment: Instant? = nil, isDryRun: Bool = false, on connection: Connection
  ) throws -> Released {
    return try connection.transaction {
      try begin(name, author: author, reason: reason, at: moment, isDryRun: isDryRun, on: connection)
    }
  }

  /// The same inside a transaction that the caller began.
  public static func begin(
    _ name: String, author: String, reason: String, at moment: Instant? = nil, isDryRun: Bool = false, on connection: Connection
  ) throws -> Released {
    let reason = try LifecycleError.given(reason)
    let held = try held(name, connection)
    // Of two releases at once the second one sees the first.
    guard let change = try NextGo.standing(held, connection), change.status == Change.held else {
      throw notHeld(held, try Change.read(keys: [held], on: connection).first?.status)
    }
    if let erased = try Erased.among([held], on: connection).first {
      throw LifecycleError(code: Erased.code, message: erased.words + ": nothing is left to go on with")
    }
    let before = try NextGo.waiting(change.line, connection).count { $0 != held }
    let released = Released(key: held, kind: change.kind, aid: change.aid, take: change.next, before: before)
    if isDryRun { return released }
    let moment = try moment ?? connection.now()
    try NextGo.write(
      held,
      [
        "status": "RID Generated", "take": JSONValue(change.next),
        "release": ["author": .string(author), "reason": .string(reason), "at": .string(moment.iso)],
      ], connection)
    try NextGo.begin(held, take: change.next, in: change.line, connection)
    return released
  }

  /// The key of the change that is meant.
  private static func held(_ name: String, _ connection: Connection) throws -> String {
    let rows = try connection.execute(
      """
      SELECT key, document->>'kind', document->>'status', document->>'rid' FROM regproc.stage_record
      WHERE stage = $1 AND collection = $2 AND (\(Change.isNamed("$3")) OR document->>'registrationNumber' = $3) ORDER BY created_at, key
      """, [.text(Change.stage), .text(Change.collection), .text(name)])
    let found = try rows.map {
      (key: try $0.text(0), kind: try $0.textOrNull(1) ?? "change", status: try $0.textOrNull(2), aid: try $0.textOrNull(3) ?? "-")
    }
    let held = found.filter { $0.status == Change.held }
    if held.count == 1 { return held[0].key }
    if held.count > 1 {
      let list = held.map { "  \($0.key)  \($0.kind)  AID \($0.aid)" }.joined(separator: "\n")
      throw LifecycleError(
        code: "several", message: "\(held.count) changes of \(name) are held; name one by its key or AID:\n\(list)")
    }
    guard let last = found.last else {
      throw LifecycleError(
        code: "unknown",
        message: "no change has the key, AID or registration number \(name). Is this the right database? (regproc journey \(name))")
    }
    throw notHeld(last.key, last.status)
  }

  private static func notHeld(_ key: String, _ status: String?) -> LifecycleError {
    LifecycleError(
      code: "not-held",
      message:
        "\(key) is not held: its status is \(status ?? "unknown"). Only what policy holds is released (regproc journey \(key))")
  }
}
