import HTTP
import JSON
import System

/// The gateway: errors come with status 200, inside the answer.
extension StandInRecords {
  /// A field of GraphQL and its arguments.
  struct Call {
    var field: String
    var arguments: [String: JSONValue]
    var claims: JSONValue

    /// Whether the token is for the record that the call names.
    var isOfRecord: Bool { arguments["id"]?.string.map { $0 == claims["recordId"]?.string } ?? false }
    var id: String { arguments["id"]?.string ?? "" }
    func text(_ name: String) -> String? { arguments[name]?.string }
    func has(_ scope: String) -> Bool { claims["scope"]?.array?.contains(.string(scope)) ?? false }
  }

  private enum Answer {
    case data(JSONValue)
    case error(String)
    /// The schema refuses the call before anything is done.
    case schema(String)
  }

  func graphQL(_ request: Request) -> Response {
    guard case .claims(let claims) = tokens.shown(request) else {
      return .json(#"{"statusCode":401,"error":"Unauthorized","message":"Expired token"}"#, status: 401)
    }
    guard let body = try? JSONValue.parse(request.body), let call = Self.call(body, claims) else {
      return .json(#"{"errors":[{"message":"POST body missing or no such field."}]}"#, status: 400)
    }
    doors.count(call.field)
    return doors.answered(call.field, Self.response(call.field, answer(call)))
  }

  private static func response(_ field: String, _ answer: Answer) -> Response {
    let (data, message): (JSONValue, String?) =
      switch answer {
      case .data(let value): (value, nil)
      case .error(let text): (.null, text)
      case .schema(let text): (.null, text)
      }
    guard let message else { return .json(JSONValue.object(["data": .object([field: data])]).encoded()) }
    if case .schema = answer {
      let body: JSONValue = ["errors": [["message": .string(message), "extensions": ["code": "BAD_USER_INPUT"]]]]
      return .json(body.encoded(), status: 400)
    }
    let body: JSONValue = [
      "data": .object([field: .null]), "errors": [["message": .string(message), "path": [.string(field)]]],
    ]
    return .json(body.encoded())
  }

  /// The field that a document calls, with the values of the variables that it gives its arguments.
  private static func call(_ body: JSONValue, _ claims: JSONValue) -> Call? {
    let known = [
      "confirmRegistration", "rejectRegistration", "upsertRegistrationIdentifier", "updateField", "fetchRegistration",
      "fetchBirthRegistration", "fetchDeathRegistration",
    ]
    guard let query = body["query"]?.string else { return nil }
    for field in known {
      guard let start = query.firstRange(of: field + "(")?.upperBound, let end = query[start...].firstIndex(of: ")") else {
        continue
      }
      let list = query[start..<end]
      let pairs = list.matches(of: /(\w+)\s*:\s*\$(\w+)/).map { match in
        (String(match.output.1), body["variables"]?[String(match.output.2)] ?? .null)
      }
      return Call(field: field, arguments: Dictionary(pairs) { $1 }, claims: claims)
    }
    return nil
  }

  private func answer(_ call: Call) -> Answer {
    switch call.field {
    case "confirmRegistration": confirm(call)
    case "upsertRegistrationIdentifier": upsert(call)
    case "updateField": update(call)
    case "fetchRegistration": fetch(call)
    // The token of a record reads it by `fetchRegistration` alone, and rejects nothing.
    default: .error("Insufficient scope")
    }
  }

  // MARK: fields

  private func confirm(_ call: Call) -> Answer {
    guard call.isOfRecord, call.has("record.confirm-registration") else { return .error("Insufficient scope") }
    let details = call.arguments["details"]
    let number = details?["registrationNumber"]?.string
    if number == nil, checksSchema {
      return .schema(
        "Variable \"$details\" got invalid value; Field \"registrationNumber\" of required type \"String!\" was not provided.")
    }
    return state.withLock { state in
      guard var kept = state.records[call.id], kept.standing == .waiting else {
        return .error("confirmation failed: no record in the wanted state")
      }
      kept.register(number ?? "undefined", details?["identifiers"]?.array ?? [], comment: details?["comment"]?.string)
      state.records[call.id] = kept
      return .data(.string("task-\(call.id)"))
    }
  }

  /// Appends, whatever is there: readers find the first.
  private func upsert(_ call: Call) -> Answer {
    guard call.isOfRecord else { return .error("Insufficient scope") }
    guard let type = call.text("identifierType"), let value = call.text("identifierValue") else {
      return .schema("upsertRegistrationIdentifier needs identifierType and identifierValue")
    }
    return state.withLock { state in
      guard state.records[call.id] != nil else { return .error("no such record") }
      state.records[call.id]?.record.subject.identifiers.append((type, value))
      return .data(.string(call.id))
    }
  }

  private func update(_ call: Call) -> Answer {
    guard call.isOfRecord else { return .error("Insufficient scope") }
    let details = call.arguments["details"]
    guard let field = details?["fieldId"]?.string else { return .schema("updateField needs details.fieldId") }
    return state.withLock { state in
      guard state.records[call.id] != nil else { return .error("no such record") }
      state.records[call.id]?.fields[field] = details?["valueString"] ?? details?["valueBoolean"] ?? .null
      return .data(true)
    }
  }

  private func fetch(_ call: Call) -> Answer {
    guard let kept = state.withLock({ $0.records[call.id] }) else { return .error("no such record") }
    return .data(kept.read)
  }
}

extension StandInRecords.Kept {
  fileprivate mutating func register(_ number: String, _ given: [JSONValue], comment: String?) {
    standing = .registered
    error = nil
    status = SampleRecord.Status(word: "REGISTERED", number: number, lastModified: .now, comment: comment)
    record.subject.identifiers.append(("\(record.kind.upper)_REGISTRATION_NUMBER", number))
    for entry in given {
      guard let type = entry["type"]?.string, let value = entry["value"]?.string else { continue }
      record.subject.identifiers.append((type, value))
    }
  }

  /// The record as the gateway shows it, whatever of it was asked for.
  fileprivate var read: JSONValue {
    let person = record.subject
    return [
      "id": .string(record.id), "__typename": record.kind == .birth ? "BirthRegistration" : "DeathRegistration",
      "registration": [
        "id": .string("task-\(record.id)"), "trackingId": .string(record.trackingId), "type": .string(record.kind.upper),
        "registrationNumber": JSONValue(status.number),
        "status": [["type": .string(status.word), "timestamp": .string(status.lastModified.iso)]],
      ],
      record.mainSection: [
        "id": .string(person.id), "birthDate": .string(person.birthDate), "gender": .string(person.gender),
        "name": [["use": .string(person.language), "firstNames": .string(person.given), "familyName": .string(person.family)]],
        "identifier": .array(person.identifiers.map { ["id": .string($0.value), "type": .string($0.type)] }),
        "deceased": record.kind == .death ? ["deathDate": JSONValue(record.dateOfDeath)] : .null,
      ],
    ]
  }
}
