import Postgres
import StageKit

/// The pipeline that a demo sends to: one in this process, or one that runs elsewhere.
struct DemoTarget: Sendable {
  /// The database in which the OpenCRVS-side mediator keeps events, and stages their hops.
  let pool: Pool
  /// What opens the tokens that the mediator keeps; nil when its keys are not here.
  let envelopeKeys: (any EnvelopeKeys)?
  /// Where events go: `/webhooks`, or what an OpenCRVS that asks has for its country's base URL; nil while the pipeline takes none yet.
  let webhooks: @Sendable () -> String?
}
