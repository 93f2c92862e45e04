import JSON
import Registration
import StageKit

/// Values that refer to something outside the packet: languages and master data
/// (docs/upstream/packet-and-crypto.md#52-what-validation-really-enforces; docs/upstream/stages.md#4-packet-validator, step 8).
extension PacketValidator {
  /// What is wrong with the identity's references; nil when nothing is.
  func references(_ packet: PacketReference, _ context: StageContext) async throws -> Verdict? {
    let languages = settings.texts("languages")
    let asksMasterData = settings.boolean("master-data")
    guard !languages.isEmpty || asksMasterData else { return nil }
    let fields = try await context.services.packets.allFields(of: packet)
    let version = fields[mapping["IDSchemaVersion"]]
    guard let version, let schema = try await context.services.schemas.schema(version: version) else {
      return ServiceVerdict.system("there is no id schema of the packet's version")
    }
    for field in schema.fields {
      guard let text = fields[field.name] else { continue }
      let values = Self.values(text, field)
      if !languages.isEmpty, values.contains(where: { $0.language.map { !languages.contains($0) } ?? false }) {
        return Self.invalid("`\(field.name)` is in a language that is not configured")
      }
      guard asksMasterData, let kind = field.subType, !kind.isEmpty, kind != "none" else { continue }
      guard let known = try await context.services.masterData.values(of: kind) else {
        return Self.invalid("there is no master data `\(kind)` for `\(field.name)`")
      }
      let isKnown = values.allSatisfy { value in
        value.text == "NA" || known.contains { $0.isMeant(by: value.text, language: value.language) }
      }
      guard isKnown else { return Self.invalid("`\(field.name)` has a value that the master data `\(kind)` lacks") }
    }
    return nil
  }

  /// The values of a field that can be looked up, with their languages where they have one. For a document that is its type.
  private static func values(_ text: String, _ field: IdSchema.Field) -> [(text: String, language: String?)] {
    switch field.type {
    case .plain: [(text, nil)]
    case .simple:
      ((try? JSONValue.parse(text))?.array ?? []).map { ($0["value"]?.string ?? "", $0["language"]?.string) }
    case .document: (try? JSONValue.parse(text))?["type"]?.string.map { [($0, nil)] } ?? []
    case .biometrics: []
    }
  }

  private static func invalid(_ reason: String) -> Verdict {
    .failed("RPR-PKV-FAILED-006", "Master Data Validation Failed: \(reason)")
  }
}
