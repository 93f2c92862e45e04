import JSON
import System

extension BiometricRecord {
  /// Reads a record as MOSIP's packet manager answers it (docs/upstream/stages.md#04-calls-shared-by-stages): `{"segments": [{"birInfo":
  /// {...}, "bdbInfo": {"type": ["FINGER"], "subtype": ["Left", "IndexFinger"], "format": {...}, ...}, "bdb": base64, "sb": base64,
  /// "others": {"EXCEPTION": "false", ...}}, ...]}`.
  ///
  /// Kinds are written there as words of their own, `EXCEPTION_PHOTO`; here they are as in the file, `ExceptionPhoto`. Bytes may be numbers
  /// in a list as well, with or without a sign. Nil when a member is of another type, and so the JSON is no record at all.
  /// - Throws: `CBEFFError` for a record of which a capture lacks what it must have, by the rules of `CBEFF.read`.
  public init?(json: JSONValue) throws(CBEFFError) {
    guard let captures = json["segments"], let list = captures.isNull ? [] : captures.array else { return nil }
    guard list.count <= CBEFF.mostSegments else { throw CBEFFError("more than \(CBEFF.mostSegments) captures") }
    var segments: [BiometricSegment] = []
    for entry in list {
      guard let segment = try BiometricSegment(json: entry) else { return nil }
      segments.append(segment)
    }
    self.init(segments: segments)
  }
}

extension BiometricSegment {
  fileprivate init?(json: JSONValue) throws(CBEFFError) {
    guard json.object != nil, let info = Self.member("birInfo", of: json, \.object),
      let about = Self.member("bdbInfo", of: json, \.object), let data = Self.member("bdb", of: json, Self.bytes),
      let signature = Self.member("sb", of: json, Self.bytes), let others = Self.member("others", of: json, Self.texts)
    else { return nil }
    guard info != nil else { throw CBEFFError("a capture has no BIRInfo") }
    guard let about else { throw CBEFFError("a capture has no BDBInfo") }
    guard let types = Self.member("type", of: .object(about), Self.words),
      let subtypes = Self.member("subtype", of: .object(about), Self.words),
      let format = Self.member("format", of: .object(about), \.object)
    else { return nil }
    guard let type = types?.first.flatMap(CBEFF.type) else { throw CBEFFError("a capture is of no known type") }
    guard format != nil else { throw CBEFFError("a capture has no Format") }
    self.init(
      type: type, subtypes: (subtypes ?? []).flatMap { $0.split(separator: " ").map(String.init) }, data: data ?? [],
      signature: signature ?? [], others: others)
  }

  /// A member; nil within when it is null or not there, nil when it is of another type.
  private static func member<Value>(_ name: String, of json: JSONValue, _ read: (JSONValue) -> Value?) -> Value?? {
    guard let value = json[name], !value.isNull else { return .some(nil) }
    return read(value).map { .some($0) }
  }

  private static func words(_ value: JSONValue) -> [String]? {
    guard let list = value.array else { return nil }
    let words = list.compactMap(\.string)
    return words.count == list.filter({ !$0.isNull }).count ? words : nil
  }

  private static func texts(_ value: JSONValue) -> [String: String]? {
    guard let object = value.object else { return nil }
    var out: [String: String] = [:]
    for member in object where !member.value.isNull {
      guard let text = member.value.string else { return nil }
      out[member.key] = text
    }
    return out
  }

  private static func bytes(_ value: JSONValue) -> [UInt8]? {
    if let text = value.string { return Encoding.bytes(base64: text) }
    guard let list = value.array else { return nil }
    var out: [UInt8] = []
    out.reserveCapacity(list.count)
    for entry in list {
      guard let number = entry.int, (-128...255).contains(number) else { return nil }
      out.append(UInt8(truncatingIfNeeded: number))
    }
    return out
  }
}
