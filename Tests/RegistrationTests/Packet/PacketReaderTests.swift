import TestSupport
import Cryptography
import JSON
import System
import Testing

@testable import Registration

@Suite("Reading packets", .timeLimit(.minutes(10))) struct PacketReaderTests {
  let packet = Encoding.bytes(base64: PacketVectors.packet)!

  @Test
  func `A packet of independent code is read and passes every check`() async throws {
    let reader = PacketReader(keys: try PacketSamples.keys())
    let contents = try await reader.read(packet, refId: PacketSamples.refId)
    #expect(contents.rid == PacketSamples.rid)
    #expect(contents.source == "OPENCRVS")
    #expect(contents.process == "OPENCRVS_NEW")
    #expect(contents.schemaVersion == "0.1")
    #expect(contents.searchField("phone") == "9898989898")
    #expect(contents.value("fullName")?[1]?["value"]?.string == "ليلى")
    #expect(try JSONValue.parse(contents.searchField("fullName")!)[0]?["value"]?.string == "Zoë Rao")
    #expect(contents.searchFields(["dateOfBirth", "none"]) == ["dateOfBirth": "2024/02/29"])
    #expect(contents.metaData("CENTERID") == "10001")
    #expect(contents.audits.first?["eventId"]?.string == "OPENCRVS_CREATE_PACKET")
    #expect(contents.document("proofOfIdentity")?.content == Array("%PDF-1.4 vector".utf8))
    #expect(contents.document("proofOfIdentity")?.type == "DOC001")
    #expect(contents.document("proofOfAddress") == nil)
    #expect(try contents.verify(schema: PacketSamples.schema(), mandatory: ["IDSchemaVersion"]).isEmpty)
  }

  @Test
  func `A flipped bit anywhere in a packet is refused`() async throws {
    let reader = PacketReader(keys: try PacketSamples.keys())
    for i in Array(stride(from: 0, to: packet.count, by: 37)) + Array(0..<76) + Array(320..<360) + [packet.count - 1] {
      var changed = packet
      changed[i] ^= 1
      let refusal = await code { try await reader.read(changed, refId: PacketSamples.refId) }
      #expect(refusal == ((332..<346).contains(i) ? .badEncryption : .decryptionFailed), "byte \(i)")
    }
  }

  @Test
  func `A packet cut short is refused`() async throws {
    let reader = PacketReader(keys: try PacketSamples.keys())
    for count in [0, 11, 44, 100, 345, 346, 361, 362, packet.count - 1] {
      let refusal = await code { try await reader.read(Array(packet[..<count]), refId: PacketSamples.refId) }
      #expect(refusal == (count < 346 ? .badEncryption : .decryptionFailed))
    }
  }

  @Test
  func `A packet signed by another machine is not intact, and one of an unknown refId is not opened`() async throws {
    let reader = PacketReader(keys: try PacketSamples.keys(signer: VectorKeys.key2048))
    #expect(await code { try await reader.read(packet, refId: PacketSamples.refId) } == .notIntact)
    let findings = try await reader.inspect(packet, refId: PacketSamples.refId).findings
    #expect(Set(findings) == Set(SubPacketName.allCases.map { PacketFinding(.signature, $0) }))
    #expect(await code { try await reader.read(packet, refId: "10001_99999") } == .unknownKey)
  }

  @Test
  func `Metadata that say anything but what the entry names and the sender say are found by name`() async throws {
    let reader = PacketReader(keys: try PacketSamples.keys())
    let container = try await reader.openContainer(packet, refId: PacketSamples.refId)
    let good = container.parts.first { $0.name == .id }!
    #expect(good.path == "OPENCRVS/OPENCRVS_NEW/\(PacketSamples.rid)_id")
    func findings(_ change: (inout SubPacketInfo) -> Void) async throws -> [String] {
      var info = good.info
      change(&info)
      let part = PacketReader.Part(name: .id, info: info, content: good.content, path: good.path)
      return try await reader.inspect(
        part, rid: container.rid, source: container.source, processName: container.processName,
        refId: PacketSamples.refId
      ).findings.map(\.description)
    }
    #expect(try await findings { _ in } == [])
    #expect(try await findings { $0.id = "1" } == ["id: metadata: id"])
    #expect(try await findings { $0.packetName = "1" } == ["id: metadata: packetname"])
    #expect(try await findings { $0.source = "1" } == ["id: metadata: source"])
    #expect(try await findings { $0.process = "1" } == ["id: metadata: process"])
    #expect(try await findings { $0.refId = "1" } == ["id: metadata: refid"])
    #expect(try await findings { $0.encryptedHash[31] ^= 1 } == ["id: encrypted-hash"])
    #expect(try await findings { $0.signature[9] ^= 1 } == ["id: signature"])
  }

  @Test
  func `Metadata are read with keys of any case, the refId from the id where it is absent`() throws {
    let info = try SubPacketInfo(metadata: ["ID": PacketSamples.rid, "Signature": "AA", "EncryptedHash": "AA"])
    #expect(info.refId == "10001_10002")
    #expect(code { try SubPacketInfo(metadata: ["signature": "AA"]) } == .badEntry)
    #expect(code { try SubPacketInfo(json: Array("[]".utf8)) } == .badEntry)
  }

  @Test
  func `A packet encrypted without thumbprint opens by its key, unless a certificate is asked for`() throws {
    let key = try RSAPrivateKey(pem: VectorKeys.key2048)
    let certificate = try Certificate(pem: VectorKeys.certificate2048)
    let blob = try PacketEncryption.seal([1, 2, 3], for: certificate)
    #expect(blob.count == 3 + 362)
    let short = Array(blob[..<44] + blob[76...])
    #expect(try PacketEncryption.open(short, with: key) == [1, 2, 3])
    #expect(
      code { try PacketEncryption.open(short, with: key, thumbprint: certificate.thumbprint) } == .decryptionFailed)
  }

  @Test(arguments: [
    ["a/b/1_id.zip"], ["a/b/1_id.json"], ["a/b/1_id.zip", "a/b/1_id.json", "a/b/2_evidence.zip"],
    ["a/b/1_other.zip"], ["a/1_id.zip"], ["a/b/c/1_id.zip"], ["a/b/1_id.exe"], ["a/b/id"], ["1_id.zip"], [],
  ])
  func `A container with entries that are no part of one packet is refused`(names: [String]) async throws {
    let json = Array(#"{"signature":"AA","encryptedhash":"AA"}"#.utf8)
    let zip = RawZip.make(names.map { RawZip.Entry(name: $0, content: json) })
    let blob = try PacketEncryption.seal(zip, for: Certificate(pem: VectorKeys.certificate2048))
    let reader = PacketReader(keys: try PacketSamples.keys())
    let refusal = await code { try await reader.openContainer(blob, refId: PacketSamples.refId) }
    #expect(refusal == .badContainer)
  }

  @Test
  func `The iteration of an additional-info packet is no part of its process`() {
    func process(_ name: String) -> String {
      PacketContents(rid: "1", source: "a", processName: name, subPackets: [:]).process
    }
    #expect(process("CORRECTION-2") == "CORRECTION")
    #expect(process("A-B") == "A-B")
    #expect(process("-2") == "-2")
    #expect(process("A-") == "A-")
  }
}
