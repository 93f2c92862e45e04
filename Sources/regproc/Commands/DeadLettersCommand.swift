import JSON
import StageRuntime
import System

/// `regproc dead-letters ...`: records that no stage can read or that used up their tries.
enum DeadLettersCommand {
  static let list = Command(
    name: "dead-letters list", summary: "lists records that no stage could take",
    options: [
      .text("stage", "STAGE", "of this stage only"), .flag("json", "one object a line"),
      .number("limit", "N", 1...100_000, "at most so many, the newest first (default: 50)"),
    ], takesSettings: true, example: "dead-letters list --stage packet-validator", run: runList)

  static let show = Command(
    name: "dead-letters show", summary: "shows one of them, with its record",
    operands: [Operand(name: "ID", meaning: "its number in the list")], takesSettings: true, example: "dead-letters show 1",
    run: runShow)

  private static func runList(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    let (stage, limit) = (arguments.text("stage"), arguments.integer("limit") ?? 50)
    let rows = try await JournalAccess.with(settings) { connection, _ in
      try connection.execute(
        """
        SELECT id, created_at, stage, code, reason, coalesce(rid, ''), topic || coalesce('/' || partition || '/' || record_offset, '')
        FROM regproc.dead_letter WHERE $1::text IS NULL OR stage = $1 ORDER BY id DESC LIMIT $2
        """, [stage.map { .text($0) } ?? .null, .int(limit)]
      ).map { row in
        [
          String(try row.int(0)), try row.instant(1).iso, try row.text(2), try row.text(3), try row.text(4), try row.text(5),
          try row.text(6),
        ]
      }
    }
    let head = ["id", "at", "stage", "code", "reason", "rid", "record"]
    if arguments.has("json") {
      for row in rows {
        var object = JSONObject()
        for (name, value) in zip(head, row) { object[name] = name == "id" ? JSONValue(Int(value) ?? 0) : .string(value) }
        around.console.out(JSONValue.object(object).encoded() + [10])
      }
    } else if rows.isEmpty {
      around.console.err("There is no dead letter.\n")
    } else {
      var table = TextTable(head: head)
      for row in rows { table.add(row) }
      around.console.out(table.rendered(around.console))
    }
    return 0
  }

  private static func runShow(_ arguments: Arguments, _ around: Surroundings) async throws -> Int32 {
    let settings = try Settings(arguments, around)
    guard let id = Int(arguments.operands[0]) else { throw WrongUse("an id is a number", show) }
    let text = try await JournalAccess.with(settings) { connection, _ -> String? in
      let rows = try connection.execute(
        """
        SELECT created_at, stage, code, reason, rid, topic, partition, record_offset, hop_id::text, value FROM regproc.dead_letter
        WHERE id = $1
        """, [.int(id)])
      guard let row = rows.first else { return nil }
      let value = try row.bytesOrNull(9) ?? []
      let place = [try row.text(5), try row.intOrNull(6).map(String.init), try row.intOrNull(7).map(String.init)]
      return """
        at      \(try row.instant(0).iso)
        stage   \(try row.text(1))
        code    \(try row.text(2))
        reason  \(try row.text(3))
        rid     \(try row.textOrNull(4) ?? "-")
        hop     \(try row.textOrNull(8) ?? "-")
        record  \(place.compactMap { $0 }.joined(separator: "/")), \(value.count) bytes

        \(printable(value.prefix(4096)))

        """
    }
    guard let text else { throw Failure("there is no dead letter \(id) (regproc dead-letters list)") }
    around.console.out(text)
    return 0
  }

  /// Text without characters that a terminal would obey.
  private static func printable(_ bytes: ArraySlice<UInt8>) -> String {
    String(
      String.UnicodeScalarView(
        String(decoding: bytes, as: UTF8.self).unicodeScalars.map {
          ($0.value < 32 && $0 != "\n") || (127..<160).contains($0.value) ? "\u{FFFD}" : $0
        }))
  }
}
