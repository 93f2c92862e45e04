import HTTP
import JSON
import Registration
import StageKit

/// OpenCRVS 1.7 and 1.8 as they are told what became of a record: GraphQL, where an error comes with 200
/// (docs/upstream/scenarios.md#32-g2-17-and-18).
package struct RecordGateway: Sendable {
  /// What a field is set to.
  package enum Value: Sendable, Equatable {
    /// A text.
    case text(String)
    /// Yes or no.
    case flag(Bool)
  }

  /// How far a record is.
  package struct Status: Sendable, Equatable {
    /// Whether it is, or was, registered.
    package let isRegistered: Bool
    /// Its number, once it has one.
    package let number: String?
  }

  private let connection: GatewayConnection

  /// - Parameter url: the gateway's base URL.
  package init(url: String, http: any HTTPExchange, trace: TraceId? = nil) {
    connection = GatewayConnection(url: url, http: http, trace: trace)
  }

  /// Registers a record that waits. It is not to be done twice, and OpenCRVS refuses the second time; so the record is read after a refusal.
  /// - Parameters:
  ///   - identifiers: what the child or the deceased gets beside what it has.
  ///   - comment: what a registrar reads in the record's history.
  package func confirm(
    id: String, number: String, identifiers: [(type: String, value: String)] = [], comment: String? = nil, token: String
  ) async -> TellingOutcome {
    guard !number.isEmpty else { return .undeliverable("a record is not registered without a number") }
    var details: JSONObject = ["registrationNumber": .string(number)]
    if !identifiers.isEmpty {
      details["identifiers"] = .array(identifiers.map { ["type": .string($0.type), "value": .string($0.value)] })
    }
    if let comment { details["comment"] = .string(comment) }
    let query =
      "mutation C($id:ID!,$details:ConfirmRegistrationInput!){confirmRegistration(id:$id,details:$details)}"
    let outcome = await change("confirmRegistration", query, ["id": .string(id), "details": .object(details)], token)
    guard case .again = outcome, let record = try? await status(of: id, token: token), record.isRegistered else {
      return outcome
    }
    return record.number == number ? .done : .alreadyAccepted
  }

  /// Adds an identifier to a record. It never takes the place of one that is there, so it is for records that have none.
  package func upsert(id: String, type: String, value: String, token: String) async -> TellingOutcome {
    let query =
      "mutation U($id:ID!,$identifierType:String!,$identifierValue:String!)"
      + "{upsertRegistrationIdentifier(id:$id,identifierType:$identifierType,identifierValue:$identifierValue)}"
    return await change(
      "upsertRegistrationIdentifier", query,
      ["id": .string(id), "identifierType": .string(type), "identifierValue": .string(value)], token)
  }

  /// Sets a field of the record's form.
  package func updateField(id: String, field: String, value: Value, token: String) async -> TellingOutcome {
    var details: JSONObject = ["fieldId": .string(field)]
    switch value {
    case .text(let text): details["valueString"] = .string(text)
    case .flag(let flag): details["valueBoolean"] = .bool(flag)
    }
    let query = "mutation F($id:ID!,$details:UpdateFieldInput!){updateField(id:$id,details:$details)}"
    return await change("updateField", query, ["id": .string(id), "details": .object(details)], token)
  }

  /// How far a record is; nil when OpenCRVS has none of this id.
  /// - Throws: `ServiceError` when it does not say.
  package func status(of id: String, token: String) async throws(ServiceError) -> Status? {
    let query = "query R($id:ID!){fetchRegistration(id:$id){id registration{registrationNumber status{type}}}}"
    let answer = try await ask(query, ["id": .string(id)], token, once: false)
    guard RecordFault(answer) == nil, let found = answer.body?["data"]?["fetchRegistration"] else { throw answer.unexpected }
    if found.isNull { return nil }
    let states = found["registration"]?["status"]?.array?.compactMap { $0["type"]?.string } ?? []
    return Status(
      isRegistered: states.contains { Self.registered.contains($0) }, number: found["registration"]?["registrationNumber"]?.string)
  }

  /// What OpenCRVS has of the child or the deceased of a record, as its GraphQL says it; nil when it has no such record.
  /// - Throws: `ServiceError` when it does not say.
  package func subject(of id: String, token: String) async throws(ServiceError) -> JSONValue? {
    let person = "name{use firstNames familyName} birthDate gender"
    let query =
      "query P($id:ID!){fetchRegistration(id:$id){... on BirthRegistration{child{\(person)}} "
      + "... on DeathRegistration{deceased{\(person) deceased{deathDate}}}}}"
    let answer = try await ask(query, ["id": .string(id)], token, once: false)
    guard RecordFault(answer) == nil, let found = answer.body?["data"]?["fetchRegistration"] else { throw answer.unexpected }
    let subject = found["child"] ?? found["deceased"]
    return subject?.isNull == false ? subject : nil
  }

  /// The states of a record that only a registered one gets into.
  private static let registered: Set = ["REGISTERED", "CERTIFIED", "ISSUED", "CORRECTION_REQUESTED"]

  private func change(_ name: String, _ query: String, _ variables: JSONObject, _ token: String) async -> TellingOutcome {
    do throws(ServiceError) {
      let answer = try await ask(query, variables, token, once: true)
      if let fault = RecordFault(answer) { return fault.outcome }
      guard answer.isSuccess, let result = answer.body?["data"]?[name], !result.isNull else { return .again(answer.unexpected) }
      return .done
    } catch {
      return .again(error)
    }
  }

  private func ask(
    _ query: String, _ variables: JSONObject, _ token: String, once: Bool
  ) async throws(ServiceError) -> GatewayConnection.Answer {
    try await connection.post(
      ["query": .string(query), "variables": .object(variables)], "/graphql", token: token, once: once)
  }
}
