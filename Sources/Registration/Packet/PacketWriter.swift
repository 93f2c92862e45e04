import Cryptography
import JSON
import System

/// A packet ready to be synced and uploaded.
public struct WrittenPacket: Sendable {
  /// The packet's id.
  public let packetId: String
  /// The bytes to upload, encrypted; not a readable zip despite the name.
  public let content: [UInt8]
  /// The metadata of each sub-packet.
  public let subPackets: [SubPacketName: SubPacketInfo]
  /// Names in the draft that the schema does not know, which are therefore in no sub-packet.
  public let ignoredFields: [String]

  /// `{packetId}.zip`.
  public var fileName: String { packetId + ".zip" }
  /// Upper-case hex of SHA-256 of the content: `packetHashValue` of the sync record.
  public var hash: String { Encoding.upperHex(Hash.sha256(content)) }
}

/// Makes packets as MOSIP's packet manager does (docs/upstream/packet-and-crypto.md#1-registration-packet).
public struct PacketWriter: Sendable {
  private let keys: any PacketKeys
  private let providerName: String
  private let providerVersion: String

  /// A writer with the given keys. The provider is what upstream's readers may choose their reading code by.
  public init(
    keys: any PacketKeys, providerName: String = "PacketWriterImpl", providerVersion: String = "v1.0"
  ) {
    self.keys = keys
    self.providerName = providerName
    self.providerVersion = providerVersion
  }

  /// Makes, signs and encrypts the three sub-packets and their container.
  /// - Throws: `PacketError` `badDraft`, `badSchema`; what the keys throw.
  public func write(_ draft: PacketDraft) async throws -> WrittenPacket {
    try Self.check(draft)
    var container: [ZipEntry] = []
    var infos: [SubPacketName: SubPacketInfo] = [:]
    for name in SubPacketName.allCases {
      let plaintext = try ZipArchive.write(SubPacketFiles.make(name, of: draft), at: draft.creationDate)
      let signature = try await keys.sign(plaintext, refId: draft.refId)
      let encrypted = try await keys.encrypt(plaintext, refId: draft.refId)
      let info = try SubPacketInfo(
        of: draft, name, signature: signature, encryptedHash: Hash.sha256(encrypted), providerName: providerName,
        providerVersion: providerVersion)
      let path = "\(draft.source)/\(draft.processName)/\(info.packetName)"
      container.append(ZipEntry(name: path + ".zip", content: encrypted, isEncrypted: true))
      container.append(ZipEntry(name: path + ".json", content: info.json))
      infos[name] = info
    }
    let zip = try ZipArchive.write(container, at: draft.creationDate)
    return WrittenPacket(
      packetId: draft.packetId, content: try await keys.encrypt(zip, refId: draft.refId), subPackets: infos,
      ignoredFields: draft.ignoredFields)
  }

  static func check(_ draft: PacketDraft) throws {
    for (what, name) in [
      ("RID", draft.rid), ("source", draft.source), ("process", draft.process), ("refId", draft.refId),
      ("additional-info request id", draft.additionalInfoRequestId ?? "-"),
    ] where !isSafeName(name) {
      throw PacketError(.badDraft, "the \(what) cannot be part of a file name")
    }
    guard !draft.audits.isEmpty else { throw PacketError(.badDraft, "no audits (KER-KPM-008)") }
  }

  /// The version as ID.json first has it.
  static func schemaNumber(_ version: String) throws -> JSONNumber {
    guard let number = Double(version).flatMap(JSONNumber.init) else {
      throw PacketError(.badDraft, "the schema version is no number")
    }
    return number
  }

  static func isSafeName(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.count <= 100 && text != "." && text != ".."
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
          true
        default: false
        }
      }
  }
}
