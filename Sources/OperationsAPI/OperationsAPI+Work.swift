import HTTP
import JSON
import Operations

extension OperationsAPI {
  /// The durable work of stages.
  var work: [Endpoint] {
    [
      read(
        "/regproc/v1/work", "lists the durable work of stages",
        query: [
          "key": "all of this key, instead of a list", "stage": "of this stage", "kind": "of this kind",
          "state": "open, given-up ...",
          "older-than": "a span such as 2h", "limit": "how many rows (default: 50)",
        ], shape: Self.counted
      ) { request, connection in
        // A key may have slashes, which a path cannot hold.
        if let key = Self.query(request, "key") { return ["rows": .array(try Work.show(key, on: connection))] }
        let filter = try Self.workFilter(request)
        return [
          "counts": .array(try Work.counts(filter, on: connection)),
          "rows": .array(try Work.list(filter, limit: try Self.limit(request), on: connection)),
        ]
      },
      change(
        "POST", "/regproc/v1/work/retry", "begins pieces from their first try, now",
        body: ["keys": JSONShape.list(JSONShape.text())], shape: Self.rows
      ) { _, body, who, connection in
        .array(try Work.retry(try Self.keys(body), by: who, on: connection))
      },
      change(
        "POST", "/regproc/v1/work/give-up", "ends pieces as given up", body: ["keys": JSONShape.list(JSONShape.text())],
        shape: Self.rows
      ) { _, body, who, connection in
        .array(try Work.giveUp(try Self.keys(body), by: who, on: connection))
      },
    ]
  }

  private static func workFilter(_ request: Request) throws -> Work.Filter {
    var filter = Work.Filter(stage: query(request, "stage"), kind: query(request, "kind"))
    if let text = query(request, "state") {
      guard let state = Work.State(rawValue: text) else {
        throw OperationError(
          .badInput, "bad-state", "state must be one of \(Work.State.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      filter.state = state
    }
    filter.olderThan = try query(request, "older-than").map { try TimeWords.span($0, named: "older-than") }
    return filter
  }

  private static func keys(_ body: JSONValue) throws -> [String] {
    guard let keys = body["keys"]?.array?.map(\.string), !keys.isEmpty, keys.count <= 1000, !keys.contains(nil) else {
      throw OperationError(.badInput, "bad-body", "\"keys\" must be a list of 1 to 1000 texts")
    }
    return keys.compactMap(\.self)
  }
}
