import CRdKafka
import Synchronization
import System

/// An idempotent producer with acks=all, used by one thread of its own; transactional when it has a transactional id.
///
/// Without transactions: `produce` many, then `flush`, and commit offsets only if it reports no failed delivery. With transactions:
/// `initTransactions` once, then `begin`, `produce`, `sendOffsets`, `commitTransaction` or `abortTransaction`. Every method blocks.
public final class KafkaProducer: @unchecked Sendable {
  // Safe to share: librdkafka's handle takes calls from several threads; topic handles and the argument buffer belong to the one
  // thread that produces, and failed deliveries are under a Mutex.

  let client: ClientHandle
  /// Whether this producer was given a transactional id.
  public let isTransactional: Bool
  private let deliveries: Deliveries
  private let enqueueTimeout: Int
  private let settings: KafkaSettings
  private var topics: [String: OpaquePointer] = [:]
  /// Most records of a batch go to one topic.
  private var lastTopic: (name: String, handle: OpaquePointer)?
  private var arguments = UnsafeMutableBufferPointer<rd_kafka_vu_t>.allocate(capacity: 8)

  /// A producer; it connects in the background. `enqueueTimeoutMilliseconds` bounds how long `produce` waits when the
  /// buffer is full. Throws a `KafkaError` with code `configuration` for a bad property.
  public init(settings: KafkaSettings, transactionalId: String? = nil, enqueueTimeoutMilliseconds: Int = 30_000)
    throws(KafkaError)
  {
    let role = Configuration.Role.producer(transactionalId: transactionalId)
    let configuration = try Configuration(settings, role)
    let deliveries = Deliveries()
    rd_kafka_conf_set_opaque(configuration.raw, Unmanaged.passUnretained(deliveries).toOpaque())
    rd_kafka_conf_set_dr_msg_cb(configuration.raw, noteDelivery)
    self.deliveries = deliveries
    client = ClientHandle(try configuration.makeHandle(role), keeping: deliveries)
    self.settings = settings
    isTransactional = transactionalId != nil
    enqueueTimeout = enqueueTimeoutMilliseconds
  }

  deinit {
    for topic in topics.values { rd_kafka_topic_destroy(topic) }
    arguments.deallocate()
  }

  /// Puts a record into the send buffer; key and value are copied. `tag` is anything that tells the caller which record a
  /// `FailedDelivery` is about. A null partition is chosen by the key as Java does (murmur2).
  ///
  /// A full buffer is waited for. Throws a `KafkaError`: `messageTooLarge` above `message.max.bytes`, `timedOut` when the buffer
  /// stays full, `abortable`, `fenced` or `fatal` when the transaction or the producer cannot go on.
  @_disfavoredOverload  // so that `key: nil, value: nil` is not ambiguous
  public func produce(
    topic: String, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, headers: [RecordHeader] = [],
    partition: Int32? = nil, timestamp: Instant? = nil, tag: Int = 0
  ) throws(KafkaError) {
    var list: OpaquePointer?
    if !headers.isEmpty {
      list = rd_kafka_headers_new(headers.count)
      for header in headers { append(header, to: list!) }
    }
    try enqueue(topic, key, value, list, partition, timestamp, tag)
  }

  /// As above, with headers that were written into a buffer.
  public func produce(
    topic: String, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?, headers: borrowing HeaderBuffer, tag: Int = 0
  ) throws(KafkaError) {
    let list = rd_kafka_headers_new(headers.entries.count)
    headers.bytes.withUnsafeBytes { bytes in
      for entry in headers.entries {
        let value = UnsafeRawBufferPointer(rebasing: bytes[entry.start..<entry.start + entry.count])
        let name = UnsafeRawPointer(entry.name.utf8Start).assumingMemoryBound(to: CChar.self)
        _ = rd_kafka_header_add(list, name, entry.name.utf8CodeUnitCount, address(of: value), value.count)
      }
    }
    try enqueue(topic, key, value, list, nil, nil, tag)
  }

