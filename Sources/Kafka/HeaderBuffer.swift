/// Headers of one record, their values end to end in one piece of memory: cleared and filled again for each record, so that headers
/// cost no allocation of ours.
public struct HeaderBuffer: Sendable {
  struct Entry: Sendable {
    let name: StaticString
    let start: Int
    let count: Int
  }

  private(set) var entries: [Entry] = []
  private(set) var bytes: [UInt8] = []

  /// A buffer without headers.
  public init() {}

  /// Forgets all headers and keeps the memory.
  public mutating func removeAll() {
    entries.removeAll(keepingCapacity: true)
    bytes.removeAll(keepingCapacity: true)
  }

  /// Adds a header whose value the closure writes: at most `capacity` bytes, and it says how many.
  public mutating func append(
    _ name: StaticString, capacity: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Int
  ) {
    let start = bytes.count
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: max(1, capacity)) { value in
      let count = write(value.baseAddress!)
      precondition(count <= capacity, "a header is longer than it said")
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: value[..<count]))
    }
    entries.append(Entry(name: name, start: start, count: bytes.count - start))
  }

  /// Adds a header with a text.
  public mutating func append(_ name: StaticString, _ text: String) {
    let start = bytes.count
    bytes.append(contentsOf: text.utf8)
    entries.append(Entry(name: name, start: start, count: bytes.count - start))
  }
}
