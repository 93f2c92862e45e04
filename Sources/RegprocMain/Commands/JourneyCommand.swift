import Glibc
import Operations
import Postgres
import StageRuntime
import System

/// `regproc journey NAME`: the history of a registration, or of a record with all that came of it.
enum JourneyCommand {
  static let command = Command(
    name: "journey", summary: "shows all of a registration: hops, work, changes, and what happens next",
    details: """
      NAME is a RID, the AID of a death, correction or reversal, or a registration number of OpenCRVS; a number shows the birth with every
      change of its record, in the order in which they were taken.

      --follow adds what is new as it comes, until the registration has ended or Ctrl-C. Together with --json it prints the
      whole again, on a line of its own, whenever something is new.
      """,
    operands: [Operand(name: "NAME", meaning: "a RID or AID of 29 digits, or a registration number")],
    options: [
      .flag("follow", "go on until it has ended"), .flag("wide", "one line a hop, as wide as it is"),
      .flag("json", "everything, as JSON"),
    ],
    takesSettings: true, example: "journey 45451454520000120261124080000", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (name, console) = (arguments.operands[0], around.console)
    let (isFollowed, isJSON, isWide) = (arguments.has("follow"), arguments.has("json"), arguments.has("wide"))
    guard !isFollowed || !isWide else { throw WrongUse("--follow and --wide do not go together", command) }
    let signals = isFollowed ? Signals(console) : nil
    return try await JournalAccess.with(settings) { connection, access in
      guard let view = try RegistrationView.read(name, on: connection) else {
        throw Failure("\(name) is not known: no stage and no mediator has ever seen it (\(access.place))")
      }
      if let signals {
        if access.isForTheMoment { console.err("Nothing runs now, so nothing new will come.\n") }
        try follow(name, view, isJSON: isJSON, until: { signals.isStopping || access.isForTheMoment }, connection, console)
      } else if isJSON {
        console.out(view.json.encoded(pretty: true) + [10])
      } else {
        console.out(isWide ? JourneyText.wide(view, console) : JourneyText.head(view) + JourneyText.blocks(view, console).joined())
        console.out(JourneyText.ahead(view))
      }
      return 0
    }
  }

  private static func follow(
    _ name: String, _ first: RegistrationView, isJSON: Bool, until isStopped: () -> Bool, _ connection: Connection,
    _ console: Console
  ) throws {
    if !isJSON { console.out(JourneyText.head(first)) }
    var (view, told, last): (RegistrationView, Set<String>, String) = (first, [], "")
    while true {
      if isJSON {
        let text = view.json.encoded()
        if told.insert(String(decoding: text, as: UTF8.self)).inserted { console.out(text + [10]) }
        if told.count > 1 { told = [String(decoding: text, as: UTF8.self)] }
      } else {
        for block in JourneyText.blocks(view, console) where told.insert(block).inserted { console.out(block) }
        let ahead = JourneyText.ahead(view)
        if ahead != last { console.out(ahead) }
        last = ahead
      }
      if view.hasEnded || isStopped() { return }
      usleep(500_000)
      if isStopped() { return }
      guard let next = try RegistrationView.read(name, on: connection) else { return }
      view = next
    }
  }
}
