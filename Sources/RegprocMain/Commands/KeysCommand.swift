import Glibc
import JSON
import EmbeddedPlatform
import Postgres
import System

/// `regproc keys ...`: which keys there are, and a new sealing key for the database.
enum KeysCommand {
  static let list = Command(
    name: "keys list", summary: "lists the keys of the data folder: what each is for and until when it is valid",
    details: """
      No key is shown. For each sealing key it says how many values in the database are sealed with it. If an old key seals none, its
      file may be removed by hand. --json has whole thumbprints (SHA-256 of the certificate).
      """,
    options: [.flag("json", "one object a line")], takesSettings: true, example: "keys list", run: runList)

  static let rotate = Command(
    name: "keys rotate", summary: "makes a new sealing key and seals everything in the database again",
    details: """
      Only the sealing key of the embedded platform's tables changes: not the keys of packets and partners, and not the key of the search
      hashes. Processes may run meanwhile; they take the new key within seconds. If it is stopped, run it again: it goes on there.
      The file of the old key stays, because earlier backups of the database need it. Remove it by hand when none does any more.
      Back up the data folder afterwards, together with the database (docs/keys.md).
      """,
    options: [.flag("yes", "do it; else only says what would be done")], takesSettings: true, example: "keys rotate --yes",
    run: runRotate)

  private static func keyFolder(_ settings: Settings, _ access: JournalAccess?) -> String {
    (access?.folder ?? settings.data) + "/platform/keys"
  }

  // MARK: list

  private static func runList(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let inventory: KeyInventory
    var uses: [Int: KeyInventory.Use]?
    do {
      (inventory, uses) = try await JournalAccess.with(settings) { connection, access in
        (try KeyInventory(folder: keyFolder(settings, access)), try KeyInventory.uses(connection))
      }
    } catch let failure as Failure {
      inventory = try KeyInventory(folder: keyFolder(settings, nil))
      around.console.err("What uses the sealing keys is not told: \(failure)\n")
    }
    if arguments.has("json") {
      for key in inventory.keys { around.console.out(json(key, uses).encoded() + [10]) }
      return 0
    }
    var table = TextTable(head: ["key", "for", "valid until", "SHA-256"])
    for key in inventory.keys where key.id == nil {
      let thumbprint = key.thumbprint.map { Encoding.hex($0.prefix(6)) + "..." } ?? "-"
      table.add([key.name, key.purpose, key.validUntil.map { String($0.iso.prefix(10)) } ?? "-", thumbprint])
    }
    around.console.out(table.rendered(around.console))
    var sealing = TextTable(head: ["sealing key", "file", "state", "values"])
    for key in inventory.keys {
      guard let id = key.id else { continue }
      let use = uses?[id]
      sealing.add([String(id), key.name + ".secret", state(use), use.map { String($0.values) } ?? "-"])
    }
    around.console.out("\n" + sealing.rendered(around.console))
    return 0
  }

  private static func state(_ use: KeyInventory.Use?) -> String { use.map { $0.isCurrent ? "current" : "old" } ?? "not used" }

  private static func json(_ key: KeyInventory.Key, _ uses: [Int: KeyInventory.Use]?) -> JSONValue {
    var out: JSONObject = ["name": .string(key.name), "kind": .string(key.kind), "purpose": .string(key.purpose)]
    if let thumbprint = key.thumbprint { out["thumbprint"] = .string(Encoding.hex(thumbprint)) }
    if let end = key.validUntil { out["validUntil"] = .string(end.iso) }
    if let id = key.id {
      out["id"] = JSONValue(id)
      if let uses {
        out["state"] = .string(state(uses[id]))
        out["values"] = JSONValue(uses[id]?.values ?? 0)
      }
    }
    return .object(out)
  }

  // MARK: rotate

  private static func runRotate(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let isMeant = arguments.has("yes")
    let console = around.console
    return try await JournalAccess.with(settings) { connection, access in
      let folder = keyFolder(settings, access)
      guard Files.exists(folder) else { throw Failure("there are no keys in \(folder); name the data folder with --data") }
      let uses = try KeyInventory.uses(connection)
      guard !uses.isEmpty else {
        throw Failure("this database was not used by this version yet: start regproc on it once, then change the key")
      }
      guard isMeant else {
        let values = uses.values.reduce(0) { $0 + $1.values }
        console.err("A new sealing key would be made in \(folder), and \(values) values sealed again. With --yes it is done.\n")
        return 0
      }
      let rotation = KeyRotation(try KeyFolder(folder: folder), database: access.database, othersRun: !access.isForTheMoment)
      let outcome = try rotation.run(on: connection) { progress in
        console.progress("\(progress.done) of \(progress.total) values sealed again")
      }
      console.progress("")
      if outcome.isResumed { console.err("An earlier change of the key was interrupted; this one went on with it.\n") }
      console.out("sealing key \(outcome.key) is current; \(outcome.sealed) values sealed again\n")
      console.err("The old key stays in \(folder). Back up this folder and the database together.\n")
      return 0
    }
  }
}
