import CRdKafka
import Glibc
import Synchronization
import System

/// A consumer that is polled for batches by one thread of its own.
///
/// Delivery: offsets are committed only by `commit` or with a producer's transaction, so a record is read again until then.
/// Ordering: records of a partition come in their order. Every method blocks; call `poll`, `seek`, `commit` and `close` from one
/// thread; `wake`, `owns`, `positions`, `lag` and `statistics` from any.
public final class KafkaConsumer: @unchecked Sendable {
  // Safe to share: librdkafka's handles take calls from several threads, what changes is in `state`, and the rest (the topic
  // names, the batch under construction) belongs to the one thread that polls.

  /// How a consumer comes to its partitions.
  public enum Assignment: Sendable, Hashable {
    /// The group shares the partitions; a join and a rebalance come first.
    case group
    /// Every partition of the topics, without a group's join: for the one reader of an embedded broker. Offsets committed by the
    /// group's name still say where reading starts.
    case all
    /// These partitions from these places, without a group.
    case from([PartitionOffset])
  }

  struct State {
    var epoch: UInt64 = 0
    /// The partitions that are ours and the epoch since when.
    var assigned: [TopicPartition: UInt64] = [:]
    /// A revocation that was told to the caller and not yet confirmed to the group.
    var pendingRevocation: (partitions: [TopicPartition], incremental: Bool)?
    var pendingEvents: [PollResult.Event] = []
    var closed = false
    var statistics: KafkaStatistics?
    var statisticsCount = 0
  }

  let client: ClientHandle
  let queue: OpaquePointer
  let state = Mutex(State())
  private let topics: [String]
  private let assignment: Assignment
  private var names = TopicNames()

  /// Connects and joins the group (or takes all partitions). Throws a `KafkaError`: `configuration` for a bad property, `unknownTopic`
  /// when with `.all` a topic is still missing after `timeoutMilliseconds`.
  ///
  /// `instance` makes the membership static (`group.instance.id`): a worker that comes back under the same name takes its partitions
  /// up again without a rebalance.
  public init(
    settings: KafkaSettings, group: String, topics: [String], assignment: Assignment = .group, instance: String? = nil,
    timeoutMilliseconds: Int = 10_000
  ) throws(KafkaError) {
    let role = Configuration.Role.consumer(group: group, instance: instance)
    let configuration = try Configuration(settings, role)
    rd_kafka_conf_set_events(
      configuration.raw,
      RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_STATS)
    client = ClientHandle(try configuration.makeHandle(role))
    rd_kafka_poll_set_consumer(client.raw)
    queue = rd_kafka_queue_get_consumer(client.raw)
    self.topics = topics
    self.assignment = assignment
    switch assignment {
    case .group:
      let list = makeList(topics.map { TopicPartition($0, RD_KAFKA_PARTITION_UA) })
      defer { rd_kafka_topic_partition_list_destroy(list) }
      try check(rd_kafka_subscribe(client.raw, list), "subscribe")
    case .all:
      let deadline = monotonicMilliseconds() + timeoutMilliseconds
      let all = try allPartitions(until: deadline)
      try assign(all)
      accept(all)
    case .from(let places):
      let list = makeList(places)
      defer { rd_kafka_topic_partition_list_destroy(list) }
      try check(rd_kafka_assign(client.raw, list), "assign partitions")
      accept(places.map(\.partition))
    }
  }

  deinit {
    try? close()
    names.release()
    rd_kafka_queue_destroy(queue)
  }

