import Postgres
import StageKit
import System

/// Keeps a key folder and a database together: check values in the database open with the keys of its own folder alone. Without them an
/// empty or foreign folder would get new keys in silence, and a person a second UIN.
enum KeyBinding {
  /// The keys of a folder for a database whose migrations are applied. The first start on an empty database makes the keys and the check
  /// values; on a database of an earlier version its sealed rows must open first.
  /// - Throws: RPR-KEY-005 when folder and database do not belong together: nothing is made or written then.
  static func bind(_ folder: KeyFolder, to database: PostgresSettings, _ connection: Connection) throws -> SealingKeys {
    try connection.transaction {
      // Of two first starts the second finds what the first one wrote; with another folder it is refused and makes no key.
      _ = try connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('platform sealing key', 0))")
      let foreign = foreign(folder, database)
      let rows = try connection.execute("SELECT id, is_current, check_value, hash_check FROM platform.sealing_key ORDER BY id")
      if rows.isEmpty { return try first(folder, foreign, connection) }
      guard let keys = try SealingKeys(existingIn: folder) else { throw foreign }
      let sealer = Sealer(keys)
      for row in rows {
        guard let id = UInt32(exactly: try row.int(0)), try row.bytes(3) == sealer.hashCheck else { throw foreign }
        if try keys.key(id) == nil {
          // The file of an old key may be gone, once no row needs it.
          if try row.bool(1) { throw SealingKeys.missing(id, folder) }
          continue
        }
        guard sealer.isOwn(checkValue: try row.bytes(2), of: id) else { throw foreign }
      }
      try keys.look(connection)
      return keys
    }
  }

  private static func first(_ folder: KeyFolder, _ foreign: ServiceError, _ connection: Connection) throws -> SealingKeys {
    let samples = try SealedColumn.all.map { ($0, try mayRead($0, connection) ? try sample($0, connection) : []) }
    let isNew = samples.allSatisfy { $0.1.isEmpty }
    let keys: SealingKeys
    if isNew {
      keys = try SealingKeys(making: folder)
    } else {
      guard let existing = try SealingKeys(existingIn: folder), try existing.key(1) != nil else { throw foreign }
      keys = existing
      let sealer = Sealer(keys)
      for (column, values) in samples {
        for (key, value) in values {
          guard let plaintext = try? sealer.open(value, in: SealedPlace(column: column, key: key)) else { throw foreign }
          let isUIN = column == .uin || column == .identityUIN
          if isUIN, sealer.hash(String(decoding: plaintext, as: UTF8.self)) != key[0] { throw foreign }
        }
      }
    }
    let sealer = Sealer(keys)
    _ = try connection.execute(
      """
      INSERT INTO platform.sealing_key (id, is_current, check_value, hash_check, swept_at)
      VALUES (1, true, $1, $2, CASE WHEN $3 THEN now() END)
      """, [.bytes(try sealer.checkValue(1)), .bytes(sealer.hashCheck), .bool(isNew)])
    try keys.look(connection)
    return keys
  }

  /// Whether this process' role may look into a column. The role of OpenCRVS' side may not, and may be the first on a new database: a table that
  /// takes no space has never had a row.
  /// - Throws: RPR-KEY-012 when there may be rows: whoever may see them has to come first.
  private static func mayRead(_ column: SealedColumn, _ connection: Connection) throws -> Bool {
    let table = try connection.execute(
      """
      SELECT has_table_privilege(c.oid, 'SELECT'), pg_relation_size(c.oid) = 0 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname = 'platform' AND c.relname = $1
      """, [.text(column.table)]
    ).only()
    if try table.bool(0) { return true }
    guard try table.bool(1) else {
      throw ServiceError(
        .unavailable, service: "key folder", code: "RPR-KEY-012",
        "this database is of an earlier version, and this process' role may not see which keys its rows are sealed with: a process of MOSIP's "
          + "side has to start first")
    }
    return false
  }

  /// Some rows of a column, from both ends of its key.
  private static func sample(_ column: SealedColumn, _ connection: Connection) throws -> [(key: [[UInt8]], value: [UInt8])] {
    try ["ASC", "DESC"].flatMap { order in
      try connection.execute(
        """
        SELECT \(column.name), \(column.keyList) FROM platform.\(column.table) WHERE \(column.name) IS NOT NULL
        ORDER BY \(column.key.map { "\($0.name) \(order)" }.joined(separator: ", ")) LIMIT 8
        """
      ).map { (try column.key(of: $0, from: 1), try $0.bytes(0)) }
    }
  }

  private static func foreign(_ folder: KeyFolder, _ database: PostgresSettings) -> ServiceError {
    ServiceError(
      .refused, service: "key folder", code: "RPR-KEY-005",
      "the keys in \(folder.folder) are not those of \(database): use the data folder that belongs to this database, or another "
        + "database; nothing was made or changed (docs/keys.md)")
  }
}

extension SealedColumn {
  /// The columns of the key, for a statement.
  var keyList: String { key.map(\.name).joined(separator: ", ") }

  /// The key of a row whose columns from one on are the key's.
  func key(of row: Row, from start: Int) throws -> [[UInt8]] {
    try key.enumerated().map { place, part in
      part.isBytes ? try row.bytes(Column(start + place)) : Array(try row.text(Column(start + place)).utf8)
    }
  }

  /// A key as parameters of a statement.
  func parameters(_ values: [[UInt8]]) -> [Value] {
    zip(key, values).map { $0.isBytes ? .bytes($1) : .text(String(decoding: $1, as: UTF8.self)) }
  }
}
