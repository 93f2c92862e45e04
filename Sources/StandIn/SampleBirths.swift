import JSON
import Registration
import System

/// Made-up births in the forms that OpenCRVS' releases send (docs/upstream/opencrvs-and-websub.md#13-payload-by-release). Nobody in them
/// exists. The same seed and run make the same births; another run makes other registration numbers and record ids, so that both can be
/// sent to one pipeline.
public struct SampleBirths: Sendable {
  /// One webhook.
  public struct Birth: Sendable {
    /// A short name for a list, e.g. `sample-3`.
    public var name: String
    /// The number that OpenCRVS knows the birth by.
    public var registrationNumber: String
    /// The webhook's body.
    public var body: [UInt8]
    /// The id of the record.
    public var recordId: String
    /// The child's given name.
    public var givenName: String
    /// The child's family name.
    public var familyName: String
    /// The child's day of birth, `yyyy-MM-dd`.
    public var birthDate: String
  }

  private struct Tongue {
    /// `name[].use`
    var code: String
    var girls: [String]
    var boys: [String]
    var women: [String]
    var men: [String]
    var families: [String]
    var street: String
    var town: String
  }

  private static let tongues: [Tongue] = [
    Tongue(
      code: "en", girls: ["Amina", "Chipo", "Ruth"], boys: ["Mutale", "Daniel", "Joseph"],
      women: ["Grace", "Mary-Anne"],
      men: ["Peter", "O'Neil"], families: ["Banda", "Phiri", "Mwansa"], street: "Hill Road", town: "Lakeside"),
    Tongue(
      code: "fr", girls: ["Zoé", "Aïssatou"], boys: ["François", "Noël"], women: ["Hélène", "Fatoumata"],
      men: ["Étienne", "Moussa"],
      families: ["Diallo", "Lefèvre", "N'Guessan"], street: "Rue de l'Église", town: "Saint-Éloi"),
    Tongue(
      code: "ar", girls: ["ليلى", "مريم"], boys: ["يوسف", "عمر"], women: ["فاطمة", "سلمى"], men: ["أحمد", "خالد"],
      families: ["الحسن", "بن سعيد"], street: "شارع النيل", town: "الواحة"),
    Tongue(
      code: "am", girls: ["ሰላም", "ብርሃን"], boys: ["ዳዊት", "አበበ"], women: ["አልማዝ", "ሙሉ"], men: ["ከበደ", "ተስፋዬ"],
      families: ["ወልደማርያም", "ገብረ"], street: "የተራራ መንገድ", town: "አዲስ"),
    Tongue(
      code: "bn", girls: ["অনন্যা", "শিরিন"], boys: ["রাহুল", "তানভীর"], women: ["রেহানা", "সুমিত্রা"], men: ["করিম", "অমল"],
      families: ["চৌধুরী", "রহমান"], street: "নদীর পাড়", town: "শান্তিপুর"),
    Tongue(
      code: "km", girls: ["សុភា", "ចាន់ធី"], boys: ["វិចិត្រ", "ដារ៉ា"], women: ["សុខា", "បុប្ផា"], men: ["សុខ", "រតនា"],
      families: ["ជា", "ហេង"], street: "ផ្លូវទន្លេ", town: "ភូមិថ្មី"),
    Tongue(
      code: "kn", girls: ["ಲಕ್ಷ್ಮಿ", "ಕಾವ್ಯ"], boys: ["ರಾಘವ", "ಅರ್ಜುನ್"], women: ["ಸುಮಾ", "ಗೀತಾ"], men: ["ಮಂಜುನಾಥ", "ಶಿವಪ್ಪ"],
      families: ["ಗೌಡ", "ಹೆಗಡೆ"], street: "ಬೆಟ್ಟದ ರಸ್ತೆ", town: "ಹೊಸಹಳ್ಳಿ"),
    Tongue(
      code: "es", girls: ["Lucía", "Ximena"], boys: ["Ángel", "Íñigo"], women: ["Begoña", "María José"],
      men: ["Raúl", "José"],
      families: ["Peña", "Muñoz Güell"], street: "Calle del Río", town: "Villa Ñuble"),
  ]

