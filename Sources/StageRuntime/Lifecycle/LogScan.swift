import Kafka
import Registration
import Routing
import StageKit
import System

/// A record of a stage's topic, as a search of the topics finds it.
public struct LogRecord: Sendable {
  /// The stage that reads the topic or, of an answer, that wrote it.
  public var stage: String
  /// Whether a stage that runs elsewhere wrote it, for the bridge.
  public var isAnswer: Bool
  /// The topic.
  public var topic: String
  /// Its partition.
  public var partition: Int32
  /// Its place there.
  public var offset: Int64
  /// When it was written, by Kafka's timestamp.
  public var at: Instant
  var key: String?
  var hop: HopHeader?
  /// The trace of its header; nil for none, and for that which its RID makes.
  var trace: TraceId?
  var message: Message
  var value: [UInt8]
  /// Its process; of an answer the topic says it.
  public var process: String
  /// The registration id.
  public var rid: String { message.rid }
  /// The run that it says of itself.
  public var run: Int? { hop?.run }

  /// Whether it tells more of where its registration stands than another: the later one, of two at one time the one that is later in the flow.
  func isNewer(than other: LogRecord, by routes: RouteFile) -> Bool {
    if at != other.at { return other.at < at }
    let (mine, others) = (place(routes), other.place(routes))
    return mine != others ? mine > others : (topic, partition, offset) > (other.topic, other.partition, other.offset)
  }

  private func place(_ routes: RouteFile) -> Int {
    let index = routes.flow(process)?.stages.firstIndex { $0.name.value == stage } ?? -1
    return 2 * index + (isAnswer ? 1 : 0)
  }
}

/// Reads what the topics of a route file's stages hold of a span of time, up to the ends that they had at the start, all partitions at the same
/// time. It joins no group and moves no offset. What it holds in memory is bounded whatever the topics hold.
public struct LogScan: Sendable {
  /// How far it is.
  public struct Progress: Sendable {
    /// Records that were read.
    public var records = 0
    /// Offsets that lie behind, and all that there are.
    public var (done, total) = (0, 0)
    /// Records in a second, since the start.
    public var rate = 0
  }

  /// What one topic had.
  public struct Topic: Sendable, Equatable {
    /// Its name.
    public var name: String
    /// Its records of the span.
    public var records = 0
    /// Those that are no messages.
    public var unreadable = 0
  }

  /// Why it did not come to its end.
  public struct Failure: Error, Sendable, CustomStringConvertible {
    public var description: String
  }

  let routes: RouteFile
  private let kafka: KafkaSettings
  private let since: Instant
  private let isStopping: @Sendable () -> Bool
  private let tell: @Sendable (Progress) -> Void
  /// Milliseconds without anything from the broker after which it is given up.
  private static let patience = 60_000

  /// - Parameters:
  ///   - since: the moment of the first record, by Kafka's timestamps.
  ///   - isStopping: whether it is to end early, by throwing.
  ///   - tell: is told several times a second how far it is.
  public init(
    _ routes: RouteFile, kafka: KafkaSettings, since: Instant, isStopping: @escaping @Sendable () -> Bool = { false },
    tell: @escaping @Sendable (Progress) -> Void = { _ in }
  ) {
    (self.routes, self.kafka, self.since, self.isStopping, self.tell) = (routes, kafka, since, isStopping, tell)
  }

  private enum Source {
    case input(String)
    case answers(process: String, stage: String)
  }

  /// By topic: what stages read, and what stages elsewhere answered.
  private var sources: [String: Source] {
    var sources: [String: Source] = [:]
    for (topic, source) in BridgePlan(routes).sources {
      if case .output(let process, let stage) = source { sources[topic] = .answers(process: process, stage: stage) }
    }
    for forward in routes.forwards { sources[forward.topic.value] = .input(forward.to.value) }
    for flow in routes.flows { for stage in flow.stages { sources[routes.busIn(of: stage.name.value)] = .input(stage.name.value) } }
    return sources
  }

  /// The newest record of a RID; nil when there is none.
  /// - Throws: `KafkaError`, `Failure`.
  public func newest(rid: String) throws -> LogRecord? {
    var newest: LogRecord?
    try run(only: rid) { record in
      if newest.map({ record.isNewer(than: $0, by: routes) }) ?? true { newest = record }
    }
    return newest
  }

  /// Hands over every message, of one RID or of all, in no order but that of each partition. What the topics had, by their names.
  @discardableResult
  func run(only rid: String? = nil, _ take: (LogRecord) throws -> Void) throws -> [Topic] {
    let admin = try KafkaAdmin(settings: kafka)
    let counts = try admin.listTopics()
    let sources = sources.filter { counts[$0.key] != nil }
    let partitions = sources.keys.sorted().flatMap { topic in
      (0..<Int32(clamping: counts[topic] ?? 0)).map { TopicPartition(topic, $0) }
    }
    let bounds = try admin.bounds(of: partitions)
    let starts = try admin.offsets(at: since.milliseconds, of: partitions)
    var ends: [TopicPartition: Int64] = [:]
    var places: [PartitionOffset] = []
    var progress = Progress()
    for partition in partitions {
      guard let (first, end) = bounds[partition], let start = starts[partition].map({ max($0, first) }), start < end else {
        continue
      }
      ends[partition] = end
      places.append(PartitionOffset(partition, start))
      progress.total += Int(end - start)
    }
    var topics = Dictionary(uniqueKeysWithValues: sources.keys.map { ($0, Topic(name: $0)) })
    if !places.isEmpty { try read(places, ends, sources, only: rid, &progress, &topics, take) }
    return topics.values.sorted { $0.name < $1.name }
  }

