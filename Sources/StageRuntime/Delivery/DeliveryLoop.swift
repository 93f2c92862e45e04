/// The consume - process - produce loop of one stage worker, as a pure state machine: an event goes in, the next action comes out. The thread
/// that owns the consumer and the producer does the actions (`StageWorker`); no broker, database or clock is needed to test what happens
/// when one of them fails (design 5.4).
///
/// One round: poll -> claim (lock the RIDs, ask the journal what is known) -> judge (the stage) -> record (journal, commit SQL) -> send (bus
/// transaction with the offsets). The journal is committed before the bus: a crash in between makes the broker deliver again, the
/// claim finds the verdict, and only the sending is repeated.
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
    case aborting(Failure)
    case rewinding(Failure)
    case pausing
    case reopening
    case stopped
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
    case sent
    case aborted
    case rewound
    case rested
    case reopened
    case failed(Failure)
  }

  /// What to do next.
  enum Action: Sendable, Equatable {
    case poll
    case claim
    case judge
    case record
    case send
    case abort
    /// Forget the claim (roll back the SQL transaction) and read the batch again from its first offsets. `seek` is false when the partitions
    /// are not ours any more.
    case rewind(seek: Bool)
    case rest(milliseconds: Int)
    /// Close consumer and producer and open them anew.
    case reopen
    case stop
  }

  let mode: Mode
  /// The first pause after a failure; doubled with each one that follows, up to `longestPause`.
  let firstPause: Int
  let longestPause: Int
  private(set) var state = State.polling
  private(set) var failuresInARow = 0
  private var stopping = false
  private var sendTries = 0

  init(mode: Mode, firstPause: Int = 100, longestPause: Int = 15_000) {
    self.mode = mode
    self.firstPause = firstPause
    self.longestPause = longestPause
  }

  /// The first action.
  var start: Action { .poll }

  /// Ends the loop when the batch in hand is done, or at once when there is none.
  mutating func requestStop() { stopping = true }

  /// Takes an event and says what to do next.
  mutating func next(_ event: Event) -> Action {
    switch (state, event) {
    case (.polling, .polled(let records)):
      // A batch that was read and not begun is left to the next owner of its partitions.
      if stopping { return stop() }
      return records > 0 ? go(.claiming, .claim) : .poll
    case (.claiming, .claimed): return go(.judging, .judge)
    case (.judging, .judged): return go(.recording, .record)
    case (.recording, .recorded):
      sendTries = 0
      return go(.sending, .send)
    case (.sending, .sent):
      failuresInARow = 0
      return stopping ? stop() : go(.polling, .poll)

    case (.sending, .failed(let failure)): return sendFailed(failure)
    case (.aborting(let cause), .aborted): return rewind(cause)
    case (.aborting, .failed): return go(.rewinding(.fatal), .rewind(seek: false))
    case (.polling, .failed(.fatal)): return go(.rewinding(.fatal), .rewind(seek: false))
    case (.polling, .failed): return rest()
    case (.claiming, .failed(let failure)), (.judging, .failed(let failure)), (.recording, .failed(let failure)):
      return rewind(failure)

    case (.rewinding(.fatal), .rewound), (.rewinding, .failed): return go(.reopening, .reopen)
    case (.rewinding(.lostPartitions), .rewound): return stopping ? stop() : go(.polling, .poll)
    case (.rewinding, .rewound): return stopping ? stop() : rest()
    case (.reopening, .reopened): return stopping ? stop() : rest()
    case (.reopening, .failed): return stopping ? stop() : rest(thenReopen: true)
    case (.pausing, .rested):
      if stopping { return stop() }
      return reopenAfterRest ? go(.reopening, .reopen) : go(.polling, .poll)

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

  private mutating func rest(thenReopen: Bool = false) -> Action {
    let shift = min(failuresInARow, 16)
    failuresInARow += 1
    reopenAfterRest = thenReopen
    return go(.pausing, .rest(milliseconds: min(firstPause << shift, longestPause)))
  }

  /// Nothing was sent for this batch, or all of it was taken back: read it again.
  private mutating func rewind(_ failure: Failure) -> Action {
    switch failure {
    case .retriable, .abortable: go(.rewinding(failure), .rewind(seek: true))
    case .lostPartitions, .fatal: go(.rewinding(failure), .rewind(seek: false))
    }
  }

  private mutating func sendFailed(_ failure: Failure) -> Action {
    switch (mode, failure) {
    case (_, .fatal): return rewind(.fatal)
    case (.transactional, .retriable) where sendTries < 3:
      // A commit whose answer is not known may only be repeated, never aborted without asking: librdkafka remembers where it stood.
      sendTries += 1
      return go(.sending, .send)
    case (.transactional, _): return go(.aborting(failure), .abort)
    case (.acknowledged, _): return rewind(failure)
    }
  }
}