  /// Waits at most so long for a first record or event, then takes what else is already there, up to `max` records.
  ///
  /// A change of the assignment ends the poll. A revocation is confirmed to the group at the *next* poll (or at close), so what was
  /// done until then can still be committed. Throws a `KafkaError` when the consumer is of no more use (`fatal`, `fenced`).
  public func poll(max: Int, timeoutMilliseconds: Int) throws(KafkaError) -> PollResult {
    confirmRevocation()
    var events: [PollResult.Event]
    let (epoch, closed): (UInt64, Bool)
    (epoch, events, closed) = state.withLock { state in
      defer { state.pendingEvents = [] }
      return (state.epoch, state.pendingEvents, state.closed)
    }
    if closed { throw KafkaError(RD_KAFKA_RESP_ERR__STATE, "poll", detail: "the consumer is closed") }
    var entries: [RecordBatch.Entry] = []
    let deadline = monotonicMilliseconds() + timeoutMilliseconds
    var wait = events.isEmpty ? Int32(clamping: timeoutMilliseconds) : 0
    var failure: KafkaError?
    loop: while entries.count < max, let event = rd_kafka_queue_poll(queue, wait) {
      switch rd_kafka_event_type(event) {
      case RD_KAFKA_EVENT_FETCH:
        guard let message = rd_kafka_event_message_next(event) else { break }
        entries.append(
          RecordBatch.Entry(event: event, message: message, topic: names.index(of: message.pointee.rkt, client)))
        wait = 0
        continue
      case RD_KAFKA_EVENT_REBALANCE:
        events.append(rebalance(event))
        rd_kafka_event_destroy(event)
        break loop
      case RD_KAFKA_EVENT_ERROR:
        switch failureOrEvent(event) {
        case .failure(let error): failure = error
        case .success(let happened): events.append(happened)
        }
        rd_kafka_event_destroy(event)
        break loop
      case RD_KAFKA_EVENT_STATS:
        if let text = rd_kafka_event_stats(event) {
          let snapshot = KafkaStatistics(json: UnsafeRawBufferPointer(start: text, count: strlen(text)))
          state.withLock { state in
            state.statistics = snapshot
            state.statisticsCount += 1
          }
        }
      default: break
      }
      rd_kafka_event_destroy(event)
      if wait > 0 { wait = Int32(clamping: Swift.max(0, deadline - monotonicMilliseconds())) }
    }
    let records = RecordBatch(entries, topics: names.all, epoch: epoch, client: client)
    if let failure { throw failure }
    return PollResult(records: records, events: events)
  }

  /// Ends a poll that waits in another thread at once (or the next one, if none does).
  public func wake() { rd_kafka_queue_yield(queue) }

  /// Whether a record's partition is still ours under the assignment the record came with. False after a revocation or loss, also
  /// when the partition came back since.
  public func owns(_ record: RecordView) -> Bool { owns(record.topicPartition, since: record.batch.epoch) }

  /// Whether a partition has been ours without a break since an epoch (`RecordBatch.epoch`).
  public func owns(_ partition: TopicPartition, since epoch: UInt64) -> Bool {
    state.withLock { state in state.assigned[partition].map { $0 <= epoch } ?? false }
  }

  /// Whether the group asked for partitions back that the next `poll` gives up.
  public var hasPendingRevocation: Bool { state.withLock { $0.pendingRevocation != nil } }

  /// The partitions that are ours now, in order.
  public var assignedPartitions: [TopicPartition] { state.withLock { $0.assigned.keys.sorted() } }

  /// The latest statistics; nil before the first interval is over (`statistics.interval.ms`).
  public var statistics: KafkaStatistics? { state.withLock { $0.statistics } }

  /// How many statistics came so far.
  public var statisticsCount: Int { state.withLock { $0.statisticsCount } }

  /// With `.all`: takes partitions that were added since; returns them. With `.group` the group does that by itself.
  @discardableResult
  public func refreshAssignment(timeoutMilliseconds: Int = 10_000) throws(KafkaError) -> [TopicPartition] {
    guard assignment == .all else { return [] }
    let known = Set(assignedPartitions)
    let added = try allPartitions(until: monotonicMilliseconds() + timeoutMilliseconds).filter { !known.contains($0) }
    guard !added.isEmpty else { return [] }
    let list = makeList(added)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    if let error = rd_kafka_incremental_assign(client.raw, list) {
      throw KafkaError(consuming: error, "assign partitions")
    }
    accept(added)
    return added
  }

