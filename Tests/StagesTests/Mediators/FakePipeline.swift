import JSON
import Registration
import StageKit

@testable import Stages

/// Runs registrations of births and changes again, and takes the outcome of a birth away as a replay does.
struct FakePipeline: PipelineEntrance {
  let world: MediatorWorld

  func runAgain(_ rid: String, by author: String, reason: String, trace: TraceId?) async throws -> RunAgain {
    try world.step { state in
      guard state.runsAgain == .begun else { return state.runsAgain }
      if state.registrations?[rid]?.statusCode == .failed,
        state.records["mosip-mediator|rids|\(rid)"]?.document["change"]?.bool == true
      {
        state.registrations?[rid]?.statusCode = .processing
        state.ranAgain.append(rid)
        state.ranAgainIn.append(trace)
        return .begun
      }
      let births = state.records.filter { $0.key.hasPrefix("mosip-mediator|birth_transactions|") }
      guard let place = births.first(where: { $0.value.document["rid"]?.string == rid })?.key,
        state.records[place]?.document["outcome"] != nil
      else { return .notNeeded }
      state.records[place]?.document["outcome"] = nil
      state.records[place]?.version += 1
      state.registrations?[rid]?.statusCode = .processing
      state.ranAgain.append(rid)
      state.ranAgainIn.append(trace)
      return .begun
    }
  }

  func conclude(
    _ message: Message, at stage: String, _ verdict: Verdict, opening registration: RegistrationOpening?
  ) async throws -> Bool { throw UnusedByMediators.NotNeeded() }
}
