import JSON
import Registration

/// Which packet is meant.
public struct PacketReference: Hashable, Sendable {
  /// The registration id.
  public var rid: String
  /// The packet's source, e.g. `OPENCRVS`; nil lets the packet manager find it.
  public var source: String?
  /// The process, e.g. `OPENCRVS_NEW`.
  public var process: String
  /// 1 for main processes, n for the n-th additional-info packet.
  public var iteration: Int

  /// A packet by its names.
  public init(rid: String, source: String?, process: String, iteration: Int = 1) {
    self.rid = rid
    self.source = source
    self.process = process
    self.iteration = iteration
  }

  /// The packet that a message is about.
  public init(_ message: Message) {
    self.init(rid: message.rid, source: message.source, process: message.process, iteration: message.iteration)
  }

  /// The process as it may stand in object keys: packets that answer a request for additional information have their iteration behind it,
  /// others have not (docs/upstream/packet-and-crypto.md#110-names-in-the-object-store); the first of them are known by their key alone.
  public var processNames: [String] {
    iteration > 1 ? ["\(process)-\(iteration)"] : [process, "\(process)-1"]
  }
}

/// MOSIP's packet manager: packets in the packet store, read field by field, and their tags
/// (docs/upstream/stages.md#04-calls-shared-by-stages; docs/upstream/packet-and-crypto.md#111-packet-manager-over-rest). Errors are
/// `ServiceError` with the packet manager's codes: KER-PUT-019 a packet that cannot be trusted (never retriable), KER-PUT-027 no such packet.
public protocol PacketManager: Sendable {
  /// The values of fields that the packet has; structured values are JSON in the text.
  func fields(_ names: [String], of packet: PacketReference) async throws -> [String: String]

  /// Every field of the packet.
  func allFields(of packet: PacketReference) async throws -> [String: String]

  /// The packet's meta information: each value a text, structured ones JSON in the text.
  func metaInfo(of packet: PacketReference) async throws -> [String: String]

  /// The audit entries that the packet carries.
  func audits(of packet: PacketReference) async throws -> [[String: String]]

  /// A document of the packet; nil when it has none of this name.
  func document(_ name: String, of packet: PacketReference) async throws -> PacketDocument?

  /// What the packet carries of a person's captures (`/biometrics`); nil when it has none.
  /// - Parameter person: a field of the identity, or `officer_bio_cbeff` or `supervisor_bio_cbeff`.
  /// - Throws: `ServiceError` refused with `ServiceError.badBiometrics` for a record that cannot be read.
  func biometrics(_ person: String, of packet: PacketReference) async throws -> BiometricRecord?

  /// Every check of the packet: hashes, signature, id schema. An empty list means valid.
  func validate(_ packet: PacketReference) async throws -> [PacketProblem]

  /// The tags of a RID; with names only those that exist among them.
  func tags(of rid: String, named names: [String]?) async throws -> [String: String]

  /// Sets tags of a RID; others stay.
  func addOrUpdateTags(of rid: String, _ tags: [String: String]) async throws

  /// Removes tags of a RID.
  func deleteTags(of rid: String, named names: [String]) async throws
}

/// One thing that is wrong with a packet.
public struct PacketProblem: Sendable, Equatable {
  /// The code, e.g. `KER-PUT-019` or `KER-IOV-004`.
  public var code: String
  /// What is wrong and where, without values.
  public var message: String

  /// A fault.
  public init(code: String, message: String) {
    self.code = code
    self.message = message
  }
}
