import OpenCRVS
import HTTP
import JSON
import Registration
import StageKit

/// A birth that failed and that OpenCRVS has sent again. Of the same content there is a new run of the same RID. Of other content there is a new
/// try with a RID of its own, and the one that failed is history; but never beside a UIN, which would be a second one for one child.
extension MosipMediator {
  /// What a request of the OpenCRVS side says beside the event.
  struct Sending: Sendable {
    /// Which go it means; nil for a sender that does not count.
    var go: Int?
    /// The trace of the webhook.
    var trace: TraceId?

    init(_ request: Request) { (go, trace) = (request.query("take").flatMap { Int($0) }, request.trace) }
  }

  func tryAgain(
    _ known: BirthRecord, _ event: OpenCRVSEvent, isSame: Bool, _ sending: Sending, _ context: StageContext
  ) async throws -> Response {
    let (go, trace) = (max(sending.go ?? 0, known.take + 1), sending.trace ?? known.trace)
    let hasUIN = try await context.services.identities.identity(.rid(known.rid)) != nil
    guard isSame || hasUIN else { return try await newTry(known, event, go, trace, context) }
    if known.status == .failed { return try await goOn(known, go, trace, context) }
    switch try await context.pipeline.runAgain(
      known.rid, by: "OpenCRVS", reason: "the birth was sent again after its error", trace: trace)
    {
    case .begun: return try await counted(known, go, trace, context)
    case .notNeeded: return try await counted(known, go, nil, context)
    case .unknown where !hasUIN: return try await newTry(known, event, go, trace, context)
    case .unknown, .history:
      context.log.warning("a birth that was sent again has a UIN, and its registration is not run again here", ["rid": known.rid])
      return try await counted(known, go, nil, context)
    }
  }

  /// No packet of it was taken yet: the work on it goes on.
  private func goOn(_ known: BirthRecord, _ go: Int, _ trace: TraceId?, _ context: StageContext) async throws -> Response {
    var birth = known
    birth.goesOn()
    (birth.take, birth.trace) = (go, trace)
    try await context.store.commit([birth.writing, .schedule(Self.packetWork(of: birth))])
    context.log.info("a birth that failed goes on", ["rid": birth.rid])
    return taken(birth.rid, context)
  }

  /// Its registration runs again: the next delivery of the same go begins nothing.
  /// - Parameter trace: the trace that it runs again with; nil for the one of before.
  func counted(_ known: BirthRecord, _ go: Int, _ trace: TraceId?, _ context: StageContext) async throws -> Response {
    try await untilCommitted {
      guard var birth = try await context.store.record(BirthRecord.self, known.key), birth.take < go else { return }
      birth.take = go
      if let trace { birth.trace = trace }
      try await context.store.commit([birth.writing])
    }
    return taken(known.rid, context)
  }

  /// A new RID takes the place of the one that failed.
  private func newTry(
    _ known: BirthRecord, _ event: OpenCRVSEvent, _ go: Int, _ trace: TraceId?, _ context: StageContext
  ) async throws -> Response {
    try await refuseNumberOfAnother(event, known.key, context)
    let rid = try await unusedRID(of: event, context)
    let object = "event-\(event.digest).json"
    try await events(context).put(event.encoded, container: rid, key: object)
    var birth = BirthRecord(known.key, rid: rid, event, object: object, over: known)
    (birth.take, birth.trace) = (go, trace)
    var changes = [
      birth.writing, RIDOwner(rid, of: known.key).writing,
      // Whoever would run the failed registration again would make a second UIN.
      RIDOwner(known.rid, of: known.key, supersededBy: rid).overwriting, .schedule(Self.packetWork(of: birth)),
    ]
    if let number = birth.registrationNumber, try await !context.store.has(NumberOwner.self, OpenCRVSRecordKey.of(number)) {
      changes.append(NumberOwner(number, of: known.key).writing)
    }
    try await context.store.commit(changes + likeness(of: event, known.key, context))
    context.log.info("a birth that failed is tried again", ["rid": rid, "before": known.rid])
    try? await removePackets(of: known.rid, context)
    return taken(rid, context)
  }

  /// The application id that the event carries, if it is nobody's yet (that of the go before, or the birth's, may stand in the record), else a new RID.
  func unusedRID(of event: OpenCRVSEvent, _ context: StageContext) async throws -> String {
    if let carried = event.bundle.birthApplicationId, OpenCRVSRecordKey.isRID(carried),
      try await !context.store.has(RIDOwner.self, carried)
    {
      return carried
    }
    return try await newRID(context)
  }

  /// The work on the packet of a further go of a birth; that of the first go comes by the bus.
  static func packetWork(of birth: BirthRecord) -> WorkItem {
    WorkItem(
      kind: packet, key: "\(birth.key)#\(birth.rid)#\(birth.take)",
      payload: ["transaction": .string(birth.key), "rid": .string(birth.rid)])
  }
}
