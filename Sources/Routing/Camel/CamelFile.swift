import System
import XML
import YAML

/// One way of a Camel route: a `when`, the `otherwise`, or what stands outside of any choice.
struct CamelBranch: Sendable {
  /// The test; nil for `otherwise`.
  let test: CamelTest?
  /// The same as a condition.
  let condition: Condition?
  /// Where it leads, in order.
  let to: [Destination]
  /// Where it is written.
  let position: Position
}

/// One route of a Camel file.
struct CamelRoute: Sendable {
  /// The file it is in.
  let file: String
  /// Its `id`.
  let id: String
  /// The topic it reads.
  let from: Placed<String>
  /// Its ways in order.
  let branches: [CamelBranch]
  /// Where it begins.
  let position: Position

  /// Where Camel sends a message; nil when no `when` holds and there is no `otherwise`: then it goes nowhere.
  func decide(_ message: some Routable) -> [Destination]? {
    branches.first { $0.test?.holds(message) ?? true }?.to
  }
}

/// Reads a Camel route file. Every construct that it does not know is a problem with its place; none is passed over.
struct CamelFileReader {
  let problems: Problems
  /// The stages by what their topics begin with.
  private let prefixes: [String: String]
  /// Stages that no directory knows, met as destinations: name to place.
  private(set) var unknown: [String: Position] = [:]

  /// Names of topics in older releases (docs/upstream/bus-and-routes.md#3-topics).
  static let olderPrefixes = ["printing": "print"]

  init(problems: Problems, stages: StageDirectory) {
    self.problems = problems
    prefixes = stages.names.reduce(into: [:]) { $0[stages[$1]?.topicPrefix ?? $1] = $1 }
  }

  mutating func read(_ bytes: [UInt8]) -> [CamelRoute] {
    let root: XMLElement
    do throws(XMLError) {
      root = try XMLReader.read(bytes)
    } catch {
      problems.add(
        error.fault.code, error.message, at: Position(line: error.line, column: error.column), suggestion: error.suggestion)
      return []
    }
    switch root.name {
    case "routes": return list(root)
    case "route": return route(root).map { [$0] } ?? []
    default:
      unsupported(root, "expected <routes>")
      return []
    }
  }

  private mutating func list(_ root: XMLElement) -> [CamelRoute] {
    noText(root)
    attributes(root, ["xmlns", "id"])
    var read: [CamelRoute] = []
    for child in root.children {
      if child.name == "route" {
        if let route = route(child) { read.append(route) }
      } else {
        unsupported(child)
      }
    }
    return read
  }

  private mutating func route(_ element: XMLElement) -> CamelRoute? {
    noText(element)
    attributes(element, ["id"])
    var from: Placed<String>?
    var choice: XMLElement?
    var steps: [XMLElement] = []
    for child in element.children {
      switch child.name {
      case "from":
        if from != nil { unsupported(child, "a second <from>") }
        from = topic(child, child["uri"]).map { Placed($0, at: child.position) }
      case "choice":
        if choice != nil || !steps.isEmpty { unsupported(child, "only one <choice>, and nothing beside it, is known") }
        choice = child
      case "log", "description": log(child)
      default:
        if choice != nil { unsupported(child, "a step after </choice> is not known") }
        steps.append(child)
      }
    }
    guard let from else {
      problems.add("missing-from", "the route has no <from> with a topic", at: element.position)
      return nil
    }
    let branches: [CamelBranch]
    if let choice {
      branches = self.branches(choice)
    } else {
      let to = destinations(steps, element)
      branches = [CamelBranch(test: nil, condition: nil, to: to, position: element.position)]
    }
    return CamelRoute(
      file: problems.file, id: element["id"] ?? "", from: from, branches: branches, position: element.position)
  }

