import Cryptography
import System

/// Opens packets: the uploaded file, or sub-packets as the object store holds them
/// (docs/upstream/packet-and-crypto.md#11-three-nested-layers and #17-sub-packet-metadata-and-signature). Small ones are read in memory; of
/// large ones memory holds pieces only, as far as the keys can work on pieces. No plaintext of a sub-packet touches a disk.
public struct PacketReader: Sendable {
  /// What an opened container holds: one sub-packet, still encrypted.
  public struct Part: Sendable {
    /// Which one.
    public let name: SubPacketName
    /// Its metadata.
    public let info: SubPacketInfo
    /// Its encrypted bytes.
    public let content: any ByteSource
    /// `{source}/{process}/{rid}_{name}`: the object key behind the RID.
    public let path: String

    /// A sub-packet as it is stored.
    public init(name: SubPacketName, info: SubPacketInfo, content: any ByteSource, path: String) {
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
  private let spoolFolder: String
  /// Bytes of small files of a large sub-packet that are unpacked at once.
  static let kept = 1 << 20

  /// A reader with the given keys and limits.
  /// - Parameter spoolFolder: where sub-packets that somebody packed in vain wait, still encrypted, in files without a name.
  public init(keys: any PacketKeys, limits: ZipLimits = ZipLimits(), spoolFolder: String = TemporaryFiles.folder) {
    self.keys = keys
    self.limits = limits
    self.spoolFolder = spoolFolder
  }

  /// Decrypts an uploaded packet and takes its container apart.
  /// - Parameters:
  ///   - packet: a source that cannot change.
  ///   - refId: the refId of the authenticated sender or of the sync record, never one that the packet itself names.
  /// - Throws: `PacketError` `badEncryption`, `decryptionFailed`, `badZip`, `hostileZip`, `badContainer`, `badEntry`; what the keys throw;
  ///   `ByteSourceError`.
  public func openContainer(_ packet: any ByteSource, refId: String) async throws -> Container {
    try ContainerFiles.container(of: await keys.decrypt(packet, refId: refId), limits: limits, spoolFolder: spoolFolder)
  }

  /// Decrypts an uploaded packet and takes its container apart.
  /// - Throws: as the other `openContainer`.
  public func openContainer(_ packet: [UInt8], refId: String) async throws -> Container {
    try await openContainer(MemorySource(packet), refId: refId)
  }

  /// Reads a packet; refuses it unless every signature, hash and metadata entry fits.
  /// - Throws: as `openContainer`, and `PacketError` `notIntact`.
  public func read(_ packet: [UInt8], refId: String) async throws -> PacketContents {
    let (contents, findings) = try await inspect(packet, refId: refId)
    if let first = findings.first { throw PacketError(.notIntact, "\(first)") }
    return contents
  }

  /// Reads a packet and says what does not fit, for a person or a validator to judge.
  /// - Throws: as `openContainer`.
  public func inspect(
    _ packet: [UInt8], refId: String
  ) async throws -> (contents: PacketContents, findings: [PacketFinding]) {
    let container = try await openContainer(packet, refId: refId)
    var subPackets: [SubPacketName: SubPacket] = [:]
    var findings: [PacketFinding] = []
    for part in container.parts {
      let (subPacket, found) = try await inspect(
        part, rid: container.rid, source: container.source, processName: container.processName, refId: refId)
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
  ///   - refId: as in `openContainer`; decrypts, and must be what the metadata say.
  /// - Throws: as `openContainer`.
  public func inspect(
    _ part: Part, rid: String, source: String, processName: String, refId: String
  ) async throws -> (subPacket: SubPacket, findings: [PacketFinding]) {
    let info = part.info
    var findings = Self.metadataFindings(
      info, part.name, Origin(source: source, process: processName, rid: rid), refId: refId)
    if !constantTimeEqual(info.encryptedHash, try Tally.digest(of: part.content)) {
      findings.append(PacketFinding(.encryptedHash, part.name))
    }
    let plaintext = try await keys.decrypt(part.content, refId: refId)
    if try await !keys.isSigned(plaintext, signature: info.signature, refId: refId) {
      findings.append(PacketFinding(.signature, part.name))
    }
    let subPacket = try SubPacket(
      name: part.name, info: info, source: plaintext, limits: limits, keeping: plaintext.isSmall ? .max : Self.kept)
    return (subPacket, findings)
  }
}

extension PacketReader {
  /// What a container's entry names say.
  struct Origin: Hashable {
    var source: String
    /// With its iteration, if it has one.
    var process: String
    var rid: String
  }

  /// The entries of a container, by their names: `{source}/{process}/{rid}_{sub-packet}.zip` and `.json`, all of one packet.
  struct ContainerFiles {
    enum Place {
      case content(SubPacketName)
      case metadata(SubPacketName)
    }

    private var origin: Origin?
    /// Larger metadata than this are no honest sender's.
    private static let largestMetadata = 64 << 10

    /// Takes a decrypted container apart.
    /// - Throws: `PacketError` `badZip`, `hostileZip`, `badContainer`, `badEntry`; `ByteSourceError`.
    static func container(of source: any ByteSource, limits: ZipLimits, spoolFolder: String) throws -> Container {
      let zip = try ZipReader(source, limits: limits, flat: false)
      var files = ContainerFiles()
      var contents: [SubPacketName: any ByteSource] = [:]
      var infos: [SubPacketName: SubPacketInfo] = [:]
      for entry in zip.files {
        switch try files.place(of: entry.name) {
        case .content(let name): contents[name] = try content(of: entry, in: zip, spoolFolder)
        case .metadata(let name):
          guard entry.size <= largestMetadata else { throw PacketError(.badEntry, "metadata that are too large") }
          infos[name] = try SubPacketInfo(json: zip.content(of: entry))
        }
      }
      let origin = try files.origin(contents: Set(contents.keys), infos: Set(infos.keys))
      let parts = contents.sorted { $0.key < $1.key }.map { name, content in
        Part(
          name: name, info: infos[name]!, content: content,
          path: "\(origin.source)/\(origin.process)/\(origin.rid)_\(name.rawValue)")
      }
      return Container(rid: origin.rid, source: origin.source, processName: origin.process, parts: parts)
    }

    /// A small sub-packet in memory, a large one where it stands when it is stored, else unpacked (Java packs it in vain).
    private static func content(
      of entry: ZipReader.Entry, in zip: ZipReader, _ spoolFolder: String
    ) throws -> any ByteSource {
      if entry.size <= MemorySource.most { return MemorySource(try zip.content(of: entry)) }
      if let stored = zip.stored(entry) {
        try zip.read(entry) { _ in }
        return stored
      }
      let spool = Spool(folder: spoolFolder)
      try zip.read(entry) { try spool.append($0) }
      return try spool.finish()
    }

    /// What an entry is.
    /// - Throws: `PacketError` `badContainer`.
    mutating func place(of entry: String) throws -> Place {
      let path = entry.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
      guard path.count == 3, let underscore = path[2].lastIndex(of: "_"), let dot = path[2].lastIndex(of: "."),
        underscore < dot, let name = SubPacketName(rawValue: String(path[2][path[2].index(after: underscore)..<dot]))
      else { throw PacketError(.badContainer, "an entry that is no part of a packet") }
      let here = Origin(source: path[0], process: path[1], rid: String(path[2][..<underscore]))
      guard origin ?? here == here, [here.source, here.process, here.rid].allSatisfy(PacketWriter.isSafeName) else {
        throw PacketError(.badContainer, "entries of more than one packet")
      }
      origin = here
      switch path[2][dot...] {
      case ".zip": return .content(name)
      case ".json": return .metadata(name)
      default: throw PacketError(.badContainer, "an entry that is no part of a packet")
      }
    }

    /// What all entries agree on, when there is a pair for each sub-packet.
    func origin(contents: Set<SubPacketName>, infos: Set<SubPacketName>) throws -> Origin {
      guard let origin, contents == infos else {
        throw PacketError(.badContainer, "a sub-packet without metadata, or the reverse")
      }
      return origin
    }
  }

  /// What metadata say that entry names and the sender's refId do not.
  static func metadataFindings(
    _ info: SubPacketInfo, _ name: SubPacketName, _ origin: Origin, refId: String
  ) -> [PacketFinding] {
    var findings: [PacketFinding] = []
    func expect(_ holds: Bool, _ subject: String) {
      if !holds { findings.append(PacketFinding(.metadata, name, subject)) }
    }
    expect(info.packetName == "\(origin.rid)_\(name.rawValue)", "packetname")
    expect(info.id == origin.rid || info.id.hasSuffix("-\(refId)-\(info.id.suffix(14))"), "id")
    expect(info.source == origin.source, "source")
    expect(info.process == origin.process, "process")
    expect(info.refId == refId, "refid")
    return findings
  }
}
