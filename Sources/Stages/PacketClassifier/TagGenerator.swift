import JSON
import Registration
import StageKit
import System

/// The six sources of tags (docs/upstream/stages.md#5-packet-classifier). A value that the packet does not give is
/// `PacketClassifier.notAvailable`.
enum TagGenerator: String, CaseIterable, Sendable {
  case ageGroup = "age-group"
  case introducer = "introducer"
  case exceptionBiometrics = "exception-biometrics"
  case supervisor = "supervisor"
  case idObject = "id-object"
  case metaInfo = "meta-info"

  /// The tags of this source.
  /// - Throws: `Unclassifiable`, `ServiceError`.
  func tags(_ packet: PacketFacts, _ classifier: PacketClassifier, _ context: StageContext) async throws -> [String:
    String]
  {
    switch self {
    case .ageGroup: ["AGE_GROUP": try await ageGroup(packet, classifier, context)]
    case .introducer:
      classifier.availabilities.mapValues { names in
        names.contains { packet.field(classifier.mapping.field($0) ?? "") != nil } ? "true" : "false"
      }
    case .exceptionBiometrics: ["EXCEPTION_BIOMETRICS": try exceptions(packet, classifier.settings)]
    case .supervisor:
      ["SUPERVISOR_APPROVAL_STATUS": packet.announced?.supervisorStatus ?? PacketClassifier.notAvailable]
    case .idObject: try await idObject(packet, classifier, context)
    case .metaInfo: try metaInfo(packet, classifier.settings)
    }
  }

  // MARK: Age

  private func ageGroup(_ packet: PacketFacts, _ classifier: PacketClassifier, _ context: StageContext) async throws
    -> String
  {
    let mapping = classifier.mapping
    let today = context.services.clock.now
    var years = try age(packet.field(mapping["dob"]), packet.field(mapping["age"]), today)
    if years == nil, let uin = packet.field(mapping["uin"]),
      let identity = try await context.services.identities.identity(.uin(uin))
    {
      let age = identity.fields[mapping["age"]]
      years = try self.age(identity.fields[mapping["dob"]]?.string, age?.string ?? age?.int.map(String.init), today)
    }
    guard let years else { return PacketClassifier.notAvailable }
    guard let group = classifier.ageGroups.first(where: { $0.years.contains(years) }) else {
      throw Unclassifiable("no age group has the applicant's age")
    }
    return group.name
  }

  /// Whole years from a date of birth (`yyyy/MM/dd`) until today (UTC), else the age that is given; nil when neither is. Where the day
  /// begins before UTC's, a child may be born tomorrow.
  private func age(_ dateOfBirth: String?, _ age: String?, _ today: Instant) throws -> Int? {
    guard let dateOfBirth else {
      guard let age else { return nil }
      guard let years = Int(age) else { throw Unclassifiable("the age is no number") }
      return years
    }
    let parts = dateOfBirth.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 3, let year = parts[0], let month = parts[1], let day = parts[2],
      (1...12).contains(month), (1...CivilTime.days(inMonth: month, of: year)).contains(day)
    else { throw Unclassifiable("the date of birth is not written yyyy/MM/dd") }
    let now = today.civil
    let days = CivilTime.days(year: year, month: month, day: day) - CivilTime.days(year: now.year, month: now.month, day: now.day)
    if days == 1 { return 0 }
    let had = (now.month, now.day) >= (month, day)
    return now.year - year - (had ? 0 : 1)
  }

  // MARK: Biometric exceptions

  private static let modalities = [
    ("leftLittle", "LL"), ("leftRing", "LR"), ("leftMiddle", "LM"), ("leftIndex", "LI"), ("leftThumb", "LT"),
    ("rightLittle", "RL"), ("rightRing", "RR"), ("rightMiddle", "RM"), ("rightIndex", "RI"), ("rightThumb", "RT"),
    ("leftEye", "LE"), ("rightEye", "RE"),
  ]