  private func read(
    _ places: [PartitionOffset], _ ends: [TopicPartition: Int64], _ sources: [String: Source], only rid: String?,
    _ progress: inout Progress, _ topics: inout [String: Topic], _ take: (LogRecord) throws -> Void
  ) throws {
    let starts = Dictionary(places.map { ($0.partition, $0.offset) }) { first, _ in first }
    var settings = kafka
    settings.consumerProperties.merge([
      "enable.partition.eof": "true", "isolation.level": "read_committed", "auto.offset.reset": "earliest",
      "queued.max.messages.kbytes": "32768",
    ]) { $1 }
    let consumer = try KafkaConsumer(
      settings: settings, group: "regproc-log-\(SecureRandom.uuid())", topics: [], assignment: .from(places))
    defer { try? consumer.close() }
    var left = ends
    var seen = starts
    let begun = monotonicMilliseconds()
    var (deadline, nextWord) = (begun + Self.patience, begun)
    var trouble = ""
    while !left.isEmpty {
      if isStopping() { throw Failure(description: "interrupted: the topics were not read to their ends") }
      let result = try consumer.poll(max: 1000, timeoutMilliseconds: 200)
      if !result.records.isEmpty || result.events.contains(where: { if case .reachedEnd = $0 { true } else { false } }) {
        deadline = monotonicMilliseconds() + Self.patience
      }
      var ended: [TopicPartition] = []
      for record in result.records {
        let partition = record.topicPartition
        guard let end = left[partition] else { continue }
        seen[partition] = record.offset + 1
        if record.offset >= end - 1 { ended.append(partition) }
        guard record.offset < end, let source = sources[record.topic] else { continue }
        progress.records += 1
        topics[record.topic]?.records += 1
        if let rid, !Self.isAbout(rid, record) { continue }
        guard let found = Self.message(record, source) else {
          topics[record.topic]?.unreadable += 1
          continue
        }
        if rid == nil || rid == found.rid { try take(found) }
      }
      for event in result.events {
        switch event {
        case .reachedEnd(let place):
          if left[place.partition] != nil { ended.append(place.partition) }
        case .problem(let error, _): trouble = ": \(error)"
        default: break
        }
      }
      for partition in Set(ended) {
        progress.done += Int((left.removeValue(forKey: partition) ?? 0) - (starts[partition] ?? 0))
        // Others go on writing there.
        try? consumer.pause([partition])
      }
      let now = monotonicMilliseconds()
      guard now < deadline else {
        throw Failure(description: "the topics could not be read to their ends: the broker does not answer\(trouble)")
      }
      if now >= nextWord {
        nextWord = now + 200
        var shown = progress
        for partition in left.keys { shown.done += Int((seen[partition] ?? 0) - (starts[partition] ?? 0)) }
        shown.rate = now > begun ? progress.records * 1000 / (now - begun) : 0
        tell(shown)
      }
    }
    progress.rate = progress.records * 1000 / max(1, monotonicMilliseconds() - begun)
    tell(progress)
  }

  /// Whether a key allows that a record is about a RID: keys are the RID, or begin with it and an underscore. One without a key may be.
  private static func isAbout(_ rid: String, _ record: RecordView) -> Bool {
    guard let key = record.key ?? record.header("RID") else { return true }
    let rid = Array(rid.utf8)
    guard key.count >= rid.count, key.prefix(rid.count).elementsEqual(rid) else { return false }
    return key.count == rid.count || key[rid.count] == UInt8(ascii: "_")
  }

  private static func message(_ record: RecordView, _ source: Source) -> LogRecord? {
    guard let value = record.valueBytes, let message = try? Message(decoding: value) else { return nil }
    let (stage, process): (String, String)
    switch source {
    case .input(let name): (stage, process) = (name, message.process)
    case .answers(let of, let name): (stage, process) = (name, of)
    }
    return LogRecord(
      stage: stage, isAnswer: { if case .answers = source { true } else { false } }(), topic: record.topic,
      partition: record.partition,
      offset: record.offset, at: record.timestamp ?? Instant(milliseconds: 0),
      key: record.key.map { String(decoding: $0, as: UTF8.self) },
      hop: record.header(HopHeader.name).flatMap { HopHeader($0) },
      trace: record.header("b3").flatMap { TraceId(header: $0) }?.unlessOf(message.rid), message: message, value: value,
      process: process)
  }
}
