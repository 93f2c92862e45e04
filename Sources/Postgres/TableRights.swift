/// What somebody may do with a table's rows. Nobody who only works with rows may change tables.
public struct TableRights: Sendable, Hashable {
  /// What can be done with rows.
  public enum Right: String, Sendable, Hashable, CaseIterable {
    case select = "SELECT"
    case insert = "INSERT"
    case update = "UPDATE"
    case delete = "DELETE"
  }

  /// The table or view with its schema, e.g. `regproc.hop`.
  public var table: String
  /// What may be done with its rows.
  public var rights: Set<Right>
  /// The only columns that may be read, when the table as a whole may not: those by which a repeated insert is known.
  public var readableColumns: [String]

  /// Rights on a table.
  public init(_ table: String, _ rights: Set<Right>, readableColumns: [String] = []) {
    self.table = table
    self.rights = rights
    self.readableColumns = readableColumns
  }

  /// The schema of the table.
  public var schema: String { String(table.prefix { $0 != "." }) }

  /// As GRANT takes them, e.g. `SELECT, INSERT`.
  public var grant: String {
    let columns = readableColumns.map { "\"\($0)\"" }.joined(separator: ", ")
    let words = Right.allCases.filter(rights.contains).map(\.rawValue)
    return (words + (columns.isEmpty ? [] : ["SELECT (\(columns))"])).joined(separator: ", ")
  }

  /// Reading alone.
  public var reading: TableRights { TableRights(table, [.select]) }
}
