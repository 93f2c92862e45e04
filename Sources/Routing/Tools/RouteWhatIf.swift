import Registration

/// Hops of the past that are alike: so many packets went the same way after a stage.
public struct RecordedHops: Sendable, Hashable {
  /// The process.
  public let process: String
  /// The stage that had done its work.
  public let stage: String
  /// What it said.
  public let verdict: VerdictKind
  /// Where the messages went, as the journal has it: the destinations joined by a comma and a blank.
  public let destinations: String
  /// How many packets.
  public let packets: Int

  /// Hops that are alike.
  public init(process: String, stage: String, verdict: VerdictKind, destinations: String, packets: Int) {
    self.process = process
    self.stage = stage
    self.verdict = verdict
    self.destinations = destinations
    self.packets = packets
  }
}

/// Where hops of the past, and messages that wait, are to be had: the journal.
public protocol HopRecords {
  /// Hops that were done since a time so many seconds ago.
  func done(since seconds: Int) throws -> [RecordedHops]
  /// How many messages wait for, or are on their way to, each stage of each process.
  func open() throws -> [(process: String, stage: String, messages: Int)]
}

/// How many packets would have gone where, had another route file been in force.
///
/// The journal keeps no tags: they are personal. But it keeps where each message went, and so which messages it can have been:
/// all those that the old file sends there. Where the new file sends all of these to one place, the answer is certain; where
/// it sends them to several, the tag that decides is named.
public struct RouteWhatIf: Sendable {
  /// Packets that would have gone elsewhere, or may have.
  public struct Move: Sendable {
    /// What was recorded.
    public let hops: RecordedHops
    /// Where they would have gone, each with what such a message is like; nil for nowhere.
    public let possible: [(to: [Destination]?, words: String)]

    /// Whether it is known where they would have gone.
    public var isCertain: Bool { possible.count == 1 }

    /// One line.
    public var description: String {
      let places = possible.map { to, words in
        let names = to?.map(\.description).joined(separator: ", ") ?? "nowhere"
        return isCertain ? names : "\(names) (with \(words))"
      }
      return
        "\(hops.packets) of \(hops.process), after \(hops.stage), \(hops.verdict.rawValue): \(hops.destinations) -> "
        + places.joined(separator: " or ")
    }
  }

  /// How many packets' hops were looked at.
  public private(set) var packets = 0
  /// How many of these go where they went.
  public private(set) var same = 0
  /// Those that do not, or may not.
  public private(set) var moves: [Move] = []
  /// Those that the old file itself would not have sent where they went: another version was in force.
  public private(set) var unexplained: [RecordedHops] = []

  /// Decides what was recorded by both files.
  public init(_ recorded: [RecordedHops], old: RouteFile, new: RouteFile) {
    for hops in recorded {
      packets += hops.packets
      let possible = RouteWhatIf.possible(hops, old, new)
      if possible.isEmpty {
        unexplained.append(hops)
      } else if possible.count == 1, RouteWhatIf.words(possible[0].to) == hops.destinations {
        same += hops.packets
      } else {
        moves.append(Move(hops: hops, possible: possible))
      }
    }
    moves.sort { ($1.hops.packets, $0.hops.process, $0.hops.stage) < ($0.hops.packets, $1.hops.process, $1.hops.stage) }
  }

  private static func words(_ destinations: [Destination]?) -> String? {
    destinations?.map(\.description).joined(separator: ", ")
  }

  private static func possible(
    _ hops: RecordedHops, _ old: RouteFile, _ new: RouteFile
  ) -> [(to: [Destination]?, words: String)] {
    let flows = [old, new].map { $0.flow(hops.process) }
    let branches = flows.map { flow in
      flow?.stages.firstIndex { $0.name.value == hops.stage }.flatMap {
        flow?.branches(ofStageAt: $0, for: hops.verdict)
      } ?? []
    }
    let pauses = flows.flatMap { $0?.pauses ?? [] }.map(\.when)
    let space = MessageSpace(
      branches.flatMap { $0.compactMap(\.when) } + pauses, process: hops.process, verdicts: [hops.verdict])
    let lists = branches.map { $0.map { space.question($0.when) } } + pauses.map { [space.question($0)] }
    var found: [(to: [Destination]?, words: String)] = []
    var budget = 100_000
    _ = space.visit(lists, budget: &budget) { cell, _ in
      guard words(old.destinations(hops.process, hops.stage, cell)) == hops.destinations else { return }
      let to = new.destinations(hops.process, hops.stage, cell)
      if !found.contains(where: { $0.to == to }) { found.append((to, cell.words)) }
    }
    return found
  }
}
