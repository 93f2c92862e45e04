import JSON
import JSONSchema

/// The sub-packets of a packet (docs/upstream/packet-and-crypto.md#11-three-nested-layers), in the order upstream makes them.
public enum SubPacketName: String, Sendable, Hashable, CaseIterable, Comparable {
  /// Fields of category `evidence`.
  case evidence
  /// Fields of category `optional`.
  case optional
  /// Fields of categories `pvt` and `kyc`, audits and operations: what is validated.
  case id

  /// The order of `allCases`.
  public static func < (a: SubPacketName, b: SubPacketName) -> Bool {
    allCases.firstIndex(of: a)! < allCases.firstIndex(of: b)!
  }
}

/// MOSIP's identity schema: a JSON schema whose `identity.properties` carry a `fieldCategory`
/// (docs/upstream/packet-and-crypto.md#51-default-schema).
public struct IdSchema: Sendable {
  /// What a field holds.
  public enum FieldType: Sendable, Hashable {
    /// A list of texts, each with its language.
    case simple
    /// A document: its bytes are an entry of their own.
    case document
    /// A CBEFF file: its bytes are an entry of their own.
    case biometrics
    /// Text, number or another plain JSON type, by its JSON schema name.
    case plain(String)
  }

  /// One field of an identity.
  public struct Field: Sendable, Hashable {
    /// Its name in ID.json.
    public let name: String
    /// What it holds.
    public let type: FieldType
    /// `fieldCategory` in lower case; `none` when absent.
    public let category: String
    /// The sub-packets it is written to; nil for a category MOSIP does not know, with which no packet can be made.
    public let subPackets: Set<SubPacketName>?
    /// The regular expressions a plain text must match whole. Those beside a `$ref` are inert upstream and not listed
    /// (docs/upstream/packet-and-crypto.md#52-what-validation-really-enforces).
    public let validators: [String]
    /// The kind of master data that its values must be of; nil for any value.
    public let subType: String?
  }

  /// The fields in the schema's order.
  public let fields: [Field]
  /// The schema as it was read.
  public let json: JSONValue
  /// Its rules.
  let rules: JSONSchema
  private let places: [String: Int]

  /// The field of that name.
  public func field(_ name: String) -> Field? { places[name].map { fields[$0] } }

  /// The sub-packets where a field stands; none for an unknown one.
  public func subPackets(of name: String) -> Set<SubPacketName> { field(name)?.subPackets ?? [] }

  /// The names that `identity.required` lists.
  public var required: [String] { json["properties"]?["identity"]?["required"]?.array?.compactMap(\.string) ?? [] }

  /// Reads a schema, e.g. `response.schemaJson` of the `latestidschema` call.
  /// - Throws: `PacketError` `badSchema`.
  public init(json bytes: [UInt8]) throws {
    let json: JSONValue
    do { json = try JSONValue.parse(bytes) } catch { throw PacketError(.badSchema, "\(error)") }
    guard let properties = json["properties"]?["identity"]?["properties"]?.object else {
      throw PacketError(.badSchema, "no `properties.identity.properties`")
    }
    var fields: [Field] = []
    for (name, value) in properties.map({ ($0.key, $0.value) }) {
      let reference = value["$ref"]?.string?.split(separator: "/").last.map(String.init)
      let type: FieldType =
        switch reference {
        case "simpleType": .simple
        case "documentType": .document
        case "biometricsType": .biometrics
        default: .plain(value["type"]?.string ?? "string")
        }
      let category = value["fieldCategory"]?.string?.lowercased() ?? "none"
      let validators =
        reference != nil
        ? []
        : value["validators"]?.array?.filter { $0["type"]?.string ?? "regex" == "regex" }
          .compactMap { $0["validator"]?.string } ?? []
      fields.append(
        Field(
          name: name, type: type, category: category, subPackets: Self.subPackets(category: category),
          validators: validators, subType: value["subType"]?.string))
    }
    do { rules = try JSONSchema(json) } catch { throw PacketError(.badSchema, error.description) }
    self.json = json
    self.fields = fields
    places = Dictionary(fields.enumerated().map { ($1.name, $0) }) { first, _ in first }
    // JSON tells names apart by their bytes, Swift by what they look like: an é can be one character or two.
    guard places.count == fields.count else { throw PacketError(.badSchema, "two fields whose names look alike") }
  }

  private static func subPackets(category: String) -> Set<SubPacketName>? {
    switch category {
    case "pvt", "kyc": [.id]
    case "evidence": [.evidence]
    case "optional": [.optional]
    case "none": Set(SubPacketName.allCases)
    default: nil
    }
  }
}