  /// Frees everything. Records already polled stay valid. Blocks at most so long; safe to repeat.
  ///
  /// Others take over at once, but for a static member's partitions: the group keeps those for it until its session is over, as it is
  /// expected back under its name. `leaving` says that it is not: it gives them up first.
  public func close(leaving: Bool = false, timeoutMilliseconds: Int = 10_000) throws(KafkaError) {
    if leaving, assignment == .group, !state.withLock({ $0.closed }) { leave(timeoutMilliseconds: min(2000, timeoutMilliseconds)) }
    confirmRevocation()
    let first = state.withLock { state in
      defer {
        state.closed = true
        state.assigned = [:]
      }
      return !state.closed
    }
    guard first else { return }
    if let error = rd_kafka_consumer_close_queue(client.raw, queue) {
      throw KafkaError(consuming: error, "close consumer")
    }
    let deadline = monotonicMilliseconds() + timeoutMilliseconds
    while rd_kafka_consumer_closed(client.raw) == 0, monotonicMilliseconds() < deadline {
      guard let event = rd_kafka_queue_poll(queue, 50) else { continue }
      if rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE {
        _ = rebalance(event)
        confirmRevocation()
      }
      rd_kafka_event_destroy(event)
    }
    guard rd_kafka_consumer_closed(client.raw) != 0 else {
      throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, "close consumer")
    }
  }

  /// Tells the group that this member is gone. A static member says so only while it is not being closed, and librdkafka does not tell when it
  /// has: it is sent once the assignment is gone, which another thread notices within milliseconds.
  private func leave(timeoutMilliseconds: Int) {
    guard rd_kafka_unsubscribe(client.raw) == RD_KAFKA_RESP_ERR_NO_ERROR else { return }
    let deadline = monotonicMilliseconds() + timeoutMilliseconds
    var quiet = 0
    while quiet < 5, monotonicMilliseconds() < deadline {
      confirmRevocation()
      guard let event = rd_kafka_queue_poll(queue, 50) else {
        if assignedPartitions.isEmpty { quiet += 1 }
        continue
      }
      if rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE { _ = rebalance(event) }
      rd_kafka_event_destroy(event)
    }
  }

  private func allPartitions(until deadline: Int) throws(KafkaError) -> [TopicPartition] {
    var all: [TopicPartition] = []
    for topic in topics {
      var count = 0
      while count == 0 {
        let left = deadline - monotonicMilliseconds()
        guard left > 0 else {
          throw KafkaError(
            RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, "assign partitions", detail: "the topic '\(topic)' does not exist")
        }
        count = try client.partitionCounts(topic: topic, timeoutMilliseconds: Int32(clamping: left))[topic] ?? 0
        if count == 0 { usleep(50_000) }
      }
      all += (0..<Int32(count)).map { TopicPartition(topic, $0) }
    }
    return all
  }
}

/// What one poll brought: first the records, then the events, which happened after them.
public struct PollResult: Sendable {
  /// What happened beside records.
  public enum Event: Sendable {
    /// Partitions became ours. Reading starts at the committed offset.
    case assigned([TopicPartition])
    /// The group takes partitions away: records in hand may still be finished and committed until the next poll.
    case revoked([TopicPartition])
    /// Partitions went to another member already: records in hand are to be forgotten, a commit will fail.
    case lost([TopicPartition])
    /// The partition's end was reached (only with the property `enable.partition.eof`); the offset is the next to come.
    case reachedEnd(PartitionOffset)
    /// Something is wrong that librdkafka goes on trying to mend, e.g. no broker answers or a right is missing; with the topic where it is about
    /// one. Mostly told once, however long it lasts.
    case problem(KafkaError, topic: String?)
  }

  /// The records, in order within each partition.
  public let records: RecordBatch
  /// Changes of the assignment and problems, in the order they came.
  public let events: [Event]
}

/// The topic names of a consumer, made into a String once each.
private struct TopicNames {
  private(set) var all: [String] = []
  private var handles: [OpaquePointer] = []

  mutating func index(of handle: OpaquePointer, _ client: ClientHandle) -> Int32 {
    if let known = handles.firstIndex(of: handle) { return Int32(known) }
    let name = String(cString: rd_kafka_topic_name(handle))
    all.append(name)
    // An own reference keeps the address from being used for another topic.
    handles.append(rd_kafka_topic_new(client.raw, name, nil) ?? handle)
    return Int32(all.count - 1)
  }

  func release() { for handle in handles { rd_kafka_topic_destroy(handle) } }
}
