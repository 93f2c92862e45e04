import JSON
import Postgres
import Registration
import StageKit
import System

/// Registrations that wait for a packet of another process, and what such a packet's end means for them, as MOSIP's workflow engine has it
/// (docs/upstream/bus-and-routes.md#74-what-the-workflow-engine-does). All of it happens in the transaction that journals the hop, under
/// the RID's lock, so a request is made once and a registration that waits is told once.
enum AdditionalInfo {
  /// A registration that has asked so often for packets of one process is rejected: upstream's default.
  static let mostRequests = 5

  /// The packet that a hop is of, as a request names it.
  private struct Packet: Hashable {
    var rid: String
    var process: String
    var iteration: Int
  }

  /// Says what pauses and ends come to.
  /// - Returns: the hops as they are to be journaled, and what is to be written beside them.
  static func settle(
    _ hops: [ConcludedHop], _ connection: Connection
  ) throws -> (hops: [ConcludedHop], statements: [Statement]) {
    let concerned = hops.indices.filter { hops[$0].completion != nil || hops[$0].pause != nil || hops[$0].restartsParent }
    guard !concerned.isEmpty else { return (hops, []) }
    var hops = hops
    var statements: [Statement] = []
    let parents = try parents(of: concerned.map { hops[$0] }, connection)
    var made: [String: Int] = [:]
    for index in concerned {
      let hop = hops[index]
      let parent = parents[Packet(rid: hop.rid, process: hop.process, iteration: hop.iteration)]
      if let process = hop.pause?.requestedProcess {
        guard parent == nil else {
          // A packet that answers a request may not make one: it fails, and the registration is tried again without it.
          hops[index].registrationStatus = .failed
          hops[index].pause = nil
          statements += resume(parent, after: hop, .redo, status: .failed)
          continue
        }
        let iteration = try (made[hop.rid + process] ?? newest(hop.rid, process, connection)) + 1
        guard iteration <= mostRequests else {
          hops[index].registrationStatus = .rejected
          hops[index].completion = Completion(resultCode: .rejected)
          hops[index].pause = nil
          continue
        }
        made[hop.rid + process] = iteration
        statements += request(process, iteration, by: hop)
      } else if hop.completion != nil, parent != nil {
        // Nobody but the registration that waits is told.
        hops[index].completion = nil
        let status = hop.registrationStatus ?? .processed
        let way: Resume.Way = hop.restartsParent ? .fromBeginning : status == .processed ? .redo : .routeAgain
        statements += resume(parent, after: hop, way, status: status)
      }
      if let pause = hops[index].pause { statements += self.pause(pause, hop) }
    }
    return (hops, statements)
  }

  /// The registrations that wait for these packets, by their workflow instance.
  private static func parents(of hops: [ConcludedHop], _ connection: Connection) throws -> [Packet: String] {
    let rows = try connection.execute(
      """
      SELECT a.reg_id, a.additional_info_process, a.additional_info_iteration, a.workflow_instance_id
      FROM unnest($1::text[], $2::text[], $3::int[]) AS d(rid, process, iteration)
      JOIN regprc.additional_info_request AS a
        ON a.reg_id = d.rid AND a.additional_info_process = d.process AND a.additional_info_iteration = d.iteration
      """, [.textArray(hops.map(\.rid)), .textArray(hops.map(\.process)), .intArray(hops.map(\.iteration))])
    var parents: [Packet: String] = [:]
    for row in rows {
      parents[Packet(rid: try row.text(0), process: try row.text(1), iteration: try row.int(2))] = try row.text(3)
    }
    return parents
  }

  private static func newest(_ rid: String, _ process: String, _ connection: Connection) throws -> Int {
    try connection.execute(
      """
      SELECT coalesce(max(additional_info_iteration), 0) FROM regprc.additional_info_request
      WHERE reg_id = $1 AND additional_info_process = $2
      """, [.text(rid), .text(process)]
    ).only().int(0)
  }

  private static func request(_ process: String, _ iteration: Int, by hop: ConcludedHop) -> [Statement] {
    let id = "\(hop.rid)-\(process)-\(iteration)"
    let event: JSONValue = [
      "instanceId": .string(hop.rid), "workflowType": .string(hop.process), "additionalInfoProcess": .string(process),
      "additionalInfoRequestId": .string(id),
    ]
    return [
      Statement(
        """
        INSERT INTO regprc.additional_info_request (additional_info_process, reg_id, workflow_instance_id, timestamp,
          additional_info_iteration, additional_info_req_id)
        VALUES ($1, $2, $3, $4::timestamptz AT TIME ZONE 'UTC', $5, $6)
        """,
        [
          .text(process), .text(hop.rid), .text(hop.workflowInstanceId ?? hop.rid), .text(hop.doneAt.iso), .int(iteration),
          .text(id),
        ]),
      work(WorkflowEvents.requested, key: hop.id.text, event, at: nil),
    ]
  }

  /// The columns of a registration that waits, and the clock that decides when nobody does.
  private static func pause(_ pause: HopPause, _ hop: ConcludedHop) -> [Statement] {
    guard let instance = hop.workflowInstanceId else { return [] }
    let way: Resume.Way =
      switch pause.action {
      case .resumeProcessing: .routeAgain
      case .resumeFromBeginning: .fromBeginning
      case .stopProcessing: .stop
      }
    return [
      Statement(
        """
        UPDATE regprc.registration SET resume_timestamp = $2::timestamptz AT TIME ZONE 'UTC', default_resume_action = $3,
          pause_rule_ids = left($4, 256) WHERE workflow_instance_id = $1
        """,
        [
          .text(instance), .text(pause.until.iso), .text(pause.action.rawValue),
          Value(pause.rules.isEmpty ? nil : pause.rules.joined(separator: ",")),
        ]),
      work(
        Resume.work.name, key: hop.id.text,
        Resume.Order(instance: instance, rid: hop.rid, way: way, pausedAt: hop.id.text, rules: pause.rules).json,
        at: pause.until),
    ]
  }

  private static func resume(_ parent: String?, after hop: ConcludedHop, _ way: Resume.Way, status: RegistrationStatus)
    -> [Statement]
  {
    guard let parent else { return [] }
    let order = Resume.Order(
      instance: parent, rid: hop.rid, way: way, tag: Resume.Tag(name: hop.process + "_FLOW_STATUS", value: status.rawValue))
    return [work(Resume.work.name, key: hop.id.text + "/parent", order.json, at: nil)]
  }

  private static func work(_ kind: String, key: String, _ payload: JSONValue, at moment: Instant?) -> Statement {
    PostgresStageStore.scheduling(
      WorkItem(kind: kind, key: key, payload: payload), stage: WorkflowEvents.stage, at: moment)
  }
}
