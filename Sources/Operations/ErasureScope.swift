import Postgres
import StageKit
import StageRuntime

/// All names that one person's registration goes by, with its changes: what is found by them is erased together.
struct ErasureScope: Sendable, Equatable {
  /// The name it is kept under: the RID of the birth or packet, else the AID of the first change, else a work key.
  var subject = ""
  /// RIDs of births and packets, AIDs of changes.
  var rids: Set<String> = []
  /// Work keys of births and changes on either side.
  var keys: Set<String> = []
  /// Registration numbers, by their kind (`BRN`, `DRN`).
  var numbers: Set<Number> = []
  /// Keys of credential events.
  var credentials: Set<String> = []
  /// Ids of credential requests.
  var requests: Set<String> = []
  /// Where something of it may be in the object store.
  var places: Set<Place> = []

  /// A registration number.
  struct Number: Sendable, Hashable {
    var kind: String
    var text: String
  }

  /// A container of the object store.
  struct Place: Sendable, Hashable, Comparable {
    var account: String
    var container: String

    static func < (a: Place, b: Place) -> Bool { (a.account, a.container) < (b.account, b.container) }
  }

  /// What markers are written for.
  var names: [String] { rids.union(keys).sorted() }
  var sortedRids: Value { .textArray(rids.sorted()) }
  var sortedKeys: Value { .textArray(keys.sorted()) }
  /// What records of tokens and numbers are keyed by.
  var births: [String] { numbers.filter { $0.kind == "BRN" }.map(\.text).sorted() }

  /// What a RID, an AID, a work key or a registration number leads to; nil when nothing does.
  static func read(_ name: String, accounts: ErasureAccounts, on connection: Connection) throws -> ErasureScope? {
    guard let view = try RegistrationView.read(name, on: connection) else { return nil }
    var scope = ErasureScope()
    scope.rids = Set(([view.record.rid] + view.record.changes.flatMap { [$0.aid, $0.subjectRid] }).compactMap { $0 })
    scope.keys = Set(view.record.changes.map(\.key))
    // Each round follows names that the one before found; a record has few.
    for _ in 0..<16 {
      let before = scope
      try scope.follow(connection)
      if scope == before { break }
    }
    try scope.findCredentials(connection)
    scope.subject = try scope.birthRID(connection) ?? view.record.rid ?? scope.rids.min() ?? scope.keys.min() ?? name
    try scope.findPlaces(accounts, connection)
    return scope
  }

  private mutating func take(_ rows: Rows) throws {
    for row in rows {
      if let key = try row.textOrNull(0) { keys.insert(key) }
      rids.formUnion([try row.textOrNull(1), try row.textOrNull(2)].compactMap { $0 }.filter { !$0.isEmpty })
      if let number = try row.textOrNull(3), !number.isEmpty {
        numbers.insert(Number(kind: try row.textOrNull(4) ?? "BRN", text: number))
      }
    }
  }

  private var numberValues: [Value] {
    let all = numbers.sorted { ($0.kind, $0.text) < ($1.kind, $1.text) }
    return [.textArray(all.map(\.kind)), .textArray(all.map(\.text))]
  }

  /// Follows what the mediators keep, by its indexes: a RID's owner, births and changes, events, and registration numbers.
  private mutating func follow(_ connection: Connection) throws {
    try take(
      try connection.execute(
        """
        SELECT k.key, o.document->>'supersededBy', NULL, NULL, NULL FROM regproc.stage_record AS o
        CROSS JOIN LATERAL unnest(ARRAY[o.document->>'txnId', o.document->>'birth']) AS k(key)
        WHERE o.stage = 'mosip-mediator' AND o.collection = 'rids' AND o.key = ANY($1::text[])
        """, [sortedRids]))
    try take(
      try connection.execute(
        """
        SELECT key, document->>'rid', NULL, document->>'registrationNumber', 'BRN' FROM regproc.stage_record
        WHERE stage = 'mosip-mediator' AND collection = 'birth_transactions' AND key = ANY($1::text[])
        """, [sortedKeys]))
    try take(
      try connection.execute(
        """
        SELECT key, document->>'rid', document->>'subjectRid', document->>'registrationNumber', document->>'numberKind'
        FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'change_transactions'
          AND (key = ANY($1::text[]) OR document->>'rid' = ANY($2::text[]) OR document->>'subjectRid' = ANY($2::text[]))
        """, [sortedKeys, sortedRids]))
    try take(
      try connection.execute(
        """
        SELECT NULL, former.rid, NULL, NULL, NULL FROM regproc.stage_record
        CROSS JOIN LATERAL jsonb_array_elements_text(document->'formerRids') AS former(rid)
        WHERE stage = 'mosip-mediator' AND collection IN ('birth_transactions', 'change_transactions') AND key = ANY($1::text[])
          AND jsonb_typeof(document->'formerRids') = 'array'
        """, [sortedKeys]))
    try take(
      try connection.execute(
        """
        SELECT r.key, r.document->>'rid', r.document->>'subjectRid', NULL, NULL
        FROM unnest($1::text[], $2::text[]) AS n(kind, number) JOIN regproc.stage_record AS r ON r.stage = 'mosip-mediator'
          AND r.collection = 'change_transactions' AND r.document->>'registrationNumber' = n.number
          AND r.document->>'numberKind' = n.kind
        """, numberValues))
    try take(
      try connection.execute(
        """
        SELECT document->>'txnId', NULL, NULL, NULL, NULL FROM regproc.stage_record
        WHERE stage = 'mosip-mediator' AND collection = 'registration_numbers' AND key IN
          (SELECT unnest(ARRAY[number, encode(sha256(convert_to(number, 'UTF8')), 'hex')]) FROM unnest($1::text[]) AS number)
          AND EXISTS (SELECT FROM regproc.stage_record AS b WHERE b.stage = 'mosip-mediator' AND b.collection = 'birth_transactions'
            AND b.key = stage_record.document->>'txnId')
        """, [.textArray(births)]))
    try take(
      try connection.execute(
        """
        SELECT key, document->>'aid', NULL, document->>'registrationNumber', document->>'numberKind' FROM regproc.stage_record
        WHERE stage = 'opencrvs-mediator' AND collection = 'events' AND (key = ANY($1::text[]) OR document->>'aid' = ANY($2::text[]))
        UNION ALL
        SELECT r.key, r.document->>'aid', NULL, NULL, NULL FROM unnest($3::text[], $4::text[]) AS n(kind, number)
        JOIN regproc.stage_record AS r ON r.stage = 'opencrvs-mediator' AND r.collection = 'events'
          AND r.document->>'registrationNumber' = n.number AND r.document->>'numberKind' = n.kind
        """, [sortedKeys, sortedRids] + numberValues))
  }

