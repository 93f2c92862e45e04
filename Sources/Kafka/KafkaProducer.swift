import CRdKafka

/// A producer for one thread: idempotent, acknowledged by all replicas, with transactions when it has a transactional id.
public final class KafkaProducer {
  /// What a producer has unless the settings say otherwise. A transaction must not time out before its records: librdkafka refuses that.
  package static let defaults: KeyValuePairs<String, String> = [
    "linger.ms": "0", "compression.type": "lz4", "queue.buffering.max.kbytes": "65536", "message.timeout.ms": "30000",
    "transaction.timeout.ms": "30000", "socket.nagle.disable": "true",
  ]

  private let client: OpaquePointer
  private var topics: [String: OpaquePointer] = [:]
  private let deliveries: Deliveries
  private var closed = false

  /// What the delivery reports say; they come on the thread that polls and flushes.
  private final class Deliveries {
    var failed = 0
    var firstFailure: rd_kafka_resp_err_t = RD_KAFKA_RESP_ERR_NO_ERROR
  }

  /// Opens a producer.
  /// - Throws: `KafkaError` of code configuration.
  public init(_ settings: KafkaSettings, transactionalId: String? = nil) throws {
    let configuration = try settings.configuration(
      Self.defaults,
      transactionalId.map { ["enable.idempotence": "true", "acks": "all", "transactional.id": $0] }
        ?? ["enable.idempotence": "true", "acks": "all"])
    deliveries = Deliveries()
    rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(deliveries).toOpaque())
    rd_kafka_conf_set_dr_msg_cb(configuration) { _, message, opaque in
      guard let message, let opaque, message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
      let deliveries = Unmanaged<Deliveries>.fromOpaque(opaque).takeUnretainedValue()
      if deliveries.failed == 0 { deliveries.firstFailure = message.pointee.err }
      deliveries.failed += 1
    }
    client = try makeClient(RD_KAFKA_PRODUCER, configuration)
  }

  deinit { close() }

  /// Makes this producer the only one with its transactional id; older ones are fenced and what they left open is aborted.
  public func initTransactions(timeoutMilliseconds: Int32 = 30_000) throws {
    if let error = rd_kafka_init_transactions(client, timeoutMilliseconds) {
      throw KafkaError(taking: error, "init transactions")
    }
  }

  /// Begins a transaction.
  public func begin() throws {
    deliveries.failed = 0
    if let error = rd_kafka_begin_transaction(client) { throw KafkaError(taking: error, "begin transaction") }
  }

  /// Hands a record to the client, which copies it. It is on the broker after `flush` or `commit`.
  public func produce(
    topic: String, key: String?, value: [UInt8]?, headers: [(name: String, value: String)] = []
  ) throws {
    let handle = try topicHandle(topic)
    var list: OpaquePointer?
    if !headers.isEmpty {
      list = rd_kafka_headers_new(headers.count)
      for header in headers {
        var value = header.value
        value.withUTF8 { bytes in
          _ = rd_kafka_header_add(list, header.name, header.name.utf8.count, bytes.baseAddress, bytes.count)
        }
      }
    }
    var text = key ?? ""
    try text.withUTF8 { keyBytes in
      try (value ?? []).withUnsafeBytes { valueBytes in
        try produce(
          handle, key: key == nil ? nil : UnsafeRawBufferPointer(keyBytes), value: value == nil ? nil : valueBytes,
          headers: list)
      }
    }
  }

  /// An empty buffer has no address, and a key without an address would be a null key.
  private let nothing = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)

  private func produce(
    _ topic: OpaquePointer, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, headers: OpaquePointer?
  ) throws {
    var parts = (rd_kafka_vu_t(), rd_kafka_vu_t(), rd_kafka_vu_t(), rd_kafka_vu_t(), rd_kafka_vu_t())
    parts.0.vtype = RD_KAFKA_VTYPE_RKT
    parts.0.u.rkt = topic
    parts.1.vtype = RD_KAFKA_VTYPE_MSGFLAGS
    parts.1.u.i = Int32(RD_KAFKA_MSG_F_COPY)
    parts.2.vtype = RD_KAFKA_VTYPE_KEY
    parts.2.u.mem.ptr = key.map { UnsafeMutableRawPointer(mutating: $0.baseAddress) ?? nothing }
    parts.2.u.mem.size = key?.count ?? 0
    parts.3.vtype = RD_KAFKA_VTYPE_VALUE
    parts.3.u.mem.ptr = value.map { UnsafeMutableRawPointer(mutating: $0.baseAddress) ?? nothing }
    parts.3.u.mem.size = value?.count ?? 0
    parts.4.vtype = RD_KAFKA_VTYPE_HEADERS
    parts.4.u.headers = headers
    let count = headers == nil ? 4 : 5
    while true {
      let error = withUnsafePointer(to: &parts) {
        $0.withMemoryRebound(to: rd_kafka_vu_t.self, capacity: 5) { rd_kafka_produceva(client, $0, count) }
      }
      guard let error else { return }
      // On an error the headers stay ours.
      if rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL {
        rd_kafka_error_destroy(error)
        rd_kafka_poll(client, 50)
        continue
      }
      if let headers { rd_kafka_headers_destroy(headers) }
      throw KafkaError(taking: error, "produce")
    }
  }

  private func topicHandle(_ topic: String) throws -> OpaquePointer {
    if let handle = topics[topic] { return handle }
    guard let handle = rd_kafka_topic_new(client, topic, nil) else { throw KafkaError(rd_kafka_last_error(), "open topic") }
    topics[topic] = handle
    return handle
  }

  /// Waits until the broker has everything.
  /// - Throws: `KafkaError` when a record could not be delivered or not in time; offsets must not be stored then.
  public func flush(timeoutMilliseconds: Int32 = 35_000) throws {
    let result = rd_kafka_flush(client, timeoutMilliseconds)
    defer { deliveries.failed = 0 }
    guard deliveries.failed == 0 else {
      var fatal = [CChar](repeating: 0, count: 256)
      if rd_kafka_fatal_error(client, &fatal, fatal.count) != RD_KAFKA_RESP_ERR_NO_ERROR {
        throw KafkaError(RD_KAFKA_RESP_ERR__FATAL, "deliver \(deliveries.failed) records")
      }
      throw KafkaError(deliveries.firstFailure, "deliver \(deliveries.failed) records")
    }
    guard result == RD_KAFKA_RESP_ERR_NO_ERROR else {
      // What is still on its way must not arrive after the caller gave up and did it again.
      rd_kafka_purge(client, Int32(RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT))
      rd_kafka_flush(client, 1000)
      throw KafkaError(result, "flush")
    }
  }

  /// Stores a consumer's offsets as part of the transaction.
  public func sendOffsets(_ offsets: [TopicPartition: Int64], of consumer: KafkaConsumer, timeoutMilliseconds: Int32 = 30_000) throws {
    guard let metadata = consumer.groupMetadata() else {
      throw KafkaError(.lostPartitions, name: "_STATE", operation: "send offsets", reason: "the consumer is in no group")
    }
    defer { rd_kafka_consumer_group_metadata_destroy(metadata) }
    let list = KafkaConsumer.list(offsets)
    defer { rd_kafka_topic_partition_list_destroy(list) }
    if let error = rd_kafka_send_offsets_to_transaction(client, list, metadata, timeoutMilliseconds) {
      throw KafkaError(taking: error, "send offsets")
    }
  }

  /// Commits the transaction; records and offsets are visible together. A retriable error may be answered by calling it again.
  public func commitTransaction(timeoutMilliseconds: Int32 = 60_000) throws {
    if let error = rd_kafka_commit_transaction(client, timeoutMilliseconds) { throw KafkaError(taking: error, "commit transaction") }
  }

  /// Takes the transaction back.
  public func abortTransaction(timeoutMilliseconds: Int32 = 60_000) throws {
    if let error = rd_kafka_abort_transaction(client, timeoutMilliseconds) { throw KafkaError(taking: error, "abort transaction") }
  }

  /// Frees the client; records that were not flushed are dropped.
  public func close() {
    guard !closed else { return }
    closed = true
    rd_kafka_purge(client, Int32(RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT))
    rd_kafka_flush(client, 100)
    for handle in topics.values { rd_kafka_topic_destroy(handle) }
    rd_kafka_destroy(client)
    nothing.deallocate()
  }
}
