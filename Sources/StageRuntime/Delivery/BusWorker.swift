/// What takes records of the bus for one stage, as the engine and its endpoints see it.
protocol BusWorker: AnyObject, Sendable {
  var unit: RunningStage { get }
  var thread: WorkerThread { get }
  var watch: BusWatch { get }

  func start()
  /// Asks it to finish the batch in hand and end.
  func stop()
}

extension BusWorker {
  /// Waits for the thread to end. Never call it from a task.
  func join() { thread.join() }
}
