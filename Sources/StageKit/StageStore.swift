import JSON
import Registration
import System

/// Records of one stage that outlive the process: JSON documents by collection and key, changed together in one transaction.
/// What a plugin answered 2xx for must be in here before the answer.
public protocol StageStore: Sendable {
  /// A record of this stage; nil when there is none.
  func record(_ collection: String, _ key: String) async throws -> StageRecord?

  /// Records of a collection whose document has this text as a member, by key in ascending order of bytes.
  /// - Parameters:
  ///   - member: a name of letters, e.g. `status`.
  ///   - after: only keys behind this one: the last of the page before; nil for the first page.
  ///   - limit: the most records of the page; fewer come when there are no more.
  func records(_ collection: String, where member: String, is value: String, after key: String?, limit: Int) async throws
    -> [StageRecord]

  /// Applies all changes in one transaction, or none of them. What belongs to a verdict goes with it instead (`Verdict.changing`).
  /// - Throws: `StoreConflict` when a record to insert exists or a version is not the expected one; `ServiceError` when the database is
  ///   out of reach.
  func commit(_ changes: [StageChange]) async throws
}

/// One record of a stage.
public struct StageRecord: Sendable {
  /// The kind of record, e.g. `events`.
  public var collection: String
  /// Its key within the collection; at most 256 bytes.
  public var key: String
  /// Counts the changes; 1 for a new record.
  public var version: Int
  /// What it holds.
  public var document: JSONValue

  /// A record.
  public init(collection: String, key: String, version: Int, document: JSONValue) {
    self.collection = collection
    self.key = key
    self.version = version
    self.document = document
  }
}

/// One change of a transaction.
public enum StageChange: Sendable, Equatable {
  /// A new record; a conflict when the key exists.
  case insert(collection: String, key: String, document: JSONValue)
  /// A record written over; with `ifVersion` only over that version (a conflict otherwise), without it created when missing.
  case put(collection: String, key: String, document: JSONValue, ifVersion: Int? = nil)
  /// A number in a record made larger (or smaller) by what it is then, whoever changes it at the same time: nothing has to be read before.
  /// Record and member begin at 0 when missing. Refused where the document is no object or the member no whole number.
  case add(collection: String, key: String, member: String, by: Int)
  /// A record removed; nothing when there is none.
  case delete(collection: String, key: String)
  /// Durable work; nothing when work of this kind and key was scheduled before.
  case schedule(WorkItem)
  /// Durable work that nothing is left to be done of: it ends without being done, and is not scheduled again. Nothing when there is none, or it
  /// has ended.
  case end(kind: String, key: String)
  /// A record for a further topic, sent after the commit and sent again until its taker has taken it.
  case publish(TopicRecord)
}

extension StageChange {
  /// A record as it was read, with other content: a conflict when somebody else has made or changed it meanwhile.
  /// - Parameter version: the version that was read; nil where there was no record.
  public static func keep(collection: String, key: String, document: JSONValue, over version: Int?) -> StageChange {
    version.map { .put(collection: collection, key: key, document: document, ifVersion: $0) }
      ?? .insert(collection: collection, key: key, document: document)
  }
}

extension StageChange {
  /// The collection and the key of the record that it changes; nil for work and for records of further topics.
  package var place: (collection: String, key: String)? {
    switch self {
    case .insert(let collection, let key, _), .put(let collection, let key, _, _), .add(let collection, let key, _, _),
      .delete(let collection, let key):
      (collection, key)
    case .schedule, .end, .publish: nil
    }
  }

