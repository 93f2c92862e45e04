import HTTP
import JSON

/// What the packet receiver's endpoints are for, as their OpenAPI description tells it. Paths and bodies are MOSIP's.
enum PacketReceiverDescriptions {
  private typealias Shape = JSONShape
  private static let tag = "Packet receiver (MOSIP's registration processor)"

  /// The announcement of packets.
  static func sync(_ version: String) -> EndpointDescription {
    EndpointDescription(
      "announces packets (\(version))",
      details: "The body is a JSON text: the request, encrypted with the machine's key as packets are, in base64.", tag: tag,
      parameters: [
        .init("Center-Machine-RefId", in: .header, "center and machine, e.g. `10001_10002`"),
        .init("timestamp", in: .header, "the moment of the request, ISO 8601 in UTC"),
      ],
      body: .json(Shape.text("base64")),
      answers: MosipDescriptions.answers(
        "what was taken",
        Shape.list(Shape.object(["registrationId": Shape.text(), "packetId": Shape.text(), "status": Shape.text()]))))
  }

  /// A question by ids.
  static func query(_ question: StatusQueries.Question) -> EndpointDescription {
    let name = question == .packet ? "packetId" : "registrationId"
    let summary =
      switch question {
      case .progress: "tells how far registrations are"
      case .outcome: "tells what came of registrations"
      case .packet: "tells whether packets were taken"
      }
    return EndpointDescription(
      summary, details: "Of a request's ids the first \(StatusQueries.most) are answered.", tag: tag,
      body: .json(
        Shape.object(
          [
            "id": .object(["const": .string(question.id)]), "version": Shape.text(), "requesttime": Shape.text(),
            "request": Shape.list(Shape.object([name: Shape.text()], required: [name])),
          ], required: ["id", "version", "requesttime", "request"])),
      answers: MosipDescriptions.answers(
        "what is known", Shape.list(Shape.object([name: Shape.orNull(Shape.text()), "statusCode": Shape.orNull(Shape.text())]))))
  }

  static let lostRID = EndpointDescription(
    "finds registration ids by center and day of announcement",
    details: "Name, phone, mail address and location are kept nowhere where they could be searched: filters by them are refused.",
    tag: tag,
    body: .json(
      Shape.object(
        [
          "id": .object(["const": .string(LostRIDSearches.id)]), "version": Shape.text(), "requesttime": Shape.text(),
          "request": Shape.object(
            [
              "filters": Shape.list(
                Shape.object([
                  "columnName": Shape.text("`registrationDate` or `centerId`"), "type": Shape.text("`equals` or `between`"),
                  "value": Shape.text(), "fromValue": Shape.text("yyyy-MM-dd"), "toValue": Shape.text("yyyy-MM-dd"),
                ])),
              "sort": Shape.list(Shape.object(["sortField": Shape.text(), "sortType": Shape.text("`asc` or `desc`")])),
            ], required: ["filters"]),
        ], required: ["id", "version", "requesttime", "request"])),
    answers: MosipDescriptions.answers(
      "what was found",
      Shape.list(
        Shape.object([
          "registrationId": Shape.text(), "registartionDate": Shape.orNull(Shape.text()), "additionalInfo": Shape.anything,
          "syncDateTime": Shape.text(),
        ]))))

  static let upload = EndpointDescription(
    "takes a packet", details: "The packet must have been announced; its hash and size are compared.", tag: tag,
    body: EndpointDescription.Content(
      mediaType: "multipart/form-data",
      schema: Shape.object(["file": Shape.text("the packet, named `<packet id>.zip`")], required: ["file"])),
    answers: MosipDescriptions.answers("it was taken", Shape.anything))
}
