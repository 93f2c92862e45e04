import Routing

extension StageDirectory {
  /// Upstream's stages and ours; those with a `stage.yaml` are run.
  public init(_ files: [StageDefinition]) {
    self = StageDirectory.registrationProcessor
      .adding(
        files.map {
          StageDirectory.Entry(
            $0.name, topicPrefix: $0.topicPrefix, isOfPipeline: StageDirectory.registrationProcessor[$0.name]?.isOfPipeline ?? false
          )
        }
      )
      .running(Set(files.map(\.name)))
  }
}
