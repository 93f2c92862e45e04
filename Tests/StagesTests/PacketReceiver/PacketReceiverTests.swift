import StageTesting
import HTTP
import JSON
import Registration
import StageKit
import Stages
import System
import Testing

/// The endpoints over real sockets, in a world in memory.
@Suite(.timeLimit(.minutes(10))) struct PacketReceiverTests {
  private static let syncPath = "/registrationprocessor/v1/registrationstatus/sync"
  private static let uploadPath = "/registrationprocessor/v1/packetreceiver/registrationpackets"

  private struct Receiver {
    let world: TestPlatform
    let port: Int
    let client: Client

    func send(
      _ path: String, body: ClientRequest.Body, headers: Headers = [:], token: String? = "good"
    ) async throws -> ClientResponse {
      var headers = headers
      if let token { headers["Cookie"] = "Authorization=\(token)" }
      return try await client.send(
        ClientRequest(method: "POST", url: "http://127.0.0.1:\(port)\(path)", headers: headers, body: body))
    }

    /// Uploads a file and gives the errors' codes; none for success.
    func upload(_ packet: [UInt8], name: String = Sample.rid + ".zip", field: String = "file", headers: Headers = [:]) async throws
      -> [String]
    {
      let response = try await send(
        PacketReceiverTests.uploadPath,
        body: .multipart([
          FormPart("comment", content: .bytes([65])), FormPart(field, content: .bytes(packet), fileName: name),
        ]), headers: headers)
      #expect(response.status == 200)
      let answer = try JSONValue.parse(response.body)
      #expect(answer["id"]?.string == "mosip.registration.packet" && answer["version"]?.string == "1.0")
      #expect(Instant(iso: answer["responsetime"]?.string ?? "") != nil)
      guard let errors = answer["errors"]?.array else {
        #expect(answer["response"]?["status"]?.string == "Packet has reached Packet Receiver")
        #expect(answer["errors"]?.isNull == true)
        return []
      }
      #expect(answer["response"]?.isNull == true)
      return errors.compactMap { $0["errorCode"]?.string }
    }

    /// Sends an announcement, sealed as clients seal it.
    func sync(
      _ request: JSONValue, path: String = PacketReceiverTests.syncPath, referenceId: String? = Sample.referenceId,
      timestamp: String? = Sample.now.iso, sealedFor: String = Sample.referenceId, raw: [UInt8]? = nil
    ) async throws -> JSONValue {
      let sealed = try await world.encryptPacket(request.encoded(), referenceId: sealedFor)
      var headers: Headers = ["Content-Type": "application/json"]
      headers["Center-Machine-RefId"] = referenceId
      headers["timestamp"] = timestamp
      let response = try await send(
        path, body: .bytes(raw ?? JSONValue.string(Encoding.base64URL(sealed)).encoded()), headers: headers)
      #expect(response.status == 200)
      #expect(response.headers["Response-Signature"]?.contains("..") == true)
      return try JSONValue.parse(response.body)
    }
  }

  private static func withReceiver(
    _ settings: [String: SettingValue] = [:], now: Instant = Sample.now, _ body: (Receiver) async throws -> Void
  ) async throws {
    let world = TestPlatform()
    await world.set {
      $0.callers = [
        "good": Caller(name: "mediator", roles: ["REGISTRATION_PROCESSOR", "X"]),
        "other": Caller(name: "x", roles: ["X"]),
      ]
    }
    let stage = try make(PacketReceiver.self, settings)
    let server = try Server(endpoints: stage.endpoints(world.context("packet-receiver", now: now)))
    let port = try server.start()
    let client = Client()
    do {
      try await body(Receiver(world: world, port: port, client: client))
    } catch {
      await server.stop()
      client.close()
      throw error
    }
    await server.stop()
    client.close()
  }

  private static func announced(_ packet: [UInt8], _ receiver: Receiver) async {
    await receiver.world.set { $0.announcements = [Sample.announcement(of: packet)] }
  }

  // MARK: Upload

  @Test func `a packet is durable and on its way before the client is answered`() async throws {
    try await Self.withReceiver { receiver async throws in
      let packet = Array("a packet".utf8)
      await Self.announced(packet, receiver)
      #expect(try await receiver.upload(packet, field: "anything") == [])
      #expect(await receiver.world.objects["landing-zone/\(Sample.rid)/\(Sample.rid)"] == packet)
      let (message, verdict, opening) = try #require(await receiver.world.concluded.first)
      #expect(verdict == .passed("RPR-PKR-SUCCESS-002", "Packet is Uploaded to Landing Zone"))
      #expect(opening?.comment == "Packet has reached Packet Receiver" && opening?.isResend == false)
      #expect(message.rid == Sample.rid && message.process == "OPENCRVS_NEW" && message.iteration == 1)
      #expect(message.source == nil && message.tags == [:] && message.workflowInstanceId == Sample.instance)
      #expect(await receiver.world.changes == ["put", "conclude"])
    }
  }

  @Test(arguments: [
    ("463ac35c9f6413ad48485a3953bb6124-a2fb4a1d1a96d312-1", "463ac35c9f6413ad48485a3953bb6124"), ("no trace", nil), (nil, nil),
  ]) func `a packet begins its way in the trace of its upload`(header: String?, trace: String?) async throws {
    try await Self.withReceiver { receiver async throws in
      let packet = Array("a packet".utf8)
      await Self.announced(packet, receiver)
      var headers = Headers()
      headers["b3"] = header
      #expect(try await receiver.upload(packet, headers: headers) == [])
      #expect(await receiver.world.concluded.first?.opening?.trace == trace.flatMap { TraceId($0) })
    }
  }

  @Test func `a repeated upload is a duplicate and nothing happens twice`() async throws {
    try await Self.withReceiver { receiver async throws in
      let packet = Array("a packet".utf8)
      await Self.announced(packet, receiver)
      #expect(try await receiver.upload(packet) == [])
      #expect(try await receiver.upload(packet) == ["RPR-PKR-005"])
      #expect(await receiver.world.concluded.count == 1)
    }
  }

  @Test func `uploads of one packet at the same time succeed once`() async throws {
    try await Self.withReceiver { receiver async throws in
      let packet = Array("a packet".utf8)
      await Self.announced(packet, receiver)
      let answers = try await withThrowingTaskGroup(of: [String].self) { group in
        for _ in 1...8 { group.addTask { try await receiver.upload(packet) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.filter(\.isEmpty).count == 1)
      #expect(answers.filter { $0 == ["RPR-PKR-005"] }.count == 7)
      #expect(await receiver.world.concluded.count == 1)
    }
  }

  @Test(arguments: [
    ("put", TestPlatform.Moment.after, ["RPR-PKR-007", "RPR-SYS-012"]), ("put", .before, ["RPR-PKR-007", "RPR-SYS-012"]),
    ("conclude", .before, ["RPR-PKR-007", "RPR-PKR-012"]), ("synced", .before, ["RPR-PKR-007", "RPR-PKR-012"]),
    ("registration", .before, ["RPR-PKR-007", "RPR-PKR-012"]), ("scan", .before, ["RPR-PKR-008"]),
  ])
  func `an upload that was cut off can be sent again`(_ call: String, _ moment: TestPlatform.Moment, _ codes: [String]) async throws
  {
    try await Self.withReceiver { receiver async throws in
      let packet = Array("a packet".utf8)
      await Self.announced(packet, receiver)
      await receiver.world.fail(call, moment, with: Broken.unavailable)
      #expect(try await receiver.upload(packet) == codes)
      #expect(await receiver.world.concluded.isEmpty)
      #expect(try await receiver.upload(packet) == [])
    }
  }

  @Test func `a client whose success was lost learns that the packet is there`() async throws {
    try await Self.withReceiver { receiver async throws in
      let packet = Array("a packet".utf8)
      await Self.announced(packet, receiver)
      await receiver.world.fail("conclude", .after, with: Broken.unavailable)
      #expect(try await receiver.upload(packet) == ["RPR-PKR-007", "RPR-PKR-012"])
      #expect(try await receiver.upload(packet) == ["RPR-PKR-005"])
      #expect(await receiver.world.concluded.count == 1)
    }
  }

  @Test func `checks answer in MOSIPs order and store nothing`() async throws {
    try await Self.withReceiver(["max-file-size": 1]) { receiver async throws in
      let packet = Array("a packet".utf8)
      func announce(_ change: @Sendable (inout SyncRecord) -> Void) async {
        var record = Sample.announcement(of: packet)
        change(&record)
        let changed = record
        await receiver.world.set { $0.announcements = [changed] }
      }
      #expect(try await receiver.upload(packet) == ["RPR-PKR-001"])
      await announce { $0.packetChecksum = Sample.checksum([1]) }
      #expect(try await receiver.upload(packet, name: Sample.rid + ".exe") == ["RPR-PKR-009"])
      await announce { $0.packetChecksum = $0.packetChecksum.lowercased() }
      #expect(try await receiver.upload(packet) == ["RPR-PKR-009"])
      await announce { $0.packetSize = 1 }
      #expect(try await receiver.upload(packet, name: Sample.rid + ".exe") == ["RPR-PKR-003"])
      #expect(try await receiver.upload(packet) == ["RPR-PKR-013"])
      await announce { $0.process = "BIOMETRIC_CORRECTION" }
      #expect(try await receiver.upload(packet) == ["RPR-PKR-016"])
      await announce {
        $0.process = "BIOMETRIC_CORRECTION"
        $0.additionalInfoRequestId = "request-1"
      }
      #expect(try await receiver.upload(packet) == ["RPR-PKR-016"])
      let large = [UInt8](repeating: 7, count: (1 << 20) + 1)
      await Self.announced(large, receiver)
      #expect(try await receiver.upload(large) == ["RPR-PKR-002"])
      #expect(await receiver.world.changes.isEmpty)
      let largest = [UInt8](repeating: 7, count: 1 << 20)
      await Self.announced(largest, receiver)
      #expect(try await receiver.upload(largest) == [])
    }
  }

  @Test func `a packet that answers a request has the requests iteration`() async throws {
    try await Self.withReceiver { receiver async throws in
      let packet = Array("a packet".utf8)
      let request = AdditionalInfoRequestRecord(
        id: "request-1", rid: Sample.rid, process: "BIOMETRIC_CORRECTION", iteration: 2, workflowInstanceId: "parent")
      func announce(_ request: AdditionalInfoRequestRecord, process: String = "BIOMETRIC_CORRECTION") async {
        let record = Sample.announcement(of: packet, process: process, additionalInfoRequestId: "request-1")
        await receiver.world.set {
          $0.announcements = [record]
          $0.requests = [request]
        }
      }
      // Of another registration, and of another process.
      var other = request
      other.rid = "10001100020000120240229235959"
      await announce(other)
      #expect(try await receiver.upload(packet) == ["RPR-PKR-016"])
      other = request
      other.process = "DOCUMENT_CORRECTION"
      await announce(other)
      #expect(try await receiver.upload(packet) == ["RPR-PKR-016"])
      #expect(await receiver.world.changes.isEmpty)
      await receiver.world.fail("request", with: Broken.unavailable)
      #expect(try await receiver.upload(packet) == ["RPR-PKR-007", "RPR-PKR-012"])
      await announce(request)
      #expect(try await receiver.upload(packet) == [])
      #expect(await receiver.world.concluded.last?.message.iteration == 2)
      // A main process has none, whatever its announcement says.
      await receiver.world.set {
        $0.concluded = []
        $0.rows = []
      }
      await announce(request, process: "OPENCRVS_NEW")
      #expect(try await receiver.upload(packet) == [])
      #expect(await receiver.world.concluded.last?.message.iteration == 1)
    }
  }

  @Test func `a file far beyond the limit is not even read`() async throws {
    try await Self.withReceiver(["max-file-size": 1]) { receiver async throws in
      let response = try await receiver.send(
        Self.uploadPath,
        body: .multipartFile(
          field: "file", fileName: "x.zip", content: .bytes([UInt8](repeating: 7, count: 4 << 20))))
      #expect(response.status == 413)
    }
  }

  @Test func `a request without a file is told so`() async throws {
    try await Self.withReceiver { receiver async throws in
      let response = try await receiver.send(
        Self.uploadPath, body: .multipart([FormPart("file", content: .bytes([1]))]))
      let answer = try JSONValue.parse(response.body)
      #expect(response.status == 200 && answer["errors"]?[0]?["errorCode"]?.string == "RPR-PKR-006")
      #expect(try await receiver.send(Self.uploadPath, body: .bytes([1])).status == 415)
    }
  }

  @Test(arguments: [
    "../../etc/passwd.zip", "..\\..\\x.zip", "..zip", ".zip", "a b.zip", "%2e%2e%2fx.zip", "x\u{0}.zip",
  ])
  func `a name that leads elsewhere is no packet id`(_ name: String) async throws {
    try await Self.withReceiver { receiver async throws in
      await Self.announced([1], receiver)
      #expect(try await receiver.upload([1], name: name) == ["RPR-PKR-001"])
      #expect(await receiver.world.changes.isEmpty)
    }
  }

  @Test func `folders before an announced name are not taken`() async throws {
    try await Self.withReceiver { receiver async throws in
      await Self.announced([1], receiver)
      #expect(try await receiver.upload([1], name: "C:\\packets\\..\\\(Sample.rid).zip") == [])
      #expect(await Array(receiver.world.objects.keys) == ["landing-zone/\(Sample.rid)/\(Sample.rid)"])
    }
  }

  @Test func `an infected packet is not stored and its end is recorded`() async throws {
    try await Self.withReceiver { receiver async throws in
      await Self.announced(TestPlatform.virus, receiver)
      #expect(try await receiver.upload(TestPlatform.virus) == ["RPR-PKR-010"])
      #expect(await receiver.world.objects.isEmpty)
      #expect(
        await receiver.world.concluded.first?.verdict == .failed("RPR-PKR-FAILED-001", "Packet is Virus Infected"))
    }
  }

  @Test func `a packet that the scanner will not take is not taken for clean`() async throws {
    try await Self.withReceiver { receiver async throws in
      await Self.announced([1], receiver)
      await receiver.world.fail("scan", with: Broken.refused("RPR-PKR-008"))
      #expect(try await receiver.upload([1]) == ["RPR-PKR-008"])
      #expect(await receiver.world.changes.isEmpty)
    }
  }

  @Test(arguments: [
    ("PROCESSING", "PACKET_RECEIVER", 0, 901.0, true), ("PROCESSING", "PACKET_RECEIVER", 0, 899, false),
    ("PROCESSING", "PACKET_RECEIVER", 10, 901, false), ("PROCESSING", "VALIDATE_PACKET", 0, 901, false),
    ("FAILED", "UPLOAD_PACKET", 0, 1, true), ("FAILED", "INTERNAL_WORKFLOW_ACTION", 0, 901, false),
    ("PROCESSED", "PACKET_RECEIVER", 0, 901, false), ("REJECTED", "PACKET_RECEIVER", 0, 901, false),
  ])
  func `only what the client is asked for may be sent again`(
    _ status: String, _ type: String, _ count: Int, _ age: Double, _ isTaken: Bool
  ) async throws {
    try await Self.withReceiver(now: Sample.now.advanced(bySeconds: age)) { receiver async throws in
      await Self.announced([1], receiver)
      await receiver.world.set {
        $0.rows = [Sample.row(status: RegistrationStatus(rawValue: status), type: type, retryCount: count)]
      }
      #expect(try await receiver.upload([1]) == (isTaken ? [] : ["RPR-PKR-005"]))
      #expect(await receiver.world.concluded.first?.opening?.isResend == (isTaken ? true : nil))
    }
  }

  // MARK: Callers

  @Test func `only a caller with a valid token and a role enters`() async throws {
    try await Self.withReceiver { receiver async throws in
      for path in [Self.syncPath, Self.syncPath + "V2", Self.uploadPath] {
        let body: ClientRequest.Body =
          path == Self.uploadPath ? .multipartFile(field: "f", fileName: "x.zip", content: .bytes([1])) : .bytes([1])
        for (token, status) in [(nil, 401), ("", 401), ("wrong", 401), ("other", 403)] as [(String?, Int)] {
          let response = try await receiver.send(path, body: body, token: token)
          #expect(response.status == status)
          #expect(try JSONValue.parse(response.body)["errors"]?[0]?["errorCode"]?.string == "KER-ATH-\(status)")
        }
        await receiver.world.fail("caller", with: Broken.unavailable)
        #expect(try await receiver.send(path, body: body).status == 503)
      }
      let bearer = try await receiver.send(
        Self.syncPath, body: .bytes([1]), headers: ["Authorization": "Bearer good"], token: nil)
      #expect(bearer.status == 200)
      #expect(await receiver.world.changes.isEmpty)
    }
  }

  @Test func `an answer that cannot be signed is given unsigned`() async throws {
    try await Self.withReceiver { receiver async throws in
      await Self.announced([1], receiver)
      await receiver.world.fail("signJWS", with: Broken.unavailable)
      #expect(try await receiver.upload([1]) == [])
    }
  }

  // MARK: Sync

  private static func request(_ records: JSONValue...) -> JSONValue {
    [
      "id": "mosip.registration.sync", "version": "1.0", "requesttime": .string(Sample.now.iso),
      "request": .array(records),
    ]
  }
  private static let record: JSONValue = [
    "registrationId": .string(Sample.rid), "packetId": .null, "additionalInfoReqId": .null, "name": .null,
    "registrationType": "OPENCRVS_NEW", "packetHashValue": "ABCD", "packetSize": 12345, "supervisorStatus": "APPROVED",
    "supervisorComment": "certified", "langCode": "eng",
  ]
  private static func changed(_ name: String, _ value: JSONValue) -> JSONValue {
    var record = record
    record[name] = value
    return record
  }

  @Test func `whom to notify is kept encrypted and nowhere else`() async throws {
    try await Self.withReceiver { receiver async throws in
      func changed(_ name: JSONValue, _ phone: JSONValue, _ email: JSONValue) -> JSONValue {
        var record = Self.record
        (record["name"], record["phone"], record["email"]) = (name, phone, email)
        return record
      }
      let answer = try await receiver.sync(Self.request(changed("Asha\r\nRao", "9876543210", "asha@example.org")))
      #expect(answer["errors"]?.isNull == true)
      let row = try #require(await receiver.world.announcements.first)
      let sealed = try #require(await receiver.world.additionalInfo[row.workflowInstanceId])
      let json = try JSONValue.parse(await receiver.world.decryptPacket(sealed, referenceId: Sample.referenceId))
      #expect(json == ["name": "Asha Rao", "phone": "9876543210", "email": "asha@example.org", "langCode": "eng"])
      for text in ["\(row)", String(decoding: sealed, as: UTF8.self), String(decoding: answer.encoded(), as: UTF8.self)] {
        for secret in ["Asha", "9876543210", "example.org"] { #expect(!text.contains(secret)) }
      }
      // The latest announcement counts, also when it names nobody.
      for nobody in [changed("Asha", .null, ""), changed(.null, 7, ["a@b"])] {
        _ = try await receiver.sync(Self.request(nobody))
        #expect(await receiver.world.additionalInfo.isEmpty)
      }
    }
  }

  @Test func `an announcement is kept and a repeat keeps its workflow instance`() async throws {
    try await Self.withReceiver { receiver async throws in
      for _ in 1...2 {
        let answer = try await receiver.sync(Self.request(Self.record))
        #expect(answer["id"]?.string == "mosip.registration.sync" && answer["errors"]?.isNull == true)
        #expect(answer["response"] == [["registrationId": .string(Sample.rid), "status": "SUCCESS"]])
      }
      let first = try #require(await receiver.world.announcements.first)
      _ = try await receiver.sync(Self.request(Self.changed("packetHashValue", "EF01")))
      let announcements = await receiver.world.announcements
      #expect(announcements.count == 1)
      #expect(
        announcements[0].workflowInstanceId == first.workflowInstanceId && announcements[0].packetChecksum == "EF01")
      #expect(first.packetId == Sample.rid && first.referenceId == Sample.referenceId && first.packetSize == 12345)
      #expect(first.source == nil && first.supervisorStatus == "APPROVED" && first.languageCode == "eng")
    }
  }

  @Test func `v2 names the packet id in its answer`() async throws {
    try await Self.withReceiver { receiver async throws in
      let path = Self.syncPath + "V2"
      let missing = try await receiver.sync(Self.request(Self.record), path: path)
      #expect(missing["errors"]?[0]?["errorCode"]?.string == "RPR-RGS-013")
      let answer = try await receiver.sync(Self.request(Self.changed("packetId", "packet-1")), path: path)
      #expect(answer["response"]?[0]?["packetId"]?.string == "packet-1")
      #expect(await receiver.world.announcements.first?.packetId == "packet-1")
    }
  }

  @Test(
    arguments: [
      ("langCode", "en", "RPR-RGS-004"), ("langCode", .null, "RPR-RGS-004"),
      ("registrationType", "BIRTH", "RPR-RGS-003"),
      ("registrationType", .null, "RPR-RGS-003"), ("packetHashValue", .null, "RPR-RGS-027"),
      ("supervisorStatus", "MAYBE", "RPR-RGS-026"), ("supervisorStatus", .null, "RPR-RGS-026"),
      ("registrationId", .null, "RPR-RGS-006"), ("registrationId", "123", "RPR-RGS-009"),
      ("registrationId", "4545145452000012024022923595X", "RPR-RGS-008"),
      ("registrationId", "45451454520000120230229235959", "RPR-RGS-007"), ("packetId", "../../x", "RPR-RGS-014"),
      ("packetSize", "big", "RPR-RGS-014"), ("packetSize", 0, "RPR-RGS-014"),
    ] as [(String, JSONValue, String)])
  func `a bad record is named with its code`(_ name: String, _ value: JSONValue, _ code: String) async throws {
    try await Self.withReceiver { receiver async throws in
      let answer = try await receiver.sync(Self.request(Self.changed(name, value)))
      #expect(answer["response"]?.isNull == true)
      let error = try #require(answer["errors"]?[0])
      #expect(error["errorCode"]?.string == code && error["status"]?.string == "FAILURE")
      #expect(error["registrationId"]?.string == (name == "registrationId" ? value.string : Sample.rid))
      #expect(await receiver.world.announcements.isEmpty)
    }
  }

  @Test func `good records beside bad ones are taken`() async throws {
    try await Self.withReceiver { receiver async throws in
      let answer = try await receiver.sync(Self.request(Self.changed("langCode", "x"), Self.record))
      #expect(answer["response"]?.array?.count == 1 && answer["errors"]?.array?.count == 1)
    }
  }

  @Test func `a packet id stays with its registration`() async throws {
    try await Self.withReceiver { receiver async throws in
      _ = try await receiver.sync(Self.request(Self.changed("packetId", "packet-1")))
      var other = Self.changed("packetId", "packet-1")
      other["registrationId"] = "10001100020000120240229235959"
      #expect(try await receiver.sync(Self.request(other))["errors"]?[0]?["errorCode"]?.string == "RPR-RGS-014")
      #expect(await receiver.world.announcements.map(\.rid) == [Sample.rid])
    }
  }

  @Test(
    arguments: [
      ("id", "mosip.other", "RPR-RGS-014"), ("version", "2.0", "RPR-RGS-014"), ("requesttime", "now", "RPR-RGS-014"),
      ("requesttime", "2024-03-01T08:59:59.000Z", "RPR-RGS-014"),
      ("requesttime", "2024-03-01T15:00:01.000Z", "RPR-RGS-014"),
      ("id", .null, "RPR-RGS-013"), ("version", .null, "RPR-RGS-013"), ("requesttime", .null, "RPR-RGS-013"),
      ("request", .null, "RPR-RGS-017"), ("request", [1], "RPR-RGS-017"),
    ] as [(String, JSONValue, String)])
  func `a bad envelope is named with its code`(_ name: String, _ value: JSONValue, _ code: String) async throws {
    try await Self.withReceiver { receiver async throws in
      var request = Self.request(Self.record)
      request[name] = value
      let answer = try await receiver.sync(request)
      #expect(answer["response"]?.isNull == true && answer["errors"]?[0]?["errorCode"]?.string == code)
    }
  }

  @Test func `an announcement whose timestamp lacks the seconds is taken`() async throws {
    try await Self.withReceiver { receiver async throws in
      let answer = try await receiver.sync(Self.request(Self.record), timestamp: "2026-11-29T21:30.000Z")
      #expect(answer["response"]?[0]?["status"] == "SUCCESS")
    }
  }

  @Test func `what cannot be read is named with its code`() async throws {
    try await Self.withReceiver { receiver async throws in
      let good = Self.request(Self.record)
      func code(_ answer: JSONValue) -> String? { answer["errors"]?[0]?["errorCode"]?.string }
      #expect(code(try await receiver.sync(good, referenceId: nil)) == "RPR-RGS-013")
      #expect(code(try await receiver.sync(good, timestamp: nil)) == "RPR-RGS-013")
      #expect(code(try await receiver.sync(good, timestamp: "2024-01-01T25:15.000Z")) == "RPR-RGS-014")
      #expect(code(try await receiver.sync(good, referenceId: "../../x")) == "RPR-RGS-014")
      #expect(code(try await receiver.sync(good, sealedFor: "10001_10002")) == "RPR-RGS-028")
      #expect(code(try await receiver.sync(good, raw: Array("\"***\"".utf8))) == "RPR-RGS-028")
      #expect(code(try await receiver.sync(good, raw: Array("no JSON".utf8))) == "RPR-RGS-016")
      #expect(code(try await receiver.sync(good, raw: Array("{}".utf8))) == "RPR-RGS-016")
      #expect(code(try await receiver.sync([1])) == "RPR-RGS-017")
    }
  }

  @Test func `a store out of reach is no word on the announcement`() async throws {
    try await Self.withReceiver { receiver async throws in
      for call in ["sync", "decryptPacket"] {
        await receiver.world.fail(call, with: Broken.unavailable)
        let sealed = try await receiver.world.encryptPacket(
          Self.request(Self.record).encoded(), referenceId: Sample.referenceId)
        let response = try await receiver.send(
          Self.syncPath, body: .bytes(JSONValue.string(Encoding.base64URL(sealed)).encoded()),
          headers: ["Center-Machine-RefId": Sample.referenceId, "timestamp": Sample.now.iso])
        #expect(response.status == 503)
      }
    }
  }
}
