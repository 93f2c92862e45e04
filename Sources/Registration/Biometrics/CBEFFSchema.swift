import System
import XML

/// The rules of MOSIP's CBEFF schema (`mosip-cbeff.xsd` of mosip-config, which its packet validator asks;
/// docs/upstream/stages.md#4-packet-validator, step 7): which elements stand in which, in what order, how often, and what their texts may
/// be.
enum CBEFFSchema {
  /// What an element may hold.
  private indirect enum Content: Sendable {
    /// Elements in this order, and no text.
    case elements([Part])
    /// A text and no elements.
    case text(@Sendable (Substring) -> Bool)
    /// As an entry of `others`: any text, and the attribute `key`.
    case entry
  }

  /// A place in an element.
  private struct Part: Sendable {
    var names: [String: Content]
    var isNeeded: Bool
    var isRepeated = false
  }

  private static func needed(_ name: String, _ content: Content) -> Part { Part(names: [name: content], isNeeded: true) }
  private static func maybe(_ name: String, _ content: Content) -> Part { Part(names: [name: content], isNeeded: false) }
  private static func many(_ name: String, _ content: Content) -> Part {
    Part(names: [name: content], isNeeded: false, isRepeated: true)
  }

  /// - Throws: `CBEFFError` with the path of the element that breaks a rule; never content.
  static func check(_ root: XMLElement) throws(CBEFFError) { try check(root, record(depth: 0), path: "BIR") }

  // MARK: The rules

  /// A record, and records in it. The reader lets none be nested deeper.
  private static func record(depth: Int) -> Content {
    let nested = depth < CBEFF.limits.depth ? [many("BIR", record(depth: depth + 1))] : []
    return .elements(
      [
        maybe("Version", version), maybe("CBEFFVersion", version), needed("BIRInfo", recordInfo), maybe("BDBInfo", captureInfo),
        maybe("SBInfo", .elements([maybe("Format", registryId)])),
      ] + nested
        + [
          maybe("BDB", .text(isBase64)), maybe("SB", .text(isBase64)), many("others", .elements([many("entry", .entry)])),
        ])
  }

  private static let anything = Content.text { _ in true }
  private static let version = Content.elements([needed("Major", .text(isNumber)), needed("Minor", .text(isNumber))])
  private static let registryId = Content.elements([needed("Organization", anything), needed("Type", anything)])
  private static let times = [
    maybe("CreationDate", .text(isTime)), maybe("NotValidBefore", .text(isTime)), maybe("NotValidAfter", .text(isTime)),
  ]
  private static let recordInfo = Content.elements(
    [
      maybe("Creator", anything), maybe("Index", .text(isUUID)), maybe("Payload", .text(isBase64)),
      needed("Integrity", .text(isTruth)),
    ] + times)
  private static let captureInfo = Content.elements(
    [
      maybe("ChallengeResponse", .text(isBase64)), maybe("Index", .text(isUUID)), maybe("Format", registryId),
      maybe("Encryption", .text(isTruth)),
    ] + times + [
      maybe("Type", .text { isList($0, of: types) }),
      maybe("Subtype", .text { isList($0, of: subtypes) || isList($0, of: veinSubtypes) }),
      maybe("Level", .text { ["Raw", "Intermediate", "Processed"].contains($0) }),
      maybe("Product", registryId), maybe("CaptureDevice", registryId), maybe("FeatureExtractionAlgorithm", registryId),
      maybe("ComparisonAlgorithm", registryId), maybe("CompressionAlgorithm", registryId),
      maybe(
        "Purpose",
        .text { ["Verify", "Identify", "Enroll", "EnrollVerify", "EnrollIdentify", "Audit"].contains($0) }),
      maybe("Quality", quality),
    ])
  private static let quality = Content.elements([
    needed("Algorithm", registryId),
    Part(
      names: [
        "Score": .text { isNumber($0) && (Int($0) ?? .max) <= 100 }, "QualityCalculationFailed": anything,
      ], isNeeded: true),
  ])
  private static let types = Set(CBEFF.types.map { $0[...] })
  private static let subtypes: Set<Substring> = [
    "Left", "Right", "Thumb", "IndexFinger", "MiddleFinger", "RingFinger", "LittleFinger",
  ]
  private static let veinSubtypes: Set<Substring> = [
    "LeftVein", "RightVein", "Palm", "BackOfHand", "Wrist", "Reserved1", "Reserved2",
  ]

