import Glibc
import JSON
import Postgres
import Registration
import StandIn
import System

@testable import EmbeddedPlatform
@testable import RegprocMain

/// What must stand nowhere but in sealed content, of a run on an embedded platform.
struct Secrets: Sendable {
  /// Words that `marked` puts into every name, and that nothing else has.
  static let markers = ["Qzyvian", "Wjxorrel"]

  /// UINs by the RIDs that lead to them.
  private(set) var uins: [String: String] = [:]
  /// One VID by the same RIDs.
  private(set) var vidsByRID: [String: String] = [:]
  private var vids: [String] = []
  private var tokens: Set<String> = []
  private var named: [String] = []

  /// Reads the numbers of everybody who has one, and the tokens that came to OpenCRVS for registration numbers.
  static func read(_ pipeline: UpPipeline, _ standIn: StandInOpenCRVS, of numbers: [String]) async throws -> Secrets {
    let sealer = try Sealer(try KeyFolder(folder: pipeline.folder + "/platform/keys"))
    var out = try await pipeline.read { connection in
      var out = Secrets()
      for row in try connection.execute(
        "SELECT r.rid, i.sealed_uin, i.uin_hash FROM platform.identity_rid AS r JOIN platform.identity AS i USING (uin_hash)")
      {
        let uin = try sealer.open(try row.bytes(1), in: SealedColumn.identityUIN.row(try row.bytes(2)))
        out.uins[try row.text(0)] = String(decoding: uin, as: UTF8.self)
      }
      for row in try connection.execute(
        "SELECT r.rid, v.vid FROM platform.identity_rid AS r JOIN platform.vid AS v USING (uin_hash)")
      {
        out.vidsByRID[try row.text(0)] = try row.text(1)
        out.vids.append(try row.text(1))
      }
      return out
    }
    out.tokens = Set(numbers.flatMap { standIn.returned($0).tokens })
    return out
  }

  /// Adds numbers that events name.
  mutating func add(_ numbers: [String]) { named += numbers }

  /// How many different ones of each there are.
  var counts: (uins: Int, vids: Int, tokens: Int) { (Set(uins.values).count, Set(vids).count, tokens.count) }

  /// Which of them stand in a text, with what is before them; in plain, or as the hex digits that a database shows bytes in.
  func found(in text: String) -> [String] {
    var found: [String] = []
    let bytes = text.utf8.map { $0 == 0 ? 32 : CChar(bitPattern: $0) } + [0]
    for word in Self.markers {
      for needle in [word, word.lowercased(), word.uppercased(), Encoding.hex(Array(word.utf8))] {
        found += Self.places(of: needle, in: bytes).prefix(1).map { "a name: \($0)" }
      }
    }
    for (kind, numbers) in [("UIN", Set(uins.values)), ("VID", Set(vids)), ("token", tokens), ("number", Set(named))] {
      for number in numbers {
        for needle in [number, Encoding.hex(Array(number.utf8))] {
          found += Self.places(of: needle, in: bytes).prefix(1).map { "a \(kind): \($0)" }
        }
      }
    }
    return found
  }

  /// What stands around each place. Digits in the middle of a longer number are no number of a person.
  private static func places(of needle: String, in text: [CChar]) -> [String] {
    let wanted = Array(needle.utf8)
    var out: [String] = []
    var start = 0
    func isDigit(_ index: Int) -> Bool { text.indices.contains(index) && (48...57).contains(text[index]) }
    while start < text.count {
      let place = text.withUnsafeBufferPointer { bytes -> Int? in
        guard let base = bytes.baseAddress, let hit = strstr(base + start, needle) else { return nil }
        return UnsafePointer(hit) - base
      }
      guard let place else { break }
      let isNumber = wanted.allSatisfy { (48...57).contains($0) } && wanted.count < 20
      if !isNumber || !isDigit(place - 1) && !isDigit(place + wanted.count) {
        out.append(String(decoding: text[max(0, place - 120)..<place + wanted.count].map { UInt8(bitPattern: $0) }, as: UTF8.self))
      }
      start = place + wanted.count
    }
    return out
  }

  /// An event of people whose names all have the markers.
  static func marked(_ event: SampleEvents.Event) -> SampleEvents.Event {
    var event = event
    event.body = ((try? JSONValue.parse(event.body)).map(marked) ?? .null).encoded()
    return event
  }

  private static func marked(_ value: JSONValue) -> JSONValue {
    if let list = value.array { return .array(list.map(marked)) }
    guard let object = value.object else { return value }
    var out = JSONObject()
    for member in object {
      switch member.key {
      case "given": out[member.key] = with(markers[0], member.value)
      case "family": out[member.key] = with(markers[1], member.value)
      default: out[member.key] = marked(member.value)
      }
    }
    return .object(out)
  }

  private static func with(_ marker: String, _ name: JSONValue) -> JSONValue {
    if let list = name.array { return .array(list.map { with(marker, $0) }) }
    return name.string.map { .string($0.isEmpty ? "" : $0 + marker) } ?? name
  }
}
