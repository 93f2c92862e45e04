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
    /// On which line of the file a setting of the plugin stands.
    public var lines: [String: Int] = [:]

    /// The problems as a person reads them: line, caret and suggestion.
    public func report(colours: Bool = false) -> String { problems.map { $0.render(source: source, colours: colours) }.joined() }
  }

  /// A pause is at most a year; YAML has numbers without an end, and what is none.
  private static let pauses = 0...366 * 86_400.0

  /// Reads a `stage.yaml`. The folder's name is the stage's name. All faults are reported together.
  /// - Parameter plugins: the plugins that a stage may name, whose settings are then checked at their places; nil checks neither. That a setting
  ///   is missing is no fault of the file: the environment or the process may give it.
  public static func read(_ bytes: [UInt8], name: String, file: String, plugins: [PluginSpec]? = nil) -> Reading {
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
    stage.takeLimits(reader)
    if let resources = reader.mapping("resources") { stage.resources = StageResources(resources) }
    stage.takeSettings(reader, of: plugins.flatMap { Self.spec(reader, among: $0) })
    reader.finish()
    let lines = root["settings"]?.mapping?.map { ($0.key, $0.keyNode.start.line) } ?? []
    return Reading(
      stage: problems.hasErrors ? nil : stage, problems: problems.all, source: document.source,
      lines: Dictionary(lines) { first, _ in first })
  }

  /// The plugin that the file names; nil after a problem when there is none.
  private static func spec(_ reader: KeyedReader, among plugins: [PluginSpec]) -> PluginSpec? {
    guard let node = reader.entry("plugin")?.value, let name = node.string else { return nil }
    if let spec = plugins.first(where: { $0.name == name }) { return spec }
    let names = plugins.map(\.name)
    reader.problems.add(
      "unknown-plugin", "there is no plugin \(Problem.quote(name)); there are \(names.joined(separator: ", "))", at: node,
      suggestion: reader.problems.suggestion(for: name, among: names))
    return nil
  }

  /// How much it does at once, how often it tries, and whose cluster it is of.
  private mutating func takeLimits(_ reader: KeyedReader) {
    if let tries = reader.number("tries", in: 1...10_000) { self.tries = tries }
    if let pause = reader.number("first-pause", in: Self.pauses) { backoff.first = pause }
    if let pause = reader.number("longest-pause", in: Self.pauses) { backoff.longest = pause }
    if let lanes = reader.number("parallelism", in: 1...1000) { parallelism = lanes }
    if let batch = reader.number("batch", in: 1...10_000) { self.batch = batch }
    guard let entry = reader.entry("side"), !entry.value.isNull else { return }
    if let side = entry.value.text.flatMap({ Side(rawValue: $0) }) {
      self.side = side
    } else {
      reader.problems.add(
        "wrong-value", "side must be \(Side.allCases.map(\.rawValue).joined(separator: " or "))", at: entry.value)
    }
  }

  private mutating func takeSettings(_ reader: KeyedReader, of plugin: PluginSpec?) {
    guard let entry = reader.entry("settings"), !entry.value.isNull else { return }
    guard let pairs = entry.value.mapping else {
      return reader.problems.add("wrong-type", "settings must be a mapping", at: entry.value)
    }
    for pair in pairs {
      guard let value = SettingValue(pair.value) else {
        reader.problems.add(
          "wrong-type", "a setting is text, a number, true, false or a list of texts", showsLine: false, at: pair.value)
        continue
      }
      settings[pair.key] = value
      if let plugin { Self.check(pair, value, of: plugin, reader.problems) }
    }
  }

  /// What the plugin does not have, or as something else. The line of what may be a secret is not quoted.
  private static func check(_ pair: YAMLEntry, _ value: SettingValue, of plugin: PluginSpec, _ problems: Problems) {
    guard let field = plugin.settings.first(where: { $0.name == pair.key }) else {
      let names = plugin.settings.map(\.name)
      let near = problems.suggestion(for: pair.key, among: names)
      return problems.add(
        "unknown-setting", "the plugin \(plugin.name) has no setting \(Problem.quote(pair.key))", showsLine: false,
        at: pair.keyNode, suggestion: near ?? "its settings: " + names.joined(separator: ", "))
    }
    guard field.taken(value) == nil else { return }
    var near: String?
    if case .choice(let choices) = field.kind, let text = pair.value.text { near = problems.suggestion(for: text, among: choices) }
    problems.add(
      "wrong-setting", "\(field.name) must be \(field.kind.words)", showsLine: !field.kind.mayHoldSecrets, at: pair.value,
      suggestion: near)
  }
}

extension SettingField.Kind {
  /// Whether a value that was meant for it may hold what nobody should see: a password in an address.
  fileprivate var mayHoldSecrets: Bool {
    switch self {
    case .text, .texts, .secret: true
    case .choice, .integer, .decimal, .boolean, .file: false
    }
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