  // MARK: Texts

  private static func isList(_ text: Substring, of words: Set<Substring>) -> Bool {
    text.split(whereSeparator: \.isWhitespace).allSatisfy(words.contains)
  }

  private static func isTruth(_ text: Substring) -> Bool { ["true", "false", "1", "0"].contains(text) }

  /// Of 32 bits, without a sign.
  private static func isNumber(_ text: Substring) -> Bool { text.utf8.allSatisfy { (48...57).contains($0) } && UInt32(text) != nil }

  /// Either alphabet, blanks between.
  private static func isBase64(_ text: Substring) -> Bool {
    let digits = text.utf8.filter { $0 > 32 }
    return digits.isEmpty || Encoding.bytes(base64: digits) != nil
  }

  private static func isUUID(_ text: Substring) -> Bool {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    return parts.map(\.utf8.count) == [8, 4, 4, 4, 12] && parts.joined().allSatisfy(\.isHexDigit)
  }

  /// `2024-02-29T23:59:59.123Z`: fraction and zone may be missing.
  private static func isTime(_ text: Substring) -> Bool {
    let bytes = Array(text.utf8)
    var at = 0
    func number(_ digits: Int, _ range: ClosedRange<Int>) -> Bool {
      guard at + digits <= bytes.count, bytes[at..<(at + digits)].allSatisfy({ (48...57).contains($0) }) else { return false }
      let value = bytes[at..<(at + digits)].reduce(0) { $0 * 10 + Int($1 - 48) }
      at += digits
      return range.contains(value)
    }
    func take(_ character: Unicode.Scalar) -> Bool {
      guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
      at += 1
      return true
    }
    guard number(4, 1...9999), take("-"), number(2, 1...12), take("-"), number(2, 1...31), take("T"), number(2, 0...24), take(":"),
      number(2, 0...59), take(":"), number(2, 0...59)
    else { return false }
    if take(".") {
      let start = at
      while at < bytes.count, (48...57).contains(bytes[at]) { at += 1 }
      guard at > start else { return false }
    }
    if take("Z") || at == bytes.count { return at == bytes.count }
    return (take("+") || take("-")) && number(2, 0...14) && take(":") && number(2, 0...59) && at == bytes.count
  }

  // MARK: Elements

  /// What XML Schema itself allows everywhere: `xsi:nil` and the like.
  private static let attributes: Set<String> = ["nil", "type", "schemaLocation", "noNamespaceSchemaLocation"]

  private static func check(_ element: XMLElement, _ content: Content, path: String) throws(CBEFFError) {
    guard element.namespace == CBEFF.namespace else { throw CBEFFError("\(path) is of another namespace") }
    var known = attributes
    if case .entry = content { known.insert("key") }
    guard element.attributes.allSatisfy({ $0.isDeclaration || known.contains($0.name) }) else {
      throw CBEFFError("\(path) has an attribute that is not known")
    }
    switch content {
    case .entry:
      guard element.children.isEmpty else { throw CBEFFError("\(path) holds elements") }
      guard element["key"] != nil else { throw CBEFFError("\(path) has no key") }
    case .text(let isGood):
      guard element.children.isEmpty else { throw CBEFFError("\(path) holds elements") }
      guard isGood(element.trimmed[...]) else { throw CBEFFError("\(path) is not as it must be") }
    case .elements(let parts):
      guard element.trimmed.isEmpty else { throw CBEFFError("\(path) holds text") }
      try check(element.children, parts, path: path)
    }
  }

  private static func check(_ children: [XMLElement], _ parts: [Part], path: String) throws(CBEFFError) {
    var rest = children[...]
    for part in parts {
      var count = 0
      while let child = rest.first, let content = part.names[child.name], count == 0 || part.isRepeated {
        try check(child, content, path: path + "/" + child.name)
        rest.removeFirst()
        count += 1
      }
      if count == 0, part.isNeeded {
        throw CBEFFError("\(path) has no \(part.names.keys.sorted().joined(separator: " or ")) in its place")
      }
    }
    if let child = rest.first {
      // The name is the sender's: only one that the schema knows is told.
      let isKnown = parts.contains { $0.names[child.name] != nil }
      throw CBEFFError(isKnown ? "\(path) has \(child.name) twice or in another place" : "\(path) has an element that is not known")
    }
  }
}
