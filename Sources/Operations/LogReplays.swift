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

  /// Runs a RID again from its newest record on the topics.
  /// - Throws: `Replay.Refusal`, `OperationRefusal`, `PostgresError`, `KafkaError`, `LogScan.Failure`.
  public func startFromLog(
    _ rid: String, scan: LogScan, by who: Operator, isForced: Bool = false, isDryRun: Bool = false, on connection: Connection
  ) throws -> FromLog {
    // A search takes long: what is refused anyway is refused before it.
    try Erased.refuse([rid], on: connection)
    if !isForced { try registrations.checkUnknown(rid, on: connection) }
    guard let record = try scan.newest(rid: rid) else {
      throw Replay.Refusal(
        code: "not-on-topics",
        message:
          "no topic of a stage has a record of RID \(rid) in that time. Is it the right broker? A longer --since looks further back, "
          + "as far as the topics keep their records.")
    }
    let started = try connection.transaction {
      if let held = try HeldRID.find(rid, on: connection) { throw held.refusal }
      let started = try registrations.begin(
        from: record, author: who.name, reason: who.reason, isForced: isForced, isDryRun: isDryRun, on: connection)
      if !isDryRun {
        try AuditTrail.note(
          "replay --from-log", of: rid, by: who,
          details: [
            "topic": .string(record.topic), "partition": JSONValue(Int(record.partition)), "offset": JSONValue(Int(record.offset)),
            "at": .string(record.at.iso), "run": JSONValue(started[0].run), "stages": .array(started.map { .string($0.stage) }),
            "force": .bool(isForced),
          ], on: connection)
      }
      return started
    }
    return FromLog(record: record, started: started)
  }
}

/// Filling a lost journal from the topics, by an operator.
public enum JournalRebuilding {
  /// Rebuilds, and notes it. What was written before an error stays, flagged by its runs' author.
  /// - Throws: `OperationRefusal` when another one does so now; what `JournalRebuild.run` throws.
  public static func run(
    _ rebuild: JournalRebuild, _ scan: LogScan, by who: Operator, isDryRun: Bool = false, on connection: Connection
  ) throws -> JournalRebuild.Summary {
    guard let summary = try rebuild.run(scan, reason: who.reason, isDryRun: isDryRun, on: connection) else {
      throw OperationRefusal(.conflict, "busy", "somebody else rebuilds this journal now: wait for that")
    }
    if !isDryRun {
      try connection.transaction {
        try AuditTrail.note("journal rebuild", of: nil, by: who, details: summary.json, on: connection)
      }
    }
    return summary
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
