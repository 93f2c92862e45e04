import StageTesting
import JSON
import StageKit
import System
import Testing

@testable import Registration
@testable import Stages

@Suite(.timeLimit(.minutes(10))) struct PacketUploaderTests {
  private static let path = "OPENCRVS/OPENCRVS_NEW/\(Sample.rid)"

  private func packet(rid: String = Sample.rid, process: String = "OPENCRVS_NEW", documents: [UInt8] = [1, 2, 3])
    async throws
    -> [UInt8]
  {
    var draft = PacketDraft(
      rid: rid, source: "OPENCRVS", process: process, refId: Sample.referenceId, schemaVersion: "0.1",
      schema: Sample.schema, fields: ["phone": "9898989898"], metaInfo: ["metaData": []], audits: [["eventId": "A"]],
      creationDate: Sample.now)
    draft.documents["proofOfIdentity"] = PacketDocument(content: documents, type: "DOC001", format: "pdf")
    return try await PacketWriter(keys: ServiceKeys(keys: TestPlatform())).write(draft).content
  }

  private func world(_ packet: [UInt8], inLandingZone: Bool = true, retryCount: Int = 0) async -> TestPlatform {
    let world = TestPlatform()
    await world.set {
      $0.announcements = [Sample.announcement(of: packet)]
      $0.rows = [Sample.row(retryCount: retryCount)]
      if inLandingZone { $0.objects["landing-zone/\(Sample.rid)/\(Sample.rid)"] = packet }
    }
    return world
  }

  @Test func `a packet becomes three objects with metadata and a repeat changes nothing`() async throws {
    let world = await world(try await packet())
    var first: [String: [UInt8]]?
    for _ in 1...3 {
      #expect(
        try await world.judge(PacketUploader.self)
          == .passed("RPR-PKU-SUCCESS-001", "Packet is Uploaded to Packet Store"))
      let objects = await world.objects
      if let first { #expect(objects == first) }
      first = objects
    }
    for name in ["id", "evidence", "optional"] {
      let key = "packet-manager/\(Sample.rid)/\(Self.path)_\(name)"
      #expect(await world.objects[key] != nil)
      let metadata = await world.objectMetadata[key]
      #expect(metadata?["refid"] == Sample.referenceId && metadata?["packetname"] == "\(Sample.rid)_\(name)")
    }
  }

  @Test func `a large packet is taken apart like a small one`() async throws {
    // Just above what is worked on in memory as a whole.
    let world = await world(try await packet(documents: SecureRandom.bytes(MemorySource.most)))
    #expect(try await world.judge(PacketUploader.self).subStatusCode == "RPR-PKU-SUCCESS-001")
    #expect(await world.objectMetadata.count == 3)
  }

  @Test(arguments: [
    ("put", TestPlatform.Moment.after), ("setMetadata", .before), ("get", .before), ("scan", .before),
    ("decryptPacket", .before),
  ])
  func `a try that is cut off is done again`(_ call: String, _ moment: TestPlatform.Moment) async throws {
    let world = await world(try await packet())
    await world.fail(call, moment, with: Broken.unavailable)
    await #expect(throws: ServiceError.self) { try await world.judge(PacketUploader.self) }
    #expect(try await world.judge(PacketUploader.self).subStatusCode == "RPR-PKU-SUCCESS-001")
    #expect(await world.objectMetadata.count == 3)
  }

  @Test func `a packet that is in the store already passes`() async throws {
    let world = await world(try await packet())
    _ = try await world.judge(PacketUploader.self)
    await world.set { $0.objects["landing-zone/\(Sample.rid)/\(Sample.rid)"] = nil }
    #expect(
      try await world.judge(PacketUploader.self)
        == .passed("RPR-PKU-SUCCESS-008", "Packet is already present in Packet Store"))
    await world.set { $0.objects["packet-manager/\(Sample.rid)/\(Self.path)_optional"] = nil }
    #expect(try await world.judge(PacketUploader.self).subStatusCode == "RPR-PKU-FAILED-004")
  }

  @Test func `a packet that is nowhere ends in an error`() async throws {
    let verdict = try await world([1], inLandingZone: false).judge(PacketUploader.self)
    #expect(verdict.kind == .error && verdict.statusCode == .error && verdict.subStatusCode == "RPR-PKU-FAILED-004")
  }

  @Test func `a packet that differs from its announcement fails`() async throws {
    let world = await world(try await packet())
    await world.set { $0.announcements[0].packetChecksum = Sample.checksum([0]) }
    let verdict = try await world.judge(PacketUploader.self)
    #expect(verdict.kind == .failed && verdict.statusCode == .error && verdict.subStatusCode == "RPR-PKU-FAILED-005")
  }

  @Test func `a packet that cannot be decrypted ends in an error`() async throws {
    let world = await world(Array("not sealed at all".utf8))
    let verdict = try await world.judge(PacketUploader.self)
    #expect(verdict.kind == .error && verdict.statusCode == .error && verdict.subStatusCode == "RPR-PKR-FAILED-002")
  }

  @Test func `an infected document is found behind both encryptions`() async throws {
    let world = await world(try await packet(documents: TestPlatform.virus))
    let verdict = try await world.judge(PacketUploader.self)
    #expect(verdict.kind == .failed && verdict.statusCode == .failed && verdict.subStatusCode == "RPR-PKU-FAILED-006")
    #expect(await world.objects.count == 1)
  }

  @Test func `without a scanner nothing is decrypted but the packet itself`() async throws {
    let world = await world(try await packet())
    let stage = try make(PacketUploader.self)
    func decrypted(_ scanner: any VirusScanner) async throws -> Int {
      let before = await world.readings["decryptPacket"] ?? 0
      var services = world.context("packet-uploader").services
      services.virusScanner = scanner
      let context = StageContext(
        stage: "packet-uploader", services: services, store: world.store.of("packet-uploader"), pipeline: world)
      #expect(try await stage.process(Sample.message(), context).subStatusCode == "RPR-PKU-SUCCESS-001")
      return await (world.readings["decryptPacket"] ?? 0) - before
    }
    #expect(try await decrypted(NoVirusScanner()) == 1)
    #expect(try await decrypted(world) == 4)
  }

  @Test(arguments: [(9, "RPR-PKU-SUCCESS-001"), (10, "RPR-PKU-FAILED-009")])
  func `only what the client sent again counts against the packet`(_ count: Int, _ code: String) async throws {
    let world = await world(try await packet(), retryCount: count)
    for _ in 1...2 { #expect(try await world.judge(PacketUploader.self).subStatusCode == code) }
  }

  @Test func `a packet of another registration process or machine is refused`() async throws {
    let foreign = await world(try await packet(rid: "10001100020000120240229235959"))
    #expect(try await foreign.judge(PacketUploader.self).kind == .error)
    let process = await world(try await packet(process: "UPDATE"))
    #expect(try await process.judge(PacketUploader.self).kind == .error)
    #expect(await process.objects.count == 1)
  }

  @Test(arguments: [
    "../../\(Sample.rid)_id.zip", "/OPENCRVS/OPENCRVS_NEW/\(Sample.rid)_id.zip", "OPENCRVS/../\(Sample.rid)_id.zip",
    "OPENCRVS/OPENCRVS_NEW/\(Sample.rid)_id.exe", "\(Sample.rid)_id.zip",
    "OPENCRVS\\OPENCRVS_NEW\\\(Sample.rid)_id.zip",
  ])
  func `a hostile container stores nothing`(_ name: String) async throws {
    let zip = try ZipArchive.write([ZipEntry(name: name, content: [1])], at: Sample.now)
    let world = await world(try await TestPlatform().encryptPacket(zip, referenceId: Sample.referenceId))
    let verdict = try await world.judge(PacketUploader.self)
    #expect(verdict.kind == .error && verdict.subStatusCode == "RPR-SYS-EXCEPTION-001")
    #expect(await world.objects.count == 1)
  }

  @Test func `a container that is no zip ends in an error`() async throws {
    let world = await world(try await TestPlatform().encryptPacket([1, 2, 3], referenceId: Sample.referenceId))
    #expect(try await world.judge(PacketUploader.self).subStatusCode == "RPR-SYS-EXCEPTION-001")
  }

  @Test func `a message that the tables do not know ends in an error`() async throws {
    #expect(try await TestPlatform().judge(PacketUploader.self).kind == .error)
  }
}
