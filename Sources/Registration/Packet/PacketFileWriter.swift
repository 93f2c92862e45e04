import Cryptography
import System

/// Makes packets piece by piece with keys that are in this process: memory does not grow with the packet, and no plaintext of it
/// touches a disk. The bytes are of the same form as `PacketWriter`'s.
public struct PacketFileWriter: Sendable {
  private let certificate: Certificate
  private let signingKey: RSAPrivateKey
  private let providerName: String
  private let providerVersion: String
  private let spoolFolder: String

  /// A writer.
  /// - Parameters:
  ///   - certificate: whom sub-packets and container are encrypted for.
  ///   - signingKey: the machine's.
  ///   - spoolFolder: where encrypted sub-packets wait, in files without a name, when they are large.
  public init(
    certificate: Certificate, signingKey: RSAPrivateKey, providerName: String = "PacketWriterImpl",
    providerVersion: String = "v1.0", spoolFolder: String = TemporaryFiles.folder
  ) {
    self.certificate = certificate
    self.signingKey = signingKey
    self.providerName = providerName
    self.providerVersion = providerVersion
    self.spoolFolder = spoolFolder
  }

  /// What was written.
  public struct Written: Sendable {
    /// The packet's id.
    public let packetId: String
    /// Bytes of the upload file.
    public let size: Int
    /// Upper-case hex of its SHA-256: `packetHashValue` of the sync record.
    public let hash: String
    /// The metadata of each sub-packet.
    public let subPackets: [SubPacketName: SubPacketInfo]
    /// Names in the draft that the schema does not know, which are therefore in no sub-packet.
    public let ignoredFields: [String]
  }

  /// Makes, signs and encrypts the three sub-packets and their container.
  /// - Parameter sink: takes the upload file's bytes in order.
  /// - Throws: `PacketError` `badDraft`, `badSchema`; `ByteSourceError`; what the sink throws. What the sink got is then no packet.
  public func write(_ draft: PacketDraft, to sink: (UnsafeRawBufferPointer) throws -> Void) throws -> Written {
    try PacketWriter.check(draft)
    return try withoutActuallyEscaping(sink) { sink in
      let file = Tally()
      let sealing = try PacketSealing(for: certificate) { bytes in
        file.update(bytes)
        try sink(bytes)
      }
      let container = ZipWriter(at: draft.creationDate) { try sealing.update($0) }
      var infos: [SubPacketName: SubPacketInfo] = [:]
      for name in SubPacketName.allCases {
        let part = try self.part(name, of: draft)
        let path = "\(draft.source)/\(draft.processName)/\(part.info.packetName)"
        try container.add(path + ".zip", stored: part.content, crc: part.crc)
        try container.add(path + ".json", part.info.json)
        infos[name] = part.info
      }
      try container.finish()
      try sealing.finish()
      return Written(
        packetId: draft.packetId, size: file.size, hash: Encoding.upperHex(file.digest()), subPackets: infos,
        ignoredFields: draft.ignoredFields)
    }
  }

  private struct Part {
    var info: SubPacketInfo
    var content: any ByteSource
    var crc: UInt32
  }

  /// A sub-packet, zipped, hashed for its signature and encrypted in one pass.
  private func part(_ name: SubPacketName, of draft: PacketDraft) throws -> Part {
    let spool = Spool(folder: spoolFolder)
    let plain = Tally()
    let encrypted = Tally()
    var crc = CRC()
    let sealing = try PacketSealing(for: certificate) { bytes in
      encrypted.update(bytes)
      crc.update(bytes)
      try spool.append(bytes)
    }
    let zip = ZipWriter(at: draft.creationDate) { bytes in
      plain.update(bytes)
      try sealing.update(bytes)
    }
    try SubPacketFiles.write(name, of: draft, to: zip)
    try zip.finish()
    try sealing.finish()
    let info = try SubPacketInfo(
      of: draft, name, signature: signingKey.sign(digest: plain.digest(), .sha256), encryptedHash: encrypted.digest(),
      providerName: providerName, providerVersion: providerVersion)
    return Part(info: info, content: try spool.finish(), crc: UInt32(truncatingIfNeeded: crc.value))
  }
}

/// Counts and hashes (SHA-256) what passes by.
final class Tally {
  private(set) var size = 0
  private var hash: HashStream? = HashStream(.sha256)

  func update(_ bytes: UnsafeRawBufferPointer) {
    size += bytes.count
    hash?.update(bytes)
  }

  /// The digest of a source.
  static func digest(of source: any ByteSource) throws -> [UInt8] {
    let tally = Tally()
    try source.forEachPiece { tally.update($0) }
    return tally.digest()
  }

  /// The digest; nothing more can be added.
  func digest() -> [UInt8] {
    guard let hash = hash.take() else { return [] }
    return hash.finish()
  }
}
