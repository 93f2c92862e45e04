import JSON
import Registration
import StageKit

/// Gives the applicant a UIN by way of a draft in the identity repository, or changes the identity of the UIN that the packet
/// carries (docs/upstream/stages.md#7-uin-generator).
///
/// A draft belongs to its RID for ever and so does its UIN. Unlike upstream no draft is thrown away when the repository refuses its
/// content, documents go along on every try, and a packet whose draft was published meanwhile passes: so a RID never gets
/// two UINs, wherever a try was cut off.
public struct UINGenerator: StagePlugin {
  public static let spec = PluginSpec(
    name: "uin-generator",
    summary: "drafts the identity and its UIN; activates, deactivates or updates an existing one",
    settings: [
      SettingField(
        "activation-processes", .texts, default: ["ACTIVATED", "ACTIVATE"], "processes that activate the packet's UIN"),
      SettingField(
        "deactivation-processes", .texts, default: ["DEACTIVATED", "DEACTIVATE"],
        "processes that deactivate the packet's UIN"),
      SettingField(
        "update-processes", .texts, default: ["UPDATE", "RES_UPDATE", "CRVS_DEATH", "OPENCRVS_UPDATE"],
        "processes that write the packet's fields into the identity of the packet's UIN"),
      SettingField(
        "schema-version-as-number", .boolean, default: true,
        "whether IDSchemaVersion is a number in the identity object"),
      IdentityMapping.setting,
    ])

  private let mapping: IdentityMapping
  private let activation: Set<String>
  private let deactivation: Set<String>
  private let update: Set<String>
  private let versionAsNumber: Bool

