import System
import XML

/// Reads the CBEFF XML that packets carry (ISO/IEC 19785-3, docs/upstream/packet-and-crypto.md#13-entries-of-a-sub-packet): a record whose
/// nested records are the captures.
public enum CBEFF {
  /// The namespace of every element.
  public static let namespace = "http://standards.iso.org/iso-iec/19785/-3/ed-2/"
  /// The most captures of one record; a person has ten fingers, two eyes, a face and an exception photo.
  public static let mostSegments = 64
  /// Of one record.
  static let limits = XMLLimits(bytes: 32 << 20, elements: 10_000, depth: 12, attributes: 16)

  /// The kinds of captures that the standard names, and MOSIP's exception photo.
  static let types = [
    "Scent", "DNA", "Ear", "Face", "Finger", "Foot", "Vein", "HandGeometry", "Iris", "Retina", "Voice", "Gait", "Keystroke",
    "LipMovement", "SignatureSign", "Palm", "BackOfHand", "Wrist", "ExceptionPhoto",
  ]
  private static let typesByWord = Dictionary(uniqueKeysWithValues: types.map { ($0.lowercased(), $0) })

  /// A kind as the file has it, of its name in any letter case or as MOSIP's programs write it, `HAND_GEOMETRY`; nil when there is none.
  static func type(_ name: String) -> String? { typesByWord[name.lowercased().replacing("_", with: "")] }

  /// What a file is held to.
  public enum Strictness: Sendable {
    /// The namespace, the parts that each capture must have, their kinds.
    case shape
    /// That and every rule of MOSIP's schema, as its packet validator has it.
    case schema
  }

  /// Reads a record and checks it.
  /// - Throws: `CBEFFError`.
  public static func read(_ bytes: [UInt8], by strictness: Strictness = .shape) throws(CBEFFError) -> BiometricRecord {
    let root: XMLElement
    do throws(XMLError) {
      root = try XMLReader.read(bytes, limits: limits)
    } catch {
      throw CBEFFError(error.fault == .tooLarge ? "more than \(limits.bytes >> 20) MiB" : error.fault.rawValue)
    }
    if strictness == .schema { try CBEFFSchema.check(root) }
    guard root.name == "BIR" else { throw CBEFFError("the root element is not BIR") }
    guard root.namespace == namespace else { throw CBEFFError("the root element is of another namespace") }
    var segments: [BiometricSegment] = []
    for element in root.children where element.name == "BIR" { segments.append(try segment(element)) }
    guard segments.count <= mostSegments else { throw CBEFFError("more than \(mostSegments) captures") }
    return BiometricRecord(segments: segments)
  }

  private static func segment(_ element: XMLElement) throws(CBEFFError) -> BiometricSegment {
    guard element.first("BIRInfo") != nil else { throw CBEFFError("a capture has no BIRInfo") }
    guard let about = element.first("BDBInfo") else { throw CBEFFError("a capture has no BDBInfo") }
    guard let type = about.first("Type")?.trimmed, typesByWord[type.lowercased()] != nil else {
      throw CBEFFError("a capture is of no known type")
    }
    guard about.first("Format") != nil else { throw CBEFFError("a capture has no Format") }
    func content(_ name: String) throws(CBEFFError) -> [UInt8] {
      guard let part = element.first(name) else { return [] }
      guard let bytes = Encoding.bytes(base64: part.text.utf8.filter { $0 > 32 }) else {
        throw CBEFFError("\(name) of a capture is not base64")
      }
      return bytes
    }
    let others = element.children.filter { $0.name.lowercased() == "others" }
    return BiometricSegment(
      type: type,
      subtypes: about.children.filter { $0.name == "Subtype" }.flatMap { $0.trimmed.split(separator: " ").map(String.init) },
      data: try content("BDB"), signature: try content("SB"), others: others.isEmpty ? nil : entries(others))
  }

  /// `<entry key="K">V</entry>` or `<entry><key>K</key><value>V</value></entry>`, under `others` or in its place.
  private static func entries(_ others: [XMLElement]) -> [String: String] {
    var out: [String: String] = [:]
    func take(_ element: XMLElement) {
      func child(_ name: String) -> String? { element.children.first { $0.name.lowercased() == name }?.trimmed }
      if let key = element["key"] ?? child("key") { out[key] = child("value") ?? element.text }
    }
    for element in others {
      take(element)
      for entry in element.children where entry.name.lowercased() == "entry" { take(entry) }
    }
    return out
  }
}

/// Bytes that are no biometric record. It names what is wrong, never content.
public struct CBEFFError: Error, Sendable, CustomStringConvertible {
  /// What is wrong.
  public let message: String
  /// False: the same bytes fail again.
  public var isRetriable: Bool { false }
  public var description: String { "CBEFF: \(message)" }

  init(_ message: String) { self.message = message }
}
