import HTTP
import Registration
import StageKit

/// The way in for packets over HTTP: the announcement (sync), the upload, and what became of them
/// (docs/upstream/stages.md#1-packet-receiver, docs/upstream/packet-and-crypto.md#6-sync-and-upload).
///
/// Unlike upstream the client is answered when the packet is scanned, durable in the landing zone and on its way: what was answered with
/// success cannot be lost, and what cannot be kept is not answered with success.
public struct PacketReceiver: StagePlugin {
  public static let spec = PluginSpec(
    name: "packet-receiver", summary: "takes announcements and uploads of packets over HTTP, and answers what became of them",
    takesMessages: false,
    scansPackets: true,
    settings: [
      SettingField("max-file-size", .integer, default: 5, unit: "MiB", "the largest upload"),
      SettingField("extension", .text, default: ".zip", "how the name of an uploaded file must end"),
      SettingField(
        "landing-zone-account", .text, default: .text(ObjectAccounts.landingZone), "the object store's account for uploads"),
      SettingField(
        "main-processes", .texts,
        default: ["NEW", "UPDATE", "LOST", "RES_UPDATE", "ACTIVATE", "DEACTIVATE", "OPENCRVS_NEW", "OPENCRVS_UPDATE"],
        "processes that begin with a packet of their own"),
      SettingField(
        "sub-processes", .texts, default: ["BIOMETRIC_CORRECTION"],
        "processes that add to one that waits for information"),
      SettingField(
        "roles", .texts,
        default: [
          "REGISTRATION_ADMIN", "REGISTRATION_PROCESSOR", "REGISTRATION_OFFICER", "REGISTRATION_SUPERVISOR", "RESIDENT",
        ], "a caller needs one of these roles"),
      SettingField(
        "lost-rid-roles", .texts, default: ["REGISTRATION_ADMIN", "REGISTRATION_OFFICER", "ZONAL_ADMIN", "GLOBAL_ADMIN"],
        "who searches for a lost registration id needs one of these roles"),
      SettingField("lost-rid-days", .integer, default: 30, unit: "days", "the longest time that such a search may be about"),
      SettingField("lost-rid-most", .integer, default: 50, "a search that finds more than so many must be narrowed down"),
      SettingField(
        "request-time-tolerance", .integer, default: 10_800, unit: "seconds",
        "how far an announcement's requesttime may be from the present moment"),
      SettingField(
        "resend-after", .integer, default: 900, unit: "seconds",
        "when a packet that got no further than this stage may be sent again"),
      SettingField("resend-limit", .integer, default: 10, "how often a packet may be sent again"),
      SettingField(
        "sign-answers", .boolean, default: true, "whether answers carry a Response-Signature made with KERNEL's key"),
    ])

  let settings: StageSettings
  let limits: UploadLimits

  public init(settings: StageSettings) throws {
    self.settings = settings
    limits = UploadLimits(megabytes: settings.integer("max-file-size"))
    guard settings.integer("max-file-size") > 0 else {
      throw SettingError(stage: settings.stage, setting: "max-file-size", "must be above 0")
    }
  }

  public func endpoints(_ context: StageContext) -> [Endpoint] {
    let endpoint = MosipEndpoint(settings: settings, services: context.services, log: context.log)
    let announcements = Announcements(settings: settings, context: context, endpoint: endpoint)
    let uploads = Uploads(settings: settings, limits: limits, context: context, endpoint: endpoint)
    let queries = StatusQueries(
      settings: settings, context: context, endpoint: endpoint, status: ExternalStatus(settings))
    let lost = LostRIDSearches(settings: settings, context: context, endpoint: endpoint)
    let base = "/registrationprocessor/v1"
    let admission = endpoint.admission
    func query(_ path: String, _ question: StatusQueries.Question) -> Endpoint {
      Endpoint("POST", "\(base)/registrationstatus/\(path)", admission: admission) { try await queries.take($0, question) }
        .described(PacketReceiverDescriptions.query(question))
    }
    return [
      Endpoint("POST", "\(base)/registrationstatus/sync", admission: admission) { try await announcements.take($0, version: .v1) }
        .takingIn.described(PacketReceiverDescriptions.sync("version 1")),
      Endpoint("POST", "\(base)/registrationstatus/syncV2", admission: admission) {
        try await announcements.take($0, version: .v2)
      }.takingIn.described(PacketReceiverDescriptions.sync("version 2")),
      Endpoint("POST", "\(base)/registrationstatus/lostridsearch", admission: endpoint.admission(by: "lost-rid-roles")) {
        try await lost.take($0)
      }.described(PacketReceiverDescriptions.lostRID),
      query("search", .progress), query("externalstatus/search", .outcome), query("packetexternalstatus", .packet),
      Endpoint(
        "POST", "\(base)/packetreceiver/registrationpackets", maxBody: limits.hard + (64 << 10),
        multipart: MultipartPolicy(maxParts: 4, maxFileBytes: limits.hard), admission: admission
      ) { try await uploads.take($0) }.takingIn.described(PacketReceiverDescriptions.upload),
    ]
  }
}

/// How large an upload may be.
struct UploadLimits: Sendable {
  /// Bytes of a file that is taken.
  let file: Int
  /// Bytes beyond which nothing is read: an upload between the two is told what is wrong in MOSIP's words.
  let hard: Int

  init(megabytes: Int) {
    file = megabytes << 20
    hard = 2 * file + (1 << 20)
  }
}
