import Cryptography
import JSON
import Registration
import StageKit
import TestEvents

@testable import HTTP
@testable import OpenCRVS
@testable import Stages

/// OpenCRVS' gateway and auth service as an OpenCRVS that waits has them: whatever comes is recorded and taken.
enum FakeGateway {
  /// A call as it came.
  struct Call: Sendable, Equatable {
    /// The name of the mutation or procedure.
    var name: String
    var body: JSONValue
    var token: String
  }

  static func answer(_ request: ClientRequest, _ path: String, _ body: [UInt8], _ world: MediatorWorld) throws -> ClientResponse {
    if path == "/.well-known" {
      return ClientResponse(status: 200, body: Array(world.keys.owners["opencrvs-partner"]!.certificate.pem.utf8))
    }
    if path == "/events/config" {
      let fields: JSONValue = .array(world.state.withLock { $0.formFields }.map { ["id": .string($0)] })
      let types = ["birth", "death"].map { type -> JSONValue in
        ["id": .string(type), "declaration": ["pages": [["fields": fields]]]]
      }
      return ClientResponse(status: 200, body: JSONValue.array(types).encoded())
    }
    if path == "/events/event.get" {
      let event = world.state.withLock { $0.eventAtOpenCRVS }
      return ClientResponse(status: 200, body: JSONValue.array([["result": ["data": ["json": event]]]]).encoded())
    }
    let value = try JSONValue.parse(body)
    let token = (request.headers["Authorization"] ?? "").replacing("Bearer ", with: "")
    return try path == "/graphql" ? records(value, token, world) : actions(path, value, token, world)
  }

  private static func records(_ body: JSONValue, _ token: String, _ world: MediatorWorld) throws -> ClientResponse {
    let query = body["query"]?.string ?? ""
    let name =
      ["confirmRegistration", "upsertRegistrationIdentifier", "fetchRegistration"].first { query.contains("{\($0)") } ?? query
    let id = body["variables"]?["id"]
    return try world.step { state in
      let confirmed = state.gateway.first { $0.name == "confirmRegistration" && $0.body["id"] == id }?.body["details"]
      if name == "fetchRegistration" { return read(state.persons, confirmed) }
      if name == "confirmRegistration", confirmed != nil { return try answer("g2-answer-confirm-error") }
      state.gateway.append(Call(name: name, body: body["variables"] ?? .null, token: token))
      let result: JSONValue = ["data": .object([name: "t1"])]
      return ClientResponse(status: 200, body: result.encoded())
    }
  }

  /// A record as it is read: registered once it was confirmed.
  private static func read(_ persons: JSONObject, _ confirmed: JSONValue?) -> ClientResponse {
    var record = persons
    record["id"] = "r"
    record["registration"] = [
      "registrationNumber": confirmed?["registrationNumber"] ?? .null,
      "status": [["type": confirmed == nil ? "WAITING_VALIDATION" : "REGISTERED"]],
    ]
    return ClientResponse(status: 200, body: JSONValue.object(["data": ["fetchRegistration": .object(record)]]).encoded())
  }

  /// An answer of the samples.
  static func answer(_ name: String, status: Int = 200) throws -> ClientResponse {
    ClientResponse(status: status, body: try ScenarioSample.read(name).encoded())
  }

  private static func actions(_ path: String, _ body: JSONValue, _ token: String, _ world: MediatorWorld) throws -> ClientResponse {
    let (name, input) = (path.replacing("/events/event.actions.", with: ""), body["0"]?["json"] ?? .null)
    return try world.step { state in
      state.gateway.append(Call(name: name, body: input, token: token))
      let action = input["actionId"] ?? .null
      let decision: JSONValue = [
        "originalActionId": action, "status": name.hasSuffix("accept") ? "Accepted" : "Rejected",
      ]
      let event: JSONValue = ["id": input["eventId"] ?? .null, "actions": [["id": action, "status": "Requested"], decision]]
      return ClientResponse(status: 200, body: JSONValue.array([["result": ["data": ["json": event]]]]).encoded())
    }
  }

  /// A token for one record or one action, signed as OpenCRVS' auth service signs them.
  static func token(_ world: MediatorWorld, _ claims: JSONObject, signer: String = "opencrvs-partner") throws -> String {
    let now = Int(world.clock.now.milliseconds / 1000)
    var all: JSONObject = [
      "iss": .string(RecordTokens.issuer), "aud": [.string(RecordTokens.audience)], "sub": "registrar", "iat": JSONValue(now),
      "exp": JSONValue(now + 604_800), "scope": ["record.confirm-registration", "record.reject-registration"],
    ]
    for claim in claims { all[claim.key] = claim.value }
    let (key, _) = world.keys.owners[signer]!
    return try JWS.sign(JSONValue.object(all).encoded(), with: key, certificates: [], thumbprint: false, detached: false)
  }
}
