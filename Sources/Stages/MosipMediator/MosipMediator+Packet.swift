import Cryptography
import OpenCRVS
import JSON
import Registration
import StageKit

/// From the reference on the bus to the uploaded packet. The status of the transaction says which step comes next, each
/// step may be done again, and the packet's bytes are kept before they are announced, so that every upload sends the
/// very same ones.
extension MosipMediator {
  func takeReference(_ record: TopicRecord, _ context: StageContext) async throws {
    guard let transaction = (try? JSONValue.parse(record.value))?["txnId"]?.string,
      try await context.store.has(BirthRecord.self, transaction)
    else {
      throw ServiceError(
        .refused, service: context.stage, code: "OPN-CRVS-001", "a reference on the bus names no birth that is known")
    }
    try await context.store.commit([.schedule(WorkItem(kind: Self.packet, key: transaction))])
  }

  func makeAndUpload(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    let transaction = work.payload["transaction"]?.string ?? work.key
    guard var birth = try await context.store.record(BirthRecord.self, transaction) else {
      throw MediatorError(.unknown, "there is no birth of this key").workFailure
    }
    // Work of a go whose place another one took has nothing left to do.
    if let rid = work.payload["rid"]?.string, rid != birth.rid { return .done }
    let registrations = registrations(process: settings.text("birth-process"), birth.trace, context)
    // A transaction has five steps; a lost object may send it back once or twice.
    for _ in 0..<12 {
      switch birth.status {
      case .ridGenerated:
        try await advance(&birth, to: .creating, context)
      case .creating:
        let (bytes, leftOut) = try await packetBytes(birth, context)
        birth.has(packet: Hash.sha256UpperHex(bytes), size: bytes.count, leftOut: leftOut)
        try await advance(&birth, to: .created, context)
      case .created:
        guard let bytes = try await keptPacket(birth, context) else {
          try await advance(&birth, to: .creating, context)
          continue
        }
        try await registrations.sync(rid: birth.rid, packet: bytes)
        try await advance(&birth, to: .synced, context)
      case .synced:
        guard let bytes = try await keptPacket(birth, context) else {
          try await advance(&birth, to: .creating, context)
          continue
        }
        guard try await registrations.upload(rid: birth.rid, packet: bytes) else {
          try await advance(&birth, to: .created, context)
          throw ServiceError(
            .unavailable, service: "packet receiver", code: "RPR-PKR-001", "does not know the announcement of these bytes")
        }
        try await advance(&birth, to: .uploaded, context)
        context.log.info("a packet is uploaded", ["rid": birth.rid])
      case .uploaded:
        try await removePackets(of: birth.rid, context)
        return .done
      case .failed:
        // Given up before, and now an operator has it done again, or OpenCRVS has sent it again.
        birth.goesOn()
        try await advance(&birth, to: birth.status, context)
      }
    }
    throw ServiceError(
      .unavailable, service: context.stage, code: "OPN-CRVS-002",
      "the packet was lost between two steps again and again")
  }

  func registrations(process: String, _ trace: TraceId?, _ context: StageContext) -> RegistrationEndpoints {
    RegistrationEndpoints(
      statusURL: settings.text("registration-status-url"), receiverURL: settings.text("packet-receiver-url"),
      referenceId: referenceId, process: process, trace: trace, token: { try await mosipToken(context) }, services: context.services
    )
  }

  /// Removes the kept packets of a RID, also those of processes that were overtaken.
  func removePackets(of rid: String, _ context: StageContext) async throws {
    let objects = context.services.objects
    for key in try await objects.keys(account: Accounts.packets, container: rid, prefix: rid) {
      try await objects.delete(account: Accounts.packets, container: rid, key: key)
    }
  }

  /// The packet that was made before, else a new one, kept in the object store, with what was left out of it.
  private func packetBytes(_ birth: BirthRecord, _ context: StageContext) async throws -> (
    content: [UInt8], leftOut: [String]?
  ) {
    if let bytes = try await keptPacket(birth, context) { return (bytes, nil) }
    let rid = birth.rid
    guard let eventBytes = try await events(context).get(container: rid, key: birth.object)
    else { throw MediatorError(.unknown, "the event is not in the object store").workFailure }
    let (bytes, leftOut): ([UInt8], [String])
    do {
      (bytes, leftOut) = try await BirthPacket(
        event: OpenCRVSEvent(eventBytes), rid: rid, referenceId: referenceId, settings: settings, mapping: mapping,
        process: settings.text("birth-process")
      ).encoded(context)
    } catch let fault as MediatorError {
      throw fault.workFailure
    }
    try await context.services.objects.put(
      bytes, account: Accounts.packets, container: rid, key: Self.packetKey(rid, Hash.sha256UpperHex(bytes)))
    if !leftOut.isEmpty {
      context.log.info("not all of a birth is in its packet", ["rid": rid, "leftOut": leftOut.joined(separator: "; ")])
    }
    return (bytes, leftOut)
  }

  /// The packet that the record names by its hash. Two processes that work on one birth make different bytes: which of
  /// them is the packet is decided by the record alone, whoever writes last.
  private func keptPacket(_ birth: BirthRecord, _ context: StageContext) async throws -> [UInt8]? {
    guard let hash = birth.packetHash else { return nil }
    return try await context.services.objects.get(
      account: Accounts.packets, container: birth.rid, key: Self.packetKey(birth.rid, hash))
  }

  static func packetKey(_ rid: String, _ hash: String) -> String { "\(rid)-\(hash.prefix(32)).zip" }

  private func advance(_ birth: inout BirthRecord, to status: BirthRecord.Status, _ context: StageContext) async throws {
    birth.status = status
    try await context.store.commit([birth.writing])
    birth.wasWritten()
  }

  /// No packet will come of this birth: it is marked, and the OpenCRVS side is told once.
  func packetGaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    let transaction = work.payload["transaction"]?.string ?? work.key
    guard var birth = try await context.readable(BirthRecord.self, transaction),
      // Another process had more luck, or another go took its place.
      birth.status != .uploaded, work.payload["rid"]?.string.map({ $0 == birth.rid }) ?? true
    else { return }
    birth.status = .failed
    birth.errorCode = failure.code
    var changes: [StageChange] = []
    // A birth that a correction made is the correction's to tell.
    if birth.by == nil {
      changes.append(.schedule(statusWork(of: &birth, .packet, code: failure.code, message: failure.message)))
    }
    try await context.store.commit([birth.writing] + changes)
  }
}
