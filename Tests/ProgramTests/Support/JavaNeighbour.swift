import JSON
import Kafka
import Postgres
import Synchronization
import System
import Testing

/// A stage that MOSIP's Java runs, as unkind as it was when it ran: it sees what was aborted, begins at the end of its topic, may forget a
/// record that comes twice under its key, commits before its answer is acknowledged, and does its work again after a crash. It has one
/// insert into `registration_transaction` and one update of `registration` for each message.
///
/// Each of its lives is a process of Java's: `start` begins one with a new consumer and an empty cache, `kill` ends it where it stands.
final class JavaNeighbour: Sendable {
  enum Mode: Sendable {
    /// One record after the other, committed each.
    case single
    /// A whole poll in any order, with one commit behind it. A key is worked once in 15 minutes.
    case batch
  }

  /// How unkind it is; each can be taken away so that a test can name its cause.
  struct Habits: Sendable {
    var mode = Mode.single
    var readsUncommitted = true
    var beginsAtEnd = true
    var remembersKeys = true
    var refusesOldRecords = true
    /// The key is made of RID, topic and address; before 1.3.0 it was the RID alone.
    var keyIsComposite = true
  }

  /// Where a life ends by itself, once for each that is planned.
  enum Moment: Sendable { case beforeWork, afterTransaction, afterUpdate, afterSending, afterCommit }

  struct Stage: Sendable {
    /// What its topics begin with.
    var prefix: String
    var className: String
    var transactionType: String
    var subStatusCode: String
    var statusCode = "SUCCESS"
  }

  struct Died: Error {}
  /// A value that is no message: its partition is never read again.
  struct Unreadable: Error {}

  private struct State {
    var isKilled = false
    var isBusy = false
    var habits = Habits()
    var ends: [Moment] = []
    var throwing = 0
    var taken: [String] = []
    var answered = 0
    var expired: Set<Int32> = []
    var failures: [String] = []
  }
  private let state = Mutex(State())
  private let life = Mutex<Task<Void, Never>?>(nil)
  private let stage: Stage
  private let kafka: KafkaSettings
  private let database: PostgresSettings
  private let clock: @Sendable () -> Instant
  private let thread = BlockingPool(name: "java", threads: 1)

  init(_ stage: Stage, kafka: KafkaSettings, database: PostgresSettings, clock: @escaping @Sendable () -> Instant = { .now }) {
    (self.stage, self.kafka, self.database, self.clock) = (stage, kafka, database, clock)
  }

  var busIn: String { stage.prefix + "-bus-in" }
  /// The RIDs of all records that it took up, in all its lives.
  var taken: [String] { state.withLock { $0.taken } }
  var answered: Int { state.withLock { $0.answered } }
  /// What went wrong in it and is not told to anybody.
  var failures: [String] { state.withLock { $0.failures } }
  /// The partitions of which it skipped a record because that was too old.
  var expired: Set<Int32> { state.withLock { $0.expired } }
  /// Ends at a moment of the next records, or of the next life's.
  func dies(_ moment: Moment) { state.withLock { $0.ends.append(moment) } }
  /// Its work throws at the next record.
  func throwsOnce() { state.withLock { $0.throwing += 1 } }
  /// Whether it has taken up what it has not committed yet.
  var isBusy: Bool { state.withLock { $0.isBusy } }
  var isAlive: Bool { state.withLock { !$0.isKilled } && life.withLock { $0 != nil } }

  func start(_ habits: Habits = Habits()) {
    state.withLock { ($0.habits, $0.isKilled, $0.expired) = (habits, false, []) }
    life.withLock {
      $0 = Task { [self] in
        do { try await thread.run { [self] in try live(habits) } } catch is Died {
        } catch { state.withLock { $0.failures.append("\(error)") } }
        state.withLock { $0.isKilled = true }
      }
    }
  }

  /// Ends its life where it stands; nothing more is written, sent or committed.
  func kill() async {
    state.withLock { $0.isKilled = true }
    await life.withLock { $0 }?.value
    life.withLock { $0 = nil }
  }

  func end() async {
    await kill()
    thread.close()
  }

  // MARK: - One life

  private var isKilled: Bool { state.withLock { $0.isKilled } }

  private func reach(_ moment: Moment) throws {
    let isEnd = state.withLock { state in
      guard state.ends.first == moment else { return state.isKilled }
      state.ends.removeFirst()
      state.isKilled = true
      return true
    }
    if isEnd { throw Died() }
  }

  private func live(_ habits: Habits) throws {
    var settings = kafka
    settings.consumerProperties["isolation.level"] = habits.readsUncommitted ? "read_uncommitted" : "read_committed"
    settings.consumerProperties["auto.offset.reset"] = habits.beginsAtEnd ? "latest" : "earliest"
    settings.producerProperties.merge(["acks": "1", "enable.idempotence": "false"]) { $1 }
    let consumer = try KafkaConsumer(settings: settings, group: stage.prefix + "-stage", topics: [busIn])
    defer { try? consumer.close(leaving: true) }
    let producer = try KafkaProducer(settings: settings)
    let status = try JavaStatusService(stage, database: database, clock: clock)
    defer { status.close() }
    var paused: Set<TopicPartition> = []
    var keys: [[UInt8]: Instant] = [:]
    while !isKilled {
      let result = try consumer.poll(max: 500, timeoutMilliseconds: 100)
      for (partition, records) in Dictionary(grouping: result.records, by: \.topicPartition) where !paused.contains(partition) {
        do {
          switch habits.mode {
          case .single:
            for record in records { try work([record], habits, &keys, consumer, producer, status) }
          case .batch: try work(records.shuffled(), habits, &keys, consumer, producer, status)
          }
        } catch is Unreadable {
          paused.insert(partition)
        }
      }
    }
  }

