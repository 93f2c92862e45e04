extension PostgresError {
  /// A stored state that this program does not know: a later version wrote it, or nobody should have.
  /// - Parameters:
  ///   - state: as it is stored; never anything personal.
  ///   - column: e.g. `regproc.hop.state`.
  public static func unknownState(_ state: String, of column: String) -> PostgresError {
    PostgresError(.typeMismatch, "\(column) is \(state.prefix(40)), which this version does not know")
  }
}

extension Row {
  /// A state that is stored as a number from 0, in words.
  /// - Parameters:
  ///   - column: its name, for the error.
  ///   - words: those of 0, 1 and so on.
  /// - Throws: `PostgresError` for a number that has no word.
  public func state(_ index: Column, of column: String, _ words: [String]) throws -> String {
    let number = try int(index)
    guard words.indices.contains(number) else { throw PostgresError.unknownState(String(number), of: column) }
    return words[number]
  }
}
