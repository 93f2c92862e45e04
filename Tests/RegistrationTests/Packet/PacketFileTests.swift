import TestSupport
import Cryptography
import JSON
import System
import Testing

@testable import Registration

@Suite("Packets piece by piece", .timeLimit(.minutes(10))) struct PacketFileTests {
  func writer() throws -> PacketFileWriter {
    try PacketFileWriter(
      certificate: Certificate(pem: VectorKeys.certificate2048), signingKey: RSAPrivateKey(pem: VectorKeys.otherKey))
  }

  func reader(signer: String = VectorKeys.otherKey) throws -> PacketFileReader {
    try PacketFileReader(
      key: RSAPrivateKey(pem: VectorKeys.key2048), thumbprint: Certificate(pem: VectorKeys.certificate2048).thumbprint,
      signers: [RSAPrivateKey(pem: signer).publicKey])
  }

  func written(_ draft: PacketDraft) throws -> (bytes: [UInt8], about: PacketFileWriter.Written) {
    var bytes: [UInt8] = []
    let about = try writer().write(draft) { bytes.append(contentsOf: $0) }
    return (bytes, about)
  }

  @Test
  func `What is written piece by piece is read by the reader that has all in memory`() async throws {
    let draft = try PacketSamples.draft()
    let packet = try written(draft)
    #expect(packet.about.size == packet.bytes.count)
    #expect(packet.about.hash == Encoding.upperHex(Hash.sha256(packet.bytes)))
    #expect(packet.about.ignoredFields == ["notInTheSchema"])
    let contents = try await PacketReader(keys: PacketSamples.keys()).read(packet.bytes, refId: PacketSamples.refId)
    #expect(contents.verify(schema: draft.schema, mandatory: ["IDSchemaVersion"]).isEmpty)
    #expect(contents.value("fullName")?[0]?["value"]?.string == "Zoë Rao")
    #expect(contents.document("proofOfException")?.content == [1, 2, 3])
  }

  @Test
  func `A packet of independent code is read piece by piece as it is in memory`() async throws {
    let packet = Encoding.bytes(base64: PacketVectors.packet)!
    let whole = try await PacketReader(keys: PacketSamples.keys()).read(packet, refId: PacketSamples.refId)
    let opened = try reader().open(MemorySource(packet), refId: PacketSamples.refId)
    #expect(opened.findings.isEmpty)
    #expect(opened.signedBy == [.id: 0, .evidence: 0, .optional: 0])
    for name in SubPacketName.allCases {
      #expect(opened.contents.subPackets[name]?.identity == whole.subPackets[name]?.identity)
      #expect(opened.contents.subPackets[name]?.metaInfo == whole.subPackets[name]?.metaInfo)
      for file in whole.subPackets[name]?.fileNames ?? [] {
        let stem = EntryName.stem(file)
        #expect(opened.contents.subPackets[name]?.file(stem) == whole.subPackets[name]?.file(stem))
      }
    }
  }

  @Test
  func `A document larger than any buffer comes back as it was, through files without a name`() throws {
    var draft = try PacketSamples.draft()
    let document = SecureRandom.bytes(9 << 20)
    draft.documents["proofOfIdentity"] = PacketDocument(source: MemorySource(document), type: "DOC001", format: "pdf")
    draft.biometricSources["individualBiometrics"] = MemorySource(SecureRandom.bytes(3 << 20))
    let packet = try written(draft)
    let opened = try reader().open(MemorySource(packet.bytes), refId: PacketSamples.refId)
    #expect(opened.findings.isEmpty)
    #expect(opened.contents.verify(schema: nil, mandatory: []).isEmpty)
    #expect(opened.contents.document("proofOfIdentity")?.content == document)
    #expect(opened.contents.subPackets[.id]?.size(of: "individualBiometrics_bio_CBEFF") == 3 << 20)
  }

  @Test
  func `A flipped bit anywhere in a packet is noticed, whichever reader has it`() throws {
    let packet = Encoding.bytes(base64: PacketVectors.packet)!
    let reader = try reader()
    for at in 0..<packet.count {
      // Each byte once, each bit of a byte in turn; the RSA block takes most of the time.
      if (80..<330).contains(at), at % 16 != 0 { continue }
      var changed = packet
      changed[at] ^= 1 << (at % 8)
      let refusal = code { try reader.open(MemorySource(changed), refId: PacketSamples.refId) }
      #expect(refusal == ((332..<346).contains(at) ? .badEncryption : .decryptionFailed), "byte \(at)")
    }
  }

  @Test
  func `A sub-packet whose bytes were changed under a new outer encryption is named`() throws {
    let packet = try written(PacketSamples.draft())
    let key = try RSAPrivateKey(pem: VectorKeys.key2048)
    let certificate = try Certificate(pem: VectorKeys.certificate2048)
    let container = try PacketEncryption.open(packet.bytes, with: key)
    var entries = try ZipArchive.read(container, limits: ZipLimits(), flat: false)
    let place = entries.firstIndex { $0.name.hasSuffix("_id.zip") }!
    let good = entries[place].content
    func refused(_ content: [UInt8]) throws -> (PacketError.Code?, [PacketFinding]) {
      entries[place].content = content
      let bytes = try PacketEncryption.seal(ZipArchive.write(entries, at: .now), for: certificate)
      do {
        return (nil, try reader().open(MemorySource(bytes), refId: PacketSamples.refId).findings)
      } catch let error as PacketError { return (error.code, []) }
    }
    #expect(try refused(good) == (nil, []))
    var changed = good
    changed[good.count - 1] ^= 1
    #expect(try refused(changed).0 == .decryptionFailed)
    #expect(try refused([]).0 == .badEncryption)
    // Encrypted anew, by someone without the machine's key: hash and signature tell.
    var plaintext = try PacketEncryption.open(good, with: key)
    #expect(try refused(PacketEncryption.seal(plaintext, for: certificate)).1 == [PacketFinding(.encryptedHash, .id)])
    plaintext = try ZipArchive.write(ZipArchive.read(plaintext, limits: ZipLimits(), flat: true), at: .now)
    #expect(
      try refused(PacketEncryption.seal(plaintext, for: certificate)).1
        == [PacketFinding(.encryptedHash, .id), PacketFinding(.signature, .id)])
  }

  @Test
  func `Signatures are unchecked without a signer, and no one's with a foreign one`() throws {
    let packet = try written(PacketSamples.draft()).bytes
    let unchecked = try PacketFileReader(key: RSAPrivateKey(pem: VectorKeys.key2048), signers: [])
      .open(MemorySource(packet))
    #expect(!unchecked.signaturesAreChecked && unchecked.findings.isEmpty && unchecked.signedBy.isEmpty)
    #expect(unchecked.refId == PacketSamples.refId)
    let foreign = try reader(signer: VectorKeys.key2048).open(MemorySource(packet))
    #expect(Set(foreign.findings) == Set(SubPacketName.allCases.map { PacketFinding(.signature, $0) }))
  }

  @Test
  func `A source that becomes shorter is an error, not a short packet`() throws {
    final class Vanishing: ByteSource {
      let count = 5000
      func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws { throw ByteSourceError("gone") }
    }
    var draft = try PacketSamples.draft()
    draft.documents["proofOfIdentity"] = PacketDocument(source: Vanishing(), type: "DOC001", format: "pdf")
    #expect(throws: ByteSourceError.self) { try written(draft) }
    #expect(throws: ByteSourceError.self) { try reader().open(Vanishing()) }
  }

  @Test
  func `Offline packets and answers to requests are named as upstream names them`() throws {
    var draft = try PacketSamples.draft()
    draft.mode = .offline
    #expect(draft.packetId == "\(PacketSamples.rid)-10001_10002-20240229235959")
    draft.additionalInfoRequestId = "\(PacketSamples.rid)-BIOMETRIC_CORRECTION-1"
    draft.iteration = 1
    #expect(draft.packetId == "\(PacketSamples.rid)-BIOMETRIC_CORRECTION-1-10001_10002-20240229235959")
    let opened = try reader().open(MemorySource(written(draft).bytes), refId: PacketSamples.refId)
    #expect(opened.findings.isEmpty)
    #expect(opened.contents.processName == "OPENCRVS_NEW-1")
    #expect(opened.contents.process == "OPENCRVS_NEW")
    let names = PacketObjectNames(rid: PacketSamples.rid, source: "OPENCRVS", processName: "OPENCRVS_NEW-1")
    let key = "OPENCRVS/OPENCRVS_NEW-1/\(PacketSamples.rid)_id"
    #expect(names.object(.id, account: "packet-manager") == ("packet-manager", "\(PacketSamples.rid)/\(key)"))
    #expect(names.object(.id, account: nil, prefix: "Dev-") == ("dev-\(PacketSamples.rid)", key))
    #expect(PacketObjectNames.landingZone(rid: "1", packetId: "1-2") == ("landing-zone", "1/1-2"))
    #expect(
      PacketObjectNames.tag("AGE_GROUP", rid: "1", account: "packet-manager") == ("packet-manager", "1/Tags/AGE_GROUP"))
    #expect(PacketObjectNames.isTag("Tags/X") && !PacketObjectNames.isTag(key))
  }
}
