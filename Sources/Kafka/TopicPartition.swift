import CRdKafka

/// One partition of one topic.
public struct TopicPartition: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The topic's name.
  public let topic: String
  /// The partition's number, from 0.
  public let partition: Int32

  /// A partition of a topic.
  public init(_ topic: String, _ partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  /// By topic, then by number.
  public static func < (a: TopicPartition, b: TopicPartition) -> Bool {
    (a.topic, a.partition) < (b.topic, b.partition)
  }
  /// `topic/partition`.
  public var description: String { "\(topic)/\(partition)" }
}

/// A place in a partition: to commit it means that everything before it is done.
public struct PartitionOffset: Hashable, Sendable, CustomStringConvertible {
  /// Where the offset counts.
  public let partition: TopicPartition
  /// The offset of the next record to be read.
  public let offset: Int64

  /// A place in a partition.
  public init(_ partition: TopicPartition, _ offset: Int64) {
    self.partition = partition
    self.offset = offset
  }
  /// `topic/partition@offset`.
  public var description: String { "\(partition)@\(offset)" }
}

typealias PartitionList = UnsafeMutablePointer<rd_kafka_topic_partition_list_t>

func makeList(_ offsets: some Collection<PartitionOffset>) -> PartitionList {
  let list = rd_kafka_topic_partition_list_new(Int32(offsets.count))!
  for place in offsets {
    rd_kafka_topic_partition_list_add(list, place.partition.topic, place.partition.partition).pointee.offset =
      place.offset
  }
  return list
}

func makeList(_ partitions: some Collection<TopicPartition>) -> PartitionList {
  makeList(partitions.map { PartitionOffset($0, Int64(RD_KAFKA_OFFSET_INVALID)) })
}

extension PartitionList {
  var partitions: [TopicPartition] { entries.map { TopicPartition(String(cString: $0.topic), $0.partition) } }

  /// The places of the list, those without an offset left out.
  var offsets: [PartitionOffset] {
    entries.filter { $0.offset >= 0 }
      .map { PartitionOffset(TopicPartition(String(cString: $0.topic), $0.partition), $0.offset) }
  }

  var entries: UnsafeBufferPointer<rd_kafka_topic_partition_t> {
    UnsafeBufferPointer(start: pointee.elems, count: Int(pointee.cnt))
  }

  /// The first error that one of the partitions has.
  var firstError: rd_kafka_resp_err_t? { entries.first { $0.err != RD_KAFKA_RESP_ERR_NO_ERROR }?.err }
}
