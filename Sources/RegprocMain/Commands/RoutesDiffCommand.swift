import Operations
import JSON
import Postgres
import Routing
import StageRuntime

/// `regproc routes diff`: what another route file would change.
enum RoutesDiffCommand {
  static let command = Command(
    name: "routes diff", summary: "compares two route files in meaning: which messages would go elsewhere",
    details: """
      Exit code 0: both do the same; 1: they do not, or a stage is removed that messages wait for.
      With --journal it also says how many packets of the past would have gone where. The journal keeps no tags: where a
      tag decides, all possible destinations are shown.
      With --live it counts what waits for a removed stage: in the journal, and on the topics what other programs sent there.
      """,
    operands: [
      Operand(name: "OLD", meaning: "the route file that is in force"),
      Operand(name: "NEW", meaning: "the one to compare"),
    ],
    options: [
      .flag("json", "one object a line"), .flag("journal", "what-if over the hops of the journal"),
      Option(name: "since", value: "TIME", meaning: "how far back, e.g. 12h (default: 7d)") {
        TimeWords.seconds($0) == nil ? "a time such as 90s, 30m, 12h or 7d" : nil
      },
      .flag("live", "names the removed stages that messages wait for, and how many"),
    ], takesSettings: true, example: "routes diff routes.yaml routes.new.yaml --journal --since 7d", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let folder = try StageFolder(settings)
    let (old, _) = try folder.routes(arguments.operands[0])
    let (new, _) = try folder.routes(arguments.operands[1])
    let console = around.console
    let diff = RouteDiff(old, new)
    console.out(arguments.has("json") ? json(diff) : Array(words(diff).utf8))
    var isAlike = diff.isEmpty
    if arguments.has("journal") {
      let since = arguments.text("since").flatMap(TimeWords.seconds) ?? 7 * 86400
      let recorded = try await JournalAccess.with(settings) { connection, _ in
        try JournalHops(connection).done(since: since)
      }
      let result = RouteWhatIf(recorded, old: old, new: new)
      console.out(arguments.has("json") ? json(result) : Array(words(result).utf8))
    }
    if arguments.has("live") {
      let stranded = try await StrandedMessages.find(old, new, folder, settings)
      for waiting in stranded {
        if arguments.has("json") {
          let line: JSONValue = [
            "kind": .string(waiting.place.rawValue), "flow": .string(waiting.process), "stage": .string(waiting.stage),
            "messages": JSONValue(waiting.messages),
          ]
          console.out(line.encoded() + [10])
        } else {
          console.out(waiting.words + "\n")
        }
      }
      if !stranded.isEmpty { isAlike = false }
    }
    return isAlike ? 0 : 1
  }

  private static func words(_ diff: RouteDiff) -> String {
    var lines = diff.removedFlows.map { "flow removed: \($0)" } + diff.addedFlows.map { "flow added: \($0)" }
    lines +=
      diff.removedStages.map { "stage removed: \($0)" } + diff.addedStages.map { "stage added: \($0)" } + diff.others
    for change in diff.changes { lines += [change.description, "  " + change.example] }
    lines += diff.unfinished.map { "too many conditions to compare: \($0)" }
    if diff.isEmpty { lines = ["every message goes where it went"] }
    return lines.map { $0 + "\n" }.joined()
  }

  private static func words(_ result: RouteWhatIf) -> String {
    var lines = ["journal: \(result.same) of \(result.packets) packet hops go where they went"]
    lines += result.moves.map { ($0.isCertain ? "" : "perhaps ") + $0.description }
    lines += result.unexplained.map {
      "\($0.packets) of \($0.process), after \($0.stage), went to \($0.destinations) by another version than the old file"
    }
    return lines.map { $0 + "\n" }.joined()
  }

  private static func list(_ destinations: [Destination]?) -> JSONValue {
    destinations.map { .array($0.map { .string($0.description) }) } ?? .null
  }

  private static func json(_ diff: RouteDiff) -> [UInt8] {
    func named(_ kind: String, _ names: [String]) -> [JSONValue] {
      names.map { ["kind": .string(kind), "name": .string($0)] }
    }
    var lines = named("flow-removed", diff.removedFlows) + named("flow-added", diff.addedFlows)
    lines += named("stage-removed", diff.removedStages) + named("stage-added", diff.addedStages)
    lines += named("other", diff.others) + named("not-compared", diff.unfinished)
    lines += diff.changes.map { change in
      [
        "kind": "change", "flow": .string(change.flow), "after": .string(change.stage),
        "verdict": JSONValue(change.verdict?.rawValue), "old": list(change.old), "new": list(change.new),
        "with": .string(change.words), "example": .string(change.example),
      ]
    }
    return lines.flatMap { $0.encoded() + [10] }
  }

  private static func json(_ result: RouteWhatIf) -> [UInt8] {
    var lines: [JSONValue] = [
      ["kind": "journal", "packets": JSONValue(result.packets), "same": JSONValue(result.same)]
    ]
    lines += result.moves.map { move in
      [
        "kind": "move", "flow": .string(move.hops.process), "after": .string(move.hops.stage),
        "verdict": .string(move.hops.verdict.rawValue), "packets": JSONValue(move.hops.packets),
        "old": .string(move.hops.destinations), "certain": .bool(move.isCertain),
        "new": .array(move.possible.map { ["to": list($0.to), "with": .string($0.words)] }),
      ]
    }
    return lines.flatMap { $0.encoded() + [10] }
  }
}
