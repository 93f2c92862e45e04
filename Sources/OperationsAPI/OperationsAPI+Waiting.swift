import HTTP
import JSON
import Operations
import Routing

extension OperationsAPI {
  /// Registrations that wait.
  var waiting: [Endpoint] {
    [
      read("/regproc/v1/waiting") { request, connection in
        let stage = Self.query(request, "stage")
        return [
          "counts": .array(try Waiting.counts(stage: stage, on: connection)),
          "rows": .array(try Waiting.list(stage: stage, limit: try Self.limit(request), on: connection)),
        ]
      },
      change("POST", "/regproc/v1/waiting/{rid}/resume") { request, _, who, connection in
        try Waiting.resume(request.parameters["rid"] ?? "", by: who, on: connection)
      },
    ]
  }

  /// What operators hold.
  var pauses: [Endpoint] {
    let routes = access.routes
    return [
      read("/regproc/v1/pauses") { _, connection in .array(try Pausing.list(on: connection)) },
      change("POST", "/regproc/v1/pauses/{what}") { request, _, who, connection in
        let stages = Set(routes().flows.flatMap { $0.stages.map(\.name.value) })
        return try Pausing.pause(request.parameters["what"] ?? "", stages: stages, by: who, on: connection).json
      },
      change("POST", "/regproc/v1/pauses/{what}/resume") { request, _, who, connection in
        try Pausing.resume(request.parameters["what"] ?? "", by: who, on: connection).json
      },
    ]
  }
}