  private func exceptions(_ packet: PacketFacts, _ settings: StageSettings) throws -> String {
    guard let text = packet.metaInfo["exceptionBiometrics"] else { return PacketClassifier.notAvailable }
    guard let all = try? JSONValue.parse(text), all.object != nil else {
      throw Unclassifiable("the packet's exceptionBiometrics are no JSON object")
    }
    let version = packet.metaInfo["metaData"].flatMap { Labels($0) }?[Labels.clientVersion]
    let isOld = version.map { settings.texts("old-client-versions").contains($0) } ?? true
    guard let entry = all[isOld ? "applicant" : "individualBiometrics"] else { return PacketClassifier.notAvailable }
    guard let exceptions = entry.object else { throw Unclassifiable("an entry of exceptionBiometrics is no JSON object") }
    return Self.modalities.filter { exceptions[$0.0] != nil }.map(\.1).joined(separator: ",")
  }

  // MARK: Fields of the identity

  private func idObject(_ packet: PacketFacts, _ classifier: PacketClassifier, _ context: StageContext) async throws
    -> [String: String]
  {
    let names = classifier.settings.texts("id-object-fields")
    guard !names.isEmpty else { return [:] }
    guard let version = packet.field(classifier.mapping["IDSchemaVersion"]) else {
      throw Unclassifiable("the packet has no IDSchemaVersion")
    }
    guard let schema = try await context.services.schemas.schema(version: version) else {
      throw Unclassifiable("there is no id schema of the packet's version")
    }
    var tags: [String: String] = [:]
    for name in names {
      guard let fieldName = classifier.mapping.field(name), let field = schema.field(fieldName) else {
        throw Unclassifiable("the id schema has no field for `\(name)`")
      }
      tags["ID_OBJECT-\(name)"] = try value(packet.fields[fieldName], field, classifier.settings)
    }
    return tags
  }

  private func value(_ text: String?, _ field: IdSchema.Field, _ settings: StageSettings) throws -> String {
    guard let text else { return PacketClassifier.notAvailable }
    switch field.type {
    case .plain("string"), .plain("number"), .plain("integer"): return text
    case .plain: throw Unclassifiable("`\(field.name)` has a type that cannot be a tag")
    case .document, .biometrics:
      guard let value = (try? JSONValue.parse(text))?["value"]?.string else {
        throw Unclassifiable("`\(field.name)` names no file")
      }
      return value
    case .simple:
      guard let items = (try? JSONValue.parse(text))?.array else { throw Unclassifiable("`\(field.name)` is no list of texts") }
      for language in settings.texts("mandatory-languages") + settings.texts("optional-languages") {
        if let item = items.first(where: { $0["language"]?.string == language }), let value = item["value"]?.string {
          return value
        }
      }
      throw Unclassifiable("`\(field.name)` has no value in a configured language")
    }
  }

  // MARK: Meta information

  private func metaInfo(_ packet: PacketFacts, _ settings: StageSettings) throws -> [String: String] {
    let operations = try packet.labels("operationsData")
    let metaData = try packet.labels("metaData")
    guard let text = packet.metaInfo["capturedRegisteredDevices"], let devices = (try? JSONValue.parse(text))?.array
    else {
      throw Unclassifiable("the packet has no capturedRegisteredDevices")
    }
    var tags: [String: String] = [:]
    for label in settings.texts("operations-data") {
      tags["META_INFO-OPERATIONS_DATA-\(label)"] = operations[label] ?? PacketClassifier.notAvailable
    }
    for label in settings.texts("meta-data") {
      tags["META_INFO-META_DATA-\(label)"] = metaData[label] ?? PacketClassifier.notAvailable
    }
    for type in settings.texts("captured-devices") {
      tags["META_INFO-CAPTURED_REGISTERED_DEVICES-\(type)"] = try device(type, devices) ?? PacketClassifier.notAvailable
    }
    return tags
  }

  /// Make, model and serial number of the device of a type; nil when none was used.
  private func device(_ type: String, _ devices: [JSONValue]) throws -> String? {
    let ids = try devices.map { device in
      guard let id = device["digitalId"], id["type"]?.string != nil else {
        throw Unclassifiable("a captured device has no digital id")
      }
      return id
    }
    guard let id = ids.last(where: { $0["type"]?.string == type }) else { return nil }
    let parts = ["make", "model", "serialNo"].compactMap { id[$0]?.string }
    guard parts.count == 3 else { throw Unclassifiable("a captured device has no make, model or serial number") }
    return parts.joined(separator: "-")
  }
}
