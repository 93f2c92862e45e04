import Postgres
import Registration
import Routing
import System
import YAML

/// Which registrations are meant: what the filters of lists, and of replays of many, say. All that is given must hold.
///
/// The conditions are about `regprc.registration AS r`: a row of it is a registration, and its `reg_id` the RID.
public struct Selection: Sendable, Hashable {
  /// MOSIP's registration status, e.g. `FAILED`, or a word of ours: `waiting`, `sent`, `held`.
  public var status: String?
  /// Where it stands: the stage that has it, or, when nothing of it is under way, the one that stopped it.
  public var stage: String?
  /// The sub-status or error code of the last verdict of what did not go through; of what did, where `status` says PROCESSED.
  public var code: String?
  /// `birth`, `death`, ...
  public var kind: String?
  /// The process, e.g. `OPENCRVS_NEW`.
  public var process: String?
  /// Only what got its last verdict, or came, at that moment or later.
  public var since: Instant?
  /// Only what has not ended and has had no verdict for so many seconds.
  public var waitingLongerThan: Int?

  /// Everything, until a filter is set.
  public init() {}

  /// The filters by the names that the command's options and the query of the endpoint have.
  public static let names = ["status", "stage", "code", "kind", "process", "since", "waiting-longer-than"]

  /// Reads the filters that `given` has, by their names; `stages` and `processes` are those that are known, empty where that is not known.
  /// - Throws: the first that cannot be meant, with what was probably meant.
  public init(
    stages: [String], processes: [String], now: Instant = .now, _ given: (String) -> String?
  ) throws(OperationError) {
    status = try given("status").map { text throws(OperationError) in try Self.status(text) }
    stage = try given("stage").map { text throws(OperationError) in try Self.known(text, "stage", stages) }
    process = try given("process").map { text throws(OperationError) in try Self.known(text, "process", processes) }
    kind = try given("kind").map { text throws(OperationError) in try Self.known(text, "kind", Self.kinds) }
    code = try given("code").map { text throws(OperationError) in try Self.code(text) }
    since = try given("since").map { text throws(OperationError) in try TimeWords.moment(text, named: "since", now: now) }
    waitingLongerThan = try given("waiting-longer-than").map { text throws(OperationError) in
      try TimeWords.span(text, named: "waiting-longer-than")
    }
  }

  /// True when there is no filter at all.
  public var isEverything: Bool { self == Selection() }

  /// What it selects, in words: "registrations with status FAILED at packet-validator".
  public var words: String {
    var out = isEverything ? "all registrations" : "registrations"
    if let kind { out += " of kind \(kind)" }
    if let process { out += " of process \(process)" }
    if let status { out += " with status \(status)" }
    if let stage { out += " at \(stage)" }
    if let code { out += " with code \(code)" }
    if let since { out += " moved since \(since.iso)" }
    if let waitingLongerThan { out += " waiting longer than \(TimeWords.words(seconds: waitingLongerThan))" }
    return out
  }

  // MARK: as SQL

  static let through = RegistrationStatus.processed.rawValue
  /// What has ended stands nowhere, unless a stage stopped it. The texts stand in the predicates of indexes as well.
  static let ended = "('PROCESSED', 'FAILED', 'REJECTED')"
  /// When it got its last verdict, or else came. An index has the same expression.
  static let moved = "coalesce(r.latest_trn_dtimes, r.cr_dtimes)"

  /// Conditions on `regprc.registration AS r`, with parameters from number 1.
  struct Conditions {
    /// What an index finds; `TRUE` for everything.
    var candidates: String
    /// What is looked at in the hops of each candidate, which costs more than all else; nil for nothing.
    var look: String?
    /// The parameters of both.
    var parameters: [Value]
    /// Both in one.
    var all: String { look.map { "\(candidates) AND \($0)" } ?? candidates }
  }

