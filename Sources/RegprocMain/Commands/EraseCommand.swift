import ObjectStores
import Glibc
import MosipPlatform
import Operations
import EmbeddedPlatform
import StageKit
import StageRuntime
import System

/// `regproc erase RID`: removes what can be removed of one person's registration.
enum EraseCommand {
  static let command = Command(
    name: "erase", summary: "removes what can be removed of a registration, and says what stays",
    details: """
      It removes events, packets, sealed rows and the bytes of dead letters, of the registration and of all changes of the same record. What
      the law and the guards against doubles need stays: hashes, codes, times, registration numbers and application ids. Both are shown
      first, with counts; then you are asked. Without a terminal --yes is needed.

      Afterwards nothing runs it again: replay, release, work retry and dead-letters replay are refused. A registration that is under way
      cannot be erased. If an erasure was interrupted, the same command finishes it. If the two sides have a database or an object store
      each, erase on both.

      Not ours, and untouched: Kafka's topics, MOSIP's identity and its audit, OpenCRVS, backups, logs (docs/operations.md).
      """,
    operands: [Operand(name: "RID", meaning: "the registration id, the AID of a change, or a registration number")],
    options: [
      .neededReason, .author,
      .flag("dry-run", "say what would go and what would stay, and change nothing"), .flag("yes", "do not ask"),
      .flag("json", "all of it, as JSON"),
    ], takesSettings: true, example: "erase 45451454520000120261124080000 --reason 'asked for by letter 4711'", run: run)

  private static func run(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let isDryRun = arguments.has("dry-run")
    let isSure = isDryRun || arguments.has("yes")
    guard isSure || around.canAsk else {
      throw Failure(
        "there is no terminal to ask you at, so nothing was changed: confirm with --yes, or look with --dry-run")
    }
    let (name, who) = (
      arguments.operands[0], isDryRun ? arguments.whoActs(around) : try arguments.whoActsForAReason(around, command)
    )
    let accounts = ErasureAccounts(try StageFolder(settings).stages, environment: around.environment)
    return try await JournalAccess.with(settings) { connection, access in
      let blocking = BlockingPool(name: "objects", threads: 2)
      defer { blocking.close() }
      let erasure = Erasure(accounts, objects: try objects(settings, access, blocking))
      return try refused {
        if isDryRun || !isSure {
          let report = try erasure.erase(name, by: who, isDryRun: true, on: connection)
          tell(report, asJSON: isDryRun && arguments.has("json"), around.console)
          if isDryRun { return report.objectsLeft == nil ? 0 : 1 }
          guard around.agrees(to: "Remove it? It cannot be brought back. [y/N] ") else {
            around.console.err("Nothing was changed.\n")
            return 1
          }
        }
        let report = try erasure.erase(name, by: who, on: connection)
        if isSure || arguments.has("json") { tell(report, asJSON: arguments.has("json"), around.console) }
        if let code = report.objectsLeft {
          around.console.err("Objects are left (\(code)): run the same command again to remove them.\n")
          return 1
        }
        around.console.err("Erased: \(Console.visible(report.subject)).\n")
        let spooled = SpoolFiles.all(in: access.folder ?? settings.data).reduce(0) { $0 + $1.waiting + $1.setAside.count }
        if spooled > 0 {
          around.console.err(
            "\(spooled) requests in the spool of the data folder were not looked into: erase once more when they are taken "
              + "(regproc spool list).\n")
        }
        return 0
      }
    }
  }

  /// The object store of whatever runs on the settings.
  private static func objects(_ settings: Settings, _ access: JournalAccess, _ blocking: BlockingPool) throws -> any ObjectStore {
    if let store = try PlatformChoice.s3(settings) { return store }
    let folder = (access.folder ?? settings.data) + "/platform/objects"
    guard Files.exists(folder) else {
      throw Failure(
        "the objects are not here: there is no folder \(folder). Say where with --data, or ask a process that has them: "
          + "POST /regproc/v1/registrations/RID/erase on its admin listener")
    }
    return FileObjectStore(folder: folder, blocking: blocking)
  }

  private static func tell(_ report: Erasure.Report, asJSON: Bool, _ console: Console) {
    if asJSON {
      console.out(report.json.encoded() + [10])
      return
    }
    if !report.names.isEmpty { console.err("Its names: \(report.names.map(Console.visible).joined(separator: ", "))\n") }
    console.out("\(report.isDryRun ? "Would be removed" : "Removed"):\n" + table(report.removed, console))
    if !report.isFinishing { console.out("\nKept:\n" + table(report.kept, console)) }
  }

  private static func table(_ lines: [Erasure.Line], _ console: Console) -> String {
    var table = TextTable(head: ["count", "where", "what", "why"])
    for line in lines { table.add([line.count.map(String.init) ?? "-", line.place, line.what, line.why]) }
    return table.rendered(console)
  }
}
