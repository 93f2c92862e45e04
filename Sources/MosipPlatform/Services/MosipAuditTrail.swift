import JSON
import StageKit
import System

/// MOSIP's audit manager over REST. It knows no entry again, so an entry is sent a second time only when it surely was not taken: of a call
/// that ends in doubt the stage's own retry may leave two.
struct MosipAuditTrail: AuditTrail {
  private let client: ServiceClient
  private let clock: any WallClock

  init(_ client: ServiceClient, clock: any WallClock) {
    self.client = client
    self.clock = clock
  }

  func record(_ entries: [AuditEntry]) async throws {
    for entry in entries {
      // The action's time is when it is recorded, not when a try is made.
      let request: JSONValue = [
        "eventId": .string(entry.eventId), "eventName": .string(entry.eventName), "eventType": .string(entry.eventType),
        "actionTimeStamp": .string(clock.now.iso), "hostName": "regproc", "hostIp": "0.0.0.0", "applicationId": "REGISTRATION",
        "applicationName": "REGISTRATION", "sessionUserId": "SYSTEM", "sessionUserName": "SYSTEM", "createdBy": "SYSTEM",
        "moduleName": .string(entry.module), "moduleId": .string(entry.module), "id": .string(entry.id),
        "idType": .string(entry.idType), "description": .string(entry.description),
      ]
      let client = client
      let answer = try await client.call(
        "an audit entry", "POST", "/v1/auditmanager/audits",
        body: { client.envelope(id: "mosip.kernel.audit", version: "1.0", request: request) }, .onlyUnsent
      ).response
      try client.reader.auditTaken(answer)
    }
  }
}

/// The audit manager's answers.
extension AnswerReader {
  /// Makes sure that an entry was taken.
  package func auditTaken(_ answer: JSONValue) throws(ServiceError) {
    if answer["status"]?.bool == false {
      throw ServiceError(.unavailable, service: service.name, code: CallError.unreadable, "an audit entry: not taken")
    }
  }
}
