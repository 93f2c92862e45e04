import JSON
import Registration
import System

/// Made-up events of all kinds about made-up births: deaths, corrections, reversals, and events that must end in a named error. They come
/// in the form in which each birth was told, deaths in the older or the newer one. The same seed, run and moment make the same events.
public struct SampleEvents: Sendable {
  /// One webhook.
  public struct Event: Sendable {
    /// A short name for a list, e.g. `death-new-form`.
    public var name: String
    /// The topic, e.g. `DEATH_REGISTERED`.
    public var topic: String
    /// The number that OpenCRVS knows the record by.
    public var registrationNumber: String
    /// The webhook's body.
    public var body: [UInt8]
    /// When it may be sent: all events of lower waves must have ended.
    public var wave: Int
    /// What it may end as with the shipped settings, e.g. `deactivated`; which of several is a matter of settings.
    public var results: [String]
    /// The codes of which it must end with one; none for an event that must not end in an error.
    public var errorCodes: [String] = []
  }

  /// What is made.
  public enum Selection: Sendable, Hashable {
    /// All events of a topic, and what must come before them.
    case topic(String)
    /// All that must end in an error, and what must come before them.
    case errors
  }

  /// How many births the events are about.
  public static let births = 8

  private let run: String
  private let seed: UInt64
  private let year: Int
  /// The moment that events of a run are dated with.
  private let moment: Instant

  /// Events of a run, whose letters and digits are in every registration number.
  public init(seed: UInt64, run: String, year: Int, at moment: Instant) {
    self.run = run
    self.seed = seed
    self.year = year
    self.moment = moment
  }

  /// Births and all that comes of them, in an order in which they can be sent.
  public func all() -> [Event] {
    var samples = SampleBirths(seed: seed, run: run, year: year)
    let births = samples.make(Self.births)
    return births.map(registered) + errors(births) + first(births) + second(births)
  }

  /// Those of a selection, with what must come before each: events of its record or of the birth that it names.
  public func only(_ selection: Selection) -> [Event] {
    let all = all()
    let wanted = all.filter { event in
      switch selection {
      case .topic(let topic): event.topic == topic && event.errorCodes.isEmpty
      case .errors: !event.errorCodes.isEmpty
      }
    }
    if selection == .topic("BIRTH_REGISTERED") { return wanted }
    let needed = Set(wanted.flatMap { before($0, of: all) + [$0.name] })
    return all.filter { needed.contains($0.name) }
  }

  /// The names of the events that an event rests on.
  private func before(_ event: Event, of all: [Event]) -> [String] {
    let text = String(decoding: event.body, as: UTF8.self)
    let earlier = all.filter { $0.wave < event.wave && $0.errorCodes.isEmpty && text.contains("\"\($0.registrationNumber)\"") }
    return earlier.map(\.name)
  }

  private func registered(_ birth: SampleBirths.Birth) -> Event {
    Event(
      name: birth.name, topic: "BIRTH_REGISTERED", registrationNumber: birth.registrationNumber, body: birth.body, wave: 0,
      results: ["uin-token"])
  }

  // MARK: what comes of births

  /// What rests on births alone.
  private func first(_ births: [SampleBirths.Birth]) -> [Event] {
    [
      death("death-new-form", births[0], 1, isNew: true), death("death-old-form", births[1], 2, isNew: false),
      correction("birth-corrected-name-and-date", births[2], 1, ["corrected"]) { child in
        Self.rename(&child, to: "Rose")
        child["birthDate"] = .string(Self.dayAfter(births[2].birthDate))
      },
      correction("birth-corrected-name", births[3], 1, ["corrected"]) { Self.rename(&$0, to: "Rose") },
      // A mother's occupation is no field of MOSIP's.
      changed(
        "birth-corrected-nothing-for-mosip", "BIRTH_CORRECTED", births[5].body, births[5].registrationNumber, 1, ["unchanged"]
      ) { resource in
        guard resource["resourceType"]?.string == "Patient", !Self.isNumbered(resource, births[5].registrationNumber) else {
          return
        }
        resource["extension"] = [
          ["url": "http://opencrvs.org/specs/extension/patient-occupation", "valueString": "Teacher"]
        ]
      },
      changed(
        "birth-revoked", "BIRTH_REVOKED", births[6].body, births[6].registrationNumber, 1, ["deactivated"]),
    ]
  }