  /// - Parameters:
  ///   - now: nil for the moment of the database, which dated the registrations.
  ///   - hasCommonKind: whether so many have the kind that the newest registrations are better asked one by one whether they do.
  func conditions(now: Instant? = nil, hasCommonKind: Bool = false) -> Conditions {
    var (parts, looks, parameters): ([String], [String], [Value]) = ([], [], [])
    func place(_ value: Value) -> String {
      parameters.append(value)
      return "$\(parameters.count)"
    }
    if let status { parts.append(Self.condition(status: status, place)) }
    if let stage {
      let place = place(.text(stage))
      parts.append(Self.candidates(stage: place))
      looks.append("(SELECT \(Self.standing) FROM (\(Self.here)) AS here) = \(place)")
    }
    if let code {
      if status != Self.through { parts.append("r.status_code <> '\(Self.through)'") }
      let place = place(.text(code))
      parts.append(Self.candidates(code: place, ofFew: status != Self.through))
      looks.append("(SELECT sub_status_code FROM (\(Self.last)) AS last) = \(place)")
    }
    if let kind {
      parts.append(kind == "birth" ? Self.isBirth : Self.condition(change: place(.text(kind)), isCommon: hasCommonKind))
    }
    if let process { parts.append("r.process = \(place(.text(process)))") }
    if let since { parts.append("\(Self.moved) >= \(place(.timestamp(since)))::timestamp") }
    if let waitingLongerThan {
      let moment = now.map { place(.timestamp($0)) + "::timestamp" } ?? "(now() AT TIME ZONE 'UTC')"
      // The first as an index has it.
      parts.append("r.status_code <> 'PROCESSED' AND r.status_code NOT IN \(Self.ended)")
      parts.append("\(Self.moved) <= \(moment) - make_interval(secs => \(place(.double(Double(waitingLongerThan)))))")
    }
    return Conditions(
      candidates: parts.isEmpty ? "TRUE" : parts.joined(separator: " AND "),
      look: looks.isEmpty ? nil : looks.joined(separator: " AND "), parameters: parameters)
  }

  /// Runs statements with `conditions` in a transaction that plans each for the parameters it has: what finds three rows and what finds a
  /// million need different plans. Goes into the caller's transaction if there is one.
  public static func planned<T>(on connection: Connection, _ body: () throws -> T) throws -> T {
    let ask = "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"
    if connection.isInTransaction {
      _ = try connection.execute(ask)
      return try body()
    }
    return try connection.transaction {
      _ = try connection.execute(ask)
      return try body()
    }
  }

  private static func condition(status: String, _ place: (Value) -> String) -> String {
    switch status {
    case "waiting": "r.reg_id IN (SELECT rid FROM regproc.hop WHERE state = 0)"
    case "sent": "r.reg_id IN (SELECT rid FROM regproc.hop WHERE state = 1)"
    case "held":
      """
      r.reg_id IN (SELECT unnest(ARRAY[document->>'rid', document->>'subjectRid']) FROM regproc.stage_record
        WHERE stage = 'mosip-mediator' AND collection = 'change_transactions' AND document->>'status' = 'Held'
        UNION ALL SELECT rid FROM regproc.held WHERE released_at IS NULL)
      """
    default: "r.status_code = \(place(.text(status)))"
    }
  }

  /// The hops of a registration: a RID may have several, one for each correction of its packet.
  static let ofRegistration = """
    hop.rid = r.reg_id AND (hop.workflow_instance_id = r.workflow_instance_id OR hop.workflow_instance_id IS NULL)
    """

  /// The hop at which it stands: the one under way, else the last that was done.
  static let here = """
    SELECT * FROM regproc.hop WHERE \(ofRegistration) AND hop.state < 3
    ORDER BY hop.state = 2, coalesce(hop.done_at, hop.decided_at) DESC LIMIT 1
    """

  /// The hop of its last verdict.
  static let last = "SELECT * FROM regproc.hop WHERE \(ofRegistration) AND hop.state = 2 ORDER BY hop.done_at DESC LIMIT 1"

  /// Where it stands, of `here`: one that went through stands nowhere.
  static let standing =
    "CASE WHEN here.state = 2 AND here.verdict = 'passed' AND r.status_code = 'PROCESSED' THEN NULL ELSE here.stage END"

  private static func candidates(stage: String) -> String {
    """
    r.reg_id IN (SELECT rid FROM regproc.hop WHERE stage = \(stage) AND (state < 2 OR verdict <> 'passed')
      UNION ALL SELECT reg_id FROM regprc.registration WHERE status_code IN ('PAUSED', 'PAUSED_FOR_ADDITIONAL_INFO', 'RESUMABLE'))
    """
  }

