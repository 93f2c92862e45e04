import TestSupport
import VirusScanning
import JSON
import Registration
import StageKit
import System
import Testing

@testable import EmbeddedPlatform

/// What ClamAV's own daemon finds in the parts of a packet, as packet-uploader gives them to it.
@Suite(.serialized, .timeLimit(.minutes(30))) struct PacketScanTests {
  private static let schema = """
    {"properties":{"identity":{"properties":{"IDSchemaVersion":{"type":"number","fieldCategory":"none"},
      "proofOfIdentity":{"$ref":"#/definitions/documentType","fieldCategory":"pvt"}}}},"definitions":{"documentType":{"type":"object"}}}
    """

  @Test(.enabled(if: RealDaemon.program != nil, "clamd is not installed: apt-get install clamav-daemon"))
  func `a virus in a document is found in the decrypted sub packet and not before`() async throws {
    let folder = TemporaryFolder.make()
    let blocking = BlockingPool(name: "packet-scan", threads: 2)
    let daemon = try RealDaemon(try #require(RealDaemon.program))
    defer {
      daemon.stop()
      blocking.close()
      TemporaryFolder.remove(folder)
    }
    let scanner = ClamAVScanner(.unix(path: daemon.socketPath))
    let keys = EmbeddedKeyManager(keys: try KeyFolder(folder: folder + "/keys"), blocking: blocking)
    for (document, expected) in [(RealDaemon.eicar, "Eicar-Local-Test.UNOFFICIAL"), (Array("a clean scan".utf8), nil)] {
      var draft = PacketDraft(
        rid: "10001100020000120240229235959", source: "OPENCRVS", process: "OPENCRVS_NEW", refId: "10001_10002",
        schemaVersion: "0.1", schema: try IdSchema(json: Array(Self.schema.utf8)), fields: ["IDSchemaVersion": "0.1"],
        metaInfo: [:],
        audits: [["eventId": "A"]], creationDate: Instant(iso: "2024-02-29T23:59:59.123Z")!)
      draft.documents["proofOfIdentity"] = PacketDocument(content: document, type: "DOC001", format: "pdf")
      let packet = try await PacketWriter(keys: keys).write(draft).content
      #expect(try await scanner.scan(packet) == nil)
      let container = try await PacketReader(keys: keys).openContainer(packet, refId: "10001_10002")
      var found: [String?] = []
      for part in container.parts {
        found.append(try await scanner.scan(try await keys.decryptPacket(part.content, referenceId: "10001_10002")))
      }
      #expect(found.compactMap { $0 } == [expected].compactMap { $0 })
    }
  }
}
