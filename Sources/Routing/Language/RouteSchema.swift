import Registration
import JSON

/// The JSON Schema (draft 7) of route files, for editors. It is made from the names that the reader itself knows; what a
/// schema cannot say (reachability, totality, names of other stages) `RouteFile.read` checks.
public enum RouteSchema {
  /// Where the committed one is, from the root of the repository.
  public static let path = "deploy/schema/routes.schema.json"

  /// The schema as text. `stages` are offered as names; others are allowed, because a folder of stages may have more.
  public static func text(_ stages: StageDirectory = .registrationProcessor) -> String {
    String(decoding: schema(stages).encoded(pretty: true), as: UTF8.self) + "\n"
  }

  private static func schema(_ stages: StageDirectory) -> JSONValue {
    [
      "$schema": "http://json-schema.org/draft-07/schema#",
      "title": "regproc route file",
      "description": "For each process the stages in order, and where each verdict leads.",
      "type": "object",
      "required": ["version", "flows"],
      "additionalProperties": false,
      "properties": [
        "version": ["const": JSONValue(RouteFile.currentVersion)],
        "on": ref("verdicts", "For every flow without its own."),
        "foreign-stages": [
          "description": "Stages of others that no folder of stages knows.", "type": "object",
          "propertyNames": ref("topic"),
          "additionalProperties": [
            "anyOf": [
              ["type": "null"], object(["topic": ref("topic", "What its topics begin with; left out: the name.")]),
            ]
          ],
        ],
        "forwards": [
          "description": "Topics whose records are handed to a stage as they are.", "type": "object",
          "propertyNames": ref("topic"), "additionalProperties": ref("stage"),
        ],
        "flows": [
          "description": "The flow of each process, named as in reg_type.", "type": "object",
          "propertyNames": ["pattern": "^[A-Z0-9_]+$"], "additionalProperties": ref("flow"),
        ],
      ],
      "definitions": definitions(stages),
    ]
  }

  private static func definitions(_ stages: StageDirectory) -> JSONValue {
    let commands = WorkflowCommand.names.filter { WorkflowCommand(name: $0) != nil }
    let ways: JSONValue = ["anyOf": [ref("destinations"), object(["next": ref("branches")], required: ["next"])]]
    var unpassed: JSONObject = [:]
    for verdict in VerdictKind.unpassed { unpassed[verdict.rawValue] = ways }
    var stage: JSONObject = [
      "passed": ref("destinations", "Where passed messages go instead of the following entry."),
      "next": ref("branches", "Where passed messages go: the first branch that matches."),
      "also": ref("destinations", "After the destinations of every passed message."),
      "entry": ["description": "Messages may begin here, besides at the first stage.", "type": "boolean"],
      "runs": ["description": "Who runs the stage.", "enum": ["here", "elsewhere"]],
    ]
    for verdict in VerdictKind.unpassed { stage[verdict.rawValue] = ways }
    return [
      "flow": object(
        [
          "source": ["description": "The packet source.", "type": "string"],
          "on": ref("verdicts", "For every stage without its own."),
          "route": [
            "description": "The stages; a passed message goes to the following one unless its stage says otherwise.",
            "type": "array", "minItems": 1,
            "items": [
              "anyOf": [
                ref("stage"),
                [
                  "type": "object", "minProperties": 1, "maxProperties": 1,
                  "additionalProperties": ["anyOf": [["type": "null"], object(stage)]],
                ],
              ]
            ],
          ],
          "omitted": ["description": "Stages left out on purpose.", "type": "array", "items": ref("stage")],
          "pause": ["description": "Asked before any branch.", "type": "array", "items": ref("pause")],
          "pin": [
            "description": "Packets finish on the version of this file that they began with.", "type": "boolean",
          ],
        ], required: ["route"]),
      "verdicts": object(unpassed),
      "stage": ["anyOf": [["enum": .array(stages.names.map(JSONValue.string))], ref("topic")]],
      "topic": ["type": "string", "pattern": "^[A-Za-z0-9._-]{1,200}$"],
      "destination": [
        "anyOf": [
          ["enum": .array(commands.map(JSONValue.string))], ref("stage"),
          object(
            [
              "pause-and-request-additional-info": object(
                ["process": ["type": "string"], "pause-for": ref("time")], required: ["process", "pause-for"])
            ], required: ["pause-and-request-additional-info"]),
        ]
      ],
      "destinations": [
        "anyOf": [ref("destination"), ["type": "array", "minItems": 1, "items": ref("destination")]]
      ],
      "branches": [
        "type": "array", "minItems": 1,
        "items": object(["when": ref("condition"), "to": ref("destinations")], required: ["to"]),
      ],
      "condition": condition,
      "comparison": [
        "anyOf": [
          ["type": ["string", "boolean", "integer", "null"]],
          ["type": "array", "minItems": 1, "items": ["type": ["string", "boolean", "integer", "null"]]],
          [
            "type": "object", "minProperties": 1, "additionalProperties": false,
            "properties": ["not": ref("value"), "present": ["type": "boolean"]],
          ],
        ]
      ],
      "value": [
        "anyOf": [
          ["type": ["string", "boolean", "integer", "null"]],
          ["type": "array", "minItems": 1, "items": ["type": ["string", "boolean", "integer", "null"]]],
        ]
      ],
      "pause": object(
        [
          "id": ["type": "string"], "when": ref("condition"), "for": ref("time"),
          "after": [
            "description": "Left out: after every stage.",
            "anyOf": [ref("stage"), ["type": "array", "items": ref("stage")]],
          ],
          "then": ["enum": .array(Pause.Resume.allCases.map { .string($0.rawValue) })],
          "description": ["type": "string"],
        ], required: ["id", "when", "for", "then"]),
      "time": [
        "description": "Seconds, or a number with s, m, h or d.",
        "anyOf": [["type": "integer", "minimum": 1], ["type": "string", "pattern": "^[0-9]+[smhd]?$"]],
      ],
    ]
  }

  private static var condition: JSONValue {
    var properties: JSONValue = [
      "all": ["type": "array", "minItems": 1, "items": ref("condition")],
      "any": ["type": "array", "minItems": 1, "items": ref("condition")],
      "not": ref("condition"),
    ]
    for field in MessageField.allCases { properties[field.rawValue] = ref("comparison") }
    return [
      "description": "All pairs must hold; tags.NAME is a tag, everything else a field of the message.",
      "type": "object", "minProperties": 1, "additionalProperties": false, "properties": properties,
      "patternProperties": ["^tags\\..+$": ref("comparison")],
    ]
  }

  private static func ref(_ name: String, _ description: String? = nil) -> JSONValue {
    let link: JSONValue = ["$ref": .string("#/definitions/" + name)]
    // Draft 7 ignores whatever stands beside $ref.
    return description.map { ["description": .string($0), "allOf": [link]] } ?? link
  }

  private static func object(_ properties: JSONObject, required: [String] = []) -> JSONValue {
    var object: JSONValue = [
      "type": "object", "additionalProperties": false, "properties": .object(properties),
    ]
    if !required.isEmpty { object["required"] = .array(required.map(JSONValue.string)) }
    return object
  }
}
