import JSON
import Registration
import StageKit
import System

/// What the engine itself tells the world: the end of a packet's way, and that a registration waits for another packet, as MOSIP's workflow
/// engine publishes them (docs/upstream/bus-and-routes.md#74-what-the-workflow-engine-does;
/// docs/upstream/opencrvs-and-websub.md#44-completed-registrations).
enum WorkflowEvents {
  /// The name under which the engine's own durable work is kept.
  static let stage = "workflow"
  /// The kind of work that publishes a completion.
  static let completed = "completed"
  static let topic = "REGISTRATION_PROCESSOR_WORKFLOW_COMPLETED_EVENT"

  static let work = WorkKind(completed, concurrency: 16)

  /// The kind of work that publishes a request for additional information.
  static let requested = "requested"
  static let requestedTopic = "REGISTRATION_PROCESSOR_WORKFLOW_PAUSED_FOR_ADDITIONAL_INFO_EVENT"

  /// The work's payload is the event's body.
  static func publishRequest(_ work: WorkItem, services: Services) async throws {
    try await services.hub.publish(
      work.payload.encoded(), topic: requestedTopic, idempotencyKey: "\(work.key):\(requested)")
  }

  static func publish(_ work: WorkItem, services: Services) async throws {
    guard let rid = work.payload["rid"]?.string, let process = work.payload["process"]?.string,
      let result = work.payload["resultCode"]?.string
    else { throw WorkFailure(code: "RPR-WIA-002", "a completion without rid, process or result") }
    let errorCode: JSONValue =
      switch RegistrationStatus(rawValue: result) {
      case .rejected: .string("PACKET_REJECTED")
      case .failed: .string("PACKET_FAILED")
      case .processed: .null
      default: throw WorkFailure(code: "RPR-WIA-002", "a completion whose result is no end: \(VisibleText.of(result))")
      }
    let body: JSONValue = .object([
      "instanceId": .string(rid), "resultCode": .string(result), "workflowType": .string(process), "errorCode": errorCode,
    ])
    try await services.hub.publish(body.encoded(), topic: topic, idempotencyKey: "\(work.key):\(completed)")
  }
}
