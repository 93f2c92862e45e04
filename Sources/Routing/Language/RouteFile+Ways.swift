import Registration

extension RouteFile {
  /// Whether something else runs a stage of a process from which the flow leads to another one, directly or over others.
  public func leadsBack(from stage: String, to other: String, of process: String) -> Bool {
    guard runsElsewhere(stage, of: process), let flow = flow(process) else { return false }
    return flow.leads(from: stage, to: other)
  }
}

extension Flow {
  /// Whether a message may come from one stage to another, by any verdict.
  fileprivate func leads(from stage: String, to other: String) -> Bool {
    let places = Dictionary(stages.enumerated().map { ($1.name.value, $0) }) { first, _ in first }
    var (open, seen) = ([stage], Set<String>())
    while let name = open.popLast() {
      guard seen.insert(name).inserted, let index = places[name] else { continue }
      for verdict in VerdictKind.allCases {
        for destination in branches(ofStageAt: index, for: verdict).flatMap(\.to) {
          guard case .stage(let next) = destination.value else { continue }
          if next == other { return true }
          open.append(next)
        }
      }
    }
    return false
  }
}
