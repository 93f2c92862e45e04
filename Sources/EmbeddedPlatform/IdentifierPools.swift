import Postgres
import Registration
import StageKit
import System

/// UINs and VIDs made ahead: one statement takes one, and what was made once is never made again, whoever asks and whatever is killed.
///
/// Numbers are made in transactions of their own, one filler at a time among all processes, so that those who find a pool empty wait for
/// one fill and not for as many as there are of them. A number carries the mark of the settings it was made by and is given out under
/// these alone: processes with old and new settings may run side by side.
struct IdentifierPools: Sendable {
  /// Which pool.
  enum Kind: String, Sendable, CaseIterable {
    case uin
    case vid
  }

  /// A pool has nothing to give. The transaction that wanted it must end before the pool can be filled.
  struct Empty: Error {
    let kind: Kind
    var passed = Passed()
  }

  /// Free numbers that were passed over.
  struct Passed: Sendable {
    /// Those that open nowhere, by their hashes.
    var unopened: [[UInt8]] = []
    /// The keys that other processes have and this one lacks.
    var keys: [UInt32] = []

    fileprivate var headers: Value { .bytesArray(keys.map { Sealer.header($0) }) }
  }

  private let sealer: Sealer
  private let rules: IdentifierRules
  private let marks: [Kind: String]
  private let log = Log("identifiers")
  /// The most numbers that one transaction makes: what somebody who finds the pool empty waits for.
  private static let chunk = 2000

  init(sealer: Sealer, rules: IdentifierRules) {
    self.sealer = sealer
    self.rules = rules
    marks = [.uin: rules.uin.filter.mark, .vid: rules.vid.filter.mark]
  }

  /// Takes a UIN in the caller's transaction. Rolled back, it is free again and nobody has seen it. One that does not open is passed over.
  /// - Throws: `Empty`.
  func takeUIN(_ connection: Connection) throws -> (hash: [UInt8], uin: String) {
    var passed = Passed()
    while passed.unopened.count < Self.chunk, let (hash, sealed) = try nextUIN(passed, connection) {
      do {
        let uin = try sealer.open(sealed, in: SealedColumn.uin.row(hash), of: connection)
        if !passed.unopened.isEmpty { tellUnopened(passed.unopened.count) }
        return (hash, String(decoding: uin, as: UTF8.self))
      } catch let fault as Unopened {
        if fault.isForAll {
          passed.unopened.append(hash)
          try setAside([hash], connection)
        } else {
          try pass(over: hash, sealed, fault, connection)
          passed.keys += Sealer.id(of: sealed).map { [$0] } ?? []
        }
      }
    }
    throw Empty(kind: .uin, passed: passed)
  }

  /// The oldest free UIN, which is taken by this.
  private func nextUIN(_ passed: Passed, _ connection: Connection) throws -> (hash: [UInt8], sealed: [UInt8])? {
    try connection.execute(
      """
      UPDATE platform.uin SET is_free = false
      WHERE uin_hash = (
        SELECT uin_hash FROM platform.uin WHERE is_free AND rules = $1 AND \(Self.isOfOtherKeys("$2"))
        ORDER BY made_at LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING uin_hash, sealed
      """, [mark(.uin), passed.headers]
    ).first.map { (try $0.bytes(0), try $0.bytes(1)) }
  }

  /// Not sealed with one of the keys whose headers are this parameter.
  private static func isOfOtherKeys(_ parameter: String) -> String {
    "substring(sealed FROM 1 FOR \(Sealer.headerSize)) <> ALL (\(parameter)::bytea[])"
  }

  /// It stays free for processes that have its key.
  private func pass(over hash: [UInt8], _ sealed: [UInt8], _ fault: Unopened, _ connection: Connection) throws {
    guard fault.code == "RPR-KEY-006" else {
      throw ServiceError(.unavailable, service: "UIN generator", code: fault.code, fault.message)
    }
    log.warning("this process cannot open some free UINs, and takes others", ["code": fault.code, "error": fault.message])
    _ = try connection.execute("UPDATE platform.uin SET is_free = true WHERE uin_hash = $1", [.bytes(hash)])
  }

  /// Sees to it that nobody comes upon what was passed over in a transaction that did not succeed.
  func setAside(_ passed: Passed, _ connection: Connection) throws {
    guard !passed.unopened.isEmpty else { return }
    try setAside(passed.unopened, connection)
    tellUnopened(passed.unopened.count)
  }

  private func setAside(_ hashes: [[UInt8]], _ connection: Connection) throws {
    _ = try connection.execute(
      "UPDATE platform.uin SET is_free = false, unopened_at = now() WHERE uin_hash = ANY ($1::bytea[])", [.bytesArray(hashes)])
  }

  private func tellUnopened(_ count: Int) {
    log.error(
      "free UINs do not open: they are set aside, and given to nobody (docs/keys.md)",
      ["code": "RPR-KEY-007", "count": count])
  }