  private static let places = [
    "50000000-0000-4000-8000-000000000001": "Central Province",
    "50000000-0000-4000-8000-000000000002": "Northern Province",
    "d0000000-0000-4000-8000-000000000001": "Lake District", "d0000000-0000-4000-8000-000000000002": "Hill District",
  ]

  /// The name of a place; any id has one, so that events of other systems can be sent too.
  public static func placeName(of id: String) -> String { places[id] ?? "Place \(id.prefix(4))" }

  private let run: String
  private let year: Int
  private var dice: Dice

  /// Births of a run, whose letters and digits are in every registration number.
  public init(seed: UInt64, run: String, year: Int) {
    self.run = run
    self.year = year
    dice = Dice(state: seed)
  }

  /// Who is in a birth's event.
  private enum Family: Int { case motherAndFather, motherFirst, fatherOnly, informantOnly, withoutAddress, twins }

  /// How an event is written: by OpenCRVS 1.2 and before (types as texts, families as lists), by 1.3 and 1.4 (types as codings), and by
  /// later releases (families as texts, with a Composition).
  private enum Form: Int { case old, middle, new }

  /// So many births. The six kinds of family come in turn, in turning languages and forms; each round begins one kind further on, so that
  /// every kind comes in each form. Twins are two births. The phone of every third is none that MOSIP's identity schema takes.
  public mutating func make(_ count: Int) -> [Birth] {
    var births: [Birth] = []
    var twin: (child: Person, mother: Person, father: Person, tongue: Tongue)?
    for index in 0..<count {
      let tongue = twin?.tongue ?? Self.tongues[index % Self.tongues.count]
      let form = Form(rawValue: index % 3) ?? .old
      let family = twin != nil ? .twins : Family(rawValue: (index / 6 + index) % 6) ?? .motherAndFather
      let isGirl = dice.roll(2) == 0
      let familyName = dice.pick(tongue.families)
      let date = String(year) + "-" + two(1 + dice.roll(6)) + "-" + two(1 + dice.roll(28))
      var child = Person(
        id: id("c", index), given: dice.pick(isGirl ? tongue.girls : tongue.boys), family: familyName,
        tongue: tongue.code,
        gender: isGirl ? "female" : "male", birthDate: date)
      var mother = Person(
        id: id("a", index), given: dice.pick(tongue.women), family: familyName, tongue: tongue.code, gender: "female",
        birthDate: "19\(80 + dice.roll(20))-0\(1 + dice.roll(9))-1\(dice.roll(10))")
      var father = Person(
        id: id("b", index), given: dice.pick(tongue.men), family: familyName, tongue: tongue.code, gender: "male",
        birthDate: "19\(75 + dice.roll(25))-0\(1 + dice.roll(9))-2\(dice.roll(9))")
      if let first = twin {
        // The second of twins: other event, other name, same parents and day.
        (mother, father) = (first.mother, first.father)
        child.family = first.child.family
        child.birthDate = first.child.birthDate
        child.birthOrder = 2
        twin = nil
      } else if family == .twins {
        child.birthOrder = 1
        twin = (child, mother, father, tongue)
      }
      let home = Address(
        line: [String(1 + dice.roll(99)), tongue.street, "Ward \(1 + dice.roll(9))"], town: tongue.town,
        place: 1 + dice.roll(2),
        postalCode: "10\(100 + dice.roll(900))")
      births.append(event(index, form, family, child, mother, father, home))
    }
    return births
  }

  private struct Person {
    var id: String
    var given: String
    var family: String
    var tongue: String
    var gender: String
    var birthDate: String
    var birthOrder: Int?
  }

  private struct Address {
    var line: [String]
    var town: String
    var place: Int
    var postalCode: String
  }

  // MARK: the event

