import StageKit

/// The file of a country's names (`fields.yaml`), and its schema for editors.
extension FieldNames {
  /// What came of reading such a file.
  package struct Reading {
    /// The names; nil when a problem is an error.
    let names: FieldNames?
    /// What is wrong with the file, for whoever shows it.
    package let check: FileCheck
  }

  private static let file = NameFile(title: "names that a country uses in its events", groups: groups)

  /// Where the committed schema is, from the root of the repository.
  static let schemaPath = "deploy/schema/fields.schema.json"

  /// Reads a file. All faults are reported together.
  package static func read(_ bytes: [UInt8], file: String) -> Reading {
    let reading = Self.file.read(bytes, file: file)
    return Reading(names: reading.names.map(FieldNames.init(given:)), check: reading.check)
  }

  /// Reads the file that a setting names; the standard names when it names none.
  /// - Throws: `SettingError` with the first fault.
  package init(_ settings: StageSettings, _ setting: String) throws {
    self.init(given: try Self.file.names(settings, setting) ?? [:])
  }

  private init(given: NameFile.Names) {
    for group in Self.groups { if let names = given[group.key] { set(group, names) } }
  }

  /// The JSON Schema (draft 7) of such files.
  static var schema: String { file.schema }
}
