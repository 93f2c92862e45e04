/// The table and the summary of a demo.
struct DemoReport: Sendable {
  var results: [DemoResult]
  /// The stages in the order of the route file.
  var stages: [String]
  /// From the first webhook to the last answer.
  var seconds: Double
  var revealsTokens: Bool

  func table(_ console: Console) -> String {
    var table = TextTable(head: ["registration", "RID"] + stages.map(Self.short) + ["UIN token", "seconds"])
    for result in results {
      var row = [TextTable.Cell(result.event.registrationNumber ?? result.event.name), TextTable.Cell(result.rid ?? "-")]
      for stage in stages {
        // A stage that was tried again stands with its last word.
        let verdict = result.hops.last { $0.stage == stage }?.verdict ?? ""
        let text = console.outputIsTerminal ? VerdictMark.sign(verdict) : verdict.isEmpty ? "-" : verdict
        row.append(TextTable.Cell(text, VerdictMark.colour(verdict)))
      }
      switch result.result {
      case "uin-token": row.append(TextTable.Cell(shown(result.token ?? "")))
      case "error": row.append(TextTable.Cell(result.errorCode ?? "error", "31"))
      default: row.append(TextTable.Cell(result.result, "33"))
      }
      row.append(TextTable.Cell(result.seconds.map(Self.decimals) ?? "-"))
      table.rows.append(row)
    }
    return table.rendered(console)
  }

  var summary: String {
    let good = results.filter(\.isGood).count
    let rate = seconds > 0 ? Double(results.count) / seconds : 0
    return
      "\(good) of \(results.count) events ended as they should, in \(Self.decimals(seconds)) s: \(Self.decimals(rate)) births/s\n"
  }

  /// A UIN token is a person's: enough of it to tell it from another one.
  private func shown(_ token: String) -> String {
    revealsTokens || token.count <= 8 ? token : "\(token.prefix(4))...\(token.suffix(2))"
  }

  /// A stage's name in a narrow column: `packet-validator` is `pk-val`.
  static func short(_ stage: String) -> String {
    let known = [
      "packet-receiver": "recv", "securezone-notification": "secz", "packet-uploader": "upld", "packet-validator": "vald",
      "packet-classifier": "clas", "introducer-validator": "intr", "uin-generator": "uin", "finalization": "final",
      "print": "print",
      "opencrvs": "crvs",
    ]
    return known[stage] ?? String(stage.prefix(6))
  }

  /// A number with one decimal.
  static func decimals(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
