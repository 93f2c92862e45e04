/// A key of the route language: of one kind of mapping in route files or in files of cases. The cases of each enum are the one list
/// behind the reader (what is allowed, what is suggested), the JSON Schema, the order in which files are written, and docs/route-file.md.
public protocol RouteKey: RawRepresentable, CaseIterable, Hashable, Sendable where RawValue == String {
  /// What the mapping is, as a heading.
  static var mapping: String { get }
  /// The value and what it means.
  var says: RouteKeySays { get }
}

/// What a key of the route language says.
public struct RouteKeySays: Sendable {
  /// The kind of its value.
  public let value: RouteValue
  /// What it means, in a few words.
  public let meaning: String
  /// A value, in YAML's flow style.
  public let example: String
  /// Whether the mapping must have it.
  public let isRequired: Bool

  init(_ value: RouteValue, _ meaning: String, _ example: String, isRequired: Bool = false) {
    self.value = value
    self.meaning = meaning
    self.example = example
    self.isRequired = isRequired
  }
}

/// A kind of value in the route language.
public enum RouteValue: Sendable, Hashable {
  case version, text, flag, time, topic, condition, conditions, comparand, destinations, ways, branches, stages
  case stageOrStages, route, verdicts, pauses, foreignStages, forwards, flows
  /// One of these words.
  case choice([String])
  /// A value that only files of cases have, in words.
  case ofCases(String)

  /// The kind in words.
  public var words: String {
    switch self {
    case .version: "the number \(RouteFile.currentVersion)"
    case .text: String.expected
    case .flag: Bool.expected
    case .time: "seconds, or a number with s, m, h or d"
    case .topic: "letters, digits, '.', '_' and '-'"
    case .condition: "a condition"
    case .conditions: "a list of conditions"
    case .comparand: "a value or a list of values"
    case .destinations: "a destination or a list of them"
    case .ways: "destinations, or `{ next: [...] }` with branches"
    case .branches: "a list of branches"
    case .stages: "a list of stages"
    case .stageOrStages: "a stage or a list of stages"
    case .route: "a list of stages, each a name or `{ NAME: { ... } }`"
    case .verdicts: "a mapping of verdicts"
    case .pauses: "a list of pause rules"
    case .foreignStages: "a mapping of stages"
    case .forwards: "a mapping of topics to stages"
    case .flows: "a mapping of processes to flows"
    case .choice(let words): "one of " + words.joined(separator: ", ")
    case .ofCases(let words): words
    }
  }
}

/// The keys of a route file itself.
enum FileKey: String, RouteKey {
  case version, on
  case foreignStages = "foreign-stages"
  case forwards, flows

  static let mapping = "The file"
  var says: RouteKeySays {
    switch self {
    case .version: RouteKeySays(.version, "The version of the language.", "1", isRequired: true)
    case .on:
      RouteKeySays(
        .verdicts, "Where failed, error and retry lead, for every flow without its own.",
        "{ failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }")
    case .foreignStages:
      RouteKeySays(
        .foreignStages, "Stages of others that no folder of stages knows.", "{ address-check: { topic: address-check } }")
    case .forwards:
      RouteKeySays(
        .forwards, "Topics that no stage reads, whose records are handed to a stage as they are.", "{ printing-bus-in: print }")
    case .flows:
      RouteKeySays(
        .flows, "The flow of each process, named as in `reg_type`: capitals, digits and underscores.",
        "{ OPENCRVS_NEW: { route: [packet-receiver, print] } }", isRequired: true)
    }
  }
}

/// The keys of a stage under `foreign-stages`.
enum ForeignStageKey: String, RouteKey {
  case topic

  static let mapping = "A foreign stage"
  var says: RouteKeySays { RouteKeySays(.topic, "What its topics begin with; left out: its name.", "address-check") }
}

/// The keys of a flow.
enum FlowKey: String, RouteKey {
  case source, on, route, omitted, pause, pin

