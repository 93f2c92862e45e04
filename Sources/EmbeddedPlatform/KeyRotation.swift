import Glibc
import Postgres
import StageKit
import System

/// Changes the sealing key of a database: makes a new one, makes it the current one, and seals all rows again with it. Running processes go
/// on meanwhile, with both keys. Killed, it goes on with the same key when it is called again.
public struct KeyRotation: Sendable {
  /// How far it is.
  public struct Progress: Sendable {
    /// Rows that were sealed again.
    public var done: Int
    /// Rows that there were to seal at the start.
    public var total: Int
  }

  /// How it ended.
  public struct Outcome: Sendable {
    /// The key that is current now.
    public var key: Int
    /// Whether this went on with what an earlier call had begun.
    public var isResumed: Bool
    /// Values that were sealed again.
    public var sealed: Int
  }

  private let folder: KeyFolder
  private let database: PostgresSettings
  private let settleSeconds: Double
  /// Whether all processes know the new key.
  private let isKnown: @Sendable () -> Bool

  /// - Parameter othersRun: whether processes may run on the database. They learn of the new key within seconds, and what they sealed
  ///   with the old one until then is sealed again.
  public init(_ folder: KeyFolder, database: PostgresSettings, othersRun: Bool = true) {
    self.init(folder, database: database, settleSeconds: othersRun ? SealingKeys.lookEvery * 2 + 2 : 0)
  }

  init(
    _ folder: KeyFolder, database: PostgresSettings, settleSeconds: Double, isKnown: @escaping @Sendable () -> Bool = { true }
  ) {
    self.isKnown = isKnown
    self.folder = folder
    self.database = database
    self.settleSeconds = settleSeconds
  }

  /// Does it.
  /// - Throws: RPR-KEY-005 when folder and database do not belong together, RPR-KEY-008 when another rotation is at work, RPR-KEY-009 when
  ///   values do not open; all others are sealed again then.
  public func run(
    on connection: Connection, _ progress: (Progress) throws -> Void = { _ in }
  ) throws -> Outcome {
    let keys = try KeyBinding.bind(folder, to: database, connection)
    let name = "SELECT pg_try_advisory_lock(hashtextextended('platform key rotation', 0))"
    guard try connection.execute(name).only().bool(0) else {
      throw ServiceError(.conflict, service: "key rotation", code: "RPR-KEY-008", "another rotation is at work on this database")
    }
    defer { _ = try? connection.execute("SELECT pg_advisory_unlock(hashtextextended('platform key rotation', 0))") }
    let (id, isResumed) = try announce(keys, connection)
    try keys.look(connection)
    var sweep = Sweep(sealer: Sealer(keys), id: id, total: try Self.count(otherThan: id, connection))
    try progress(sweep.progress)
    while true {
      let hasSettled = try self.hasSettled(id, connection)
      let before = sweep.done
      sweep.broken = 0
      try sweep.pass(connection, progress)
      let left = try Self.count(otherThan: id, connection)
      if hasSettled, left == 0 { break }
      if hasSettled, left == sweep.broken, before == sweep.done {
        throw ServiceError(
          .refused, service: "key rotation", code: "RPR-KEY-009",
          "\(left) values do not open and stay as they are; all others are sealed with key \(id)")
      }
      if sweep.done == before { usleep(200_000) }
    }
    _ = try connection.execute("UPDATE platform.sealing_key SET swept_at = now() WHERE id = $1", [.int(Int(id))])
    return Outcome(key: Int(id), isResumed: isResumed, sealed: sweep.done)
  }

