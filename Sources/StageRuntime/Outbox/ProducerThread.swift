import Kafka
import Synchronization
import System

/// Does the calls of a producer that may wait on a thread of its own, one at a time: so that the worker's thread has the time for the next batch,
/// and so that a call which does not come back (librdkafka 2.10 and later after a broker's death) can be left behind.
final class ProducerThread: Sendable {
  private struct State {
    var job: (@Sendable () -> KafkaError?)?
    var name = ""
    var failure: KafkaError?
    var isBusy = false
    var isClosed = false
    /// When the call under way should have been back.
    var due = 0
  }
  private let state = Mutex(State())
  private let asked = Semaphore()
  private let done = Semaphore()
  private let watch: BusWatch
  /// So much longer than its own limit a call may take.
  private let patience: Int

  init(watch: BusWatch, patience: Int = 30_000) {
    self.watch = watch
    self.patience = patience
    OwnedThread.start("producer") { self.work() }
  }

  /// A thread for a producer whose transactional id is registered first, which ends what an earlier owner of the id left.
  convenience init(opening producer: any BusProducer, limit: Int, patience: Int = 30_000, watch: BusWatch) throws {
    self.init(watch: watch, patience: patience)
    let limit = watch.limit(limit)
    do {
      try run("init transactions", limit: limit) { () throws(KafkaError) in
        try producer.initTransactions(timeoutMilliseconds: limit)
      }
    } catch {
      close()
      throw error
    }
  }

  /// Begins a call; `limit` is what the call itself was given, in milliseconds.
  func begin(_ name: String, limit: Int, _ job: @escaping @Sendable () throws(KafkaError) -> Void) {
    state.withLock { state in
      state.name = name
      state.job = {
        do throws(KafkaError) {
          try job()
          return nil
        } catch { return error }
      }
      state.isBusy = true
      state.due = monotonicMilliseconds() + limit + patience
    }
    asked.signal()
  }

  /// Waits for the end of the call; nil when it went well, or none was begun.
  /// - Throws: `BusFailure` (fatal) when it has overrun its limit by far, or the worker is to stop now: nothing may be done with the
  ///   producer any more, and this thread is left behind with it.
  func outcome() throws(BusFailure) -> KafkaError? {
    guard state.withLock({ $0.isBusy }) else { return nil }
    while !done.wait(milliseconds: watch.limit(200)) {
      let (name, late) = state.withLock { ($0.name, monotonicMilliseconds() - $0.due) }
      // A stop waits no longer than it was given, and a little for an answer that comes with its end.
      guard late >= 0 || watch.limit(patience) <= 1 else { continue }
      if late < 0, done.wait(milliseconds: 500) { break }
      state.withLock { $0.isClosed = true }
      throw BusFailure(
        kind: .fatal,
        message: late < 0
          ? "\(name) has not come back before the time to stop was over; the producer is left behind"
          : "\(name) has not come back \(patience / 1000) s after its limit; the producer is left behind")
    }
    return state.withLock { state in
      state.isBusy = false
      return state.failure
    }
  }

  /// Does a call and waits for its end.
  func run(_ name: String, limit: Int, _ job: @escaping @Sendable () throws(KafkaError) -> Void) throws {
    begin(name, limit: limit, job)
    if let failure = try outcome() { throw failure }
  }

  /// Lets the thread end once nothing is under way.
  func close() {
    _ = try? outcome()
    state.withLock { $0.isClosed = true }
    asked.signal()
  }

  private func work() {
    while true {
      asked.wait()
      let job = state.withLock { state in
        defer { state.job = nil }
        return state.job
      }
      guard let job else {
        if state.withLock({ $0.isClosed }) { return }
        continue
      }
      let failure = job()
      let isLeftBehind = state.withLock { state in
        state.failure = failure
        return state.isClosed
      }
      done.signal()
      if isLeftBehind { return }
    }
  }
}
