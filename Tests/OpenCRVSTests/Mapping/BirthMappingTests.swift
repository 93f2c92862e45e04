import TestEvents
import JSON
import Registration
import StageKit
import Testing

@testable import HTTP
@testable import OpenCRVS

@Suite("The mapping of a birth", .timeLimit(.minutes(10)))
struct BirthMappingTests {
  struct NoHTTP: HTTPExchange {
    var answer: ClientResponse?
    func send(_ request: ClientRequest) async throws -> ClientResponse {
      guard let answer else { throw HTTPError(.connectionRefused, "nobody") }
      guard request.url.hasSuffix("/" + Births.state) || request.url.hasSuffix("/" + Births.district) else {
        return ClientResponse(status: 500)
      }
      return answer
    }
  }

  func mapping(_ given: [String: SettingValue] = [:]) throws -> BirthMapping {
    try BirthMapping(StageSettings(stage: "mosip-mediator", declared: BirthMapping.settings, given: given))
  }

  func fields(
    _ resources: [JSONValue], _ given: [String: SettingValue] = [:], http: NoHTTP = NoHTTP()
  ) async throws -> JSONObject {
    try await identity(resources, given, http: http).fields
  }

  func identity(
    _ resources: [JSONValue], _ given: [String: SettingValue] = [:], http: NoHTTP = NoHTTP()
  ) async throws -> BirthMapping.Identity {
    let schema = try #require(try await SampleSchemas().schema(version: "0.1"))
    return try await mapping(given).identity(of: Births.read(resources), through: http) { field, value in
      schema.field(field) != nil && schema.violations(of: [field: .string(value)], mandatory: []).isEmpty
    }
  }

  @Test
  func `makes MOSIP's fields of what the event says`() async throws {
    let fields = try await fields([Births.task(), Births.child(), Births.mother()])
    let expected: JSONObject = [
      "IDSchemaVersion": "0.1", "fullName": [["language": "eng", "value": "Amina Banda"]], "dateOfBirth": "2022/08/30",
      "gender": [["language": "eng", "value": "Female"]], "addressLine1": [["language": "eng", "value": "12"]],
      "addressLine2": [["language": "eng", "value": "Hill Road"]],
      "addressLine3": [["language": "eng", "value": "East"]],
      "city": [["language": "eng", "value": "Lakeside"]], "phone": "+1234567890", "email": "grace@example.org",
    ]
    #expect(fields == expected)
  }

  @Test
  func `keeps every name byte for byte, one for each language`() async throws {
    var child = Births.child()
    child["name"] = [
      ["use": "en", "given": ["Zoë", "\"Q\\"], "family": "Ó Ṩúil"], ["use": "FR", "given": ["Zoé"], "family": ["Œil"]],
      ["use": "ar", "given": ["عمر"], "family": "كلّ"], ["use": "tlh", "given": ["again eng"]],
    ]
    let fields = try await fields([Births.task(), child])
    let expected: JSONValue = [
      ["language": "eng", "value": "Zoë \"Q\\ Ó Ṩúil"], ["language": "fra", "value": "Zoé Œil"],
      ["language": "ara", "value": "عمر كلّ"],
    ]
    #expect(fields["fullName"]?.encoded() == expected.encoded())
  }