  static let mapping = "A flow"
  var says: RouteKeySays {
    switch self {
    case .source: RouteKeySays(.text, "The source of its packets, for who makes packets.", "OPENCRVS")
    case .on:
      RouteKeySays(
        .verdicts, "Where failed, error and retry lead, for every stage without its own.",
        "{ failed: complete-as-failed, error: complete-as-failed, retry: mark-as-reprocess }")
    case .route:
      RouteKeySays(
        .route,
        "The stages; the flow begins at the first. A passed message goes to the following one unless its stage says otherwise.",
        "[packet-receiver, print: { passed: complete-as-processed }]", isRequired: true)
    case .omitted:
      RouteKeySays(.stages, "Stages that are left out on purpose, so that nobody warns of them.", "[verification, bio-dedupe]")
    case .pause:
      RouteKeySays(
        .pauses, "Rules that make messages wait; asked before any branch.",
        "[{ id: FOREIGN, when: { source: DATAMIGRATION }, for: 3m, then: resume-processing }]")
    case .pin: RouteKeySays(.flag, "Packets finish on the version of the file that they began with.", "true")
    }
  }
}

/// The keys of a stage in a route.
enum StageKey: String, RouteKey {
  case runs, entry, passed, next, also, failed, error, retry

  static let mapping = "A stage of a route"
  var says: RouteKeySays {
    switch self {
    case .runs:
      RouteKeySays(
        .choice(RouteRunner.allCases.map(\.rawValue)), "Who runs the stage; elsewhere: something else than this framework.",
        "elsewhere")
    case .entry: RouteKeySays(.flag, "Messages may begin here, besides at the first stage.", "true")
    case .passed:
      RouteKeySays(.destinations, "Where passed messages go instead of the following entry.", "complete-as-processed")
    case .next:
      RouteKeySays(
        .branches, "Where passed messages go: the first branch that matches.",
        "[{ when: { tags.AGE_GROUP: INFANT }, to: introducer-validator }, { to: uin-generator }]")
    case .also: RouteKeySays(.destinations, "Further destinations of every passed message, after the others.", "anonymous-profile")
    case .failed: RouteKeySays(.ways, "Where failed messages go, instead of what `on` says.", "complete-as-rejected")
    case .error: RouteKeySays(.ways, "Likewise for errors.", "[complete-as-failed, anonymous-profile]")
    case .retry:
      RouteKeySays(
        .ways, "Likewise for what is to be tried again.",
        "{ next: [{ when: { tags.A: x }, to: complete-as-failed }, { to: mark-as-reprocess }] }")
    }
  }
}

/// Who runs a stage of a route.
enum RouteRunner: String, CaseIterable { case here, elsewhere }

/// The keys of `on`.
enum VerdictKey: String, RouteKey {
  case failed, error, retry

  static let mapping = "Verdicts (`on`)"
  var says: RouteKeySays {
    switch self {
    case .failed:
      RouteKeySays(.ways, "Where messages go that a stage judged and refused.", "[complete-as-failed, anonymous-profile]")
    case .error: RouteKeySays(.ways, "Where messages go that could not be judged, for good.", "complete-as-failed")
    case .retry: RouteKeySays(.ways, "Where messages go that are to be tried again.", "mark-as-reprocess")
    }
  }
}

/// The key of a verdict that has branches.
enum WaysKey: String, RouteKey {
  case next

  static let mapping = "A verdict with branches"
  var says: RouteKeySays {
    RouteKeySays(
      .branches, "The first branch that matches is taken.",
      "[{ when: { tags.A: x }, to: complete-as-failed }, { to: mark-as-reprocess }]",
      isRequired: true)
  }
}

/// The keys of a branch.
enum BranchKey: String, RouteKey {
  case when, to

  static let mapping = "A branch"
  var says: RouteKeySays {
    switch self {
    case .when: RouteKeySays(.condition, "What a message must be; left out: any.", "{ tags.AGE_GROUP: [INFANT, MINOR] }")
    case .to: RouteKeySays(.destinations, "Where it goes.", "[print, anonymous-profile]", isRequired: true)
    }
  }
}

