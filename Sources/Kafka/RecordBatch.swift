import CRdKafka
import System

/// Records of one poll, in the order they were read, with the memory they live in.
///
/// What a `RecordView` shows stays valid as long as the batch does.
public final class RecordBatch: @unchecked Sendable, RandomAccessCollection {
  // Safe to share: nothing changes after init, except that librdkafka parses a record's headers at the first look. So several
  // threads may read one batch as long as they do not ask for headers of the same record at the same time.
  struct Entry {
    let event: OpaquePointer
    let message: UnsafePointer<rd_kafka_message_t>
    let topic: Int32
  }

  private let entries: [Entry]
  /// The names that `RecordView.topicIndex` counts in; the same topic has the same index in all batches of a consumer.
  public let topics: [String]
  /// Which assignment of the consumer the records came with (see `KafkaConsumer.owns`).
  public let epoch: UInt64
  /// The records point into their client's memory.
  private let client: ClientHandle

  init(_ entries: [Entry], topics: [String], epoch: UInt64, client: ClientHandle) {
    self.entries = entries
    self.topics = topics
    self.epoch = epoch
    self.client = client
  }

  deinit {
    for entry in entries { rd_kafka_event_destroy(entry.event) }
  }

  /// Always 0.
  public var startIndex: Int { 0 }
  /// The number of records.
  public var endIndex: Int { entries.count }
  /// A record, by its place in the batch.
  public subscript(position: Int) -> RecordView {
    let entry = entries[position]
    return RecordView(batch: self, message: entry.message, topicIndex: Int(entry.topic))
  }

  /// For each partition in the batch the place behind its last record: what to commit when all of it is done.
  public var nextOffsets: [PartitionOffset] { places { last, _ in last + 1 } }

  /// For each partition in the batch the place of its first record: where to seek to when none of it is done.
  public var firstOffsets: [PartitionOffset] { places { _, first in first } }

  private func places(_ pick: (_ last: Int64, _ first: Int64) -> Int64) -> [PartitionOffset] {
    struct Range {
      let topic: Int32
      let partition: Int32
      let first: Int64
      var last: Int64
    }
    var ranges: [Range] = []
    var at = 0
    for entry in entries {
      let message = entry.message.pointee
      if ranges.isEmpty || ranges[at].partition != message.partition || ranges[at].topic != entry.topic {
        if let known = ranges.firstIndex(where: { $0.partition == message.partition && $0.topic == entry.topic }) {
          at = known
        } else {
          at = ranges.count
          ranges.append(
            Range(topic: entry.topic, partition: message.partition, first: message.offset, last: message.offset))
        }
      }
      ranges[at].last = message.offset
    }
    return ranges.map {
      PartitionOffset(TopicPartition(topics[Int($0.topic)], $0.partition), pick($0.last, $0.first))
    }
  }
}

/// One record of a batch, looked at in place: nothing is copied until a copy is asked for.
public struct RecordView: @unchecked Sendable {
  // Safe to share: it only reads memory that the batch it holds keeps in place (see there about headers).

  /// The batch that the record lives in.
  public let batch: RecordBatch
  private let message: UnsafePointer<rd_kafka_message_t>
  /// Which of the batch's `topics` the record came from.
  public let topicIndex: Int

  init(batch: RecordBatch, message: UnsafePointer<rd_kafka_message_t>, topicIndex: Int) {
    self.batch = batch
    self.message = message
    self.topicIndex = topicIndex
  }

  /// The topic's name (one String for all records of the topic).
  public var topic: String { batch.topics[topicIndex] }
  /// The partition's number.
  public var partition: Int32 { message.pointee.partition }
  /// Topic and partition together.
  public var topicPartition: TopicPartition { TopicPartition(topic, partition) }
  /// The record's place in its partition.
  public var offset: Int64 { message.pointee.offset }

  /// When the record was made (or appended, if the topic is set so); nil when it carries no time.
  public var timestamp: Instant? {
    var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
    let milliseconds = rd_kafka_message_timestamp(message, &kind)
    return kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? nil : Instant(milliseconds: milliseconds)
  }

  /// The key's bytes, valid while the batch lives; nil for a null key (an empty one has count 0).
  public var key: UnsafeRawBufferPointer? {
    message.pointee.key.map { UnsafeRawBufferPointer(start: $0, count: message.pointee.key_len) }
  }
  /// The value's bytes, valid while the batch lives; nil for a null value (an empty one has count 0).
  public var value: UnsafeRawBufferPointer? {
    message.pointee.payload.map { UnsafeRawBufferPointer(start: $0, count: message.pointee.len) }
  }
  /// A copy of the key.
  public var keyBytes: [UInt8]? { key.map { [UInt8]($0) } }
  /// A copy of the value.
  public var valueBytes: [UInt8]? { value.map { [UInt8]($0) } }

  /// The last header of a name, valid while the batch lives; nil if there is none or its value is null.
  public func header(_ name: StaticString) -> UnsafeRawBufferPointer? {
    name.withUTF8Buffer { lastHeader(UnsafeRawPointer($0.baseAddress!).assumingMemoryBound(to: CChar.self)) }
  }
  /// The last header of a name, valid while the batch lives; nil if there is none or its value is null.
  public func header(_ name: String) -> UnsafeRawBufferPointer? { name.withCString { lastHeader($0) } }

  /// Copies of all headers, in order, repeated names included.
  public var headers: [RecordHeader] {
    guard let list = headerList else { return [] }
    var all: [RecordHeader] = []
    var name: UnsafePointer<CChar>?
    var value: UnsafeRawPointer?
    var size = 0
    while rd_kafka_header_get_all(list, all.count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let name {
      let bytes = value.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: size)) }
      all.append(RecordHeader(String(cString: name), bytes))
    }
    return all
  }

  private var headerList: OpaquePointer? {
    var list: OpaquePointer?
    return rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR ? list : nil
  }

  private func lastHeader(_ name: UnsafePointer<CChar>) -> UnsafeRawBufferPointer? {
    guard let list = headerList else { return nil }
    var value: UnsafeRawPointer?
    var size = 0
    guard rd_kafka_header_get_last(list, name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let value else {
      return nil
    }
    return UnsafeRawBufferPointer(start: value, count: size)
  }
}

/// A header of a record: a name and bytes, or null.
public struct RecordHeader: Hashable, Sendable {
  /// The header's name; names may repeat.
  public let name: String
  /// The header's bytes; nil is Kafka's null.
  public let value: [UInt8]?

  /// A header.
  public init(_ name: String, _ value: [UInt8]?) {
    self.name = name
    self.value = value
  }
}
