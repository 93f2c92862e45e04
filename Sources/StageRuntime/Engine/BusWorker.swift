import System

/// A thread that takes records of the bus for one stage, as the engine and its doors see it.
protocol BusWorker: AnyObject, Sendable {
  var unit: StageUnit { get }
  /// True once the first poll came back.
  var isTakingMessages: Bool { get }
  /// True while it has no working connection.
  var isOutOfOrder: Bool { get }
  /// When it last made a step; nil before the first one.
  var lastMovedAt: Instant? { get }

  func start()
  /// Asks it to finish the batch in hand and end.
  func stop()
  /// Waits for the thread to end. Never call it from a task.
  func join()
}

extension StageWorker: BusWorker {
  var isTakingMessages: Bool { isReady.load(ordering: .relaxed) }
  var isOutOfOrder: Bool { isBroken.load(ordering: .relaxed) }
  var lastMovedAt: Instant? {
    let last = lastStep.load(ordering: .relaxed)
    return last > 0 ? Instant(milliseconds: last) : nil
  }
}
