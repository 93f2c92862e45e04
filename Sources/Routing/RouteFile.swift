import Registration
import YAML

/// All flows of a route file: one whole, checked version (design 5.2).
public struct RouteFile: Sendable {
  /// The file's name.
  public let name: String
  /// The flows in the order of the file.
  public let flows: [Flow]
  /// 32 hex digits of the file's bytes: the version that a hop was routed by. Not a cryptographic hash.
  public let digest: String
  private let byProcess: [String: Int]

  init(name: String, flows: [Flow], digest: String) {
    self.name = name
    self.flows = flows
    self.digest = digest
    byProcess = Dictionary(flows.enumerated().map { ($1.process, $0) }) { first, _ in first }
  }

  /// The flow of a process.
  public func flow(_ process: String) -> Flow? { byProcess[process].map { flows[$0] } }

  /// Reads and checks a file. The route file is nil when one of the problems is an error.
  public static func read(_ bytes: [UInt8], name: String, stages: StageDirectory) -> (routes: RouteFile?, problems: [Problem]) {
    var reader = RouteReader(name: name, stages: stages)
    let flows = reader.read(bytes)
    var problems = reader.problems
    for flow in flows { problems += RouteCheck(flow: flow, file: name, stages: stages).problems() }
    problems.sort { ($0.position, $0.code) < ($1.position, $1.code) }
    guard !problems.contains(where: { $0.severity == .error }) else { return (nil, problems) }
    return (RouteFile(name: name, flows: flows, digest: digest(of: bytes)), problems)
  }

  private static func digest(of bytes: [UInt8]) -> String {
    // FNV-1a twice with different beginnings: enough to tell versions apart, and pure.
    func hash(_ seed: UInt64) -> String {
      var hash = seed
      for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      let text = String(hash, radix: 16)
      return String(repeating: "0", count: 16 - text.count) + text
    }
    return hash(0xcbf2_9ce4_8422_2325) + hash(0x9e37_79b9_7f4a_7c15)
  }
}

/// The route of one process.
public struct Flow: Sendable {
  /// The process, e.g. `OPENCRVS_NEW`.
  public let process: String
  /// The packets' source, e.g. `OPENCRVS`.
  public let source: String?
  /// The stages in the order of the file.
  public let entries: [FlowEntry]
  /// Stages that are left out on purpose.
  public let omitted: [(name: String, position: Position)]
  /// Where the flow begins in the file.
  public let position: Position
  let byStage: [String: Int]

  init(process: String, source: String?, entries: [FlowEntry], omitted: [(String, Position)], position: Position) {
    self.process = process
    self.source = source
    self.entries = entries
    self.omitted = omitted
    self.position = position
    byStage = Dictionary(entries.enumerated().map { ($1.stage, $0) }) { first, _ in first }
  }

  /// The names of its stages in order.
  public var stageNames: [String] { entries.map(\.stage) }

  /// The entry of a stage.
  public func entry(_ stage: String) -> FlowEntry? { byStage[stage].map { entries[$0] } }
}

/// One stage of a flow with all the ways out of it.
public struct FlowEntry: Sendable {
  /// The stage.
  public let stage: String
  /// True when a Java stage does it.
  public let runsElsewhere: Bool
  /// The ways of a passed message; the first that matches is taken.
  public let passed: [Branch]
  /// The ways of the other verdicts.
  public let others: [VerdictKind: Branch]
  /// Where it stands.
  public let position: Position
}

/// A condition and where it leads.
public struct Branch: Sendable {
  /// When it is taken.
  public let condition: Condition
  /// Where the message goes, in this order.
  public let destinations: [Destination]
  /// Where it stands.
  public let position: Position
}

/// Where a route sends a message.
public enum Destination: Sendable, Hashable {
  /// To a stage.
  case stage(String)
  /// To the workflow engine.
  case command(WorkflowCommand)
  /// To the workflow engine, which asks for a further packet of a process and waits so many seconds for it.
  case requestAdditionalInfo(process: String, pauseSeconds: Int)

  /// The name in the route file.
  public var name: String {
    switch self {
    case .stage(let name): name
    case .command(let command): command.rawValue
    case .requestAdditionalInfo: WorkflowCommand.pauseAndRequestAdditionalInfo.rawValue
    }
  }

  /// True when nothing of the flow comes after it.
  var completes: Bool {
    switch self {
    case .command(.completeAsProcessed), .command(.completeAsFailed), .command(.completeAsRejected),
      .command(.completeAsRejectedWithoutParentFlow), .command(.restartParentFlow), .requestAdditionalInfo:
      true
    default: false
    }
  }
}

/// The stages that a route file may name.
public struct StageDirectory: Sendable {
  /// Every known stage, and whether a container of ours runs it.
  public let stages: [String: Bool]

  /// A directory. `run` are the stages that have a `stages/<name>/stage.yaml`; MOSIP's other stages are always known.
  public init(run: some Sequence<String>) {
    var stages = Dictionary(uniqueKeysWithValues: Self.upstream.map { ($0, false) })
    for name in run { stages[name] = true }
    self.stages = stages
  }

  /// The stages of MOSIP's pipeline, by our names (facts/bus-and-routes 3).
  public static let upstream = [
    "packet-receiver", "securezone-notification", "packet-uploader", "packet-validator", "packet-classifier", "cmd-validator",
    "operator-validator", "supervisor-validator", "introducer-validator", "quality-classifier", "demo-dedupe",
    "abis-handler", "abis-middleware", "bio-dedupe", "verification", "manual-adjudication",
    "biometric-authentication", "uin-generator", "biometric-extraction", "finalization", "print",
  ]

  /// Of these a flow should say whether it has them or leaves them out.
  static let expected = Set(upstream).subtracting(["biometric-authentication"])
}
