import Routing

extension RouteFile {
  /// The key of a message that a packet's stage gets. A stage that something else runs gets upstream's key the first time, and one of its own
  /// for each further hop: MOSIP's stages in batch mode drop, without a word, a record whose key the same process has seen within 15 minutes,
  /// and upstream's keys are the same in every run. The same hop keeps its key, so what is sent twice by accident is still dropped there.
  func key(_ upstreams: String, to stage: String, of process: String, hop: HopId, isFirst: Bool) -> String {
    isFirst || !runsElsewhere(stage, of: process) ? upstreams : upstreams + "_" + hop.text
  }
}
