import Glibc

/// Reads a `multipart/form-data` body as it arrives (RFC 7578, RFC 2046 5.1). Pure: bytes in, events out; what happens to them is
/// decided elsewhere.
package struct MultipartParser {
  /// What a piece of the body completes.
  package enum Event: Equatable {
    /// A part begins.
    case began(Head)
    /// Bytes of the part.
    case data([UInt8])
    /// The part is over.
    case ended
  }

  /// What the header fields of a part say.
  package struct Head: Equatable {
    /// The name of the form's field.
    package var name: String
    /// As the client wrote it, folders and all.
    package var fileName: String?
    /// As the client wrote it.
    package var contentType: String?
  }

  /// A body that is no multipart body.
  package struct Malformed: Error {}

  /// Most bytes of one part's header fields.
  static let maxHead = 8 << 10

  private enum State {
    case preamble
    case afterDelimiter
    case head
    case data
    case epilogue
  }

  private let delimiter: [UInt8]
  private var state = State.preamble
  /// What has arrived and is not yet used; begins with the line break that the first boundary has no need of.
  private var buffer: [UInt8] = [13, 10]

  /// A parser for a body of this content type; nil if it is not `multipart/form-data` with a usable boundary.
  package init?(contentType: String) {
    let type = ParameterizedValue(contentType)
    guard type.value == "multipart/form-data", let boundary = type["boundary"], (1...70).contains(boundary.utf8.count),
      boundary.utf8.allSatisfy({ (32..<127).contains($0) }), boundary.utf8.last != 32
    else { return nil }
    delimiter = Array("\r\n--\(boundary)".utf8)
  }

  /// Takes the next bytes and gives what they complete.
  package mutating func feed(_ bytes: some Collection<UInt8>) throws(Malformed) -> [Event] {
    var events: [Event] = []
    guard state != .epilogue else { return events }
    buffer.append(contentsOf: bytes)
    var at = 0
    loop: while true {
      switch state {
      case .preamble, .data:
        let found = Self.find(delimiter, in: buffer, from: at)
        // Without a whole delimiter, the last bytes may be the beginning of one.
        let end = found ?? max(at, buffer.count - delimiter.count + 1)
        if state == .data, end > at { events.append(.data(Array(buffer[at..<end]))) }
        at = end
        guard found != nil else { break loop }
        if state == .data { events.append(.ended) }
        at += delimiter.count
        state = .afterDelimiter
      case .afterDelimiter:
        var next = at
        while next < buffer.count, buffer[next] == 32 || buffer[next] == 9 { next += 1 }
        guard next - at <= Self.maxHead else { throw Malformed() }
        guard next + 1 < buffer.count else { break loop }
        if next == at, buffer[at] == UInt8(ascii: "-"), buffer[at + 1] == UInt8(ascii: "-") {
          state = .epilogue
          buffer = []
          return events
        }
        guard buffer[next] == 13, buffer[next + 1] == 10 else { throw Malformed() }
        // The line break stays: a part without fields has only one more.
        at = next
        state = .head
      case .head:
        guard let end = Self.find([13, 10, 13, 10], in: buffer, from: at) else {
          guard buffer.count - at <= Self.maxHead else { throw Malformed() }
          break loop
        }
        guard end - at <= Self.maxHead else { throw Malformed() }
        events.append(.began(try Self.head(buffer[at..<end])))
        at = end + 4
        state = .data
      case .epilogue: break loop
      }
    }
    buffer.removeFirst(at)
    return events
  }

  /// Whether the final boundary has been seen: a body that ends earlier is malformed.
  package var isComplete: Bool { state == .epilogue }

  private static func head(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> Head {
    var name: String?
    var head = Head(name: "")
    for line in bytes.split(whereSeparator: { $0 == 13 || $0 == 10 }) {
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { throw Malformed() }
      let field = String(decoding: line[..<colon], as: UTF8.self)
      let value = String(decoding: line[(colon + 1)...].drop { $0 == 32 || $0 == 9 }, as: UTF8.self)
      if Headers.same(field, "Content-Disposition") {
        let disposition = ParameterizedValue(value)
        guard disposition.value == "form-data" else { throw Malformed() }
        name = disposition["name"]
        head.fileName = disposition["filename"] ?? disposition["filename*"].flatMap(extended)
      } else if Headers.same(field, "Content-Type") {
        head.contentType = value
      }
    }
    guard let name else { throw Malformed() }
    head.name = name
    return head
  }

  /// A value such as `UTF-8''na%C3%AFve.txt` (RFC 8187).
  private static func extended(_ text: String) -> String? {
    let pieces = text.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
    guard pieces.count == 3, Headers.same(String(pieces[0]), "utf-8") else { return nil }
    return Target.decode(Array(pieces[2].utf8)[...], plusIsSpace: false)
  }

  private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    bytes.withUnsafeBytes { all in
      var at = start
      while at + needle.count <= all.count {
        let last = all.count - needle.count + 1
        guard let hit = memchr(all.baseAddress! + at, Int32(needle[0]), last - at) else { return nil }
        let index = UnsafeRawPointer(hit) - all.baseAddress!
        if needle.withUnsafeBytes({ memcmp(hit, $0.baseAddress!, $0.count) }) == 0 { return index }
        at = index + 1
      }
      return nil
    }
  }
}
