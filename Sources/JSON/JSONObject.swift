/// The members of a JSON object in the order they were written. Names are compared code point by code point, not by what
/// they look like (RFC 8259 section 8.3).
public struct JSONObject: Sendable, Equatable, RandomAccessCollection, ExpressibleByDictionaryLiteral {
  /// A name and its value.
  public struct Member: Sendable, Equatable {
    /// The name.
    public let key: String
    /// The value.
    public var value: JSONValue

    /// A name and its value.
    public init(key: String, value: JSONValue) {
      self.key = key
      self.value = value
    }
  }

  /// A name that is equal only to itself, byte by byte: Swift's own comparison takes canonically equivalent texts for one.
  private struct Name: Hashable, Sendable {
    let text: String
    static func == (a: Name, b: Name) -> Bool { same(a.text, b.text) }
    func hash(into hasher: inout Hasher) {
      var text = text
      text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
  }

  /// Up to so many members a walk through them is faster than a table.
  private static let walked = 12

  private var members: [Member] = []
  private var places: [Name: Int] = [:]

  /// An object without members.
  public init() {}

  /// An object; of two members with one name the last counts.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    for (key, value) in elements { self[key] = value }
  }

  /// Always 0.
  public var startIndex: Int { 0 }
  /// The number of members.
  public var endIndex: Int { members.count }
  /// The member at a place of the order.
  public subscript(position: Int) -> Member { members[position] }

  /// About how many bytes it takes up outside of itself, as of a `JSONValue`.
  public var bytesInMemory: Int {
    // A table is half empty, and has a word for each place beside name and number.
    let table = places.isEmpty ? 0 : JSONValue.block + places.capacity * 2 * (MemoryLayout<Name>.stride + 8)
    return members.reduce(JSONValue.block + members.capacity * MemoryLayout<Member>.stride + table) {
      $0 + JSONValue.bytes(of: $1.key) + $1.value.bytesInMemory
    }
  }

  /// The names in their order.
  public var keys: [String] { members.map(\.key) }

  /// The value of a name, nil if there is none. A new name goes to the end; nil takes the member away.
  public subscript(key: String) -> JSONValue? {
    get { place(of: key).map { members[$0].value } }
    set {
      switch (place(of: key), newValue) {
      case (let place?, let value?): members[place].value = value
      case (let place?, nil):
        members.remove(at: place)
        places = [:]
        if members.count > Self.walked { index(from: 0) }
      case (nil, let value?): _ = append(key, value)
      case (nil, nil): break
      }
    }
  }

  /// Adds a member at the end, unless the name is there already: then false, and nothing has changed.
  mutating func append(_ key: String, _ value: JSONValue) -> Bool {
    if place(of: key) != nil { return false }
    members.append(Member(key: key, value: value))
    if members.count > Self.walked { index(from: places.isEmpty ? 0 : members.count - 1) }
    return true
  }

  private mutating func index(from first: Int) {
    for place in first..<members.count { places[Name(text: members[place].key)] = place }
  }

  private func place(of key: String) -> Int? {
    if members.count > Self.walked { return places[Name(text: key)] }
    return members.firstIndex { same($0.key, key) }
  }

  /// Whether both have the same members, in whatever order.
  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.count == b.count && a.members.allSatisfy { b[$0.key] == $0.value }
  }
}

private func same(_ a: String, _ b: String) -> Bool {
  a.utf8.count == b.utf8.count && a.utf8.elementsEqual(b.utf8)
}
