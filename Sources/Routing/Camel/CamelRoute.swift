import System
import YAML

/// One way of a Camel route: a `when`, the `otherwise`, or what stands outside of any choice.
struct CamelBranch: Sendable {
  /// The test; nil for `otherwise`.
  let test: CamelTest?
  /// Where it leads, in order.
  let to: [Destination]
  /// Where it is written.
  let position: Position
  /// Whether it is made of several that stand one behind the other.
  var isCombined = false

  /// The test as a condition.
  var condition: Condition? { test?.condition }
}

/// One step of a Camel route.
enum CamelStep: Sendable {
  /// Sends every message, in order. So does an `<otherwise>` outside of `<choice>`.
  case send([Destination], Position)
  /// Sends what passes the test; all messages go on to the next step. So does a `<when>` outside of `<choice>`.
  case filter(CamelBranch)
  /// Sends a message by the first of its ways that takes it.
  case choice([CamelBranch])

  /// Where Camel sends a message at this step.
  fileprivate func destinations(_ message: some Routable) -> [Destination] {
    switch self {
    case .send(let to, _): to
    case .filter(let branch): branch.test?.holds(message) == true ? branch.to : []
    case .choice(let branches): branches.first { $0.test?.holds(message) ?? true }?.to ?? []
    }
  }

  /// Whether some message gets a workflow command here.
  var mayCommand: Bool {
    switch self {
    case .send(let to, _): to.haveCommand
    case .filter(let branch): branch.to.haveCommand
    case .choice(let branches): branches.contains { $0.to.haveCommand }
    }
  }
}

/// One route of a Camel file.
struct CamelRoute: Sendable {
  /// Each filter may double the ways that a message can take.
  static let mostFilters = 6

  /// The file it is in.
  let file: String
  /// Its `id`.
  let id: String
  /// The topic it reads.
  let from: Placed<String>
  /// What it does with a message, in order.
  let steps: [CamelStep]
  /// The same as a list of which a message takes the first that fits it, as route files have it.
  let branches: [CamelBranch]
  /// Where it begins.
  let position: Position

  init(file: String, id: String, from: Placed<String>, steps: [CamelStep], position: Position) {
    self.file = file
    self.id = id
    self.from = from
    self.steps = steps
    self.position = position
    branches = steps.count > CamelRoute.mostFilters * 4 ? [] : CamelRoute.ways(steps[...], position)
  }

  /// Where Camel sends a message; nil when that is nowhere. This follows the steps, and not the list made of them, so that the two
  /// can be held against each other.
  func decide(_ message: some Routable) -> [Destination]? {
    var sent: [Destination] = []
    for step in steps {
      sent += sent.haveCommand ? step.destinations(CommandMessage(message)) : step.destinations(message)
    }
    return sent.isEmpty ? nil : sent
  }

  /// The ways through some steps. What sends a message nowhere is left out at the end, where it is a hole.
  private static func ways(_ steps: ArraySlice<CamelStep>, _ position: Position) -> [CamelBranch] {
    var ways = ways(steps, isCommand: false, position)
    if ways.last?.to.isEmpty == true { ways.removeLast() }
    return ways
  }

  /// - Parameter isCommand: whether a command was sent before, whose message the tests now see.
  private static func ways(_ steps: ArraySlice<CamelStep>, isCommand: Bool, _ position: Position) -> [CamelBranch] {
    guard let step = steps.first else { return [CamelBranch(test: nil, to: [], position: position)] }
    let rest = steps.dropFirst()
    func taken(_ way: CamelBranch) -> [CamelBranch] {
      ways(rest, isCommand: isCommand || way.to.haveCommand, way.position).map { way.followed(by: $0) }
    }
    switch step {
    case .send(let to, let place): return taken(CamelBranch(test: nil, to: to, position: place))
    case .filter(let branch): return choose([branch], isCommand, taken) { ways(rest, isCommand: isCommand, position) }
    case .choice(let branches): return choose(branches, isCommand, taken) { ways(rest, isCommand: isCommand, position) }
    }
  }

