import HTTP
import JSON
import Operations
import Postgres
import StageRuntime
import System

/// Running registrations again, one or many, and what is held.
extension OperationsAPI {
  var replayer: Replays { Replays(access.replay, limits: access.replays) }

  var replays: [Endpoint] {
    [
      change(
        "POST", "/regproc/v1/registrations/{name}/replay", "runs a registration again, or has a change worked on or told again",
        body: ["from": JSONShape.text("the stage to begin at"), "force": JSONShape.flag(), "dryRun": JSONShape.flag()],
        shape: Self.object
      ) { request, body, who, connection in
        try replayer.start(
          request.parameters["name"] ?? "", from: Self.word(body, "from"), by: who, isForced: Self.flag(body, "force"),
          isDryRun: Self.flag(body, "dryRun"), on: connection
        ).json
      },
      change(
        "POST", "/regproc/v1/replays", "runs many registrations again, as a job",
        body: [
          "rids": JSONShape.list(JSONShape.text()), "selection": JSONShape.object([:], "filters, by the names of the list's"),
          "process": JSONShape.text(), "from": JSONShape.text(), "force": JSONShape.flag(), "dryRun": JSONShape.flag(),
          "rate": JSONShape.integer("a second", from: 1), "limit": JSONShape.integer(from: 1), "skipBad": JSONShape.flag(),
          "yes": JSONShape.flag("every registration there is, where nothing is selected"),
        ], shape: Self.object, maxBody: 32 << 20
      ) { _, body, who, connection in
        let isDryRun = try Self.flag(body, "dryRun")
        let made = try replayer.make(try self.request(body), by: who, isDryRun: isDryRun, on: connection)
        guard let id = made.id else { return made.json }
        var json = try ReplayJob.read(id, on: connection).json
        json["standing"] = made.json["standing"]
        json["leftOut"] = made.json["leftOut"]
        return json
      },
      read("/regproc/v1/replays", "lists replay jobs", query: ["limit": "how many (default: 50)"], shape: Self.rows) {
        request, connection in
        .array(try ReplayJob.list(limit: try Self.limit(request), on: connection).map(\.json))
      },
      read(
        "/regproc/v1/replays/{id}", "tells how far a replay job is, and what it refused",
        query: ["limit": "how many refused ones (default: 50)"], shape: Self.object
      ) { request, connection in
        let id = try Self.job(request)
        var json = try ReplayJob.read(id, on: connection).json
        json["refused"] = .array(try ReplayJob.refused(id, limit: try Self.limit(request), on: connection).map(\.json))
        return json
      },
      change("POST", "/regproc/v1/replays/{id}/cancel", "ends a replay job; what it started goes on", shape: Self.object) {
        request, _, who, connection in
        let id = try Self.job(request)
        try ReplayJob.cancel(id, by: who, on: connection)
        return try ReplayJob.read(id, on: connection).json
      },
      read(
        "/regproc/v1/held", "lists what nobody runs again until a person says so", query: ["limit": "how many (default: 50)"],
        shape: Self.rows
      ) { request, connection in
        .array(try Held.list(limit: try Self.limit(request), on: connection))
      },
      change("POST", "/regproc/v1/held/{name}/release", "releases what is held", shape: Self.object) {
        request, _, who, connection in
        try Held.release(request.parameters["name"] ?? "", by: who, on: connection).json
      },
    ]
  }

  static func job(_ request: Request) throws(OperationError) -> Int {
    guard let id = Int(request.parameters["id"] ?? "") else {
      throw OperationError(.badInput, "bad-job", "the number of a job is a whole number")
    }
    return id
  }

  /// Refuses a body with a member that means nothing, beside `reason` and `author`: a misspelt dry run would be none.
  static func refuseStrangers(_ body: JSONValue, _ members: [String]) throws(OperationError) {
    let known = members + ["reason", "author"]
    guard let stranger = body.object?.first(where: { !known.contains($0.key) })?.key else { return }
    throw OperationError(
      .badInput, "bad-body",
      "the body may not have \(VisibleText.of(String(stranger.prefix(64)))); it may have \(known.joined(separator: ", "))")
  }

  /// What a body asks for: `rids`, or `selection` with the names of the command's options.
  private func request(_ body: JSONValue) throws -> ReplayRequest {
    try Self.refuseStrangers(
      body, ["rids", "selection", "process", "from", "force", "dryRun", "rate", "limit", "skipBad", "yes"])
    let what: ReplayRequest.What
    switch (body["rids"], body["selection"]) {
    case (.some(let rids), nil):
      guard let list = rids.array, list.allSatisfy({ $0.string != nil }) else {
        throw OperationError(.badInput, "bad-body", "rids must be a list of texts")
      }
      what = .names(list.enumerated().map { ReplayRequest.Name(line: $0.offset + 1, text: $0.element.string ?? "") })
    case (nil, .some(let selection)): what = .selection(try self.selection(selection))
    default: throw OperationError(.badInput, "bad-body", "give either rids or selection")
    }
    var rate: Double?
    if let given = body["rate"], !given.isNull {
      guard let number = given.double ?? given.string.flatMap(ReplayRequest.rate), number > 0 else {
        throw OperationError(
          .badInput, "bad-rate", "rate must be more than 0: a number for each second, or a text such as 50/s or 30/m")
      }
      rate = number
    }
    var limit: Int?
    if let given = body["limit"], !given.isNull {
      guard let number = given.int else { throw OperationError(.badInput, "bad-body", "limit must be a whole number") }
      limit = number
    }
    return ReplayRequest(
      what, process: try Self.word(body, "process"), from: try Self.word(body, "from"), isForced: try Self.flag(body, "force"),
      rate: rate, limit: limit, skipsBad: try Self.flag(body, "skipBad"), meansEverything: try Self.flag(body, "yes"))
  }

  /// A member that is true or false, and nothing that only looks so: a dry run that is none would be worse than a refusal.
  static func flag(_ body: JSONValue, _ name: String) throws(OperationError) -> Bool {
    guard let value = body[name], !value.isNull else { return false }
    guard let flag = value.bool else { throw OperationError(.badInput, "bad-body", "\(name) must be true or false") }
    return flag
  }

  static func word(_ body: JSONValue, _ name: String) throws(OperationError) -> String? {
    guard let value = body[name], !value.isNull else { return nil }
    guard let word = value.string else { throw OperationError(.badInput, "bad-body", "\(name) must be a text") }
    return word
  }

  private func selection(_ value: JSONValue) throws -> Selection {
    guard let filters = value.object, filters.allSatisfy({ $0.value.string != nil }) else {
      throw OperationError(.badInput, "bad-body", "selection must be an object of texts")
    }
    if let stranger = filters.first(where: { !Selection.names.contains($0.key) })?.key {
      throw OperationError(
        .badInput, "bad-body",
        "there is no filter \(VisibleText.of(String(stranger.prefix(64)))); there are \(Selection.names.joined(separator: ", "))")
    }
    let flows = access.routes().flows
    let stages = Set(flows.flatMap { $0.stages.map(\.name.value) })
    return try Selection(stages: stages.sorted(), processes: flows.map(\.process.value)) { filters[$0]?.string }
  }
}
