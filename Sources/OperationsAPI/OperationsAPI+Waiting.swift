import HTTP
import JSON
import Operations
import Routing

extension OperationsAPI {
  /// Registrations that wait.
  var waiting: [Endpoint] {
    [
      read(
        "/regproc/v1/waiting", "lists registrations that wait: for what, and when they are due",
        query: ["stage": "before this stage", "limit": "how many rows (default: 50)"], shape: Self.counted
      ) { request, connection in
        let stage = Self.query(request, "stage")
        return [
          "counts": .array(try Waiting.counts(stage: stage, on: connection)),
          "rows": .array(try Waiting.list(stage: stage, limit: try Self.limit(request), on: connection)),
        ]
      },
      change("POST", "/regproc/v1/waiting/{rid}/resume", "lets a registration that waits go on now", shape: Self.object) {
        request, _, who, connection in
        try Waiting.resume(request.parameters["rid"] ?? "", by: who, on: connection)
      },
    ]
  }

  /// What operators hold.
  var pauses: [Endpoint] {
    let routes = access.routes
    return [
      read("/regproc/v1/pauses", "lists what operators hold", shape: Self.rows) { _, connection in
        .array(try Pausing.list(on: connection))
      },
      change("POST", "/regproc/v1/pauses/{what}", "holds a stage, or `intake`", shape: Self.object) { request, _, who, connection in
        let stages = Set(routes().flows.flatMap { $0.stages.map(\.name.value) })
        return try Pausing.pause(request.parameters["what"] ?? "", stages: stages, by: who, on: connection).json
      },
      change("POST", "/regproc/v1/pauses/{what}/resume", "lets it go on", shape: Self.object) { request, _, who, connection in
        try Pausing.resume(request.parameters["what"] ?? "", by: who, on: connection).json
      },
    ]
  }
}
