import HTTP
import JSON
import Kafka
import Postgres
import StageKit
import Synchronization
import System

/// Whether an engine is between its start and its stop.
final class EngineProgress: Sendable {
  let isRunning = Atomic(false)
}

/// What every process shows of itself to operators: liveness, readiness, health and metrics.
struct AdminEndpoints: Sendable {
  let units: [RunningStage]
  let workers: [any BusWorker]
  let runner: WorkRunner
  let relay: OutboxRelay
  /// Of each worker, and of the outbox relay.
  let watches: [BusWatch]
  let topicCare: TopicCare
  let routes: RouteTable
  let pauses: Pauses
  let pool: Pool
  let services: Services
  let isTransactional: Bool
  let startedAt: Instant
  let progress: EngineProgress
  let admission: AdminAdmission
  /// What a token must hold to read.
  let access: AdminAccess
  let certificates: ListenerCertificates
  let dataFolder: DataFolderWatch
  let clock: DatabaseClock

  /// A worker whose loop has not moved for so long is stuck.
  private static let stuckAfter = 120_000

  /// For whoever may look. Who may change something may look as well.
  var readers: Admission { admission.holders(of: access.readRole, access.operateRole) }
  /// For whoever may change something.
  var changers: Admission { admission.holders(of: access.operateRole) }
  /// For whoever may see personal data.
  var revealers: Admission { admission.holders(of: access.revealRole) }

  var endpoints: [Endpoint] {
    let readers = readers
    return [
      Endpoint("GET", "/actuator/health/liveness", admission: admission.probes) { _ in
        let stuck = workers.filter(isStuck).map(\.unit.file.name)
        return answer(
          ["status": .string(stuck.isEmpty ? "UP" : "DOWN"), "stuck": .array(stuck.map { .string($0) })], stuck.isEmpty)
      }.described(Self.probe("tells whether the process lives", bad: "a worker is stuck")),
      Endpoint("GET", "/actuator/health/readiness", admission: admission.probes) { _ in
        let waiting = workers.filter { !$0.watch.hasJoined }.map(\.watch.name)
        let standing = standing
        let started = progress.isRunning.load(ordering: .relaxed)
        let ready = started && waiting.isEmpty && standing.isEmpty
        return answer(
          [
            "status": .string(ready ? "UP" : "OUT_OF_SERVICE"), "started": .bool(started),
            "withoutPartitions": .array(waiting.map { .string($0) }),
            "standing": .array(standing.map(\.json)),
          ], ready)
      }.described(Self.probe("tells whether the process takes messages", bad: "it does not, and why")),
      Endpoint("GET", "/actuator/health", admission: readers) { _ in await health() }
        .described(Self.probe("tells how the process is, part by part", bad: "a part is down")),
      Endpoint("GET", "/actuator/prometheus", admission: readers) { _ in
        var response = Response.text(metrics())
        response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        return response
      }.described(
        EndpointDescription(
          "tells the metrics", tag: "Health", answers: [.init(200, "Prometheus' text format", .text)])),
    ]
  }

  private static func probe(_ summary: String, bad: String) -> EndpointDescription {
    let state = EndpointDescription.Content.json(
      JSONShape.object(["status": JSONShape.text()], required: ["status"]), named: "Health")
    return EndpointDescription(summary, tag: "Health", answers: [.init(200, "all is well", state), .init(503, bad, state)])
  }

  private func isStuck(_ worker: any BusWorker) -> Bool {
    worker.thread.stillFor.map { $0 > Self.stuckAfter } ?? false
  }

  /// Who stands still, why, and for how long.
  private struct Standing {
    var name: String
    var reason: String
    var milliseconds: Int
    var json: JSONValue {
      ["name": .string(name), "reason": .string(reason), "seconds": JSONValue(milliseconds / 1000)]
    }
  }

  private var standing: [Standing] {
    watches.compactMap { watch in
      watch.standing.map { Standing(name: watch.name, reason: $0.reason, milliseconds: $0.milliseconds) }
    }
  }

  private func answer(_ body: JSONObject, _ isGood: Bool) -> Response {
    .json(JSONValue.object(body).encoded(), status: isGood ? 200 : 503)
  }

