import HTTP
import JSON
import StageKit
import System

/// What MOSIP's workflow manager and its service of transactions answer: what stages said of a registration, which registrations there are, what
/// a person has a paused one do, and packets that go through their flow without an upload.
public struct WorkflowManager: StagePlugin {
  public static let spec = PluginSpec(
    name: "workflow-manager",
    summary: "answers MOSIP's workflow manager's requests over HTTP: transactions, search, actions, instances",
    takesMessages: false,
    settings: [
      SettingField(
        "transaction-roles", .texts, default: ["REGISTRATION_PROCESSOR", "REGISTRATION_ADMIN"],
        "who asks for transactions needs one of these roles"),
      SettingField(
        "roles", .texts, default: ["REGISTRATION_PROCESSOR", "REGISTRATION_ADMIN"],
        "who searches workflow instances, acts on them or makes one needs one of these roles"),
      SettingField(
        "beginning-stage", .text, default: "PacketValidatorStage", "the class of the stage at which a workflow instance begins"),
      SettingField(
        "sign-answers", .boolean, default: true, "whether transactions carry a Response-Signature made with KERNEL's key"),
    ])

  let settings: StageSettings

  public init(settings: StageSettings) throws { self.settings = settings }

  public func endpoints(_ context: StageContext) -> [Endpoint] {
    let desk = WorkflowDesk(
      settings: settings, context: context,
      endpoint: MosipEndpoint(settings: settings, services: context.services, log: context.log))
    let base = "/registrationprocessor/v1"
    let reads = desk.endpoint.admission(by: "transaction-roles")
    let manages = desk.endpoint.admission
    func transactions(_ path: String) -> Endpoint {
      Endpoint("GET", "\(base)/registrationtransaction/search/\(path)", admission: reads) { try await desk.transactions($0) }
        .described(WorkflowDescriptions.transactions(namesLanguage: path.contains("langCode")))
    }
    return [
      transactions("{rid}"), transactions("{langCode}/{rid}"),
      Endpoint("POST", "\(base)/workflowmanager/workflow/search", admission: manages) { try await desk.search($0) }
        .described(WorkflowDescriptions.search),
      Endpoint("POST", "\(base)/workflowmanager/workflowaction", admission: manages) { try await desk.act($0) }
        .described(WorkflowDescriptions.action),
      Endpoint("POST", "\(base)/workflowmanager/workflowinstance", admission: manages) { try await desk.begin($0) }
        .takingIn.described(WorkflowDescriptions.instance),
    ]
  }
}

/// A refusal in MOSIP's envelope.
struct WorkflowError: Error {
  let code: String
  let message: String

  init(_ code: String, _ message: String) {
    self.code = code
    self.message = message
  }
}

/// What a request of the workflow manager is: its id and version, and the codes of what is missing, wrong or unreadable in it.
struct WorkflowRequestKind: Sendable {
  let id: String
  let version: String
  let codes: (missing: String, invalid: String, unknown: String)

  static let search = WorkflowRequestKind(
    id: "mosip.registration.processor.workflow.search", version: "v1", codes: ("RPR-WAA-000", "RPR-WAA-001", "RPR-WAA-002"))
  static let action = WorkflowRequestKind(
    id: "mosip.registration.processor.workflow.action", version: "1.0", codes: search.codes)
  static let instance = WorkflowRequestKind(
    id: "mosip.registration.processor.workflow.instance", version: "v1", codes: ("RPR-WIN-000", "RPR-WIN-001", "RPR-WIN-002"))

  func missing(_ name: String) -> WorkflowError { WorkflowError(codes.missing, "Missing Request Value - \(name)") }
  func invalid(_ name: String) -> WorkflowError { WorkflowError(codes.invalid, "Invalid Request Value - \(name)") }

  /// The `request` of a body, whose envelope is as upstream checks it, in its order.
  func request(in body: [UInt8]) throws -> JSONValue {
    guard let envelope = try? JSONValue.parse(body), envelope.object != nil else {
      throw WorkflowError(codes.unknown, "Unknown Exception")
    }
    func text(_ name: String) throws -> String {
      guard let value = envelope[name], !value.isNull else { throw missing(name) }
      guard let text = value.string else { throw invalid(name) }
      return text
    }
    guard try text("id").lowercased() == id else { throw invalid("id") }
    guard try text("version").lowercased() == version else { throw invalid("version") }
    guard Instant(iso: try text("requesttime")) != nil else { throw invalid("requesttime") }
    guard let request = envelope["request"], !request.isNull else { throw missing("request") }
    guard request.object != nil else { throw invalid("request") }
    return request
  }
}
