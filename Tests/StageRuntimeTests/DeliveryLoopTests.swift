import System
import Testing

@testable import StageRuntime

/// A broker, a journal and a stage in a few lines, driven by the real state machine: enough to kill the worker before and after every
/// step, in every way, and to count what came of it.
private struct World {
  /// Thrown to kill the worker: its memory is gone, the broker and the journal stay.
  struct Killed: Error {}
  enum Moment: CaseIterable { case before, after }

  var mode: DeliveryLoop.Mode
  var topic: [Int]
  var committedOffset = 0
  /// Verdicts by message: what was judged and recorded.
  var journal: [Int: Int] = [:]
  /// Hops on the output topic that a reader of committed records sees.
  var output: [Int] = []
  var sideEffects: [Int: Int] = [:]
  /// The bus transaction that is open, or is being committed.
  var pending: (records: [Int], start: Int, end: Int)?
  /// How often the stage was asked while a transaction was under way.
  var overlaps = 0

  // A worker's memory
  var position = 0
  var batch: [Int] = []
  var batchStart = 0
  var results: [Int] = []
  var claimed = false

  init(mode: DeliveryLoop.Mode, messages: Int) {
    self.mode = mode
    topic = Array(0..<messages)
  }

  mutating func startWorker() {
    position = committedOffset
    batch = []
    results = []
    claimed = false
    // A new producer with the same transactional id aborts what its predecessor left open.
    pending = nil
  }

  mutating func perform(_ action: DeliveryLoop.Action) -> DeliveryLoop.Event {
    switch action {
    case .poll:
      if pending != nil, position < topic.count { overlaps += 1 }
      batchStart = position
      batch = Array(topic[position..<min(position + 3, topic.count)])
      position += batch.count
      return .polled(records: batch.count)
    case .claim:
      claimed = true
      return .claimed
    case .judge:
      results = batch.filter { journal[$0] == nil }
      for message in results { sideEffects[message, default: 0] += 1 }
      return .judged
    case .record:
      for message in results { journal[message] = message }
      claimed = false
      return .recorded
    case .send:
      switch mode {
      case .transactional: pending = (batch, batchStart, position)
      case .acknowledged:
        output += batch
        committedOffset = position
      }
      return .sent
    case .settle:
      // Asked once more after it was done, the broker says again that it is done.
      if let pending {
        output += pending.records
        committedOffset = pending.end
      }
      pending = nil
      return .settled
    case .abort: return .aborted
    case .rewind(let seek):
      claimed = false
      results = []
      if seek { position = pending?.start ?? batchStart } else { position = committedOffset }
      pending = nil
      return .rewound
    case .rest: return .rested
    case .reopen:
      startWorker()
      return .reopened
    case .stop: return .rested
    }
  }

  /// Runs until the topic is read to its end. `trouble` is asked before each action.
  mutating func run(_ trouble: (Int, DeliveryLoop.Action) -> Trouble?) {
    var step = 0
    var restarts = 0
    while restarts < 50 {
      startWorker()
      var loop = DeliveryLoop(mode: mode)
      var action = loop.start
      do {
        while action != .stop {
          step += 1
          guard step < 10_000 else { return }
          if action == .poll(waits: true), position == topic.count, committedOffset == topic.count { loop.requestStop() }
          let event: DeliveryLoop.Event
          switch trouble(step, action) {
          case nil: event = perform(action)
          case .kill(.before): throw Killed()
          case .kill(.after):
            _ = perform(action)
            throw Killed()
          case .fail(let failure, .before): event = .failed(failure)
          case .fail(let failure, .after):
            _ = perform(action)
            event = .failed(failure)
          }
          action = loop.next(event)
        }
        return
      } catch { restarts += 1 }
    }
  }
}

private enum Trouble {
  case kill(World.Moment)
  case fail(DeliveryLoop.Failure, World.Moment)
}

