import HTTP
import JSON
import Postgres
import StageKit
import System

/// What every process shows of itself: liveness, readiness, health, metrics, and the journey of a RID (design 5.7).
struct StatusDoors: Sendable {
  let units: [StageUnit]
  let workers: [any BusWorker]
  let runner: WorkRunner
  let courier: Courier
  let routes: RouteTable
  let pool: Pool
  let services: Services
  let isTransactional: Bool
  let startedAt: Instant

  /// A worker whose loop has not moved for so long is stuck.
  private static let stuckAfter = 120.0

  var endpoints: [Endpoint] {
    [
      Endpoint("GET", "/actuator/health/liveness") { _ in
        let stuck = workers.filter(isStuck).map(\.unit.file.name)
        return answer(
          ["status": .string(stuck.isEmpty ? "UP" : "DOWN"), "stuck": .array(stuck.map { .string($0) })], stuck.isEmpty)
      },
      Endpoint("GET", "/actuator/health/readiness") { _ in
        let ready = workers.allSatisfy(\.thread.isTakingMessages)
        return answer(["status": .string(ready ? "UP" : "OUT_OF_SERVICE")], ready)
      },
      Endpoint("GET", "/actuator/health") { _ in await health() },
      Endpoint("GET", "/actuator/prometheus") { _ in
        var response = Response.text(metrics())
        response.headers.set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        return response
      },
      Endpoint("GET", "/regproc/v1/journey/{rid}") { request in
        let rid = request.parameters["rid"] ?? ""
        guard let journey = try await pool.with({ try Journey.read(rid: rid, on: $0) }) else {
          return .json(#"{"error":"unknown-rid"}"#, status: 404)
        }
        return .json(journey.json.encoded())
      },
    ]
  }

  private func isStuck(_ worker: any BusWorker) -> Bool {
    worker.thread.lastMovedAt.map { Instant.now.seconds(since: $0) > Self.stuckAfter } ?? false
  }

  private func answer(_ body: JSONObject, _ isGood: Bool) -> Response {
    .json(JSONValue.object(body).encoded(), status: isGood ? 200 : 503)
  }

  private func health() async -> Response {
    let databaseIsUp = (try? await pool.with { _ = try $0.execute("SELECT 1") }) != nil
    let broken = workers.filter(\.thread.isOutOfOrder).map(\.unit.file.name)
    let scanner = await services.virusScanner.state()
    // A scanner out of reach matters to the stages that scan; the others do their work without it.
    let isUp = databaseIsUp && broken.isEmpty && (scanner.fault == nil || !units.contains { $0.spec.scansPackets })
    let rejection = routes.lastRejection
    return answer(
      [
        "status": .string(isUp ? "UP" : "DOWN"),
        "components": .object([
          "database": .object(["status": .string(databaseIsUp ? "UP" : "DOWN")]),
          "bus": .object([
            "status": .string(broken.isEmpty ? "UP" : "DOWN"),
            "delivery": .string(isTransactional ? "transactional" : "acknowledged (at least once; side effects once)"),
            "broken": .array(broken.map { .string($0) }),
          ]),
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

  private func metrics() -> String {
    var byName: [String: [(labels: String, value: Int)]] = [:]
    for unit in units {
      for line in unit.meters.lines { byName[line.name, default: []].append((line.labels, line.value)) }
      for (name, value) in unit.plugin.counts {
        byName["regproc_stage_\(name)_total", default: []].append(("stage=\"\(unit.file.name)\"", value))
      }
    }
    byName["regproc_courier_sent_total"] = [("", courier.sent.load(ordering: .relaxed))]
    byName["regproc_courier_healed_total"] = [("", courier.healed.load(ordering: .relaxed))]
    byName["regproc_work_done_total"] = [("", runner.performed.load(ordering: .relaxed))]
    byName["regproc_work_failures_total"] = [("", runner.failures.load(ordering: .relaxed))]
    byName["regproc_routes_refused"] = [("", routes.lastRejection == nil ? 0 : 1)]
    byName["regproc_routes_info"] = [("digest=\"\(routes.routes.digest)\"", 1)]
    byName["regproc_uptime_seconds"] = [("", Int(Instant.now.seconds(since: startedAt)))]
    var out = ""
    for (name, lines) in byName.sorted(by: { $0.key < $1.key }) {
      out += "# TYPE \(name) \(name.hasSuffix("_total") ? "counter" : "gauge")\n"
      for line in lines { out += line.labels.isEmpty ? "\(name) \(line.value)\n" : "\(name){\(line.labels)} \(line.value)\n" }
    }
    return out
  }
}
