import Registration
import JSON

/// The JSON Schema (draft 7) of route files, for editors. It is made from the keys that the reader itself knows; what a
/// schema cannot say (reachability, totality, names of other stages) `RouteFile.read` checks.
public enum RouteSchema {
  /// Where the committed one is, from the root of the repository.
  public static let path = "deploy/schema/routes.schema.json"

  /// The schema as text. `stages` are offered as names; others are allowed, because a folder of stages may have more.
  public static func text(_ stages: StageDirectory = .registrationProcessor) -> String {
    String(decoding: schema(stages).encoded(pretty: true), as: UTF8.self) + "\n"
  }

  private static func schema(_ stages: StageDirectory) -> JSONValue {
    var file = object(FileKey.self)
    file["$schema"] = "http://json-schema.org/draft-07/schema#"
    file["title"] = "regproc route file"
    file["description"] = "For each process the stages in order, and where each verdict leads."
    file["definitions"] = definitions(stages)
    return file
  }

  private static func definitions(_ stages: StageDirectory) -> JSONValue {
    let commands = WorkflowCommand.names.filter { WorkflowCommand(name: $0) != nil }
    let scalar: JSONValue = ["type": ["string", "boolean", "integer", "null"]]
    let values: [JSONValue] = [scalar, list(scalar, isFilled: true)]
    return [
      "flow": object(FlowKey.self),
      "verdicts": object(VerdictKey.self),
      "ways": ["anyOf": [ref("destinations"), object(WaysKey.self)]],
      "stage": ["anyOf": [["enum": .array(stages.names.map(JSONValue.string))], ref("topic")]],
      "topic": ["type": "string", "pattern": "^[A-Za-z0-9._-]{1,200}$"],
      "destination": [
        "anyOf": [
          ["enum": .array(commands.map(JSONValue.string))], ref("stage"),
          object([WorkflowCommand.additionalInfo: object(AdditionalInfoKey.self)], required: [WorkflowCommand.additionalInfo]),
        ]
      ],
      "destinations": ["anyOf": [ref("destination"), list(ref("destination"), isFilled: true)]],
      "branches": list(object(BranchKey.self), isFilled: true),
      "condition": condition,
      "comparison": ["anyOf": .array(values + [filled(object(ComparisonKey.self))])],
      "value": ["anyOf": .array(values)],
      "pause": object(PauseKey.self),
      "time": ["anyOf": [["type": "integer", "minimum": 1], ["type": "string", "pattern": "^[0-9]+[smhd]?$"]]],
    ]
  }

  private static var condition: JSONValue {
    var properties = properties(ConditionKey.self)
    for field in MessageField.allCases { properties[field.rawValue] = described(ref("comparison"), field.meaning) }
    var condition = filled(object(properties))
    condition["description"] = "All pairs must hold; tags.NAME is a tag, everything else a field of the message."
    condition["patternProperties"] = ["^tags\\..+$": ref("comparison")]
    return condition
  }

  /// What values of a kind must be.
  private static func schema(_ value: RouteValue) -> JSONValue {
    switch value {
    case .version: ["const": JSONValue(RouteFile.currentVersion)]
    case .text: ["type": "string"]
    case .flag: ["type": "boolean"]
    case .choice(let words): ["enum": .array(words.map(JSONValue.string))]
    case .time: ref("time")
    case .topic: ref("topic")
    case .condition: ref("condition")
    case .conditions: list(ref("condition"), isFilled: true)
    case .comparand: ref("value")
    case .destinations: ref("destinations")
    case .ways: ref("ways")
    case .branches: ref("branches")
    case .stages: list(ref("stage"))
    case .stageOrStages: ["anyOf": [ref("stage"), list(ref("stage"))]]
    case .route: list(["anyOf": [ref("stage"), named(nullOr(object(StageKey.self)), only: 1)]], isFilled: true)
    case .verdicts: ref("verdicts")
    case .pauses: list(ref("pause"))
    case .foreignStages: named(nullOr(object(ForeignStageKey.self)), by: ref("topic"))
    case .forwards: named(ref("stage"), by: ref("topic"))
    case .flows: named(ref("flow"), by: ["pattern": "^[A-Z0-9_]+$"])
    case .ofCases: [:]
    }
  }

  private static func properties<Key: RouteKey>(_ keys: Key.Type) -> JSONObject {
    keys.allCases.reduce(into: [:]) { $0[$1.rawValue] = described(schema($1.says.value), $1.says.meaning) }
  }

  private static func object<Key: RouteKey>(_ keys: Key.Type) -> JSONValue {
    object(properties(keys), required: keys.allCases.filter(\.says.isRequired).map(\.rawValue))
  }

  private static func object(_ properties: JSONObject, required: [String] = []) -> JSONValue {
    var object: JSONValue = ["type": "object", "additionalProperties": false, "properties": .object(properties)]
    if !required.isEmpty { object["required"] = .array(required.map(JSONValue.string)) }
    return object
  }

  /// An object that is not empty.
  private static func filled(_ object: JSONValue) -> JSONValue {
    var object = object
    object["minProperties"] = 1
    return object
  }

  /// An object whose keys are names.
  private static func named(_ value: JSONValue, by names: JSONValue? = nil, only count: Int? = nil) -> JSONValue {
    var object: JSONValue = ["type": "object", "additionalProperties": value]
    if let names { object["propertyNames"] = names }
    if let count {
      object["minProperties"] = JSONValue(count)
      object["maxProperties"] = JSONValue(count)
    }
    return object
  }

  private static func nullOr(_ schema: JSONValue) -> JSONValue { ["anyOf": [["type": "null"], schema]] }

  private static func list(_ items: JSONValue, isFilled: Bool = false) -> JSONValue {
    var list: JSONValue = ["type": "array", "items": items]
    if isFilled { list["minItems"] = 1 }
    return list
  }

  private static func ref(_ name: String) -> JSONValue { ["$ref": .string("#/definitions/" + name)] }

  private static func described(_ schema: JSONValue, _ description: String) -> JSONValue {
    // Draft 7 ignores whatever stands beside $ref.
    var out: JSONValue = schema["$ref"] == nil ? schema : ["allOf": [schema]]
    out["description"] = .string(description)
    return out
  }
}
