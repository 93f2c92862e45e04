import ObjectStores
import Glibc
import HTTP
import JSON
import EmbeddedPlatform
import Postgres
import Registration
import StageKit
import System
import TestSupport
import Testing

extension ProgramTests {
  /// A packet of 50 MB on its way from a registration client to the packet store and through the stages that read it.
  @Suite(.enabled(if: TransactionalBroker.isThere, "no broker with transactions is installed"))
  struct LargePacketTests {
    private static let rid = "45451454520000120240229235959"
    private static let refId = "45451_45452"
    private static let stages = [
      "packet-receiver", "securezone-notification", "packet-uploader", "packet-validator", "packet-classifier",
    ]

    @Test(arguments: S3Server.isThere ? [false, true] : [false])
    func `a packet of 50 MB goes through the stages in less than 80 MB of memory each`(_ isOnS3: Bool) async throws {
      let broker = try await TransactionalBroker()
      let side = try OpenCRVSSide()
      var settings = ["REGPROC_STAGE_PACKET_RECEIVER_MAX_FILE_SIZE": "60"]
      if isOnS3 {
        let s3 = try await S3Server.settings()
        settings["REGPROC_OBJECT_STORE"] = "s3"
        settings["REGPROC_S3_URL"] = s3.url
        settings["REGPROC_S3_ACCESS_KEY"] = s3.accessKey
        settings["REGPROC_S3_SECRET_KEY"] = s3.secretKey
      }
      let processes = try await StageProcesses(broker, side, settings)
      for stage in Self.stages { try await processes.start(stage) }
      for stage in Self.stages { try await processes.waitUntilReady(stage) }
      let client = try Client(of: processes)
      let file = try await client.packet(documentSize: 50_000_000)
      try await client.announce(file)
      #expect(try await client.upload(file)["response"]?["status"]?.string == "Packet has reached Packet Receiver")

      let isClassified = try await eventually(within: .seconds(240)) {
        try await verdicts(processes.database)["packet-classifier"] != nil
      }
      let found = try await verdicts(processes.database)
      #expect(isClassified && Set(found.values) == ["passed"], "\(found) \(processes.troubles)")
      // Three stages read the packet; a file in the page cache is no memory of the process.
      for stage in Self.stages {
        let peak = try #require(processes.peakMemory(stage))
        #expect(peak < 80, "\(stage)")
      }
      let objects: any ObjectStore =
        isOnS3
        ? try await S3Server.store(accountIsBucket: true)
        : FileObjectStore(folder: processes.data + "/platform/objects", blocking: client.blocking)
      #expect(try await objects.keys(account: "packet-manager", container: Self.rid, prefix: "").count == 3)
      try await processes.stop()
      try await broker.stop()
      await side.stop()
      client.close()
    }

    private func verdicts(_ database: PostgresSettings) async throws -> [String: String] {
      let pool = BlockingPool(name: "verdicts", threads: 1)
      defer { pool.close() }
      return try await pool.run {
        let connection = try Connection(database)
        defer { connection.close() }
        var out: [String: String] = [:]
        for row in try connection.execute("SELECT stage, verdict FROM regproc.hop WHERE state = 2") {
          out[try row.text(0)] = try row.textOrNull(1) ?? "-"
        }
        return out
      }
    }

    /// A registration client that has the keys of the deployment's folder.
    private final class Client: Sendable {
      struct File: Sendable {
        var path: String
        var size: Int
        var hash: String
      }

      let blocking = BlockingPool(name: "client", threads: 2)
      private let http = HTTP.Client(ClientSettings(timeoutSeconds: 240))
      private let processes: StageProcesses
      private let keys: KeyFolder
      private let manager: EmbeddedKeyManager
      private let tokens: EmbeddedTokens

      init(of processes: StageProcesses) throws {
        self.processes = processes
        keys = try KeyFolder(folder: processes.data + "/platform/keys")
        manager = EmbeddedKeyManager(keys: keys, blocking: blocking)
        tokens = EmbeddedTokens(
          keys: keys, blocking: blocking, roles: ["mosip-mediator": ["REGISTRATION_PROCESSOR"]], clock: SystemClock())
      }

      func close() {
        http.close()
        blocking.close()
      }

      func packet(documentSize: Int) async throws -> File {
        let (keys, path) = (keys, processes.data + "/large.zip")
        return try await blocking.run {
          let schema = TemporaryFolder.read(Program.repository + "/stages/packet-validator/id-schema.json") ?? []
          var draft = PacketDraft(
            rid: LargePacketTests.rid, source: "OPENCRVS", process: "OPENCRVS_NEW", refId: LargePacketTests.refId,
            schemaVersion: "0.1", schema: try IdSchema(json: schema),
            fields: ["fullName": [["language": "eng", "value": "Asha Rao"]], "dateOfBirth": "2024/02/29"],
            metaInfo: ["metaData": [], "operationsData": [], "capturedRegisteredDevices": []],
            audits: [["eventId": "A", "uuid": "1"]], creationDate: .now)
          draft.documents["proofOfIdentity"] = PacketDocument(
            source: MemorySource(SecureRandom.bytes(documentSize)), type: "DOC001", format: "pdf")
          let file = fopen(path, "w")
          defer { fclose(file) }
          let writer = PacketFileWriter(
            certificate: try keys.pair("registration-\(LargePacketTests.refId)").certificate,
            signingKey: try keys.pair("client").key)
          let written = try writer.write(draft) { fwrite($0.baseAddress, 1, $0.count, file) }
          return File(path: path, size: written.size, hash: written.hash)
        }
      }

      private func headers() async throws -> Headers {
        [
          "Cookie": "Authorization=\(try await tokens.token(client: "mosip-mediator", for: .mosip))",
          "Center-Machine-RefId": LargePacketTests.refId, "timestamp": Instant.now.iso, "Content-Type": "application/json",
        ]
      }

      func announce(_ file: File) async throws {
        let body: JSONValue = [
          "id": "mosip.registration.sync", "version": "1.0", "requesttime": .string(Instant.now.iso),
          "request": [
            [
              "registrationId": .string(LargePacketTests.rid), "packetId": .string(LargePacketTests.rid),
              "registrationType": "OPENCRVS_NEW", "packetHashValue": .string(file.hash),
              "packetSize": JSONValue(file.size), "supervisorStatus": "APPROVED", "supervisorComment": "-", "langCode": "eng",
            ]
          ],
        ]
        let sealed = try await manager.encryptPacket(body.encoded(), referenceId: LargePacketTests.refId)
        let answer = try await http.send(
          ClientRequest(
            method: "POST", url: processes.url("packet-receiver") + "/registrationprocessor/v1/registrationstatus/sync",
            headers: headers(), body: .bytes(JSONValue.string(Encoding.base64URL(sealed)).encoded())))
        #expect(
          try JSONValue.parse(answer.body)["response"]?[0]?["status"]?.string == "SUCCESS",
          "\(String(decoding: answer.body, as: UTF8.self))")
      }

      func upload(_ file: File) async throws -> JSONValue {
        var headers = try await headers()
        headers["Content-Type"] = nil
        let answer = try await http.send(
          ClientRequest(
            method: "POST",
            url: processes.url("packet-receiver") + "/registrationprocessor/v1/packetreceiver/registrationpackets",
            headers: headers,
            body: .multipartFile(
              field: "file", fileName: LargePacketTests.rid + ".zip", content: .file(path: file.path))))
        return try JSONValue.parse(answer.body)
      }
    }
  }
}
