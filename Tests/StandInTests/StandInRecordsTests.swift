import Cryptography
import HTTP
import JSON
import StandIn
import System
import Testing

/// The OpenCRVS of 1.7 and 1.8 that others are tested against does what OpenCRVS' own programs did.
@Suite(.timeLimit(.minutes(5))) struct StandInRecordsTests {
  /// A stand-in and its taker.
  struct World: Sendable {
    let crvs: StandInRecords
    let taker = Taker()
    let client = Client()
    let base: String

    init(_ release: StandInRecords.Release) throws {
      crvs = try StandInRecords(release: release)
      base = try crvs.start()
    }

    func ask(_ query: String, _ variables: JSONValue, token: String) async throws -> (status: Int, body: JSONValue) {
      let body: JSONValue = ["query": .string(query), "variables": variables]
      let answer = try await client.send(
        ClientRequest(
          method: "POST", url: base + "/graphql",
          headers: ["Content-Type": "application/json", "Authorization": "Bearer \(token)"], body: .bytes(body.encoded())))
      return (answer.status, (try? JSONValue.parse(answer.body)) ?? .null)
    }

    func confirm(_ id: String, _ details: JSONValue, token: String) async throws -> (status: Int, body: JSONValue) {
      let query =
        "mutation C($id:ID!,$details:ConfirmRegistrationInput!){confirmRegistration(id:$id,details:$details)}"
      return try await ask(query, ["id": .string(id), "details": details], token: token)
    }
  }

  private func run(_ release: StandInRecords.Release = .v1_8, _ body: (World) async throws -> Void) async throws {
    let world = try World(release)
    world.crvs.taker = try world.taker.start()
    do {
      try await body(world)
    } catch {
      await end(world)
      throw error
    }
    await end(world)
  }

  private func end(_ world: World) async {
    await world.crvs.stop()
    await world.taker.stop()
    world.client.close()
  }

  // MARK: asking for a number

  @Test(arguments: [200, 201, 202, 204]) func `any 2xx lets the record wait`(_ status: Int) async throws {
    try await run { world in
      world.taker.answer(status)
      let id = try await world.crvs.register(Records.births[0])
      #expect(world.crvs.state(of: id)?.standing == .waiting)
    }
  }

  @Test(arguments: [400, 401, 404, 500, 503]) func `anything else rejects at once, and is not asked again`(_ status: Int)
    async throws
  {
    try await run { world in
      world.taker.answer(status)
      let id = try await world.crvs.register(Records.births[0])
      #expect(world.crvs.state(of: id)?.standing == .rejected)
      #expect(world.crvs.state(of: id)?.error == "Registration number generation failed")
      #expect(world.taker.calls.count == 1)
    }
  }

  @Test func `nobody there rejects as well`() async throws {
    try await run { world in
      await world.taker.stop()
      let id = try await world.crvs.register(Records.births[0])
      #expect(world.crvs.state(of: id)?.standing == .rejected)
    }
  }

  @Test func `the request has the bundle before registration, a token for its record and the registrar's Host`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      let call = try world.taker.last()
      #expect(call.path == "/event-registration")
      #expect(call.headers.all("Host") == ["workflow.opencrvs.internal:5050"])
      #expect(call.headers["Content-Type"] == "application/json")
      #expect(call.claims["recordId"]?.string == id)
      #expect(call.claims["scope"] == ["record.confirm-registration", "record.reject-registration"])
      let (start, end) = (try #require(call.claims["iat"]?.int), try #require(call.claims["exp"]?.int))
      #expect(end - start == 7 * 86_400)
      let task = try #require(call.resources("Task").first)
      #expect(task["businessStatus"]?["coding"]?[0]?["code"] == "WAITING_VALIDATION")
      #expect(task["identifier"]?.array?.contains { $0["system"]?.string?.hasSuffix("registration-number") == true } == false)
      let child = try #require(call.resources("Patient").first { $0["id"]?.string == Records.births[0].subject.id })
      #expect(child["identifier"] == nil)
    }
  }

  @Test func `a birth without a father names one who is not active`() async throws {
    try await run { world in
      let fatherless = try #require(Records.births.first { record in !record.persons.contains { $0.section == "father" } })
      try await world.crvs.register(fatherless)
      let patients = try world.taker.last().resources("Patient")
      let father = try #require(patients.first { $0["active"] == false })
      #expect(father["name"] == [])
      #expect(father["identifier"] == nil)
    }
  }

  // MARK: confirming

  @Test func `a confirmation registers once, with its numbers and its comment`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      let token = try world.taker.last().token
      let details: JSONValue = [
        "registrationNumber": "2026BTEST01", "comment": "MOSIP: UIN created",
        "identifiers": [["type": "NATIONAL_ID", "value": "8571569542140812"]],
      ]
      let first = try await world.confirm(id, details, token: token)
      #expect(first.status == 200)
      #expect(first.body["data"]?["confirmRegistration"]?.string != nil)
      #expect(first.body["errors"] == nil)
      let state = try #require(world.crvs.state(of: id))
      #expect(state.standing == .registered)
      #expect(state.number == "2026BTEST01")
      #expect(state.comment == "MOSIP: UIN created")
      #expect(state.identifiers.map(\.type) == ["BIRTH_REGISTRATION_NUMBER", "NATIONAL_ID"])
      #expect(state.identifiers.map(\.value) == ["2026BTEST01", "8571569542140812"])

      let second = try await world.confirm(id, ["registrationNumber": "2026BTEST02"], token: token)
      #expect(second.status == 200)
      #expect(second.body["errors"]?[0]?["path"] == ["confirmRegistration"])
      #expect(second.body["data"]?["confirmRegistration"] == .null)
      #expect(world.crvs.state(of: id)?.number == "2026BTEST01")
      #expect(world.crvs.calls["confirmRegistration"] == 2)
    }
  }

  @Test func `without a number the schema refuses, and what is behind it registers as undefined`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      let token = try world.taker.last().token
      #expect(try await world.confirm(id, ["comment": "none"], token: token).status == 400)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
      world.crvs.checksSchema = false
      #expect(try await world.confirm(id, ["comment": "none"], token: token).status == 200)
      #expect(world.crvs.state(of: id)?.number == "undefined")
    }
  }

  @Test func `a token confirms its record alone, and rejects nothing`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      let other = try await world.crvs.register(Records.births[1])
      let token = try world.taker.last().token
      let strange = try await world.confirm(id, ["registrationNumber": "1"], token: token)
      #expect(strange.status == 200)
      #expect(strange.body["errors"] != nil)
      let query = "mutation R($id:ID!,$details:RejectRegistrationInput!){rejectRegistration(id:$id,details:$details)}"
      let reject = try await world.ask(query, ["id": .string(other), "details": ["reason": "no"]], token: token)
      #expect(reject.body["errors"]?[0]?["message"] == "Insufficient scope")
      #expect(world.crvs.state(of: id)?.standing == .waiting)
      #expect(world.crvs.state(of: other)?.standing == .waiting)
    }
  }

  @Test func `a token that is over, or nobody's, is 401`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      let token = try world.taker.last().token
      let answered = try await world.confirm(id, ["registrationNumber": "1"], token: token + "x").status
      #expect(answered == 401)
      world.crvs.endTokens()
      #expect(try await world.confirm(id, ["registrationNumber": "1"], token: token).status == 401)
      world.crvs.tokenLife = 0
      let late = try await world.crvs.register(Records.births[1])
      #expect(try await world.confirm(late, ["registrationNumber": "1"], token: world.taker.last().token).status == 401)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
    }
  }

  @Test func `a number that is added stands behind those that are there`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      let token = try world.taker.last().token
      _ = try await world.confirm(id, ["registrationNumber": "N1"], token: token)
      for value in ["1111111111", "2222222222"] {
        let query =
          "mutation U($id:ID!,$type:String!,$value:String!)"
          + "{upsertRegistrationIdentifier(id:$id,identifierType:$type,identifierValue:$value)}"
        let answer = try await world.ask(query, ["id": .string(id), "type": "NATIONAL_ID", "value": .string(value)], token: token)
        #expect(answer.body["errors"] == nil)
      }
      let numbers = try #require(world.crvs.state(of: id)).identifiers.filter { $0.type == "NATIONAL_ID" }.map(\.value)
      #expect(numbers == ["1111111111", "2222222222"])
    }
  }

  @Test func `a field is set, and a record is read`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      let token = try world.taker.last().token
      let update = "mutation U($id:ID!,$details:UpdateFieldInput!){updateField(id:$id,details:$details)}"
      let details: JSONValue = ["fieldId": "birth.mother.verified", "valueString": "verified"]
      #expect(
        try await world.ask(update, ["id": .string(id), "details": details], token: token).body["data"]?["updateField"] == true)
      #expect(world.crvs.state(of: id)?.declaration["birth.mother.verified"] == "verified")
      let read = "query R($id:ID!){fetchRegistration(id:$id){id registration{registrationNumber status{type}}}}"
      let before = try await world.ask(read, ["id": .string(id)], token: token).body["data"]?["fetchRegistration"]?["registration"]
      #expect(before?["status"]?[0]?["type"] == "WAITING_VALIDATION")
      _ = try await world.confirm(id, ["registrationNumber": "N1"], token: token)
      let after = try await world.ask(read, ["id": .string(id)], token: token).body["data"]?["fetchRegistration"]?["registration"]
      #expect(after?["status"]?[0]?["type"] == "REGISTERED")
      #expect(after?["registrationNumber"] == "N1")
    }
  }

  @Test func `an answer that is lost was not in vain, and a gateway that is down does nothing`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      let token = try world.taker.last().token
      world.crvs.isDown = true
      #expect(try await world.confirm(id, ["registrationNumber": "N1"], token: token).status == 502)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
      world.crvs.isDown = false
      world.crvs.loseNextAnswer(of: "confirmRegistration")
      #expect(try await world.confirm(id, ["registrationNumber": "N1"], token: token).status == 502)
      #expect(world.crvs.state(of: id)?.standing == .registered)
      #expect(try await world.confirm(id, ["registrationNumber": "N1"], token: token).body["errors"] != nil)
    }
  }

  @Test func `a rejected record is registered again under its id`() async throws {
    try await run { world in
      world.taker.answer(500)
      let id = try await world.crvs.register(Records.births[0])
      world.taker.answer(202)
      try await world.crvs.registerAgain(id)
      #expect(world.crvs.state(of: id)?.standing == .waiting)
      let focus = world.taker.calls.map { $0.resources("Task").first?["focus"]?["reference"] }
      #expect(focus == [.string("Composition/\(id)"), .string("Composition/\(id)")])
      await #expect(throws: StandInRecords.Refusal.self) { try await world.crvs.registerAgain(id) }
    }
  }

  @Test func `the webhook that follows has the bundle with its number`() async throws {
    try await run { world in
      let id = try await world.crvs.register(Records.births[0])
      #expect(world.crvs.webhook(of: id) == nil)
      _ = try await world.confirm(id, ["registrationNumber": "N1"], token: try world.taker.last().token)
      let webhook = try #require(world.crvs.webhook(of: id))
      let body = try JSONValue.parse(webhook)
      #expect(body["event"]?["hub"]?["topic"] == "BIRTH_REGISTERED")
      #expect(body["event"]?["context"]?[0] == world.crvs.bundle(of: id))
      #expect(world.crvs.bundle(of: id)?.description.contains("BIRTH_REGISTRATION_NUMBER") == true)
    }
  }
}