  /// The first of some branches that takes a message; `others` when none does.
  private static func choose(
    _ branches: [CamelBranch], _ isCommand: Bool, _ taken: (CamelBranch) -> [CamelBranch], others: () -> [CamelBranch]
  ) -> [CamelBranch] {
    var ways: [CamelBranch] = []
    for branch in branches {
      let left = branch.test.map { isCommand ? $0.simplified(CommandMembers.known) : .open($0) } ?? .always
      switch left {
      case .never: continue
      case .always: return ways + taken(CamelBranch(test: nil, to: branch.to, position: branch.position))
      case .open(let test): ways += taken(CamelBranch(test: test, to: branch.to, position: branch.position))
      }
    }
    return ways + others()
  }
}

extension CamelBranch {
  /// This way, and then another.
  fileprivate func followed(by next: CamelBranch) -> CamelBranch {
    let tests = [test, next.test].compactMap { $0 }
    return CamelBranch(
      test: tests.count > 1 ? .and(tests) : tests.first, to: to + next.to,
      position: test == nil && next.test != nil ? next.position : position, isCombined: next.isCombined || tests.count > 1)
  }
}

extension Destination {
  /// Whether it is a stage.
  var isStage: Bool { if case .stage = self { true } else { false } }
}

extension [Destination] {
  /// Whether one of them is a workflow command, behind which Camel goes on with the command's message.
  var haveCommand: Bool { contains { !$0.isStage } }
}

/// The message of a workflow command, which takes the place of the one that was routed
/// (docs/upstream/bus-and-routes.md#73-workflow-commands).
private struct CommandMessage<Message: Routable>: Routable {
  let message: Message

  init(_ message: Message) { self.message = message }

  func tag(_ name: String) -> String? { nil }
  func field(_ name: String) -> FieldValue { CommandMembers.known([name]) ?? message.field(name) }
}

/// What is known of the members of a workflow command's message.
private enum CommandMembers {
  /// The value whatever message was routed; nil for what is taken over from it.
  static func known(_ path: [String]) -> FieldValue? {
    if path.first == "tags" { return .absent }
    switch MessageField(rawValue: path.joined(separator: ".")) {
    case .rid, .process, .iteration, .source, .workflowInstanceId: return nil
    case .isValid, .internalError, .retryCount, .lastHopTimestamp: return .null
    case .address, nil: return .absent
    }
  }
}

/// Which stage topics belong to.
struct CamelStageNames: Sendable {
  private var stages: [String: String]
  /// What older releases called a stage, and what it is now (docs/upstream/bus-and-routes.md#3-topics): another topic, so another stage
  /// unless whoever imports says that it is the same.
  private static let older = ["printing": "print"]

  /// - Parameter renamed: beginnings of topics, each with the stage that it shall mean.
  init(_ stages: StageDirectory, renamed: [String: String] = [:]) {
    self.stages = stages.names.reduce(into: [:]) { $0[stages[$1]?.topicPrefix ?? $1] = $1 }
    self.stages.merge(renamed) { $1 }
  }

  /// The stage whose topics begin so; nil for one that nobody knows.
  subscript(_ prefix: String) -> String? { stages[prefix] }

  /// What is said of a stage that nobody knows.
  func foreign(_ prefix: String, in file: String, at position: Position) -> Problem {
    let advice =
      Self.older[prefix].map { "older releases call \($0) so; --rename \(prefix)=\($0) imports it as ours, with its topics" }
      ?? NearestName.suggestion(for: prefix, among: stages.keys)
    return Problem(
      "foreign-stage", "no stage's topics begin with \(prefix); it is declared as a stage of others, which runs elsewhere",
      severity: .warning, file: file, at: position, suggestion: advice)
  }
}
