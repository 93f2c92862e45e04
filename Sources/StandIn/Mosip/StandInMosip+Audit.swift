import HTTP
import JSON
import StageKit
import System

/// The endpoint of the audit manager.
extension StandInMosip {
  var auditEndpoints: [Endpoint] {
    let services = services
    return [
      endpoint("POST", "/v1/auditmanager/audits") { request in
        let content = try Self.content(request)
        for name in ["actionTimeStamp", "hostName", "hostIp", "applicationId", "applicationName", "sessionUserId", "createdBy"] {
          _ = try Self.text(content, name)
        }
        try await services.audit.record([
          AuditEntry(
            eventId: try Self.text(content, "eventId"), eventName: try Self.text(content, "eventName"),
            eventType: try Self.text(content, "eventType"), module: try Self.text(content, "moduleName"),
            id: try Self.text(content, "id"),
            idType: try Self.text(content, "idType"), description: try Self.text(content, "description"))
        ])
        return Self.done(["status": true])
      }
    ]
  }
}
