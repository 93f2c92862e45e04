import JSON
import StageKit

/// An error of OpenCRVS' events service, as tRPC and its REST endpoints write it. The text decides as often as the status
/// (docs/upstream/scenarios.md#34-answers-to-accept-and-reject); it is read and never passed on.
struct ProcedureFault: Sendable {
  let status: Int
  private let code: String
  private let message: String

  /// An error in an answer: of tRPC with its batch, of tRPC without, or of REST. Nil for an answer without one.
  init?(_ answer: GatewayConnection.Answer) {
    let first = answer.body?[0] ?? answer.body
    if let fault = first?["error"]?["json"] ?? first?["error"], fault.object != nil {
      // The status of one of a batch stands in the answer: the HTTP status may be that of all.
      status = fault["data"]?["httpStatus"]?.int ?? answer.status
      code = fault["data"]?["code"]?.string ?? ""
      message = fault["message"]?.string ?? ""
    } else if !answer.isSuccess, let code = first?["code"]?.string, let message = first?["message"]?.string {
      (status, self.code, self.message) = (answer.status, code, message)
    } else {
      return nil
    }
  }

  /// What follows from it.
  var outcome: TellingOutcome {
    if let known { return known }
    switch (status, code) {
    case (401, _): return .undeliverable("401: the token is over, or its user is gone")
    case (403, _): return .undeliverable("403: the token is not for this action")
    case (400, _): return .undeliverable("400: OpenCRVS takes no such request")
    case (404, _) where message.hasPrefix("Action not found"): return .undeliverable("404: OpenCRVS has no such action")
    default: return .later("answers \(status)")
    }
  }

  /// What a text that is known says, whatever the status.
  private var known: TellingOutcome? {
    switch true {
    case message.contains("event_actions_registration_number_key"): .numberUsed
    case message.contains("has already been accepted"): .alreadyAccepted
    case message.contains("has already been rejected"): .alreadyRejected
    case message.contains("Expected exactly one pending action"): .clash
    case message.contains("event_actions_check"):
      .undeliverable("OpenCRVS cannot store it: its own database refuses it at every repeat")
    default: unknownField.map(TellingOutcome.unknownField)
    }
  }

  /// The field that the forms lack. Only what can be a field's id is passed on.
  private var unknownField: String? {
    let parts = message.split(separator: " ")
    guard message.contains("not found in event config"), let place = parts.firstIndex(of: "id"), place + 1 < parts.count
    else { return nil }
    let id = parts[place + 1]
    return id.utf8.count <= 128 && id.utf8.allSatisfy { $0 > 32 && $0 < 127 } ? String(id) : "?"
  }
}