  private func event(
    _ index: Int, _ form: Form, _ family: Family, _ child: Person, _ mother: Person, _ father: Person, _ home: Address
  ) -> Birth {
    let isNew = form == .new
    let number = "\(year)B\(run)\(String(index + 1, radix: 36).uppercased().leftPadded(to: 3))"
    let record = id("e", index)
    let address = family == .withoutAddress ? nil : home
    let hasMother = family != .fatherOnly && family != .informantOnly
    let hasFather = family != .informantOnly && (family != .motherFirst || index % 4 == 0)
    let informant = family == .informantOnly ? "GRANDMOTHER" : hasMother ? "MOTHER" : "FATHER"

    let task = entry("Task", id("f", index), isNew, task(number, record, informant, index))
    let childEntry = entry(
      "Patient", child.id, isNew,
      patient(child, form, identifiers: [("BIRTH_REGISTRATION_NUMBER", number)], address: nil))
    let motherEntry = entry("Patient", mother.id, isNew, patient(mother, form, identifiers: [], address: address))
    // Where there is a mother the father has no address of his own.
    let fatherEntry = entry(
      "Patient", father.id, isNew, patient(father, form, identifiers: [], address: hasMother ? nil : address))
    let teller = Person(
      id: id("d", index), given: mother.given, family: mother.family, tongue: mother.tongue, gender: "female",
      birthDate: "1955-02-03")
    let tellerEntry = entry("Patient", teller.id, isNew, patient(teller, form, identifiers: [], address: address))
    let related = entry(
      "RelatedPerson", id("9", index), isNew,
      [
        "relationship": [
          "coding": [
            ["system": "http://hl7.org/fhir/ValueSet/relatedperson-relationshiptype", "code": .string(informant)]
          ]
        ],
        "patient": [
          "reference": .string("Patient/\(family == .informantOnly ? teller.id : hasMother ? mother.id : father.id)")
        ],
      ])

    var entries: [JSONValue] = []
    if isNew {
      entries.append(
        entry("Composition", record, true, composition(child, hasMother ? mother : nil, hasFather ? father : nil)))
    }
    entries.append(task)
    // Releases of 1.5 and later keep the record's own order, in which the mother may come first.
    if isNew, hasMother { entries.append(motherEntry) }
    entries.append(childEntry)
    if !isNew, hasMother { entries.append(motherEntry) }
    if hasFather { entries.append(fatherEntry) }
    if family == .informantOnly { entries.append(tellerEntry) }
    entries.append(related)

    let bundle: JSONValue = [
      "resourceType": "Bundle", "type": isNew ? "document" : "collection", "entry": .array(entries),
    ]
    let body: JSONValue = [
      "timestamp": .string("\(child.birthDate)T08:00:00.000Z"), "id": .string(id("8", index)),
      "event": ["hub": ["topic": "BIRTH_REGISTERED"], "context": [bundle]],
    ]
    return Birth(
      name: "sample-\(index + 1)", registrationNumber: number, body: body.encoded(), recordId: record, givenName: child.given,
      familyName: child.family, birthDate: child.birthDate)
  }

  private func entry(_ type: String, _ id: String, _ isNew: Bool, _ members: JSONObject) -> JSONValue {
    var resource: JSONObject = ["resourceType": .string(type), "id": .string(id)]
    for member in members { resource[member.key] = member.value }
    return isNew
      ? ["fullUrl": .string("/fhir/\(type)/\(id)/1"), "resource": .object(resource)] : ["resource": .object(resource)]
  }

