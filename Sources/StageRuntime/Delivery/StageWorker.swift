import Postgres
import Registration
import StageKit
import Synchronization
import System

/// One worker of one stage: a thread that owns a consumer, a producer and a database connection, and does what the `DeliveryLoop` says.
///
/// Everything that blocks happens on this thread; the stage's own work runs as tasks, several RIDs at a time.
///
/// Which topics it reads is up to the route file: after an edit that says otherwise it finishes the batch in hand and begins anew with the
/// others. Of a stage that something else runs it reads nothing.
final class StageWorker: BusWorker {
  let unit: RunningStage
  let routes: RouteTable
  let directory: [String: StageDefinition]
  let name: String
  let mode: DeliveryLoop.Mode
  let database: PostgresSettings?
  private let openBus: @Sendable (_ topics: [String], _ watch: BusWatch) throws -> any Bus
  let log: Log
  let pauses: Pauses
  let wake: WakeUp?
  let thread = WorkerThread()
  let watch: BusWatch
  private let waker = Mutex<(@Sendable () -> Void)?>(nil)

  /// A worker of a stage; without a database nothing is journaled (the benchmark of the bare engine).
  /// - Parameter wake: told of work and records that were committed with a verdict.
  init(
    unit: RunningStage, name: String, mode: DeliveryLoop.Mode, routes: RouteTable, directory: [String: StageDefinition],
    database: PostgresSettings?, pauses: Pauses = Pauses(nil), wake: WakeUp? = nil,
    openBus: @escaping @Sendable (_ topics: [String], _ watch: BusWatch) throws -> any Bus
  ) {
    self.unit = unit
    self.pauses = pauses
    self.wake = wake
    self.name = name
    self.mode = mode
    self.routes = routes
    self.directory = directory
    self.database = database
    self.openBus = openBus
    self.log = unit.context.log
    watch = BusWatch(unit.file.name, group: unit.file.group, log: unit.context.log)
  }

  func start() { thread.start(unit.file.name) { self.run() } }

  func stop() {
    watch.stop(by: monotonicMilliseconds() + WorkerThread.stopLimit)
    thread.requestStop()
    waker.withLock { $0 }?()
  }

  /// Has it look now at the route file, and at what is paused.
  func noticeRoutes() { waker.withLock { $0 }?() }

  private func run() {
    var wasElsewhere = false
    while !thread.isStopping {
      let topics = routes.routes.inputs(of: unit.file)
      guard topics.isEmpty else {
        wasElsewhere = false
        session(topics)
        continue
      }
      if !wasElsewhere { log.warning("the route file says that this stage runs elsewhere: its messages are left alone") }
      wasElsewhere = true
      watch.readsNothing()
      thread.moved()
      thread.rest(milliseconds: 300)
    }
  }

  /// Works until it is to stop or an edit of the route file names other topics.
  private func session(_ topics: [String]) {
    var bus: (any Bus)?
    while bus == nil, !thread.isStopping, routes.routes.inputs(of: unit.file) == topics {
      do {
        bus = try watch.step("open the bus") { try openBus(topics, watch) }
      } catch {
        watch.outOfOrder("no connection to the bus: \(error)")
        log.error("no connection to the bus; trying again", ["error": "\(error)"])
        thread.rest(milliseconds: 2000)
      }
    }
    guard let bus else { return }
    watch.outOfOrder(nil)
    let reference = Wakeable(bus)
    waker.withLock { $0 = { reference.bus.wake() } }
    Round(worker: self, bus: bus, topics: topics).run()
    waker.withLock { $0 = nil }
    // Also for a stop: who comes back under another name would else wait for this one's session, and one of the same name is back at once
    // anyway (docs/decisions/leaving-the-group.md).
    bus.close(leaving: true)
    if !thread.isStopping { log.info("an edit of the route file changes which topics this stage reads") }
  }

  private struct Wakeable: @unchecked Sendable {
    // Safe: `wake` is the one method of a bus that any thread may call, and it is the only one called through this.
    let bus: any Bus
    init(_ bus: any Bus) { self.bus = bus }
  }
}
