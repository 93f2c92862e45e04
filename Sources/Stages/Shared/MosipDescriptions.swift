import HTTP
import JSON

/// What MOSIP's endpoints answer, as their OpenAPI description tells it: `id`, `version`, `responsetime`, `response` and `errors`.
enum MosipDescriptions {
  private typealias Shape = JSONShape
  private typealias Answer = EndpointDescription.Answer

  private static func answered(_ response: JSONValue) -> JSONValue {
    Shape.object([
      "id": Shape.orNull(Shape.text()), "version": Shape.orNull(Shape.text()), "responsetime": Shape.text(),
      "response": Shape.orNull(response),
      "errors": Shape.orNull(
        Shape.list(
          Shape.object([
            "errorCode": Shape.orNull(Shape.text("e.g. RPR-RGS-013")), "message": Shape.orNull(Shape.text()),
            "registrationId": Shape.orNull(Shape.text()), "packetId": Shape.orNull(Shape.text()),
            "status": Shape.orNull(Shape.text()),
          ]))),
    ])
  }

  /// The answers of an endpoint.
  /// - Parameters:
  ///   - meaning: what the good one tells.
  ///   - response: a JSON Schema of its `response`.
  static func answers(_ meaning: String, _ response: JSONValue) -> [EndpointDescription.Answer] {
    func refused(_ status: Int, _ meaning: String) -> Answer {
      Answer(status, meaning, .json(answered(Shape.anything), named: "MosipAnswer"))
    }
    return [
      Answer(200, meaning + "; what was wrong stands in `errors`, with status 200, as MOSIP has it", .json(answered(response))),
      refused(401, "there is no token that counts here"), refused(403, "the token has none of the roles"),
      refused(500, "it could not be answered"), refused(503, "a service that is needed cannot be reached; try again"),
    ]
  }
}
