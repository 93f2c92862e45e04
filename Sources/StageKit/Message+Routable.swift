import Registration
import Routing

/// What route conditions see of a message.
extension Message: Routable {
  /// The value of a field by its name on the wire.
  public func field(_ name: String) -> FieldValue {
    guard let path = Path(name) else { return .absent }
    return switch value(at: path) {
    case .absent: .absent
    case .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .text(let value): .text(value)
    }
  }
}

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
