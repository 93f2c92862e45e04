import HTTP
import JSON
import Operations
import StageRuntime
import System

extension OperationsAPI {
  /// Dead letters: what no stage could take, and what a subscriber refused.
  var deadLetters: [Endpoint] {
    [
      read(
        "/regproc/v1/dead-letters", "lists what no stage could take, and what a subscriber refused",
        query: [
          "stage": "of this stage", "all": "true: also those that were replayed or dropped", "limit": "how many rows (default: 50)",
        ],
        shape: Self.counted
      ) { request, connection in
        let stage = Self.query(request, "stage")
        return [
          "counts": .array(try DeadLetters.counts(stage: stage, on: connection)),
          "rows": .array(
            try DeadLetters.list(
              stage: stage, all: Self.query(request, "all") == "true", limit: try Self.limit(request), on: connection)),
        ]
      },
      read("/regproc/v1/dead-letters/{id}", "shows a dead letter, its record masked", shape: Self.object) { request, connection in
        try DeadLetters.show(request.parameters["id"] ?? "", on: connection)
      },
      change(
        "POST", "/regproc/v1/dead-letters/{id}/reveal", "shows a dead letter with its record as it is", shape: Self.object,
        admission: access.reveal
      ) { request, _, who, connection in
        // Who looked is noted.
        var who = who
        who.mayReveal = true
        return try DeadLetters.show(request.parameters["id"] ?? "", reveal: true, by: who, on: connection)
      },
      change(
        "POST", "/regproc/v1/dead-letters/{id}/replay", "has a dead letter taken again, once",
        body: ["edited": JSONShape.text("the record, edited, in Base64"), "dryRun": JSONShape.flag()], shape: Self.object,
        maxBody: 2 << 20
      ) { request, body, who, connection in
        var edited: [UInt8]?
        if let given = body["edited"], !given.isNull {
          guard let bytes = given.string.flatMap({ Encoding.bytes(base64: $0) }) else {
            throw OperationError(.badInput, "bad-body", "\"edited\" must be the bytes of the record in Base64")
          }
          edited = bytes
        }
        return try DeadLetters.replay(
          request.parameters["id"] ?? "", edited: edited, isDryRun: body["dryRun"]?.bool ?? false, by: who, with: access.replay,
          on: connection
        ).json
      },
      change("POST", "/regproc/v1/dead-letters/{id}/drop", "takes a dead letter off the list", shape: Self.object) {
        request, _, who, connection in
        let id = request.parameters["id"] ?? ""
        try DeadLetters.drop([id], by: who, on: connection)
        return ["id": .string(id), "state": "dropped"]
      },
    ]
  }
}
