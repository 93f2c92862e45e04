import YAML

extension StageFile {
  /// Reads a `stage.yaml`. The folder's name is the stage's name. All faults are reported together; with an error among them there is no
  /// stage file.
  public static func read(_ bytes: [UInt8], name: String, file: String) -> (stage: StageFile?, problems: [Problem]) {
    let document = YAMLDocument(bytes, name: file)
    guard let root = document.root, document.problems.isEmpty else {
      let empty = Problem("empty", "the file is empty", file: file, at: Position(line: 1, column: 1))
      return (nil, document.problems.isEmpty ? [empty] : document.problems)
    }
    var reader = MappingReader(root, subject: "stage \(name)", file: file)
    let plugin = reader.required("plugin")?.text
    var stage = StageFile(
      name: name, plugin: plugin, summary: reader.text("summary") ?? "", className: reader.text("class"),
      topicPrefix: reader.text("topic"), group: reader.text("group"), transactionType: reader.text("transaction-type"))
    if let tries = reader.integer("tries") { stage.tries = max(1, tries) }
    if let pause = reader.number("first-pause") { stage.firstPause = max(0, pause) }
    if let pause = reader.number("longest-pause") { stage.longestPause = max(0, pause) }
    if let lanes = reader.integer("parallelism") { stage.parallelism = max(1, lanes) }
    if let batch = reader.integer("batch") { stage.batch = min(max(1, batch), 10_000) }
    if let settings = reader.optional("settings") {
      for (key, value) in settings.pairs ?? [] {
        if let setting = SettingValue(value) {
          stage.settings[key.text ?? ""] = setting
        } else {
          reader.report("wrong-type", "a setting is a text, a number, true, false or a list of texts", at: value)
        }
      }
      if settings.pairs == nil { reader.report("wrong-type", "settings must be a mapping", at: settings) }
    }
    let problems = reader.finish()
    return (problems.contains { $0.severity == .error } ? nil : stage, problems)
  }
}

extension SettingValue {
  /// The value of a node; nil when it is none.
  fileprivate init?(_ node: YAMLNode) {
    if let value = node.boolean {
      self = .boolean(value)
    } else if let value = node.integer {
      self = .integer(value)
    } else if let value = node.number {
      self = .decimal(value)
    } else if let elements = node.elements {
      let texts = elements.compactMap(\.text)
      guard texts.count == elements.count else { return nil }
      self = .texts(texts)
    } else if node.pairs != nil {
      return nil
    } else {
      self = .text(node.text ?? "")
    }
  }
}
