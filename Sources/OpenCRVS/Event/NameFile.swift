import Glibc
import JSON
import StageKit
import System
import YAML

/// A file in which a country says what it calls things, in groups: read with all faults at their places, and described for editors.
package struct NameFile: Sendable {
  /// Names of one sort, which stand at the same place of an event.
  struct Group: Sendable {
    /// The group's name in the file, e.g. `sections`.
    let key: String
    let meaning: String
    let members: [Member]
  }

  /// One thing: its name in the file, and what the reference country calls it.
  struct Member: Sendable {
    let key: String
    let standard: String

    init(_ key: String, _ standard: String) {
      self.key = key
      self.standard = standard
    }
  }

  /// By group and member what the country calls it, where it says so.
  typealias Names = [String: [String: String]]

  /// The version of the file's form.
  static let currentVersion = 1

  /// What it is, for problems and for editors, e.g. `names that a country uses in its events`.
  let title: String
  let groups: [Group]

  /// Reads a file. All faults are reported together; the names are nil when one of them is an error.
  func read(_ bytes: [UInt8], file: String) -> (names: Names?, check: FileCheck) {
    let document = YAMLDocument.parse(bytes, name: file)
    let problems = Problems(file: file, document.problems)
    func reading(_ names: Names) -> (Names?, FileCheck) {
      (problems.hasErrors ? nil : names, FileCheck(problems: problems.all, source: document.source))
    }
    guard let root = document.root, let reader = KeyedReader(root, of: "the file of names", problems) else {
      if problems.count == 0 { problems.add("empty", "the file is empty", at: Position(line: 1, column: 1)) }
      return reading([:])
    }
    if let version = reader.required("version", Int.self), version != Self.currentVersion, let node = root["version"] {
      problems.add("version", "this program reads version \(Self.currentVersion)", at: node)
    }
    var names: Names = [:]
    for group in groups {
      if let part = reader.mapping(group.key, of: group.key) { names[group.key] = Self.read(part, group, problems) }
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

  /// Reads the file that a setting names; nil when it names none.
  /// - Throws: `SettingError` with the first fault.
  func names(_ settings: StageSettings, _ setting: String) throws -> Names? {
    let path = settings.text(setting)
    guard !path.isEmpty else { return nil }
    guard let bytes = Self.content(of: path) else {
      throw SettingError(stage: settings.stage, setting: setting, "names \(path), which cannot be read")
    }
    let reading = read(bytes, file: path)
    guard let names = reading.names else {
      throw SettingError(
        stage: settings.stage, setting: setting,
        "names a file with a fault: \(reading.check.problems.first { $0.severity == .error }?.description ?? path)")
    }
    return names
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
  var schema: String {
    var properties: JSONObject = ["version": ["const": JSONValue(Self.currentVersion)]]
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
      "$schema": "http://json-schema.org/draft-07/schema#", "title": .string(title),
      "description": "What is left out has the name that OpenCRVS' reference country gives it.", "type": "object",
      "required": ["version"], "additionalProperties": false, "properties": .object(properties),
    ]
    return String(decoding: schema.encoded(pretty: true), as: UTF8.self) + "\n"
  }
}