  /// Takes a VID for the holder of a UIN in the caller's transaction, as `takeUIN`.
  /// - Throws: `Empty`.
  func takeVID(_ connection: Connection, owner: [UInt8], type: String) throws -> String {
    let rows = try connection.execute(
      """
      UPDATE platform.vid SET is_free = false, uin_hash = $1, type = $2, status = 'ACTIVE', given_at = now()
      WHERE vid = (SELECT vid FROM platform.vid WHERE is_free AND rules = $3 ORDER BY made_at LIMIT 1 FOR UPDATE SKIP LOCKED)
      RETURNING vid
      """, [.bytes(owner), .text(type), mark(.vid)])
    guard let row = rows.first else { throw Empty(kind: .vid) }
    return try row.text(0)
  }

  /// Makes numbers when only a quarter of a fill is left, as many as settings say, unless another process is at it. Outside of any
  /// transaction.
  func fillAhead(_ connection: Connection) throws {
    for kind in Kind.allCases {
      let fill = size(kind)
      guard try isBelow(fill / 4, kind, connection) else { continue }
      var isFirst = true
      while try add(min(fill, Self.chunk), kind, ifBelow: isFirst ? fill / 4 : fill, turn: .onlyIfFree, connection) {
        isFirst = false
      }
    }
  }

  /// Makes numbers for somebody who found the pool empty: few, so that the wait is short. Outside of any transaction.
  /// - Returns: false when there are free ones, which others have in hand just now.
  func fillEmpty(_ empty: Empty, _ connection: Connection) throws -> Bool {
    let count = min(size(empty.kind), Self.chunk)
    do {
      return try add(count, empty.kind, ifBelow: 1, passed: empty.passed, turn: .waits, connection)
    } catch let error as PostgresError where error.isLockTimeout {
      // Whoever fills has stopped in the midst of it. Numbers of one's own are as good as his.
      return try add(count, empty.kind, ifBelow: 1, passed: empty.passed, turn: .none, connection)
    }
  }

  private func size(_ kind: Kind) -> Int { kind == .uin ? rules.uinFill : rules.vidFill }
  private func mark(_ kind: Kind) -> Value { .text(marks[kind] ?? "") }

  private func isBelow(_ few: Int, _ kind: Kind, passed: Passed = Passed(), _ connection: Connection) throws -> Bool {
    let isOpen = kind == .uin ? Self.isOfOtherKeys("$3") : "cardinality($3::bytea[]) = 0"
    return try connection.execute(
      "SELECT count(*) FROM (SELECT 1 FROM platform.\(kind.rawValue) WHERE is_free AND rules = $1 AND \(isOpen) LIMIT $2) AS s",
      [mark(kind), .int(few), passed.headers]
    ).only().int(0) < few
  }

  /// How a filler stands to others.
  private enum Turn {
    /// Waits until no other process fills this pool.
    case waits
    /// Fills only when no other process does.
    case onlyIfFree
    /// Minds nobody.
    case none
  }

  /// Makes so many numbers in a transaction of its own.
  /// - Returns: false, and nothing is made, when there are enough by now, or somebody else makes them.
  private func add(
    _ count: Int, _ kind: Kind, ifBelow few: Int, passed: Passed = Passed(), turn: Turn, _ connection: Connection
  ) throws -> Bool {
    try connection.transaction {
      // A fill takes some ten milliseconds.
      _ = try connection.execute("SELECT set_config('lock_timeout', '3000', true)")
      let name = [Value.text("identifier pool " + kind.rawValue)]
      switch turn {
      case .waits: _ = try connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", name)
      case .onlyIfFree:
        let isFree = try connection.execute("SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))::int", name)
        guard try isFree.only().int(0) == 1 else { return false }
      case .none: break
      }
      guard try isBelow(few, kind, passed: passed, connection) else { return false }
      // What was made before, by whatever settings, is not made again.
      let made: Rows
      switch kind {
      case .uin:
        let fresh = try Self.named("UIN generator") { () throws(IdentifierError) in try rules.uin.generate(count: count) }
        let hashes = fresh.map { sealer.hash($0) }
        made = try connection.execute(
          """
          INSERT INTO platform.uin (uin_hash, sealed, rules) SELECT hash, sealed, $3 FROM unnest($1::bytea[], $2::bytea[]) AS f(hash, sealed)
          ON CONFLICT DO NOTHING RETURNING 1
          """,
          [
            .bytesArray(hashes),
            .bytesArray(try zip(fresh, hashes).map { try sealer.seal(Array($0.utf8), in: SealedColumn.uin.row($1)) }),
            mark(kind),
          ])
      case .vid:
        let fresh = try Self.named("VID generator") { () throws(IdentifierError) in try rules.vid.generate(count: count) }
        made = try connection.execute(
          "INSERT INTO platform.vid (vid, rules) SELECT vid, $2 FROM unnest($1::text[]) AS f(vid) ON CONFLICT DO NOTHING RETURNING 1",
          [.textArray(fresh), mark(kind)])
      }
      if made.isEmpty { throw Self.exhausted(kind == .uin ? "UIN generator" : "VID generator", "all there are were made before") }
      return true
    }
  }

  private static func named<T>(_ service: String, _ body: () throws(IdentifierError) -> T) throws -> T {
    do { return try body() } catch { throw exhausted(service, "its filters leave too few numbers to find one") }
  }

  static func exhausted(_ service: String, _ why: String) -> ServiceError {
    ServiceError(.refused, service: service, code: service.hasPrefix("UIN") ? "KER-UIG-001" : "KER-VID-001", why)
  }
}
