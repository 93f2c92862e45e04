import Cryptography
import Registration
import StageKit
import System

/// Moves a packet from the landing zone to the packet store, taken apart into its sub-packets (docs/upstream/stages.md#3-packet-uploader).
public struct PacketUploader: StagePlugin {
  public static let spec = PluginSpec(
    name: "packet-uploader", summary: "moves a packet from the landing zone to the packet store, checked and scanned",
    scansPackets: true,
    settings: [
      SettingField(
        "packet-account", .text, default: .text(ObjectAccounts.packetStore), "the object store's account of the packet store"),
      SettingField(
        "landing-zone-account", .text, default: .text(ObjectAccounts.landingZone), "the object store's account of the landing zone"),
      SettingField(
        "max-retry", .integer, default: 10, "how often a client may send the packet again before it is given up"),
    ])

  private let packetAccount: String
  private let landingZone: String
  private let maxRetry: Int

  public init(settings: StageSettings) throws {
    packetAccount = settings.text("packet-account")
    landingZone = settings.text("landing-zone-account")
    maxRetry = settings.integer("max-retry")
  }

  public func process(_ message: Message, _ context: StageContext) async throws -> Verdict {
    try await ServiceVerdict.judged {
      let register = context.services.registrations
      guard let id = message.workflowInstanceId, let announced = try await register.synced(workflowInstanceId: id),
        let registration = try await register.registration(workflowInstanceId: id), announced.rid == message.rid
      else { return ServiceVerdict.system("the tables know no such registration") }

      guard
        let packet = try await context.services.objects.source(
          account: landingZone, container: message.rid, key: announced.packetId)
      else {
        return try await isStored(message, context.services.objects)
          ? .passed("RPR-PKU-SUCCESS-008", "Packet is already present in Packet Store")
          : .error("RPR-PKU-FAILED-004", "Packet Not Found in Landing Zone")
      }
      return try await LargeWork.with(packet) {
        try await take(packet, announced, retries: registration.retryCount, message, context)
      }
    }
  }

  private func take(
    _ packet: any ByteSource, _ announced: SyncRecord, retries: Int, _ message: Message, _ context: StageContext
  ) async throws -> Verdict {
    guard try Hash.sha256UpperHex(packet) == announced.packetChecksum else {
      return .failed("RPR-PKU-FAILED-005", "Packet Hash Code Validation Failed", status: .error)
    }
    let referenceId = announced.referenceId.isEmpty ? Self.referenceId(of: message.rid) : announced.referenceId
    let container: PacketReader.Container
    do {
      container = try await PacketReader(keys: ServiceKeys(keys: context.services.keys))
        .openContainer(packet, refId: referenceId)
    } catch let error as ServiceError where !error.isRetriable {
      return Self.undecryptable
    } catch let error as PacketError where [.badEncryption, .decryptionFailed].contains(error.code) {
      return Self.undecryptable
    } catch let error as PacketError {
      return ServiceVerdict.system(error.description)
    }
    if let foreign = Self.foreign(container, message, referenceId) { return ServiceVerdict.system(foreign) }
    if let verdict = try await scan(packet, container, referenceId, context) { return verdict }
    // Unlike upstream, which counts successes of this stage as well: only what the client sent again counts.
    guard retries < maxRetry else {
      return .error("RPR-PKU-FAILED-009", "Retry count has exceeded the maximum limit specified", status: .failed)
    }
    try await store(container, context.services.objects)
    return .passed("RPR-PKU-SUCCESS-001", "Packet is Uploaded to Packet Store")
  }

  private static let undecryptable = Verdict.error("RPR-PKR-FAILED-002", "Packet Decryption Failed")

  /// Center and machine as the RID has them.
  private static func referenceId(of rid: String) -> String { "\(rid.prefix(5))_\(rid.dropFirst(5).prefix(5))" }

  /// Whether the packet store has all three sub-packets of the process; their source is known from the keys alone.
  private func isStored(_ message: Message, _ objects: any ObjectStore) async throws -> Bool {
    let keys = Set(try await objects.keys(account: packetAccount, container: message.rid, prefix: ""))
    let process = PacketReference(message).processNames
    return keys.contains { key in
      let path = key.split(separator: "/")
      guard path.count == 3, process.contains(String(path[1])) else { return false }
      return SubPacketName.allCases.allSatisfy { keys.contains("\(path[0])/\(path[1])/\(message.rid)_\($0.rawValue)") }
    }
  }

  /// Unlike upstream, which believes the container: it must be of this registration, and every sub-packet made by who announced it.
  private static func foreign(_ container: PacketReader.Container, _ message: Message, _ referenceId: String) -> String? {
    if container.rid != message.rid { return "the packet holds another registration" }
    if !PacketReference(message).processNames.contains(container.processName) { return "the packet holds another process" }
    if let source = message.source, source != container.source { return "the packet holds another source" }
    if container.parts.contains(where: { $0.info.refId != referenceId }) {
      return "the packet names another machine than its announcement"
    }
    if Set(container.parts.map(\.name)) != Set(SubPacketName.allCases) { return "the packet lacks a sub-packet" }
    return nil
  }

  /// Scans the file as it came, then what each sub-packet holds; without a scanner nothing is decrypted for it. Unlike upstream a scanner out
  /// of reach is waited for.
  private func scan(
    _ packet: any ByteSource, _ container: PacketReader.Container, _ referenceId: String, _ context: StageContext
  ) async throws -> Verdict? {
    let scanner = context.services.virusScanner
    guard scanner.isScanning else { return nil }
    let infected = Verdict.failed("RPR-PKU-FAILED-006", "Packet is Virus Infected")
    if try await scanner.scan(packet) != nil { return infected }
    for part in container.parts {
      let content: any ByteSource
      do {
        content = try await context.services.keys.decryptPacket(part.content, referenceId: referenceId)
      } catch let error as ServiceError where !error.isRetriable { return Self.undecryptable }
      if try await scanner.scan(content) != nil { return infected }
    }
    return nil
  }

  private func store(_ container: PacketReader.Container, _ objects: any ObjectStore) async throws {
    var small: [StoredObject] = []
    for part in container.parts {
      let metadata = Dictionary(uniqueKeysWithValues: part.info.metadata.map { ($0.key, $0.value) })
      if part.content.isSmall {
        small.append(StoredObject(key: part.path, bytes: try part.content.bytes(), metadata: metadata))
      } else {
        try await objects.put(
          part.content, metadata: metadata, account: packetAccount, container: container.rid, key: part.path)
      }
    }
    try await objects.put(small, account: packetAccount, container: container.rid)
  }
}