  private func task(_ number: String, _ record: String, _ informant: String, _ index: Int) -> JSONObject {
    let id = "http://opencrvs.org/specs/id/"
    let about = "http://opencrvs.org/specs/extension/"
    return [
      "status": "requested", "code": ["coding": [["system": "http://opencrvs.org/specs/types", "code": "BIRTH"]]],
      "focus": ["reference": .string("Composition/\(record)")],
      "identifier": [
        ["system": .string(id + "birth-tracking-id"), "value": .string("B" + run.suffix(3) + String(100 + index))],
        ["system": .string(id + "birth-registration-number"), "value": .string(number)],
      ],
      "businessStatus": ["coding": [["system": "http://opencrvs.org/specs/reg-status", "code": "REGISTERED"]]],
      "extension": [
        ["url": .string(about + "contact-person"), "valueString": .string(informant)],
        [
          "url": .string(about + "contact-person-phone-number"),
          "valueString": .string((index % 3 == 0 ? "+260" : "0") + "7000\(10_000 + index)"),
        ],
      ],
    ]
  }

  private func patient(_ person: Person, _ form: Form, identifiers: [(String, String)], address: Address?)
    -> JSONObject
  {
    let isNew = form == .new
    var out: JSONObject = [
      "active": true,
      "name": [
        [
          "use": .string(person.tongue), "given": isNew ? [.string(person.given), ""] : [.string(person.given)],
          "family": isNew ? .string(person.family) : [.string(person.family)],
        ]
      ],
      "gender": .string(person.gender), "birthDate": .string(person.birthDate),
    ]
    if let order = person.birthOrder { out["multipleBirthInteger"] = JSONValue(order) }
    out["identifier"] = .array(
      identifiers.map { kind, value in
        let type: JSONValue =
          form == .old
          ? .string(kind) : ["coding": [["system": "http://opencrvs.org/specs/identifier-type", "code": .string(kind)]]]
        return ["value": .string(value), "type": type]
      })
    if let address {
      var line = address.line.map { JSONValue.string($0) } + ["", "", "URBAN"]
      if isNew { line += Array(repeating: "", count: 9) }
      out["address"] = [
        [
          "type": "PRIMARY_ADDRESS", "line": .array(line), "city": .string(address.town),
          "district": .string("d0000000-0000-4000-8000-00000000000\(address.place)"),
          "state": .string("50000000-0000-4000-8000-00000000000\(address.place)"),
          "postalCode": .string(address.postalCode),
          "country": "FAR",
        ]
      ]
    }
    return out
  }

  private func composition(_ child: Person, _ mother: Person?, _ father: Person?) -> JSONObject {
    func section(_ code: String, _ person: Person) -> JSONValue {
      [
        "code": ["coding": [["system": "http://opencrvs.org/specs/sections", "code": .string(code)]]],
        "entry": [["reference": .string("Patient/\(person.id)")]],
      ]
    }
    var sections: [JSONValue] = []
    if let mother { sections.append(section("mother-details", mother)) }
    sections.append(section("child-details", child))
    if let father { sections.append(section("father-details", father)) }
    return [
      "type": ["coding": [["system": "http://opencrvs.org/specs/types", "code": "birth-declaration"]]],
      "section": .array(sections),
    ]
  }

  private func id(_ kind: String, _ index: Int) -> String { Self.id(run, kind, index) }

  /// A UUID that is the same for the same run, kind and place.
  static func id(_ run: String, _ kind: String, _ index: Int) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in "\(run)/\(kind)/\(index)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    var mixed = Dice(state: hash)
    var bytes: [UInt8] = []
    for _ in 0..<2 {
      let word = mixed.next()
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * UInt64(shift)))) }
    }
    bytes[6] = bytes[6] & 0x0f | 0x40
    bytes[8] = bytes[8] & 0x3f | 0x80
    return SecureRandom.uuidText(bytes)
  }

  private func two(_ number: Int) -> String { String(number).leftPadded(to: 2) }
}

/// Numbers that are the same for the same seed (splitmix64, Steele et al. 2014).
struct Dice: Sendable {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }

  /// A number below `sides`.
  mutating func roll(_ sides: Int) -> Int { Int(next() % UInt64(sides)) }

  mutating func pick(_ texts: [String]) -> String { texts[roll(texts.count)] }
}

extension String {
  /// With zeros in front up to a number of characters.
  func leftPadded(to width: Int) -> String { String(repeating: "0", count: Swift.max(0, width - count)) + self }
}
