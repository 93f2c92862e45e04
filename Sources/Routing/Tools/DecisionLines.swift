import System
import JSON
import Registration
import YAML

/// Answers questions about a route file, one a line:
///
/// `{"after":STAGE,"message":{MessageDTO}}` is asked, STAGE by its name or its topic prefix; the flow is the message's
/// `reg_type`, the verdict is that of its two flags. The answer is one line too:
///
/// `{"to":[...],"topics":["...-bus-in"],"commands":[...],"branch":"routes.yaml:LINE"}`
///
/// `to` has every destination in the order of the route; `topics` the bus-in topics of those that are stages, `commands`
/// the workflow commands, each in that order. STAGE may also be a topic that the file forwards. A line that cannot be answered gives
/// `{"line":N,"code":"...","error":"..."}` and the rest goes on. Errors name the rule and the place, never what the
/// message holds.
public struct DecisionLines {
  /// The bytes a line may have: those of a message and something around it.
  public static let maximumLineBytes = Message.maximumBytes + 4096

  private let routes: RouteFile
  private let names: [String: String]
  private let prefix: [UInt8]
  /// The part of a line whose end has not come yet.
  private var rest: [UInt8] = []
  /// The line that began in an earlier chunk is too long: it is skipped to its end.
  private var isSkipping = false
  /// The number of the last line that was answered, from 1.
  public private(set) var line = 0
  /// How many lines could not be answered.
  public private(set) var faults = 0

  /// Answers by `routes` and the stages it knows.
  public init(_ routes: RouteFile) {
    self.routes = routes
    var names: [String: String] = [:]
    for name in routes.stages.names {
      let prefix = routes.stages.topicPrefix(of: name)
      if names[prefix] == nil { names[prefix] = name }
    }
    // A name counts before another stage's prefix.
    for name in routes.stages.names { names[name] = name }
    self.names = names
    let file = routes.name.split(separator: "/").last.map(String.init) ?? routes.name
    var quoted: [UInt8] = []
    JSONWriter.append(file + ":", to: &quoted)
    prefix = Array(quoted.dropLast())
  }

  /// Takes the next bytes of the questions and appends the answers of all lines that end in them.
  public mutating func take(_ chunk: UnsafeRawBufferPointer, into out: inout [UInt8]) {
    var start = 0
    while let end = newline(chunk, from: start) {
      if isSkipping {
        isSkipping = false
        fault("line-too-long", "the line has more than \(Self.maximumLineBytes) bytes", &out)
      } else if rest.isEmpty {
        answer(UnsafeRawBufferPointer(rebasing: chunk[start..<end]), &out)
      } else {
        rest.append(contentsOf: chunk[start..<end])
        finishLine(&out)
      }
      start = end + 1
    }
    guard start < chunk.count, !isSkipping else { return }
    if rest.count + chunk.count - start > Self.maximumLineBytes {
      rest = []
      isSkipping = true
    } else {
      rest.append(contentsOf: chunk[start...])
    }
  }

  /// Answers the last line when it has no line end.
  public mutating func finish(into out: inout [UInt8]) {
    if isSkipping {
      isSkipping = false
      fault("line-too-long", "the line has more than \(Self.maximumLineBytes) bytes", &out)
    } else if !rest.isEmpty {
      finishLine(&out)
    }
  }

  private mutating func finishLine(_ out: inout [UInt8]) {
    let whole = rest
    rest = []
    whole.withUnsafeBytes { answer($0, &out) }
  }

  private func newline(_ chunk: UnsafeRawBufferPointer, from start: Int) -> Int? {
    var at = start
    while at < chunk.count {
      if chunk[at] == 0x0A { return at }
      at += 1
    }
    return nil
  }

