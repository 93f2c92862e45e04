/// Follows passed messages through a flow, each with values that stay as they are, and finds those that come back to a
/// stage where they have been.
struct FlowWalk {
  /// A message that goes round.
  struct Round {
    /// The message.
    let cell: MessageSpace.Cell
    /// Whether it goes round because of the address, which stages set to say where they want it next.
    let dependsOnAddress: Bool
  }

  /// Steps of splitting.
  static let limit = 20_000

  private let flow: Flow
  private let space: MessageSpace
  private let questions: [[MessageSpace.Question]]
  private let targets: [[[Int]]]

  init(_ flow: Flow) {
    self.flow = flow
    let branches = flow.stages.indices.map { flow.passedBranches(ofStageAt: $0) }
    let space = MessageSpace(
      branches.flatMap { $0.compactMap(\.when) }, process: flow.process.value, verdicts: [.passed])
    self.space = space
    questions = branches.map { $0.map { space.question($0.when) } }
    let places = flow.stages.enumerated().reduce(into: [String: Int]()) { $0[$1.element.name.value] = $1.offset }
    targets = branches.map { branches in
      branches.map { branch in
        branch.to.compactMap { if case .stage(let name) = $0.value { places[name] } else { nil } }
      }
    }
  }

  /// For each set of stages that messages go round in, one such message; one that does so without an address if there is one.
  /// Empty too when there are too many ways to follow.
  func rounds(budget: inout Int) -> [Set<Int>: Round] {
    var found: [Set<Int>: Round] = [:]
    guard !flow.stages.isEmpty else { return found }
    // The questions of a cycle alone decide about it, and need not be asked together with all the others.
    for component in components() {
      let order = component.sorted()
      let isKnown = space.visit(order.map { questions[$0] }, budget: &budget) { cell, first in
        var next: [Int: [Int]] = [:]
        for (place, index) in zip(order, first) { next[place] = index.map { targets[place][$0] } ?? [] }
        for start in order {
          guard let loop = FlowWalk.loop(start, next, component) else { continue }
          let dependsOnAddress = cell.values.contains {
            $0.subject == .field(MessageField.address.rawValue) && $0.value != .absent && $0.value != .null
          }
          if let old = found[loop], !old.dependsOnAddress || dependsOnAddress { continue }
          found[loop] = Round(cell: cell, dependsOnAddress: dependsOnAddress)
        }
      }
      if !isKnown { return found }
    }
    return found
  }

  /// The stages that a message from `start` comes back through; nil if it does not come back to `start`.
  private static func loop(_ start: Int, _ next: [Int: [Int]], _ component: Set<Int>) -> Set<Int>? {
    var path: [(stage: Int, next: Int)] = [(start, 0)]
    var seen: Set<Int> = [start]
    while let (stage, index) = path.last {
      let ways = next[stage] ?? []
      guard index < ways.count else {
        path.removeLast()
        continue
      }
      path[path.count - 1].next += 1
      let to = ways[index]
      if to == start { return Set(path.map(\.stage)) }
      if component.contains(to), seen.insert(to).inserted { path.append((to, 0)) }
    }
    return nil
  }

  /// Sets of stages that can reach each other, of which only those with a way back are given.
  private func components() -> [Set<Int>] {
    func reach(_ start: Int) -> Set<Int> {
      var found: Set<Int> = []
      var open = targets[start].flatMap { $0 }
      while let stage = open.popLast() {
        if found.insert(stage).inserted { open += targets[stage].flatMap { $0 } }
      }
      return found
    }
    let reached = targets.indices.map(reach)
    var components: [Set<Int>] = []
    for stage in targets.indices
    where reached[stage].contains(stage) && !components.contains(where: { $0.contains(stage) }) {
      components.append(reached[stage].filter { reached[$0].contains(stage) })
    }
    return components
  }
}
