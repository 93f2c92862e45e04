import Synchronization

/// What a batch adds to the metrics.
struct Tally {
  fileprivate var passed = 0
  fileprivate var failed = 0
  fileprivate var retried = 0
  fileprivate var erred = 0
  fileprivate var busy = 0.0
  fileprivate var deadLetters: Int

  init(unreadable: Int) { deadLetters = unreadable }

  mutating func add(_ hop: ConcludedHop) {
    switch hop.verdict.kind {
    case .passed: passed += 1
    case .failed: failed += 1
    case .retry: retried += 1
    case .error: erred += 1
    }
    busy += hop.milliseconds
    if hop.deadLetter != nil { deadLetters += 1 }
  }
}

/// The counters of one stage, as Prometheus reads them.
final class StageMetrics: Sendable {
  let stage: String
  let passed = Atomic<Int>(0)
  let failed = Atomic<Int>(0)
  let retried = Atomic<Int>(0)
  let erred = Atomic<Int>(0)
  let redelivered = Atomic<Int>(0)
  let deadLetters = Atomic<Int>(0)
  let batches = Atomic<Int>(0)
  let loopFailures = Atomic<Int>(0)
  let busyMicroseconds = Atomic<Int>(0)

  init(stage: String) { self.stage = stage }

  /// Counts a batch that is on the bus for good.
  func count(_ tally: Tally) {
    batches.add(1, ordering: .relaxed)
    if tally.passed > 0 { passed.add(tally.passed, ordering: .relaxed) }
    if tally.failed > 0 { failed.add(tally.failed, ordering: .relaxed) }
    if tally.retried > 0 { retried.add(tally.retried, ordering: .relaxed) }
    if tally.erred > 0 { erred.add(tally.erred, ordering: .relaxed) }
    busyMicroseconds.add(Int(tally.busy * 1000), ordering: .relaxed)
    if tally.deadLetters > 0 { deadLetters.add(tally.deadLetters, ordering: .relaxed) }
  }

  /// Adds what was counted.
  func tell(_ text: inout MetricsText) {
    text.add(.hops, stage, "passed", value: passed.load(ordering: .relaxed))
    text.add(.hops, stage, "failed", value: failed.load(ordering: .relaxed))
    text.add(.hops, stage, "retry", value: retried.load(ordering: .relaxed))
    text.add(.hops, stage, "error", value: erred.load(ordering: .relaxed))
    text.add(.redelivered, stage, value: redelivered.load(ordering: .relaxed))
    text.add(.deadLetters, stage, value: deadLetters.load(ordering: .relaxed))
    text.add(.batches, stage, value: batches.load(ordering: .relaxed))
    text.add(.loopFailures, stage, value: loopFailures.load(ordering: .relaxed))
    text.add(.stageBusy, stage, value: busyMicroseconds.load(ordering: .relaxed))
  }
}