  /// Takes the header list over.
  private func enqueue(
    _ topic: String, _ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ list: OpaquePointer?,
    _ partition: Int32?, _ timestamp: Instant?, _ tag: Int
  ) throws(KafkaError) {
    let handle: OpaquePointer
    do {
      handle = try self.handle(of: topic)
    } catch {
      if let list { rd_kafka_headers_destroy(list) }
      throw error
    }
    var count = 0
    func add(_ type: rd_kafka_vtype_t, _ fill: (inout rd_kafka_vu_t) -> Void) {
      arguments[count] = rd_kafka_vu_t()
      arguments[count].vtype = type
      fill(&arguments[count])
      count += 1
    }
    add(RD_KAFKA_VTYPE_RKT) { $0.u.rkt = handle }
    add(RD_KAFKA_VTYPE_MSGFLAGS) { $0.u.i = RD_KAFKA_MSG_F_COPY }
    if let partition { add(RD_KAFKA_VTYPE_PARTITION) { $0.u.i32 = partition } }
    if let timestamp { add(RD_KAFKA_VTYPE_TIMESTAMP) { $0.u.i64 = timestamp.milliseconds } }
    if tag != 0 { add(RD_KAFKA_VTYPE_OPAQUE) { $0.u.ptr = UnsafeMutableRawPointer(bitPattern: tag) } }
    // An empty buffer may have no address, and no address means null to librdkafka.
    if let key { add(RD_KAFKA_VTYPE_KEY) { $0.u.mem = .init(ptr: address(of: key), size: key.count) } }
    if let value { add(RD_KAFKA_VTYPE_VALUE) { $0.u.mem = .init(ptr: address(of: value), size: value.count) } }
    if let list { add(RD_KAFKA_VTYPE_HEADERS) { $0.u.headers = list } }
    var deadline: Int?
    while let error = rd_kafka_produceva(client.raw, arguments.baseAddress, count) {
      let full = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__QUEUE_FULL
      let end = deadline ?? monotonicMilliseconds() + enqueueTimeout
      deadline = end
      if full, monotonicMilliseconds() < end {
        rd_kafka_error_destroy(error)
        _ = rd_kafka_poll(client.raw, 50)
        continue
      }
      // librdkafka takes the header list only when it takes the record.
      if let list { rd_kafka_headers_destroy(list) }
      if full {
        rd_kafka_error_destroy(error)
        throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, "produce to \(topic)", detail: "the send buffer stayed full")
      }
      let refused = KafkaError(consuming: error, "produce to \(topic)")
      throw refused.code == .fatal ? KafkaError.fatal(of: client.raw, "produce to \(topic)") ?? refused : refused
    }
  }

  /// As above, for arrays.
  public func produce(
    topic: String, key: [UInt8]?, value: [UInt8]?, headers: [RecordHeader] = [], partition: Int32? = nil,
    timestamp: Instant? = nil, tag: Int = 0
  ) throws(KafkaError) {
    let result = withBytes(key) { key in
      withBytes(value) { value in
        Result { () throws(KafkaError) in
          try produce(
            topic: topic, key: key, value: value, headers: headers, partition: partition, timestamp: timestamp, tag: tag
          )
        }
      }
    }
    try result.get()
  }

  /// Waits until every record is acknowledged or has failed, and returns those that failed since the last flush.
  ///
  /// After it nothing is under way: what has no answer in time is given up and returned as failed (it may still have reached the
  /// broker). Offsets of the input must not be committed unless the result is empty.
  public func flush(timeoutMilliseconds: Int = 60_000) -> [FailedDelivery] {
    if rd_kafka_flush(client.raw, Int32(clamping: timeoutMilliseconds)) != RD_KAFKA_RESP_ERR_NO_ERROR { purge() }
    return deliveries.take()
  }

  /// The deliveries that failed since the last question, without waiting for those under way.
  public func takeFailures() -> [FailedDelivery] { deliveries.take() }

  /// Whether the cluster has a topic, asked anew: what this client believes of it may be half a minute old. The answer also is what it believes
  /// from then on. Blocks at most so long. Throws a `KafkaError` when there is no answer.
  public func topicExists(_ topic: String, timeoutMilliseconds: Int = 5000) throws(KafkaError) -> Bool {
    try client.partitionCounts(topic: topic, timeoutMilliseconds: Int32(clamping: timeoutMilliseconds))[topic] != nil
  }

  /// The bytes that a batch of records of a topic may have, by its `max.message.bytes`; nil when the cluster does not say.
  public func recordLimit(of topic: String, timeoutMilliseconds: Int = 5000) -> Int? {
    let admin = try? KafkaAdmin(
      settings: settings, requestMilliseconds: timeoutMilliseconds, totalMilliseconds: timeoutMilliseconds)
    return (try? admin?.configuration(of: topic)["max.message.bytes"]).flatMap { Int($0) }
  }

  /// Records that wait for the broker's answer.
  public var outstanding: Int { Int(rd_kafka_outq_len(client.raw)) }

  /// Throws the error that made this producer useless, if there was one.
  public func checkUsable() throws(KafkaError) {
    if let fatal = KafkaError.fatal(of: client.raw, "produce") { throw fatal }
  }

  /// Gives up what is still in the buffer; every such record becomes a failed delivery.
  func purge() {
    _ = rd_kafka_purge(client.raw, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT)
    // Answered by the library itself, so at once.
    let deadline = monotonicMilliseconds() + 10_000
    while rd_kafka_outq_len(client.raw) > 0, monotonicMilliseconds() < deadline { _ = rd_kafka_flush(client.raw, 1000) }
  }

  func forgetFailures() { _ = deliveries.take() }

  private func handle(of topic: String) throws(KafkaError) -> OpaquePointer {
    if let lastTopic, lastTopic.name == topic { return lastTopic.handle }
    if let known = topics[topic] {
      lastTopic = (topic, known)
      return known
    }
    guard let new = rd_kafka_topic_new(client.raw, topic, nil) else {
      throw KafkaError(rd_kafka_last_error(), "produce to \(topic)", detail: "this name of a topic is not possible")
    }
    topics[topic] = new
    return new
  }

  private func append(_ header: RecordHeader, to list: OpaquePointer) {
    withBytes(header.value) { value in
      _ = rd_kafka_header_add(list, header.name, -1, value.map { address(of: $0) }, value?.count ?? 0)
    }
  }
}

