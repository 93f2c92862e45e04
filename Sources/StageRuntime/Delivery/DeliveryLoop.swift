import System

/// The consume - process - produce loop of one stage worker, as a pure state machine: an event goes in, the next action comes out. The thread
/// that owns the consumer and the producer does the actions (`StageWorker`); no broker, database or clock is needed to test what happens
/// when one of them fails.
///
/// One round: poll -> claim (lock the RIDs, ask the journal what is known) -> judge (the stage) -> record (journal, commit SQL) -> send (bus
/// transaction with the offsets). The journal is committed before the bus: a crash in between makes the broker deliver again, the
/// claim finds the verdict, and only the sending is repeated.
///
/// A transaction's commit takes longer than all the rest, so a round does not wait for it: `send` begins it, and the next batch is read,
/// judged and recorded meanwhile. Only its own `send` waits (`settle`). When the commit fails then, both batches are read again, in order, and
/// the journal knows both: the same as a crash between record and send.
struct DeliveryLoop: Sendable {
  /// How records reach the bus and offsets move.
  enum Mode: Sendable {
    /// Produce and offsets in one Kafka transaction.
    case transactional
    /// Produce, wait for all acknowledgements, then commit offsets: at least once.
    case acknowledged
  }

  /// Where the loop stands.
  enum State: Sendable, Equatable {
    case polling
    case claiming
    case judging
    case recording
    case sending
    /// Waiting for the end of the transaction that the batch before began.
    case settling(Next)
    case aborting(Failure)
    case rewinding(Failure)
    case pausing
    case reopening
    case stopped
  }

  /// What follows once the transaction under way has ended well.
  enum Next: Sendable, Equatable {
    case poll
    case send
    case stop
    /// The batch in hand failed, not the one under way.
    case rewind(Failure)
    /// The bus could not be read.
    case rest
  }

  /// What went wrong, by what can be done about it.
  enum Failure: Sendable, Equatable {
    /// The same step may work when it is done again.
    case retriable
    /// The bus transaction must be aborted; then the batch is read again.
    case abortable
    /// Another worker owns these partitions now: nothing of this batch may be committed by us.
    case lostPartitions
    /// The producer or consumer is unusable and must be opened anew (fatal errors, fencing).
    case fatal
  }

  /// What happened.
  enum Event: Sendable, Equatable {
    case polled(records: Int)
    case claimed
    case judged
    case recorded
    /// In transactional mode the commit has only begun; else all is done.
    case sent
    case settled
    case aborted
    case rewound
    case rested
    case reopened
    case failed(Failure)
  }

  /// What to do next.
  enum Action: Sendable, Equatable {
    /// Read records: wait for them, or take only what is there already.
    case poll(waits: Bool)
    case claim
    case judge
    case record
    case send
    /// Wait until the transaction under way has ended.
    case settle
    case abort
    /// Forget the claim (roll back the SQL transaction) and read the batch again from its first offsets, and the one under way if that has not
    /// ended; of partitions that are not ours any more nothing is read. `seek` is false when the bus is opened anew anyway.
    case rewind(seek: Bool)
    case rest(milliseconds: Int)
    /// Close consumer and producer and open them anew.
    case reopen
    case stop
  }

  let mode: Mode
  /// The pauses after failures in a row.
  let backoff: Backoff
  private(set) var state = State.polling
  private(set) var failuresInARow = 0
  /// Whether a transaction has begun to end whose outcome nobody asked for yet.
  private(set) var isUnderWay = false
  private var stopping = false
  private var settleTries = 0

  init(mode: Mode, backoff: Backoff = Backoff(first: 0.1, longest: 15)) {
    self.mode = mode
    self.backoff = backoff
  }

  /// The first action.
  var start: Action { .poll(waits: true) }

  /// Ends the loop when the batch in hand is done, or at once when there is none.
  mutating func requestStop() { stopping = true }

