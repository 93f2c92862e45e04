import JSON
import Postgres
import Registration
import Routing
import StageKit
import System

/// Lets a registration go on that waits: because the packet that it asked for has come to its end, or because its time is over
/// (docs/upstream/bus-and-routes.md#74-what-the-workflow-engine-does and 7.5).
///
/// Done at least once, with an effect once: under the RID's lock it looks whether the registration still waits at the same hop, and what it
/// writes ends that. So a clock that strikes after an answer, or a piece of work done twice, changes nothing.
struct Resume: Sendable {
  static let work = WorkKind("resume")

  /// What a registration goes on with.
  enum Way: String, Sendable {
    /// The stage where it paused does its work again.
    case redo
    /// What that stage said is routed again, by the tags of today.
    case routeAgain
    /// The packet goes through all stages again, from the uploader.
    case fromBeginning
    /// It ends as rejected.
    case stop
  }

  /// A tag of the packet.
  struct Tag: Sendable, Equatable {
    var name: String
    var value: String
  }

  /// What is to be done, as the work's payload.
  struct Order: Sendable, Equatable {
    /// The workflow instance that waits.
    var instance: String
    var rid: String
    var way: Way
    /// The hop that it waits at; nil for whichever.
    var pausedAt: String?
    /// What is noted at the packet first.
    var tag: Tag?
    /// The pause rules that do not hold it up again.
    var rules: [String] = []
    /// Who asked for it; nil where it is the registration's own time or packet.
    var author: String?

    var json: JSONValue {
      var json: JSONObject = [
        "instance": .string(instance), "rid": .string(rid), "way": .string(way.rawValue), "pausedAt": JSONValue(pausedAt),
        "tag": tag.map { ["name": .string($0.name), "value": .string($0.value)] } ?? .null,
        "rules": .array(rules.map { .string($0) }),
      ]
      if let author { json["author"] = .string(author) }
      return .object(json)
    }
  }

  let pool: Pool
  let routes: RouteTable
  let directory: [String: StageDefinition]
  let worker: String
  let services: Services
  let wake: WakeUp

  /// - Throws: `WorkFailure` for an order that nobody could carry out; else what a service or the database throws: try again.
  func perform(_ item: WorkItem) async throws {
    guard let order = Order(item.payload) else { throw WorkFailure(code: "RPR-WAS-002", "the order cannot be read") }
    let waits = try await database {
      try await pool.with { try Place.read(order, $0) != nil }
    }
    guard waits else { return }
    // Tags belong to the packet manager: noted before, and the same when it is done twice.
    var tags = try await services.packets.tags(of: order.rid, named: nil)
    var added: [String: String] = [:]
    if let tag = order.tag { added[tag.name] = tag.value }
    if !order.rules.isEmpty, order.way != .stop {
      let known =
        tags["PAUSE_IMMUNITY_RULE_IDS"].map { $0.split(separator: ",").map { $0.drop { $0 == " " } }.map(String.init) } ?? []
      added["PAUSE_IMMUNITY_RULE_IDS"] = (known + order.rules.filter { !known.contains($0) }).joined(separator: ", ")
    }
    if !added.isEmpty {
      try await services.packets.addOrUpdateTags(of: order.rid, added)
      tags.merge(added) { $1 }
    }
    let current = tags
    try await database {
      try await pool.with { connection in
        try connection.transaction {
          _ = try connection.execute("SELECT pg_advisory_xact_lock($1)", [.int(Int(Journal.lockKey(order.rid)))])
          guard let place = try Place.read(order, connection) else { return }
          let now = try connection.now()
          try Journal.record(connection, [try self.goOn(order, place, tags: current, now: now, connection)])
          _ = try connection.execute(
            """
            UPDATE regprc.registration SET resume_timestamp = NULL, default_resume_action = NULL, pause_rule_ids = NULL,
              upd_by = coalesce($2, upd_by)
            WHERE workflow_instance_id = $1 AND status_code NOT LIKE 'PAUSED%'
            """, [.text(order.instance), Value(order.author)])
        }
      }
    }
    wake.signal()
  }