  /// What rests on deaths and revocations.
  private func second(_ births: [SampleBirths.Birth]) -> [Event] {
    let (kept, reversed) = (death("", births[0], 1, isNew: true), death("", births[1], 2, isNew: false))
    return [
      // The day of death is no field of MOSIP's unless deaths are flagged.
      changed("death-corrected-date", "DEATH_CORRECTED", kept.body, kept.registrationNumber, 2, ["unchanged", "corrected"]) {
        if $0["deceasedBoolean"] != nil { $0["deceasedDateTime"] = .string(day(-2)) }
      },
      changed("death-reversed", "DEATH_REVERSED", reversed.body, reversed.registrationNumber, 2, ["activated"]),
      changed("birth-reinstated", "BIRTH_REINSTATED", births[6].body, births[6].registrationNumber, 2, ["activated"]),
    ]
  }

  /// Events of which each must end in an error with a name.
  private func errors(_ births: [SampleBirths.Birth]) -> [Event] {
    let nameless = without("error-birth-without-name", births[0], 1) { $0["name"] = nil }
    let dayless = without("error-birth-on-no-day", births[1], 2) { $0["birthDate"] = .string("\(year)-02-30") }
    let somebodyElse = SampleBirths.Birth(
      name: "", registrationNumber: births[7].registrationNumber, body: births[7].body, recordId: births[7].recordId,
      givenName: "Wilhelmina", familyName: "Other", birthDate: "1931-04-05")
    return [
      nameless, dayless,
      failing(death("error-death-names-nobody", births[7], 3, isNew: true, identifiers: []), ["OPN-CRVS-029"]),
      failing(
        death("error-death-of-unknown-uin", births[7], 4, isNew: true, identifiers: [("NATIONAL_ID", Self.uin(seed, run))]),
        ["OPN-CRVS-028"]),
      failing(
        changed(
          "error-reversal-of-nothing", "DEATH_REVERSED", death("", births[7], 5, isNew: true, identifiers: []).body, number(5), 0,
          []),
        ["OPN-CRVS-017", "OPN-CRVS-029"]),
      failing(
        death("error-death-in-the-future", births[7], 7, isNew: true, identifiers: [], day: 30), ["OPN-CRVS-006"]),
      failing(
        death(
          "error-death-of-somebody-else", somebodyElse, 6, isNew: true,
          identifiers: [("BIRTH_REGISTRATION_NUMBER", births[7].registrationNumber)]),
        ["OPN-CRVS-008"], wave: 1),
    ]
  }

  private func failing(_ event: Event, _ codes: [String], wave: Int = 0) -> Event {
    var event = event
    (event.results, event.errorCodes, event.wave) = ([], codes, wave)
    return event
  }

  /// A birth of a record and number of its own, with a child of whom something is missing.
  private func without(_ name: String, _ birth: SampleBirths.Birth, _ place: Int, _ edit: (inout JSONValue) -> Void) -> Event {
    let number = "\(year)B\(run)E\(place)"
    var event = changed(name, "BIRTH_REGISTERED", birth.body, number, 0, []) { resource in
      if Self.isNumbered(resource, birth.registrationNumber) { edit(&resource) }
      if resource["resourceType"]?.string == "Task" { Self.track(&resource, by: "B\(run.suffix(3))E0\(place)") }
    }
    let text = String(decoding: event.body, as: UTF8.self)
    event.body = Array(
      text.replacing(birth.registrationNumber, with: number).replacing(birth.recordId, with: SampleBirths.id(run, "E", place)).utf8)
    event.errorCodes = ["OPN-CRVS-006"]
    return event
  }

  private static func track(_ task: inout JSONValue, by id: String) {
    let identifiers = (task["identifier"]?.array ?? []).map { identifier in
      var identifier = identifier
      if identifier["system"]?.string?.hasSuffix("tracking-id") == true { identifier["value"] = .string(id) }
      return identifier
    }
    task["identifier"] = .array(identifiers)
  }

  // MARK: later states of a record