  /// The key of a rotation that was begun and not ended; else a new one, which is on disk before anybody hears of it.
  private func announce(_ keys: SealingKeys, _ connection: Connection) throws -> (id: UInt32, isResumed: Bool) {
    let last = try connection.execute("SELECT id, swept_at IS NULL FROM platform.sealing_key WHERE is_current").only()
    let current = keys.current
    if current > 1, try last.bool(1) { return (current, true) }
    var id = current + 1
    // A value of before begins with a random nonce. One that looks like a value of the new key would be passed over.
    while try Self.isUsed(id, connection) { id += 1 }
    _ = try folder.secret(SealingKeys.name(id))
    let sealer = Sealer(keys)
    try connection.transaction {
      _ = try connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('platform sealing key', 0))")
      _ = try connection.execute("UPDATE platform.sealing_key SET is_current = false WHERE is_current")
      _ = try connection.execute(
        "INSERT INTO platform.sealing_key (id, is_current, check_value, hash_check) VALUES ($1, true, $2, $3)",
        [.int(Int(id)), .bytes(try sealer.checkValue(id)), .bytes(sealer.hashCheck)])
    }
    return (id, false)
  }

  private static func isUsed(_ id: UInt32, _ connection: Connection) throws -> Bool {
    if try !connection.execute("SELECT 1 FROM platform.sealing_key WHERE id = $1", [.int(Int(id))]).isEmpty { return true }
    return try SealedColumn.all.contains { column in
      try !connection.execute(
        "SELECT 1 FROM platform.\(column.table) WHERE substr(\(column.name), 1, \(Sealer.headerSize)) = $1 LIMIT 1",
        [.bytes(Sealer.header(id))]
      ).isEmpty
    }
  }

  private func hasSettled(_ id: UInt32, _ connection: Connection) throws -> Bool {
    guard isKnown() else { return false }
    return try connection.execute(
      "SELECT clock_timestamp() >= made_at + make_interval(secs => $2) FROM platform.sealing_key WHERE id = $1",
      [.int(Int(id)), .double(settleSeconds)]
    ).only().bool(0)
  }

  private static func count(otherThan id: UInt32, _ connection: Connection) throws -> Int {
    try SealedColumn.all.reduce(0) { sum, column in
      sum
        + (try connection.execute(
          "SELECT count(*) FROM platform.\(column.table) WHERE substr(\(column.name), 1, \(Sealer.headerSize)) <> $1",
          [.bytes(Sealer.header(id))]
        ).only().int(0))
    }
  }

  /// How many sealed values there are of each key; those of before, which name no key, under 0.
  static func counts(_ connection: Connection) throws -> [Int: Int] {
    var out: [Int: Int] = [:]
    for column in SealedColumn.all {
      let rows = try connection.execute(
        """
        SELECT substr(\(column.name), 1, \(Sealer.headerSize)), count(*) FROM platform.\(column.table)
        WHERE \(column.name) IS NOT NULL AND get_byte(\(column.name), 0) = \(Sealer.header(0)[0]) GROUP BY 1
        UNION ALL
        SELECT ''::bytea, count(*) FROM platform.\(column.table)
        WHERE \(column.name) IS NOT NULL AND get_byte(\(column.name), 0) <> \(Sealer.header(0)[0])
        """)
      for row in rows where try row.int(1) > 0 {
        let id = try row.bytes(0).dropFirst().reduce(0) { $0 << 8 | Int($1) }
        out[id, default: 0] += try row.int(1)
      }
    }
    return out
  }
}

/// Goes over all sealed columns and seals again what is not sealed with one key.
private struct Sweep {
  let sealer: Sealer
  let id: UInt32
  let total: Int
  var done = 0
  /// Values of this pass that do not open.
  var broken = 0

  var progress: KeyRotation.Progress { KeyRotation.Progress(done: done, total: max(total, done)) }

  mutating func pass(_ connection: Connection, _ progress: (KeyRotation.Progress) throws -> Void) throws {
    for column in SealedColumn.all {
      var last: [[UInt8]]?
      repeat {
        last = try connection.transaction { try batch(column, after: last, connection) }
        try progress(self.progress)
      } while last != nil
    }
  }

  /// Rows of a batch: few where values are large, and few free UINs, which whoever needs one passes over while they are locked.
  private static func size(_ column: SealedColumn) -> Int {
    switch column {
    case .draftDocument, .identityDocument: 10
    case .uin: 25
    default: 200
    }
  }

  /// One batch; returns the key of its last row, or nil when there are no more. What somebody else holds is left to the next pass, so that
  /// nobody waits for anybody with locks in hand.
  private mutating func batch(_ column: SealedColumn, after last: [[UInt8]]?, _ connection: Connection) throws -> [[UInt8]]? {
    let places = column.key.indices.map { "$\($0 + 2)" }.joined(separator: ", ")
    let rows = try connection.execute(
      """
      SELECT \(column.name), \(column.keyList) FROM platform.\(column.table)
      WHERE substr(\(column.name), 1, \(Sealer.headerSize)) <> $1 \(last == nil ? "" : "AND (\(column.keyList)) > (\(places))")
      ORDER BY \(column.keyList) LIMIT \(Self.size(column)) FOR UPDATE SKIP LOCKED
      """, [.bytes(Sealer.header(id))] + (last.map { column.parameters($0) } ?? []))
    let condition = column.key.enumerated().map { "\($1.name) = $\($0 + 2)" }.joined(separator: " AND ")
    var end: [[UInt8]]?
    for row in rows {
      let place = SealedPlace(column: column, key: try column.key(of: row, from: 1))
      end = place.key
      guard let plaintext = try? sealer.open(try row.bytes(0), in: place) else {
        broken += 1
        continue
      }
      _ = try connection.execute(
        "UPDATE platform.\(column.table) SET \(column.name) = $1 WHERE \(condition)",
        [.bytes(try sealer.seal(plaintext, in: place, with: id))] + column.parameters(place.key))
      done += 1
    }
    return end
  }
}