/// Notices, and the authentication service.
extension StandInRecordsTests {
  private func registered(_ world: World, _ record: SampleRecord) async throws -> String {
    let id = try await world.crvs.register(record)
    _ = try await world.confirm(id, ["registrationNumber": "2026DTEST01"], token: try world.taker.last().token)
    return id
  }

  @Test func `a notice has the new persons with the Task of before, the type in upper case and the registrar's Host`() async throws
  {
    try await run { world in
      let id = try await registered(world, Records.births[0])
      let before = try #require(world.crvs.bundle(of: id))
      try await world.crvs.correct(id, .init(given: "Rose"))
      let call = try world.taker.last()
      #expect(call.path == "/events/BIRTH/actions/make-correction")
      #expect(call.headers.all("Host") == ["workflow.opencrvs.internal:5050"])
      #expect(call.headers["Content-Type"] == "application/fhir+json")
      #expect(call.claims["recordId"]?.string == id)
      let task = before["entry"]?.array?.compactMap { $0["resource"] }.first { $0["resourceType"] == "Task" }
      #expect(call.resources("Task").first == task)
      #expect(call.resources("Patient").contains { $0["name"]?[0]?["given"]?[0] == "Rose" })
    }
  }

  @Test func `a correction that is asked for has two notices: the old values, and the new ones with the Task that asked`()
    async throws
  {
    try await run { world in
      let id = try await registered(world, try Records.death([("NATIONAL_ID", "8215013740")]))
      try await world.crvs.correct(id, .init(dateOfDeath: "2026-02-26"), .approved)
      let notices = world.taker.calls.dropFirst()
      #expect(notices.map(\.path) == ["/events/DEATH/actions/request-correction", "/events/DEATH/actions/approve-correction"])
      let dates = notices.map { $0.resources("Patient").compactMap { $0["deceasedDateTime"]?.string } }
      #expect(dates.first != ["2026-02-26"])
      #expect(dates.last == ["2026-02-26"])
      let tasks = notices.compactMap { $0.resources("Task").first }
      #expect(tasks.count == 2)
      #expect(tasks.first == tasks.last)
      #expect(tasks.last?["businessStatus"]?["coding"]?[0]?["code"] == "CORRECTION_REQUESTED")
    }
  }

