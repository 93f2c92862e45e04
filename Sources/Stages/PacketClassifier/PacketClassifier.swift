import JSON
import Registration
import StageKit

/// Reads out of the packet what later stages and the route's conditions decide by, as tags (docs/upstream/stages.md#5-packet-classifier).
public struct PacketClassifier: StagePlugin {
  public static let spec = PluginSpec(
    name: "packet-classifier",
    summary: "sets the packet's tags: age group, introducer, exceptions, approval, fields, operators",
    settings: [
      SettingField(
        "tag-generators", .texts, default: .texts(TagGenerator.allCases.map(\.rawValue)),
        "which tags are made: any of \(TagGenerator.allCases.map(\.rawValue).joined(separator: ", "))"),
      SettingField(
        "age-groups", .texts, default: ["INFANT=0-5", "MINOR=6-17", "ADULT=18-200"],
        "age groups as `NAME=from-to` in whole years, both ends counted; the first that fits is taken"),
      SettingField(
        "availability", .texts, default: ["INTRODUCER_AVAILABILITY=introducerUIN|introducerRID|introducerVID"],
        "tags that are true when one of several fields has a value, as `TAG=name|name`, the fields by their names in identity-mapping"
      ),
      SettingField(
        "mandatory-languages", .texts, default: ["eng"],
        "languages whose value of a text field becomes the tag, first one first"),
      SettingField(
        "optional-languages", .texts, default: .texts([]), "languages that are taken when no mandatory one has a value"),
      SettingField(
        "id-object-fields", .texts, default: ["gender", "residenceStatus"],
        "fields, by their names in identity-mapping, that become tags `ID_OBJECT-<name>`"),
      SettingField(
        "operations-data", .texts, default: ["officerId", "supervisorId"],
        "labels that become tags `META_INFO-OPERATIONS_DATA-<label>`"),
      SettingField("meta-data", .texts, default: ["centerId"], "labels that become tags `META_INFO-META_DATA-<label>`"),
      SettingField(
        "captured-devices", .texts, default: ["Face", "Finger"],
        "device types that become tags `META_INFO-CAPTURED_REGISTERED_DEVICES-<type>`"),
      SettingField(
        "old-client-versions", .texts, default: ["1.1.4", "1.1.5.5"],
        "registration clients that list exceptions under `applicant` instead of `individualBiometrics`"),
      IdentityMapping.setting,
    ])

  /// The value of a tag that the packet gives no value for.
  static let notAvailable = "--TAG_VALUE_NOT_AVAILABLE--"

  let mapping: IdentityMapping
  let settings: StageSettings
  let generators: [TagGenerator]
  let ageGroups: [AgeGroup]
  /// Tags by name, each with the mapped names of its fields.
  let availabilities: [String: [String]]

  public init(settings: StageSettings) throws {
    self.settings = settings
    mapping = try IdentityMapping(settings)
    generators = try settings.texts("tag-generators").map { name in
      guard let generator = TagGenerator(rawValue: name) else {
        throw SettingError(stage: settings.stage, setting: "tag-generators", "has no generator `\(name)`")
      }
      return generator
    }
    ageGroups = try AgeGroup.read(settings, "age-groups")
    availabilities = try Pairs(settings, "availability").values.mapValues {
      $0.split(separator: "|").map(String.init)
    }
    for name in availabilities.values.joined() where mapping.field(name) == nil {
      throw SettingError(
        stage: settings.stage, setting: "availability", "names `\(name)`, which identity-mapping lacks")
    }
    for name in settings.texts("id-object-fields") where mapping.field(name) == nil {
      throw SettingError(
        stage: settings.stage, setting: "id-object-fields", "names `\(name)`, which identity-mapping lacks")
    }
  }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    try await ServiceVerdict.judged {
      do {
        let facts = try await gather(message, context)
        var tags: [String: String] = [:]
        for generator in generators { tags.merge(try await generator.tags(facts, self, context)) { $1 } }
        return .passed("RPR-PKCSUCCESS-001", "Packet Classification is Successful", tags: tags)
      } catch let error as Unclassifiable {
        return ServiceVerdict.system(error.description)
      }
    }
  }

  /// What the generators read, fetched once.
  private func gather(_ message: Message, _ context: StageContext) async throws -> PacketFacts {
    let packet = PacketReference(message)
    var names: Set<String> = [mapping["IDSchemaVersion"], mapping["uin"]]
    names.formUnion(["dob", "age"].map { mapping[$0] })
    names.formUnion(availabilities.values.joined().compactMap { mapping.field($0) })
    names.formUnion(settings.texts("id-object-fields").compactMap { mapping.field($0) })
    let fields = try await context.services.packets.fields(names.sorted(), of: packet)
    let metaInfo = try await context.services.packets.metaInfo(of: packet)
    var announced: SyncRecord?
    if let id = message.workflowInstanceId {
      announced = try await context.services.registrations.synced(workflowInstanceId: id)
    }
    return PacketFacts(fields: fields, metaInfo: metaInfo, announced: announced)
  }
}

/// What the generators read of one packet.
struct PacketFacts: Sendable {
  /// Identity fields by schema name.
  var fields: [String: String]
  /// The packet's meta information.
  var metaInfo: [String: String]
  /// What the client announced.
  var announced: SyncRecord?

  /// A field that is there: not blank, not the mark of a missing value.
  func field(_ name: String) -> String? {
    guard let value = fields[name], value != PacketClassifier.notAvailable, value.contains(where: { !$0.isWhitespace })
    else { return nil }
    return value
  }

  /// A list of labels of the meta information.
  func labels(_ name: String) throws -> Labels {
    guard let labels = metaInfo[name].flatMap({ Labels($0) }) else { throw Unclassifiable("the packet has no \(name)") }
    return labels
  }
}

/// Why a packet cannot be classified: a technical end, as upstream has it.
struct Unclassifiable: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A range of ages with a name.
struct AgeGroup: Sendable {
  /// The tag's value.
  let name: String
  /// Whole years.
  let years: ClosedRange<Int>

  /// Reads the setting.
  static func read(_ settings: StageSettings, _ setting: String) throws -> [AgeGroup] {
    let pairs = try Pairs(settings, setting)
    return try pairs.names.map { name in
      let bounds = pairs.values[name, default: ""].split(separator: "-").map { Int($0) }
      guard bounds.count == 2, let from = bounds[0], let to = bounds[1], from <= to else {
        throw SettingError(stage: settings.stage, setting: setting, "must give `\(name)` as from-to in years")
      }
      return AgeGroup(name: name, years: from...to)
    }
  }
}