  /// Works records of a partition and commits behind the last; what it sends is not waited for.
  private func work(
    _ records: [RecordView], _ habits: Habits, _ keys: inout [[UInt8]: Instant], _ consumer: KafkaConsumer,
    _ producer: KafkaProducer, _ status: JavaStatusService
  ) throws {
    state.withLock { $0.isBusy = true }
    defer { state.withLock { $0.isBusy = false } }
    let place = records.max { $0.offset < $1.offset }.map { PartitionOffset($0.topicPartition, $0.offset + 1) }
    var answers: [Answer] = []
    for record in records where !isKnown(record, habits, &keys) {
      if let answer = try answer(record, habits, status) { answers.append(answer) }
    }
    let isLost = state.withLock { $0.ends.first == .afterCommit } && !answers.isEmpty
    if !isLost {
      for answer in answers {
        try producer.produce(
          topic: answer.topic, key: Array(answer.key.utf8), value: answer.value,
          headers: [RecordHeader("b3", Array(JavaPeer.b3.utf8)), RecordHeader("RID", Array(answer.key.utf8))])
      }
      if !answers.isEmpty, state.withLock({ $0.ends.first == .afterSending }) { _ = producer.flush() }
    }
    if !answers.isEmpty { try reach(.afterSending) }
    if let place { try consumer.commit([place]) }
    if !answers.isEmpty { try reach(.afterCommit) }
    state.withLock { $0.answered += answers.count }
  }

  /// Whether the cache has the key, which is looked at for records that have one.
  private func isKnown(_ record: RecordView, _ habits: Habits, _ keys: inout [[UInt8]: Instant]) -> Bool {
    guard habits.mode == .batch, habits.remembersKeys, let key = record.keyBytes else { return false }
    let now = clock()
    if let seen = keys[key], now.seconds(since: seen) < 15 * 60 { return true }
    keys[key] = now
    return false
  }

  private struct Answer {
    var topic: String
    var key: String
    var value: [UInt8]
  }

  /// What `process` makes of a record; nil for one that is too old.
  private func answer(_ record: RecordView, _ habits: Habits, _ status: JavaStatusService) throws -> Answer? {
    guard let bytes = record.valueBytes, let json = try? JSONValue.parse(bytes), let rid = json["rid"]?.string,
      let process = json["reg_type"]?.string
    else { throw Unreadable() }
    let sentAt = json["lastHopTimestamp"]?.string.flatMap(Instant.init(iso:))
    if habits.refusesOldRecords, sentAt.map({ clock().seconds(since: $0) > 3600 }) ?? true {
      state.withLock { _ = $0.expired.insert(record.partition) }
      return nil
    }
    let isThrowing = state.withLock { state in
      state.taken.append(rid)
      guard state.throwing > 0 else { return false }
      state.throwing -= 1
      return true
    }
    try reach(.beforeWork)
    var (isValid, isError) = (true, false)
    do {
      let row = try status.registration(json)
      if isThrowing { throw JavaStatusService.Failed(reason: "planned") }
      try status.update(row, rid: rid, subStatusCode: stage.subStatusCode) { try reach($0) }
    } catch is Died {
      throw Died()
    } catch {
      if !isThrowing { state.withLock { $0.failures.append("\(error)") } }
      (isValid, isError) = (false, true)
    }
    let topic = "\(stage.prefix)-\(process.lowercased())-bus-out"
    let address = json["messageBusAddress"]?["address"]?.string ?? "null"
    // All eleven, null too, and nothing of what else came.
    let message: JSONValue = [
      "reg_type": .string(process), "rid": .string(rid), "isValid": .bool(isValid), "internalError": .bool(isError),
      "messageBusAddress": json["messageBusAddress"] ?? .null, "retryCount": json["retryCount"] ?? .null,
      "tags": json["tags"] ?? .null, "lastHopTimestamp": .string(clock().iso), "source": json["source"] ?? .null,
      "iteration": json["iteration"].flatMap { $0 == .null ? nil : $0 } ?? .number(JSONNumber(0)),
      "workflowInstanceId": json["workflowInstanceId"] ?? .null,
    ]
    return Answer(
      topic: topic, key: habits.keyIsComposite ? "\(rid)_\(topic)_\(address)" : rid, value: message.encoded())
  }
}

extension JavaNeighbour {
  /// MOSIP's securezone notification, as it stands in the middle of our route.
  static let securezone = Stage(
    prefix: "securezone-notification", className: "SecurezoneNotificationStage", transactionType: "SECUREZONE_NOTIFICATION",
    subStatusCode: "RPR-SEN-SUCCESS-001")

  /// The route file that comes along, with that stage run elsewhere.
  static func routes() throws -> String {
    let file = try #require(TemporaryFolder.read(Program.repository + "/routes.yaml"))
    let text = String(decoding: file, as: UTF8.self)
    let mixed = text.replacing("- securezone-notification: { ", with: "- securezone-notification: { runs: elsewhere, ")
    try #require(mixed != text)
    return mixed
  }
}
