import CPQ
import System

/// The result of a statement: its rows, or how many rows it changed.
public struct Rows: Sendable, RandomAccessCollection {
  /// Owns libpq's result.
  private final class Storage: @unchecked Sendable {
    // Safe to share: a PGresult is read-only once made and may be read by several threads (libpq, "Behavior in Threaded
    // Programs"); it is freed when nobody holds it any more.
    let result: OpaquePointer
    let columns: [String: Int32]

    init(_ result: OpaquePointer) {
      self.result = result
      var columns: [String: Int32] = [:]
      for i in 0..<PQnfields(result) {
        let name = String(cString: PQfname(result, i))
        if columns[name] == nil { columns[name] = i }
      }
      self.columns = columns
    }
    deinit { PQclear(result) }
  }

  private let storage: Storage
  /// How many rows there are.
  public let endIndex: Int

  /// Takes over a result that succeeded.
  init(_ result: OpaquePointer) {
    storage = Storage(result)
    endIndex = Int(PQntuples(result))
  }

  /// 0.
  public var startIndex: Int { 0 }
  /// The row at a position.
  public subscript(position: Int) -> Row {
    precondition(position >= 0 && position < endIndex, "row \(position) of \(endIndex)")
    return Row(rows: self, index: Int32(position))
  }

  /// How many rows an insert, update or delete changed, or a select returned.
  public var affected: Int { Int(String(cString: PQcmdTuples(storage.result))) ?? 0 }

  /// The names of the columns in order.
  public var columns: [String] {
    (0..<PQnfields(storage.result)).map { String(cString: PQfname(storage.result, $0)) }
  }

  /// The only row. Throws `.misuse` when there is not exactly one.
  public func only() throws -> Row {
    guard count == 1 else { throw PostgresError(.misuse, "one row was expected, there are \(count)") }
    return self[0]
  }

  fileprivate func position(_ column: Column) throws -> Int32 {
    switch column.kind {
    case .name(let name):
      guard let position = storage.columns[name] else {
        throw PostgresError(.misuse, "the result has no column \(name)")
      }
      return position
    case .index(let index):
      guard index >= 0, index < Int(PQnfields(storage.result)) else {
        throw PostgresError(.misuse, "the result has no column \(index)")
      }
      return Int32(index)
    }
  }

  fileprivate func bytes(_ row: Int32, _ column: Int32) -> UnsafeRawBufferPointer? {
    guard PQgetisnull(storage.result, row, column) == 0 else { return nil }
    return UnsafeRawBufferPointer(
      start: PQgetvalue(storage.result, row, column), count: Int(PQgetlength(storage.result, row, column)))
  }

  fileprivate func type(_ column: Int32) -> Oid { PQftype(storage.result, column) }
}

/// A column of a result, by its name or by its position from 0; both can be written as literals.
public struct Column: Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
  fileprivate enum Kind: Sendable {
    case name(String)
    case index(Int)
  }
  fileprivate let kind: Kind

  /// A column by name.
  public init(_ name: String) { kind = .name(name) }
  /// A column by position, from 0.
  public init(_ index: Int) { kind = .index(index) }
  /// A column by name.
  public init(stringLiteral value: String) { kind = .name(value) }
  /// A column by position, from 0.
  public init(integerLiteral value: Int) { kind = .index(value) }

  fileprivate var label: String {
    switch kind {
    case .name(let name): name
    case .index(let index): String(index)
    }
  }
}

/// One row of a result. All getters throw `PostgresError` with `.misuse` for a column that is not there, and `.typeMismatch`
/// for one whose value is of another type; those without `OrNull` also for a null. No message quotes the value.
public struct Row: Sendable {
  fileprivate let rows: Rows
  fileprivate let index: Int32

  /// True when the column is null.
  public func isNull(_ column: Column) throws -> Bool { try rows.bytes(index, rows.position(column)) == nil }

  /// The value as text, of a column of any type.
  public func text(_ column: Column) throws -> String { try present(textOrNull(column), column) }
  /// The value as text, of a column of any type, or nil for null.
  public func textOrNull(_ column: Column) throws -> String? {
    try rows.bytes(index, rows.position(column)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// An integer.
  public func int(_ column: Column) throws -> Int { try present(intOrNull(column), column) }
  /// An integer, or nil for null.
  public func intOrNull(_ column: Column) throws -> Int? { try read(column, "an integer") { Int(asciiText($0)) } }

  /// A number.
  public func double(_ column: Column) throws -> Double { try present(doubleOrNull(column), column) }
  /// A number, or nil for null.
  public func doubleOrNull(_ column: Column) throws -> Double? {
    try read(column, "a number") { Double(asciiText($0)) }
  }

  /// A truth value.
  public func bool(_ column: Column) throws -> Bool { try present(boolOrNull(column), column) }
  /// A truth value, or nil for null.
  public func boolOrNull(_ column: Column) throws -> Bool? {
    try read(column, "a boolean", types: [16]) { $0.first == UInt8(ascii: "t") }
  }

  /// The bytes of a `bytea`.
  public func bytes(_ column: Column) throws -> [UInt8] { try present(bytesOrNull(column), column) }
  /// The bytes of a `bytea`, or nil for null.
  public func bytesOrNull(_ column: Column) throws -> [UInt8]? {
    try read(column, "bytes", types: [17]) { $0.starts(with: [0x5c, 0x78]) ? fromHex($0.dropFirst(2)) : nil }
  }

  /// A moment, of a `timestamptz`, a `timestamp` (taken as UTC) or a `date` (its midnight in UTC); cut to milliseconds.
  public func instant(_ column: Column) throws -> Instant { try present(instantOrNull(column), column) }
  /// A moment, or nil for null.
  public func instantOrNull(_ column: Column) throws -> Instant? {
    try read(column, "a moment", types: [1184, 1114, 1082]) { postgresInstant($0) }
  }

  /// The elements of a one-dimensional array, each as text.
  public func textArray(_ column: Column) throws -> [String?] { try present(textArrayOrNull(column), column) }
  /// The elements of a one-dimensional array, each as text, or nil for null.
  public func textArrayOrNull(_ column: Column) throws -> [String?]? {
    try read(column, "an array") { postgresArray($0) }
  }

  private func present<T>(_ value: T?, _ column: Column) throws -> T {
    guard let value else { throw PostgresError(.typeMismatch, "column \(column.label) is null") }
    return value
  }

  private func read<T>(
    _ column: Column, _ kind: String, types: [Oid] = [], _ parse: (UnsafeRawBufferPointer) -> T?
  ) throws -> T? {
    let position = try rows.position(column)
    guard let bytes = rows.bytes(index, position) else { return nil }
    guard types.isEmpty || types.contains(rows.type(position)), let value = parse(bytes) else {
      throw PostgresError(.typeMismatch, "column \(column.label) does not hold \(kind)")
    }
    return value
  }
}
