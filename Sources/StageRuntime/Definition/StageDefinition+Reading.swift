import StageKit
import System
import YAML

extension StageDefinition {
  /// What came of reading a `stage.yaml`.
  public struct Reading: Sendable {
    /// The stage; nil when a problem is an error.
    public let stage: StageDefinition?
    /// What is wrong with the file, in its order.
    public let problems: [Problem]
    /// The file, for rendering the problems.
    public let source: SourceText

    /// The problems as a person reads them: line, caret and suggestion.
    public func report(colours: Bool = false) -> String { problems.map { $0.render(source: source, colours: colours) }.joined() }
  }

  /// A pause from 0 to a year; YAML has numbers without an end, and what is none.
  private static func seconds(_ pause: Double) -> Double { pause > 0 ? min(pause, 366 * 86_400) : 0 }

  /// Reads a `stage.yaml`. The folder's name is the stage's name. All faults are reported together.
  public static func read(_ bytes: [UInt8], name: String, file: String) -> Reading {
    let document = YAMLDocument.parse(bytes, name: file)
    // A stage's secrets may stand in its file: the line of one is not quoted.
    let problems = Problems(
      file: file,
      document.problems.map { problem in
        document.source.line(problem.position.line)?.contains("secret") == true ? problem.withoutLine : problem
      })
    guard let root = document.root, let reader = KeyedReader(root, of: "stage \(name)", problems) else {
      if problems.count == 0 { problems.add("empty", "the file is empty", at: Position(line: 1, column: 1)) }
      return Reading(stage: nil, problems: problems.all, source: document.source)
    }
    let plugin = reader.required("plugin", String.self)
    var stage = StageDefinition(
      name: name, plugin: plugin, summary: reader.optional("summary", String.self) ?? "",
      className: reader.optional("class", String.self),
      topicPrefix: reader.optional("topic", String.self), group: reader.optional("group", String.self),
      transactionType: reader.optional("transaction-type", String.self))
    if let tries = reader.optional("tries", Int.self) { stage.tries = max(1, tries) }
    if let pause = reader.optional("first-pause", Double.self) { stage.backoff.first = Self.seconds(pause) }
    if let pause = reader.optional("longest-pause", Double.self) { stage.backoff.longest = Self.seconds(pause) }
    if let lanes = reader.optional("parallelism", Int.self) { stage.parallelism = max(1, lanes) }
    if let batch = reader.optional("batch", Int.self) { stage.batch = min(max(1, batch), 10_000) }
    if let entry = reader.entry("side"), !entry.value.isNull {
      if let side = entry.value.text.flatMap({ Side(rawValue: $0) }) {
        stage.side = side
      } else {
        problems.add("wrong-value", "side must be \(Side.allCases.map(\.rawValue).joined(separator: " or "))", at: entry.value)
      }
    }
    if let resources = reader.mapping("resources") { stage.resources = StageResources(resources) }
    if let entry = reader.entry("settings"), !entry.value.isNull {
      if let pairs = entry.value.mapping {
        for pair in pairs {
          if let value = SettingValue(pair.value) {
            stage.settings[pair.key] = value
          } else {
            problems.add(
              "wrong-type", "a setting is text, a number, true, false or a list of texts", showsLine: false, at: pair.value)
          }
        }
      } else {
        problems.add("wrong-type", "settings must be a mapping", at: entry.value)
      }
    }
    reader.finish()
    return Reading(stage: problems.hasErrors ? nil : stage, problems: problems.all, source: document.source)
  }
}

extension SettingValue {
  /// The value of a node; nil when it is none.
  fileprivate init?(_ node: YAMLNode) {
    if let value = node.bool {
      self = .boolean(value)
    } else if let value = node.int {
      self = .integer(value)
    } else if let value = node.double {
      self = .decimal(value)
    } else if let elements = node.sequence {
      let texts = elements.compactMap(\.text)
      guard texts.count == elements.count else { return nil }
      self = .texts(texts)
    } else if node.mapping != nil {
      return nil
    } else {
      self = .text(node.isNull ? "" : node.text ?? "")
    }
  }
}