  private mutating func answer(_ text: UnsafeRawBufferPointer, _ out: inout [UInt8]) {
    guard text.count <= Self.maximumLineBytes else {
      return fault("line-too-long", "the line has more than \(Self.maximumLineBytes) bytes", &out)
    }
    do throws(JSONError) {
      let question = try Question(text)
      decide(question, text, &out)
    } catch {
      // A line has one line: the column says enough.
      fault("not-json", "not a JSON object: \(error.code.rawValue) at column \(error.column)", &out)
    }
  }

  /// Where the two members of a question stand.
  private struct Question {
    var after: String?
    var message: Range<Int>?
    var isAfterText = true
    var isTwice = false

    init(_ text: UnsafeRawBufferPointer) throws(JSONError) {
      var scanner = try JSONScanner(text, limits: JSONLimits(maximumBytes: DecisionLines.maximumLineBytes))
      try scanner.enterObject()
      while let key = try scanner.nextKey() {
        let value = try scanner.value()
        if key.equals("after", in: text) {
          if after != nil { isTwice = true }
          if value.kind == .string { after = value.string(in: text) } else { isAfterText = false }
        } else if key.equals("message", in: text) {
          if message != nil { isTwice = true }
          message = value.start..<value.end
        }
      }
      try scanner.finish()
    }
  }

  private mutating func decide(_ question: Question, _ text: UnsafeRawBufferPointer, _ out: inout [UInt8]) {
    guard !question.isTwice else { return fault("duplicate-member", "after or message stands twice", &out) }
    guard let after = question.after else {
      let why = question.isAfterText ? "there is no after: the name of a stage" : "after is no text"
      return fault("no-stage", why, &out)
    }
    guard let range = question.message else { return fault("no-message", "there is no message", &out) }
    let message: Message
    do throws(MessageError) {
      message = try Message(decoding: Array(UnsafeRawBufferPointer(rebasing: text[range])))
    } catch {
      return fault("bad-message", error.description, &out)
    }
    guard let stage = names[after] else {
      if let forward = routes.forwarded(after) {
        line += 1
        return write([.stage(forward.to.value)], forward.topic.position, &out)
      }
      return fault("unknown-stage", "no stage has that name or topic prefix", &out)
    }
    do throws(RoutingError) {
      let decision = try routes.decide(
        process: message.process, after: stage,
        verdict: VerdictKind(isValid: message.isValid, internalError: message.internalError), message: message)
      line += 1
      write(decision.destinations, decision.position, &out)
    } catch {
      fault(error.code.description, error.description, &out)
    }
  }

  private mutating func write(_ destinations: [Destination], _ position: Position, _ out: inout [UInt8]) {
    out.append(contentsOf: "{\"to\":[".utf8)
    write(destinations, &out) { destination in
      switch destination {
      case .stage(let name): name
      case .command(let command): command.name
      }
    }
    out.append(contentsOf: "],\"topics\":[".utf8)
    write(destinations, &out) { destination in
      if case .stage(let name) = destination { routes.busIn(of: name) } else { nil }
    }
    out.append(contentsOf: "],\"commands\":[".utf8)
    write(destinations, &out) { destination in
      if case .command(let command) = destination { command.name } else { nil }
    }
    out.append(contentsOf: "],\"branch\":".utf8)
    out.append(contentsOf: prefix)
    out.append(contentsOf: String(position.line).utf8)
    out.append(contentsOf: "\"}\n".utf8)
  }

  private func write(_ destinations: [Destination], _ out: inout [UInt8], _ name: (Destination) -> String?) {
    var isFirst = true
    for destination in destinations {
      guard let name = name(destination) else { continue }
      if !isFirst { out.append(UInt8(ascii: ",")) }
      isFirst = false
      JSONWriter.append(name, to: &out)
    }
  }

  private mutating func fault(_ code: String, _ error: String, _ out: inout [UInt8]) {
    line += 1
    faults += 1
    out.append(contentsOf: "{\"line\":\(line),\"code\":".utf8)
    JSONWriter.append(code, to: &out)
    out.append(contentsOf: ",\"error\":".utf8)
    JSONWriter.append(error, to: &out)
    out.append(contentsOf: "}\n".utf8)
  }
}
