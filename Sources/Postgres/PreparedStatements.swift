import CPQ

/// Which statements the server has prepared for us, by SQL text and declared types, and which of them rest longest.
struct PreparedStatements {
  struct Key: Hashable {
    var sql: String
    var types: [Oid]
  }
  private struct Entry {
    var name: String
    var lastUse: UInt64
  }
  private var entries: [Key: Entry] = [:]
  private var clock: UInt64 = 0
  private var made = 0

  var count: Int { entries.count }

  /// The name of a prepared statement, which counts as a use of it.
  mutating func name(of key: Key) -> String? {
    clock += 1
    guard let index = entries.index(forKey: key) else { return nil }
    entries.values[index].lastUse = clock
    return entries.values[index].name
  }

  mutating func newName() -> String {
    made += 1
    return "regproc_\(made)"
  }

  mutating func add(_ key: Key, _ name: String) {
    clock += 1
    entries[key] = Entry(name: name, lastUse: clock)
  }

  mutating func remove(_ key: Key) { entries[key] = nil }

  func contains(_ key: Key) -> Bool { entries[key] != nil }

  /// Forgets the longest unused so that `admitted` more fit; their names.
  mutating func evict(toAdmit admitted: Int, limit: Int, keeping: Set<Key>) -> [String] {
    let excess = entries.count + admitted - limit
    guard excess > 0 else { return [] }
    let oldest = entries.filter { !keeping.contains($0.key) }.sorted { $0.value.lastUse < $1.value.lastUse }
    return oldest.prefix(excess).map { key, entry in
      entries[key] = nil
      return entry.name
    }
  }
}
