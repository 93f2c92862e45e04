import System
import Registration
import YAML

/// One test of a route file.
public struct RouteCase: Sendable {
  /// What a case expects.
  public enum Expectation: Sendable {
    /// The destinations of one decision, in order: names, or with their properties.
    case destinations([String])
    /// The stages of a whole way in order, and behind them the commands of its last decision.
    case path([String])
  }

  /// What it shows, as a person says it; without a name, what it is given.
  public let name: String
  /// The process.
  public let flow: String
  /// The stage that the message has left; nil begins at the flow's first stage.
  public let after: String?
  /// The message, with its verdict.
  public let message: CaseMessage
  /// What stages of a path say instead of passed.
  public let verdicts: [String: VerdictKind]
  /// What must come of it.
  public let expectation: Expectation
  /// The file it is in.
  public let file: String
  /// Where it is written.
  public let position: Position
}

/// The message of a case.
public struct CaseMessage: Routable, Sendable {
  var tags: [String: String] = [:]
  var fields: [String: FieldValue] = [:]

  /// The verdict of its flags; nil when one of them is null.
  public var verdict: VerdictKind? {
    func flag(_ field: MessageField) -> Bool? {
      if case .bool(let value) = fields[field.rawValue] { value } else { nil }
    }
    return VerdictKind(isValid: flag(.isValid), internalError: flag(.internalError))
  }

  /// A tag's value.
  public func tag(_ name: String) -> String? { tags[name] }

  /// A field's value; what was not given is null, as upstream writes it, and has no address.
  public func field(_ name: String) -> FieldValue {
    fields[name] ?? (name == MessageField.address.rawValue ? .absent : .null)
  }

  mutating func set(_ verdict: VerdictKind?) {
    fields[MessageField.isValid.rawValue] = verdict.map { .bool($0.isValid) } ?? .bool(true)
    fields[MessageField.internalError.rawValue] = verdict.map { .bool($0.internalError) } ?? .null
  }
}

/// A file of cases, whose keys are `CasesKey`, `CaseKey` and `GivenKey` (docs/route-file.md#route-cases).
public enum RouteCases {
  /// Reads a file of cases. Everything that is wrong is found in one run.
  public static func read(
    _ bytes: [UInt8], name: String
  ) -> (cases: [RouteCase], problems: [Problem], source: SourceText) {
    let document = YAMLDocument.parse(bytes, name: name)
    let problems = Problems(file: name, document.problems)
    var cases: [RouteCase] = []
    if let root = document.root, let reader = RouteReader(root, of: "the file of cases", problems, CasesKey.self) {
      let flow = reader.optional(.flow, String.self)
      let after = reader.optional(.after, String.self)
      if let nodes = reader.required(.cases, [YAMLNode].self) {
        let caseReader = RouteCaseReader(problems: problems, flow: flow, after: after)
        cases = nodes.compactMap(caseReader.read)
      }
      reader.finish()
    }
    return (cases, problems.all, document.source)
  }
}

struct RouteCaseReader {
  let problems: Problems
  let flow: String?
  let after: String?

  func read(_ node: YAMLNode) -> RouteCase? {
    let before = problems.count
    guard let reader = RouteReader(node, of: "a case", problems, CaseKey.self) else { return nil }
    let name = reader.optional(.name, String.self)
    let given = reader.required(.given, YAMLNode.self)
    let path = reader.entry(.path)
    let expect = reader.entry(.expect)
    reader.finish()
    guard let given, let content = self.given(given) else { return nil }
    let expectation: RouteCase.Expectation
    switch (expect, path) {
    case (let expect?, nil): expectation = .destinations(destinations(expect.value))
    case (nil, let path?): expectation = .path([String].read(path.value, problems) ?? [])
    default:
      problems.add("expectation", "a case has either expect or expect path", at: expect?.keyNode ?? node)
      return nil
    }
    guard problems.count == before else { return nil }
    if case .destinations = expectation, content.after == nil {
      problems.add(
        "no-stage", "the case does not say after which stage", at: given,
        suggestion: "after: STAGE under given or for the whole file")
      return nil
    }
    return RouteCase(
      name: name ?? content.words, flow: content.flow, after: path != nil ? content.ownAfter : content.after,
      message: content.message, verdicts: content.verdicts, expectation: expectation, file: problems.file,
      position: node.start)
  }

