import Synchronization

/// The counters of one stage, as Prometheus reads them.
final class StageMeters: Sendable {
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

  /// Lines of the Prometheus text format.
  var lines: [(name: String, labels: String, value: Int)] {
    func verdict(_ name: String, _ counter: borrowing Atomic<Int>) -> (String, String, Int) {
      ("regproc_hops_total", "stage=\"\(stage)\",verdict=\"\(name)\"", counter.load(ordering: .relaxed))
    }
    let own = "stage=\"\(stage)\""
    return [
      verdict("passed", passed), verdict("failed", failed), verdict("retry", retried), verdict("error", erred),
      ("regproc_redelivered_total", own, redelivered.load(ordering: .relaxed)),
      ("regproc_dead_letters_total", own, deadLetters.load(ordering: .relaxed)),
      ("regproc_batches_total", own, batches.load(ordering: .relaxed)),
      ("regproc_loop_failures_total", own, loopFailures.load(ordering: .relaxed)),
      ("regproc_stage_busy_microseconds_total", own, busyMicroseconds.load(ordering: .relaxed)),
    ]
  }
}
