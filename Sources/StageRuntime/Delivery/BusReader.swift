import Kafka
import System

/// A worker's consumer, with what its events mean: every one of them is told to the worker's `BusWatch`.
///
/// It also looks for what no event tells: records that were removed before they were read, topics that began anew because the broker lost
/// what it had, and transaction markers behind the last record, which would show as a lag for ever.
final class BusReader {
  private let consumer: KafkaConsumer
  private let watch: BusWatch
  /// Behind the last record that came of each partition.
  private var seen: [TopicPartition: Int64] = [:]
  /// Behind the last record whose offset is committed.
  private var settled: [TopicPartition: Int64] = [:]
  /// The same, kept also when the partition goes: the broker has to know it as long as it has the topic.
  private var kept = KeptOffsets()
  /// Partitions of which it is not known yet whether they begin where the group left off.
  private var unchecked: Set<TopicPartition> = []
  private var statisticsSeen = 0
  private var idleSince: Int?
  private var nextCheck = 0
  /// Partitions that are not fetched from while nothing is to be taken.
  private var held: Set<TopicPartition> = []

  /// Between two tries of what is only looked after.
  private static let checkPause = 10_000

  init(_ consumer: KafkaConsumer, watch: BusWatch) {
    self.consumer = consumer
    self.watch = watch
    watch.joins()
  }

  /// Opens a consumer; as a static member of its group where it has a name there.
  convenience init(
    settings: KafkaSettings, group: String, topics: [String], assignment: KafkaConsumer.Assignment, member: StaticMember?,
    watch: BusWatch
  ) throws(KafkaError) {
    self.init(
      try KafkaConsumer(
        settings: settings, group: group, topics: topics, assignment: assignment,
        instance: member?.id(topics: topics)), watch: watch)
  }

  var hasPendingRevocation: Bool { consumer.hasPendingRevocation }
  func owns(_ partition: TopicPartition, since epoch: UInt64) -> Bool { consumer.owns(partition, since: epoch) }
  func owns(_ record: RecordView) -> Bool { consumer.owns(record) }
  func groupMetadata() throws(KafkaError) -> GroupMetadata { try consumer.groupMetadata() }
  var waker: KafkaConsumer { consumer }

  /// Takes nothing, and stays in the group: events are heard, and partitions that come are held as well.
  func idle(timeoutMilliseconds: Int) throws(KafkaError) {
    let new = consumer.assignedPartitions.filter { !held.contains($0) }
    if !new.isEmpty {
      try consumer.pause(new)
      held.formUnion(new)
    }
    let result = try consumer.poll(max: 1, timeoutMilliseconds: timeoutMilliseconds)
    for event in result.events { take(event) }
    // What came before the library heard of it is read again.
    let starts = result.records.firstOffsets.filter { consumer.owns($0.partition, since: result.records.epoch) }
    if !starts.isEmpty { try consumer.seek(to: starts, timeoutMilliseconds: watch.limit(10_000)) }
    // A broker that is asked for nothing is silent, and nothing stands still by that.
    watch.reads(nil)
  }

  /// Fetches again from what was held; from a partition that is away when it comes back.
  private func goOn() throws(KafkaError) {
    let ours = consumer.assignedPartitions.filter { held.contains($0) }
    guard !ours.isEmpty else { return }
    try consumer.resume(ours)
    held.subtract(ours)
    // Until the next one the statistics speak of the time before.
    statisticsSeen = consumer.statisticsCount + 1
  }

  func poll(max: Int, timeoutMilliseconds: Int) throws(KafkaError) -> RecordBatch {
    if !held.isEmpty { try goOn() }
    let result = try consumer.poll(max: max, timeoutMilliseconds: timeoutMilliseconds)
    for event in result.events { take(event) }
    let now = monotonicMilliseconds()
    if result.records.isEmpty {
      let since = idleSince ?? now
      idleSince = since
      if now - since >= 1000, now >= nextCheck { try lookAfter(now) }
    } else {
      idleSince = nil
      watch.received(result.records.topics)
      let starts = result.records.firstOffsets
      if now >= nextCheck, starts.contains(where: { unchecked.contains($0.partition) }) { try checkStarts(now) }
      for start in starts { checkGap(before: start) }
      for next in result.records.nextOffsets { seen[next.partition] = next.offset }
    }
    let count = consumer.statisticsCount
    if count > statisticsSeen, let statistics = consumer.statistics {
      statisticsSeen = count
      watch.reads(statistics.fault(of: consumer.assignedPartitions))
    }
    return result.records
  }

  private func take(_ event: PollResult.Event) {
    switch event {
    case .assigned(let partitions):
      unchecked.formUnion(partitions)
      for partition in partitions { (seen[partition], settled[partition]) = (nil, nil) }
      nextCheck = 0
      watch.assigned(Set(partitions.map(\.topic)), partitions: consumer.assignedPartitions.count)
    case .revoked(let partitions), .lost(let partitions):
      for partition in partitions {
        unchecked.remove(partition)
        (seen[partition], settled[partition]) = (nil, nil)
      }
      watch.revoked(left: consumer.assignedPartitions.count)
    case .problem(let error, let topic): watch.problem(error, topic: topic)
    case .reachedEnd: break
    }
  }

  /// Notes what is committed.
  func settle(_ offsets: [PartitionOffset]) {
    kept.keep(offsets)
    for place in offsets { settled[place.partition] = max(settled[place.partition] ?? 0, place.offset) }
  }

  /// Commits, for a bus without transactions.
  func commit(_ offsets: [PartitionOffset]) throws(KafkaError) {
    try consumer.commit(offsets, timeoutMilliseconds: watch.limit(30_000))
    settle(offsets)
  }