  @Test func `what a notice is answered changes nothing, and it is not sent again`() async throws {
    try await run { world in
      let id = try await registered(world, Records.births[0])
      world.taker.answer(500)
      try await world.crvs.correct(id, .init(given: "Rose"))
      #expect(world.crvs.noticeAnswers == [500])
      #expect(world.crvs.bundle(of: id)?.description.contains("Rose") == true)
      #expect(world.crvs.calls["make-correction"] == 1)
    }
  }

  @Test func `1.7 sends no notices`() async throws {
    try await run(.v1_7) { world in
      let id = try await registered(world, Records.births[0])
      try await world.crvs.correct(id, .init(given: "Rose"), .approved)
      #expect(world.taker.calls.count == 1)
      #expect(world.crvs.bundle(of: id)?.description.contains("Rose") == true)
    }
  }

  @Test func `tokens are signed with the key of the well-known door, another one at each start`() async throws {
    try await run { world in
      try await world.crvs.register(Records.births[0])
      let answer = try await world.client.send(ClientRequest(url: world.base + "/.well-known"))
      let key = try RSAPublicKey(pem: String(decoding: answer.body, as: UTF8.self))
      let token = try JWS(compact: world.taker.last().token)
      #expect(token.isSigned(by: key))
      #expect(try world.taker.last().claims["iss"] == "opencrvs:auth-service")
      let other = try StandInRecords()
      #expect(try JWS(compact: other.registrarToken()).isSigned(by: key) == false)
    }
  }

  @Test func `a system client gets a token for its secret alone`() async throws {
    try await run { world in
      let path = "/token?grant_type=client_credentials&client_id=stand-in&client_secret="
      let good = try await world.client.send(ClientRequest(method: "POST", url: world.base + path + "stand-in"))
      let answer = try JSONValue.parse(good.body)
      let token = try #require(answer["access_token"]?.string)
      let claims = try JSONValue.parse(JWS(compact: token).payload)
      #expect(claims["userType"] == "system")
      let bad = try await world.client.send(ClientRequest(method: "POST", url: world.base + path + "no"))
      #expect(bad.status == 401)
    }
  }
}
