import System
import Registration
import YAML

/// A value of a route file with the place where it is written.
public struct Placed<Value: Sendable & Hashable>: Sendable, Hashable {
  /// The value.
  public let value: Value
  /// Its first character.
  public let position: Position
  /// How many characters it has on that line.
  public let length: Int

  /// A value at a place.
  public init(_ value: Value, at position: Position, length: Int = 1) {
    self.value = value
    self.position = position
    self.length = length
  }
}

/// One way out of a stage.
public struct Branch: Sendable, Hashable {
  /// What a message must be to take it; nil takes every message.
  public let when: Condition?
  /// Where it leads, in order.
  public let to: [Placed<Destination>]
  /// Where it is written.
  public let position: Position

  /// A way to `to` for messages that `when` holds for.
  public init(when: Condition? = nil, to: [Placed<Destination>], position: Position) {
    self.when = when
    self.to = to
    self.position = position
  }
}

/// A stage's entry in a flow.
public struct FlowStage: Sendable, Hashable {
  /// Where passed messages go.
  public enum Way: Sendable, Hashable {
    /// To the following entry of the list.
    case following
    /// To what `passed` says.
    case to([Placed<Destination>])
    /// To the first branch of `next` that matches.
    case next([Branch])
  }

  /// The stage's name and place.
  public let name: Placed<String>
  /// Where passed messages go.
  public var way: Way
  /// Further destinations of passed messages, after those of `way`.
  public var also: [Placed<Destination>]
  /// What this stage has instead of the flow's `on`: the first branch that matches is taken.
  public var overrides: [VerdictKind: [Branch]]
  /// Whether something else than this framework runs it, such as MOSIP's Java stage.
  public var runsElsewhere: Bool
  /// Whether messages may begin here, as packets that something else than this flow brings in.
  public var isEntry = false

  /// A stage's entry; without more it hands passed messages to the following one.
  public init(
    _ name: Placed<String>, way: Way = .following, also: [Placed<Destination>] = [],
    overrides: [VerdictKind: [Branch]] = [:], runsElsewhere: Bool = false
  ) {
    self.name = name
    self.way = way
    self.also = also
    self.overrides = overrides
    self.runsElsewhere = runsElsewhere
  }
}

/// A rule that makes messages wait after a stage (docs/upstream/bus-and-routes.md#75-pause-rules). In a flow:
///
/// ```yaml
/// pause:
///   - id: FOREIGN_ADULT
///     after: packet-classifier          # a stage or a list; left out: after every stage
///     when: { tags.AGE_GROUP: ADULT }
///     for: 3m                           # seconds, or a number with s, m, h or d
///     then: resume-processing           # resume-from-beginning, stop-processing
///     description: adults wait
/// ```
public struct PauseRule: Sendable, Hashable {
  /// The rule's name; a message whose tag PAUSE_IMMUNITY_RULE_IDS lists it does not pause.
  public let id: Placed<String>
  /// The stages after which it is asked; empty: after every stage.
  public let after: [Placed<String>]
  /// What a message must be.
  public let when: Condition
  /// How long it waits, in seconds.
  public let seconds: Int
  /// What happens then.
  public let then: Pause.Resume
  /// For the action's message.
  public let text: String

  /// A rule.
  public init(
    id: Placed<String>, after: [Placed<String>], when: Condition, seconds: Int, then: Pause.Resume, text: String
  ) {
    self.id = id
    self.after = after
    self.when = when
    self.seconds = seconds
    self.then = then
    self.text = text
  }
}

/// A topic whose records are handed to a stage as they are. In a route file:
///
/// ```yaml
/// forwards:
///   printing-bus-in: print     # a name of older releases
/// ```
public struct Forward: Sendable, Hashable {
  /// The topic and where it is written.
  public let topic: Placed<String>
  /// The stage that gets its records.
  public let to: Placed<String>

  /// Hands the records of `topic` to `to`.
  public init(topic: Placed<String>, to: Placed<String>) {
    self.topic = topic
    self.to = to
  }
}

/// The route of one process.
public struct Flow: Sendable, Hashable {
  /// The process's name and place.
  public let process: Placed<String>
  /// The packet source of its messages.
  public var source: String?
  /// Where each verdict but `passed` leads unless a stage says otherwise.
  public var on: [VerdictKind: [Branch]]
  /// The stages in order; the first is where the flow begins.
  public var stages: [FlowStage]
  /// Stages left out on purpose.
  public var omitted: [Placed<String>]
  /// Asked before any branch.
  public var pauses: [PauseRule]
  /// Whether packets finish on the version of the route file that they began with, whatever is edited meanwhile.
  public var isPinned = false

  /// A flow.
  public init(
    process: Placed<String>, source: String? = nil, on: [VerdictKind: [Branch]] = [:], stages: [FlowStage],
    omitted: [Placed<String>] = [], pauses: [PauseRule] = []
  ) {
    self.process = process
    self.source = source
    self.on = on
    self.stages = stages
    self.omitted = omitted
    self.pauses = pauses
  }

  /// The ways of passed messages out of the stage at `index`, with every implied destination written out: the
  /// following entry, and `also`. Empty for the last entry when it does not say where to.
  public func passedBranches(ofStageAt index: Int) -> [Branch] {
    let stage = stages[index]
    let branches: [Branch]
    switch stage.way {
    case .next(let next): branches = next
    case .to(let destinations):
      branches = [Branch(to: destinations, position: destinations.first?.position ?? stage.name.position)]
    case .following:
      guard index + 1 < stages.count else { return [] }
      let place = stage.name
      let following = Placed(
        Destination.stage(stages[index + 1].name.value), at: place.position, length: place.length)
      branches = [Branch(to: [following], position: place.position)]
    }
    guard !stage.also.isEmpty else { return branches }
    return branches.map { Branch(when: $0.when, to: $0.to + stage.also, position: $0.position) }
  }

  /// The pause rules that are asked after a stage, in the order of the file.
  public func pauses(after stage: String) -> [PauseRule] {
    pauses.filter { rule in rule.after.isEmpty || rule.after.contains { $0.value == stage } }
  }

  /// The ways out of the stage at `index` for a verdict; nil is a message without one.
  public func branches(ofStageAt index: Int, for verdict: VerdictKind?) -> [Branch] {
    guard let verdict, verdict != .passed else { return passedBranches(ofStageAt: index) }
    return stages[index].overrides[verdict] ?? on[verdict] ?? []
  }
}
