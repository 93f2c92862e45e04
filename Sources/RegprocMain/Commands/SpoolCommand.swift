import JSON
import StageRuntime
import System

extension SpoolFiles {
  /// The folder of all spools of a data folder.
  static func folder(in data: String) -> String { data + "/spool" }

  /// The spools of a data folder.
  static func all(in data: String) -> [SpoolFiles] {
    (Files.names(in: folder(in: data)) ?? []).map { SpoolFiles(stage: $0, in: folder(in: data)) }
  }
}

/// `regproc spool ...`: requests that wait in the data folder for the database, and those that were set aside.
enum SpoolCommand {
  static let list = Command(
    name: "spool list", summary: "lists the requests that wait in the data folder, and those that were set aside",
    details: """
      Requests whose sender does not come again (OpenCRVS' webhooks, deliveries of MOSIP's hub) are kept there, sealed, while the database is
      away, and taken once it is back. One that cannot be taken is set aside with a code. Only the data folder is read.
      The exit code is 1 when something is set aside.
      """,
    options: [.flag("json", "one object a line")], takesSettings: true, example: "spool list", run: runList)

  static let retry = Command(
    name: "spool retry", summary: "has requests that were set aside wait again, once their cause is gone",
    details: """
      Each takes the place that it had; the process that runs the stage takes it within a second.
      """,
    operands: [Operand(name: "STAGE", meaning: "the stage, as `spool list` names it")],
    options: [.text("number", "N", "this one alone (default: all of the stage)")], takesSettings: true,
    example: "spool retry opencrvs-mediator", run: runRetry)

  private static func runList(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let spools = SpoolFiles.all(in: try Settings(arguments, around).data)
    if arguments.has("json") {
      for spool in spools { around.console.out(json(spool).encoded() + [10]) }
    } else if spools.allSatisfy({ $0.waiting + $0.setAside.count == 0 }) {
      around.console.err("Nothing waits.\n")
    } else {
      around.console.out(table(spools).rendered(around.console))
    }
    return spools.contains { !$0.setAside.isEmpty } ? 1 : 0
  }

  private static func table(_ spools: [SpoolFiles]) -> TextTable {
    var table = TextTable(head: ["stage", "number", "since", "what"])
    for spool in spools {
      if spool.waiting > 0 {
        let kib = (spool.bytes + 1023) / 1024
        table.add([spool.stage, "", String((spool.since?.iso ?? "").prefix(16)), "\(spool.waiting) wait (\(kib) KiB)"])
      }
      for entry in spool.setAside {
        table.add([spool.stage, entry.number, String(entry.since.iso.prefix(16)), "set aside: \(entry.code)"])
      }
    }
    return table
  }

  private static func json(_ spool: SpoolFiles) -> JSONValue {
    [
      "stage": .string(spool.stage), "waiting": JSONValue(spool.waiting), "bytes": JSONValue(spool.bytes),
      "since": JSONValue(spool.since?.iso),
      "setAside": .array(
        spool.setAside.map { ["number": .string($0.number), "code": .string($0.code), "since": .string($0.since.iso)] }),
    ]
  }

  private static func runRetry(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let folder = SpoolFiles.folder(in: try Settings(arguments, around).data)
    let count = try SpoolFiles(stage: arguments.operands[0], in: folder).retry(arguments.text("number"))
    guard count > 0 else { throw Failure("nothing of that stage and number is set aside in \(folder)") }
    around.console.out("\(count) \(count == 1 ? "waits" : "wait") again\n")
    return 0
  }
}
