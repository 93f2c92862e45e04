import JSON
import Postgres
import StageKit
import StageRuntime
import System

/// Removing what is kept of one person's registration: events, packets, sealed rows and the bytes of dead letters. What law and the guards
/// against doubles need stays: hashes, codes, times, and the names that it goes by.
///
/// The database comes first, in one transaction with a note of the objects to remove; then the objects; then the note goes. Whoever is
/// killed between is finished by the next call.
public struct Erasure: Sendable {
  /// Its name in the audit trail.
  static let operation = "erase"

  private let accounts: ErasureAccounts
  private let objects: any ObjectStore

  /// - Parameters:
  ///   - accounts: where in the object store something of a registration may be.
  ///   - objects: the object store of this side.
  public init(_ accounts: ErasureAccounts, objects: any ObjectStore) {
    self.accounts = accounts
    self.objects = objects
  }

  /// What was removed or is kept: a line of the report.
  public struct Line: Sendable, Hashable {
    /// The table or place.
    public var place: String
    /// What of it.
    public var what: String
    /// How many rows or objects; nil where nobody looked.
    public var count: Int?
    /// Why it is removed, or kept.
    public var why: String

    var json: JSONValue {
      ["place": .string(place), "what": .string(what), "count": JSONValue(optional: count), "why": .string(why)]
    }
  }

  /// What came of it.
  public struct Report: Sendable {
    /// The RID under which it was erased.
    public var subject: String
    /// RIDs, AIDs and work keys of it.
    public var names: [String]
    /// True where nothing was changed.
    public var isDryRun: Bool
    /// True where only the objects were left to be removed, of an erasure that was interrupted.
    public var isFinishing: Bool
    /// What goes.
    public var removed: [Line]
    /// What stays.
    public var kept: [Line]
    /// Why objects are left, as a code; the same call again removes them.
    public var objectsLeft: String?

    /// As JSON.
    public var json: JSONValue {
      [
        "subject": .string(subject), "names": .array(names.map { .string($0) }), "dryRun": .bool(isDryRun),
        "finishing": .bool(isFinishing), "removed": .array(removed.map(\.json)), "kept": .array(kept.map(\.json)),
        "objectsLeft": JSONValue(objectsLeft),
      ]
    }
  }

  /// Erases the registration that a RID, an AID, a work key or a registration number leads to, with all changes of the same record.
  ///
  /// Blocks until the object store has done its part: call it on a thread of ours, with no transaction open.
  /// - Parameter isDryRun: tells what would go and what would stay, and changes nothing.
  /// - Throws: `OperationError` (`no-reason`, `unknown-rid`, `under-way`, `already-erased`), `PostgresError`.
  public func erase(_ name: String, by who: Operator, isDryRun: Bool = false, on connection: Connection) throws -> Report {
    if !isDryRun { try who.needsReason() }
    var (report, places) = try connection.transaction { try eraseRows(name, by: who, isDryRun: isDryRun, on: connection) }
    do {
      report.removed.insert(contentsOf: try isDryRun ? count(places) : remove(places, of: report.subject, connection), at: 0)
    } catch let error as ServiceError {
      report.objectsLeft = error.code
    }
    return report
  }

  // MARK: the database

  private func eraseRows(
    _ name: String, by who: Operator, isDryRun: Bool, on connection: Connection
  ) throws -> (Report, [ErasureScope.Place]) {
    guard let scope = try locked(name, connection) else {
      if let erased = try Erased.among([name], on: connection).first {
        return try finishing(erased, name, isDryRun, by: who, connection)
      }
      throw OperationError(
        .notFound, "unknown-rid", "no stage and no mediator has ever seen it. Is this the right database? (regproc journey NAME)")
    }
    let erased = try Erased.among(scope.names, on: connection)
    // A change that came after the rest was erased is erased as well.
    if let first = erased.first, erased.count == scope.names.count {
      return try finishing(first, scope.subject, isDryRun, by: who, connection)
    }
    try scope.checkEnded(connection)
    var (removed, kept): ([Line], [Line]) = ([], [])
    for step in ErasureSteps.all(scope) where try step.isThere(connection) {
      let line = Line(
        place: step.table, what: step.what, count: try step.count(isDryRun: isDryRun, by: who, connection), why: step.why)
      if line.count == 0 { continue }
      if step.change == nil { kept.append(line) } else { removed.append(line) }
    }
    let report = Report(
      subject: scope.subject, names: scope.names, isDryRun: isDryRun, isFinishing: false, removed: removed, kept: kept)
    if isDryRun { return (report, scope.places.sorted()) }
    try mark(scope, by: who, connection)
    let counted = removed.reduce(into: JSONObject()) { $0["\($1.place): \($1.what)"] = JSONValue(optional: $1.count) }
    try AuditTrail.note(
      Self.operation, of: scope.subject, by: who,
      details: ["names": .array(scope.names.map { .string($0) }), "removed": .object(counted)], on: connection)
    return (report, scope.places.sorted())
  }

