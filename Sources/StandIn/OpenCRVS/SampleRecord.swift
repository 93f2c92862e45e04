import JSON
import Registration
import System

/// A made-up record before it is registered: the same person as in a made-up webhook, for the forms of releases that ask for registration
/// first. It has no registration number yet. It is no part of a deployment.
public struct SampleRecord: Sendable {
  /// What is registered.
  public enum Kind: String, Sendable {
    case birth, death
    /// The word in types of resources and, for births, before numbers: `BIRTH`.
    var upper: String { rawValue.uppercased() }
  }

  /// Somebody of the record.
  public struct Person: Sendable {
    /// Which section is about them: `child`, `mother`, `father`, `deceased`, `informant`.
    public var section: String
    /// The id of the resource.
    public var id: String
    /// The given names.
    public var given: String
    /// The family name.
    public var family: String
    /// The language of the name, e.g. `en`.
    public var language: String
    /// `male`, `female` or `unknown`.
    public var gender: String
    /// `yyyy-MM-dd`.
    public var birthDate: String
    /// Numbers by type, e.g. `NATIONAL_ID`.
    public var identifiers: [(type: String, value: String)]
    /// The address as FHIR has it.
    var address: JSONValue?
    /// What they do; no field of MOSIP's.
    public var occupation: String?
  }

  /// Birth or death.
  public let kind: Kind
  /// The id of the record: of its Composition, or of its event.
  public let id: String
  /// What the informant gets to ask with.
  public let trackingId: String
  /// Whom it is about first, then the others.
  public var persons: [Person]
  /// How the informant is related, e.g. `MOTHER`.
  public var relation: String
  /// The informant's telephone number.
  public var phone: String?
  /// The day of death, `yyyy-MM-dd`.
  public var dateOfDeath: String?
  /// The token by which the mother showed who she is; nil when nobody did.
  public var guardianToken: String?

  /// The person whom the record is about.
  public var subject: Person {
    get { persons[0] }
    set { persons[0] = newValue }
  }

  /// Whom a section is about.
  func person(_ section: String) -> Person? { persons.first { $0.section == section } }

  /// The section of the person whom the record is about.
  var mainSection: String { kind == .birth ? "child" : "deceased" }

  // MARK: from webhooks

  /// The births of a run, without numbers.
  public static func births(_ count: Int, seed: UInt64, run: String, year: Int) -> [SampleRecord] {
    var samples = SampleBirths(seed: seed, run: run, year: year)
    return samples.make(count).compactMap { SampleRecord($0) }
  }

  /// The record of a made-up birth; nil for a body that no generator makes.
  public init?(_ birth: SampleBirths.Birth) {
    self.init(.birth, birth.body, number: birth.registrationNumber)
  }

  /// The record of a made-up death; nil for a body that no generator makes.
  public init?(death event: SampleEvents.Event) { self.init(event) }

  /// The record of a made-up event as that event leaves it; nil for a body that no generator makes.
  public init?(_ event: SampleEvents.Event) {
    self.init(event.topic.hasPrefix("DEATH") ? .death : .birth, event.body, number: event.registrationNumber)
  }

  private init?(_ kind: Kind, _ webhook: [UInt8], number: String) {
    let entries = (try? JSONValue.parse(webhook))?["event"]?["context"]?[0]?["entry"]?.array ?? []
    let resources = entries.compactMap { $0["resource"] }
    func all(_ type: String) -> [JSONValue] { resources.filter { $0["resourceType"]?.string == type } }
    guard let task = all("Task").first, let related = all("RelatedPerson").first,
      let record = task["focus"]?["reference"]?.string?.split(separator: "/").last,
      let tracking = Self.identifier(task, endingIn: "tracking-id"),
      let subject = all("Patient").first(where: { Self.numbers($0).contains { $0.value == number } })
    else { return nil }
    self.kind = kind
    id = String(record)
    trackingId = tracking
    relation = related["relationship"]?["coding"]?[0]?["code"]?.string ?? "OTHER"
    phone = task["extension"]?.array?.first { $0["url"]?.string?.hasSuffix("phone-number") == true }?["valueString"]?.string
    dateOfDeath = subject["deceasedDateTime"]?.string
    let informant = related["patient"]?["reference"]?.string?.split(separator: "/").last.map(String.init)
    let (isFamily, main) = (relation == "MOTHER" || relation == "FATHER", kind == .birth ? "child" : "deceased")
    persons = ([subject] + all("Patient").filter { $0 != subject }).map { patient in
      let isInformant = !isFamily && patient["id"]?.string == informant
      let section = patient == subject ? main : isInformant || kind == .death ? "informant" : Self.parent(patient)
      return Person(patient, section, without: number)
    }
  }

