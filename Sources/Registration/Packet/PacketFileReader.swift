import Cryptography
import System

/// Opens packets piece by piece with keys that are in this process: memory does not grow with the packet, and no plaintext of a
/// sub-packet touches a disk. What it says of a packet is what `PacketReader` says.
public struct PacketFileReader: Sendable {
  private let key: RSAPrivateKey
  private let thumbprint: [UInt8]?
  private let signers: [RSAPublicKey]
  private let limits: ZipLimits
  private let spoolFolder: String
  /// Bytes of small files of a sub-packet that are unpacked at once.
  private static let kept = 1 << 20
  /// Larger metadata than this are no honest sender's.
  private static let largestMetadata = 64 << 10

  /// A reader.
  /// - Parameters:
  ///   - key: what packets are encrypted for.
  ///   - thumbprint: SHA-256 of the certificate they must name; nil takes any, the key alone then decides.
  ///   - signers: the machine's keys, of which one must have signed; none leaves signatures unchecked, which the result says.
  ///   - spoolFolder: where the container and packed sub-packets, still encrypted, wait in files without a name when they are large.
  public init(
    key: RSAPrivateKey, thumbprint: [UInt8]? = nil, signers: [RSAPublicKey], limits: ZipLimits = ZipLimits(),
    spoolFolder: String = "/tmp"
  ) {
    self.key = key
    self.thumbprint = thumbprint
    self.signers = signers
    self.limits = limits
    self.spoolFolder = spoolFolder
  }

  /// A packet that was opened, with what does not fit.
  public struct Opened: Sendable {
    /// What is inside.
    public let contents: PacketContents
    /// What `PacketReader` finds; not what `PacketContents.verify` finds.
    public let findings: [PacketFinding]
    /// The refId that the packet was held against.
    public let refID: String
    /// Bytes of the encrypted sub-packets.
    public let sizes: [SubPacketName: Int]
    /// Which of the reader's signers signed a sub-packet, by its place; absent where none did, or none were given.
    public let signedBy: [SubPacketName: Int]
    /// Whether signatures were checked.
    public let signaturesAreChecked: Bool
  }

  /// Opens a packet.
  /// - Parameter refID: of the authenticated sender; nil takes the one that sub-packet `id` names, for a person who looks at a file.
  /// - Throws: `PacketError` as `PacketReader.openContainer`; `ByteSourceError`.
  public func open(_ packet: any ByteSource, refID: String? = nil) throws -> Opened {
    let container = try self.container(of: packet)
    let parts = try self.parts(of: container)
    let refID = refID ?? (parts.parts[.id] ?? parts.parts.values.first)?.info.refID ?? ""
    var findings: [PacketFinding] = []
    var subPackets: [SubPacketName: SubPacket] = [:]
    var sizes: [SubPacketName: Int] = [:]
    var signedBy: [SubPacketName: Int] = [:]
    for (name, part) in parts.parts.sorted(by: { $0.key < $1.key }) {
      sizes[name] = part.content.count
      (subPackets[name], signedBy[name]) = try subPacket(name, part, of: parts.origin, refID, &findings)
    }
    let origin = parts.origin
    return Opened(
      contents: PacketContents(
        rid: origin.rid, source: origin.source, processName: origin.process, subPackets: subPackets),
      findings: findings, refID: refID, sizes: sizes, signedBy: signedBy,
      signaturesAreChecked: !signers.isEmpty)
  }

  /// Decrypts the upload file into a place of our own, so that what was verified is what is read.
  private func container(of packet: any ByteSource) throws -> any ByteSource {
    let spool = Spool(folder: spoolFolder)
    try PacketOpening.with(packet, key: key, thumbprint: thumbprint) { opening in
      try opening.decrypt { try spool.append($0) }
    }
    return try spool.finish()
  }

  private struct Part {
    var info: SubPacketInfo
    var content: any ByteSource
  }

  private func parts(
    of container: any ByteSource
  ) throws -> (origin: PacketReader.Origin, parts: [SubPacketName: Part]) {
    let zip = try ZipReader(container, limits: limits, flat: false)
    var files = PacketReader.ContainerFiles()
    var contents: [SubPacketName: any ByteSource] = [:]
    var infos: [SubPacketName: SubPacketInfo] = [:]
    for entry in zip.files {
      switch try files.place(of: entry.name) {
      case .content(let name): contents[name] = try content(of: entry, in: zip)
      case .metadata(let name):
        guard entry.size <= Self.largestMetadata else { throw PacketError(.badEntry, "metadata that are too large") }
        infos[name] = try SubPacketInfo(json: zip.content(of: entry))
      }
    }
    let origin = try files.origin(contents: Set(contents.keys), infos: Set(infos.keys))
    var parts: [SubPacketName: Part] = [:]
    for (name, content) in contents { parts[name] = Part(info: infos[name]!, content: content) }
    return (origin, parts)
  }

  /// An encrypted sub-packet where it stands when it is stored, else unpacked (Java packs it in vain).
  private func content(of entry: ZipReader.Entry, in zip: ZipReader) throws -> any ByteSource {
    if let stored = zip.stored(entry) {
      try zip.read(entry) { _ in }
      return stored
    }
    let spool = Spool(folder: spoolFolder)
    try zip.read(entry) { try spool.append($0) }
    return try spool.finish()
  }

  private func subPacket(
    _ name: SubPacketName, _ part: Part, of origin: PacketReader.Origin, _ refID: String,
    _ findings: inout [PacketFinding]
  ) throws -> (SubPacket, signer: Int?) {
    findings += PacketReader.metadataFindings(part.info, name, origin, refID: refID)
    let encrypted = Tally()
    try part.content.forEachPiece { encrypted.update($0) }
    if !constantTimeEqual(part.info.encryptedHash, encrypted.digest()) {
      findings.append(PacketFinding(.encryptedHash, name))
    }
    let plain = Tally()
    let plaintext = try PacketOpening.with(part.content, key: key, thumbprint: thumbprint) { opening in
      try opening.decrypt { plain.update($0) }
      return opening.verifiedPlaintext()
    }
    let digest = plain.digest()
    let signer = signers.firstIndex { $0.isValid(part.info.signature, ofDigest: digest, .sha256) }
    if !signers.isEmpty, signer == nil { findings.append(PacketFinding(.signature, name)) }
    return (try SubPacket(name: name, info: part.info, source: plaintext, limits: limits, keeping: Self.kept), signer)
  }
}