  /// The hop of the resumption, which the journey shows.
  private func goOn(
    _ order: Order, _ place: Place, tags: [String: String], now: Instant, _ connection: Connection
  ) throws -> ConcludedHop {
    let message = try Message(
      process: place.process, rid: order.rid, isValid: true, internalError: false, tags: tags, lastHopTimestamp: now,
      source: place.source, iteration: place.iteration, workflowInstanceId: order.instance)
    var concluder = Concluder(routes: routes.routes, directory: directory, worker: worker)
    if concluder.routes.isPinned(place.process), let versions = routes.versions {
      let packet = RouteVersions.Packet(message, run: place.run)
      switch try versions.version(of: packet, in: concluder.routes, on: connection) {
      case .inForce: break
      case .kept(let version): concluder.routes = version
      case .unreadable(let digest):
        throw ServiceError(.unavailable, service: "routes", code: "RPR-RTE-003", RouteVersions.unreadable(digest))
      }
    }
    let stage = StageDefinition(place.stage, in: directory, or: concluder.routes)
    // From the beginning is a run of its own: a stage that runs elsewhere has seen the keys of this one.
    let run = order.way == .fromBeginning ? try Journal.nextRun(rid: order.rid, connection) : place.run
    let hop = HopHeader(id: place.hop.resumed, run: run, attempt: 1)
    let source = HopSource(
      stage, transactionType: "WORKFLOW_RESUME", worker: worker, routeDigest: concluder.routes.digest)
    if order.way == .routeAgain {
      let verdict = Verdict(
        place.verdict, status: .success, subStatus: "RPR-WAS-001",
        comment: "the registration goes on where it paused" + order.asAsked)
      var concluded = concluder.conclude(
        message, verdict, at: stage, source, hop: hop, parent: place.hop, origin: nil, takenAt: now, now: now,
        milliseconds: 0)
      if let letter = concluded.deadLetter {
        throw ServiceError(.unavailable, service: "routes", code: letter.code, letter.reason)
      }
      for index in concluded.outgoing.indices where concluded.outgoing[index].notBefore == nil {
        concluded.outgoing[index].notBefore = now
      }
      concluded.registrationStatus = concluded.registrationStatus ?? .processing
      return concluded
    }
    let isEnd = order.way == .stop
    let target = isEnd ? nil : order.way == .redo ? stage.name : Self.beginning(place.process, concluder.routes, directory)
    if order.way == .fromBeginning {
      try Journal.noteRun(
        rid: order.rid, run: run, from: target ?? stage.name, author: WorkflowEvents.stage, reason: "begins again after it waited",
        connection)
    }
    let verdict: Verdict =
      isEnd
      ? .failed("RPR-WAS-001", order.reasonToStop, status: .rejected)
      : .passed("RPR-WAS-001", "the registration goes on from \(target ?? "")" + order.asAsked)
    let outgoing = target.map { name in
      let id = hop.id.next(name)
      return OutgoingHop(
        id: id, parent: hop.id, run: hop.run, attempt: 1, stage: name, topic: concluder.routes.busIn(of: name),
        key: concluder.routes.key(order.rid, to: name, of: place.process, hop: id, isFirst: false), message: message.encoded(),
        notBefore: now)
    }
    return ConcludedHop(
      source: source, id: hop.id, parent: place.hop, run: hop.run, attempt: 1, rid: order.rid, process: place.process,
      iteration: place.iteration, workflowInstanceId: order.instance, takenAt: now, doneAt: now, milliseconds: 0,
      verdict: verdict, destinations: target ?? "complete-as-rejected", origin: nil, outgoing: outgoing.map { [$0] } ?? [],
      registrationStatus: isEnd ? .rejected : .processing, completion: isEnd ? Completion(resultCode: .rejected) : nil,
      deadLetter: nil, anonymousProfile: nil)
  }

  /// The uploader, as upstream has it; in a flow without one the stage behind the entrance.
  private static func beginning(_ process: String, _ routes: RouteFile, _ directory: [String: StageDefinition]) -> String? {
    let names = routes.flow(process)?.stages.map(\.name.value) ?? []
    return names.first { directory[$0]?.className == "PacketUploaderStage" } ?? names.dropFirst().first ?? names.first
  }

  /// Where a registration waits.
  private struct Place {
    var hop: HopId
    var stage: String
    var verdict: VerdictKind
    var run: Int
    var process: String
    var iteration: Int
    var source: String?

    /// Nil when the registration does not wait (any more), or at another hop than the order says. The id may be a transaction of others, which
    /// is any text.
    static func read(_ order: Order, _ connection: Connection) throws -> Place? {
      let rows = try connection.execute(
        """
        SELECT h.hop_id::text, h.stage, h.verdict, h.run, r.process, coalesce(r.iteration, 1), r.source
        FROM regprc.registration AS r JOIN regproc.hop AS h ON h.hop_id =
          CASE WHEN r.latest_trn_id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN r.latest_trn_id::uuid END
        WHERE r.workflow_instance_id = $1 AND r.status_code IN ('PAUSED', 'PAUSED_FOR_ADDITIONAL_INFO')
          AND ($2::text IS NULL OR r.latest_trn_id = $2)
        """, [.text(order.instance), Value(order.pausedAt)])
      guard let row = rows.first, let hop = HopId(text: try row.text(0)) else { return nil }
      return Place(
        hop: hop, stage: try row.text(1), verdict: try row.textOrNull(2).map { try VerdictKind(stored: $0) } ?? .passed,
        run: try row.int(3), process: try row.text(4), iteration: try row.int(5), source: try row.textOrNull(6))
    }
  }
}

extension Resume.Order {
  /// Reads a payload; nil when it is none.
  init?(_ json: JSONValue) {
    guard let instance = json["instance"]?.string, let rid = json["rid"]?.string,
      let way = json["way"]?.string.flatMap(Resume.Way.init(rawValue:))
    else { return nil }
    self.init(instance: instance, rid: rid, way: way, pausedAt: json["pausedAt"]?.string)
    if let name = json["tag"]?["name"]?.string, let value = json["tag"]?["value"]?.string {
      tag = Resume.Tag(name: name, value: value)
    }
    rules = json["rules"]?.array?.compactMap(\.string) ?? []
    author = json["author"]?.string
  }

  /// Who asked for it, for a comment.
  fileprivate var asAsked: String { author.map { ", as \($0) asked" } ?? "" }

  fileprivate var reasonToStop: String {
    author.map { "stopped by \($0): the registration is rejected" } ?? "nothing came in time: the registration is rejected"
  }
}