  /// What it leaves of the record at its place, as the database would: for stores in memory.
  /// - Parameters:
  ///   - old: the record that is there; nil for none.
  ///   - service: whom an error names.
  /// - Returns: nil where no record is left.
  /// - Throws: `StoreConflict`; `ServiceError` for a number that is added to what is none, or that grows too large.
  package func applied(to old: StageRecord?, service: String = "database") throws -> StageRecord? {
    let version = (old?.version ?? 0) + 1
    switch self {
    case .insert(let collection, let key, let document):
      guard old == nil else { throw StoreConflict(collection: collection, key: key) }
      return StageRecord(collection: collection, key: key, version: version, document: document)
    case .put(let collection, let key, let document, let expected):
      if let expected, old?.version != expected { throw StoreConflict(collection: collection, key: key) }
      return StageRecord(collection: collection, key: key, version: version, document: document)
    case .add(let collection, let key, let member, let amount):
      guard var document = (old?.document ?? [:]).object, let number = (document[member] ?? 0).int,
        case (let sum, false) = number.addingReportingOverflow(amount)
      else {
        throw ServiceError(
          .refused, service: service, code: "RPR-SYS-012", "`\(member)` of a record of \(collection) is no number")
      }
      document[member] = JSONValue(sum)
      return StageRecord(collection: collection, key: key, version: version, document: .object(document))
    case .delete: return nil
    case .schedule, .end, .publish: return old
    }
  }
}

/// A change that contradicts what is stored.
public struct StoreConflict: PlainError, Sendable {
  /// The collection of the record in question.
  public var collection: String
  /// The key of the record in question.
  public var key: String

  /// A conflict over one record.
  public init(collection: String, key: String) {
    self.collection = collection
    self.key = key
  }
  public var description: String { "a record of \(collection) exists already or was changed meanwhile" }
}

/// A kind of durable work that a plugin performs.
public struct WorkKind: Sendable {
  /// The name of the kind, e.g. `forward`.
  public var name: String
  /// How many pieces of this kind one process does at the same time.
  public var concurrency: Int
  /// The plugin's integer setting that says `concurrency`; nil when none does.
  public var concurrencySetting: String?
  /// Tries before the work is given up; nil for never.
  public var tries: Int?
  /// The pauses between tries.
  public var backoff: Backoff
  /// Whether it carries in what is new: it rests while an operator holds the intake.
  public var isIntake: Bool

  /// A kind of work.
  public init(
    _ name: String, concurrency: Int = 4, concurrencySetting: String? = nil, tries: Int? = nil,
    backoff: Backoff = Backoff(first: 0.5, longest: 300), isIntake: Bool = false
  ) {
    self.name = name
    self.concurrency = concurrency
    self.concurrencySetting = concurrencySetting
    self.tries = tries
    self.backoff = backoff
    self.isIntake = isIntake
  }
}

/// A piece of durable work. It is in the database before anybody is told of it, done at least once, by one process at a time.
public struct WorkItem: Sendable, Equatable {
  /// One of the plugin's `WorkKind`s.
  public var kind: String
  /// What it is for; one piece of work for each kind and key.
  public var key: String
  /// What the plugin needs to do it; small (large data goes to the object store).
  public var payload: JSONValue
  /// The try this is: 1 for the first.
  public var attempt: Int
  /// Seconds to wait first, from when it is written, by the database's clock.
  public var after: Double

  /// A piece of work.
  public init(kind: String, key: String, payload: JSONValue = .null, attempt: Int = 1, after: Double = 0) {
    self.kind = kind
    self.key = key
    self.payload = payload
    self.attempt = attempt
    self.after = after
  }
}

/// Whose work a piece is.
public struct WorkSubject: Sendable, Equatable {
  /// The registration; nil where it has no RID yet.
  public var rid: String?
  /// The trace that it came with; nil where it came with none.
  public var trace: TraceId?

  /// A registration and its trace.
  public init(rid: String?, trace: TraceId? = nil) { (self.rid, self.trace) = (rid, trace) }
}

/// How a piece of work ended.
public enum WorkOutcome: Sendable {
  /// Done; the changes are committed together with the end of the work.
  case done(changes: [StageChange])
  /// Not yet: again after so many seconds, as a first try (waiting for somebody, or standing work such as a renewal).
  case again(afterSeconds: Double)

  /// Done, with nothing to record.
  public static var done: WorkOutcome { .done(changes: []) }
}

/// Thrown by `Stage.perform` to end a piece of work for good: trying again would not help.
public struct WorkFailure: PlainError, Sendable {
  /// A code that a person can look up, e.g. `OPN-CRVS-006`.
  public var code: String
  /// What was wrong, without personal data.
  public var message: String

  /// A final failure.
  public init(code: String, _ message: String) {
    self.code = code
    self.message = message
  }
  public var description: String { "\(code): \(message)" }
}
