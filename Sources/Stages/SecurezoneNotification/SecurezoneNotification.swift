import HTTP
import JSON
import Registration
import StageKit
import System

/// Takes over a packet from the receiving side and refuses a second packet for what another one has begun
/// (docs/upstream/stages.md#2-securezone-notification).
public struct SecurezoneNotification: StagePlugin {
  public static let spec = PluginSpec(
    name: "securezone-notification", summary: "refuses a packet that another one of the same registration has overtaken",
    settings: [
      SettingField(
        "roles", .texts, default: ["REGISTRATION_PROCESSOR"],
        "whoever notifies of a packet over HTTP, as a receiver elsewhere does, needs one of these roles")
    ])

  let settings: StageSettings

  public init(settings: StageSettings) throws { self.settings = settings }

  public func endpoints(_ context: StageContext) -> [Endpoint] {
    let notifications = Notifications(
      stage: self, context: context, endpoint: MosipEndpoint(settings: settings, services: context.services, log: context.log))
    return [
      Endpoint("POST", "/registrationprocessor/v1/securezone/notification", admission: notifications.endpoint.admission) {
        try await notifications.take($0)
      }.takingIn.described(Notifications.description)
    ]
  }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    try await ServiceVerdict.judged {
      let register = context.services.registrations
      guard let id = message.workflowInstanceId, let own = try await register.registration(workflowInstanceId: id),
        own.rid == message.rid, let announced = try await register.synced(workflowInstanceId: id)
      else { return ServiceVerdict.system("the tables know no such registration") }
      if try await isOvertaken(own, announced, register) {
        // The sub status of a success beside REJECTED is what upstream writes.
        return .failed(
          "RPR-SEN-SUCCESS-001", "Duplicate Packet against same additional info request Id.", status: .rejected)
      }
      return .passed("RPR-SEN-SUCCESS-001", "Notification received to securezone")
    }
  }

  /// Whether another announcement of the RID (or of the same additional-info request) began earlier.
  private func isOvertaken(_ own: RegistrationRecord, _ announced: SyncRecord, _ register: any RegistrationRegister)
    async throws -> Bool
  {
    let others = try await register.synced(rid: own.rid).filter {
      $0.workflowInstanceId != own.workflowInstanceId
        && $0.additionalInfoRequestId == announced.additionalInfoRequestId
    }
    guard !others.isEmpty else { return false }
    let ids = Set(others.map(\.workflowInstanceId))
    // Unlike upstream: two that began in the same millisecond do not both go on.
    return try await register.registrations(rid: own.rid).contains {
      ids.contains($0.workflowInstanceId)
        && ($0.createdAt, $0.workflowInstanceId) < (own.createdAt, own.workflowInstanceId)
    }
  }
}