  /// Nearly all that went through ended with one code: of those the newest are looked at one by one.
  private static func candidates(code: String, ofFew: Bool) -> String {
    let having = "SELECT rid FROM regproc.hop WHERE state = 2 AND sub_status_code = \(code)"
    return ofFew ? "r.reg_id IN (\(having))" : "EXISTS (\(having))"
  }

  private static let isBirth = """
    EXISTS (SELECT FROM regproc.stage_record AS owner WHERE owner.stage = 'mosip-mediator' AND owner.collection = 'rids'
      AND owner.key = r.reg_id AND owner.document->>'change' IS DISTINCT FROM 'true')
    """

  private static func changes(of kind: String) -> String {
    "FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'change_transactions' AND document->>'kind' = \(kind)"
  }

  /// The planner takes either for a matter of some fifty rows, so it is not asked: OFFSET 0 keeps it from turning the first into the second.
  private static func condition(change kind: String, isCommon: Bool) -> String {
    isCommon
      ? "EXISTS (SELECT \(changes(of: kind)) AND document->>'rid' = r.reg_id OFFSET 0)"
      : "r.reg_id IN (SELECT document->>'rid' \(changes(of: kind)))"
  }

  /// So many changes are looked up each by itself, and put in order; of more the newest are found among all registrations.
  private static let fewChanges = 2000

  /// Whether more than a few have the kind of change that is asked for. Births are not asked: nearly all are.
  func hasCommonKind(_ connection: Connection) throws -> Bool {
    guard let kind, kind != "birth" else { return false }
    let found = try connection.execute(
      "SELECT count(*) FROM (SELECT \(Self.changes(of: "$1")) LIMIT $2) AS found", [.text(kind), .int(Self.fewChanges + 1)])
    return try found.only().int(0) > Self.fewChanges
  }

  // MARK: reading

  /// The kinds that the mediators know.
  public static let kinds = [
    "birth", "death", "birth-correction", "death-correction", "death-reversal", "birth-revocation", "birth-reinstatement",
  ]
  /// MOSIP's words for the status of a registration.
  public static let statuses = RegistrationStatus.known.map(\.rawValue)
  /// Our words: a hop of it waits for its moment, is on the bus, or a change waits for a person.
  public static let states = ["waiting", "sent", "held"]

  private static func status(_ text: String) throws(OperationError) -> String {
    if let known = statuses.first(where: { $0 == text.uppercased() }) ?? states.first(where: { $0 == text.lowercased() }) {
      return known
    }
    return try known(text, "status", statuses + states)
  }

  private static func known(_ text: String, _ what: String, _ all: [String]) throws(OperationError) -> String {
    if all.isEmpty {
      guard isPlain(text) else { throw refusal(what, "\(quote(text)) cannot be a \(what)") }
      return text
    }
    guard !all.contains(text) else { return text }
    let near =
      NearestName.of(text, among: all).map { "did you mean \($0)?" } ?? "it is one of \(all.sorted().joined(separator: ", "))"
    throw refusal(what, "\(quote(text)) is no \(what); \(near)")
  }

  private static func code(_ text: String) throws(OperationError) -> String {
    guard isPlain(text) else { throw refusal("code", "\(quote(text)) cannot be a code: e.g. RPR-PKV-FAILED-012") }
    return text
  }

  private static func isPlain(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 64
      && text.utf8.allSatisfy {
        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || [45, 46, 58, 95].contains($0)
      }
  }

  static func quote(_ text: String) -> String { "`\(VisibleText.of(String(text.prefix(64))))`" }

  static func refusal(_ what: String, _ message: String) -> OperationError { OperationError(.badInput, "bad-\(what)", message) }
}

extension Selection {
  /// The stages that a version of the route file knows: those of its flows, and the entrances that all flows have.
  public static func stages(of routes: RouteFile) -> [String] {
    Array(Set(routes.flows.flatMap { $0.stages.map(\.name.value) } + routes.stages.names)).sorted()
  }

  /// What to say of a filter that does not exist.
  public static func unknownName(_ name: String, _ names: [String]) -> String {
    let near = NearestName.of(name, among: names).map { "did you mean \($0)?" } ?? "there are \(names.joined(separator: ", "))"
    return "there is no \(quote(name)); \(near)"
  }
}