  private struct Given {
    var flow = ""
    var after: String?
    var ownAfter: String?
    var message = CaseMessage()
    var verdicts: [String: VerdictKind] = [:]
    var words = ""
  }

  private func given(_ node: YAMLNode) -> Given? {
    guard let reader = RouteReader(node, of: "what is given", problems, GivenKey.self) else { return nil }
    var given = Given()
    given.message.set(.passed)
    given.ownAfter = reader.optional(.after, String.self)
    given.after = given.ownAfter ?? after
    let flow = reader.optional(.flow, String.self)
    var process: String?
    if let entry = reader.entry(.message) {
      given.message = CaseMessage()
      process = message(entry.value, &given.message)
    }
    if let verdict = reader.optional(.verdict, RouteCaseVerdict.self) { given.message.set(verdict.kind) }
    if let entry = reader.entry(.tags) { given.message.tags = tags(entry.value) }
    if let entry = reader.entry(.fields), let pairs = entry.value.mapping {
      for pair in pairs { field(pair, &given.message) }
    }
    if let entry = reader.entry(.verdicts), let pairs = entry.value.mapping {
      for pair in pairs { given.verdicts[pair.key] = VerdictKind.read(pair.value, problems) }
    }
    reader.finish()
    guard let name = flow ?? process ?? self.flow else {
      problems.add(
        "no-flow", "the case does not say which flow", at: node, suggestion: "flow: PROCESS, or for the whole file")
      return nil
    }
    given.flow = name
    given.message.fields[MessageField.process.rawValue] = .text(name)
    let tags = given.message.tags.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
    given.words =
      ([name, given.after.map { "after \($0)" } ?? "", given.message.verdict?.rawValue ?? "no verdict"] + tags)
      .filter { !$0.isEmpty }.joined(separator: ", ")
    return given
  }

  private func tags(_ node: YAMLNode) -> [String: String] {
    guard let pairs = node.mapping else {
      problems.add("wrong-type", "expected tags, found \(node.kind)", at: node)
      return [:]
    }
    var tags: [String: String] = [:]
    for pair in pairs { tags[pair.key] = String.read(pair.value, problems) }
    return tags
  }

  private func field(_ pair: YAMLEntry, _ message: inout CaseMessage) {
    guard let field = MessageField(rawValue: pair.key) else {
      problems.add(
        "unknown-field", "a message has no field \(Problem.quote(pair.key))", at: pair.keyNode,
        suggestion: problems.suggestion(for: pair.key, among: MessageField.allCases.map(\.rawValue)))
      return
    }
    switch (field.kind, pair.value.value) {
    case (_, .null?) where field.isNullable: message.fields[pair.key] = .null
    case (.text, .string(let text)?): message.fields[pair.key] = .text(text)
    case (.bool, .bool(let truth)?): message.fields[pair.key] = .bool(truth)
    case (.int, .int(let number)?): message.fields[pair.key] = .int(number)
    default: problems.add("wrong-type", "\(pair.key) never is \(pair.value.kind)", at: pair.value)
    }
  }

  /// A MessageDTO as a mapping; returns its process.
  private func message(_ node: YAMLNode, _ message: inout CaseMessage) -> String? {
    guard let pairs = node.mapping else {
      problems.add("wrong-type", "expected a message, found \(node.kind)", at: node)
      return nil
    }
    var process: String?
    for pair in pairs {
      switch pair.key {
      case "tags" where pair.value.isNull: break
      case "tags": message.tags = tags(pair.value)
      case "messageBusAddress" where pair.value.isNull: break
      case "messageBusAddress":
        for inner in pair.value.mapping ?? [] where inner.key == "address" {
          field(YAMLEntry(key: MessageField.address.rawValue, keyNode: inner.keyNode, value: inner.value), &message)
        }
      default: field(pair, &message)
      }
      if pair.key == MessageField.process.rawValue { process = pair.value.text }
    }
    return process
  }

