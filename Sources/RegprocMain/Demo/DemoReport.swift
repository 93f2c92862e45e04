/// The tables and the summary of a demo.
struct DemoReport: Sendable {
  var results: [DemoResult]
  /// The stages in the order of the route file.
  var stages: [String]
  /// From the first webhook to the last answer.
  var seconds: Double
  var revealsTokens: Bool

  /// Births with their stages first, then what came of them, by kind; at the end what had to fail.
  func table(_ console: Console) -> String {
    let births = results.filter(\.event.isBirthToToken)
    let others = DemoEvent.Kind.allCases.flatMap { kind in
      results.filter { $0.event.kind == kind && !$0.event.isBirthToToken && !$0.isToFail }
    }
    let failing = DemoEvent.Kind.allCases.flatMap { kind in results.filter { $0.event.kind == kind && $0.isToFail } }
    let tables = [
      births.isEmpty ? nil : self.births(births, console),
      others.isEmpty && failing.isEmpty ? nil : changes(others + failing, console),
    ]
    return tables.compactMap { $0 }.joined(separator: "\n")
  }

  private func births(_ results: [DemoResult], _ console: Console) -> String {
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

  private func changes(_ results: [DemoResult], _ console: Console) -> String {
    var table = TextTable(head: ["registration", "AID", "kind", "result", "changed or error", "seconds"])
    for result in results {
      let colour = result.isGood ? "32" : result.result == "error" ? "31" : "33"
      let detail = result.result == "error" ? result.errorCode ?? "error" : result.changed.joined(separator: " ")
      // An error that had to be is as good as anything else.
      table.rows.append(
        [
          result.event.registrationNumber ?? result.event.name, result.rid ?? "-",
          result.event.kind.rawValue,
        ].map { TextTable.Cell($0) } + [
          TextTable.Cell(result.result + (result.isToFail && result.isGood ? ", as it must" : ""), colour),
          TextTable.Cell(detail.isEmpty ? "-" : detail), TextTable.Cell(result.seconds.map(Self.decimals) ?? "-"),
        ])
    }
    return table.rendered(console)
  }

  var summary: String {
    let good = results.filter(\.isGood).count
    let rate = seconds > 0 ? Double(results.count) / seconds : 0
    let what = results.allSatisfy { $0.event.kind == .birth } ? "births" : "events"
    return
      "\(good) of \(results.count) events ended as they should, in \(Self.decimals(seconds)) s: \(Self.decimals(rate)) \(what)/s\n"
  }

  /// A UIN token is a person's: enough of it to tell it from another one.
  private func shown(_ token: String) -> String {
    revealsTokens || token.count <= 8 ? token : "\(token.prefix(4))...\(token.suffix(2))"
  }

  /// A stage's name in a narrow column: `packet-validator` is `p-val`, `finalization` is `final`.
  static func short(_ stage: String) -> String {
    let parts = stage.split(separator: "-")
    return parts.count > 1 ? "\(parts[0].prefix(1))-\(parts[1].prefix(3))" : String(stage.prefix(5))
  }

  /// A number with one decimal.
  static func decimals(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}

extension DemoResult {
  /// Whether it had to end in an error.
  var isToFail: Bool { if case .error = event.goal { true } else { false } }
}
