import HTTP
import JSON

/// What the endpoints of both mediators are for, as their OpenAPI description tells it.
package enum MediatorDescriptions {
  private typealias Shape = JSONShape
  private typealias Answer = EndpointDescription.Answer
  private static let (toMosip, toOpenCRVS) = ("MOSIP-side mediator", "OpenCRVS-side mediator")

  private static let answered = Shape.object(
    [
      "version": Shape.text(), "id": Shape.text("whose answer it is"), "responseTime": Shape.moment(),
      "response": Shape.orNull(Shape.object(["message": Shape.text()])),
      "errors": Shape.orNull(
        Shape.list(
          Shape.object(
            [
              "errorCode": Shape.text("e.g. OPN-CRVS-001"), "errorMessage": Shape.text(),
              "otherRecord": Shape.text("the key of the record that a conflict is with"),
            ], required: ["errorCode", "errorMessage"]))),
    ], required: ["version", "id", "responseTime", "response", "errors"])

  private static func answers(_ taken: String) -> [Answer] {
    [
      Answer(200, taken, .json(answered, named: "MediatorAnswer")),
      Answer(400, "the body cannot be used; `errors` names why", .json(answered, named: "MediatorAnswer")),
      Answer(401, "there is no token or signature, or it does not count here", .json(answered, named: "MediatorAnswer")),
      Answer(403, "the caller may not", .json(answered, named: "MediatorAnswer")),
      Answer(500, "it could not be processed", .json(answered, named: "MediatorAnswer")),
      Answer(503, "a service that is needed cannot be reached; try again", .json(answered, named: "MediatorAnswer")),
    ]
  }

  private static let sealed = EndpointDescription.Content.json(
    Shape.object(
      [
        "id": Shape.text("the record's id"), "requestTime": Shape.moment(),
        "data": Shape.text("the sealed event, base64"), "signature": Shape.text("over `data` by the sender's key, base64"),
      ], required: ["id", "data", "signature"], "what goes between the mediators: sealed for the receiver, signed by the sender"),
    named: "SealedMessage")

  private static let delivery = EndpointDescription.Content.json(
    Shape.object(["publisher": Shape.text(), "topic": Shape.text(), "publishedOn": Shape.text(), "event": Shape.object([:])]),
    named: "HubDelivery")

  /// An event of a record, from the OpenCRVS side.
  package static func event(_ kind: EventKind) -> EndpointDescription {
    EndpointDescription(
      "takes a \(kind.rawValue.replacing("-", with: " ")) from the OpenCRVS side",
      details:
        "Idempotent by the record's id, and for what comes after a birth by its time too: the same event again is answered as the first one was.",
      tag: toMosip,
      parameters: [
        .init("take", "which go it is: more than 1 for an event that OpenCRVS sent again after its error, which is tried again")
      ],
      body: sealed, answers: answers("it is kept, and will be worked on"))
  }

  /// `GET /opencrvs/v1/generateAid`.
  package static let applicationId = EndpointDescription(
    "gives an application id", details: "With `key` the same key always gets the same id.", tag: toMosip,
    parameters: [.init("key", "what the id is for, e.g. a record's id")],
    answers: [Answer(200, "the id: 29 digits, as a JSON text", .json(Shape.text(pattern: "^[0-9]{29}$")))]
      + answers("").dropFirst())

  /// An operator asks for the subscription at a hub or at OpenCRVS.
  package static func subscribe(_ where: String, isMosip: Bool) -> EndpointDescription {
    EndpointDescription(
      "subscribes at \(`where`) anew", details: "It does so by itself; this is for an operator who does not want to wait.",
      tag: isMosip ? toMosip : toOpenCRVS,
      answers: [Answer(202, "the subscription was asked for")] + answers("it was asked for"))
  }

  /// The hub asks whether a subscription is wanted.
  package static func challenge(_ what: String) -> EndpointDescription {
    EndpointDescription(
      "answers the hub's challenge for \(what)", details: "WebSub, 5.3: the hub asks whether a subscription is wanted.",
      tag: toMosip,
      parameters: [
        .init("hub.mode", "`subscribe`, or `denied`"), .init("hub.topic", "the topic"),
        .init("hub.challenge", "what is to be answered"),
      ],
      answers: [
        Answer(200, "the challenge, or nothing for `denied`", .text), Answer(404, "no subscription of ours", .text),
      ])
  }

  /// The hub's delivery.
  package static func delivered(_ what: String) -> EndpointDescription {
    EndpointDescription(
      "takes \(what) from the hub", tag: toMosip, parameters: [signature], body: delivery, answers: answers("it is kept"))
  }

  private static let signature = EndpointDescription.Parameter(
    "X-Hub-Signature", in: .header, "the HMAC of the body by the secret of the subscription")

  /// `GET /ping`.
  package static let ping = EndpointDescription(
    "tells that something runs", tag: toOpenCRVS, answers: [Answer(200, "it does", .json(Shape.object(["success": Shape.flag()])))])

  /// `GET /webhooks`.
  package static let webhookChallenge = EndpointDescription(
    "answers OpenCRVS' challenge for a webhook", tag: toOpenCRVS,
    parameters: [
      .init("mode", "`subscribe`", isRequired: true), .init("topic", "e.g. `BIRTH_REGISTERED`", isRequired: true),
      .init("challenge", "what is to be answered", isRequired: true),
    ],
    answers: [Answer(200, "the challenge", .json(Shape.object(["challenge": Shape.text()])))] + answers("").dropFirst())

  /// `POST /webhooks`.
  package static let webhook = EndpointDescription(
    "takes an event from OpenCRVS",
    details:
      "Kept before it is answered. OpenCRVS takes any answer for a yes: what cannot be kept now is hung up on, so that it comes again.",
    tag: toOpenCRVS, parameters: [signature],
    body: .json(
      Shape.object(
        [
          "timestamp": Shape.text(), "id": Shape.text(),
          "event": Shape.object([:], "with `hub.topic` and the FHIR bundle in `context`"),
        ])),
    answers: [Answer(200, "it is kept", .json(answered, named: "MediatorAnswer"))] + answers("").dropFirst())

  /// `POST /birthReceiveNid`.
  package static let token = EndpointDescription(
    "takes the token of a person from the MOSIP side", details: "Told to OpenCRVS as often as it takes.", tag: toOpenCRVS,
    body: sealed,
    answers: answers("it is kept, and will be told to OpenCRVS"))

  /// `POST /receiveStatus`.
  package static let status = EndpointDescription(
    "takes what became of an event from the MOSIP side", details: "A result, an application id, or an error with its name.",
    tag: toOpenCRVS, body: sealed, answers: answers("it is kept, and will be told to OpenCRVS"))

  // MARK: what OpenCRVS 1.7 and later asks

  private static let nothing = Answer(200, "it is kept, or nothing is to be done", .json(Shape.object([:])))
  private static let refusals =
    answers("").dropFirst() + [Answer(404, "`gateway-url` is not set", .json(answered, named: "MediatorAnswer"))]
  private static let later = Answer(202, "it is kept, and will be answered", .json(Shape.object([:])))

  /// `POST /event-registration`.
  package static let registration = EndpointDescription(
    "takes a record of OpenCRVS 1.7 or 1.8 that waits to be registered",
    details: "Confirmed over GraphQL when MOSIP has answered; a death at once unless `death-waits-for-mosip`.", tag: toOpenCRVS,
    body: .json(Shape.object([:], "the FHIR bundle of the record")), answers: [later] + refusals)

  /// `POST /events/{type}/actions/{action}`.
  package static let notice = EndpointDescription(
    "takes a notice of OpenCRVS 1.8: corrections go to MOSIP", tag: toOpenCRVS,
    body: .json(Shape.object([:], "the FHIR bundle of the record")), answers: [nothing] + refusals)

  private static func handed(_ fields: String) -> EndpointDescription.Content {
    .json(
      Shape.object([
        "trackingId": Shape.text(), "requestFields": Shape.object([:], fields),
        "notification": Shape.object([:], "whom to write to: `recipientFullName`, `recipientEmail`, `recipientPhone`"),
      ]))
  }

  /// `POST /events/registration`.
  package static let handedRegistration = EndpointDescription(
    "takes a birth or a death that a country configuration hands on as it does to mosip-api",
    details: "The registration number is the country's. Confirmed or accepted by the token that comes with it.", tag: toOpenCRVS,
    body: handed(
      "`birthCertificateNumber` or `deathCertificateNumber`, `fullName`, `dateOfBirth`, `gender`, `nationalIdNumber` of a deceased"),
    answers: [later] + refusals)

  /// `POST /events/update-biographics`.
  package static let handedCorrection = EndpointDescription(
    "takes the correction of a birth that a country configuration hands on as it does to mosip-api", tag: toOpenCRVS,
    body: handed("`VID`, `fullName`, `dateOfBirth`, `gender`, `introducerInfoToken`"), answers: [later] + refusals)

  /// `POST /trigger/events/{type}/actions/{action}`.
  package static let trigger = EndpointDescription(
    "takes an action of OpenCRVS 1.9 or 2.x that waits to be accepted",
    details: "Answered at once, or later by the token that comes with it.", tag: toOpenCRVS,
    body: .json(Shape.object([:], "the event with its pending action last")),
    answers: [
      Answer(200, "the action is accepted", .json(Shape.object(["registrationNumber": Shape.text()]))), later,
    ] + refusals)
}
