import Registration

/// Which branches of a list can match at all, and whether some message matches none.
struct BranchCoverage {
  /// Why a branch never matches.
  enum Reason: Hashable {
    /// Its own condition contradicts itself.
    case contradiction
    /// The branch at this index matches whenever it would.
    case covered(by: Int)
    /// Each of its messages is taken by one of several earlier branches.
    case coveredByEarlier
  }

  /// The branches that never match.
  private(set) var unreachable: [Int: Reason] = [:]
  /// For each branch a message that takes it; for one that never matches, a message that meets its condition, if any does.
  private(set) var examples: [Int: MessageSpace.Cell] = [:]
  /// A message that no branch takes; nil when every message is taken.
  private(set) var hole: MessageSpace.Cell?
  /// Whether the whole space was looked at; if not, only what is plain to see was found.
  private(set) var isExact: Bool

  /// Steps of splitting; a person's conditions need some hundreds.
  static let limit = 50_000

  /// One list alone, in at most `limit` steps.
  init(_ conditions: [Condition?], process: String, verdicts: [VerdictKind?]) {
    var budget = BranchCoverage.limit
    self.init(conditions, process: process, verdicts: verdicts, budget: &budget)
  }

  /// - Parameters:
  ///   - process: the flow's process, the one value that `reg_type` can have.
  ///   - verdicts: those whose messages the branches get; nil is a message without a verdict.
  ///   - budget: the steps that it may take; what it took is taken off.
  init(_ conditions: [Condition?], process: String, verdicts: [VerdictKind?], budget: inout Int) {
    let space = MessageSpace(conditions.compactMap { $0 }, process: process, verdicts: verdicts)
    let questions = conditions.map(space.question)
    var examples: [Int: MessageSpace.Cell] = [:]
    var hole: MessageSpace.Cell?
    isExact = space.visit([questions], budget: &budget) { cell, first in
      if let first = first[0] {
        if examples[first] == nil { examples[first] = cell }
      } else if hole == nil {
        hole = cell
      }
    }
    self.hole = hole
    guard isExact else {
      look(conditions)
      return
    }
    for index in conditions.indices where examples[index] == nil {
      var met: MessageSpace.Cell?
      var isKnown = space.visit([[questions[index]]], budget: &budget) { cell, first in
        if met == nil, first[0] != nil { met = cell }
      }
      guard isKnown else { continue }
      guard met != nil else {
        unreachable[index] = .contradiction
        continue
      }
      examples[index] = met
      unreachable[index] = .coveredByEarlier
      for earlier in 0..<index {
        var isLeft = false
        isKnown = space.visit([[questions[earlier], questions[index]]], budget: &budget) { _, first in
          if first[0] == 1 { isLeft = true }
        }
        if isKnown, !isLeft {
          unreachable[index] = .covered(by: earlier)
          break
        }
      }
    }
    self.examples = examples
  }

  private mutating func look(_ conditions: [Condition?]) {
    hole = nil
    var first: [Condition?: Int] = [:]
    for (index, condition) in conditions.enumerated() {
      if let earlier = first[nil] ?? first[condition] {
        unreachable[index] = .covered(by: earlier)
      } else {
        first[condition] = index
      }
    }
  }
}