  /// The scope, with the locks of its RIDs and the rows of its births, changes, events and work: nobody begins anything of it until the
  /// transaction ends.
  private func locked(_ name: String, _ connection: Connection) throws -> ErasureScope? {
    var scope = try ErasureScope.read(name, accounts: accounts, on: connection)
    var held: Set<String> = []
    while let found = scope {
      for rid in found.rids.subtracting(held).sorted() { try RIDLock.take(rid, on: connection) }
      held.formUnion(found.rids)
      _ = try connection.execute(
        """
        SELECT 1 FROM regproc.stage_record WHERE stage IN ('mosip-mediator', 'opencrvs-mediator')
          AND collection IN ('birth_transactions', 'change_transactions', 'events') AND key = ANY($1::text[])
        ORDER BY stage, collection, key FOR UPDATE
        """, [found.sortedKeys])
      // Of two at once the second one sees what the first one did.
      scope = try ErasureScope.read(name, accounts: accounts, on: connection)
      if scope == found { break }
    }
    return scope
  }

  private func mark(_ scope: ErasureScope, by who: Operator, _ connection: Connection) throws {
    _ = try connection.execute(
      """
      INSERT INTO regproc.erased (name, subject, author) SELECT name, $2, $3 FROM unnest($1::text[]) AS name ON CONFLICT DO NOTHING
      """, [.textArray(scope.names), .text(scope.subject), .text(String(who.name.prefix(256)))])
    let places = scope.places.sorted()
    _ = try connection.execute(
      """
      INSERT INTO regproc.erased_objects (subject, account, container) SELECT $1, account, container
      FROM unnest($2::text[], $3::text[]) AS p(account, container) ON CONFLICT DO NOTHING
      """, [.text(scope.subject), .textArray(places.map(\.account)), .textArray(places.map(\.container))])
  }

  /// What an interrupted erasure left; refused where that is nothing.
  private func finishing(
    _ erased: Erased, _ subject: String, _ isDryRun: Bool, by who: Operator, _ connection: Connection
  ) throws -> (Report, [ErasureScope.Place]) {
    let places = try connection.execute(
      "SELECT account, container FROM regproc.erased_objects WHERE subject = $1 ORDER BY account, container", [.text(subject)]
    ).map { ErasureScope.Place(account: try $0.text(0), container: try $0.text(1)) }
    guard !places.isEmpty else { throw OperationError(.conflict, "already-erased", erased.words + "; nothing was done") }
    if !isDryRun {
      try AuditTrail.note(
        Self.operation, of: subject, by: who, details: ["containersLeft": JSONValue(places.count)], on: connection)
    }
    return (
      Report(subject: subject, names: [], isDryRun: isDryRun, isFinishing: true, removed: [], kept: []), places
    )
  }

  // MARK: the objects

  private func count(_ places: [ErasureScope.Place]) throws -> [Line] {
    try lines(places) { objects, place in
      try await objects.keys(account: place.account, container: place.container, prefix: "").count
    }
  }

  /// Empties containers, one after another, and takes each off the note.
  private func remove(_ places: [ErasureScope.Place], of subject: String, _ connection: Connection) throws -> [Line] {
    try lines(places) { objects, place in
      let keys = try await objects.keys(account: place.account, container: place.container, prefix: "")
      for key in keys { try await objects.delete(account: place.account, container: place.container, key: key) }
      return keys.count
    } then: { place in
      _ = try connection.execute(
        "DELETE FROM regproc.erased_objects WHERE subject = $1 AND account = $2 AND container = $3",
        [.text(subject), .text(place.account), .text(place.container)])
    }
  }

  private func lines(
    _ places: [ErasureScope.Place], _ each: @escaping @Sendable (any ObjectStore, ErasureScope.Place) async throws -> Int,
    then: (ErasureScope.Place) throws -> Void = { _ in }
  ) throws -> [Line] {
    var counts: [String: Int] = [:]
    for place in places {
      let objects = objects
      counts[place.account, default: 0] += try blockingAwait { try await each(objects, place) }
      try then(place)
    }
    return counts.filter { $0.value > 0 }.sorted { $0.key < $1.key }.map {
      Line(place: "object store: \($0.key)", what: "objects", count: $0.value, why: "events and packets, sealed")
    }
  }

  // MARK: what it keeps others from

  /// Refuses work of what was erased.
  static func refuse(_ work: Work.Name, on connection: Connection) throws {
    let rows = try connection.execute(
      """
      SELECT e.name, e.erased_at, e.author FROM regproc.erased AS e WHERE position(e.name IN $1) > 0
        OR e.name = (SELECT coalesce(payload->>'rid', payload->>'instanceId', payload->>'key', payload->>'change',
          payload->>'transaction') FROM regproc.work WHERE stage = $2 AND kind = $3 AND key = $4)
        OR EXISTS (SELECT FROM regproc.stage_record AS r WHERE r.stage = 'opencrvs-mediator' AND r.collection = 'tokens'
          AND $4 = 'token:tokens:' || r.key AND r.document->>'aid' = e.name)
        OR EXISTS (SELECT FROM regproc.stage_record AS r JOIN regproc.hop AS h ON h.reference_id = r.document->>'requestId'
          WHERE r.stage = 'mosip-mediator' AND r.collection = 'credentials' AND position(r.key IN $4) = 1 AND h.rid = e.name)
      LIMIT 1
      """, [.text(work.text), .text(work.stage), .text(work.kind), .text(work.key)])
    guard let row = rows.first else { return }
    let erased = Erased(name: try row.text(0), at: try row.instant(1), author: try row.text(2))
    throw OperationError(.conflict, Erased.code, erased.words + ": nothing is left to do it with")
  }
}
