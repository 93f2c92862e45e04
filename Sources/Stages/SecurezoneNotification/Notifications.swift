import HTTP
import JSON
import Registration
import StageKit
import System

/// Takes a packet over from a receiver that cannot reach the bus and calls instead, as MOSIP's receiver in a DMZ does. A notification is judged
/// as a message of the bus is, and what follows is durable before the answer; one that comes again changes nothing.
struct Notifications: Sendable {
  let stage: SecurezoneNotification
  let context: StageContext
  let endpoint: MosipEndpoint

  func take(_ request: Request) async throws -> Response {
    guard let body = try? JSONValue.parse(request.body), body.object != nil, let rid = body["rid"]?.string,
      MosipEndpoint.isSafeName(rid)
    else { return .text("The notification is no JSON object with a registration id", status: 400) }
    do {
      let isForwarded = try await forward(rid, body)
      let audit = AuditEntry(
        eventId: isForwarded ? "RPR_401" : "RPR_405", eventName: isForwarded ? "GET" : "EXCEPTION",
        eventType: isForwarded ? "BUSINESS" : "SYSTEM", module: context.stage, id: rid,
        description: "a notification of a packet was \(isForwarded ? "" : "not ")taken, from \(MosipEndpoint.author(of: request))")
      try await context.services.audit.record([audit])
      let end = isForwarded ? "been forwarded to next stage" : "not been uploaded to file System"
      return .text("Packet with registrationId '\(rid)' has \(end)")
    } catch let error as ServiceError {
      context.log.warning("a notification could not be taken", ["error": error.description])
      throw endpoint.refusal(503)
    }
  }

  private func forward(_ rid: String, _ body: JSONValue) async throws -> Bool {
    guard body["isValid"]?.bool != false, let process = body["reg_type"]?.string else { return false }
    let iteration = body["iteration"]?.int ?? 1
    let named = body["workflowInstanceId"]?.string
    // Upstream's older receivers name no workflow instance.
    let rows = try await context.services.registrations.registrations(rid: rid)
    let row = rows.last { row in
      row.process == process && row.iteration == iteration && (named == nil || row.workflowInstanceId == named)
    }
    guard let row else { return false }
    guard
      let message = try? Message(
        process: process, rid: rid, isValid: true, internalError: false, tags: [:], source: body["source"]?.string,
        iteration: iteration, workflowInstanceId: row.workflowInstanceId)
    else { return false }
    let verdict = try await stage.process(message, context)
    // What the tables contradict is nobody's packet: nothing is kept of it.
    guard verdict.kind != .error else { return false }
    _ = try await context.pipeline.notified(message, at: context.stage, verdict)
    return verdict.kind == .passed
  }

  static let description = EndpointDescription(
    "takes the notification that a packet is in the landing zone",
    details: "For a receiver that cannot reach the bus. The same notification again is answered alike and changes nothing.",
    tag: "Securezone notification (MOSIP's registration processor)",
    body: .json(
      JSONShape.object(
        [
          "rid": JSONShape.text("the registration id"), "reg_type": JSONShape.text("the process"), "isValid": JSONShape.flag(),
          "source": JSONShape.orNull(JSONShape.text()), "iteration": JSONShape.integer(),
          "workflowInstanceId": JSONShape.orNull(JSONShape.text()),
        ], required: ["rid", "reg_type"])),
    answers: [
      .init(200, "whether the packet goes on, in MOSIP's words", .text), .init(400, "no registration id is named", .text),
      .init(401, "there is no token that counts here"), .init(403, "the token has none of the roles"),
      .init(503, "a service that is needed cannot be reached; try again"),
    ])
}