  private func health() async -> Response {
    let waiting = try? await pool.with { try WaitingTopic.all(on: $0) }
    let databaseIsUp = waiting != nil
    // What was refused a moment ago may have been taken meanwhile.
    let refused = (waiting ?? []).filter { clock.now.seconds(since: $0.since) * 1000 >= Double(Standstill.said) }
    let faults = watches.flatMap { watch in watch.faults.map { (name: watch.name, reason: $0) } }
    let standing = standing
    let busIsUp = faults.isEmpty && !standing.contains { $0.milliseconds >= Standstill.down }
    let scanner = await services.virusScanner.state()
    // A scanner out of reach matters to the stages that scan; the others do their work without it.
    let problems = topicCare.problems
    let topicsAreUp = refused.isEmpty && problems.isEmpty
    let folderFault = dataFolder.fault()
    let (clockState, folderState) = (self.clockState, Self.state(ofFolder: folderFault))
    let isUp =
      databaseIsUp && folderFault == nil && busIsUp && topicsAreUp
      && (scanner.fault == nil || !units.contains { $0.spec.scansPackets })
    let rejection = routes.lastRejection
    // A stranger can send what is refused: told, but the process is no less well for it.
    let refusedDeliveries = RefusedCallers.shared.troubled()
    let suspended = (try? await services.hub.suspended()) ?? []
    return answer(
      [
        "status": .string(isUp ? "UP" : "DOWN"),
        "components": .object([
          "database": .object(["status": .string(databaseIsUp ? "UP" : "DOWN")]),
          "clock": clockState,
          "dataFolder": folderState,
          "bus": .object([
            "status": .string(busIsUp ? "UP" : "DOWN"),
            "delivery": .string(isTransactional ? "transactional" : "acknowledged (at least once; side effects once)"),
            "broken": .array(faults.map { ["name": .string($0.name), "reason": .string($0.reason)] }),
            "standing": .array(standing.map(\.json)),
          ]),
          "topics": .object([
            "status": .string(topicsAreUp ? "UP" : "DOWN"), "problems": .array(problems.map { .string($0) }),
            "warnings": .array(topicCare.warnings.map { .string($0) }),
            "refused": .array(
              refused.map {
                [
                  "topic": .string($0.topic), "stage": .string($0.stage), "waiting": JSONValue($0.count),
                  "reason": .string($0.reason),
                  "since": .string($0.since.iso),
                ]
              }),
          ]),
          "subscriptions": .object([
            "status": .string(!refusedDeliveries.isEmpty ? "REFUSED" : suspended.isEmpty ? "UP" : "SUSPENDED"),
            "refusedAgainAndAgain": .array(refusedDeliveries.map { .string($0) }),
            "suspended": .array(
              suspended.map {
                [
                  "name": .string($0.name), "topic": .string($0.topic), "code": .string($0.code), "since": .string($0.since.iso),
                ]
              }),
          ]),
          "spool": spools,
          "tls": certificates.json,
          "paused": .array(pauses.all.map(\.json)),
          "stages": .array(units.map { .string($0.file.name) }),
          "routes": .object([
            "digest": .string(routes.routes.digest), "refused": rejection.map { .string($0) } ?? .null,
          ]),
          "virusScanner": .object([
            "status": .string(scanner.scanner == "none" ? "OFF" : scanner.fault == nil ? "UP" : "DOWN"),
            "scanner": .string(scanner.scanner), "version": JSONValue(scanner.version), "fault": JSONValue(scanner.fault),
          ]),
        ]),
      ], isUp)
  }

  /// What waits in the data folder: told, but the process is no less well for it.
  private var spools: JSONValue {
    let spools = units.compactMap(\.spool)
    let states = spools.map(\.state)
    let isBroken = states.contains { $0.fault != nil }
    let isQuiet = states.allSatisfy { $0.contents.waiting + $0.contents.setAside == 0 }
    return [
      "status": .string(isBroken ? "DOWN" : isQuiet ? "UP" : "WAITING"), "stages": .array(spools.map(\.json)),
    ]
  }

  /// What is stored goes by the database's clock, so the process is no less well for a wrong one.
  private var clockState: JSONValue {
    guard let skew = clock.skew else { return ["status": "UNKNOWN"] }
    let seconds = JSONNumber((skew * 10).rounded() / 10).map(JSONValue.number) ?? .null
    return ["status": .string(abs(skew) > DatabaseClock.tolerance ? "SKEWED" : "UP"), "secondsAhead": seconds]
  }

  private static func state(ofFolder fault: (text: String, since: Instant?)?) -> JSONValue {
    [
      "status": .string(fault == nil ? "UP" : "DOWN"), "fault": JSONValue(fault?.text), "since": JSONValue(fault?.since?.iso),
    ]
  }

  private func metrics() -> String {
    var text = MetricsText()
    let paused = pauses.all
    for unit in units {
      let name = unit.file.name
      unit.metrics.tell(&text)
      unit.spool?.tell(&text)
      text.add(unit.plugin.counts, declared: unit.spec.counts, stage: name)
      text.add(.paused, name, value: paused.contains { $0.what == name } ? 1 : 0)
    }
    text.add(.paused, Pause.intake, value: paused.contains { $0.what == Pause.intake } ? 1 : 0)
    text.add(.outboxSent, value: relay.sent.load(ordering: .relaxed))
    text.add(.outboxHealed, value: relay.healed.load(ordering: .relaxed))
    for watch in workers.map(\.watch) {
      text.add(.assignedPartitions, watch.name, value: watch.assignedPartitions)
      text.add(.recordsLost, watch.name, value: watch.lost.load(ordering: .relaxed))
    }
    for watch in watches { text.add(.standstill, watch.name, value: (watch.standing?.milliseconds ?? 0) / 1000) }
    for refused in RefusedCallers.shared.all { text.add(.refused, refused.what, refused.reason, value: refused.count) }
    for removed in RemovedCounts.shared.all { text.add(.removed, removed.what, value: removed.count) }
    for listener in certificates.all {
      text.add(.certificateEnd, listener.name, value: Int(listener.state.notAfter.milliseconds / 1000))
      text.add(.certificateFailures, listener.name, value: listener.state.failures)
    }
    text.add(.kafkaLinesLeftOut, value: kafkaLinesLeftOut)
    text.add(.workDone, value: runner.performed.load(ordering: .relaxed))
    text.add(.workFailures, value: runner.failures.load(ordering: .relaxed))
    text.add(.routesRefused, value: routes.lastRejection == nil ? 0 : 1)
    text.add(.routesInfo, routes.routes.digest, value: 1)
    text.add(.uptime, value: Int(Instant.now.seconds(since: startedAt)))
    return text.text
  }
}
