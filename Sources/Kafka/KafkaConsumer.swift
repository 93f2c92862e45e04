import CRdKafka

/// A record as it was read.
public struct ConsumedRecord: Sendable {
  /// The topic; one String shared by all its records.
  public var topic: String
  /// The partition.
  public var partition: Int32
  /// The offset in the partition.
  public var offset: Int64
  /// Milliseconds since 1970 as the producer or broker set them; -1 when there is none.
  public var timestamp: Int64
  /// The key; nil when the record has none.
  public var key: [UInt8]?
  /// The value; nil for a null value.
  public var value: [UInt8]?
  /// The last header of the name that the consumer was made with.
  public var header: [UInt8]?
}

/// A place in a partition.
public struct TopicPartition: Hashable, Sendable {
  /// The topic.
  public var topic: String
  /// The partition.
  public var partition: Int32

  /// A partition of a topic.
  public init(_ topic: String, _ partition: Int32) {
    self.topic = topic
    self.partition = partition
  }
}

/// A consumer of one group, for one thread. Only `wake` may be called from elsewhere.
public final class KafkaConsumer {
  /// How a consumer gets its partitions.
  public enum Assignment: Sendable {
    /// By the group's coordinator, shared with the other members.
    case group
    /// All partitions of all topics, without the group's protocol: for the embedded broker, whose group join takes seconds and where one
    /// process is alone. Committed offsets are the group's all the same.
    case all
  }

  /// What a consumer has unless the settings say otherwise.
  package static let defaults: KeyValuePairs<String, String> = [
    "auto.offset.reset": "earliest", "isolation.level": "read_committed", "partition.assignment.strategy": "range",
    "queued.min.messages": "20000", "queued.max.messages.kbytes": "16384", "fetch.wait.max.ms": "100",
    "topic.metadata.refresh.interval.ms": "30000", "allow.auto.create.topics": "true",
  ]

  private let client: OpaquePointer
  private let queue: OpaquePointer
  private let headerName: String
  private let rebalance: Rebalance
  private var topicNames: [OpaquePointer: String] = [:]
  private var messages: [UnsafeMutablePointer<rd_kafka_message_t>?] = []
  private var closed = false

  /// What the rebalance callback leaves for the thread that polls; it runs on that thread, inside the poll.
  private final class Rebalance {
    var assigned: Set<TopicPartition> = []
    var lost = false
  }