  private mutating func findCredentials(_ connection: Connection) throws {
    requests = Set(
      try connection.execute(
        "SELECT DISTINCT reference_id FROM regproc.hop WHERE rid = ANY($1::text[]) AND reference_id IS NOT NULL", [sortedRids]
      ).map { try $0.text(0) })
    credentials = Set(
      try connection.execute(
        """
        SELECT key FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'credentials'
          AND document->>'requestId' = ANY($1::text[])
        """, [.textArray(requests.sorted())]
      ).map { try $0.text(0) })
  }

  private func birthRID(_ connection: Connection) throws -> String? {
    try connection.execute(
      """
      SELECT document->>'rid' FROM regproc.stage_record WHERE stage = 'mosip-mediator' AND collection = 'birth_transactions'
        AND key = ANY($1::text[]) AND document->>'rid' IS NOT NULL ORDER BY created_at, key LIMIT 1
      """, [sortedKeys]
    ).first?.text(0)
  }

  /// A container, named as the mediators name them, in SQL: a work key, or its SHA-256 where it is not plain.
  static let container = "CASE WHEN key ~ '^[A-Za-z0-9-]{1,64}$' THEN key ELSE encode(sha256(convert_to(key, 'UTF8')), 'hex') END"

  /// The containers.
  private mutating func findPlaces(_ accounts: ErasureAccounts, _ connection: Connection) throws {
    let container = Self.container
    let events = try connection.execute(
      """
      SELECT coalesce(document->>'container', \(container)) FROM regproc.stage_record
      WHERE stage = 'opencrvs-mediator' AND collection = 'events' AND key = ANY($1::text[])
      """, [sortedKeys]
    ).map { Place(account: accounts.openCRVSEvents, container: try $0.text(0)) }
    let credentialEvents = try connection.execute(
      "SELECT \(container) FROM unnest($1::text[]) AS c(key)", [.textArray(credentials.sorted())]
    ).map { Place(account: accounts.mosipEvents, container: ObjectAccounts.credentials + (try $0.text(0))) }
    places = Set(events + credentialEvents)
    for rid in rids { places.formUnion(accounts.byRID.map { Place(account: $0, container: rid) }) }
  }
}

/// The accounts of the object store in which something of a registration may be.
public struct ErasureAccounts: Sendable, Hashable {
  var openCRVSEvents = ObjectAccounts.openCRVSEvents
  var mosipEvents = ObjectAccounts.mosipEvents
  /// Packets as clients uploaded them, and as stages read them.
  var landingZones: [String]
  var packetStores: [String]
  /// Those whose containers are RIDs.
  var byRID: [String]

  /// The accounts by the settings of the stages, those of the environment before those of their files.
  public init(_ stages: [StageDefinition] = [], environment: [String: String] = [:]) {
    func given(_ setting: String, of plugins: [String], _ usual: String) -> [String] {
      let found = stages.filter { plugins.contains($0.plugin) }.map { file -> String in
        if let text = environment[StageSettings.variable(setting, of: file.name)] { return text }
        guard case .text(let text) = file.settings[setting] else { return usual }
        return text
      }
      return found.isEmpty ? [usual] : found
    }
    let zones = given("landing-zone-account", of: ["packet-receiver", "packet-uploader"], ObjectAccounts.landingZone)
    let stores = given("packet-account", of: ["packet-uploader"], ObjectAccounts.packetStore)
    (landingZones, packetStores) = (Set(zones).sorted(), Set(stores).sorted())
    byRID = Set([ObjectAccounts.mosipEvents, ObjectAccounts.packetsBeforeUpload] + zones + stores).sorted()
  }
}
