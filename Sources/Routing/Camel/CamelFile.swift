import System
import XML
import YAML

/// Reads a Camel route file. Every construct that it does not know is a problem with its place; none is passed over.
struct CamelFileReader {
  let problems: Problems
  /// Stages that no directory knows, met as destinations.
  private(set) var unknown: Set<String> = []
  private let names: CamelStageNames

  init(problems: Problems, names: CamelStageNames) {
    self.problems = problems
    self.names = names
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
    var rest: [XMLElement] = []
    for child in element.children {
      switch child.name {
      case "from":
        if from != nil { unsupported(child, "a second <from>") }
        from = topic(child, child["uri"]).map { Placed($0, at: child.position) }
      case "log", "description": log(child)
      default: rest.append(child)
      }
    }
    guard let from else {
      problems.add("missing-from", "the route has no <from> with a topic", at: element.position)
      return nil
    }
    let steps = steps(rest, element)
    warn(of: rest.filter { ["when", "otherwise"].contains($0.name) }, steps)
    return CamelRoute(file: problems.file, id: element["id"] ?? "", from: from, steps: steps, position: element.position)
  }

  /// The steps that stand in a route itself, in order.
  private mutating func steps(_ elements: [XMLElement], _ route: XMLElement) -> [CamelStep] {
    var steps: [CamelStep] = []
    var plain: [XMLElement] = []
    func sent(_ reader: inout CamelFileReader) {
      if !plain.isEmpty { steps.append(.send(reader.destinations(plain, route), plain[0].position)) }
      plain = []
    }
    for element in elements {
      guard ["choice", "when", "filter", "otherwise"].contains(element.name) else {
        plain.append(element)
        continue
      }
      sent(&self)
      switch element.name {
      case "choice": steps.append(.choice(branches(element)))
      case "otherwise": steps.append(.send(otherwise(element), element.position))
      default: if let branch = when(element) { steps.append(.filter(branch)) }
      }
    }
    sent(&self)
    if steps.isEmpty { steps = [.send(destinations([], route), route.position)] }
    let filters = steps.count { if case .filter = $0 { true } else { false } }
    if filters > CamelRoute.mostFilters { unsupported(route, "it has more than \(CamelRoute.mostFilters) filters") }
    return steps
  }

  /// Says what Camel makes of a `<when>` that no `<choice>` encloses (docs/upstream/bus-and-routes.md#71-conditions).
  private func warn(of loose: [XMLElement], _ steps: [CamelStep]) {
    guard let first = loose.first else { return }
    problems.add(
      "outside-choice",
      "<\(first.name)> stands outside <choice>: Camel takes such a <when> for a filter, goes on behind it whether it matched or not, "
        + "and always runs the <otherwise>. So it is imported", severity: .warning, at: first.position,
      length: first.name.count + 1, suggestion: "if a choice was meant, enclose them in <choice> and import again")
    let last = steps.last { if case .send = $0 { true } else { false } }
    guard case .send(let to, let place)? = last, to.contains(where: \.isStage), steps.contains(where: \.mayCommand) else { return }
    problems.add(
      "message-after-command",
      "behind a workflow command Camel sends the command's message here, which has no verdict and no tags; "
        + "the route file sends the message itself", severity: .warning, at: place)
  }

  private mutating func branches(_ choice: XMLElement) -> [CamelBranch] {
    noText(choice)
    attributes(choice, ["id"])
    var read: [CamelBranch] = []
    var hasOtherwise = false
    for child in choice.children {
      switch child.name {
      case "when":
        if hasOtherwise { unsupported(child, "a <when> after <otherwise>") }
        if let branch = when(child) { read.append(branch) }
      case "otherwise":
        if hasOtherwise { unsupported(child, "a second <otherwise>") }
        hasOtherwise = true
        read.append(CamelBranch(test: nil, to: otherwise(child), position: child.position))
      default:
        noText(child)
        unsupported(child)
      }
    }
    return read
  }

  /// A test and where its messages are sent.
  private mutating func when(_ element: XMLElement) -> CamelBranch? {
    noText(element)
    attributes(element, ["id"])
    let children = element.children.filter { $0.name != "description" }
    guard let first = children.first else {
      problems.add("missing-test", "the <\(element.name)> has no test", at: element.position)
      return nil
    }
    guard let test = test(first) else { return nil }
    return CamelBranch(test: test, to: destinations(Array(children.dropFirst()), element), position: element.position)
  }

  private mutating func otherwise(_ element: XMLElement) -> [Destination] {
    noText(element)
    attributes(element, ["id"])
    return destinations(element.children, element)
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
    if let name = names[prefix] { return name }
    if unknown.insert(prefix).inserted {
      let found = names.foreign(prefix, in: problems.file, at: position)
      problems.add(found.code, found.message, severity: found.severity, at: position, suggestion: found.suggestion)
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
