import System
import Registration
import YAML

/// Where every message goes: for each stage and each combination of verdict and values that the route's conditions tell apart.
public struct RouteTotality: Sendable {
  /// All messages that are answered alike.
  public struct Row: Sendable {
    /// The process.
    public let flow: String
    /// The stage they come from.
    public let stage: String
    /// Their verdict; nil for messages of which a flag is null.
    public let verdict: VerdictKind?
    /// What is particular about them, as `tags.AGE_GROUP "INFANT" or "MINOR"`; `any value` when nothing is.
    public let words: String
    /// Where they go, in order; nil for nowhere.
    public let destinations: [Destination]?
    /// Where the branch or pause rule that says so is written.
    public let position: Position?
    /// One of them as a question for `regproc routes decide`.
    public let example: String
  }

  /// The rows, in the order of flows and stages.
  public private(set) var rows: [Row] = []
  /// Stages with more combinations than can be listed, as `FLOW: STAGE`; some of their rows are missing.
  public private(set) var unfinished: [String] = []

  /// Steps of splitting for one stage and verdict.
  private static let limit = 20_000
  /// Rows: more than anybody reads.
  private static let mostRows = 100_000

  /// The table of every flow of `file`. Messages are those without tag PAUSE_IMMUNITY_RULE_IDS unless a condition names it.
  public init(_ file: RouteFile) {
    for flow in file.flows {
      for index in flow.stages.indices {
        for verdict in VerdictKind.allCases + [nil] { add(file, flow, index, verdict) }
      }
    }
  }

  private mutating func add(_ file: RouteFile, _ flow: Flow, _ index: Int, _ verdict: VerdictKind?) {
    let stage = flow.stages[index].name.value
    let branches = flow.branches(ofStageAt: index, for: verdict)
    let pauses = flow.pauses(after: stage).map(\.when)
    let space = MessageSpace(
      branches.compactMap(\.when) + pauses, process: flow.process.value, verdicts: [verdict])
    let lists = [branches.map { space.question($0.when) }] + pauses.map { [space.question($0)] }
    var budget = min(RouteTotality.limit, RouteTotality.mostRows - rows.count)
    let isWhole = space.visit(lists, budget: &budget) { cell, _ in
      let decision = try? file.decide(
        process: flow.process.value, after: stage, verdict: cell.verdict, message: cell)
      rows.append(
        Row(
          flow: flow.process.value, stage: stage, verdict: verdict, words: cell.allWords,
          destinations: decision?.destinations, position: decision?.position, example: cell.question(after: stage)))
    }
    let name = "\(flow.process.value): \(stage)"
    if !isWhole, unfinished.last != name { unfinished.append(name) }
  }
}
