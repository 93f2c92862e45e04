import JSON
import Postgres
import StageRuntime
import System

/// What is done from the topics when the journal is lost, by an operator.
extension Replays {
  /// What was found on the topics, and what was started with it.
  public struct FromLog: Sendable {
    /// The record.
    public var record: LogRecord
    /// What was started, or would be.
    public var started: [Replay.Started]

    /// As JSON.
    public var json: JSONValue {
      [
        "rid": .string(record.rid), "topic": .string(record.topic), "partition": JSONValue(Int(record.partition)),
        "offset": JSONValue(Int(record.offset)), "at": .string(record.at.iso),
        "started": .array(started.map { Started.registration($0).json }),
      ]
    }
  }

  /// Whether a text can be a RID: up to 64 digits.
  public static func isRID(_ text: String) -> Bool {
    (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { (48...57).contains($0) }
  }

  /// Why another text is not looked for on the topics.
  public static let noRID = "only a RID can be looked for on the topics, and a RID has nothing but digits"

  /// Runs a RID again from its newest record on the topics.
  /// - Throws: `LifecycleError`, `OperationError`, `PostgresError`, `KafkaError`, `LogScan.Failure`.
  public func startFromLog(
    _ rid: String, scan: LogScan, by who: Operator, isForced: Bool = false, isDryRun: Bool = false, on connection: Connection
  ) throws -> FromLog {
    let record = try newest(of: rid, isForced: isForced, on: connection) { try scan.newest(rid: rid) }
    return try connection.transaction { try start(from: record, by: who, isForced: isForced, isDryRun: isDryRun, on: connection) }
  }

  /// Looks for the newest record of a RID, unless it would be refused anyway.
  /// - Throws: `LifecycleError` when there is none as well; what the search throws.
  func newest(
    of rid: String, isForced: Bool, on connection: Connection, by search: () throws -> LogRecord?
  ) throws -> LogRecord {
    // A search takes long: what is refused anyway is refused before it.
    try Erased.refuse([rid], on: connection)
    if !isForced { try registrations.checkUnknown(rid, on: connection) }
    guard let record = try search() else {
      throw LifecycleError(
        code: "not-on-topics",
        message:
          "no topic of a stage has a record of RID \(rid) in that time. Is it the right broker? A longer --since looks further back, "
          + "as far as the topics keep their records.")
    }
    return record
  }

  /// Starts a run from a record in the caller's transaction, with the audit entry.
  func start(
    from record: LogRecord, by who: Operator, isForced: Bool, isDryRun: Bool, job: Int? = nil, on connection: Connection
  ) throws -> FromLog {
    if let held = try HeldRID.find(record.rid, on: connection) { throw held.refusal }
    let started = try registrations.begin(
      from: record, author: who.name, reason: who.reason, isForced: isForced, isDryRun: isDryRun, on: connection)
    if !isDryRun {
      var details: JSONValue = [
        "topic": .string(record.topic), "partition": JSONValue(Int(record.partition)), "offset": JSONValue(Int(record.offset)),
        "at": .string(record.at.iso), "run": JSONValue(started[0].run), "stages": .array(started.map { .string($0.stage) }),
        "force": .bool(isForced),
      ]
      if let job { details["job"] = JSONValue(job) }
      try AuditTrail.note("replay --from-log", of: record.rid, by: who, details: details, on: connection)
    }
    return FromLog(record: record, started: started)
  }
}

/// Filling a lost journal from the topics, by an operator.
public enum JournalRebuilding {
  /// Rebuilds, and notes it. What was written before an error stays, flagged by its runs' author.
  /// - Throws: `OperationError` when another one does so now; what `JournalRebuild.run` throws.
  public static func run(
    _ rebuild: JournalRebuild, _ scan: LogScan, by who: Operator, isDryRun: Bool = false, on connection: Connection
  ) throws -> JournalRebuild.Summary {
    guard let summary = try rebuild.run(scan, reason: who.reason, isDryRun: isDryRun, on: connection) else {
      throw OperationError(.conflict, "busy", "somebody else rebuilds this journal now: wait for that")
    }
    if !isDryRun { try connection.transaction { try note(summary, by: who, on: connection) } }
    return summary
  }

  /// The audit entry of a rebuild.
  static func note(_ summary: JournalRebuild.Summary, by who: Operator, job: Int? = nil, on connection: Connection) throws {
    var details = summary.json
    if let job { details["job"] = JSONValue(job) }
    try AuditTrail.note("journal rebuild", of: nil, by: who, details: details, on: connection)
  }
}

extension JournalRebuild.Summary {
  /// As JSON.
  public var json: JSONValue {
    [
      "registrations": JSONValue(registrations), "done": JSONValue(done), "open": JSONValue(open),
      "superseded": JSONValue(superseded),
      "registrationRows": JSONValue(rows),
      "untold": .array(untold.sorted { $0.key < $1.key }.map { ["what": .string($0.key), "count": JSONValue($0.value)] }),
      "topics": .array(
        topics.map {
          ["topic": .string($0.name), "records": JSONValue($0.records), "unreadable": JSONValue($0.unreadable)]
        }),
    ]
  }
}