@Suite(.timeLimit(.minutes(30))) struct DeliveryLoopTests {
  private static let modes: [DeliveryLoop.Mode] = [.transactional, .acknowledged]

  @Test(arguments: modes) func `without trouble every message goes once in order`(mode: DeliveryLoop.Mode) {
    var world = World(mode: mode, messages: 10)
    world.run { _, _ in nil }
    #expect(world.output == Array(0..<10))
    #expect(world.sideEffects.count == 10 && world.sideEffects.values.allSatisfy { $0 == 1 })
    // Only transactions take long enough for that.
    #expect(world.overlaps == (mode == .transactional ? 3 : 0))
  }

  @Test(arguments: modes, World.Moment.allCases) fileprivate func killedAtAnyStepNothingIsLostAndTheVerdictIsFoundAgain(
    mode: DeliveryLoop.Mode, moment: World.Moment
  ) {
    for killAt in 1...40 {
      var world = World(mode: mode, messages: 10)
      world.run { step, _ in step == killAt ? .kill(moment) : nil }
      #expect(Set(world.output) == Set(0..<10), "killed \(moment) step \(killAt)")
      #expect(world.journal.count == 10)
      #expect(world.committedOffset == 10)
      // Only a batch that was sent and whose offsets were not stored may be seen twice; in this world sending and offsets are one step.
      #expect(world.output.count == 10)
      // The stage itself is asked again only when it was killed between judging and recording.
      #expect(world.sideEffects.count == 10 && world.sideEffects.values.allSatisfy { $0 <= 2 })
    }
  }

  @Test(arguments: [DeliveryLoop.Failure.retriable, .abortable, .lostPartitions, .fatal], World.Moment.allCases)
  fileprivate func anyFailureAtAnyStepEndsWithEveryMessageSent(failure: DeliveryLoop.Failure, moment: World.Moment) {
    for mode in Self.modes {
      for failAt in 1...40 {
        var world = World(mode: mode, messages: 10)
        world.run { step, action in
          guard step == failAt else { return nil }
          switch action {
          case .rest, .stop: return nil
          // A poll that fails has read nothing: the contract of `Bus.poll`.
          case .poll where moment == .after: return nil
          default: return .fail(failure, moment)
          }
        }
        #expect(Set(world.output) == Set(0..<10), "\(mode) \(failure) \(moment) at \(failAt)")
        #expect(world.committedOffset == 10)
        #expect(world.journal.count == 10)
      }
    }
  }

  /// The events up to a transaction whose end is waited for by the next batch.
  private static let oneUnderWay: [DeliveryLoop.Event] = [
    .polled(records: 2), .claimed, .judged, .recorded, .sent, .polled(records: 2), .claimed, .judged,
  ]

  @Test func `the next batch is worked on while a transaction ends and is sent after it`() {
    var loop = DeliveryLoop(mode: .transactional)
    #expect(drive(&loop, Self.oneUnderWay) == .record && loop.isUnderWay)
    #expect(loop.next(.recorded) == .settle)
    #expect(loop.next(.settled) == .send)
    #expect(loop.next(.sent) == .poll(waits: false))
    #expect(loop.next(.polled(records: 0)) == .settle)
    #expect(loop.next(.settled) == .poll(waits: true))
    #expect(!loop.isUnderWay)
  }

  @Test func `a failed transaction is aborted before its batch and the next are read again`() {
    var loop = DeliveryLoop(mode: .transactional)
    _ = drive(&loop, Self.oneUnderWay + [.recorded])
    #expect(loop.next(.failed(.abortable)) == .abort)
    #expect(loop.next(.aborted) == .rewind(seek: true))
    #expect(loop.next(.rewound) == .rest(milliseconds: 100))
    #expect(loop.next(.rested) == .poll(waits: true))
  }

  @Test(arguments: [DeliveryLoop.Failure.retriable, .abortable, .lostPartitions])
  func `a batch that fails is read again only after the one before it has ended`(_ failure: DeliveryLoop.Failure) {
    var loop = DeliveryLoop(mode: .transactional)
    _ = drive(&loop, Self.oneUnderWay)
    #expect(loop.next(.failed(failure)) == .settle)
    #expect(loop.next(.settled) == .rewind(seek: true))
  }

  @Test func `a batch that cannot be handed over is taken back`() {
    var loop = DeliveryLoop(mode: .transactional)
    _ = drive(&loop, [.polled(records: 2), .claimed, .judged, .recorded])
    #expect(loop.next(.failed(.retriable)) == .abort)
    #expect(loop.next(.aborted) == .rewind(seek: true))
  }

  @Test func `a commit whose answer is unknown is asked for again and aborted only after that`() {
    var loop = DeliveryLoop(mode: .transactional)
    _ = drive(&loop, Self.oneUnderWay + [.recorded])
    for _ in 1...3 { #expect(loop.next(.failed(.retriable)) == .settle) }
    var patient = loop
    #expect(patient.next(.settled) == .send)
    #expect(loop.next(.failed(.retriable)) == .abort)
    // It was committed after all: an abort is refused, and only a new producer can go on.
    #expect(loop.next(.failed(.retriable)) == .rewind(seek: false))
    #expect(loop.next(.rewound) == .reopen)
  }

  @Test func `a fenced producer is opened anew and nothing is committed by it`() {
    for isUnderWay in [true, false] {
      var loop = DeliveryLoop(mode: .transactional)
      _ = drive(&loop, isUnderWay ? Self.oneUnderWay + [.recorded] : [.polled(records: 2), .claimed, .judged, .recorded])
      #expect(loop.next(.failed(.fatal)) == .rewind(seek: false))
      #expect(loop.next(.rewound) == .reopen)
      #expect(loop.next(.reopened) == .rest(milliseconds: 100))
    }
  }

  @Test func `partitions lost in the middle of a batch are left to their new owner`() {
    var loop = DeliveryLoop(mode: .transactional)
    _ = drive(&loop, [.polled(records: 2), .claimed, .judged, .recorded])
    #expect(loop.next(.failed(.lostPartitions)) == .abort)
    // The bus knows which partitions are still ours and reads only those again.
    #expect(loop.next(.aborted) == .rewind(seek: true))
    #expect(loop.next(.rewound) == .poll(waits: true))
  }

  @Test func `pauses grow and end with the first success`() {
    var loop = DeliveryLoop(mode: .acknowledged, backoff: Backoff(first: 0.1, longest: 0.35))
    var pauses: [Int] = []
    for _ in 0..<4 {
      _ = loop.next(.polled(records: 1))
      _ = loop.next(.failed(.retriable))
      if case .rest(let pause) = loop.next(.rewound) { pauses.append(pause) }
      _ = loop.next(.rested)
    }
    #expect(pauses == [100, 200, 350, 350])
    _ = drive(&loop, [.polled(records: 1), .claimed, .judged, .recorded, .sent])
    #expect(loop.failuresInARow == 0)
  }

  @Test func `asked to stop it finishes the batch in hand and begins no other`() {
    var loop = DeliveryLoop(mode: .acknowledged)
    _ = drive(&loop, [.polled(records: 2), .claimed])
    loop.requestStop()
    #expect(loop.next(.judged) == .record)
    #expect(loop.next(.recorded) == .send)
    #expect(loop.next(.sent) == .stop)

    var busy = DeliveryLoop(mode: .transactional)
    _ = drive(&busy, Self.oneUnderWay)
    busy.requestStop()
    #expect(busy.next(.recorded) == .settle)
    #expect(busy.next(.settled) == .send)
    #expect(busy.next(.sent) == .settle)
    #expect(busy.next(.settled) == .stop)

    var idle = DeliveryLoop(mode: .acknowledged)
    idle.requestStop()
    #expect(idle.next(.polled(records: 5)) == .stop)
  }

  private func drive(_ loop: inout DeliveryLoop, _ events: [DeliveryLoop.Event]) -> DeliveryLoop.Action {
    var action = loop.start
    for event in events { action = loop.next(event) }
    return action
  }
}
