import System
import Glibc
import JSON
import StageKit
import YAML

/// The file of a country's names (`fields.yaml`), and its schema for editors.
extension FieldNames {
  /// What came of reading such a file.
  package struct Reading {
    /// The names; nil when a problem is an error.
    let names: FieldNames?
    /// What is wrong with the file, for whoever shows it.
    package let check: FileCheck
  }

  /// The version of the file's form.
  static let currentVersion = 1

  /// Where the committed schema is, from the root of the repository.
  static let schemaPath = "deploy/schema/fields.schema.json"

  /// Reads a file. All faults are reported together.
  package static func read(_ bytes: [UInt8], file: String) -> Reading {
    let document = YAMLDocument.parse(bytes, name: file)
    let problems = Problems(file: file, document.problems)
    func reading(_ names: FieldNames) -> Reading {
      Reading(
        names: problems.hasErrors ? nil : names, check: FileCheck(problems: problems.all, source: document.source))
    }
    guard let root = document.root, let reader = KeyedReader(root, of: "the file of names", problems) else {
      if problems.count == 0 { problems.add("empty", "the file is empty", at: Position(line: 1, column: 1)) }
      return reading(.standard)
    }
    if let version = reader.required("version", Int.self), version != currentVersion, let node = root["version"] {
      problems.add("version", "this program reads version \(currentVersion)", at: node)
    }
    var names = FieldNames()
    for group in groups {
      if let part = reader.mapping(group.key, of: group.key) { names.set(group, read(part, group, problems)) }
    }
    reader.finish()
    return reading(names)
  }

  private static func read(_ part: KeyedReader, _ group: Group, _ problems: Problems) -> [String: String] {
    var given: [String: String] = [:]
    var owners: [String: String] = [:]
    for member in group.members {
      let name = part.optional(member.key, String.self)
      if let name, let node = part.entry(member.key)?.value, !isName(name) {
        problems.add("wrong-name", "a name is text without blanks, slashes or control characters", at: node)
      } else if let name {
        given[member.key] = name
      }
      let used = name ?? member.standard
      if let other = owners.updateValue(member.key, forKey: used) {
        problems.add(
          "same-name", "\(Problem.quote(used)) is the name of both \(other) and \(member.key)",
          at: part.entry(member.key)?.value ?? part.entry(other)?.value ?? part.node)
      }
    }
    part.finish()
    return given
  }

  private static func isName(_ text: String) -> Bool {
    FHIR.isIdentifier(text) && text.utf8.count <= 128 && text.utf8.allSatisfy { $0 > 32 && $0 != 47 }
  }

  /// Reads the file that a setting names; the standard names when it names none.
  /// - Throws: `SettingError` with the first fault.
  package init(_ settings: StageSettings, _ setting: String) throws {
    let path = settings.text(setting)
    guard !path.isEmpty else {
      self = .standard
      return
    }
    guard let bytes = Self.content(of: path) else {
      throw SettingError(stage: settings.stage, setting: setting, "names \(path), which cannot be read")
    }
    let reading = Self.read(bytes, file: path)
    guard let names = reading.names else {
      throw SettingError(
        stage: settings.stage, setting: setting,
        "names a file with a fault: \(reading.check.problems.first { $0.severity == .error }?.description ?? path)")
    }
    self = names
  }

  private static func content(of path: String) -> [UInt8]? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var (out, buffer) = ([UInt8](), [UInt8](repeating: 0, count: 1 << 14))
    while out.count <= 1 << 20 {
      let count = fread(&buffer, 1, buffer.count, file)
      if count == 0 { return ferror(file) == 0 ? out : nil }
      out += buffer[..<count]
    }
    return nil
  }

  /// The JSON Schema (draft 7) of such files.
  static var schema: String {
    var properties: JSONObject = ["version": ["const": JSONValue(currentVersion)]]
    for group in groups {
      var members = JSONObject()
      for member in group.members {
        members[member.key] = [
          "type": "string", "pattern": "^[^\\s/]+$", "default": .string(member.standard),
        ]
      }
      properties[group.key] = [
        "description": .string("The country's \(group.meaning)."), "type": "object", "additionalProperties": false,
        "properties": .object(members),
      ]
    }
    let schema: JSONValue = [
      "$schema": "http://json-schema.org/draft-07/schema#", "title": "names that a country uses in its events",
      "description": "What is left out has the name that OpenCRVS' reference country gives it.", "type": "object",
      "required": ["version"], "additionalProperties": false, "properties": .object(properties),
    ]
    return String(decoding: schema.encoded(pretty: true), as: UTF8.self) + "\n"
  }
}
