import Cryptography
import HTTP
import JSON
import Registration
import StageKit
import System

/// The upload endpoint (docs/upstream/packet-and-crypto.md#62-upload).
struct Uploads: Sendable {
  let settings: StageSettings
  let limits: UploadLimits
  let context: StageContext
  let endpoint: MosipEndpoint

  private static let received = "Packet has reached Packet Receiver"

  func take(_ request: Request) async throws -> Response {
    do {
      try await receive(request)
      return await endpoint.answer("mosip.registration.packet", response: ["status": .string(Self.received)], errors: .null)
    } catch let refused as UploadError {
      let errors = refused.errors.map {
        JSONValue.object(["errorCode": .string($0.code), "message": .string($0.message)])
      }
      return await endpoint.answer("mosip.registration.packet", response: .null, errors: .array(errors))
    }
  }

  /// The checks in upstream's order, then what upstream does behind the client's back.
  private func receive(_ request: Request) async throws {
    guard let part = request.parts.first(where: { $0.fileName != nil }) else { throw UploadError(.notInRequest) }
    let name = Self.baseName(part.fileName ?? "")
    let packetId = String(name.prefix { $0 != "." })
    let services = context.services
    // A name that is not safe was never announced, and never becomes part of a key.
    guard MosipEndpoint.isSafeName(packetId),
      let announced = try await reached({ try await services.registrations.synced(packetId: packetId) })
    else { throw UploadError(.notSynced) }
    let (packet, hash) = try await content(of: part)
    guard hash == announced.packetChecksum else { throw UploadError(.hashDiffers) }
    guard name.hasSuffix(settings.text("extension")) else { throw UploadError(.badExtension) }
    guard packet.count == announced.packetSize else { throw UploadError(.sizeDiffers) }
    guard packet.count <= limits.file else { throw UploadError(.tooLarge) }

    let iteration = try await iteration(of: announced)
    let earlier = try await reached {
      try await services.registrations.registration(workflowInstanceId: announced.workflowInstanceId)
    }
    if let earlier, ExternalStatus(settings).status(of: earlier, now: context.clock.now) != .resend {
      throw UploadError(.duplicate)
    }

    let message = try Message(
      process: announced.process, rid: announced.rid, tags: [:], source: announced.source, iteration: iteration,
      workflowInstanceId: announced.workflowInstanceId)
    let opening = RegistrationOpening(comment: Self.received, resendAfter: earlier?.retryCount, trace: request.trace)
    let virus: String?
    do {
      virus = try await LargeWork.with(packet) { try await services.virusScanner.scan(packet) }
    } catch is ServiceError { throw UploadError(.scannerSilent) }
    if virus != nil {
      _ = try await reached {
        try await context.pipeline.conclude(
          message, at: context.stage, .failed("RPR-PKR-FAILED-001", "Packet is Virus Infected"), opening: opening)
      }
      throw UploadError(.infected)
    }
    do {
      let account = settings.text("landing-zone-account")
      if packet.isSmall {
        try await services.objects.put(packet.bytes(), account: account, container: announced.rid, key: packetId)
      } else {
        try await services.objects.put(packet, metadata: [:], account: account, container: announced.rid, key: packetId)
      }
    } catch is ServiceError { throw UploadError(.unknown, because: .storage) }
    let isNew = try await reached {
      try await context.pipeline.conclude(
        message, at: context.stage, .passed("RPR-PKR-SUCCESS-002", "Packet is Uploaded to Landing Zone"),
        opening: opening)
    }
    // Somebody else's upload of the same packet came in between. A client whose success was lost reads this code as done.
    guard isNew else { throw UploadError(.duplicate) }
  }

  /// 1 for a packet of a main process; for one that answers a request for additional information the request's, which has to be of the
  /// same registration and process.
  private func iteration(of announced: SyncRecord) async throws -> Int {
    if settings.texts("main-processes").contains(announced.process) { return 1 }
    guard let id = announced.additionalInfoRequestId,
      let request = try await reached({ try await context.services.registrations.additionalInfoRequest(id: id) }),
      request.rid == announced.rid, request.process == announced.process
    else { throw UploadError(.noAdditionalInfoRequest) }
    return request.iteration
  }

  /// Runs a call to the database or the pipeline.
  private func reached<T>(_ call: () async throws -> T) async throws -> T {
    do { return try await call() } catch is ServiceError { throw UploadError(.unknown, because: .database) }
  }

  /// The file that the server has written, a small one in memory, with its hash. A large one stays where it is: at most `limits.hard`
  /// bytes that nobody else writes to.
  private func content(of part: Part) async throws -> (packet: any ByteSource, hash: String) {
    guard let path = part.file else {
      let bytes = MemorySource(part.bytes)
      return (bytes, try Hash.sha256UpperHex(bytes))
    }
    return try await LargeWork.threads.run {
      do {
        let file = try FileSource(path: path)
        let packet: any ByteSource = file.isSmall ? MemorySource(try file.bytes()) : file
        return (packet, try Hash.sha256UpperHex(packet))
      } catch { throw UploadError(.unknown, because: .storage) }
    }
  }

  /// What follows the last slash of either kind.
  private static func baseName(_ name: String) -> String { String(name.split { $0 == "/" || $0 == "\\" }.last ?? "") }
}

/// Why an upload is not taken, in MOSIP's codes.
struct UploadError: Error {
  /// A code and its message.
  struct Reason: Sendable {
    let code: String
    let message: String

    static let notSynced = Reason(code: "RPR-PKR-001", message: "Packet Not Found in Sync Table")
    static let tooLarge = Reason(code: "RPR-PKR-002", message: "Invalid Packet Size")
    static let badExtension = Reason(code: "RPR-PKR-003", message: "Invalid Packet Format")
    static let duplicate = Reason(code: "RPR-PKR-005", message: "Duplicate Request Received")
    static let notInRequest = Reason(code: "RPR-PKR-006", message: "Packet Not Available in Request")
    static let unknown = Reason(code: "RPR-PKR-007", message: "Unknown Exception Found")
    static let scannerSilent = Reason(code: "RPR-PKR-008", message: "Virus Scan Service is Not Responding")
    static let hashDiffers = Reason(code: "RPR-PKR-009", message: "Packet HashSequence did not match")
    static let infected = Reason(code: "RPR-PKR-010", message: "Virus was Found in Packet")
    static let database = Reason(code: "RPR-PKR-012", message: "Unable to Access Database")
    static let sizeDiffers = Reason(code: "RPR-PKR-013", message: "Packet Size is Not Matching")
    static let noAdditionalInfoRequest = Reason(code: "RPR-PKR-016", message: "Additional info request id not found")
    static let storage = Reason(code: "RPR-SYS-012", message: "IO exception")
  }

  let errors: [Reason]

  init(_ reason: Reason, because inner: Reason? = nil) { errors = [reason] + (inner.map { [$0] } ?? []) }
}