  private mutating func branches(_ choice: XMLElement) -> [CamelBranch] {
    noText(choice)
    attributes(choice, ["id"])
    var read: [CamelBranch] = []
    var hasOtherwise = false
    for child in choice.children {
      noText(child)
      switch child.name {
      case "when":
        attributes(child, ["id"])
        if hasOtherwise { unsupported(child, "a <when> after <otherwise>") }
        guard let first = child.children.first(where: { $0.name != "description" }) else {
          problems.add("missing-test", "the <when> has no test", at: child.position)
          continue
        }
        let rest = child.children.filter { $0.name != "description" }.dropFirst()
        guard let test = test(first) else { continue }
        read.append(
          CamelBranch(
            test: test, condition: test.condition, to: destinations(Array(rest), child), position: child.position))
      case "otherwise":
        attributes(child, ["id"])
        if hasOtherwise { unsupported(child, "a second <otherwise>") }
        hasOtherwise = true
        read.append(
          CamelBranch(test: nil, condition: nil, to: destinations(child.children, child), position: child.position))
      default: unsupported(child)
      }
    }
    return read
  }

  private func test(_ element: XMLElement) -> CamelTest? {
    do throws(CamelTestReader.Fault) {
      switch element.name {
      case "jsonpath":
        attributes(element, ["suppressExceptions", "trim", "id"])
        return try CamelTestReader.jsonPath(element.text)
      case "simple":
        attributes(element, ["trim", "id"])
        return try CamelTestReader.simple(element.text)
      default:
        unsupported(element, "a test is <jsonpath> or <simple>")
      }
    } catch {
      problems.add("unsupported-test", error.message, at: element.position, suggestion: error.suggestion)
    }
    return nil
  }

  private mutating func destinations(_ steps: [XMLElement], _ parent: XMLElement) -> [Destination] {
    var to: [Destination] = []
    var properties: [String: String] = [:]
    /// What only an HTTP call needs: its token, headers and body.
    var glue: [XMLElement] = []
    for step in steps {
      switch step.name {
      case "log", "description": log(step)
      case "setProperty": property(step, &properties)
      case "process" where step["ref"] == "tokenGenerationProcessor": glue.append(step)
      case "setHeader", "setBody": glue.append(step)
      case "to":
        attributes(step, ["uri", "id"])
        if let destination = destination(step, properties, &glue) { to.append(destination) }
      default: unsupported(step)
      }
    }
    for step in glue { unsupported(step, "it is known only before a call of securezone-notification over HTTP") }
    if to.isEmpty { problems.add("no-destination", "<\(parent.name)> sends the message nowhere", at: parent.position) }
    return to
  }

  private func property(_ step: XMLElement, _ properties: inout [String: String]) {
    attributes(step, ["propertyName", "name", "id"])
    let name = step["propertyName"] ?? step["name"] ?? ""
    guard name == "ADDITIONAL_INFO_PROCESS" || name == "PAUSE_FOR" else {
      return unsupported(step, "the property \(quoted(name))")
    }
    guard step.children.count == 1, let constant = step.children.first, constant.name == "constant" else {
      return unsupported(step, "the value of a property is a <constant>")
    }
    attributes(constant, ["trim", "id"])
    properties[name] = constant.text.trimmed
  }

  private mutating func destination(
    _ step: XMLElement, _ properties: [String: String], _ glue: inout [XMLElement]
  ) -> Destination? {
    let uri = step["uri"] ?? ""
    if let name = CamelFileReader.rest(uri, ["workflow-cmd"]) {
      if name == "pause-and-request-additional-info" { return pause(step, properties) }
      if let command = WorkflowCommand(name: name) { return .command(command) }
      problems.add(
        "unknown-command", "no workflow command is called \(quoted(name))", at: step.position,
        suggestion: NearestName.suggestion(for: name, among: WorkflowCommand.names))
      return nil
    }
    if uri.hasPrefix("http://") || uri.hasPrefix("https://") {
      guard uri.hasSuffix("/registrationprocessor/v1/securezone/notification") else {
        unsupported(step, "of HTTP calls only the one of securezone-notification is known")
        return nil
      }
      glue = []
      problems.add(
        "http-hop", "the call of securezone-notification over HTTP, with its token and headers, becomes its topic",
        severity: .warning,
        at: step.position)
      return .stage("securezone-notification")
    }
    guard let topic = topic(step, uri) else { return nil }
    guard topic.hasSuffix("-bus-in") else {
      problems.add(
        "unknown-destination", "the topic \(quoted(topic)) is no stage's input", at: step.position,
        suggestion: "a stage's input ends with -bus-in")
      return nil
    }
    return .stage(stage(String(topic.dropLast(7)), step.position))
  }

