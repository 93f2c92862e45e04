import HTTP
import JSON
import Operations
import Postgres
import System

/// What is done from the topics when the journal is lost: as jobs, for it takes minutes.
extension OperationsAPI {
  private static let since = "records since then: a moment, a day, or a span such as 2h (default: \(LogTopics.defaultSpan))"

  var logJobs: [Endpoint] {
    [
      change(
        "POST", "/regproc/v1/registrations/{name}/replay-from-log",
        "runs a RID again from its newest record on Kafka's topics, as a job: when the journal lost it",
        body: [
          "since": JSONShape.text(Self.since), "force": JSONShape.flag("also one that the journal knows"),
          "dryRun": JSONShape.flag(),
        ],
        shape: Self.object
      ) { request, body, who, connection in
        try Self.refuseStrangers(body, ["since", "force", "dryRun"])
        let kind = LogJob.Kind.replay(rid: request.parameters["name"] ?? "", isForced: try Self.flag(body, "force"))
        return try make(kind, body, who, connection)
      },
      change(
        "POST", "/regproc/v1/journal/rebuild", "fills a lost journal with what Kafka's topics tell, as a job",
        body: ["since": JSONShape.text(Self.since), "dryRun": JSONShape.flag()], shape: Self.object
      ) { _, body, who, connection in
        try Self.refuseStrangers(body, ["since", "dryRun"])
        return try make(.rebuild, body, who, connection)
      },
      read(
        "/regproc/v1/log-jobs", "lists jobs that read Kafka's topics: replays from them and rebuilds",
        query: ["limit": "how many (default: 50)"], shape: Self.rows
      ) { request, connection in
        .array(try LogJob.list(limit: try Self.limit(request), on: connection).map(\.json))
      },
      read("/regproc/v1/log-jobs/{id}", "tells how far such a job is, and what came of it", shape: Self.object) {
        request, connection in
        try LogJob.read(try Self.job(request), on: connection).json
      },
      change(
        "POST", "/regproc/v1/log-jobs/{id}/cancel", "ends such a job; what a rebuild wrote before stays", shape: Self.object
      ) { request, _, who, connection in
        let id = try Self.job(request)
        try LogJob.cancel(id, by: who, on: connection)
        return try LogJob.read(id, on: connection).json
      },
    ]
  }

  private func make(_ kind: LogJob.Kind, _ body: JSONValue, _ who: Operator, _ connection: Connection) throws -> JSONValue {
    if let withoutTopics { throw withoutTopics }
    let since = try TimeWords.moment(try Self.word(body, "since") ?? LogTopics.defaultSpan, named: "since")
    return try replayer.make(kind, since: since, by: who, isDryRun: try Self.flag(body, "dryRun"), on: connection).json
  }
}
