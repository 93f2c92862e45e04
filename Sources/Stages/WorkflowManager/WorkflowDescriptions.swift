import HTTP
import JSON

/// What the workflow manager's endpoints are for, as their OpenAPI description tells it. Paths and bodies are MOSIP's.
enum WorkflowDescriptions {
  private typealias Shape = JSONShape
  private static let tag = "Workflow manager (MOSIP's registration processor)"

  private static func body(_ kind: WorkflowRequestKind, _ request: JSONValue) -> EndpointDescription.Content {
    .json(
      Shape.object(
        [
          "id": .object(["const": .string(kind.id)]), "version": .object(["const": .string(kind.version)]),
          "requesttime": Shape.text("yyyy-MM-ddTHH:mm:ss.SSSZ"), "request": request,
        ], required: ["id", "version", "requesttime", "request"]))
  }

  /// What stages said.
  static func transactions(namesLanguage: Bool) -> EndpointDescription {
    var segments = ["rid": "the registration id"]
    if namesLanguage { segments["langCode"] = "three letters, as older callers give them; comments are in English" }
    return EndpointDescription(
      namesLanguage ? "tells what stages said of a registration, for older callers" : "tells what stages said of a registration",
      details: "The newest \(WorkflowDesk.mostTransactions), the oldest of them first.", tag: tag, segments: segments,
      answers: MosipDescriptions.answers(
        "the transactions",
        Shape.list(
          Shape.object([
            "id": Shape.text(), "registrationId": Shape.text(), "transactionTypeCode": Shape.text(),
            "parentTransactionId": Shape.orNull(Shape.text()), "statusCode": Shape.text(),
            "subStatusCode": Shape.orNull(Shape.text()), "statusComment": Shape.orNull(Shape.text()),
            "createdDateTimes": Shape.text("in UTC, without a Z"),
          ]))))
  }

  static let search = EndpointDescription(
    "finds registrations by process, status and registration id",
    details: "Counting stops at 10,000. `pageStart` is the number of a page, 0 for the first.", tag: tag,
    body: body(
      .search,
      Shape.object(
        [
          "filters": Shape.list(
            Shape.object(
              ["columnName": Shape.text("`workflowType`, `statusCode` or `regId`"), "value": Shape.text()],
              required: ["columnName", "value"])),
          "sort": Shape.orNull(
            Shape.object([
              "sortField": Shape.text("`createDateTime`, `updateDateTime` or `resumeTimestamp`"),
              "sortType": Shape.text("`asc` or `desc`"),
            ])),
          "pagination": Shape.object(["pageStart": Shape.integer(), "pageFetch": Shape.integer("10 without it")]),
        ], required: ["filters", "pagination"])),
    answers: MosipDescriptions.answers(
      "a page of them",
      Shape.object([
        "fromRecord": Shape.integer(), "toRecord": Shape.integer(), "totalRecord": Shape.integer(),
        "data": Shape.list(Shape.anything),
      ])))

  static let action = EndpointDescription(
    "has paused registrations go on, begin again or end",
    details: "All of them or none. The same action once more changes nothing.",
    tag: tag,
    body: body(
      .action,
      Shape.object(
        [
          "workflowIds": Shape.list(Shape.text("a registration id")),
          "workflowAction": Shape.text("`RESUME_PROCESSING`, `RESUME_FROM_BEGINNING` or `STOP_PROCESSING`"),
        ], required: ["workflowIds", "workflowAction"])),
    answers: MosipDescriptions.answers("it is done, or will be at once", Shape.object(["statusMessage": Shape.text()])))

  static let instance = EndpointDescription(
    "has a packet go through its flow that the packet manager has already",
    details: "One for each registration id, process and request for additional information.", tag: tag,
    body: body(
      .instance,
      Shape.object(
        [
          "registrationId": Shape.text(), "process": Shape.text(), "source": Shape.orNull(Shape.text()),
          "additionalInfoReqId": Shape.orNull(Shape.text()),
          "notificationInfo": Shape.orNull(
            Shape.object(["name": Shape.text(), "phone": Shape.text(), "email": Shape.text()])),
        ], required: ["registrationId", "process"])),
    answers: MosipDescriptions.answers("it is on its way", Shape.object(["workflowInstanceId": Shape.text()])))
}
