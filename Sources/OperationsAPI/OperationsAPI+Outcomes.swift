import HTTP
import JSON
import Operations
import System

extension OperationsAPI {
  /// What came of events.
  var outcomes: [Endpoint] {
    [
      ask(
        "/regproc/v1/reconciliations", "tells what came of the events of registration numbers",
        body: [
          "numbers": JSONShape.list(JSONShape.text(), "at most 1000"),
          "kind": JSONShape.oneOf(Selection.kinds, "of this kind only"),
        ],
        shape: Self.rows
      ) { body, connection in
        guard let numbers = body["numbers"]?.array?.map(\.string), !numbers.isEmpty, numbers.count <= Reconciliation.batch,
          !numbers.contains(nil)
        else {
          throw OperationError(.badInput, "bad-body", "\"numbers\" must be a list of 1 to \(Reconciliation.batch) texts")
        }
        let kind = body["kind"]?.string
        guard kind.map(Selection.kinds.contains) ?? true else {
          throw OperationError(.badInput, "bad-kind", "kind must be one of \(Selection.kinds.joined(separator: ", "))")
        }
        return .array(try Reconciliation.outcomes(of: numbers.compactMap(\.self), kind: kind, on: connection).map(\.json))
      },
      read(
        "/regproc/v1/reports/{day}",
        "tells what came of the events that arrived on a day (UTC), and which of its births look like one child under two numbers",
        shape: Self.object
      ) { request, connection in
        let day = try DayReport.day(request.parameters["day"] ?? "")
        return try DayReport.read(from: day, to: day.advanced(bySeconds: 86_400), on: connection).json
      },
    ]
  }
}
