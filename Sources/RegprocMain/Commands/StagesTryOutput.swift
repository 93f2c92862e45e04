import JSON
import Operations
import Registration
import StageKit
import StageRuntime

/// What `regproc stages try` says, in 80 columns or as JSON.
struct StagesTryOutput {
  var stage: StageDefinition
  var message: Message
  var report: RehearsalReport

  var text: String {
    var out = "\(stage.name): \(headline)\n" + line("message", "RID \(message.rid), \(message.process)")
    if let verdict = report.verdict {
      out += line("status", "\(verdict.statusCode.rawValue), \(verdict.subStatusCode)") + line("comment", verdict.comment)
    }
    if let status = report.registrationStatus { out += line("then", status.rawValue) }
    if let moment = report.pausedUntil { out += line("until", moment.iso) }
    if report.verdict != nil { out += line("route", report.route) }
    for sending in report.sendings {
      out += line("sends", "to \(sending.stage) on \(sending.topic)\(sending.notBefore.map { ", not before \($0.iso)" } ?? "")")
    }
    if let letter = report.deadLetter { out += line("dead", letter) }
    if !report.tags.isEmpty { out += line("tags", report.tags.joined(separator: ", ")) }
    for write in report.writes {
      let members = write.members.isEmpty ? "" : ": \(write.members.joined(separator: ", "))"
      out += line("write", "\(write.change) \(write.place) \(write.key)\(members)")
    }
    for call in report.calls {
      let about = call.about.isEmpty ? "" : ": \(call.about.joined(separator: ", "))"
      out += line("call", "\(call.part.rawValue), \(call.name)\(about)\(call.isMadeUp ? " (answer made up)" : "")")
    }
    if report.writes.isEmpty && report.calls.isEmpty { out += line("call", "none that changes anything") }
    return out + line("took", "\(Int(report.milliseconds.rounded())) ms; nothing of this was done")
  }

  private var headline: String {
    guard let verdict = report.verdict else { return "no verdict" }
    let paused = report.pausedUntil == nil ? "" : ", then paused"
    return verdict.kind.rawValue + paused + (report.hasMadeUpAnswers ? " (with made-up answers)" : "")
  }

  private func line(_ name: String, _ value: String) -> String {
    "  \(name.padded(to: 9))" + Lines.wrapped(Console.visible(value), indent: String(repeating: " ", count: 11)).dropFirst(11)
  }

  var json: JSONValue {
    [
      "stage": .string(stage.name), "rid": .string(message.rid), "process": .string(message.process),
      "verdict": JSONValue(report.verdict?.kind.rawValue), "statusCode": JSONValue(report.verdict?.statusCode.rawValue),
      "subStatusCode": JSONValue(report.verdict?.subStatusCode), "comment": JSONValue(report.verdict?.comment),
      "end": end,
      "madeUp": .bool(report.hasMadeUpAnswers), "registrationStatus": JSONValue(report.registrationStatus?.rawValue),
      "pausedUntil": JSONValue(report.pausedUntil?.iso), "route": .string(report.route), "deadLetter": JSONValue(report.deadLetter),
      "sends": .array(report.sendings.map(Self.json)), "tags": .array(report.tags.map { .string($0) }),
      "writes": .array(report.writes.map(Self.json)), "calls": .array(report.calls.map(Self.json)),
      "milliseconds": JSONValue(Int(report.milliseconds.rounded())),
    ]
  }

  private var end: JSONValue {
    guard let end = report.end else { return .null }
    return ["code": .string(end.code), "part": .string(end.part.rawValue), "message": .string(end.message)]
  }

  private static func json(_ sending: RehearsalReport.Sending) -> JSONValue {
    ["stage": .string(sending.stage), "topic": .string(sending.topic), "notBefore": JSONValue(sending.notBefore?.iso)]
  }

  private static func json(_ write: RehearsedWrite) -> JSONValue {
    [
      "change": .string(write.change), "place": .string(write.place), "key": .string(write.key),
      "members": .array(write.members.map { .string($0) }),
    ]
  }

  private static func json(_ call: RehearsedCall) -> JSONValue {
    [
      "part": .string(call.part.rawValue), "name": .string(call.name), "about": .array(call.about.map { .string($0) }),
      "madeUp": .bool(call.isMadeUp),
    ]
  }
}
