import Registration
import StageKit

/// Makes the draft of an identity the identity (docs/upstream/stages.md#8-finalization).
public struct Finalization: StagePlugin {
  public static let spec = PluginSpec(
    name: "finalization", summary: "publishes the identity's draft: from here on the UIN is valid and has a VID")

  public init(settings: StageSettings) throws {}

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    let identities = context.services.identities
    let success = Verdict.passed("RPR-FIN-SUCCESS-001", "idrepo draft was published  successfuly")
    do {
      if try await identities.publishDraft(rid: message.rid, idempotencyKey: context.idempotencyKey(message)) != nil {
        return success
      }
      // Unlike upstream: a draft that is gone because it was published (the answer was lost, or the stage before changed the
      // identity itself) is no failure.
      if try await identities.identity(.rid(message.rid)) != nil { return success }
      return .error(
        "RPR-FIN-FAILED-002", "Draft request is unavaialble in id-repo draft repository.", status: .failed)
    } catch let error as ServiceError {
      if error.code == "IDR-IDS-003" { return .retry("RPR-FIN-FAILED-004", error.description) }
      if error.isRetriable || error.kind == .conflict { throw error }
      // Unlike upstream: the draft is kept. Thrown away, a replay would begin again with an empty one.
      return .error("RPR-FIN-FAILED-003", error.description, status: .failed)
    }
  }
}
