import TestSupport
import Foundation
import HTTP
import JSON
import Registration
import StageKit
import StageRuntime
import System
import Testing

@testable import Stages

/// A client of other hands (Python) announces and uploads a packet, and asks what became of it.
@Suite(.serialized, .timeLimit(.minutes(30))) struct RegistrationClientTests {
  private static let python: String? = {
    let venv = ProcessInfo.processInfo.environment["REGPROC_TEST_VENV"] ?? Stand.home + "/.build/venv"
    let program = venv + "/bin/python"
    return FileManager.default.isExecutableFile(atPath: program) ? program : nil
  }()

  @Test(.enabled(if: python != nil, "no Python environment in REGPROC_TEST_VENV (scripts/test-venv makes it)"))
  func `a registration client is understood and its packet becomes an identity`() async throws {
    let letters = Letters()
    let stand = try await Stand(notifier: letters)
    let referenceId = "10001_10002"
    let rid = "10001100020000120240229235959"
    let packet = try await packet(rid, referenceId, stand)
    let folder = stand.folder
    try Data(packet).write(to: URL(fileURLWithPath: folder + "/packet"))
    // The key manager gives clients this certificate for their center and machine.
    let pem = try stand.platform.keys.certificate("registration-\(referenceId)").pem
    try Data(pem.utf8).write(to: URL(fileURLWithPath: folder + "/certificate.pem"))
    let token = try await stand.platform.services.tokens.token(client: "mosip-mediator", for: .mosip)

    let answers = try await run([
      Stand.home + "/Tests/Interop/python/registration_client.py", "http://127.0.0.1:\(stand.port)", folder + "/certificate.pem",
      referenceId, token, rid, "OPENCRVS_NEW", folder + "/packet",
    ])
    #expect(
      answers == [
        "status before the announcement\tRPR-RGS-031", "upload before the announcement\tRPR-PKR-001",
        "announcement with one bit changed\tRPR-RGS-028", "announcement in another language\tRPR-RGS-004",
        "announcement\tSUCCESS", "announcement, second form\tSUCCESS", "status before the upload\tUPLOAD_PENDING",
        "upload with one bit changed\tRPR-PKR-009", "upload as another kind of file\tRPR-PKR-003",
        "upload\tPacket has reached Packet Receiver", "upload, once more\tRPR-PKR-005",
      ])

    let came = try await eventually { try await stand.journey(rid)?.status == "PROCESSED" }
    let journey = try await stand.journey(rid)
    #expect(
      came,
      "journey: \(String(describing: journey?.hops.map { "\($0.stage) \($0.verdict ?? "-") \($0.comment ?? "")" }))")
    #expect(try await status("/search", "mosip.registration.status", rid, token, stand) == "PROCESSED")
    #expect(
      try await status("/externalstatus/search", "mosip.registration.external.status", rid, token, stand) == "UIN_GENERATED")
    #expect(try await stand.platform.services.identities.identity(.rid(rid))?.status == "ACTIVATED")
    // The applicant was told, and the tables know no more whom.
    let text = "Your registration \(rid) was received and checked. It is being processed."
    #expect(await letters.sent == ["9876543210: \(text)", "applicant@example.org: Registration \(rid): \(text)"])
    let left = try await stand.pool.with {
      try $0.execute("SELECT count(*)::int FROM regprc.registration_list WHERE additional_info IS NOT NULL").only().int(0)
    }
    #expect(left == 0)
    await stand.stop()
  }

  /// Keeps what it is to send.
  private actor Letters: Notifier {
    var sent: [String] = []
    func sendSMS(_ text: String, to number: String) { sent.append("\(number): \(text)") }
    func sendEmail(_ text: String, subject: String, to address: String) { sent.append("\(address): \(subject): \(text)") }
  }

  private func packet(_ rid: String, _ referenceId: String, _ stand: Stand) async throws -> [UInt8] {
    let address: JSONValue = [["language": "eng", "value": "Lakeside"]]
    let draft = PacketDraft(
      rid: rid, source: "OPENCRVS", process: "OPENCRVS_NEW", refId: referenceId, schemaVersion: "0.1",
      schema: try IdSchema(json: Stand.read(Stand.home + "/stages/packet-validator/id-schema.json")),
      fields: [
        "IDSchemaVersion": "0.1", "fullName": [["language": "eng", "value": "Asha Rao"]],
        "gender": [["language": "eng", "value": "Female"]], "dateOfBirth": "2024/02/29",
        "addressLine1": address, "region": address, "province": address, "city": address, "zone": address,
      ],
      metaInfo: [
        "metaData": [["label": "centerId", "value": "10001"], ["label": "opencrvsBRN", "value": "2024B000009"]],
        "operationsData": [],
        "capturedRegisteredDevices": [],
      ], audits: [["eventId": "REG-EVT-001", "id": .string(rid)]], creationDate: .now)
    return try await PacketWriter(keys: ServiceKeys(keys: stand.platform.services.keys)).write(draft).content
  }

  private func status(
    _ path: String, _ id: String, _ rid: String, _ token: String, _ stand: Stand
  ) async throws -> String? {
    let body: JSONValue = [
      "id": .string(id), "version": "1.0", "requesttime": .string(Instant.now.iso), "request": [["registrationId": .string(rid)]],
    ]
    let response = try await Client().send(
      ClientRequest(
        method: "POST", url: "http://127.0.0.1:\(stand.port)/registrationprocessor/v1/registrationstatus\(path)",
        headers: ["Cookie": "Authorization=\(token)", "Content-Type": "application/json"], body: .bytes(body.encoded())))
    return try JSONValue.parse(response.body)["response"]?[0]?["statusCode"]?.string
  }

  /// The lines that the client prints. On a thread of its own: the stand's answers need the others.
  private func run(_ arguments: [String]) async throws -> [String] {
    let python = try #require(Self.python)
    let threads = BlockingPool(name: "client", threads: 1)
    defer { threads.close() }
    let output = try await threads.run {
      let process = Process()
      let pipe = Pipe()
      process.executableURL = URL(fileURLWithPath: python)
      process.arguments = arguments
      process.standardOutput = pipe
      try process.run()
      let output = pipe.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      return output
    }
    return String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
  }
}