  /// Reads from these places again.
  func rewind(to starts: [PartitionOffset]) throws(KafkaError) {
    try consumer.seek(to: starts, timeoutMilliseconds: watch.limit(10_000))
    for start in starts { seen[start.partition] = start.offset }
  }

  func close(leaving: Bool) { try? consumer.close(leaving: leaving, timeoutMilliseconds: watch.limit(10_000)) }

  // MARK: what no event tells

  private func lookAfter(_ now: Int) throws(KafkaError) {
    nextCheck = now + Self.checkPause
    if !unchecked.isEmpty { try checkStarts(now) }
    commitPositions()
  }

  /// Compares where the group left off with what is still there. Asks the broker a few times after each assignment, then no more.
  private func checkStarts(_ now: Int) throws(KafkaError) {
    let asked = Set(consumer.assignedPartitions).union(kept.partitions).sorted()
    guard let committed = try? consumer.committed(of: asked, timeoutMilliseconds: watch.limit(5000)) else {
      nextCheck = now + Self.checkPause
      return
    }
    try checkMemory(committed)
    for place in committed where unchecked.contains(place.partition) {
      guard let first = try? consumer.bounds(of: place.partition, timeoutMilliseconds: watch.limit(2000)).first else { continue }
      unchecked.remove(place.partition)
      note(removed: first, from: place)
      if settled[place.partition] == nil { settled[place.partition] = max(place.offset, first) }
      if seen[place.partition] == nil { seen[place.partition] = max(place.offset, first) }
    }
    // Those without a commit begin at their first record.
    unchecked.subtract(Set(unchecked).subtracting(committed.map(\.partition)))
  }

  /// A broker that lost its disk comes back empty. What the producer beside this consumer believes of it is wrong as well, and it would
  /// learn that from its next transaction alone: so both are opened anew.
  private func checkMemory(_ committed: [PartitionOffset]) throws(KafkaError) {
    let topics = kept.forgotten(committed)
    guard !topics.isEmpty else { return }
    for topic in topics { watch.beganAnew(topic) }
    throw KafkaError(
      code: .fatal, name: "OFFSETS_LOST", operation: "poll",
      detail: "the broker does not know any more what was committed for \(topics.joined(separator: ", ")): it lost what it had")
  }

  /// Of one record a marker may stand before the next; a larger hole is looked into.
  private func checkGap(before start: PartitionOffset) {
    guard let expected = seen[start.partition], start.offset - expected >= 2,
      let first = try? consumer.bounds(of: start.partition, timeoutMilliseconds: watch.limit(2000)).first
    else { return }
    note(removed: min(first, start.offset), from: PartitionOffset(start.partition, expected))
  }

  private func note(removed first: Int64, from place: PartitionOffset) {
    if first > place.offset { watch.lost(Int(first - place.offset), of: place.partition.topic) }
  }

  /// Commits behind markers that follow the last record, where everything that came is committed: what follows can only be markers and
  /// what was taken back.
  private func commitPositions() {
    let behind = consumer.positions().compactMap { position -> PartitionOffset? in
      guard let next = position.next, let settled = settled[position.partition], seen[position.partition] == settled, next > settled
      else { return nil }
      return PartitionOffset(position.partition, next)
    }
    guard !behind.isEmpty, (try? consumer.commit(behind, timeoutMilliseconds: watch.limit(2000))) != nil else { return }
    for place in behind { (seen[place.partition], settled[place.partition]) = (place.offset, place.offset) }
  }
}

/// What was committed for a group, as its reader remembers it, against what the broker says.
struct KeptOffsets: Sendable {
  private var offsets: [TopicPartition: Int64] = [:]

  var partitions: [TopicPartition] { Array(offsets.keys) }

  mutating func keep(_ committed: [PartitionOffset]) {
    for place in committed { offsets[place.partition] = max(offsets[place.partition] ?? 0, place.offset) }
  }

  /// The topics of which the broker has forgotten something: a group's offset goes up, whoever commits it, and is kept as long as
  /// somebody reads.
  func forgotten(_ committed: [PartitionOffset]) -> [String] {
    let known = Dictionary(committed.map { ($0.partition, $0.offset) }, uniquingKeysWith: max)
    return Set(offsets.filter { (known[$0.key] ?? -1) < $0.value }.keys.map(\.topic)).sorted()
  }
}

/// A member of a group that comes back under its name: one consumer of one stage's process. No two consumers of a process are the same
/// member, as each says which of the stage's readers it is.
struct StaticMember: Sendable, Hashable {
  /// The consumers that a stage may have, each one time in a process.
  enum Reader: String, Sendable, CaseIterable {
    case messages
    case furtherTopics = "further-topics"
    case bridge
  }

  let stage: String
  let instance: String
  let reader: Reader

  /// `<stage>-<instance>-<hash of all that tells members apart>`: Kafka hands a returning member its old partitions, whatever it subscribes to
  /// now, so one that reads other topics is another member. At most 249 characters of those that Kafka allows.
  func id(topics: [String]) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for part in [stage, instance, reader.rawValue] + Set(topics).sorted() {
      for byte in part.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      // Not in UTF-8: where a part ends is not to be had from its text.
      hash = (hash ^ 0xff) &* 0x100_0000_01b3
    }
    let allowed = "\(stage)-\(instance)".utf8.map { byte -> Character in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
        Character(UnicodeScalar(byte))
      default: "_"
      }
    }
    return String(allowed.prefix(232)) + "-" + hash.digits(16, radix: 16)
  }
}