  private func correction(
    _ name: String, _ birth: SampleBirths.Birth, _ wave: Int, _ results: [String], _ edit: (inout JSONValue) -> Void
  ) -> Event {
    changed(name, "BIRTH_CORRECTED", birth.body, birth.registrationNumber, wave, results) { resource in
      if Self.isNumbered(resource, birth.registrationNumber) { edit(&resource) }
    }
  }

  /// An event of the same record as another one, later than it and with other content.
  public func changed(
    _ name: String, _ topic: String, _ body: [UInt8], _ number: String, _ wave: Int, _ results: [String],
    _ edit: (inout JSONValue) -> Void = { _ in }
  ) -> Event {
    var value = (try? JSONValue.parse(body)) ?? .null
    let modified = moment.advanced(bySeconds: Double(wave)).iso
    let entries = (value["event"]?["context"]?[0]?["entry"]?.array ?? []).map { entry -> JSONValue in
      var (entry, resource) = (entry, entry["resource"] ?? .null)
      if resource["resourceType"]?.string == "Task", topic != "BIRTH_REGISTERED" { resource["lastModified"] = .string(modified) }
      edit(&resource)
      entry["resource"] = resource
      return entry
    }
    var bundle = value["event"]?["context"]?[0] ?? .null
    bundle["entry"] = .array(entries)
    value["timestamp"] = .string(modified)
    value["id"] = .string(SampleBirths.id(run, name, wave))
    value["event"] = ["hub": ["topic": .string(topic)], "context": [bundle]]
    return Event(name: name, topic: topic, registrationNumber: number, body: value.encoded(), wave: wave, results: results)
  }

  private static func isNumbered(_ resource: JSONValue, _ number: String) -> Bool {
    resource["resourceType"]?.string == "Patient"
      && resource["identifier"]?.array?.contains { $0["value"]?.string == number } == true
  }

  /// A second given name.
  private static func rename(_ child: inout JSONValue, to second: String) {
    guard var name = child["name"]?[0], let first = name["given"]?[0]?.string else { return }
    name["given"] = [.string(first + " " + second)]
    child["name"] = [name]
  }

  private static func dayAfter(_ date: String) -> String {
    Instant(iso: date + "T00:00:00.000Z").map { String($0.advanced(bySeconds: 86_400).iso.prefix(10)) } ?? date
  }

  private func day(_ days: Int) -> String { String(moment.advanced(bySeconds: Double(days) * 86_400).iso.prefix(10)) }