/// A record that did not reach the broker, as far as is known.
public struct FailedDelivery: Sendable {
  /// What `produce` was given to tell the record by.
  public let tag: Int
  /// Where it should have gone.
  public let topic: String
  /// Why it did not.
  public let error: KafkaError
}

/// What the delivery callback writes into.
private final class Deliveries: Sendable {
  private let failed = Mutex<[FailedDelivery]>([])

  func add(_ failure: FailedDelivery) { failed.withLock { $0.append(failure) } }

  func take() -> [FailedDelivery] {
    failed.withLock { failed in
      defer { failed = [] }
      return failed
    }
  }
}

/// Called on the thread that polls, flushes or commits, and only for failures (`delivery.report.only.error`).
private func noteDelivery(
  _: OpaquePointer?, message: UnsafePointer<rd_kafka_message_t>?, state: UnsafeMutableRawPointer?
) {
  guard let message, let state, message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
  let topic = String(cString: rd_kafka_topic_name(message.pointee.rkt))
  Unmanaged<Deliveries>.fromOpaque(state).takeUnretainedValue().add(
    FailedDelivery(
      tag: Int(bitPattern: message.pointee._private), topic: topic,
      error: KafkaError(message.pointee.err, "deliver to \(topic)")))
}

private let emptyBytes: StaticString = ""

private func address(of bytes: UnsafeRawBufferPointer) -> UnsafeMutableRawPointer {
  UnsafeMutableRawPointer(mutating: bytes.baseAddress ?? UnsafeRawPointer(emptyBytes.utf8Start))
}

private func withBytes<T>(_ bytes: [UInt8]?, _ body: (UnsafeRawBufferPointer?) -> T) -> T {
  guard let bytes else { return body(nil) }
  return bytes.withUnsafeBytes { body($0) }
}
