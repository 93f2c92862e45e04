import Cryptography
import System

/// Opens packets: the uploaded file, or sub-packets as the object store holds them (facts/packet-and-crypto 1.1, 1.7).
public struct PacketReader: Sendable {
  /// What an opened container holds: one sub-packet, still encrypted.
  public struct Part: Sendable {
    /// Which one.
    public let name: SubPacketName
    /// Its metadata.
    public let info: SubPacketInfo
    /// Its encrypted bytes.
    public let content: [UInt8]
    /// `{source}/{process}/{rid}_{name}`: the object key behind the RID.
    public let path: String

    /// A sub-packet as it is stored.
    public init(name: SubPacketName, info: SubPacketInfo, content: [UInt8], path: String) {
      self.name = name
      self.info = info
      self.content = content
      self.path = path
    }
  }

  /// An opened container.
  public struct Container: Sendable {
    /// The RID, from the entry names.
    public let rid: String
    /// From the entry names.
    public let source: String
    /// From the entry names, with its iteration if it has one.
    public let processName: String
    /// The sub-packets.
    public let parts: [Part]
  }

  private let keys: any PacketKeys
  private let limits: ZipLimits

  /// A reader with the given keys and limits.
  public init(keys: any PacketKeys, limits: ZipLimits = ZipLimits()) {
    self.keys = keys
    self.limits = limits
  }

  /// Decrypts an uploaded packet and takes its container apart.
  /// - Parameter refID: the refId of the authenticated sender or of the sync record, never one that the packet itself names.
  /// - Throws: `PacketError` `badEncryption`, `decryptionFailed`, `badZip`, `hostileZip`, `badContainer`, `badEntry`; what the keys throw.
  public func openContainer(_ packet: [UInt8], refID: String) async throws -> Container {
    try container(of: await keys.decrypt(packet, refID: refID))
  }

  /// Reads a packet; refuses it unless every signature, hash and metadata entry fits.
  /// - Throws: as `openContainer`, and `PacketError` `notIntact`.
  public func read(_ packet: [UInt8], refID: String) async throws -> PacketContents {
    let (contents, findings) = try await inspect(packet, refID: refID)
    if let first = findings.first { throw PacketError(.notIntact, "\(first)") }
    return contents
  }

  /// Reads a packet and says what does not fit, for a person or a validator to judge.
  /// - Throws: as `openContainer`.
  public func inspect(
    _ packet: [UInt8], refID: String
  ) async throws -> (contents: PacketContents, findings: [PacketFinding]) {
    let container = try await openContainer(packet, refID: refID)
    var subPackets: [SubPacketName: SubPacket] = [:]
    var findings: [PacketFinding] = []
    for part in container.parts {
      let (subPacket, found) = try await inspect(
        part, rid: container.rid, source: container.source, processName: container.processName, refID: refID)
      subPackets[part.name] = subPacket
      findings += found
    }
    let contents = PacketContents(
      rid: container.rid, source: container.source, processName: container.processName, subPackets: subPackets)
    return (contents, findings)
  }

  /// Reads one sub-packet, from a container or from the object store.
  /// - Parameters:
  ///   - rid: the RID whose sub-packet is asked for; likewise `source` and `processName`.
  ///   - refID: as in `openContainer`; decrypts, and must be what the metadata say.
  /// - Throws: as `openContainer`.
  public func inspect(
    _ part: Part, rid: String, source: String, processName: String, refID: String
  ) async throws -> (subPacket: SubPacket, findings: [PacketFinding]) {
    let info = part.info
    var findings: [PacketFinding] = []
    func expect(_ holds: Bool, _ check: PacketFinding.Check, _ subject: String? = nil) {
      if !holds { findings.append(PacketFinding(check, part.name, subject)) }
    }
    expect(info.packetName == "\(rid)_\(part.name.rawValue)", .metadata, "packetname")
    expect(info.id == rid || info.id.hasSuffix("-\(refID)-\(info.id.suffix(14))"), .metadata, "id")
    expect(info.source == source, .metadata, "source")
    expect(info.process == processName, .metadata, "process")
    expect(info.refID == refID, .metadata, "refid")
    expect(constantTimeEqual(info.encryptedHash, Hash.sha256(part.content)), .encryptedHash)
    let plaintext = try await keys.decrypt(part.content, refID: refID)
    try await expect(keys.isSigned(plaintext, signature: info.signature, refID: refID), .signature)
    return (try SubPacket(name: part.name, info: info, zip: plaintext, limits: limits), findings)
  }

  private func container(of zip: [UInt8]) throws -> Container {
    var contents: [SubPacketName: [UInt8]] = [:]
    var infos: [SubPacketName: SubPacketInfo] = [:]
    var origin: [String]?
    for entry in try ZipArchive.read(zip, limits: limits, flat: false) {
      let path = entry.name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
      guard path.count == 3, let underscore = path[2].lastIndex(of: "_"), let dot = path[2].lastIndex(of: "."),
        underscore < dot, let name = SubPacketName(rawValue: String(path[2][path[2].index(after: underscore)..<dot]))
      else { throw PacketError(.badContainer, "an entry that is no part of a packet") }
      let here = [path[0], path[1], String(path[2][..<underscore])]
      guard origin ?? here == here, here.allSatisfy(PacketWriter.isSafeName) else {
        throw PacketError(.badContainer, "entries of more than one packet")
      }
      origin = here
      switch path[2][dot...] {
      case ".zip": contents[name] = entry.content
      case ".json": infos[name] = try SubPacketInfo(json: entry.content)
      default: throw PacketError(.badContainer, "an entry that is no part of a packet")
      }
    }
    guard let origin, Set(contents.keys) == Set(infos.keys) else {
      throw PacketError(.badContainer, "a sub-packet without metadata, or the reverse")
    }
    let parts = contents.keys.sorted().map { name in
      Part(
        name: name, info: infos[name]!, content: contents[name]!,
        path: "\(origin[0])/\(origin[1])/\(origin[2])_\(name.rawValue)")
    }
    return Container(rid: origin[2], source: origin[0], processName: origin[1], parts: parts)
  }
}
