import CRdKafka
import Glibc
import System

/// Where a consumer stands: committing, rewinding, pausing and measuring.
extension KafkaConsumer {
  /// Commits and waits for the broker's answer, at most so long. Throws a `KafkaError`: `rebalanced` when the partitions went elsewhere
  /// meanwhile, `timedOut` when there was no answer (it may still be done).
  public func commit(_ offsets: [PartitionOffset], timeoutMilliseconds: Int = 30_000) throws(KafkaError) {
    guard !offsets.isEmpty else { return }
    let list = makeList(offsets)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    // librdkafka's own waiting commit waits without end for a coordinator.
    let answers = rd_kafka_queue_new(client.raw)!
    defer { rd_kafka_queue_destroy(answers) }
    try check(rd_kafka_commit_queue(client.raw, list, answers, nil, nil), "commit offsets")
    guard let event = rd_kafka_queue_poll(answers, Int32(clamping: timeoutMilliseconds)) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, "commit offsets")
    }
    defer { rd_kafka_event_destroy(event) }
    try check(rd_kafka_event_error(event), "commit offsets")
    if let error = rd_kafka_event_topic_partition_list(event)?.firstError { throw KafkaError(error, "commit offsets") }
  }

  /// The first and the next offset of a partition, asked of its broker. Blocks at most so long.
  public func bounds(of partition: TopicPartition, timeoutMilliseconds: Int = 5000) throws(KafkaError) -> (first: Int64, end: Int64)
  {
    var (low, high): (Int64, Int64) = (0, 0)
    try check(
      rd_kafka_query_watermark_offsets(
        client.raw, partition.topic, partition.partition, &low, &high, Int32(clamping: timeoutMilliseconds)),
      "read the bounds of \(partition)")
    return (low, high)
  }

  /// Goes back (or forth) to these places, so that the next poll reads from there: after an aborted transaction, to
  /// `RecordBatch.firstOffsets`. Partitions that are no longer ours are left out. Blocks at most so long.
  public func seek(to offsets: [PartitionOffset], timeoutMilliseconds: Int = 10_000) throws(KafkaError) {
    let deadline = monotonicMilliseconds() + timeoutMilliseconds
    var left = state.withLock { state in offsets.filter { state.assigned[$0.partition] != nil } }
    while !left.isEmpty {
      let list = makeList(left)
      defer { rd_kafka_topic_partition_list_destroy(list) }
      let wait = deadline - monotonicMilliseconds()
      if let error = rd_kafka_seek_partitions(client.raw, list, Int32(clamping: max(1, wait))) {
        throw KafkaError(consuming: error, "seek")
      }
      guard let error = list.firstError else { return }
      // A partition that was only just assigned cannot seek yet.
      guard error == RD_KAFKA_RESP_ERR__STATE || error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, wait > 0 else {
        throw KafkaError(error, "seek")
      }
      left = list.entries.filter { $0.err != RD_KAFKA_RESP_ERR_NO_ERROR }
        .map { PartitionOffset(TopicPartition(String(cString: $0.topic), $0.partition), $0.offset) }
      usleep(20_000)
    }
  }

  /// Stops fetching from partitions; what is already fetched of them is dropped and fetched again after `resume`.
  public func pause(_ partitions: [TopicPartition]) throws(KafkaError) {
    try apply(partitions, "pause", rd_kafka_pause_partitions)
  }

  /// Fetches again from paused partitions.
  public func resume(_ partitions: [TopicPartition]) throws(KafkaError) {
    try apply(partitions, "resume", rd_kafka_resume_partitions)
  }

  private func apply(
    _ partitions: [TopicPartition], _ operation: String,
    _ call: (OpaquePointer, PartitionList) -> rd_kafka_resp_err_t
  ) throws(KafkaError) {
    guard !partitions.isEmpty else { return }
    let list = makeList(partitions)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    try check(call(client.raw, list), operation)
    if let error = list.firstError { throw KafkaError(error, operation) }
  }

  /// The membership that a producer's transaction commits offsets for. Take a fresh one for each transaction.
  public func groupMetadata() throws(KafkaError) -> GroupMetadata {
    guard let raw = rd_kafka_consumer_group_metadata(client.raw) else {
      throw KafkaError(RD_KAFKA_RESP_ERR__STATE, "read group metadata")
    }
    return GroupMetadata(raw)
  }

  /// Where reading stands in each assigned partition, from memory, without asking a broker.
  public func positions() -> [PartitionPosition] {
    let partitions = assignedPartitions
    let list = makeList(partitions)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    guard rd_kafka_position(client.raw, list) == RD_KAFKA_RESP_ERR_NO_ERROR else { return [] }
    return list.entries.map { entry in
      var low: Int64 = -1
      var high: Int64 = -1
      _ = rd_kafka_get_watermark_offsets(client.raw, entry.topic, entry.partition, &low, &high)
      return PartitionPosition(
        partition: TopicPartition(String(cString: entry.topic), entry.partition),
        next: entry.offset >= 0 ? entry.offset : nil, end: high >= 0 ? high : nil)
    }
  }

  /// What the group has committed; partitions without a commit are left out. Asks the broker.
  /// - Parameter partitions: nil for those that are assigned.
  public func committed(of partitions: [TopicPartition]? = nil, timeoutMilliseconds: Int = 10_000) throws(KafkaError)
    -> [PartitionOffset]
  {
    let list = makeList(partitions ?? assignedPartitions)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    try check(rd_kafka_committed(client.raw, list, Int32(clamping: timeoutMilliseconds)), "read committed offsets")
    if let error = list.firstError { throw KafkaError(error, "read committed offsets") }
    return list.offsets
  }

  /// How many offsets lie between what is committed and the end, for each assigned partition (markers of transactions count). Without
  /// a commit the partition's first record is the start. Asks the broker once a partition.
  public func lag(timeoutMilliseconds: Int = 10_000) throws(KafkaError) -> [TopicPartition: Int64] {
    let committed = Dictionary(
      try committed(timeoutMilliseconds: timeoutMilliseconds).map { ($0.partition, $0.offset) }, uniquingKeysWith: max)
    var lags: [TopicPartition: Int64] = [:]
    for partition in assignedPartitions {
      let (low, high) = try bounds(of: partition, timeoutMilliseconds: timeoutMilliseconds)
      lags[partition] = max(0, high - max(low, committed[partition] ?? low))
    }
    return lags
  }
}

/// Where reading stands in a partition.
public struct PartitionPosition: Sendable, Hashable {
  /// The partition.
  public let partition: TopicPartition
  /// The offset of the next record to be polled; nil before the first one.
  public let next: Int64?
  /// The offset behind the last record, as the latest fetch told; nil before the first fetch.
  public let end: Int64?
  /// Records (and transaction markers) that wait; nil when not known yet.
  public var lag: Int64? {
    guard let next, let end else { return nil }
    return max(0, end - next)
  }
}

/// A consumer's membership in its group, for `KafkaProducer.sendOffsets`.
public final class GroupMetadata: @unchecked Sendable {
  // Safe to share: never changed after it was made.
  let raw: OpaquePointer
  init(_ raw: OpaquePointer) { self.raw = raw }
  deinit { rd_kafka_consumer_group_metadata_destroy(raw) }
}
