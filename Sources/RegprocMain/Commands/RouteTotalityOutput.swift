import JSON
import Routing

/// The table of `regproc routes check --table`.
enum RouteTotalityOutput {
  /// For each flow and stage a heading, under it a line for each row: verdict, destination, the line of the file, the messages.
  static func text(_ table: RouteTotality) -> String {
    var out = ""
    var heading = ""
    let verdicts = table.rows.map { verdict($0).count }.max() ?? 0
    let places = table.rows.map { place($0).count }.max() ?? 0
    let destinations = min(50, table.rows.map { destination($0).count }.max() ?? 0)
    for row in table.rows {
      let own = "\(row.flow), after \(row.stage)"
      if own != heading {
        out += (heading.isEmpty ? "" : "\n") + own + "\n"
        heading = own
      }
      out += "  " + padded(verdict(row), verdicts) + "  -> " + padded(destination(row), destinations)
      out += "  " + padded(place(row), places) + "  " + row.words + "\n"
    }
    return out
  }

  private static func place(_ row: RouteTotality.Row) -> String { row.position.map { "line \($0.line)" } ?? "" }

  private static func destination(_ row: RouteTotality.Row) -> String {
    row.destinations?.map(\.description).joined(separator: ", then ") ?? "NOWHERE"
  }

  static func json(_ row: RouteTotality.Row, _ file: String) -> JSONValue {
    [
      "flow": .string(row.flow), "after": .string(row.stage), "verdict": JSONValue(row.verdict?.rawValue),
      "message": .string(row.words), "to": .array((row.destinations ?? []).map { .string($0.description) }),
      "branch": JSONValue(row.position.map { "\(file):\($0.line)" }), "example": .string(row.example),
    ]
  }

  private static func verdict(_ row: RouteTotality.Row) -> String { row.verdict?.rawValue ?? "no verdict" }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