  public init(settings: StageSettings) throws {
    mapping = try IdentityMapping(settings)
    activation = Set(settings.texts("activation-processes"))
    deactivation = Set(settings.texts("deactivation-processes"))
    update = Set(settings.texts("update-processes"))
    versionAsNumber = settings.boolean("schema-version-as-number")
    for (a, b) in [(activation, deactivation), (activation, update), (deactivation, update)] {
      if let both = a.intersection(b).first {
        throw SettingError(stage: settings.stage, setting: "update-processes", "gives the process \(both) two meanings")
      }
    }
  }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    try await ServiceVerdict.judged {
      let fields = try await context.services.packets.allFields(of: PacketReference(message))
      let uin = fields[mapping["uin"]].flatMap { $0.isEmpty || $0 == "null" ? nil : $0 }
      do {
        if let uin { return try await change(uin, fields, message, context) }
        return try await draft(fields, message, context)
      } catch let error as ServiceError where error.code.hasPrefix("IDR-") {
        if error.code == "IDR-IDS-003" { return .retry("RPR-UIN-FAILED-009", error.description) }
        if error.isRetriable || error.kind == .conflict { throw error }
        return .error("RPR-UIN-FAILED-008", error.description, status: .failed)
      }
    }
  }

  // MARK: A new identity

  private func draft(_ fields: [String: String], _ message: Message, _ context: StageContext) async throws -> Verdict {
    let identities = context.services.identities
    let key = context.idempotencyKey(message)
    let success = Verdict.passed("RPR-UIN-SUCCESS-001", "UIN Generated Successfully")
    guard fields[mapping["individualBiometrics"]] == nil else {
      // Better a named end than an identity that lacks what the packet has.
      return ServiceVerdict.system("the packet carries biometrics, which this stage does not hand on")
    }
    if try await !identities.hasDraft(rid: message.rid) {
      // Published before: the answer of this stage was lost, or the RID is replayed.
      if try await identities.identity(.rid(message.rid)) != nil { return success }
      try await identities.createDraft(rid: message.rid, uin: nil, idempotencyKey: key)
    }
    let documents = try await documents(fields, message, context)
    try await identities.updateDraft(
      rid: message.rid, fields: try identityObject(fields), documents: documents, idempotencyKey: key)
    return success
  }

  /// The identity object: structured values as what they are, everything else as text.
  private func identityObject(_ fields: [String: String]) throws -> JSONValue {
    var object = JSONObject()
    for (name, text) in fields.sorted(by: { $0.key < $1.key }) where name != mapping["uin"] {
      if name == mapping["IDSchemaVersion"] {
        guard versionAsNumber else {
          object[name] = .string(text)
          continue
        }
        guard let version = Double(text), let number = JSONNumber(version) else {
          throw ServiceError(.refused, service: "packet", code: ServiceVerdict.systemException, "IDSchemaVersion is no number")
        }
        object[name] = .number(number)
      } else if text.first == "{" || text.first == "[", let value = try? JSONValue.parse(text) {
        object[name] = value
      } else {
        object[name] = .string(text)
      }
    }
    return .object(object)
  }

  private func documents(_ fields: [String: String], _ message: Message, _ context: StageContext) async throws
    -> [IdentityDocument]
  {
    var documents: [IdentityDocument] = []
    for name in IdentityMapping.documents {
      let field = mapping[name]
      guard let about = fields[field],
        let document = try await context.services.packets.document(field, of: PacketReference(message))
      else { continue }
      // The name of the file in the packet, which is the field's own name in packets that MOSIP's writers make.
      let category = (try? JSONValue.parse(about))?["value"]?.string ?? field
      documents.append(IdentityDocument(category: category, bytes: document.content))
    }
    // The applicant's captures go along as the file that they are, under the field's name.
    let captures = mapping["individualBiometrics"]
    if fields[captures] != nil, let file = try await context.services.packets.document(captures, of: PacketReference(message)) {
      documents.append(IdentityDocument(category: captures, bytes: file.content))
    }
    return documents
  }

  // MARK: An identity that exists

  private func change(_ uin: String, _ fields: [String: String], _ message: Message, _ context: StageContext)
    async throws
    -> Verdict
  {
    let change: Change
    if activation.contains(message.process) {
      change = .activation
    } else if deactivation.contains(message.process) {
      change = .deactivation
    } else if update.contains(message.process) {
      change = .update
    } else {
      // Unlike upstream, which passes and does nothing: a UIN that no process may change is a mistake of the route or the packet.
      return .failed("RPR-UIN-FAILED-004", "UIN Generation failed - the packet of this process already has a UIN")
    }
    let identities = context.services.identities
    guard let identity = try await identities.identity(.uin(uin)) else {
      return .failed("RPR-UIN-FAILED-008", "UIN is Not Found in ID Repository")
    }
    // What this RID has done already is no second time.
    if let already = change.already, identity.status == change.status, identity.rid != message.rid { return already }
    try await identities.update(
      uin: uin, rid: message.rid, status: change.status,
      fields: change == .update ? try identityObject(fields) : nil, idempotencyKey: context.idempotencyKey(message))
    return change.success
  }

  /// What a process does to the identity of the packet's UIN.
  private enum Change {
    case activation
    case deactivation
    case update

    /// The status that the identity gets; nil when it keeps its own.
    var status: String? {
      switch self {
      case .activation: "ACTIVATED"
      case .deactivation: "DEACTIVATED"
      case .update: nil
      }
    }
    var success: Verdict {
      switch self {
      case .activation: .passed("RPR-UIN-SUCCESS-003", "UIN is Activated", status: .processed)
      case .deactivation: .passed("RPR-UIN-SUCCESS-004", "UIN is Deactivated", status: .processed)
      case .update: .passed("RPR-UIN-SUCCESS-002", "UIN Data is updated Successfully", status: .processed)
      }
    }
    /// The verdict when the identity has the status already.
    var already: Verdict? {
      switch self {
      case .activation: .failed("RPR-UIN-FAILED-001", "UIN is already Activated")
      case .deactivation: .failed("RPR-UIN-FAILED-003", "UIN already deactivated")
      case .update: nil
      }
    }
  }
}