  /// A UIN by its check digit and rules that nobody was given, but for an unlikely chance.
  private static func uin(_ seed: UInt64, _ run: String) -> String {
    var dice = Dice(state: run.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 })
    let rules = UINRules()
    while true {
      let digits = (0..<9).map { _ in UInt8(dice.roll(10)) }
      let text = (digits + [Verhoeff.checkDigit(of: digits)]).map(String.init).joined()
      if rules.check(text) == nil { return text }
    }
  }

  // MARK: deaths

  /// The number of a death.
  private func number(_ place: Int) -> String { "\(year + 1)D\(run)\(String(place).leftPadded(to: 3))" }

  /// The death of a child, of a record that has its place among the run's deaths. In the newer form the informant stands before the deceased.
  /// - Parameter identifiers: how the deceased is named; by the number of the birth when nothing is said.
  public func death(
    _ name: String, _ birth: SampleBirths.Birth, _ place: Int, isNew: Bool, identifiers: [(String, String)]? = nil,
    day days: Int = -3
  ) -> Event {
    let (number, record, deceased) = (number(place), SampleBirths.id(run, "de", place), SampleBirths.id(run, "dp", place))
    let (informant, relation) = (SampleBirths.id(run, "di", place), SampleBirths.id(run, "dr", place))
    let names = identifiers ?? [("BIRTH_REGISTRATION_NUMBER", birth.registrationNumber)]
    var person = Self.person(birth, isNew: isNew, [("DEATH_REGISTRATION_NUMBER", number)] + names)
    person["deceasedBoolean"] = true
    person["deceasedDateTime"] = .string(day(days))
    let teller: JSONValue = [
      "active": true, "name": [Self.name("Ruth", "Mwansa", "en", isNew)], "gender": "female", "birthDate": "1971-03-04",
      "identifier": [],
    ]
    let relative: JSONValue = [
      "relationship": [
        "coding": [["system": "http://hl7.org/fhir/ValueSet/relatedperson-relationshiptype", "code": "GRANDMOTHER"]]
      ], "patient": ["reference": .string("Patient/\(informant)")],
    ]
    var entries = [Self.entry("Task", SampleBirths.id(run, "dt", place), isNew, task(number, record))]
    if isNew {
      entries.insert(Self.entry("Composition", record, true, Self.composition(deceased: deceased, relation: relation)), at: 0)
      entries.append(Self.entry("Patient", informant, true, teller))
    }
    entries.append(Self.entry("Patient", deceased, isNew, person))
    if !isNew { entries.append(Self.entry("Patient", informant, false, teller)) }
    entries.append(Self.entry("RelatedPerson", relation, isNew, relative))
    let bundle: JSONValue = [
      "resourceType": "Bundle", "type": isNew ? "document" : "collection", "entry": .array(entries),
    ]
    let body: JSONValue = [
      "timestamp": .string(moment.iso), "id": .string(SampleBirths.id(run, "dd", place)),
      "event": ["hub": ["topic": "DEATH_REGISTERED"], "context": [bundle]],
    ]
    return Event(
      name: name, topic: "DEATH_REGISTERED", registrationNumber: number, body: body.encoded(), wave: 1,
      results: ["deactivated", "flagged"])
  }

  private static func entry(_ type: String, _ id: String, _ isNew: Bool, _ members: JSONValue) -> JSONValue {
    var resource: JSONValue = ["resourceType": .string(type), "id": .string(id)]
    for member in members.object ?? [:] { resource[member.key] = member.value }
    return isNew ? ["fullUrl": .string("/fhir/\(type)/\(id)/1"), "resource": resource] : ["resource": resource]
  }

  private static func name(_ given: String, _ family: String, _ language: String, _ isNew: Bool) -> JSONValue {
    ["use": .string(language), "given": [.string(given)], "family": isNew ? .string(family) : [.string(family)]]
  }

  /// Who was born, with other numbers.
  private static func person(_ birth: SampleBirths.Birth, isNew: Bool, _ identifiers: [(String, String)]) -> JSONValue {
    let entries = (try? JSONValue.parse(birth.body))?["event"]?["context"]?[0]?["entry"]?.array ?? []
    let child = entries.compactMap { $0["resource"] }.first { isNumbered($0, birth.registrationNumber) } ?? .null
    let language = child["name"]?[0]?["use"]?.string ?? "en"
    return [
      "active": true, "name": [name(birth.givenName, birth.familyName, language, isNew)], "gender": child["gender"] ?? "female",
      "birthDate": .string(birth.birthDate),
      "identifier": .array(
        identifiers.map { kind, value in
          let coding: JSONValue = ["coding": [["system": "http://opencrvs.org/specs/identifier-type", "code": .string(kind)]]]
          return ["value": .string(value), "type": isNew ? coding : .string(kind)]
        }),
    ]
  }

  private func task(_ number: String, _ record: String) -> JSONValue {
    let id = "http://opencrvs.org/specs/id/"
    return [
      "status": "ready", "intent": "proposal",
      "code": ["coding": [["system": "http://opencrvs.org/specs/types", "code": "DEATH"]]],
      "focus": ["reference": .string("Composition/\(record)")],
      "identifier": [
        ["system": .string(id + "death-tracking-id"), "value": .string("D" + number.suffix(6))],
        ["system": .string(id + "death-registration-number"), "value": .string(number)],
      ],
      "businessStatus": ["coding": [["system": "http://opencrvs.org/specs/reg-status", "code": "REGISTERED"]]],
      "lastModified": .string(moment.iso),
    ]
  }

  private static func composition(deceased: String, relation: String) -> JSONValue {
    func section(_ code: String, _ reference: String) -> JSONValue {
      [
        "title": .string(code), "code": ["coding": [["system": "http://opencrvs.org/specs/sections", "code": .string(code)]]],
        "entry": [["reference": .string(reference)]],
      ]
    }
    return [
      "type": ["coding": [["system": "http://opencrvs.org/specs/types", "code": "death-declaration"]]], "status": "final",
      "section": [
        section("informant-details", "RelatedPerson/\(relation)"), section("deceased-details", "Patient/\(deceased)"),
      ],
    ]
  }
}