  private static func parent(_ patient: JSONValue) -> String { patient["gender"]?.string == "male" ? "father" : "mother" }

  static func identifier(_ resource: JSONValue, endingIn end: String) -> String? {
    resource["identifier"]?.array?.first { $0["system"]?.string?.hasSuffix(end) == true }?["value"]?.string
  }

  static func occupation(_ patient: JSONValue) -> String? {
    patient["extension"]?.array?.first { $0["url"]?.string?.hasSuffix("/patient-occupation") == true }?["valueString"]?.string
  }

  /// The numbers of a patient, in the older and the newer form.
  static func numbers(_ patient: JSONValue) -> [(type: String, value: String)] {
    (patient["identifier"]?.array ?? []).compactMap { entry in
      guard let value = entry["value"]?.string else { return nil }
      return (entry["type"]?.string ?? entry["type"]?["coding"]?[0]?["code"]?.string ?? "", value)
    }
  }
}

extension SampleRecord.Person {
  fileprivate init(_ patient: JSONValue, _ section: String, without number: String) {
    let name = patient["name"]?[0]
    self.init(
      section: section, id: patient["id"]?.string ?? "", given: name?["given"]?[0]?.string ?? "",
      family: name?["family"]?.string ?? name?["family"]?[0]?.string ?? "", language: name?["use"]?.string ?? "en",
      gender: patient["gender"]?.string ?? "unknown", birthDate: patient["birthDate"]?.string ?? "",
      identifiers: SampleRecord.numbers(patient).filter { $0.value != number }, address: patient["address"]?[0],
      occupation: SampleRecord.occupation(patient))
  }
}

extension SampleRecord {
  /// What a correction changes; nil stays as it is.
  public struct Changes: Sendable {
    /// The given names of the child or the deceased.
    public var given: String?
    /// Their day of birth, `yyyy-MM-dd`.
    public var birthDate: String?
    /// The day of death, `yyyy-MM-dd`.
    public var dateOfDeath: String?
    /// The `NATIONAL_ID` of the deceased: another person.
    public var nationalId: String?
    /// What the mother does, which MOSIP has no field for.
    public var motherOccupation: String?

    /// Changes of a record.
    public init(
      given: String? = nil, birthDate: String? = nil, dateOfDeath: String? = nil, nationalId: String? = nil,
      motherOccupation: String? = nil
    ) {
      self.given = given
      self.birthDate = birthDate
      self.dateOfDeath = dateOfDeath
      self.nationalId = nationalId
      self.motherOccupation = motherOccupation
    }

    /// What differs between two states of a record.
    public init(from old: SampleRecord, to new: SampleRecord) {
      func changed(_ value: (SampleRecord) -> String?) -> String? { value(old) == value(new) ? nil : value(new) }
      self.init(
        given: changed { $0.subject.given }, birthDate: changed { $0.subject.birthDate }, dateOfDeath: changed { $0.dateOfDeath },
        motherOccupation: changed { $0.person("mother")?.occupation })
    }
  }

  /// The record with changes.
  public func changed(_ changes: Changes) -> SampleRecord {
    var out = self
    if let given = changes.given { out.subject.given = given }
    if let date = changes.birthDate { out.subject.birthDate = date }
    if let date = changes.dateOfDeath { out.dateOfDeath = date }
    if let number = changes.nationalId {
      out.subject.identifiers.removeAll { $0.type == "NATIONAL_ID" }
      out.subject.identifiers.append(("NATIONAL_ID", number))
    }
    if let work = changes.motherOccupation, let place = out.persons.firstIndex(where: { $0.section == "mother" }) {
      out.persons[place].occupation = work
    }
    return out
  }
}