  /// Destinations as a route file writes them.
  private func destinations(_ node: YAMLNode) -> [String] {
    (node.sequence ?? [node]).compactMap { node in
      if node.mapping?.count == 1, let properties = node[WorkflowCommand.additionalInfo] {
        return AdditionalInfoRequest.read(properties, problems).map {
          WorkflowCommand.pauseAndRequestAdditionalInfo($0).description
        }
      }
      return String.read(node, problems)
    }
  }
}

extension VerdictKind: YAMLReadable {}

/// The verdict of a case's message.
enum RouteCaseVerdict: String, CaseIterable, YAMLReadable {
  case passed, failed, retry, error, none
  var kind: VerdictKind? { VerdictKind(rawValue: rawValue) }
}

/// The keys of a file of cases.
enum CasesKey: String, RouteKey {
  case flow, after, cases

  static let mapping = "The file of cases"
  var says: RouteKeySays {
    switch self {
    case .flow: RouteKeySays(.text, "The process, for every case without its own.", "OPENCRVS_NEW")
    case .after: RouteKeySays(.text, "The stage that the message has left, for every case without its own.", "packet-classifier")
    case .cases:
      RouteKeySays(
        .ofCases("a list of cases"), "The cases.", "[{ given: { flow: OPENCRVS_NEW, after: finalization }, expect: print }]",
        isRequired: true)
    }
  }
}

/// The keys of a case.
enum CaseKey: String, RouteKey {
  case name, given, expect
  case path = "expect path"

  static let mapping = "A case"
  var says: RouteKeySays {
    switch self {
    case .name: RouteKeySays(.text, "What it shows; left out: what is given.", "an adult needs no introducer")
    case .given: RouteKeySays(.ofCases("what is given"), "The message.", "{ tags: { AGE_GROUP: ADULT } }", isRequired: true)
    case .expect:
      RouteKeySays(
        .destinations, "Every destination of the one decision, in order; a case has this or `expect path`.", "uin-generator")
    case .path:
      RouteKeySays(
        .ofCases("a list of names"), "The stages of the whole way, then the commands of its last decision.",
        "[packet-receiver, print, complete-as-processed]")
    }
  }
}

/// The keys of what a case is given.
enum GivenKey: String, RouteKey {
  case flow, after, verdict, verdicts, tags, fields, message

  static let mapping = "What is given"
  var says: RouteKeySays {
    switch self {
    case .flow: RouteKeySays(.text, "The process.", "OPENCRVS_UPDATE")
    case .after:
      RouteKeySays(.text, "The stage that the message has left; a path without it begins at the first stage.", "finalization")
    case .verdict:
      RouteKeySays(
        .choice(RouteCaseVerdict.allCases.map(\.rawValue)), "What that stage said; left out: passed. none: a flag is null.",
        "failed")
    case .verdicts:
      RouteKeySays(
        .ofCases("a mapping of stages to verdicts"), "What stages of a path say instead of passed.", "{ finalization: error }")
    case .tags: RouteKeySays(.ofCases("a mapping of tags to texts"), "The message's tags.", "{ AGE_GROUP: INFANT }")
    case .fields:
      RouteKeySays(.ofCases("a mapping of fields to values"), "Fields of the message.", "{ source: null, iteration: 2 }")
    case .message:
      RouteKeySays(
        .ofCases("a message as on the bus"), "The whole message, for one that was recorded.",
        "{ reg_type: OPENCRVS_NEW, isValid: true, internalError: false, tags: {} }")
    }
  }
}
