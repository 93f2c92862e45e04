import System

/// A setting that a plugin declares. From it come the checks of `stage.yaml`, `regproc stages describe` and the reference in docs.
public struct SettingField: Sendable {
  /// What a value may be.
  public enum Kind: Sendable, Equatable {
    /// Any text.
    case text
    /// One of these texts.
    case choice([String])
    /// A whole number.
    case integer
    /// A number.
    case decimal
    /// `true` or `false`.
    case boolean
    /// A list of texts.
    case texts
    /// A text that is never printed.
    case secret
    /// The name of a file. One in `stage.yaml` is looked for from the folder of that file.
    case file
  }

  /// The name, in lower case with hyphens.
  public var name: String
  /// What its value may be.
  public var kind: Kind
  /// The value when none is given; nil makes the setting required.
  public var defaultValue: SettingValue?
  /// The unit of a number, e.g. `seconds`.
  public var unit: String?
  /// What it means, for the person who sets it.
  public var meaning: String

  /// A setting.
  public init(_ name: String, _ kind: Kind, default value: SettingValue?, unit: String? = nil, _ meaning: String) {
    self.name = name
    self.kind = kind
    self.defaultValue = value
    self.unit = unit
    self.meaning = meaning
  }

  /// A value as it is taken: a whole number also as a number or as text; nil when it is not of this kind.
  public func taken(_ value: SettingValue) -> SettingValue? {
    // Times and sizes are computed with: nobody means more than this, and nothing overflows below it.
    switch value {
    case .integer(let number) where number.magnitude > 1_000_000_000_000: return nil
    case .decimal(let number) where !(number.magnitude <= 1e12): return nil
    default: break
    }
    return switch (kind, value) {
    case (.text, .text), (.secret, .text), (.file, .text), (.integer, .integer), (.decimal, .decimal), (.boolean, .boolean),
      (.texts, .texts):
      value
    case (.choice(let choices), .text(let text)) where choices.contains(text): value
    case (.decimal, .integer(let number)): .decimal(Double(number))
    case (.text, .integer(let number)): .text(String(number))
    default: nil
    }
  }

  /// A value of this setting as people may see it.
  public func shown(_ value: SettingValue) -> String {
    let showing: Showing = kind == .secret ? .hidden : .withoutSecretParts
    return switch value {
    case .text(let text): text.isEmpty ? "(empty)" : showing(text)
    case .integer(let number): showing(String(number))
    case .decimal(let number): showing(String(number))
    case .boolean(let flag): showing(String(flag))
    case .texts(let texts): texts.map { showing($0) }.joined(separator: ",")
    }
  }
}

/// The value of a setting.
public enum SettingValue: Sendable, Equatable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
  /// A text, a choice or a secret.
  case text(String)
  /// A whole number.
  case integer(Int)
  /// A number.
  case decimal(Double)
  /// True or false.
  case boolean(Bool)
  /// A list of texts.
  case texts([String])

  public init(stringLiteral value: String) { self = .text(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .decimal(value) }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  public init(arrayLiteral elements: String...) { self = .texts(elements) }

  /// The value of a text that an environment variable or a flag gives; nil when it is not of this kind.
  /// A list is split at commas.
  public init?(_ text: String, as kind: SettingField.Kind) {
    switch kind {
    case .text, .secret, .file: self = .text(text)
    case .choice(let choices):
      guard choices.contains(text) else { return nil }
      self = .text(text)
    case .integer:
      guard let value = Int(text) else { return nil }
      self = .integer(value)
    case .decimal:
      guard let value = Double(text), value.isFinite else { return nil }
      self = .decimal(value)
    case .boolean:
      guard text == "true" || text == "false" else { return nil }
      self = .boolean(text == "true")
    case .texts:
      self = .texts(text.isEmpty ? [] : text.split(separator: ",").map { String($0.trimmed) })
    }
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    var part = self
    while part.first == " " { part.removeFirst() }
    while part.last == " " { part.removeLast() }
    return part
  }
}

/// The settings of one stage: those of its `stage.yaml`, over them the environment, under them the defaults of its plugin.
///
/// Reading a setting that the plugin did not declare, or as another type, is a mistake of the plugin and traps.
public struct StageSettings: Sendable {
  /// The variable of the environment that says a setting of a stage: `REGPROC_STAGE_<STAGE>_<SETTING>`.
  public static func variable(_ setting: String, of stage: String) -> String {
    "REGPROC_STAGE_\(stage)_\(setting)".uppercased().replacing("-", with: "_")
  }

  /// The stage's name.
  public let stage: String
  private let values: [String: SettingValue]

  /// Settings of a stage, checked against what its plugin declares.
  /// - Throws: `SettingError` for an unknown setting, a wrong type or a required one that is missing.
  public init(stage: String, declared fields: [SettingField], given: [String: SettingValue] = [:]) throws {
    var values: [String: SettingValue] = [:]
    let names = Set(fields.map(\.name))
    for name in given.keys.sorted() where !names.contains(name) {
      throw SettingError(stage: stage, setting: name, "is not a setting of this plugin")
    }
    for field in fields {
      guard let value = given[field.name] ?? field.defaultValue else {
        throw SettingError(stage: stage, setting: field.name, "must be given: \(field.meaning)")
      }
      guard let checked = field.taken(value) else {
        throw SettingError(stage: stage, setting: field.name, "must be \(field.kind.words)")
      }
      values[field.name] = checked
    }
    self.stage = stage
    self.values = values
  }

  /// A text, a choice or a secret.
  public func text(_ name: String) -> String {
    guard case .text(let value) = values[name] else { preconditionFailure("setting \(name) is not declared as text") }
    return value
  }

  /// A whole number.
  public func integer(_ name: String) -> Int {
    guard case .integer(let value) = values[name] else { preconditionFailure("setting \(name) is not declared as integer") }
    return value
  }

  /// A number.
  public func decimal(_ name: String) -> Double {
    guard case .decimal(let value) = values[name] else { preconditionFailure("setting \(name) is not declared as decimal") }
    return value
  }

  /// True or false.
  public func boolean(_ name: String) -> Bool {
    guard case .boolean(let value) = values[name] else { preconditionFailure("setting \(name) is not declared as boolean") }
    return value
  }

  /// A list of texts.
  public func texts(_ name: String) -> [String] {
    guard case .texts(let value) = values[name] else { preconditionFailure("setting \(name) is not declared as texts") }
    return value
  }

  /// The text with every `{setting}` replaced by the value of that text setting.
  public func filled(_ template: String) -> String {
    var out = template
    for (name, value) in values {
      if case .text(let text) = value, let range = out.firstRange(of: "{\(name)}") { out.replaceSubrange(range, with: text) }
    }
    return out
  }
}

extension SettingField.Kind {
  /// The kind in words, for an error and for the reference.
  public var words: String {
    switch self {
    case .text: "text"
    case .secret: "text (secret)"
    case .file: "the name of a file"
    case .choice(let choices): "one of " + choices.joined(separator: ", ")
    case .integer: "a whole number"
    case .decimal: "a number"
    case .boolean: "true or false"
    case .texts: "a list of texts"
    }
  }
}

/// A setting that is wrong.
public struct SettingError: Error, Sendable, CustomStringConvertible {
  /// The stage.
  public var stage: String
  /// The setting.
  public var setting: String
  /// What is wrong with it.
  public var message: String

  /// A wrong setting.
  public init(stage: String, setting: String, _ message: String) {
    self.stage = stage
    self.setting = setting
    self.message = message
  }
  public var description: String { "stage \(stage): setting \(setting) \(message)" }
}
