import JSON
import StageRuntime
import System

/// `regproc dead-letters ...`: records that no stage can read or that used up their tries, and what the embedded hub gave up because its
/// subscriber refused it.
enum DeadLettersCommand {
  static let list = Command(
    name: "dead-letters list", summary: "lists records that no stage could take, and events that a subscriber refused",
    options: [
      .text("stage", "STAGE", "of this stage only; hub for events"), .flag("json", "one object a line"),
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
        SELECT id, at, stage, code, reason, rid, record FROM (
          SELECT id::text, id AS number, created_at AS at, stage, code, reason, coalesce(rid, '') AS rid,
            topic || coalesce('/' || partition || '/' || record_offset, '') AS record FROM regproc.dead_letter
          UNION ALL
          SELECT '\(hubPrefix)' || number, number, given_up_at, '\(hub)', '\(hubCode)',
            'refused by ' || callback || ' (' || coalesce(refusal, '') || ')', '', topic
          FROM platform.hub_delivery WHERE given_up_at IS NOT NULL AND NOT is_open) AS letters
        WHERE $1::text IS NULL OR stage = $1 ORDER BY at DESC, number DESC LIMIT $2
        """, [stage.map { .text($0) } ?? .null, .int(limit)]
      ).map { row in
        [
          try row.text(0), try row.instant(1).iso, try row.text(2), try row.text(3), try row.text(4), try row.text(5),
          try row.text(6),
        ]
      }
    }
    let head = ["id", "at", "stage", "code", "reason", "rid", "record"]
    if arguments.has("json") {
      for row in rows {
        var object = JSONObject()
        for (name, value) in zip(head, row) {
          object[name] = name == "id" ? Int(value).map { JSONValue($0) } ?? .string(value) : .string(value)
        }
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
    let name = arguments.operands[0]
    if name.hasPrefix(hubPrefix), let number = Int(name.dropFirst(hubPrefix.count)) {
      return try await showEvent(number, settings, around)
    }
    guard let id = Int(name) else { throw WrongUse("an id is a number, or \(hubPrefix) and a number", show) }
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

  private static let hub = "hub"
  private static let hubPrefix = "hub-"
  private static let hubCode = "RPR-HUB-003"

  private static func showEvent(_ number: Int, _ settings: Settings, _ around: Surroundings) async throws -> Int32 {
    let text = try await JournalAccess.with(settings) { connection, _ -> String? in
      try connection.execute(
        """
        SELECT d.given_up_at, d.topic, d.callback, d.attempt - 1, coalesce(d.refusal, ''), m.published_at, m.body
        FROM platform.hub_delivery AS d JOIN platform.hub_message AS m ON m.id = d.message_id
        WHERE d.number = $1 AND d.given_up_at IS NOT NULL AND NOT d.is_open
        """, [.int(number)]
      ).first.map { row in
        let body = try row.bytes(6)
        return """
          at        \(try row.instant(0).iso)
          stage     \(hub)
          code      \(hubCode)
          reason    refused by \(try row.text(2)) (\(try row.text(4))), tried \(try row.int(3)) times
          topic     \(try row.text(1))
          published \(try row.instant(5).iso), \(body.count) bytes

          \(printable(body.prefix(4096)))

          """
      }
    }
    guard let text else { throw Failure("the hub has given up no delivery \(number) (regproc dead-letters list)") }
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
