import System
import Registration
import YAML

/// The proof that a route file decides as the Camel files it was made of: a message for every part of the space in which
/// either gives one answer, put to both. Camel's answers come from its own tests, not from the conditions made of them.
public struct CamelVerification: Sendable {
  /// A message that the two send to different places.
  public struct Difference: Sendable {
    /// The Camel route, as `FILE:LINE:COLUMN`.
    public let route: String
    /// The message, as a question for `regproc routes decide`.
    public let question: String
    /// Where Camel sends it; nil for nowhere.
    public let camel: [Destination]?
    /// Where the route file sends it; nil for nowhere.
    public let routes: [Destination]?

    /// The difference in one line.
    public var words: String {
      func list(_ destinations: [Destination]?) -> String {
        destinations?.map(\.description).joined(separator: ", then ") ?? "nowhere"
      }
      return "\(route): Camel sends it to \(list(camel)), the route file to \(list(routes)): \(question)"
    }
  }

  /// How many messages were put to both.
  public internal(set) var messages = 0
  /// How many branches of the Camel files some message took.
  public internal(set) var reached = 0
  /// Branches that no message took, as `FILE:LINE:COLUMN`; of these `dead` ones are known to be so.
  public internal(set) var unreached: [String] = []
  /// Branches that no message can take.
  public internal(set) var dead: [String] = []
  /// Messages that the two send to different places; the first of each route and verdict.
  public internal(set) var differences: [Difference] = []
  /// Routes with too many conditions to put every message.
  public internal(set) var unfinished: [String] = []

  /// Whether it is proven.
  public var isProven: Bool { differences.isEmpty && unreached.isEmpty && unfinished.isEmpty }
}

extension CamelImport {
  /// Puts messages to the Camel files and to `file`. `stages` must be those that the import was given.
  public func verify(_ file: RouteFile, stages: StageDirectory) -> CamelVerification {
    var result = CamelVerification()
    let stages = stages.adding(file.foreign)
    let names = CamelStageNames(stages, renamed: renamed)
    for route in routes {
      let topic = route.from.value
      let parts = topic.split(separator: "-")
      guard topic.hasSuffix("-bus-out"), parts.count > 3 else {
        forward(route, file, &result)
        continue
      }
      let process = parts[parts.count - 3].uppercased()
      let prefix = parts.dropLast(3).joined(separator: "-")
      verify(route, process, names[prefix] ?? prefix, file, &result)
    }
    return result
  }

  private func place(_ route: CamelRoute, _ position: Position) -> String { "\(route.file):\(position)" }

  private func forward(_ route: CamelRoute, _ file: RouteFile, _ result: inout CamelVerification) {
    let own = file.forwarded(route.from.value).map { [Destination.stage($0.to.value)] }
    result.messages += 1
    result.reached += 1
    if route.branches.first?.to != own {
      result.differences.append(
        CamelVerification.Difference(
          route: place(route, route.position), question: "{\"after\":\(jsonText(route.from.value))}",
          camel: route.branches.first?.to, routes: own))
    }
  }

  private func verify(
    _ route: CamelRoute, _ process: String, _ stage: String, _ file: RouteFile, _ result: inout CamelVerification
  ) {
    let flow = file.flow(process)
    let index = flow?.stages.firstIndex { $0.name.value == stage }
    var reached: Set<Int> = []
    for verdict in VerdictKind.allCases + [nil] {
      let own = index.flatMap { flow?.branches(ofStageAt: $0, for: verdict) } ?? []
      // With pause rules, a flow decides by these first; an imported one has none.
      let pauses = (flow?.pauses ?? []).map(\.when)
      let conditions = route.branches.compactMap(\.condition) + own.compactMap(\.when) + pauses
      let space = MessageSpace(conditions, process: process, verdicts: [verdict])
      let lists =
        [route.branches.map { space.question($0.condition) }, own.map { space.question($0.when) }]
        + pauses.map { [space.question($0)] }
      var isSame = true
      var budget = 200_000
      let isWhole = space.visit(lists, budget: &budget) { cell, _ in
        result.messages += 1
        if let taken = route.branches.firstIndex(where: { $0.test?.holds(cell) ?? true }) { reached.insert(taken) }
        let camel = route.decide(cell)
        let routes = try? file.decide(process: process, after: stage, verdict: cell.verdict, message: cell).destinations
        guard camel != routes, isSame else { return }
        isSame = false
        result.differences.append(
          CamelVerification.Difference(
            route: place(route, route.position), question: cell.question(after: stage), camel: camel, routes: routes))
      }
      if !isWhole { result.unfinished.append(place(route, route.position)) }
    }
    result.reached += reached.count
    for (number, branch) in route.branches.enumerated() where !reached.contains(number) {
      if dead.contains(BranchPlace(file: route.file, position: branch.position)) {
        result.dead.append(place(route, branch.position))
      } else {
        result.unreached.append(place(route, branch.position))
      }
    }
  }
}
