import JSON
import Postgres
import StageRuntime
import System

/// Running one registration or change again, by an operator: what `regproc replay RID`, the endpoint and the jobs have in common.
public struct Replays: Sendable {
  /// What was started.
  public enum Started: Sendable {
    /// A change of a record.
    case change(ChangeReplay.Started)
    /// A registration.
    case registration(Replay.Started)

    /// As JSON.
    public var json: JSONValue {
      switch self {
      case .change(let change):
        var json: JSONValue = [
          "what": "change", "key": .string(change.key), "kind": .string(change.kind), "aid": .string(change.aid),
          "take": JSONValue(change.take), "does": .string(words),
        ]
        if case .registration(let started) = change.way { json["registration"] = Self.registration(started).json }
        return json
      case .registration(let started):
        return [
          "what": "registration", "rid": .string(started.rid), "run": JSONValue(started.run), "from": .string(started.stage),
          "superseded": .array(started.superseded.map { .string($0) }), "keyElsewhere": JSONValue(started.keyElsewhere),
        ]
      }
    }

    /// What happens now, in a few words.
    public var words: String {
      switch self {
      case .change(let change):
        switch change.way {
        case .goAgain: "worked on again"
        case .registration: "waits for its registration, which is run again"
        case .look(let status): "waits for its registration, which is \(status)"
        case .tell(let isForced): isForced ? "its result is told again, to OpenCRVS too" : "its result is told again"
        }
      case .registration(let started): "run \(started.run) from \(started.stage)"
      }
    }

    /// The number of the run of a registration.
    var run: Int? {
      switch self {
      case .registration(let started): started.run
      case .change(let change): if case .registration(let started) = change.way { started.run } else { nil }
      }
    }

    /// The stage at which a registration begins.
    var stage: String? {
      switch self {
      case .registration(let started): started.stage
      case .change(let change): if case .registration(let started) = change.way { started.stage } else { nil }
      }
    }
  }

  let registrations: Replay
  private let changes: ChangeReplay
  /// Bounds of the settings.
  public var limits: ReplayLimits

  /// Replays by the route file in force and the bounds of the settings.
  public init(_ replay: Replay, limits: ReplayLimits) {
    registrations = replay
    changes = ChangeReplay(registrations: replay)
    self.limits = limits
  }

  /// Runs one again.
  ///
  /// - Parameters:
  ///   - name: a RID, an AID, a work key, or a registration number, which leads to the RID of its birth.
  ///   - isForced: also one that is in flight or completed. One that is held is refused all the same.
  /// - Throws: `LifecycleError`, `PostgresError`.
  public func start(
    _ name: String, from stage: String?, by who: Operator, isForced: Bool = false, isDryRun: Bool = false, on connection: Connection
  ) throws -> Started {
    let rid = try Self.rid(name, on: connection)
    let outcome = try connection.transaction { () throws -> Outcome in
      let outcome = try begin(rid, from: stage, by: who, isForced: isForced, isDryRun: isDryRun, job: nil, on: connection)
      if case .started(let started) = outcome, !isDryRun {
        try AuditTrail.note(
          "replay", of: rid, by: who, details: ["did": .string(started.words), "force": .bool(isForced)], on: connection)
      }
      return outcome
    }
    switch outcome {
    case .started(let started): return started
    case .held(let held): throw held.refusal
    }
  }

  /// What came of it in the transaction of the caller. That a RID is held commits with it.
  enum Outcome {
    case started(Started)
    case held(HeldRID)
  }

  func begin(
    _ rid: String, from stage: String?, by who: Operator, isForced: Bool, isDryRun: Bool, job: Int?, on connection: Connection
  ) throws -> Outcome {
    try Erased.refuse([rid], on: connection)
    if let held = try HeldRID.judge(
      rid, times: limits.holdAfter, by: who.name, job: job, isDryRun: isDryRun, on: connection)
    {
      return .held(held)
    }
    // Most are registrations, which is told by keys; by its AID a change is looked for among all changes.
    if try !isRegistration(rid, on: connection),
      let change = try changes.begin(
        rid, from: stage, author: who.name, reason: who.reason, isForced: isForced, isDryRun: isDryRun, on: connection)
    {
      return .started(.change(change))
    }
    return .started(
      .registration(
        try registrations.begin(
          rid: rid, from: stage, author: who.name, reason: who.reason, isForced: isForced, isDryRun: isDryRun, on: connection)))
  }

  /// Whether a RID has hops and is no change's.
  private func isRegistration(_ rid: String, on connection: Connection) throws -> Bool {
    let row = try connection.execute(
      """
      SELECT EXISTS (SELECT 1 FROM regproc.hop WHERE rid = $1),
        (SELECT document->>'txnId' IS NOT NULL AND document->>'change' IS DISTINCT FROM 'true' FROM regproc.stage_record
          WHERE stage = 'mosip-mediator' AND collection = 'rids' AND key = $1)
      """, [.text(rid)]
    ).only()
    return try row.bool(0) && row.boolOrNull(1) == true
  }

  /// The RID that a name stands for: a registration number leads to that of its birth, anything else stands for itself.
  static func rid(_ name: String, on connection: Connection) throws -> String {
    let isSeen = try connection.execute("SELECT 1 FROM regproc.hop WHERE rid = $1 LIMIT 1", [.text(name)]).first != nil
    return try isSeen ? name : RecordJourney.birthRID(number: name, on: connection) ?? name
  }
}
