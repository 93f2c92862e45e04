import Cryptography
import OpenCRVS
import JSON
import Registration
import StageKit

/// From the reference on the bus to the uploaded packet. The status of the transaction says which step comes next, each
/// step may be done again, and the packet's bytes are kept before they are announced, so that every upload sends the
/// very same ones.
extension MosipMediator {
  /// Upstream's statuses (docs/upstream/opencrvs-and-websub.md#34-from-the-birth-to-the-packet), and `Failed`, which upstream lacks.
  enum Status {
    static let ridGenerated = "RID Generated"
    static let creating = "Creating Packet"
    static let created = "Packet Created"
    static let synced = "Packet Synced"
    static let uploaded = "Uploaded"
    static let failed = "Failed"
  }

  func takeReference(_ record: TopicRecord, _ context: StageContext) async throws {
    guard let transaction = (try? JSONValue.parse(record.value))?["txnId"]?.string,
      try await context.store.record(Records.births, transaction) != nil
    else {
      throw ServiceError(
        .refused, service: context.stage, code: "OPN-CRVS-001", "a reference on the bus names no birth that is known")
    }
    try await context.store.commit([.schedule(WorkItem(kind: Self.packet, key: transaction))])
  }

  func makeAndUpload(_ work: WorkItem, _ context: StageContext) async throws -> WorkOutcome {
    let transaction = work.payload["transaction"]?.string ?? work.key
    guard var record = try await context.store.record(Records.births, transaction),
      let rid = record.document["rid"]?.string
    else {
      throw MediatorError(.unknown, "there is no birth of this key").workFailure
    }
    let registrations = registrations(process: settings.text("birth-process"), context)
    // A transaction has five steps; a lost object may send it back once or twice.
    for _ in 0..<12 {
      switch record.document["status"]?.string {
      case Status.ridGenerated:
        try await advance(&record, to: Status.creating, context)
      case Status.creating:
        let (bytes, leftOut) = try await packetBytes(record, rid, context)
        var more: JSONObject = ["packetHash": .string(Hash.sha256UpperHex(bytes)), "packetSize": JSONValue(bytes.count)]
        // The journey of the RID shows it.
        if let leftOut { more["leftOut"] = .array(leftOut.map { .string($0) }) }
        try await advance(&record, to: Status.created, with: more, context)
      case Status.created:
        guard let bytes = try await keptPacket(record, rid, context) else {
          try await advance(&record, to: Status.creating, context)
          continue
        }
        try await registrations.sync(rid: rid, packet: bytes)
        try await advance(&record, to: Status.synced, context)
      case Status.synced:
        guard let bytes = try await keptPacket(record, rid, context) else {
          try await advance(&record, to: Status.creating, context)
          continue
        }
        guard try await registrations.upload(rid: rid, packet: bytes) else {
          try await advance(&record, to: Status.created, context)
          throw ServiceError(
            .unavailable, service: "packet receiver", code: "RPR-PKR-001", "does not know the announcement")
        }
        try await advance(&record, to: Status.uploaded, context)
        context.log.info("a packet is uploaded", ["rid": rid])
      case Status.uploaded:
        try await removePackets(of: rid, context)
        return .done
      default:
        return .done
      }
    }
    throw ServiceError(
      .unavailable, service: context.stage, code: "OPN-CRVS-002",
      "the packet was lost between two steps again and again")
  }

  func registrations(process: String, _ context: StageContext) -> RegistrationEndpoints {
    RegistrationEndpoints(
      statusURL: settings.text("registration-status-url"), receiverURL: settings.text("packet-receiver-url"),
      referenceId: referenceId, process: process, token: { try await mosipToken(context) }, services: context.services)
  }

  /// Removes the kept packets of a RID, also those of processes that were overtaken.
  func removePackets(of rid: String, _ context: StageContext) async throws {
    let objects = context.services.objects
    for key in try await objects.keys(account: Accounts.packets, container: rid, prefix: rid) {
      try await objects.delete(account: Accounts.packets, container: rid, key: key)
    }
  }

  /// The packet that was made before, else a new one, kept in the object store, with what was left out of it.
  private func packetBytes(_ record: StageRecord, _ rid: String, _ context: StageContext) async throws -> (
    content: [UInt8], leftOut: [String]?
  ) {
    if let bytes = try await keptPacket(record, rid, context) { return (bytes, nil) }
    guard let eventBytes = try await events(context).get(container: rid, key: record.document["object"]?.string ?? "")
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
  private func keptPacket(_ record: StageRecord, _ rid: String, _ context: StageContext) async throws -> [UInt8]? {
    guard let hash = record.document["packetHash"]?.string else { return nil }
    return try await context.services.objects.get(
      account: Accounts.packets, container: rid, key: Self.packetKey(rid, hash))
  }

  static func packetKey(_ rid: String, _ hash: String) -> String { "\(rid)-\(hash.prefix(32)).zip" }

  private func advance(
    _ record: inout StageRecord, to status: String, with more: JSONObject = [:], _ context: StageContext
  ) async throws {
    record.document["status"] = .string(status)
    for member in more { record.document[member.key] = member.value }
    try await context.store.commit([
      .put(collection: Records.births, key: record.key, document: record.document, ifVersion: record.version)
    ])
    record.version += 1
  }

  /// No packet will come of this birth: it is marked, and the OpenCRVS side is told once.
  func packetGaveUp(_ work: WorkItem, _ failure: WorkFailure, _ context: StageContext) async throws {
    let transaction = work.payload["transaction"]?.string ?? work.key
    guard let record = try await context.store.record(Records.births, transaction),
      // Another process had more luck.
      record.document["status"]?.string != Status.uploaded
    else { return }
    var document = record.document
    document["status"] = .string(Status.failed)
    document["errorCode"] = .string(failure.code)
    var changes: [StageChange] = [
      .put(collection: Records.births, key: transaction, document: document, ifVersion: record.version)
    ]
    // A birth that a correction made is the correction's to tell.
    if document["by"] == nil {
      changes.append(.schedule(statusWork(of: transaction, code: failure.code, message: failure.message)))
    }
    try await context.store.commit(changes)
  }
}