/// The keys of a pause rule.
enum PauseKey: String, RouteKey {
  case id, after, when
  case duration = "for"
  case then, description

  static let mapping = "A pause rule"
  var says: RouteKeySays {
    switch self {
    case .id:
      RouteKeySays(
        .text, "The rule's name; a message whose tag PAUSE_IMMUNITY_RULE_IDS lists it does not pause.", "FOREIGN_ADULT",
        isRequired: true)
    case .after: RouteKeySays(.stageOrStages, "After which stages it is asked; left out: after every stage.", "packet-classifier")
    case .when: RouteKeySays(.condition, "What a message must be to wait.", "{ tags.AGE_GROUP: ADULT }", isRequired: true)
    case .duration: RouteKeySays(.time, "How long it waits.", "3m", isRequired: true)
    case .then:
      RouteKeySays(
        .choice(Pause.Resume.allCases.map(\.rawValue)), "What happens when the time is over and nobody decided.",
        "resume-processing",
        isRequired: true)
    case .description: RouteKeySays(.text, "Why, for people; left out: the id.", "adults wait")
    }
  }
}

/// The keys of `pause-and-request-additional-info`.
enum AdditionalInfoKey: String, RouteKey {
  case process
  case pauseFor = "pause-for"

  static let mapping = "The properties of `\(WorkflowCommand.additionalInfo)`"
  var says: RouteKeySays {
    switch self {
    case .process: RouteKeySays(.text, "The process whose packet is awaited.", "BIOMETRIC_CORRECTION", isRequired: true)
    case .pauseFor: RouteKeySays(.time, "How long it is awaited.", "15d", isRequired: true)
    }
  }
}

/// The keys of a condition that are neither tags nor fields of the message.
enum ConditionKey: String, RouteKey {
  case any, all, not

  static let mapping = "A condition, beside tags and fields"
  var says: RouteKeySays {
    switch self {
    case .any: RouteKeySays(.conditions, "At least one of them holds.", "[{ tags.A: x }, { tags.B: y }]")
    case .all: RouteKeySays(.conditions, "All of them hold.", "[{ tags.A: x }, { tags.B: y }]")
    case .not: RouteKeySays(.condition, "It does not hold.", "{ tags.A: x, tags.B: y }")
    }
  }
}

/// The keys of a comparison that is more than a value.
enum ComparisonKey: String, RouteKey {
  case not, present

  static let mapping = "A comparison of a tag or field"
  var says: RouteKeySays {
    switch self {
    case .not: RouteKeySays(.comparand, "It is not this, or none of these; holds for what is absent, too.", "[INFANT, MINOR]")
    case .present: RouteKeySays(.flag, "The message has it, or has it not.", "true")
    }
  }
}

/// One kind of mapping of the route language, for who shows it.
public struct RouteMapping: Sendable {
  /// What it is, as a heading.
  public let name: String
  /// Its keys in the order in which files are written.
  public let keys: [(name: String, says: RouteKeySays)]

  init<Key: RouteKey>(_ keys: Key.Type) {
    name = keys.mapping
    self.keys = keys.allCases.map { ($0.rawValue, $0.says) }
  }

  /// All that route files have.
  public static let ofRouteFiles = [
    RouteMapping(FileKey.self), RouteMapping(ForeignStageKey.self), RouteMapping(FlowKey.self), RouteMapping(StageKey.self),
    RouteMapping(VerdictKey.self), RouteMapping(WaysKey.self), RouteMapping(BranchKey.self), RouteMapping(ConditionKey.self),
    RouteMapping(ComparisonKey.self), RouteMapping(PauseKey.self), RouteMapping(AdditionalInfoKey.self),
  ]

  /// All that files of cases have.
  public static let ofCases = [
    RouteMapping(CasesKey.self), RouteMapping(CaseKey.self), RouteMapping(GivenKey.self),
  ]
}