  @Test(arguments: ["sw", ""])
  func `lets a name in no known language stand in for the default one only where no name is in that`(_ use: String) async throws {
    func made(_ names: JSONValue...) async throws -> (names: JSONValue?, leftOut: [String]) {
      var child = Births.child()
      child["name"] = .array(names)
      let made = try await identity([Births.task(phone: nil), child])
      return (made.fields["fullName"], made.leftOut.filter { $0.hasPrefix("fullName") })
    }
    let stranger: JSONValue = ["use": .string(use), "given": ["Neema"], "family": "Juma"]
    let (english, french): (JSONValue, JSONValue) = (
      ["use": "en", "given": ["Grace"], "family": "Juma"], ["use": "fr", "given": ["Grâce"], "family": "Juma"]
    )
    let lost = "fullName: a name in no language of lang-code-mapping, behind the one in eng"
    for names in [[stranger, english], [english, stranger]] {
      let found = try await made(names[0], names[1])
      #expect(found.names == [["language": "eng", "value": "Grace Juma"]])
      #expect(found.leftOut == [lost])
    }
    let alone = try await made(french, stranger, ["use": "tlh", "given": ["x"]])
    #expect(
      alone.names == [["language": "fra", "value": "Grâce Juma"], ["language": "eng", "value": "Neema Juma"]])
    #expect(alone.leftOut == [lost])
    let twice = try await made(["use": .string(use), "given": ["Grace"], "family": "Juma"], english)
    #expect(twice.leftOut.isEmpty, "the same text is not lost")
  }

  @Test
  func `writes in one line what was typed in several`() async throws {
    let fields = try await fields([
      Births.task(phone: "+1\u{1}234567890"), Births.child(given: "Amina\t\nRose"),
      Births.mother(line: ["12\r\n", "Hill\u{2028}Road"]),
    ])
    #expect(fields["fullName"] == [["language": "eng", "value": "Amina Rose Banda"]])
    #expect(fields["addressLine1"] == [["language": "eng", "value": "12"]])
    #expect(fields["addressLine2"] == [["language": "eng", "value": "Hill Road"]])
    #expect(fields["phone"] == nil)
  }

  @Test
  func `cannot be broken by quotes in an address`() async throws {
    let hostile = "1\",\"UIN\":\"5075291708"
    let fields = try await fields([Births.task(), Births.child(), Births.mother(line: [hostile])])
    #expect(fields["addressLine1"] == [["language": "eng", "value": .string(hostile)]])
    #expect(fields["UIN"] == nil)
    #expect(try JSONValue.parse(JSONValue.object(fields).encoded()) == .object(fields))
  }

  @Test
  func `joins the parts of an address line as its rule says, and takes lines of 6 and of 16 parts`() async throws {
    for count in [6, 16] {
      let parts = ["12", "", "East", "Block"] + Array(repeating: "", count: count - 4)
      let fields = try await fields(
        [Births.task(), Births.child(), Births.mother(line: parts)], ["address-line-mapping": "1:1-5|2:2-3|3:40-50"])
      #expect(fields["addressLine1"] == [["language": "eng", "value": "12, East, Block"]])
      #expect(fields["addressLine2"] == nil)
      #expect(fields["addressLine3"] == nil)
    }
  }

  @Test
  func `leaves out what nobody knows: address without persons, phone and e-mail that the schema refuses`() async throws {
    let alone = try await fields([Births.task(phone: "+260789456123"), Births.child()])
    #expect(alone.keys == ["IDSchemaVersion", "fullName", "dateOfBirth", "gender", "email"])
    let dummy = try await fields([Births.task(phone: nil), Births.child()], ["dummy-phone": "9898989898"])
    #expect(dummy["phone"] == "9898989898")
  }

  @Test
  func `says what it leaves out by field and rule, never by value`() async throws {
    var child = Births.child()
    child["name"] = [
      ["use": "en", "given": ["Amina"], "family": ["Banda"]], ["use": "eng", "given": ["Second"]],
      ["use": "english", "given": ["Amina"], "family": "Banda"],
    ]
    let resources = [Births.task(phone: "+260789456123"), child, Births.mother()]
    let leftOut = try await identity(resources, ["dummy-phone": "9898989898"]).leftOut
    #expect(
      leftOut == [
        "fullName: a further name in eng, of which there can be one",
        "region: the id of a location, which is not looked up without locations-url",
        "zone: the id of a location, which is not looked up without locations-url",
        "phone: the event's does not fit the identity schema",
      ])
    let nothing = [Births.task(phone: nil), Births.child()]
    #expect(try await identity(nothing).leftOut.isEmpty)
  }

  private static let region = #""region":{"#
  private static let schema = SampleSchemas.text.replacing(
    region, with: #""province":{"fieldCategory":"pvt","type":"string"},"region":{"#)

  private func completed(
    _ resources: [JSONValue], _ given: [String: SettingValue] = [:], schema text: String = schema
  ) async throws -> BirthMapping.Identity {
    let schema = try IdSchema(json: Array(text.utf8))
    return try await mapping(given).identity(of: Births.read(resources), through: NoHTTP(), completedBy: schema) { _, _ in true }
  }

  @Test
  func `gives a new identity what the id repository demands and the event does not have, and says so`() async throws {
    let identity = try await completed([Births.task(), Births.child()])
    for name in ["addressLine1", "region", "city", "zone"] {
      #expect(identity.fields[name] == [["language": "eng", "value": "NA"]], "\(name)")
    }
    #expect(identity.fields["province"] == "NA")
    #expect(
      identity.leftOut
        == ["addressLine1", "region", "province", "city", "zone"].map { "\($0): not in the event, the default stands in" })
    let some = try await completed([Births.task(), Births.child(), Births.mother()], ["required-field-default": "unknown"])
    #expect(some.fields["city"] == [["language": "eng", "value": "Lakeside"]] && some.fields["province"] == "unknown")
  }

  @Test
  func `takes no default that the schema does not have or does not take, and none when it is told so`() async throws {
    let births = [Births.task(), Births.child()]
    let without = try await completed(births, schema: SampleSchemas.text)
    #expect(without.fields["province"] == nil && without.leftOut.allSatisfy { !$0.hasPrefix("province") })
    let number = SampleSchemas.text.replacing(Self.region, with: #""province":{"type":"number"},"region":{"#)
    let unfit = try await completed(births, schema: number)
    #expect(unfit.fields["province"] == nil)
    #expect(unfit.leftOut.contains("province: not in the event, and the default does not fit the identity schema"))
    for given: [String: SettingValue] in [["required-field-default": .text("")], ["required-fields": .texts([])]] {
      let none = try await completed(births, given)
      #expect(none.fields["region"] == nil && none.leftOut.isEmpty)
    }
    // As a correction needs it: only what the event says.
    let said = try await identity(births)
    #expect(said.fields["region"] == nil && said.leftOut.isEmpty)
  }

  @Test
  func `refuses a birth without what is demanded when it is strict, by the fields' names`() async throws {
    await #expect {
      _ = try await self.completed([Births.task(), Births.child(), Births.mother()], ["strict": .boolean(true)])
    } throws: {
      guard let fault = $0 as? MediatorError else { return false }
      return fault.code == .identity && fault.message.hasPrefix("region, province, zone: ")
    }
    let mapped: [String: SettingValue] = [
      "strict": .boolean(true), "location-mapping": "region:city:direct|province:city:direct|zone:city:direct|city:city:direct",
    ]
    let identity = try await completed([Births.task(), Births.child(), Births.mother()], mapped, schema: SampleSchemas.text)
    #expect(identity.leftOut.isEmpty && identity.fields["zone"] == identity.fields["city"])
  }

  @Test
  func `looks locations up, retries when that fails, and gives up on one that OpenCRVS does not know`() async throws {
    let resources = [Births.task(), Births.child(), Births.mother()]
    let url: [String: SettingValue] = ["locations-url": "http://crvs/locations/"]
    let found = NoHTTP(answer: ClientResponse(status: 200, body: Array(#"{"name":"Ibombo \"North\""}"#.utf8)))
    let fields = try await fields(resources, url, http: found)
    #expect(fields["region"] == [["language": "eng", "value": "Ibombo \"North\""]])
    #expect(fields["zone"] == fields["region"])

    await #expect { _ = try await self.fields(resources, url) } throws: { ($0 as? ServiceError)?.isRetriable == true }
    let down = NoHTTP(answer: ClientResponse(status: 503))
    await #expect { _ = try await self.fields(resources, url, http: down) } throws: {
      ($0 as? ServiceError)?.isRetriable == true
    }
    let unknown = NoHTTP(answer: ClientResponse(status: 404))
    await #expect { _ = try await self.fields(resources, url, http: unknown) } throws: {
      ($0 as? MediatorError)?.code == .location
    }
    let nameless = NoHTTP(answer: ClientResponse(status: 200, body: Array("{}".utf8)))
    await #expect { _ = try await self.fields(resources, url, http: nameless) } throws: {
      ($0 as? MediatorError)?.code == .location
    }
  }

  @Test
  func `takes a location that is a name already`() async throws {
    var mother = Births.mother()
    mother["address"] = [["type": "PRIMARY_ADDRESS", "line": ["1"], "state": "North"]]
    let fields = try await fields([Births.task(), Births.child(), mother])
    #expect(fields["region"] == [["language": "eng", "value": "North"]])
    #expect(fields["city"] == nil)
  }

  @Test(arguments: ["name", "birthDate"])
  func `makes no identity without name or date of birth`(_ member: String) async throws {
    var child = Births.child()
    child[member] = nil
    await #expect { _ = try await self.fields([Births.task(), child]) } throws: {
      ($0 as? MediatorError)?.code == .identity
    }
  }

  @Test
  func `reads dates strictly`() {
    #expect(BirthMapping.mosipDate("2024-02-29") == "2024/02/29")
    #expect(BirthMapping.mosipDate("2024-02-29T10:00:00Z") == "2024/02/29")
    #expect(BirthMapping.mosipDate("2000-02-29") == "2000/02/29")
    for none in ["2025-02-30", "2025-02-29", "1900-02-29", "2025-04-31", "2025-01-00"] {
      #expect(BirthMapping.mosipDate(none) == nil, "\(none)")
    }
    for wrong in ["2024-13-01", "2024-00-10", "2024-1-1", "29-02-2024", "2024/02/29", "2024-02-299", "", "२०२४-०२-२९"] {
      #expect(BirthMapping.mosipDate(wrong) == nil, "\(wrong)")
    }
  }

  @Test
  func `refuses rules that it cannot read, by the setting's name`() throws {
    for (name, text) in [
      ("address-line-mapping", "1:2-1"), ("address-line-mapping", "1:0-2"), ("address-line-mapping", "x"),
      ("location-mapping", "region:planet:id"), ("location-mapping", "region:state:guess"),
      ("lang-code-mapping", "eng"),
    ] {
      #expect { try mapping([name: .text(text)]) } throws: { ($0 as? SettingError)?.setting == name }
    }
  }
}