  /// Takes an event and says what to do next.
  mutating func next(_ event: Event) -> Action {
    switch (state, event) {
    case (.polling, .polled(let records)):
      // A batch that was read and not begun is left to the next owner of its partitions.
      if stopping { return settled(then: .stop) }
      return records > 0 ? go(.claiming, .claim) : settled(then: .poll)
    case (.claiming, .claimed): return go(.judging, .judge)
    case (.judging, .judged): return go(.recording, .record)
    case (.recording, .recorded): return settled(then: .send)
    case (.sending, .sent):
      if mode == .transactional {
        isUnderWay = true
        return stopping ? settled(then: .stop) : go(.polling, .poll(waits: false))
      }
      failuresInARow = 0
      return stopping ? stop() : poll()
    case (.settling(let next), .settled):
      isUnderWay = false
      settleTries = 0
      failuresInARow = 0
      return settled(then: next)

    case (.settling, .failed(.fatal)): return rewind(.fatal)
    case (.settling, .failed(.retriable)) where settleTries < 3:
      // A commit whose answer is not known may only be repeated, never aborted without asking: librdkafka remembers where it stood.
      settleTries += 1
      return .settle
    case (.settling, .failed(let failure)): return go(.aborting(failure), .abort)
    case (.sending, .failed(.fatal)): return rewind(.fatal)
    case (.sending, .failed(let failure)): return mode == .transactional ? go(.aborting(failure), .abort) : rewind(failure)
    case (.aborting(let cause), .aborted): return rewind(cause)
    case (.aborting, .failed): return rewind(.fatal)
    case (.polling, .failed(.fatal)): return settled(then: .rewind(.fatal))
    case (.polling, .failed): return settled(then: .rest)
    case (.claiming, .failed(let failure)), (.judging, .failed(let failure)), (.recording, .failed(let failure)):
      return settled(then: .rewind(failure))

    case (.rewinding(.fatal), .rewound), (.rewinding, .failed): return stopping ? stop() : go(.reopening, .reopen)
    case (.rewinding(.lostPartitions), .rewound): return stopping ? stop() : poll()
    case (.rewinding, .rewound): return stopping ? stop() : rest()
    case (.reopening, .reopened): return stopping ? stop() : rest()
    case (.reopening, .failed): return stopping ? stop() : rest(thenReopen: true)
    case (.pausing, .rested):
      if stopping { return stop() }
      return reopenAfterRest ? go(.reopening, .reopen) : poll()

    default:
      preconditionFailure("the delivery loop got \(event) while \(state)")
    }
  }

  private var reopenAfterRest = false

  private mutating func go(_ state: State, _ action: Action) -> Action {
    self.state = state
    if state == .polling || state == .reopening { reopenAfterRest = false }
    return action
  }

  private mutating func stop() -> Action { go(.stopped, .stop) }

  private mutating func poll() -> Action { go(.polling, .poll(waits: true)) }

  /// Goes on when no transaction is under way any more.
  private mutating func settled(then next: Next) -> Action {
    if isUnderWay { return go(.settling(next), .settle) }
    switch next {
    case .poll: return poll()
    case .send: return go(.sending, .send)
    case .stop: return stop()
    case .rewind(let failure): return rewind(failure)
    case .rest: return rest()
    }
  }

  private mutating func rest(thenReopen: Bool = false) -> Action {
    failuresInARow += 1
    reopenAfterRest = thenReopen
    return go(.pausing, .rest(milliseconds: backoff.milliseconds(after: failuresInARow)))
  }

  /// Nothing was sent, or all of it was taken back: read it again.
  private mutating func rewind(_ failure: Failure) -> Action {
    isUnderWay = false
    settleTries = 0
    return go(.rewinding(failure), .rewind(seek: failure != .fatal))
  }
}

extension DeliveryLoop.Action {
  /// What is done, for logs and health.
  var words: String {
    switch self {
    case .poll: "read records"
    case .claim: "ask the journal what is known"
    case .judge: "judge"
    case .record: "write to the journal"
    case .send: "send"
    case .settle: "end the bus's transaction"
    case .abort: "take back the bus's transaction"
    case .rewind: "read the batch again"
    case .rest: "pause"
    case .reopen: "connect to the bus again"
    case .stop: "stop"
    }
  }
}

extension DeliveryLoop.Failure {
  /// What follows from it, for logs.
  var words: String {
    switch self {
    case .retriable: "the step is done again"
    case .abortable: "the batch is read again"
    case .lostPartitions: "another worker has these partitions now"
    case .fatal: "the connection is opened anew"
    }
  }
}
