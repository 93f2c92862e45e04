import JSON
import Registration

/// One value of master data.
public struct MasterDataValue: Sendable, Hashable {
  /// Its code, e.g. `FLE`.
  public var code: String
  /// What it is called, by language, e.g. `["eng": "Female"]`.
  public var names: [String: String]

  /// A value.
  public init(code: String, names: [String: String]) {
    self.code = code
    self.names = names
  }

  /// Whether a text of an identity means this value: its code, or its name in the text's language (in any, for a text without one).
  public func isMeant(by text: String, language: String?) -> Bool {
    if text == code { return true }
    return if let language { names[language] == text } else { names.values.contains(text) }
  }
}

/// The country's master data: what the values of a field with a `subType` may be
/// (docs/upstream/packet-and-crypto.md#52-what-validation-really-enforces).
public protocol MasterData: Sendable {
  /// The values of a kind such as `gender`; nil when there is no such kind.
  func values(of kind: String) async throws -> [MasterDataValue]?
}

/// No master data: no kind is known, so every value of a field that asks for one is refused.
public struct NoMasterData: MasterData {
  /// No master data.
  public init() {}
  public func values(of kind: String) async throws -> [MasterDataValue]? { nil }
}

/// Master data of a file: `{"gender": [{"code": "FLE", "eng": "Female", "fra": "Féminin"}]}`.
public struct BundledMasterData: MasterData {
  private let kinds: [String: [MasterDataValue]]

  /// Reads the file's content.
  /// - Throws: `ServiceError` refused that names the kind in question.
  public init(json bytes: [UInt8]) throws {
    func fault(_ message: String) -> ServiceError { ServiceError(.refused, service: "master data", code: "KER-MSD-001", message) }
    let json: JSONValue
    do { json = try JSONValue.parse(bytes) } catch { throw fault("\(error)") }
    guard let object = json.object else { throw fault("the file is no JSON object") }
    var kinds: [String: [MasterDataValue]] = [:]
    for kind in object {
      guard let list = kind.value.array else { throw fault("`\(kind.key)` must be a list") }
      kinds[kind.key] = try list.map { entry in
        guard let members = entry.object, let code = entry["code"]?.string else {
          throw fault("a value of `\(kind.key)` has no code")
        }
        var names: [String: String] = [:]
        for member in members where member.key != "code" {
          guard let name = member.value.string else { throw fault("a name of `\(kind.key)` is no text") }
          names[member.key] = name
        }
        return MasterDataValue(code: code, names: names)
      }
    }
    self.kinds = kinds
  }

  public func values(of kind: String) async throws -> [MasterDataValue]? { kinds[kind] }
}
