import HTTP
import JSON
import Operations

extension OperationsAPI {
  /// Which registrations there are, and all of one.
  var registrations: [Endpoint] {
    [
      read(
        "/regproc/v1/registrations", "lists registrations: counts, then where each stands, since when and why", query: Self.filters,
        shape: Self.counted
      ) { request, connection in
        try Self.refuseUnknown(request, Selection.names + ["limit", "after"])
        return try RegistrationList.read(
          try selection(request), limit: try Self.limit(request), after: Self.query(request, "after"), on: connection
        ).json
      },
      read("/regproc/v1/journey/{name}", "tells all of a registration, by its RID, AID or registration number", shape: Self.object)
      { request, connection in
        let name = request.parameters["name"] ?? ""
        guard let view = try RegistrationView.read(name, on: connection) else {
          throw OperationError(.notFound, "unknown-rid", "no stage and no mediator has ever seen it")
        }
        return view.json
      },
      change(
        "POST", "/regproc/v1/registrations/{name}/erase",
        "removes what can be removed of a registration and its changes, and tells what stays and why",
        body: ["dryRun": JSONShape.flag()], shape: Self.object
      ) { request, body, who, connection in
        try Erasure(ErasureAccounts(access.stages, environment: access.environment), objects: access.objects).erase(
          request.parameters["name"] ?? "", by: who, isDryRun: Self.flag(body, "dryRun"), on: connection
        ).json
      },
    ]
  }

  /// The filters of a query.
  func selection(_ request: Request) throws(OperationError) -> Selection {
    let routes = access.routes()
    return try Selection(stages: Selection.stages(of: routes), processes: routes.flows.map(\.process.value)) {
      Self.query(request, $0)
    }
  }

  /// Refuses a query with a name that means nothing: a filter that is misspelt would select too much.
  static func refuseUnknown(_ request: Request, _ names: [String]) throws(OperationError) {
    for (place, item) in request.query.enumerated() {
      guard names.contains(item.name) else {
        throw OperationError(.badInput, "bad-query", Selection.unknownName(item.name, names))
      }
      guard !request.query[..<place].contains(where: { $0.name == item.name }) else {
        throw OperationError(.badInput, "bad-query", "\(item.name) is given twice")
      }
    }
  }
}
