import System
import Registration
import YAML

/// The stages of a flow and the ways between them.
struct FlowGraph {
  /// Stages that lead back to themselves.
  struct Cycle {
    /// In the order of travel.
    let stages: [Int]
    /// The destination that leads back.
    let closing: Placed<Destination>
    /// Whether every passed message goes round, with no other way out.
    let isEndless: Bool
  }

  private struct Edge {
    let to: Int
    let destination: Placed<Destination>
    /// Whether every passed message takes it.
    let isAlways: Bool
    let isPassed: Bool
  }

  /// Stages that a message can reach from where messages begin, by any verdict.
  private(set) var reached: Set<Int> = []
  /// Stages from which a completing command can be reached by passing.
  private(set) var ending: Set<Int> = []
  /// One cycle for each destination that leads back.
  private(set) var cycles: [Cycle] = []
  private var edges: [[Edge]] = []

  /// - Parameter dead: where branches stand that no message takes.
  init(_ flow: Flow, _ places: [String: Int], without dead: Set<Position>) {
    for index in flow.stages.indices {
      var out: [Edge] = []
      for verdict in VerdictKind.allCases {
        let branches = flow.branches(ofStageAt: index, for: verdict)
        for (number, branch) in branches.enumerated() where !dead.contains(branch.position) {
          for destination in branch.to {
            switch destination.value {
            case .stage(let name):
              guard let to = places[name] else { continue }
              let isPassed = verdict == .passed
              out.append(
                Edge(
                  to: to, destination: destination, isAlways: isPassed && number == 0 && branch.when == nil,
                  isPassed: isPassed))
            case .command(let command):
              if verdict == .passed, command.isCompleting { ending.insert(index) }
            }
          }
        }
      }
      edges.append(out)
    }
    findReached([0] + flow.stages.indices.filter { flow.stages[$0].isEntry })
    findEnding()
    findCycles()
  }

  private mutating func findReached(_ entries: [Int]) {
    var open = entries
    while let index = open.popLast() {
      if reached.insert(index).inserted { open += edges[index].map(\.to) }
    }
  }

  private mutating func findEnding() {
    var isGrowing = true
    while isGrowing {
      isGrowing = false
      for index in edges.indices where !ending.contains(index) {
        if edges[index].contains(where: { $0.isPassed && ending.contains($0.to) }) {
          ending.insert(index)
          isGrowing = true
        }
      }
    }
  }

  /// Depth first; a way to a stage on the present path closes a cycle.
  private mutating func findCycles() {
    var isDone = [Bool](repeating: false, count: edges.count)
    for start in edges.indices where !isDone[start] {
      var path: [(stage: Int, next: Int)] = [(start, 0)]
      while let (stage, next) = path.last {
        guard next < edges[stage].count else {
          isDone[stage] = true
          path.removeLast()
          continue
        }
        path[path.count - 1].next += 1
        let edge = edges[stage][next]
        if let at = path.firstIndex(where: { $0.stage == edge.to }) {
          let loop = path[at...]
          // `next` is already one further than the edge that the path took.
          let isEndless = loop.allSatisfy { edges[$0.stage][$0.next - 1].isAlways }
          cycles.append(Cycle(stages: loop.map(\.stage), closing: edge.destination, isEndless: isEndless))
        } else if !isDone[edge.to] {
          path.append((edge.to, 0))
        }
      }
    }
  }
}
