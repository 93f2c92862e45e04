import System

/// An option of a command: `--name VALUE`, `--name=VALUE`, or a switch without a value.
struct Option: Sendable {
  /// The name without its hyphens.
  var name: String
  /// What the value is called in the help; nil for a switch.
  var value: String?
  /// One line for the help.
  var meaning: String
  /// Whether it may be given more than once.
  var isRepeatable = false
  /// Checks the value; returns what it must be, or nil when it is good.
  var check: @Sendable (String) -> String? = { _ in nil }
  /// The value as an error may show it.
  var shown: @Sendable (String) -> String = { Showing.withoutSecretParts($0) }

  static func text(_ name: String, _ value: String, _ meaning: String, isRepeatable: Bool = false) -> Option {
    Option(name: name, value: value, meaning: meaning, isRepeatable: isRepeatable)
  }

  static func flag(_ name: String, _ meaning: String) -> Option { Option(name: name, value: nil, meaning: meaning) }

  static func number(_ name: String, _ value: String, _ range: ClosedRange<Int>, _ meaning: String) -> Option {
    Option(name: name, value: value, meaning: meaning) { text in
      Int(text).map(range.contains) == true ? nil : "a whole number from \(range.lowerBound) to \(range.upperBound)"
    }
  }

  /// `--name VALUE`, as the help shows it.
  var usage: String { "--\(name)" + (value.map { " \($0)" } ?? "") }
}

/// What follows the options: `STAGE...`, `[FILE]`.
struct Operand: Sendable {
  var name: String
  var meaning: String
  var isRequired = true
  var isRepeatable = false

  var usage: String {
    let text = name + (isRepeatable ? "..." : "")
    return isRequired ? text : "[\(text)]"
  }
}

/// What a person gave to a command, checked.
struct Arguments: Sendable {
  private(set) var values: [String: [String]] = [:]
  private(set) var operands: [String] = []

  /// Whether a switch or an option was given.
  func has(_ name: String) -> Bool { values[name] != nil }
  /// The value of an option; the last one when it was given more than once.
  func text(_ name: String) -> String? { values[name]?.last }
  /// All values of an option.
  func texts(_ name: String) -> [String] { values[name] ?? [] }
  /// The value of an option that takes a number.
  func integer(_ name: String) -> Int? { text(name).flatMap { Int($0) } }
  /// The operand at a place.
  func operand(_ place: Int) -> String? { operands.indices.contains(place) ? operands[place] : nil }

  /// Reads words by a command's table.
  /// - Throws: `WrongUse` for the first word that does not fit.
  init(_ words: [String], for command: Command) throws(WrongUse) {
    let options = command.allOptions
    var rest = words[...]
    var optionsAreOver = false
    while let word = rest.popFirst() {
      guard !optionsAreOver, word.hasPrefix("-"), word != "-" else {
        operands.append(word)
        continue
      }
      if word == "--" {
        optionsAreOver = true
        continue
      }
      guard word.hasPrefix("--") else { throw WrongUse("\(word) is not an option; options begin with two hyphens", command) }
      let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts[0])
      guard let option = options.first(where: { $0.name == name }) else {
        throw WrongUse("unknown option --\(name)", command, suggestion: options.map(\.name).nearest(to: name).map { "--\($0)" })
      }
      var value = parts.count == 2 ? String(parts[1]) : nil
      if option.value == nil {
        guard value == nil else { throw WrongUse("--\(name) takes no value", command) }
        value = ""
      } else if value == nil {
        value = rest.popFirst()
      }
      guard let value else { throw WrongUse("--\(name) needs a value: \(option.usage)", command) }
      if values[name] != nil, !option.isRepeatable { throw WrongUse("--\(name) is given twice", command) }
      if option.value != nil, let wanted = option.check(value) {
        throw WrongUse("--\(name) must be \(wanted), not `\(option.shown(value))`", command)
      }
      values[name, default: []].append(value)
    }
    if has("help") { return }
    if let first = command.operands.first, first.isRequired, operands.isEmpty {
      throw WrongUse("\(command.operands.map(\.name).joined(separator: ", ")) is missing: \(first.meaning)", command)
    }
    let isOpen = command.operands.contains(where: \.isRepeatable)
    if !isOpen, operands.count > command.operands.count {
      throw WrongUse("`\(Showing.withoutSecretParts(operands[command.operands.count]))` is one word too many", command)
    }
    let needed = command.operands.filter(\.isRequired).count
    guard operands.count >= needed else {
      throw WrongUse("\(command.operands[operands.count].name) is missing: \(command.operands[operands.count].meaning)", command)
    }
  }
}

/// A command line that cannot be understood: exit code 2.
struct WrongUse: Error, Sendable {
  var message: String
  var suggestion: String?
  /// The command whose help is worth reading; empty for the program itself.
  var command: String

  init(_ message: String, _ command: Command? = nil, suggestion: String? = nil) {
    self.message = message
    self.suggestion = suggestion
    self.command = command?.name ?? ""
  }
}

/// Something that did not work: exit code 1.
struct Failure: Error, Sendable, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
