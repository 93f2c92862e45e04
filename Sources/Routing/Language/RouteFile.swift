import Registration
import System
import YAML

/// All flows of one route file, ready to decide. What a route file may say is in docs/route-file.md; its keys are `FileKey`, `FlowKey`
/// and the others beside them.
public struct RouteFile: Sendable {
  /// The version of the file's format.
  public let version: Int
  /// The file's name, for messages.
  public let name: String
  /// The flows in the order of the file.
  public let flows: [Flow]
  /// Topics whose records go to a stage as they are.
  public let forwards: [Forward]
  /// Stages that only this file knows; something else runs them.
  public let foreign: [StageDirectory.Entry]
  /// The stages that the file may name, its own among them.
  public let stages: StageDirectory
  /// 32 hex digits that stand for what the file means: comments, order of flows and layout do not change it, any other
  /// routing does. FNV-1a with 128 bits: it tells versions apart and is no protection against forgery.
  public let digest: String
  let decider: Decider
  /// What each stage reads, made once: it is asked for with every message.
  private let inputs: [String: String]
  /// By process, the stages that something else runs.
  private let elsewhere: [String: Set<String>]

  /// The format that this code reads.
  public static let currentVersion = 1

  /// A route file of `flows`; of two flows with one process the first counts. `stages` are those it may name, besides `foreign`.
  public init(
    version: Int = RouteFile.currentVersion, name: String, flows: [Flow], forwards: [Forward] = [],
    foreign: [StageDirectory.Entry] = [], stages: StageDirectory = .registrationProcessor
  ) {
    let stages = stages.adding(
      foreign.map { stage in
        var stage = stage
        stage.isRun = false
        return stage
      })
    self.stages = stages
    inputs = stages.names.reduce(into: [:]) { $0[$1] = stages[$1]?.busIn }
    elsewhere = flows.reduce(into: [:]) { all, flow in
      guard all[flow.process.value] == nil else { return }
      all[flow.process.value] = Set(
        flow.stages.filter { $0.runsElsewhere || stages[$0.name.value]?.isRun == false }.map(\.name.value))
    }
    self.version = version
    self.name = name
    self.flows = flows
    self.forwards = forwards
    self.foreign = foreign
    digest = Fingerprint.of(
      RouteFile.canonical(version: version, flows: flows) + RouteFile.canonical(forwards: forwards, foreign: foreign))
    decider = Decider(flows, digest: digest)
  }

  /// The flow of a process.
  public func flow(_ process: String) -> Flow? { flows.first { $0.process.value == process } }

  /// The topic that a stage reads.
  public func busIn(of stage: String) -> String { inputs[stage] ?? StageDirectory.Entry(stage).busIn }

  /// Whether something else runs a stage of a process: the flow says so, or no container here is known to run it.
  public func runsElsewhere(_ stage: String, of process: String) -> Bool { elsewhere[process]?.contains(stage) == true }

  /// Whether something else runs a stage in each flow that has it. Its topic then is not ours to read, whatever is installed here.
  public func runsElsewhere(_ stage: String) -> Bool {
    let flows = flows.filter { flow in flow.stages.contains { $0.name.value == stage } }
    return !flows.isEmpty && flows.allSatisfy { runsElsewhere(stage, of: $0.process.value) }
  }

  /// Every stage that something else runs, with its process, in the order of the file.
  public var elsewhereStages: [(process: String, stage: String)] {
    flows.flatMap { flow in
      flow.stages.map { (flow.process.value, $0.name.value) }.filter { runsElsewhere($0.1, of: $0.0) }
    }
  }

  /// Whether packets of a process finish on the version of the file that they began with.
  public func isPinned(_ process: String) -> Bool { decider.isPinned(process) }

  /// The stage that gets the records of a topic as they are; nil for a topic that `forwards` does not name.
  public func forwarded(_ topic: String) -> Forward? { forwards.first { $0.topic.value == topic } }

  /// The first stage of a process's flow.
  public func first(_ process: String) throws(RoutingError) -> String {
    guard let stage = flow(process)?.stages.first else { throw RoutingError(.unknownFlow, process: process) }
    return stage.name.value
  }

  private static func canonical(forwards: [Forward], foreign: [StageDirectory.Entry]) -> String {
    forwards.map { "forward \(quoted($0.topic.value)) \(quoted($0.to.value))\n" }.sorted().joined()
      + foreign.map { "foreign \(quoted($0.name)) \(quoted($0.topicPrefix))\n" }.sorted().joined()
  }

  /// Everything that decides where a message goes, one statement a line.
  private static func canonical(version: Int, flows: [Flow]) -> String {
    var out = "version \(version)\n"
    for flow in flows.sorted(by: { $0.process.value < $1.process.value }) {
      out += "flow \(quoted(flow.process.value)) \(flow.source.map(quoted) ?? "-")\(flow.isPinned ? " pin" : "")\n"
      for rule in flow.pauses {
        out += "pause \(quoted(rule.id.value)) \(rule.seconds) \(rule.then.rawValue) \(quoted(rule.text))"
        out += " after \(rule.after.map { quoted($0.value) }) when \(rule.when)\n"
      }
      for (index, stage) in flow.stages.enumerated() {
        out += "stage \(quoted(stage.name.value))\(stage.runsElsewhere ? " elsewhere" : "")\n"
        for verdict in VerdictKind.allCases {
          for branch in flow.branches(ofStageAt: index, for: verdict) {
            out += "\(verdict.rawValue) \(branch.when.map { "when \($0)" } ?? "always") to"
            for destination in branch.to { out += " " + quoted(destination.value.description) }
            out += "\n"
          }
        }
      }
    }
    return out
  }
}

/// FNV-1a, 128 bits (draft-eastlake-fnv).
private enum Fingerprint {
  static func of(_ text: String) -> String {
    var hash: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d
    let prime: UInt128 = 0x0000_0000_0100_0000_0000_0000_0000_013b
    for byte in text.utf8 {
      hash ^= UInt128(byte)
      hash &*= prime
    }
    return hash.digits(32, radix: 16)
  }
}

/// Why no destination could be found for a message.
public struct RoutingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The reason.
  public struct Code: Sendable, Hashable, CustomStringConvertible {
    private let name: String
    /// The route file has no flow for the process.
    public static let unknownFlow = Code(name: "unknown-flow")
    /// The flow does not have the stage.
    public static let stageNotInFlow = Code(name: "stage-not-in-flow")
    /// No branch takes the message.
    public static let noDestination = Code(name: "no-destination")
    /// The name, in kebab case.
    public var description: String { name }
  }

  /// The reason.
  public let code: Code
  /// The message's process.
  public let process: String
  /// The stage it comes from.
  public let stage: String?
  /// The verdict it comes with.
  public let verdict: VerdictKind?
  /// The same message and the same file give the same error: only another route file helps.
  public var isRetriable: Bool { false }

  init(_ code: Code, process: String, stage: String? = nil, verdict: VerdictKind? = nil) {
    self.code = code
    self.process = process
    self.stage = stage
    self.verdict = verdict
  }

  /// One sentence; holds no data of the message but its process.
  public var description: String {
    switch code {
    case .unknownFlow: "the route file has no flow for the process \(quoted(process))"
    case .stageNotInFlow: "the flow \(process) has no stage \(quoted(stage ?? ""))"
    default:
      "the flow \(process) has no destination after \(stage ?? "?") for \(verdict?.rawValue ?? "a message without verdict")"
    }
  }
}
