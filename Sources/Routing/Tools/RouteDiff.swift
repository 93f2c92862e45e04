import Registration
import YAML

/// What two route files do differently, in meaning and not in lines.
public struct RouteDiff: Sendable {
  /// Messages that now go elsewhere: all those of one stage and verdict that went to one place and now go to another.
  public struct Change: Sendable {
    /// The process.
    public let flow: String
    /// The stage they come from.
    public let stage: String
    /// Their verdict; nil for messages of which a flag is null.
    public let verdict: VerdictKind?
    /// Where they went; nil for nowhere: the flow or the stage was not there.
    public let old: [Destination]?
    /// Where they go now; nil for nowhere.
    public let new: [Destination]?
    /// What is particular about one of them.
    public let words: String
    /// That one as a question for `regproc routes decide`.
    public let example: String

    /// One line.
    public var description: String {
      func list(_ destinations: [Destination]?) -> String {
        destinations?.map(\.description).joined(separator: ", then ") ?? "nowhere"
      }
      let kind = verdict?.rawValue ?? "without verdict"
      return "\(flow), after \(stage), \(kind): \(list(old)) -> \(list(new)), as with \(words)"
    }
  }

  /// Flows that only the new file has.
  public private(set) var addedFlows: [String] = []
  /// Flows that only the old file has.
  public private(set) var removedFlows: [String] = []
  /// Stages that only the new file's flow has, as `FLOW: STAGE`.
  public private(set) var addedStages: [String] = []
  /// Stages that only the old file's flow has.
  public private(set) var removedStages: [String] = []
  /// Other differences, in words: who runs a stage, sources, forwarded topics.
  public private(set) var others: [String] = []
  /// Messages that go elsewhere.
  public private(set) var changes: [Change] = []
  /// Stages with too many conditions to compare, as `FLOW: STAGE`.
  public private(set) var unfinished: [String] = []

  /// Whether both do the same.
  public var isEmpty: Bool {
    addedFlows.isEmpty && removedFlows.isEmpty && addedStages.isEmpty && removedStages.isEmpty && others.isEmpty
      && changes.isEmpty && unfinished.isEmpty
  }

  /// Compares two files.
  public init(_ old: RouteFile, _ new: RouteFile) {
    let before = old.flows.map(\.process.value)
    let after = new.flows.map(\.process.value)
    removedFlows = before.filter { !after.contains($0) }
    addedFlows = after.filter { !before.contains($0) }
    for process in before where after.contains(process) {
      guard let one = old.flow(process), let other = new.flow(process) else { continue }
      compare(process, one, other, old, new)
    }
    let topics = Set((old.forwards + new.forwards).map(\.topic.value)).sorted()
    for topic in topics {
      let (a, b) = (old.forwarded(topic)?.to.value, new.forwarded(topic)?.to.value)
      if a != b { others.append("the topic \(topic) is forwarded to \(b ?? "nobody") instead of \(a ?? "nobody")") }
    }
  }

  private mutating func compare(_ process: String, _ one: Flow, _ other: Flow, _ old: RouteFile, _ new: RouteFile) {
    let before = one.stages.map(\.name.value)
    let after = other.stages.map(\.name.value)
    removedStages += before.filter { !after.contains($0) }.map { "\(process): \($0)" }
    addedStages += after.filter { !before.contains($0) }.map { "\(process): \($0)" }
    if one.source != other.source {
      others.append("\(process): the source is \(other.source ?? "none") instead of \(one.source ?? "none")")
    }
    if one.isPinned != other.isPinned {
      others.append(
        "\(process): packets \(other.isPinned ? "finish on the version they began with" : "go on by the new version") now")
    }
    if before.first != after.first {
      others.append("\(process) begins at \(after.first ?? "nothing") instead of \(before.first ?? "nothing")")
    }
    for stage in other.stages {
      guard let same = one.stages.first(where: { $0.name.value == stage.name.value }) else { continue }
      if same.runsElsewhere != stage.runsElsewhere {
        others.append("\(process): \(stage.name.value) runs \(stage.runsElsewhere ? "elsewhere" : "here") now")
      }
    }
    for name in before + after.filter({ !before.contains($0) }) {
      for verdict in VerdictKind.allCases + [nil] { compare(process, name, verdict, one, other, old, new) }
    }
  }

  private mutating func compare(
    _ process: String, _ stage: String, _ verdict: VerdictKind?, _ one: Flow, _ other: Flow, _ old: RouteFile,
    _ new: RouteFile
  ) {
    let branches = [one, other].map { flow in
      flow.stages.firstIndex { $0.name.value == stage }.map { flow.branches(ofStageAt: $0, for: verdict) } ?? []
    }
    let pauses = [one, other].flatMap { $0.pauses(after: stage).map(\.when) }
    let space = MessageSpace(
      branches.flatMap { $0.compactMap(\.when) } + pauses, process: process, verdicts: [verdict])
    let lists = branches.map { $0.map { space.question($0.when) } } + pauses.map { [space.question($0)] }
    struct Move: Hashable {
      let old: [Destination]?
      let new: [Destination]?
    }
    var seen: Set<Move> = []
    var found: [Change] = []
    var budget = 100_000
    let isWhole = space.visit(lists, budget: &budget) { cell, _ in
      let move = Move(old: old.destinations(process, stage, cell), new: new.destinations(process, stage, cell))
      guard move.old != move.new, seen.insert(move).inserted else { return }
      found.append(
        Change(
          flow: process, stage: stage, verdict: cell.verdict, old: move.old, new: move.new, words: cell.words,
          example: cell.question(after: stage)))
    }
    changes += found
    if !isWhole { unfinished.append("\(process): \(stage)") }
  }
}

extension RouteFile {
  /// Where a message goes; nil for nowhere.
  func destinations(_ process: String, _ stage: String, _ cell: MessageSpace.Cell) -> [Destination]? {
    do throws(RoutingError) {
      return try decide(process: process, after: stage, verdict: cell.verdict, message: cell).destinations
    } catch {
      return nil
    }
  }
}
