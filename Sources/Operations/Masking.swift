import Cryptography
import JSON
import System

/// What of a record may be shown to somebody who may not see personal data: of JSON its form, and the values that are known to be harmless;
/// of anything else how long it is and its hash, by which two of them can be compared.
public enum Masking {
  /// A record's bytes as JSON, masked.
  public static func masked(_ bytes: [UInt8]) -> JSONValue {
    guard let json = try? JSONValue.parse(bytes) else { return described(bytes) }
    switch json {
    case .object, .array: return masked(json)
    default: return described(bytes)
    }
  }

  /// Length and hash alone.
  public static func described(_ bytes: [UInt8]) -> JSONValue {
    ["bytes": JSONValue(bytes.count), "sha256": .string(Encoding.hex(Hash.sha256(bytes)))]
  }

  /// A JSON value: names and types of its members, and the values of those that say nothing about a person.
  public static func masked(_ json: JSONValue) -> JSONValue { masked(json, named: nil) }

  /// A key by which a record or a piece of work is known; one that might be a number of a person by its hash.
  public static func key(_ text: String) -> String {
    isHarmless(text, allowsNumbers: false) || isRID(text.prefix { $0 != "_" && $0 != "#" && $0 != "/" })
      ? text : "sha256:" + Encoding.hex(Hash.sha256(Array(text.utf8))).prefix(16)
  }

  /// At most so many elements of an array are shown.
  private static let most = 100

  private static func masked(_ json: JSONValue, named name: String?) -> JSONValue {
    switch json {
    case .null, .bool: return json
    case .object(let members):
      var out = JSONObject()
      for (place, member) in members.enumerated() {
        // A name may be a value: an object of numbers of persons.
        let shown = isHarmless(member.key, allowsNumbers: false) ? member.key : "<name \(place + 1)>"
        out[shown] = masked(member.value, named: member.key)
      }
      return .object(out)
    case .array(let elements):
      let shown = elements.prefix(most).map { masked($0, named: name) }
      return .array(shown + (elements.count > most ? [.string("<\(elements.count - most) more>")] : []))
    case .number(let number):
      guard let name, counts.contains(plain(name)), let whole = number.int, abs(whole) < 1_000_000 else { return "<number>" }
      return json
    case .string(let text): return isShown(text, as: name) ? json : "<text>"
    }
  }

  private static func isShown(_ text: String, as name: String?) -> Bool {
    if text.isEmpty { return true }
    guard let name = name.map(plain) else { return false }
    if rids.contains(name) { return isRID(text) }
    if moments.contains(name) { return isMoment(text) }
    if ids.contains(name) { return isUUID(text) || isRID(text.prefix { $0 != "_" && $0 != "#" && $0 != "/" && $0 != ":" }) }
    if name == "registrationnumber" { return isHarmless(text, allowsNumbers: true) && text.contains { $0.isLetter } }
    return words.contains(name) && isHarmless(text, allowsNumbers: false)
  }

  private static let rids: Set = ["rid", "aid", "regid", "registrationid", "subjectrid", "packetid"]
  private static let moments: Set = [
    "lasthoptimestamp", "timestamp", "publishedon", "requesttime", "responsetime", "createdat", "at", "lastmodified", "takenat",
    "since",
  ]
  private static let ids: Set = [
    "id", "workflowinstanceid", "hopid", "messageid", "eventid", "transactionid", "txnid", "recordid", "instance", "pausedat",
    "event",
    "change", "key",
  ]
  private static let words: Set = [
    "regtype", "process", "stage", "stagename", "topic", "address", "source", "status", "statuscode", "substatuscode", "errorcode",
    "code",
    "kind", "numberkind", "what", "way", "verdict", "transactiontype", "transactiontypecode", "changed", "resultcode", "result",
    "action",
    "actioncode", "workflowtype",
  ]
  private static let counts: Set = ["iteration", "retrycount", "run", "try", "attempt", "take", "again", "version"]

  private static func plain(_ name: String) -> String { name.lowercased().filter { $0 != "_" && $0 != "-" && $0 != "." } }

  /// One short word of a program: no blank, and no number as long as those of persons.
  private static func isHarmless(_ text: some StringProtocol, allowsNumbers: Bool) -> Bool {
    guard (1...80).contains(text.utf8.count) else { return false }
    if isUUID(text) { return true }
    var digits = 0
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        digits += 1
        if digits > 5, !allowsNumbers { return false }
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): digits = 0
      case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "#"), UInt8(ascii: "/"):
        // Numbers are written with hyphens too.
        continue
      default: return false
      }
    }
    return true
  }

  private static func isRID(_ text: some StringProtocol) -> Bool {
    text.utf8.count == 29 && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  private static func isUUID(_ text: some StringProtocol) -> Bool {
    text.utf8.count == 36
      && text.utf8.enumerated().allSatisfy { place, byte in
        if [8, 13, 18, 23].contains(place) { return byte == UInt8(ascii: "-") }
        return switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"):
          true
        default: false
        }
      }
  }

  /// A moment with its time of day: a date alone may be one of birth.
  private static func isMoment(_ text: String) -> Bool {
    (16...35).contains(text.utf8.count) && text.contains("T")
      && text.utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "T"), UInt8(ascii: "Z"), UInt8(ascii: ":"), UInt8(ascii: "."),
          UInt8(ascii: "+"), UInt8(ascii: "-"):
          true
        default: false
        }
      }
  }
}
