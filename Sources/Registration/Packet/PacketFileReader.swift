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

  /// A reader.
  /// - Parameters:
  ///   - key: what packets are encrypted for.
  ///   - thumbprint: SHA-256 of the certificate they must name; nil takes any, the key alone then decides.
  ///   - signers: the machine's keys, of which one must have signed; none leaves signatures unchecked, which the result says.
  ///   - spoolFolder: where the container and packed sub-packets, still encrypted, wait in files without a name when they are large.
  public init(
    key: RSAPrivateKey, thumbprint: [UInt8]? = nil, signers: [RSAPublicKey], limits: ZipLimits = ZipLimits(),
    spoolFolder: String = TemporaryFiles.folder
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
    public let refId: String
    /// Bytes of the encrypted sub-packets.
    public let sizes: [SubPacketName: Int]
    /// Which of the reader's signers signed a sub-packet, by its place; absent where none did, or none were given.
    public let signedBy: [SubPacketName: Int]
    /// Whether signatures were checked.
    public let signaturesAreChecked: Bool
  }

  /// Opens a packet.
  /// - Parameter refId: of the authenticated sender; nil takes the one that sub-packet `id` names, for a person who looks at a file.
  /// - Throws: `PacketError` as `PacketReader.openContainer`; `ByteSourceError`.
  public func open(_ packet: any ByteSource, refId: String? = nil) throws -> Opened {
    let container = try PacketReader.ContainerFiles.container(
      of: plaintext(of: packet), limits: limits, spoolFolder: spoolFolder)
    let origin = PacketReader.Origin(source: container.source, process: container.processName, rid: container.rid)
    let refId = refId ?? (container.parts.first { $0.name == .id } ?? container.parts.first)?.info.refId ?? ""
    var findings: [PacketFinding] = []
    var subPackets: [SubPacketName: SubPacket] = [:]
    var sizes: [SubPacketName: Int] = [:]
    var signedBy: [SubPacketName: Int] = [:]
    for part in container.parts {
      sizes[part.name] = part.content.count
      (subPackets[part.name], signedBy[part.name]) = try subPacket(part, of: origin, refId, &findings)
    }
    return Opened(
      contents: PacketContents(
        rid: origin.rid, source: origin.source, processName: origin.process, subPackets: subPackets),
      findings: findings, refId: refId, sizes: sizes, signedBy: signedBy,
      signaturesAreChecked: !signers.isEmpty)
  }

  /// Decrypts the upload file into a place of our own, so that what was verified is what is read.
  private func plaintext(of packet: any ByteSource) throws -> any ByteSource {
    if packet.isSmall { return try PacketEncryption.open(packet, with: key, thumbprint: thumbprint) }
    let spool = Spool(folder: spoolFolder)
    try PacketOpening.with(packet, key: key, thumbprint: thumbprint) { opening in
      try opening.decrypt { try spool.append($0) }
    }
    return try spool.finish()
  }

  private func subPacket(
    _ part: PacketReader.Part, of origin: PacketReader.Origin, _ refId: String, _ findings: inout [PacketFinding]
  ) throws -> (SubPacket, signer: Int?) {
    let name = part.name
    findings += PacketReader.metadataFindings(part.info, name, origin, refId: refId)
    if !constantTimeEqual(part.info.encryptedHash, try Tally.digest(of: part.content)) {
      findings.append(PacketFinding(.encryptedHash, name))
    }
    let (plaintext, digest) = try plaintextAndDigest(of: part.content)
    let signer = signers.firstIndex { $0.isValid(part.info.signature, ofDigest: digest, .sha256) }
    if !signers.isEmpty, signer == nil { findings.append(PacketFinding(.signature, name)) }
    let subPacket = try SubPacket(
      name: name, info: part.info, source: plaintext, limits: limits, keeping: plaintext.isSmall ? .max : PacketReader.kept)
    return (subPacket, signer)
  }

  private func plaintextAndDigest(of content: any ByteSource) throws -> (any ByteSource, [UInt8]) {
    if content.isSmall {
      let plaintext = try PacketEncryption.open(content, with: key, thumbprint: thumbprint)
      return (plaintext, try Tally.digest(of: plaintext))
    }
    // One pass for tag and digest.
    let plain = Tally()
    let plaintext = try PacketOpening.with(content, key: key, thumbprint: thumbprint) { opening in
      try opening.decrypt { plain.update($0) }
      return opening.verifiedPlaintext()
    }
    return (plaintext, plain.digest())
  }
}