  /// Opens a consumer. `header` names the one header that is read from each record.
  /// - Throws: `KafkaError` of code configuration, or when topics cannot be found for `.all`.
  public init(
    _ settings: KafkaSettings, group: String, topics: [String], assignment: Assignment = .group, header: String = "",
    instanceId: String? = nil
  ) throws {
    let configuration = try settings.configuration(
      Self.defaults, ["enable.auto.commit": "false", "enable.auto.offset.store": "false", "group.id": group])
    if let instanceId { rd_kafka_conf_set(configuration, "group.instance.id", instanceId, nil, 0) }
    rebalance = Rebalance()
    rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(rebalance).toOpaque())
    rd_kafka_conf_set_rebalance_cb(configuration) { client, error, partitions, opaque in
      guard let client, let partitions, let opaque else { return }
      let state = Unmanaged<Rebalance>.fromOpaque(opaque).takeUnretainedValue()
      let named = KafkaConsumer.names(partitions)
      let cooperative = String(cString: rd_kafka_rebalance_protocol(client)) == "COOPERATIVE"
      if error == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
        if cooperative {
          if let error = rd_kafka_incremental_assign(client, partitions) { rd_kafka_error_destroy(error) }
        } else {
          rd_kafka_assign(client, partitions)
        }
        state.assigned.formUnion(named)
      } else {
        if rd_kafka_assignment_lost(client) != 0 { state.lost = true }
        if cooperative {
          if let error = rd_kafka_incremental_unassign(client, partitions) { rd_kafka_error_destroy(error) }
        } else {
          rd_kafka_assign(client, nil)
        }
        state.assigned.subtract(named)
      }
    }
    client = try makeClient(RD_KAFKA_CONSUMER, configuration)
    rd_kafka_poll_set_consumer(client)
    queue = rd_kafka_queue_get_consumer(client)
    headerName = header
    do {
      switch assignment {
      case .group: try subscribe(topics)
      case .all: try assignAll(topics)
      }
    } catch {
      close()
      throw error
    }
  }

  deinit { close() }

  private func subscribe(_ topics: [String]) throws {
    let list = rd_kafka_topic_partition_list_new(Int32(topics.count))!
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for topic in topics { rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA) }
    let result = rd_kafka_subscribe(client, list)
    guard result == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(result, "subscribe") }
  }

  private func assignAll(_ topics: [String]) throws {
    let counts = try KafkaAdmin.partitionCounts(client, timeoutMilliseconds: 10_000)
    let list = rd_kafka_topic_partition_list_new(Int32(topics.count))!
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for topic in topics {
      guard let count = counts[topic] else {
        throw KafkaError(.unknownTopic, name: "_UNKNOWN_TOPIC", operation: "assign", reason: "topic \(topic) does not exist")
      }
      for partition in 0..<Int32(count) {
        rd_kafka_topic_partition_list_add(list, topic, partition).pointee.offset = Int64(RD_KAFKA_OFFSET_STORED)
      }
    }
    let result = rd_kafka_assign(client, list)
    guard result == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(result, "assign") }
    rebalance.assigned = Self.names(list)
  }

  /// Waits for records, at most so long, and returns as many as are there up to `max`. Records of partitions that were taken away during
  /// this call are left out.
  /// - Throws: `KafkaError`; of code lostPartitions when partitions were lost without being asked for (too long between two polls).
  public func poll(max: Int, timeoutMilliseconds: Int) throws -> [ConsumedRecord] {
    if messages.count != max { messages = Array(repeating: nil, count: max) }
    // Wait for the first, then take what is there: a batch is not held up to become full.
    var count = 0
    let first = messages.withUnsafeMutableBufferPointer {
      rd_kafka_consume_batch_queue(queue, Int32(timeoutMilliseconds), $0.baseAddress, 1)
    }
    if first > 0 {
      count = 1
      if max > 1 {
        let more = messages.withUnsafeMutableBufferPointer {
          rd_kafka_consume_batch_queue(queue, 1, $0.baseAddress! + 1, max - 1)
        }
        if more > 0 { count += more }
      }
    }
    defer { for i in 0..<count { rd_kafka_message_destroy(messages[i]) } }
    var records: [ConsumedRecord] = []
    records.reserveCapacity(count)
    var failure: KafkaError?
    for i in 0..<count {
      guard let message = messages[i]?.pointee else { continue }
      guard message.err == RD_KAFKA_RESP_ERR_NO_ERROR else {
        if message.err != RD_KAFKA_RESP_ERR__PARTITION_EOF {
          let error = KafkaError(message.err, "poll")
          // A topic that is made later is found by the next metadata refresh.
          if error.code != .unknownTopic { failure = error }
        }
        continue
      }
      records.append(read(message, messages[i]!))
    }
    if rebalance.lost {
      rebalance.lost = false
      throw KafkaError(.lostPartitions, name: "_ASSIGNMENT_LOST", operation: "poll", reason: "partitions were lost")
    }
    let assigned = rebalance.assigned
    if !records.isEmpty, records.contains(where: { !assigned.contains(TopicPartition($0.topic, $0.partition)) }) {
      records.removeAll { !assigned.contains(TopicPartition($0.topic, $0.partition)) }
    }
    if records.isEmpty, let failure, failure.code != .retriable, failure.code != .timedOut { throw failure }
    return records
  }

  private func read(_ message: rd_kafka_message_t, _ pointer: UnsafeMutablePointer<rd_kafka_message_t>) -> ConsumedRecord {
    let topic: String
    if let known = topicNames[message.rkt] {
      topic = known
    } else {
      topic = String(cString: rd_kafka_topic_name(message.rkt))
      topicNames[message.rkt] = topic
    }
    var header: [UInt8]?
    if !headerName.isEmpty {
      var headers: OpaquePointer?
      if rd_kafka_message_headers(pointer, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers {
        var value: UnsafeRawPointer?
        var size = 0
        if rd_kafka_header_get_last(headers, headerName, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let value {
          header = Array(UnsafeRawBufferPointer(start: value, count: size))
        }
      }
    }
    return ConsumedRecord(
      topic: topic, partition: message.partition, offset: message.offset,
      timestamp: rd_kafka_message_timestamp(pointer, nil),
      key: message.key.map { Array(UnsafeRawBufferPointer(start: $0, count: message.key_len)) },
      value: message.payload.map { Array(UnsafeRawBufferPointer(start: $0, count: message.len)) }, header: header)
  }

  /// Stores offsets for the group: the offset to read next, by partition. Returns when the broker has them.
  public func commit(_ offsets: [TopicPartition: Int64]) throws {
    guard !offsets.isEmpty else { return }
    let list = Self.list(offsets)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    let result = rd_kafka_commit(client, list, 0)
    guard result == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(result, "commit") }
  }

  /// Reads on from these offsets.
  public func seek(to offsets: [TopicPartition: Int64]) throws {
    guard !offsets.isEmpty else { return }
    let list = Self.list(offsets)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    if let error = rd_kafka_seek_partitions(client, list, 10_000) { throw KafkaError(taking: error, "seek") }
    for i in 0..<Int(list.pointee.cnt) where list.pointee.elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR {
      throw KafkaError(list.pointee.elems[i].err, "seek")
    }
  }

  /// The offsets the group has stored for the partitions of this consumer; nil where there is none.
  public func committed() throws -> [TopicPartition: Int64] {
    let list = rd_kafka_topic_partition_list_new(8)!
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for place in rebalance.assigned { rd_kafka_topic_partition_list_add(list, place.topic, place.partition) }
    let result = rd_kafka_committed(client, list, 10_000)
    guard result == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(result, "committed") }
    var out: [TopicPartition: Int64] = [:]
    for i in 0..<Int(list.pointee.cnt) where list.pointee.elems[i].offset >= 0 {
      let element = list.pointee.elems[i]
      out[TopicPartition(String(cString: element.topic), element.partition)] = element.offset
    }
    return out
  }

  /// How many records wait behind what was read, by partition, as far as the last fetch knows.
  public func lag() -> [TopicPartition: Int64] {
    let list = rd_kafka_topic_partition_list_new(8)!
    defer { rd_kafka_topic_partition_list_destroy(list) }
    for place in rebalance.assigned { rd_kafka_topic_partition_list_add(list, place.topic, place.partition) }
    guard rd_kafka_position(client, list) == RD_KAFKA_RESP_ERR_NO_ERROR else { return [:] }
    var out: [TopicPartition: Int64] = [:]
    for i in 0..<Int(list.pointee.cnt) {
      let element = list.pointee.elems[i]
      var low: Int64 = 0
      var high: Int64 = 0
      guard
        rd_kafka_get_watermark_offsets(client, element.topic, element.partition, &low, &high)
          == RD_KAFKA_RESP_ERR_NO_ERROR, high >= 0
      else { continue }
      out[TopicPartition(String(cString: element.topic), element.partition)] =
        element.offset >= 0 ? max(0, high - element.offset) : 0
    }
    return out
  }

  /// The partitions of this consumer.
  public var assigned: Set<TopicPartition> { rebalance.assigned }

  /// What a transaction needs to store this group's offsets. The caller frees it.
  func groupMetadata() -> OpaquePointer? { rd_kafka_consumer_group_metadata(client) }

  /// Ends a waiting poll. From any thread, while the consumer is open.
  public func wake() { rd_kafka_queue_yield(queue) }

  /// Leaves the group and frees the client. After it only `close` may be called.
  public func close() {
    guard !closed else { return }
    closed = true
    rd_kafka_queue_destroy(queue)
    rd_kafka_consumer_close(client)
    rd_kafka_destroy(client)
  }

  static func list(_ offsets: [TopicPartition: Int64]) -> UnsafeMutablePointer<rd_kafka_topic_partition_list_t> {
    let list = rd_kafka_topic_partition_list_new(Int32(offsets.count))!
    for (place, offset) in offsets {
      rd_kafka_topic_partition_list_add(list, place.topic, place.partition).pointee.offset = offset
    }
    return list
  }

  private static func names(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) -> Set<TopicPartition> {
    Set(
      (0..<Int(list.pointee.cnt)).map {
        TopicPartition(String(cString: list.pointee.elems[$0].topic), list.pointee.elems[$0].partition)
      })
  }
}
