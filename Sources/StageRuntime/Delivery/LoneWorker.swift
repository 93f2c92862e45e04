import Kafka
import Postgres
import Routing
import StageKit
import Synchronization

/// One worker of one stage without an engine around it: no endpoints, no outbox relay, no durable work. It is what the benchmark measures;
/// without a database nothing is journaled.
package final class LoneWorker: Sendable {
  private let worker: StageWorker

  /// A worker of a plugin that needs no settings. `database` is where the journal is; nil for none.
  package init(
    _ file: StageDefinition, plugin: any StagePlugin.Type, services: Services, pool: Pool, routes: RouteFile,
    directory: [StageDefinition],
    kafka: KafkaSettings, isTransactional: Bool, database: PostgresSettings?
  ) throws {
    let table = RouteTable(routes)
    let wake = WakeUp()
    let byName = Dictionary(directory.map { ($0.name, $0) }) { first, _ in first }
    let settings = try StageSettings(stage: file.name, declared: plugin.spec.settings, given: [:])
    let context = StageContext(
      stage: file.name, services: services, store: PostgresStageStore(stage: file.name, pool: pool, wake: wake),
      pipeline: PostgresPipeline(
        pool: pool, routes: table, directory: byName, worker: "lone", wake: wake))
    let unit = RunningStage(file: file, plugin: try plugin.init(settings: settings), context: context, settings: settings)
    let bus = KafkaBus.Settings(
      kafka: kafka, group: file.group, topics: routes.inputs(of: file), assignment: .group,
      transactionalId: isTransactional ? "lone-\(file.group)" : nil, member: nil)
    worker = StageWorker(
      unit: unit, name: "lone", mode: isTransactional ? .transactional : .acknowledged, routes: table, directory: byName,
      database: database, openBus: { try KafkaBus(bus, watch: $1) })
  }

  /// How many messages passed so far, counted when their batch is on the bus.
  package var passed: Int { worker.unit.metrics.passed.load(ordering: .relaxed) }

  /// How many batches are done.
  package var batches: Int { worker.unit.metrics.batches.load(ordering: .relaxed) }

  /// Starts the worker's thread.
  package func start() { worker.start() }

  /// Ends it after the batch in hand, and waits for that.
  package func stop() {
    worker.stop()
    worker.join()
  }
}
