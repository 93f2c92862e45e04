import JSON
import Registration
import StageKit
import System

/// What the pipeline keeps of a packet for statistics: nothing that names a person
/// (docs/upstream/bus-and-routes.md#74-what-the-workflow-engine-does).
enum AnonymousProfile {
  static func encoded(_ message: Message, at stage: StageDefinition, now: Instant) -> [UInt8] {
    func tag(_ name: String) -> JSONValue {
      guard let value = message.tag(name), value != "--TAG_VALUE_NOT_AVAILABLE--" else { return .null }
      return .string(value)
    }
    let value: JSONValue = .object([
      "processName": .string(message.process), "processStage": .string(stage.className),
      "date": .string(String(now.iso.prefix(10))), "ageGroup": tag("AGE_GROUP"), "gender": tag("ID_OBJECT-gender"),
      "channel": .null, "exceptions": .array([]), "biometricInfo": .array([]),
    ])
    return value.encoded()
  }
}