  private func pause(_ step: XMLElement, _ properties: [String: String]) -> Destination? {
    guard let process = properties["ADDITIONAL_INFO_PROCESS"], !process.isEmpty,
      let seconds = properties["PAUSE_FOR"].flatMap({ Int($0) }), seconds > 0
    else {
      problems.add(
        "missing-properties", "pause-and-request-additional-info needs ADDITIONAL_INFO_PROCESS and PAUSE_FOR (seconds)",
        at: step.position)
      return nil
    }
    return .command(.pauseAndRequestAdditionalInfo(AdditionalInfoRequest(process: process, pauseSeconds: seconds)))
  }

  /// The stage whose topics begin so; one that nobody knows keeps that name.
  mutating func stage(_ prefix: String, _ position: Position) -> String {
    if let name = prefixes[prefix] { return name }
    if let name = CamelFileReader.olderPrefixes[prefix] {
      problems.add(
        "older-name", "\(prefix) is an older release's name of \(name): its topics begin otherwise now",
        severity: .warning, at: position)
      return name
    }
    if unknown[prefix] == nil {
      unknown[prefix] = position
      problems.add(
        "foreign-stage", "no stage's topics begin with \(prefix); it is declared as a stage of others",
        severity: .warning, at: position, suggestion: NearestName.suggestion(for: prefix, among: prefixes.keys))
    }
    return prefix
  }

  private func topic(_ element: XMLElement, _ uri: String?) -> String? {
    if element.name == "from" { attributes(element, ["uri", "id"]) }
    guard let uri, let topic = CamelFileReader.rest(uri, ["eventbus", "vertx"]), !topic.isEmpty, !topic.contains("?")
    else {
      unsupported(element, "the address \(quoted(uri ?? ""))")
      return nil
    }
    return topic
  }

  /// What follows one of the schemes, as in `eventbus://TOPIC` or `eventbus:TOPIC`.
  private static func rest(_ uri: String, _ schemes: [String]) -> String? {
    for scheme in schemes where uri.hasPrefix(scheme + ":") {
      let rest = uri.dropFirst(scheme.count + 1)
      return String(rest.hasPrefix("//") ? rest.dropFirst(2) : rest)
    }
    return nil
  }

  private func log(_ element: XMLElement) {
    if !element.children.isEmpty { unsupported(element.children[0]) }
  }

  private func attributes(_ element: XMLElement, _ known: Set<String>) {
    for attribute in element.attributes where !known.contains(attribute.name) {
      problems.add(
        "unsupported-attribute", "the attribute \(attribute.name) of <\(element.name)> is not known",
        at: element.position, length: element.name.count + 1)
    }
  }

  private func noText(_ element: XMLElement) {
    let text = element.text.trimmed
    if !text.isEmpty {
      problems.add(
        "unsupported-text", "text in <\(element.name)>: \(quoted(String(text.prefix(40))))", at: element.position)
    }
  }

  private func unsupported(_ element: XMLElement, _ why: String? = nil) {
    problems.add(
      "unsupported-construct", "<\(element.name)> cannot be imported" + (why.map { ": \($0)" } ?? ""),
      at: element.position, length: element.name.count + 1)
  }
}

extension XMLElement {
  fileprivate var position: Position { Position(line: line, column: column) }
}

extension XMLError.Fault {
  /// The code of a problem.
  fileprivate var code: String {
    switch self {
    case .tooLarge: "too-large"
    case .notUTF8: "not-utf-8"
    case .documentType: "doctype"
    case .unknownEntity: "entity"
    case .tooManyElements: "too-many-elements"
    case .tooManyAttributes: "too-many-attributes"
    case .tooDeep: "too-deep"
    default: "xml-syntax"
    }
  }
}

extension String {
  var trimmed: String {
    var text = self[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
